"""The pair transpose."""

import pytest

from tests.kernels.harness import count, reports


def transpose(x, rows, columns):
    return {"y": [[x[r][c] for r in range(rows)] for c in range(columns)]}


REFERENCE = (transpose, {"rows": 2, "columns": 3})

MUTANTS = [
    ("transpose.ptx", "%reads_24, %x_row_24, %rows",     "%reads_24, %x_row_16, %rows"),
    ("transpose.ptx", "%in_rows, %y_column, %rows",      "%in_rows, %y_column, %columns"),
    ("transpose.ptx", "mul.wide.u32 %y_step",            "mul.wide.u32 %x_step"),       # a step never computed
    ("transpose.ptx", "bar.sync 0;",                     ""),
]  # fmt: skip


ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]


@pytest.mark.parametrize("arch", ARCHS)
def test_both_sides_move_four_elements_a_thread_through_the_tile(arch):
    for report in reports("transpose", arch).values():
        assert count(report, "LDG", "STS", "LDS", "STG", "BAR") == [4, 4, 4, 4, 1]
        assert report.shared_bytes == 32 * 33 * 4


@pytest.mark.parametrize("arch", ARCHS)
def test_adding_eight_rows_to_an_address_spares_ptx_instructions(arch):
    """As the header of the PTX says: NVRTC multiplies out the index of each of the four rows, twice."""
    cuda, ptx = reports("transpose", arch).values()
    assert ptx.sass["total"] <= cuda.sass["total"] - 10
