"""The pair bigint_mul256."""

import pytest

from tests.kernels.harness import count, reports


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
REGISTERS = 48  # with more, 2048 threads no longer fit an SM

MUTANTS = [
    ("bigint_mul256.ptx", "setp.ge.u32 %past_end, %i, %n",   "setp.gt.u32 %past_end, %i, %n"),
    ("bigint_mul256.ptx", "addc.u32 %even_12, 0, 0",         "add.u32 %even_12, 0, 0"),     # a carry lost
    ("bigint_mul256.ptx", "%odd_3, %a_3, %b_0, %odd_3",      "%odd_3, %a_3, %b_0, %odd_2"),
    ("bigint_mul256.ptx", "addc.cc.u32 %p_9",                "add.cc.u32 %p_9"),            # seen by 2^224 + 1 alone
    ("bigint_mul256.ptx", "%a_2, %p_2, %p_10",               "%a_2, %p_2, %p_9"),  # wrong from the second product
    ("bigint_mul256.rows.ptx", "addc.u32 %p_11, 0, 0",        "add.u32 %p_11, 0, 0"),
    ("bigint_mul256.rows.ptx", "madc.hi.cc.u32 %p_9",         "mad.hi.cc.u32 %p_9"),
    ("bigint_mul256.rows.ptx", "[%product_at + 32]",          "[%product_at + 16]"),         # four limbs never written
]  # fmt: skip


ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]
PRODUCTS = 64  # of a limb and a limb


@pytest.mark.parametrize("arch", ARCHS)
def test_pairs_of_columns_take_fewer_instructions_than_either_cuda_c(arch):
    found = reports("bigint_mul256", arch)
    most = 0.6 * min(found["cuda"].sass["total"], found["cuda@int128"].sass["total"])
    assert found["ptx"].sass["total"] < most


@pytest.mark.parametrize("arch", ARCHS)
def test_rows_of_columns_take_more_instructions_than_cuda_c(arch):
    found = reports("bigint_mul256", arch)
    assert found["ptx.rows"].sass["total"] > found["cuda@int128"].sass["total"]
    if arch != "sm_120":  # where ptxas moves most of what the 32-bit limbs of cuda hold between registers
        assert found["ptx.rows"].sass["total"] > found["cuda"].sass["total"]


@pytest.mark.parametrize("arch", ARCHS)
def test_low_and_high_half_of_a_product_are_one_instruction_in_pairs_and_two_in_rows(arch):
    """The reason of both: mad.lo.cc next to madc.hi.cc is one IMAD.WIDE, which takes and gives a carry."""
    found = reports("bigint_mul256", arch)
    wide, wide_with_carry, high = count(found["ptx"], "IMAD.WIDE.U32", "IMAD.WIDE.U32.X", "IMAD.HI.U32")
    assert wide >= PRODUCTS - 2
    assert wide_with_carry > wide / 2
    assert high <= 4
    wide, high = count(found["ptx.rows"], "IMAD.WIDE.U32", "IMAD.HI.U32")
    assert wide <= 4
    assert high >= PRODUCTS
    # C has wide products, but no word for a carry; __int128 has one inside each of its 16 products of 64-bit limbs.
    assert count(found["cuda"], "IMAD.WIDE.U32.X") == [0]
    assert count(found["cuda@int128"], "IMAD.WIDE.U32.X") <= [16]
