"""The pair bigint_mul256."""

from itertools import pairwise

import pytest

from tests.kernels.harness import KERNELS, PAIRS, build, count, reports, source_of
from tests.toolchain import shipped


def bigint_mul256(a, b, n, reps):
    def number(limbs):
        return sum(limb << 32 * k for k, limb in enumerate(limbs))

    rows = []
    for left, right in zip(map(number, a), map(number, b), strict=True):
        for _ in range(reps):
            product = left * right
            left = product % 2**256 ^ product // 2**256
        rows.append([product >> 32 * k & 0xFFFFFFFF for k in range(16)])
    return {"product": rows}


REFERENCE = (bigint_mul256, {"n": 10, "reps": 3})
REGISTERS = 50  # of columns.ptx, which keeps carries in registers; the other two have 38 to 40

MUTANTS = [
    ("bigint_mul256.ptx", "setp.ge.u32 %past_end, %i, %n",   "setp.gt.u32 %past_end, %i, %n"),
    ("bigint_mul256.ptx", "addc.u32 %even_12, 0, 0",         "add.u32 %even_12, 0, 0"),     # a carry lost
    ("bigint_mul256.ptx", "%odd_3, %a_3, %b_0, %odd_3",      "%odd_3, %a_3, %b_0, %odd_2"),
    ("bigint_mul256.ptx", "addc.cc.u32 %p_9",                "add.cc.u32 %p_9"),            # seen by 2^224 + 1 alone
    ("bigint_mul256.ptx", "%a_2, %p_2, %p_10",               "%a_2, %p_2, %p_9"),  # wrong from the second product
    ("bigint_mul256.columns.ptx", "addc.u32 %p_9, %p_9, 0",   "add.u32 %p_9, %p_9, 0"),
    ("bigint_mul256.columns.ptx", "mad.lo.cc.u32 %p_5, %a_2, %b_3", "mad.lo.cc.u32 %p_5, %a_2, %b_2"),
    ("bigint_mul256.columns.ptx", "madc.hi.u32 %p_2, %a_0, %b_1, 0", "mad.hi.u32 %p_2, %a_0, %b_1, 0"),
    ("bigint_mul256.rows.ptx", "addc.u32 %p_11, 0, 0",        "add.u32 %p_11, 0, 0"),
    ("bigint_mul256.rows.ptx", "madc.hi.cc.u32 %p_9",         "mad.hi.cc.u32 %p_9"),
    ("bigint_mul256.rows.ptx", "[%product_at + 32]",          "[%product_at + 16]"),         # four limbs never written
]  # fmt: skip


ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]
PRODUCTS = 64  # of a limb and a limb


@pytest.mark.parametrize("arch", ARCHS)
def test_of_all_forms_pairs_of_columns_take_the_fewest_instructions_and_limbs_of_30_bits_the_fewest_of_c(arch):
    total = {variant: report.sass["total"] for variant, report in reports("bigint_mul256", arch).items()}
    c = {variant: instructions for variant, instructions in total.items() if variant.startswith("cuda")}
    assert total["ptx"] < 0.65 * min(c.values())
    assert total["cuda"] == min(instructions for variant, instructions in c.items() if "@" not in variant)
    assert total["cuda"] < 1.01 * min(c.values())
    assert total["ptx"] < total["ptx.columns"] < 0.82 * min(c.values())  # order alone, language alone
    assert total["ptx.rows"] > max(total["cuda"], total["cuda@int128"], total["cuda.rows@int128"])


@pytest.mark.parametrize("arch", ARCHS)
def test_low_and_high_half_of_a_product_are_one_instruction_in_pairs_and_two_in_rows(arch):
    """The reason of both: mad.lo.cc next to madc.hi.cc is one IMAD.WIDE, which takes and gives a carry."""
    by_variant = reports("bigint_mul256", arch)
    wide, wide_with_carry, high = count(by_variant["ptx"], "IMAD.WIDE.U32", "IMAD.WIDE.U32.X", "IMAD.HI.U32")
    assert wide >= PRODUCTS - 2
    assert wide_with_carry > wide / 2
    assert high <= 4
    wide, high = count(by_variant["ptx.rows"], "IMAD.WIDE.U32", "IMAD.HI.U32")
    assert wide <= 4
    assert high >= PRODUCTS
    wide, wide_with_carry, high = count(by_variant["ptx.columns"], "IMAD.WIDE.U32", "IMAD.WIDE.U32.X", "IMAD.HI.U32")
    assert wide >= PRODUCTS - 2
    assert wide_with_carry == 0  # a carry goes two limbs further, by an addition
    assert high <= 4
    # C has wide products, but no word for a carry; __int128 has one inside each of the 16 products of its rows.
    assert count(by_variant["cuda"], "IMAD.WIDE.U32", "IMAD.WIDE.U32.X", "IADD3.X")[1:] == [0, 0]
    assert count(by_variant["cuda"], "IMAD.WIDE.U32")[0] >= 81 - 1
    assert count(by_variant["cuda.rows"], "IMAD.WIDE.U32.X") == [0]
    assert count(by_variant["cuda.rows@int128"], "IMAD.WIDE.U32.X") <= [16]


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_ptxas_keeps_wide_multiplications_four_cycles_apart(arch):
    """The rate on the page: the minimum stall between independent neighbours."""
    built = build(source_of(KERNELS / "ptx" / "bigint_mul256.ptx"), arch)
    ((_, runs),) = shipped.straight_lines(built.ptx, arch)
    stalls = [
        control.stall
        for run in runs
        for (first, control), (second, _) in pairwise(run)
        if first.startswith("IMAD.WIDE") and second.startswith("IMAD.WIDE")
    ]
    assert len(stalls) >= 20
    assert min(stalls) == 4
    assert stalls.count(4) > len(stalls) / 2


def test_by_default_a_run_has_two_forms_of_either_language():
    sources = PAIRS["bigint_mul256"].default_sources
    assert [source.variant for source in sources] == ["cuda", "cuda@int128", "ptx", "ptx.rows"]
