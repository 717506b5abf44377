"""The pair transpose."""

import pytest

from ptxbench import toolchain
from tests.kernels.harness import KERNELS, count, reports


def transpose(x, rows, columns):
    return {"y": [[x[r][c] for r in range(rows)] for c in range(columns)]}


REFERENCE = (transpose, {"rows": 2, "columns": 3})

REGISTERS = 40  # on sm_75; 27 and fewer later

MUTANTS = [
    ("transpose.ptx", "%reads_24, %x_row_24, %rows",     "%reads_24, %x_row_16, %rows"),
    ("transpose.ptx", "mad.lo.u32 %across, %across, 4, %turned", "mov.u32 %across, %turned"),
    ("transpose.ptx", "and.b32 %edges, %edges, 31",      "and.b32 %edges, %edges, 15"),
    ("transpose.ptx", "bar.sync 0;",                     ""),
    ("transpose.padded.ptx", "%in_rows, %y_column, %rows", "%in_rows, %y_column, %columns"),
    ("transpose.padded.ptx", "mul.wide.u32 %y_step",     "mul.wide.u32 %x_step"),       # a step never computed
    ("transpose.padded.ptx", "bar.sync 0;",              ""),
]  # fmt: skip


ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]


@pytest.mark.parametrize("arch", ARCHS)
def test_both_sides_move_four_elements_a_thread_by_sixteen_bytes_if_tiles_are_whole(arch):
    """And four by four bytes on the path of ragged edges."""
    for report in reports("transpose", arch, "cuda", "ptx").values():
        assert count(report, "LDG.128", "LDS.128", "STG.128") == [1, 1, 1]
        assert count(report, "LDG", "STS", "LDS", "STG", "BAR") == [1 + 4, 4 + 4, 1 + 4, 1 + 4, 2]
        assert report.shared_bytes == 32 * 32 * 4


@pytest.mark.parametrize("arch", ARCHS)
def test_a_padded_row_takes_four_accesses_of_four_bytes(arch):
    for report in reports("transpose", arch, "cuda.padded", "ptx.padded").values():
        assert count(report, "LDG", "STS", "LDS", "STG", "BAR", "LDG.128", "STG.128") == [4, 4, 4, 4, 1, 0, 0]
        assert report.shared_bytes == 32 * 33 * 4


@pytest.mark.parametrize("arch", ARCHS)
def test_adding_eight_rows_to_an_address_spares_ptx_instructions(arch):
    """As the header of the PTX says: NVRTC multiplies out the index of each of the four rows, twice."""
    cuda, ptx = reports("transpose", arch, "cuda.padded", "ptx.padded").values()
    assert ptx.sass["total"] <= cuda.sass["total"] - 10


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
def test_pointers_that_step_in_c_do_not_give_what_they_give_in_ptx(arch, tmp_path):
    """As the page says. The index arithmetic is not all: NVRTC computes addresses in the tile behind each branch."""
    text = (KERNELS / "cuda" / "transpose.padded.cu").read_text()
    for old, new in [
        ("tile[warp + k][lane] = x[(x_row + k) * columns + x_column];", "tile[warp + k][lane] = *from;"),
        ("y[(y_row + k) * rows + y_column] = tile[lane][warp + k];", "*to = tile[lane][warp + k];"),
        ("k < 32; k += 8)\n        if (x_c", "k < 32; k += 8, from += 8 * size_t(columns))\n        if (x_c"),
        ("k < 32; k += 8)\n        if (y_c", "k < 32; k += 8, to += 8 * size_t(rows))\n        if (y_c"),
        ("    for (unsigned k", "    const float* from = x + x_row * columns + x_column;\n    for (unsigned k"),
        ("warp;\n    for (unsigned k", "warp;\n    float* to = y + y_row * rows + y_column;\n    for (unsigned k"),
    ]:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "transpose.cu"
    path.write_text(text)
    stepped = toolchain.build(path, language="cuda", variant="", entry="transpose", arch=arch).report
    assert count(stepped, "LDG", "STS", "LDS", "STG") == [4, 4, 4, 4]
    assert stepped.sass["total"] >= reports("transpose", arch, "ptx.padded")["ptx.padded"].sass["total"] + 8
