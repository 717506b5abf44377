"""The pair w4a16_dequant."""

import math

import numpy as np
import pytest

from ptxbench import toolchain
from tests.kernels.harness import PAIRS, reports

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

REGISTERS = 48  # on sm_75; from sm_80 on 40
SAME_BITS = False  # products in f32 exactly, in f16 rounded

MUTANTS = [
    ("w4a16_dequant.ptx", "and.b32 %a_2, %a_word, 0xf0",           "and.b32 %a_2, %a_word, 0x70"),
    ("w4a16_dequant.ptx", "and.b32 %b_3, %b_rest, 0xf00",          "and.b32 %b_3, %b_word, 0xf00"),
    ("w4a16_dequant.ptx", "shr.u32 %c_rest, %c_word, 12",          "shr.u32 %c_rest, %c_word, 8"),
    ("w4a16_dequant.ptx", "mul.rn.f32 %up_5, %x_5, 0f6b800000",    "mul.rn.f32 %up_5, %x_5, 0f6d800000"),
    ("w4a16_dequant.ptx", "fma.rn.f32 %d_all, %d_7, %up_7",        "fma.rn.f32 %d_all, %d_7, %up_6"),
    ("w4a16_dequant.ptx", "[%x_at + 1024]",                        "[%x_at + 512]"),
    ("w4a16_dequant.ptx", "add.u32 %further, %i, 96",              "add.u32 %further, %i, 128"),
    ("w4a16_dequant.ptx", "mad.wide.u32 %x_first, %vector",        "mad.wide.u32 %x_first, %row_a"),
    ("w4a16_dequant.ptx", "mul.rn.f32 %offset, %x_sum, 0fc1000000", "mul.rn.f32 %offset, %x_sum, 0fc0e00000"),
    ("w4a16_dequant.ptx", "selp.f32 %there, %b_sum, %d_sum",       "selp.f32 %there, %d_sum, %b_sum"),
    ("w4a16_dequant.ptx", "%sum, 4, 31, 0xffffffff",               "%sum, 2, 31, 0xffffffff"),  # a distance twice
]  # fmt: skip


@pytest.mark.parametrize("size", PAIRS["w4a16_dequant"].pair.check_sizes, ids=str)
def test_integers_stay_exact_whatever_their_signs(size):
    """test_pairs.py takes the absolute values of the arguments, but a nibble counts from -8."""
    pair = PAIRS["w4a16_dequant"].pair
    arguments = pair.make_arguments(size, seed=1, integers=True)
    x = np.abs(arguments["x"].astype(np.float64)).sum(axis=1)
    assert 16 * (15 * x.max()) < 2**24


# ---- what the compiler makes


def reports_of(arch, *variants):
    """Each variant's report, which has the SASS by opcode."""
    return reports("w4a16_dequant", arch, *variants)


@pytest.mark.parametrize("arch", ARCHS)
def test_both_languages_cut_a_weight_out_by_one_instruction(arch):
    """Of eight weights and a word of x: per 32 fma for four rows 32 LOP3, and a shift a row."""
    for variant in ("cuda", "ptx"):
        sass = reports_of(arch, variant)[variant].sass
        rounds = sass["FFMA"] // 32  # those that ptxas wrote out
        assert rounds >= 4
        assert 32 * rounds <= sass["LOP3"] < 32 * rounds + 12  # the rest take the lane from the thread
        assert sass["FFMA"] == 32 * rounds + 4  # in the end the 8 of q - 8, a row


@pytest.mark.parametrize("arch", ["sm_90", "sm_100", "sm_120"])
def test_from_sm_90_on_a_constant_that_is_not_known_spares_what_lop3_in_assembly_spares(arch):
    reported = reports_of(arch, "cuda.magic", "cuda.asm", "cuda.known")
    total = {variant: report.sass["total"] for variant, report in reported.items()}
    assert abs(total["cuda.magic"] - total["cuda.asm"]) <= 0.01 * total["cuda.asm"]
    assert total["cuda.magic"] < 0.95 * total["cuda.known"]


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
