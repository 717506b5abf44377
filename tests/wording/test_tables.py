"""One table as data, in each output that has a writer for it."""

import pytest
from rich.console import Console

from ptxbench.exporters.tables import csv_table, markdown_lines
from ptxbench.terminal.tables import draw
from ptxbench.wording.table import Column, Entry, Mark, Table, numbers, texts

WRONG = Mark("✘", "x", "red")
TABLE = Table(
    [*texts("variant"), Column("time", "µs", right=True), *numbers("change"), *texts("status")],
    [
        [Entry("ptx", below="n=64", code=True), "45.20", "-", Entry("differs", strong=True)],
        ["a|b", "7.00", "+9.4 %", Entry("(1)", mark=WRONG)],
    ],
    ["Two rows."],
)

TERMINAL = """\
          time
variant     µs  change  status
───────────────────────────────
ptx      45.20       -  differs
n=64
a|b       7.00  +9.4 %  ✘ (1)
Two rows.
"""
MARKDOWN = """\
| variant | time (µs) | change | status |
|:--|--:|--:|:--|
| `ptx` | 45.20 | - | **differs** |
| a&#124;b | 7.00 | +9.4 % | **x** (1) |

- Two rows.
"""


def drawn(table, width, **options):
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(draw(table, **options))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def test_a_terminal_has_units_below_headings_and_marks_before_texts():
    assert drawn(TABLE, 100) == TERMINAL
    assert "x (1)" in drawn(TABLE, 100, plain=True)


def test_markdown_has_units_behind_headings_and_no_markup_of_a_text():
    assert "\n".join(markdown_lines(TABLE)) + "\n" == MARKDOWN


@pytest.mark.parametrize(
    ("width", "line"), [("fold", "a long"), ("cut", "a long te…"), ("whole", "a long text of a row")]
)
def test_a_narrow_terminal_folds_cuts_or_keeps_a_column(width, line):
    table = Table([*texts("text", width=width), *texts("other")], [["a long text of a row", "keeps its text"]])
    room = 100 if width == "whole" else 26
    assert line in [text.split("  ")[0].rstrip() for text in drawn(table, room).splitlines()]


def test_csv_has_empty_fields_and_no_formula():
    assert csv_table(["a", "b"], [[None, 1.5], ["=1+1", "x"]]) == "a,b\n,1.5\n'=1+1,x\n"
