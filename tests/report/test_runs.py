"""The rows of a run on the page: its summary of times or of counts, its tables, and the command that repeats it."""

from dataclasses import replace

import pytest

from ptxbench.report.charts import ChartAxis, axis_of
from ptxbench.report.runs import RunView
from ptxbench.result import ExecutedReport
from tests.report.pages import timed_run
from tests.runs import run_of
from tests.terminal.test_table import COUNTED, FAILED

TIMED = """
triad        n=16777216  ptx        6.0e-08  SAME          639.7 µs | 1.001 ±0.005 | - | 40 | 22
softmax      n=16777216  cuda@fast  6.0e-08  INCONCLUSIVE  791.0 µs | 0.989 ±0.006 | - | 40 | 22
softmax      n=16777216  ptx        6.0e-08  FASTER        638.6 µs | 0.799 ±0.003 | - | 40 | 22
sgemm_tiled  n=16777216  ptx        6.0e-08  SLOWER        1.553 ms | 1.079 ±0.004 | - | 40 | 22
sgemm_tiled  n=16777216  ptx.wide   broken   -             - | - | - | 40 | 22
scan         n=64        ptx        6.0e-08  same code     10.01 µs | 1.000 ±0.004 | - | 40 | 22
"""
COUNTS = """
triad        n=65536     ptx        exact    other code    0.900 | 1.000 | 0 | 42 → 40 | 22
triad        n=65536     cuda@fast  skipped  -             - | - | 0 → - | 42 → - | 22 → -
triad        n=65536     ptx        wrong    -             - | - | 0 → - | 42 → - | 22 → -
triad        n=65536     ptx.tma    unsupported  -         - | - | 0 → - | 42 → - | 22 → -
"""


def words(row):
    chip = row.chip.word if row.chip else "-"
    return " ".join([row.pair, row.size, row.variant, row.check, chip, " | ".join(row.figures)])


def lines(table):
    return [" ".join(line.split()) for line in table.strip().splitlines()]


def test_the_summary_of_times_has_the_verdict_and_the_figures_of_each_variant():
    view = RunView(timed_run(), 1)
    assert [words(row) for row in view.summary if row.size != "n=1048576"] == lines(TIMED)
    assert view.headings == (
        ("time", ""), ("time / cuda", "×"), ("of limit", "%"), ("SASS", "cuda → this"), ("regs", "cuda → this"),
    )  # fmt: skip
    assert view.noise_words == "Noise floor: one kernel against itself differs by -0.52 to +0.37 %."
    assert [(chip.word, number) for chip, number in view.tally] == [
        ("FASTER", 2), ("SLOWER", 2), ("SAME", 2), ("same code", 1),
    ]  # fmt: skip


def test_the_summary_of_counts_has_them_in_proportion_to_those_of_the_reference():
    view = RunView(run_of([COUNTED, FAILED]), 1)
    assert [words(row) for row in view.summary] == lines(COUNTS)
    assert view.headings == (
        ("PTX instr.", "/ cuda"), ("sectors", "/ cuda"), ("conflicts", "cuda → this"), ("SASS", "cuda → this"),
        ("regs", "cuda → this"),
    )  # fmt: skip
    assert view.noise_words is None
    assert view.statuses == {"verified": 3, "skipped": 1, "wrong": 1, "unsupported": 1}


def test_the_share_of_the_limit_is_in_per_cent():
    run = timed_run()
    [cell] = [cell for cell in run.cells if cell.pair == "triad" and cell.point["n"] == 16 << 20]
    not_in_l2 = replace(cell, work={**cell.work, "written": 0})
    [row] = RunView(replace(run, cells=[not_in_l2]), 1).summary
    assert cell.work["bytes"] / cell.limits.bytes_per_s / 639.7e-6 == pytest.approx(0.094, abs=0.001)
    assert row.figures[:3] == ("639.7 µs", "1.001 ±0.005", "9")


def test_a_pair_has_its_own_tables_with_every_variant():
    view = RunView(timed_run(), 1)
    small, large = view.tables("softmax")
    assert (small.caption, large.caption) == ("n = 1,048,576", "n = 16,777,216")
    assert [column.heading for column in large.headings] == [
        "time", "time / cuda", "bandwidth", "regs", "spills", "SASS", "occup.",
    ]  # fmt: skip
    assert large.rows == (
        ("cuda", "verified", "6.0e-08", ("799.5", "1.000", "251.8", "22", "0", "40", "100")),
        ("cuda@fast", "verified", "6.0e-08", ("791.0", "0.989 ±0.006", "254.5", "22", "0", "40", "100")),
        ("ptx", "verified", "6.0e-08", ("638.6", "0.799 ±0.003", "315.3", "22", "0", "40", "100")),
    )
    assert (view.several("softmax"), view.several("scan")) == (True, False)


