"""The pair transpose.copy."""

import pytest

from tests.kernels.harness import count, reports


def transpose_copy(x, rows, columns):
    return {"y": [list(row) for row in x]}


REFERENCE = (transpose_copy, {"rows": 2, "columns": 3})

MUTANTS = [
    ("transpose.copy.ptx", "%moves_24, %row_24, %rows",  "%moves_24, %row_16, %rows"),
    ("transpose.copy.ptx", "and.b32 %edges, %edges, 31", "and.b32 %edges, %edges, 15"),
    ("transpose.copy.ptx", "{%v_x, %v_y, %v_z, %v_w};",  "{%v_x, %v_y, %v_z, %v_z};"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
def test_the_copy_loads_and_stores_as_the_transposition_does(arch):
    for report in reports("transpose.copy", arch).values():
        assert count(report, "LDG.128", "STG.128", "LDG", "STG", "BAR") == [1, 1, 1 + 4, 1 + 4, 0]
