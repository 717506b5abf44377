"""Rounds in clock cycles: which clock a sample goes by, and which verdicts contradict each other."""

import pytest

from ptxbench import cycles, stats
from ptxbench.result import Round

BLOCKS = [[100, 200, 210, 110], [120, 220, 230, 130]]


def one(start="A", **changes):
    return Round(0, 0, ("cuda", "ptx"), start, BLOCKS, **changes)


def test_the_cycles_of_a_sample_use_the_clock_that_its_kernel_has_alone():
    (in_cycles,) = cycles.by_kernel([one(solo_mhz={"A": 2000.0, "B": 1000.0})])
    assert in_cycles.ns == [[200_000, 200_000, 210_000, 220_000], [240_000, 220_000, 230_000, 260_000]]
    (in_cycles,) = cycles.by_kernel([one("B", solo_mhz={"A": 2000.0, "B": 1000.0})])
    assert in_cycles.ns[0] == [100_000, 400_000, 420_000, 110_000]


def test_the_ratio_in_cycles_is_the_ratio_of_times_multiplied_by_that_of_clocks():
    rounds = [Round(0, 0, ("cuda", "ptx"), "A", BLOCKS * 8, solo_mhz={"A": 2000.0, "B": 1500.0})]
    by_time, by_cycles = stats.ratio(rounds, "ptx"), stats.ratio(cycles.by_kernel(rounds), "ptx")
    assert by_cycles.value == pytest.approx(by_time.value * 0.75)


def test_the_cycles_of_a_sample_use_the_clock_of_its_block():
    (in_cycles,) = cycles.by_block([one(clock_mhz=[1000.0, 500.0])])
    assert in_cycles.ns == [[100_000, 200_000, 210_000, 110_000], [60_000, 110_000, 115_000, 65_000]]


# rounds with unknown clocks
UNKNOWN = [{}, {"clock_mhz": [1000.0, None]}, {"clock_mhz": [1000.0]}, {"solo_mhz": {"A": 1000.0}}]


@pytest.mark.parametrize("clocks", UNKNOWN)
def test_without_every_clock_there_are_no_cycles(clocks):
    complete = one(clock_mhz=[1000.0, 500.0], solo_mhz={"A": 2000.0, "B": 1000.0})
    assert not cycles.by_block([complete, one(**clocks)])
    assert not cycles.by_kernel([complete, one(**clocks)])


# by time, by cycles, whether they contradict each other
PAIRS = [
    ("FASTER", "FASTER", False), ("FASTER", "SAME", True), ("FASTER", "SLOWER", True), ("FASTER", "INCONCLUSIVE", True),
    ("SAME", "SLOWER", True), ("SAME", "INCONCLUSIVE", False), ("SAME", "SAME", False),
    ("INCONCLUSIVE", "FASTER", False),
]  # fmt: skip


@pytest.mark.parametrize(("by_time", "by_cycles", "contradict"), PAIRS)
def test_a_claim_must_hold_in_time_and_in_cycles(by_time, by_cycles, contradict):
    assert cycles.contradict(by_time, by_cycles) == contradict
