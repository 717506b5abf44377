"""What every command prints, in terminals of 60, 80, 100 and 160 columns: nothing is cut, and nothing is
silently omitted.

Each command runs once. What it gives to its console is then drawn at each width, and compared with the widest.
"""

import io
import re
from pathlib import Path

import pytest
from rich.table import Table

from ptxbench.calibration.assessment import FAIL, PASS, CheckResult
from ptxbench.result import save
from ptxbench.terminal.audit import AuditTable
from ptxbench.terminal.check import JudgementReport, Ranking
from ptxbench.terminal.checklist import checklist_table
from ptxbench.terminal.console import SafeConsole
from ptxbench.terminal.prose import pieces
from ptxbench.terminal.tables import draw
from ptxbench.wording import table as data
from tests.cli.test_gate import BASE, WORSE
from tests.folders import kernels_folder
from tests.runs import run_of, timed_run
from tests.terminal.test_audit import ALARM, CAUGHT, MISS, NOISY, PASSED, QUIET, SKIPPED, Audit
from tests.terminal.test_check import ACCEPTED, REJECTED
from tests.terminal.test_comparison import AFTER, BEFORE, SAMPLING
from tests.terminal.test_forest import CELLS
from tests.tune.folders import knobs_folder

WIDTHS = (60, 80, 100)
WIDEST = 160

RULE = re.compile(r"^─+$", re.MULTILINE)
NO_ROOM = re.compile(r"\d+ columns have no room for (?P<headings>.+?): use a wider terminal, or --columns ([\w,.]+)\.")
NOT_DRAWN = re.compile(r"Not drawn in \d+ columns: the intervals")


def drawn(printed, width):
    """What was printed, at this width."""
    console = SafeConsole(width=width)
    console.file = io.StringIO()
    for renderables, options in printed:
        options = {name: value for name, value in options.items() if name != "width"}
        super(SafeConsole, console).print(*renderables, **options)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def words(text):
    """The words with a letter or a digit; those that a narrow line may break, in their parts."""
    return {piece for word in text.split() for piece in pieces(word) if re.search(r"\w", piece)}


def headings(text):
    """The words of the one or two lines above each rule."""
    lines = text.splitlines()
    above = [i - back for i, line in enumerate(lines) if RULE.match(line) for back in (1, 2)]
    return {word for i in above if i >= 0 for word in lines[i].split() if re.search(r"[A-Za-z]", word)}


def faults(narrow, wide, width):
    """What is wrong with the narrow output: a cut text, a line that is too long, a heading or a word that is gone."""
    problems = [f"cut: {line}" for line in narrow.splitlines() if "…" in line]
    problems += [f"{len(line)} columns: {line}" for line in narrow.splitlines() if len(line) > width]
    text = " ".join(narrow.split())
    left_out = NO_ROOM.search(text)
    found_words = words(narrow)
    problems += [f"no heading {word}" for word in sorted(headings(wide) - found_words) if not left_out]
    if not left_out and not NOT_DRAWN.search(text):
        problems += [
            f"no word {word}" for word in sorted(words(wide) - found_words) if len(word) < 3 or word not in narrow
        ]
    return problems


def at_each_width(output):
    """The faults of all widths; `output` gives what is printed at one."""
    wide = output(WIDEST)
    return [f"{width}: {fault}" for width in WIDTHS for fault in faults(output(width), wide, width)]


TABLE = data.Table(
    [*data.texts("kernel"), *data.numbers("time", "sectors", "registers", "spills", "occupancy")],
    [["a_kernel_with_a_long_name", "12.34 µs", "262,144", "48", "0", "75 %"]],
)


def as_rich_cuts_it(no_wrap=True):
    table = Table(*(column.heading for column in TABLE.columns))
    for column in table.columns:
        column.no_wrap = no_wrap
    table.add_row(*TABLE.rows[0])
    return table


# what is printed, and what must be found in it at 60 columns
BAD = [
    (as_rich_cuts_it(), "cut: "),
    (as_rich_cuts_it(no_wrap=False), "no word "),
]


@pytest.mark.parametrize(("bad", "fault"), BAD)
def test_the_check_finds_a_bad_table(bad, fault):
    printed = [((bad,), {})]
    assert any(message.startswith(fault) for message in faults(drawn(printed, 60), drawn(printed, WIDEST), 60))


def test_the_check_finds_a_missing_column_and_accepts_one_that_is_mentioned():
    whole, part = (drawn([((draw(table),), {})], WIDEST) for table in (TABLE, data.Table(TABLE.columns[:4], [
        TABLE.rows[0][:4]])))  # fmt: skip
    assert "no heading spills" in faults(part, whole, 60)
    note = "60 columns have no room for spills and occupancy: use a wider terminal, or --columns spills,occupancy."
    assert faults(f"{part}\n{note}", whole, 160) == []
    assert faults(drawn([((draw(TABLE),), {})], 60), whole, 60) == []
    assert "61 columns" in faults("x" * 61, "x" * 61, 60)[0]


