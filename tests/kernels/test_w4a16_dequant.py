"""The pair w4a16_dequant."""

import math

import pytest

from ptxbench import toolchain, verify
from tests.kernels.harness import PAIRS, build

ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]


def w4a16_dequant(w, scale, x, rows, words, magic):
    def weight(row, k):
        place, i = divmod(k % 8, 2)[::-1]  # of weights 2i and 2i + 1, the even one lies in the lower half
        return scale[row] * ((w[row][k // 8] >> 16 * place + 4 * i) % 16 - 8)

    return {
        "y": [
            [math.fsum(weight(row, k) * element for k, element in enumerate(vector)) for row in range(rows)]
            for vector in x
        ]
    }


REFERENCE = (w4a16_dequant, {"rows": 3, "columns": 40, "batch": 2})

MUTANTS = [
    ("w4a16_dequant.ptx", "%a_q2, 0x000f000f, 0x64006400, 0xea", "%a_q2, 0x000f000f, 0x64006400, 0xf8"),  # a | b & c
    ("w4a16_dequant.ptx", "shr.u32 %b_q6, %b_q0, 12",           "shr.u32 %b_q6, %b_q0, 8"),
    ("w4a16_dequant.ptx", "mov.b32 %offset, 0x64086408",        "mov.b32 %offset, 0x64076408"),  # one half by 1
    ("w4a16_dequant.ptx", "mov.b32 {%a_h4, %a_h5}, %a_p45",     "mov.b32 {%a_h4, %a_h5}, %a_p23"),
    ("w4a16_dequant.ptx", "cvt.f32.f16 %b_p3, %b_h3",           "cvt.f32.f16 %b_p3, %b_h2"),
    ("w4a16_dequant.ptx", "[%x_at + 512]",                      "[%x_at]"),
    ("w4a16_dequant.ptx", "mov.b32 %b_x4, 0;",                  "mov.b32 %b_x4, 0x3c003c00;"),  # the end counts
    ("w4a16_dequant.ptx", "mad.wide.u32 %x_first, %vector",     "mad.wide.u32 %x_first, %row"),
    ("w4a16_dequant.ptx", "setp.lt.u32 %two, %second, %words",  "setp.lt.u32 %two, %i, %words"),
    ("w4a16_dequant.ptx", "add.rn.f32 %dot, %a_dot, %b_dot",    "add.rn.f32 %dot, %a_dot, %a_dot"),
    ("w4a16_dequant.ptx", "%sum, 4, 31, 0xffffffff",            "%sum, 2, 31, 0xffffffff"),  # a distance twice
]  # fmt: skip


@pytest.mark.parametrize("size", PAIRS["w4a16_dequant"].pair.check_sizes, ids=str)
def test_integers_stay_exact_whatever_their_signs(size):
    """test_pairs.py takes the absolute values of the arguments, but a nibble counts from -8."""
    pair = PAIRS["w4a16_dequant"].pair
    bounds = verify.expect(pair, pair.make_arguments(size, seed=1, integers=True)).bounds["y"]
    assert bounds.max() * 2**11 < 2**24  # a bound is more than 2**-11 of the sum of |terms|


# ---- what the compiler makes


def totals(arch):
    """The SASS instructions of each variant."""
    return {
        source.variant: build(source, arch, "toolkit").report.sass["total"] for source in PAIRS["w4a16_dequant"].sources
    }


@pytest.mark.parametrize("arch", ["sm_75", "sm_80"])
def test_below_sm_90_a_magic_number_that_is_not_known_changes_nothing(arch):
    total = totals(arch)
    assert total["ptx"] < total["cuda.magic"] == total["cuda"]


@pytest.mark.parametrize("arch", ["sm_90", "sm_100", "sm_120"])
def test_from_sm_90_on_it_spares_what_lop3_spares_in_ptx(arch):
    total = totals(arch)
    assert max(total["ptx"], total["cuda.magic"]) < total["cuda"]
    assert abs(total["ptx"] - total["cuda.magic"]) < total["cuda"] - total["cuda.magic"]


@pytest.mark.parametrize("arch", ARCHS)
def test_in_the_loop_every_variant_has_one_lop3_in_two_weights(arch):
    """Eight a round. The C that knows its constants pays in moves. One or two more take the lane from the thread."""
    for source in PAIRS["w4a16_dequant"].sources:
        assert build(source, arch, "toolkit").report.sass["LOP3"] in (8 + 1, 8 + 2)


UNPACK = """
extern "C" __global__ void unpack(const unsigned* __restrict__ w, uint4* __restrict__ y, unsigned magic)
{{
    const unsigned q = w[threadIdx.x];
    y[threadIdx.x] = make_uint4((q & 0x000f000f) | {0}, (q >> 4 & 0x000f000f) | {0},
                                (q >> 8 & 0x000f000f) | {0}, (q >> 12 & 0x000f000f) | {0});
}}
"""


@pytest.mark.parametrize("arch", ARCHS)
def test_outside_a_loop_two_constants_make_two_lop3(arch, tmp_path):
    """In straight code the C that knows its constants pays in LOP3; so did the first rounds of unrolled loops."""

    def lop3(magic):
        path = tmp_path / "unpack.cu"
        path.write_text(UNPACK.format(magic))
        return toolchain.build(path, language="cuda", variant="cuda", entry="unpack", arch=arch).report.sass["LOP3"]

    assert lop3("0x64006400") == 8
    assert lop3("magic") == (8 if arch in ("sm_75", "sm_80") else 4)
