"""The pair w4a16_dequant.mixed."""

import pytest

from tests.kernels.harness import count, reports
from tests.kernels.test_w4a16_dequant import w4a16_dequant


def w4a16_dequant_mixed(w, scale, x, rows, words):
    return w4a16_dequant(w, scale, x, rows, words, magic=None)


REFERENCE = (w4a16_dequant_mixed, {"rows": 3, "columns": 40, "batch": 2})
REGISTERS = 40
SAME_BITS = False  # they add up in another order

MUTANTS = [
    ("w4a16_dequant.mixed.ptx", "and.b32 %a_67, %a_rest, 0x00f000f0", "and.b32 %a_67, %a_rest, 0x00f00070"),
    ("w4a16_dequant.mixed.ptx", "fma.rn.f32.f16 %b_ones, %b_5, %h_5", "fma.rn.f32.f16 %b_ones, %b_5, %h_4"),
    ("w4a16_dequant.mixed.ptx", "%c_sixteens, 0f3d800000",            "%c_sixteens, 0f3e000000"),  # an 8th
    ("w4a16_dequant.mixed.ptx", "add.rn.f32.f16 %x_sum, %h_3",        "add.rn.f32.f16 %x_sum, %h_2"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_100", "sm_103", "sm_120"])
def test_the_mixed_fma_is_one_instruction_that_c_does_not_get(arch):
    by_variant = reports("w4a16_dequant.mixed", arch)
    assert count(by_variant["ptx"], "FHFMA", "FHADD", "HADD2") == [4 * 32, 4 * 8, 0]
    assert count(by_variant["cuda"], "FHFMA", "FHADD") == [0, 0]
    assert by_variant["ptx"].sass["total"] < 0.8 * by_variant["cuda"].sass["total"]
