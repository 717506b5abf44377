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
REGISTERS = 64  # four rows' blocks of 16 bytes, and two addresses a row

MUTANTS = [
    ("q4q8_gemv.ptx", "%a_high_8, %a_8, 0xf0f0f0f0, 0x80808080, 0x6a", "%a_high_8, %a_8, 0xf0f0f0f0, 0x80808080, 0xea"),
    ("q4q8_gemv.ptx", "and.b32 %b_low_12, %b_12, 0x0f0f0f0f",      "and.b32 %b_low_12, %b_12, 0x1f0f0f0f"),
    ("q4q8_gemv.ptx", "dp4a.s32.s32 %c_high, %c_high_4, %x_20",    "dp4a.u32.s32 %c_high, %c_high_4, %x_20"),  # q < 8
    ("q4q8_gemv.ptx", "dp4a.s32.s32 %d_high, %d_high_0, %x_16",    "dp4a.s32.s32 %d_high, %d_high_0, %x_0"),
    ("q4q8_gemv.ptx", "dp4a.s32.s32 %eights, %x_4, 0xf8f8f8f8",    "dp4a.s32.s32 %eights, %x_4, 0xf7f8f8f8"),
    ("q4q8_gemv.ptx", "add.u64 %x_scale_at, %x_scale_at, 256",     "add.u64 %x_scale_at, %x_scale_at, 128"),
    ("q4q8_gemv.ptx", "add.u64 %b_scale_at, %b_scale_at, 256",     "add.u64 %b_scale_at, %b_scale_at, 64"),
    ("q4q8_gemv.ptx", "[%c_at + 512]",                             "[%c_at + 1024]"),
    ("q4q8_gemv.ptx", "setp.ge.u32 %past_rows, %row_a",            "setp.gt.u32 %past_rows, %row_a"),
    ("q4q8_gemv.ptx", "add.u32 %further, %b, 64",                  "add.u32 %further, %b, 96"),
    ("q4q8_gemv.ptx", "selp.f32 %there, %b_sum, %d_sum",           "selp.f32 %there, %d_sum, %b_sum"),
    ("q4q8_gemv.ptx", "%sum, 2, 31, 0xffffffff",                   "%sum, 4, 31, 0xffffffff"),  # a distance twice
    ("q4q8_gemv.ptx", "%result, %sum, 0f3d800000",                 "%result, %sum, 0f3e000000"),  # an 8th, not a 16th
    ("q4q8_gemv.nohint.ptx", "add.u32 %row_c, %row_a, 2",          "add.u32 %row_c, %row_a, 1"),
    ("q4q8_gemv.nohint.ptx", "mad.lo.s32 %a_dot, %a_low, 16",      "mad.lo.s32 %a_dot, %a_low, 8"),
    ("q4q8_gemv.nohint.ptx", "[%x_at + 1040]",                     "[%x_at + 1024]"),
]  # fmt: skip


def classes(variant, arch):
    """SASS instructions by class."""
    source = next(source for source in PAIRS["q4q8_gemv"].sources if source.variant == variant)
    return build(source, arch, "toolkit").report.sass


@pytest.mark.parametrize("arch", ARCHS)
def test_dp4a_comes_from_either_language_but_not_from_products_of_nibbles(arch):
    """A block: eight for each of four rows, and four for the -8 of all. ptxas may copy rounds."""
    for variant in ("cuda", "cuda.ldcs", "cuda.known", "ptx", "ptx.nohint"):
        assert classes(variant, arch)["IDP"] % (4 * 8 + 4) == 0
    assert "IDP" not in classes("cuda.scalar", arch)


@pytest.mark.parametrize("arch", ARCHS)
def test_neither_side_has_an_instruction_to_spare(arch):
    """Per block, as ptxas may copy rounds; a constant in memory spares C what lop3 spares PTX, from sm_90 on."""
    cuda, known, ptx = (classes(variant, arch) for variant in ("cuda", "cuda.known", "ptx"))
    assert abs(ptx["LOP3"] / ptx["IDP"] - cuda["LOP3"] / cuda["IDP"]) < 0.06
    assert 0.85 < (ptx["total"] / ptx["IDP"]) / (cuda["total"] / cuda["IDP"]) < 1.05
    assert (known["total"] > cuda["total"]) == (arch in ("sm_90", "sm_100", "sm_120"))


def test_hints_are_the_one_difference_of_their_variants():
    by_variant = {source.variant: build(source, "sm_90", "toolkit").report for source in PAIRS["q4q8_gemv"].sources}
    for one, other, hint in (
        ("ptx", "ptx.nohint", "LDG.E.NA.LTC128B.128.CONSTANT"),
        ("cuda.ldcs", "cuda", "LDG.E.EF.128"),
    ):
        hinted = [any(hint in opcode for opcode in by_variant[variant].opcodes) for variant in (one, other)]
        assert hinted == [True, False]
        assert by_variant[one].sass["total"] == by_variant[other].sass["total"]
        assert by_variant[one].registers == by_variant[other].registers
