"""The rows of a run on the page: its summary of times or of counts, its tables, and the command that repeats it."""

from dataclasses import replace

import pytest

from ptxbench.report.runs import RunView
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