# the recorded command and seed, the command that repeats the run
COMMANDS = [
    (["run", "a b"],             7,    "ptxbench run 'a b' --seed 7"),
    (["run", "--seed", "9"],     9,    "ptxbench run --seed 9"),
    (["run", "--seed=9"],        9,    "ptxbench run --seed=9"),
    (["run", "--seeds-of=9"],    0,    "ptxbench run --seeds-of=9 --seed 0"),
    (["run"],                    None, "ptxbench run"),
    ([],                         7,    None),
    (None,                       7,    None),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "seed", "command"), COMMANDS)
def test_the_command_of_a_run_has_its_seed_once(argv, seed, command):
    run = run_of([COUNTED])
    assert RunView(replace(run, run=replace(run.run, argv=argv, seed=seed)), 1).command == command


# the ends of an axis; the texts of its ticks, those that a narrow picture omits with '
AXES = [
    ((1 / 70, 70), "1/64' 1/16 0.25' 1 4' 16 64'"),  # thirteen are too many
    ((0.25, 4),    "0.25 0.5' 1 2' 4"),
    ((0.45, 2.1),  "0.5 0.7' 1 1.4' 2"),
    ((0.9, 1.1),   "0.9 0.95' 1 1.05' 1.1"),
    ((0.99, 1.06), "1 1.05'"),
]  # fmt: skip


@pytest.mark.parametrize(("ends", "ticks"), AXES)
def test_an_axis_has_ticks_at_round_ratios_and_at_1(ends, ticks):
    axis = ChartAxis(*ends)
    assert " ".join(tick.text + "'" * tick.minor for tick in axis.ticks) == ticks
    for text, tick in zip(ticks.replace("'", "").split(), axis.ticks, strict=True):
        value = 1 / float(text[2:]) if text.startswith("1/") else float(text)
        assert tick.at == axis.at(value)


def test_half_and_double_are_equally_far_from_1_and_nothing_leaves_the_axis():
    axis = ChartAxis(0.25, 4)
    assert [axis.at(value) for value in (0.1, 0.25, 0.5, 1, 2, 4, 9)] == [0, 0, 25, 50, 75, 100, 100]
    assert (round(axis_of([]).low, 3), round(axis_of([]).high, 3)) == (0.949, 1.054)
    assert (round(axis_of([0.5]).low, 3), round(axis_of([0.5]).high, 3)) == (0.485, 1.082)


LINES = """
triad        n=16777216  ptx        same       1.001 ±0.005  1.002 1.003 0.996 1.001 1.002
softmax      n=16777216  cuda@fast  unsure     0.989 ±0.006  0.992 0.983 0.990 0.992 0.990
softmax      n=16777216  ptx        faster     0.799 ±0.003  0.797 0.798 0.801 0.801 0.800
sgemm_tiled  n=16777216  ptx        slower     1.079 ±0.004  1.080 1.077 1.079 1.075 1.081
scan         n=64        ptx        same-code  1.000 ±0.004  1.004 0.999 0.999 0.999 0.999
"""


def test_a_line_of_the_chart_has_the_ratio_of_each_round():
    shown = []
    for line in RunView(timed_run(), 1).chart.lines:
        [mark] = line.marks
        rounds = [f"{ratio:.3f}" for ratio in mark.rounds]
        shown.append(" ".join([line.pair, line.size, line.variant, line.style, *line.figures, *rounds]))
    shown = [line for line in shown if "n=1048576" not in line]
    assert shown == lines(LINES)


def test_a_number_of_machine_instructions_that_is_too_uncertain_is_no_dot():
    cuda, ptx = COUNTED.variants["cuda"], COUNTED.variants["ptx"]

    def executed(least, most):
        return ExecutedReport(least, most, least, whole=True)

    def figures(most):
        variants = {
            "cuda": replace(cuda, executed=executed(200, 200)),
            "ptx": replace(ptx, executed=executed(100, most)),
        }
        [line] = RunView(run_of([replace(COUNTED, variants=variants)]), 1).chart.lines
        return line.figures, [mark.kind for mark in line.marks]

    assert figures(104) == (("0.500", "1.000"), ["instructions", "sectors"])
    assert figures(105) == (("-", "1.000"), ["sectors"])
