"""One table as data, in each output that has a writer for it."""

import pytest
from rich.console import Console

from ptxbench.exporters.tables import csv_table, html_table, markdown_lines
from ptxbench.terminal.prose import wrapped
from ptxbench.terminal.tables import draw
from ptxbench.wording.table import Column, Mark, StyledText, Table, numbers, texts

WRONG = Mark("✘", "x", "red")
TABLE = Table(
    [*texts("variant"), Column("time", "µs", right=True), *numbers("change"), *texts("status")],
    [
        [StyledText("ptx", below="n=64", code=True), "45.20", "-", StyledText("differs", strong=True)],
        ["a|b", "7.00", "+9.4 %", StyledText("(1)", mark=WRONG)],
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


HTML = """\
<table>
<thead><tr><th L>variant</th><th R>time<br><small>µs</small></th><th R>change</th><th L>status</th></tr></thead>
<tbody>
<tr><td L><code>ptx</code><br><small>n=64</small></td><td R>45.20</td><td R>-</td><td L><b>differs</b></td></tr>
<tr><td L>a|b</td><td R>7.00</td><td R>+9.4 %</td><td L>✘ (1)</td></tr>
</tbody>
</table>
<p>Two rows.</p>
"""


def test_html_has_all_of_it_and_no_style_but_the_alignment():
    html = "\n".join(html_table(TABLE)) + "\n"
    assert html.replace('style="text-align: left"', "L").replace('style="text-align: right"', "R") == HTML


LONG = Table(
    [*texts("kernel"), *numbers("time", "change"), *texts("why", width="fold")],
    [["triad_v8", "45.20", "+9.4 %", "It moves 48 % more sectors, see kernels/ptx/triad.v8.ptx, line 12."]],
    ["One note that is longer than thirty columns of a terminal."],
)

WIDE = """\
kernel     time  change  why
──────────────────────────────────────────────
triad_v8  45.20  +9.4 %  It moves 48 % more
                         sectors, see
                         kernels/ptx/
                         triad.v8.ptx, line
                         12.
One note that is longer than thirty columns of
a terminal.
"""
NARROW = """\
kernel     time  change
───────────────────────
triad_v8  45.20  +9.4 %

kernel    why
──────────────────────────────
triad_v8  It moves 48 % more
          sectors, see
          kernels/ptx/
          triad.v8.ptx, line
          12.
One note that is longer than
thirty columns of a terminal.
"""


@pytest.mark.parametrize(("room", "printed"), [(46, WIDE), (30, NARROW)])
def test_a_narrow_terminal_wraps_texts_or_splits_the_table_and_cuts_nothing(room, printed):
    assert drawn(LONG, room) == printed


def test_a_number_and_its_unit_stay_on_one_line_and_words_are_not_split():
    assert list(wrapped("It takes 4.8 % of 12 µs and 3.35 TB/s in no-regression.", 15)) == [
        "It takes 4.8 %", "of 12 µs and", "3.35 TB/s in", "no-regression."
    ]  # fmt: skip
    assert list(wrapped("    indented text is kept", 16)) == ["    indented", "    text is kept"]
    assert list(wrapped("a/path/that/is/longer", 10)) == ["a/path/", "that/is/", "longer"]
    assert list(wrapped("", 10)) == [""]


def test_csv_has_empty_fields_and_no_formula():
    assert csv_table(["a", "b"], [[None, 1.5], ["=1+1", "x"]]) == "a,b\n,1.5\n'=1+1,x\n"
