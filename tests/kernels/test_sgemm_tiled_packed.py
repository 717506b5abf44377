"""The pair sgemm_tiled.packed."""

import pytest

from tests.kernels.harness import count, reports
from tests.kernels.test_sgemm_tiled import REFERENCE, REGISTERS

__all__ = ["REFERENCE", "REGISTERS"]

TARGETS = (100, 103)  # others have no FFMA2

MUTANTS = [
    ("sgemm_tiled.packed.ptx", "%aa_3, %b_45, %cc_34",               "%aa_3, %b_23, %cc_34"),
    ("sgemm_tiled.packed.ptx", "mov.b64 %aa_5, {%a_5, %a_5};",       "mov.b64 %aa_5, {%a_5, %a_4};"),
    ("sgemm_tiled.packed.ptx", "mov.b64 {%c_62, %c_63}, %cc_62;",    "mov.b64 {%c_63, %c_62}, %cc_62;"),
    ("sgemm_tiled.packed.ptx", "bar.sync 0;",                        ""),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_100"])
def test_two_multiply_adds_are_one_instruction_in_c_as_in_ptx(arch):
    """256 FFMA2 of a slab replace 512 FFMA of the plain pair; NVRTC does not combine them."""
    for report in reports("sgemm_tiled.packed", arch).values():
        assert count(report, "FFMA2", "FFMA", "LDS.128", "BAR") == [8 * 32, 0, 8 * 4, 1]
    for variant, report in reports("sgemm_tiled", arch, "cuda", "ptx").items():
        assert count(report, "FFMA2", "FFMA") == [0, 8 * 64], variant


def test_elsewhere_ptxas_makes_two_of_it_and_spills():
    for report in reports("sgemm_tiled.packed", "sm_120").values():
        assert count(report, "FFMA2", "FFMA") == [0, 8 * 64]
        assert report.spill_store_bytes > 0
