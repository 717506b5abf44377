"""Parts of a comparison and of a gate in words."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ptxbench.stats import Interval
from ptxbench.verdict import INCONCLUSIVE, REGRESSED, Row
from ptxbench.verdict.gate import JudgedRow
from ptxbench.wording import gating
from ptxbench.wording.judgement import change_words, clock_unknown, describe, next_step
from tests.runs import Kernel, Sampling, timed_run

ROW = Row("triad", {"n": 64}, "sm_90", "cold", "ptx", "ptx_barriers", REGRESSED)
RUN = timed_run(1, {("triad", 64): {"cuda": Kernel(50), "ptx": Kernel(45)}}, Sampling(blocks=8))

# base, head, change, words
CHANGES = [
    (0,      3,       None,     "+3"),
    (0,      0,       None,     "-"),
    (0,      None,    None,     "-"),
    (None,   3,       None,     "-"),
    (200000, 200013,  1.000065, "+0.0065 %"),
    (50,     52,      1.04,     "+4 %"),
    (100,    112,     1.12,     "+12 %"),
    (2,      5,       2.5,      "+150 %"),
    (5,      2,       0.4,      "-60 %"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "head", "change", "words"), CHANGES)
def test_the_change_of_a_count_has_two_digits_or_is_the_added_number(base, head, change, words):
    interval = change and Interval(change, change, change)
    assert change_words(replace(ROW, base=base, head=head, change=interval)) == words


def test_the_rounds_of_both_runs_are_named_if_they_differ():
    wide = replace(ROW, verdict=INCONCLUSIVE, reason="wide_interval", rounds_needed=20)
    advice = " About 20 rounds in each run would decide it (run --rounds 20); they have "
    assert next_step(replace(wide, base_rounds=[1] * 5, head_rounds=[1] * 7)) == f"{advice}5 and 7."
    assert next_step(replace(wide, base_rounds=[1] * 5, head_rounds=[1] * 5)) == f"{advice}5."


def test_a_run_of_changed_files_and_one_that_was_interrupted_say_so():
    assert describe(RUN).endswith("  c0ffee")
    assert describe(replace(RUN, source=replace(RUN.source, dirty=True))).endswith("  c0ffee, changed")
    assert describe(replace(RUN, run=replace(RUN.run, status="interrupted"))).endswith("  c0ffee  interrupted")


@pytest.mark.parametrize(("mode", "unknown"), [("time", "base"), ("ratio", "base and head")])
def test_times_need_the_clock_of_each_block_and_ratios_that_of_each_kernel(mode, unknown):
    def with_clocks(mhz):
        cells = [
            replace(cell, rounds=[replace(part, clock_mhz=[mhz] * len(part.ns), solo_mhz={}) for part in cell.rounds])
            for cell in RUN.cells
        ]
        return replace(RUN, cells=cells)

    assert clock_unknown(SimpleNamespace(mode=mode, base=with_clocks(None), head=with_clocks(1980.0))) == unknown


@pytest.mark.parametrize(
    ("metric", "base", "head", "words"),
    [
        ("min_occupancy", 1.0,   0.5,   ("100", "50 %")),     # in the notation of the metric
        ("max_registers", 40,    1050,  ("40", "1,050")),
        ("max_ratio",     0.9,   0.912, ("0.900", "0.912")),
    ],
)  # fmt: skip
def test_a_limit_is_shown_as_what_it_limits(metric, base, head, words):
    limited = JudgedRow(replace(ROW, metric=metric, base=base, head=head), limit=True)
    assert gating.values(limited) == words


def test_half_is_as_large_a_change_as_twice_and_a_change_from_0_is_the_largest():
    def size(change, verdict=REGRESSED):
        interval = change and Interval(change, change, change)
        return gating.change_size(JudgedRow(replace(ROW, verdict=verdict, change=interval)))

    assert size(0.5) == size(2.0) < size(4.0) < size(None)
    assert size(None, INCONCLUSIVE) == 0
