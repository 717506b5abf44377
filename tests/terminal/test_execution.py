"""What `exec` prints: lines of the source around a message, arrays without a change, counters."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from ptxbench.arguments.elements import TYPES
from ptxbench.exec_program import ExecProgram
from ptxbench.execution import Output
from ptxbench.terminal.execution import amount, arrays, excerpts

CUDA = "line 1\nline 2\n\tline 3\nline 4\nline 5\nline 6\n"


def printed(parts):
    file = io.StringIO()
    console = Console(file=file, width=80)
    for part in parts:
        console.print(part)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.fixture
def program(tmp_path):
    (tmp_path / "own.cu").write_text(CUDA)
    ptx = "".join(f"ptx {number};\n" for number in range(1, 100))
    return ExecProgram(tmp_path / "own.cu", "cuda", "sm_90", ptx)


AROUND_3 = ["  1 | line 1", "  2 | line 2", "> 3 |     line 3", "  4 | line 4", "  5 | line 5"]
MESSAGES = [
    ("own.cu:3: a fault.",                        [*AROUND_3, ""]),
    ("own.cu:3 (PTX line 40) reads byte 8.",      [*AROUND_3, "PTX 40 | ptx 40;", ""]),
    ("own.cu (PTX line 40) reads byte 8.",        ["PTX 40 | ptx 40;", ""]),    # no line of CUDA C
    ("own.cu:7 (PTX line 40) reads byte 8.",      ["PTX 40 | ptx 40;", ""]),    # the file has changed
    ("absent.cuh:3 (PTX line 100) reads byte 8.", [""]),
    ("own.cu:3: reads what own.cu:3: stores.",    [*AROUND_3, ""]),             # once
    ("a fault: no place is known",                []),
]  # fmt: skip


@pytest.mark.parametrize(("message", "lines"), MESSAGES)
def test_the_lines_around_those_of_a_message_are_quoted(program, message, lines):
    assert printed(excerpts(program, message)) == lines


def test_arrays_that_a_kernel_did_not_change_are_named():
    x, y = (SimpleNamespace(name=name, changed=False) for name in "xy")
    assert printed(arrays(SimpleNamespace(outputs=[], arrays=[x, y]))) == ["No array was changed: x, y", ""]
    assert printed(arrays(SimpleNamespace(outputs=[], arrays=[]))) == []
    y = Output(0, "y", TYPES["f32"], np.array([1, 4, np.nan], np.float32), True)
    *_, row, end = printed(arrays(SimpleNamespace(outputs=[y], arrays=[y])))
    assert (row.split(), end) == (["y", "f32[3]", "1", "4", "2.5", "1", "1", "4", "nan"], "")
    *_, others, _ = printed(arrays(SimpleNamespace(outputs=[y], arrays=[x, y])))
    assert others == "unchanged: x"


AMOUNTS = [
    ("ptx_active_lane_share",               0.975,  "97.5 %"),
    ("ptx_warp_instructions",               8192,   "8,192"),
    ("ptx_warp_instructions",               8192.5, "8,192.50"),
    ("ptx_global_load_sectors_per_request", 4.0,    "4.00"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "words"), AMOUNTS)
def test_a_counter_is_a_number_a_ratio_or_a_share(name, value, words):
    assert amount(name, value) == words
