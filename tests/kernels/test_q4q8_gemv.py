"""The pair q4q8_gemv."""

import math

import pytest

from tests.kernels.harness import PAIRS, build

ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]


def q4q8_gemv(w, w_scale, x, x_scale, rows, blocks):
    def weight(row, k):
        block, place = divmod(k, 32)
        byte = w[row][16 * block + place % 16]
        nibble = byte % 16 if place < 16 else byte // 16
        return w_scale[row][block] * (nibble - 8)

    return {
        "y": [math.fsum(weight(row, k) * x[k] * x_scale[k // 32] for k in range(32 * blocks)) for row in range(rows)]
    }


REFERENCE = (q4q8_gemv, {"rows": 3, "columns": 96})
REGISTERS = 64  # on sm_75, whose SMs hold 1024 threads, ptxas loads further ahead; from sm_80 on 32 to 40

MUTANTS = [
    ("q4q8_gemv.ptx", "%w_8, %up_8, 0xf0f0f0f0, 0x80808080, 0x6a", "%w_8, %up_8, 0xf0f0f0f0, 0x80808080, 0xea"),
    ("q4q8_gemv.ptx", "shl.b32 %up_12, %q_12, 4",                  "shl.b32 %up_12, %q_12, 3"),
    ("q4q8_gemv.ptx", "dp4a.s32.s32 %dot, %w_20, %x_20",           "dp4a.u32.s32 %dot, %w_20, %x_20"),  # q - 8 < 0
    ("q4q8_gemv.ptx", "dp4a.s32.s32 %dot, %w_16, %x_16",           "dp4a.s32.s32 %dot, %w_16, %x_0"),
    ("q4q8_gemv.ptx", "add.u64 %x_scale_at, %x_scale_at, 64",      "add.u64 %x_scale_at, %x_scale_at, 128"),
    ("q4q8_gemv.ptx", "add.u64 %w_scale_at, %w_scale_at, 64",      "add.u64 %w_scale_at, %w_scale_at, 32"),
    ("q4q8_gemv.ptx", "setp.ge.u32 %past_rows, %row",              "setp.gt.u32 %past_rows, %row"),
    ("q4q8_gemv.ptx", "%sum, 2, 31, 0xffffffff",                   "%sum, 4, 31, 0xffffffff"),  # a distance twice
    ("q4q8_gemv.ptx", "%result, %sum, 0f3d800000",                 "%result, %sum, 0f3e000000"),  # an 8th, not a 16th
]  # fmt: skip


def classes(variant, arch):
    """SASS instructions by class."""
    source = next(source for source in PAIRS["q4q8_gemv"].sources if source.variant == variant)
    return build(source, arch, "toolkit").report.sass


@pytest.mark.parametrize("arch", ARCHS)
def test_dp4a_comes_from_either_language_but_not_from_products_of_nibbles(arch):
    assert classes("cuda", arch)["IDP"] % 8 == classes("ptx", arch)["IDP"] % 8 == 0  # eight a block
    assert "IDP" not in classes("cuda.scalar", arch)


@pytest.mark.parametrize("arch", ARCHS)
def test_a_lop3_with_two_constants_spares_ptx_instructions(arch):
    """As the header of the PTX says. Per eight dp4a, since ptxas unrolls the two loops differently."""
    cuda, ptx = classes("cuda", arch), classes("ptx", arch)
    assert ptx["LOP3"] / ptx["IDP"] < 1.1 < 1.4 < cuda["LOP3"] / cuda["IDP"]
    assert ptx["total"] < cuda["total"]


def test_both_sides_load_16_bytes_and_the_hints_stand_in_ptx_alone():
    for source in PAIRS["q4q8_gemv"].sources:
        sass = classes(source.variant, "sm_90")
        assert 2 * sass["LDG.128"] == 3 * sass["LDG.U16"]  # a block: 16 and 32 bytes, and two scales
        assert ("L1::no_allocate.L2::128B" in build(source, "sm_90").ptx) == (source.language == "ptx")