@pytest.fixture
def printed(monkeypatch):
    """What the consoles of a command get."""
    calls = []
    monkeypatch.setattr(
        SafeConsole, "print", lambda self, *renderables, **options: calls.append((renderables, options))
    )
    return calls


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a pair, a candidate and saved runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    kernels_folder(tmp_path)
    save(BASE, Path("results"))
    save(WORSE, Path("results"))
    for name, run in (("timed", run_of(CELLS, id="7173ed01")), ("before", times(BEFORE)), ("after", times(AFTER))):
        save(run, Path(name))
    return tmp_path


def times(pairs):
    return timed_run(1, {(pair, 1024): kernels for pair, kernels in pairs.items()}, SAMPLING)


def saved(folder):
    (path,) = Path(folder).glob("*.json")
    return str(path)


EXEC = ["exec", "kernels/ptx/scale.ptx", "--grid", "8", "--block", "128", "--arg", "f32[1024]=random", "--arg",
        "f32[1024]=zeros", "--arg", "f32=2", "--arg"]  # fmt: skip
COLUMNS = "time,sass_executed,ptx_global_sectors,registers,ptx_barriers,ptx_active_lane_share,sass.LDG.128,spills"

COMMANDS = [
    ("run",            ["run", "--kernels", "kernels", "--backend", "emulator", "--no-save"]),
    ("run, floors",    ["run", "--kernels", "kernels", "--backend", "emulator", "--no-save", "--model", "h100"]),
    ("run, times",     ["view", "timed"]),
    ("run, columns",   ["view", "timed", "--columns", COLUMNS]),
    ("compare",        ["compare", "ba5e0001", "4ead0001"]),
    ("compare, times", ["compare", "before", "after"]),
    ("gate",           ["gate", "4ead0001", "--base", "ba5e0001"]),
    ("history",        ["history"]),
    ("arch",           ["arch", "--kernels", "kernels"]),
    ("exec",           [*EXEC, "u32=1024"]),
    ("exec, a fault",  [*EXEC, "u32=1025"]),
    ("doctor",         ["doctor"]),
    ("isa",            ["isa", "data movement"]),
    ("model audit",    ["model", "audit"]),
    ("baseline",       ["baseline", "show"]),
]  # fmt: skip


@pytest.mark.parametrize("arguments", [row[1] for row in COMMANDS], ids=[row[0] for row in COMMANDS])
def test_no_command_cuts_a_text_or_silently_omits_one(arguments, folder, printed, ptxbench):
    if arguments[0] == "baseline":
        ptxbench("baseline", "set", "ba5e0001", "--reason", "it begins, and the reason is a sentence of some length")
    ran = ptxbench(
        *(saved(argument) if argument in ("timed", "before", "after") else argument for argument in arguments)
    )
    assert printed, ran.err
    assert at_each_width(lambda width: drawn(printed, width)) == []


@pytest.mark.long
def test_an_audit_of_check_does_not_either(folder, printed, ptxbench):
    ptxbench("check", "--audit", "scale", "--kernels", "kernels", "--bugs", "1", "--edit", "comparison")
    assert at_each_width(lambda width: drawn(printed, width)) == []


@pytest.mark.long
def test_a_sweep_does_not_either(tmp_path, monkeypatch, printed, ptxbench):
    monkeypatch.chdir(tmp_path)
    knobs_folder(tmp_path)
    ptxbench("tune", "scale", "--kernels", "kernels", "--backend", "emulator", "--knob", "BLOCK=32,64,128,2048",
             "--knob", "n=64,1000")  # fmt: skip
    assert at_each_width(lambda width: drawn(printed, width)) == []


TABLES = [
    JudgementReport(ACCEPTED),
    Ranking([REJECTED, ACCEPTED]),
    AuditTable(Audit(300, 1, [QUIET, NOISY], outcomes=[CAUGHT, MISS, SKIPPED, PASSED, ALARM])),
    checklist_table([
        CheckResult("flush", PASS, "a read takes 1.94 times as long after 2 x L2 (0: 10.30 µs, 0.5: 12.10 µs)"),
        CheckResult("shield", FAIL, "the host takes 40.00 µs, the flush 0.8 times that", "Use a faster processor."),
    ]),
]  # fmt: skip


@pytest.mark.parametrize("table", TABLES, ids=lambda table: type(table).__name__)
def test_a_table_that_needs_a_gpu_or_much_time_does_not_either(table):
    assert at_each_width(lambda width: drawn([((table,), {})], width)) == []


@pytest.mark.parametrize("arguments", [["list", "--kernels", "kernels"], ["schema"]])
def test_text_without_a_table_does_not_either(arguments, folder, monkeypatch, ptxbench):
    def output(width):
        monkeypatch.setenv("COLUMNS", str(width))
        return ptxbench(*arguments).out

    assert at_each_width(output) == []
