"""Pictures of intervals and of rounds, compared whole."""

from dataclasses import replace

import pytest

from ptxbench.stats import Interval
from ptxbench.terminal.forest import Axis, Forest, axis_of, bar, ticks
from ptxbench.wording.sparkline import sparkline
from tests.runs import Kernel, Noise, Sampling, timed_run
from tests.terminal.test_table import TIMED, printed

SPARKS = [
    ([], ""),
    ([1.0], "▄"),
    ([1.0, 1.0, 1.0], "▄▄▄"),                 # equal: neither high nor low
    ([0.0, 0.5, 1.0], "▁▅█"),
    ([-3.0, 4.0, -3.0], "▁█▁"),
    ([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "line"), SPARKS)
def test_a_sparkline_spans_the_range_of_its_values(values, line):
    assert sparkline(values) == line


def test_two_sparklines_can_share_a_scale():
    assert (sparkline([1, 2], of=[1, 2, 3, 8]), sparkline([3, 8], of=[1, 2, 3, 8])) == ("▁▂", "▃█")
    assert sparkline([0.0, 0.5, 1.0], plain=True) == "_=#"


AXIS = Axis(0.8, 1.25)  # 1 is the middle: half and double lie equally far from it

BARS = [
    ((0.85, 0.90, 0.95), "     ├─────●───┤    ┊                    "),
    ((0.80, 1.00, 1.25), "├───────────────────●───────────────────┤"),
    ((0.90, 0.90, 0.90), "           ●        ┊                    "),     # no width: the value
    ((0.90, 0.90, 1.10), "           ●─────────────────┤           "),     # the value hides an end
    ((0.50, 0.60, 0.70), "●                   ┊                    "),     # outside, at the end
]  # fmt: skip


@pytest.mark.parametrize(("interval", "line"), BARS)
def test_an_interval_is_drawn_at_its_position(interval, line):
    assert bar(Interval(*interval), AXIS, 41) == line


def test_marks_follow_the_interval():
    assert bar(Interval(1.2, 1.2, 1.2), AXIS, 21, marks=(0.9, 1.1)) == "     ·    ┊   ·   ●  "
    assert bar(Interval(1.05, 1.1, 1.15), AXIS, 21, plain=True, marks=(0.9,)) == "     .    : |-o-|    "


def test_an_axis_shows_its_ends_and_its_middle_if_there_is_room():
    assert axis_of([Interval(1, 1, 1)]) == Axis(pytest.approx(1 / 1.01), pytest.approx(1.01))
    assert axis_of([Interval(0.5, 0.6, 0.7), Interval(1.1, 1.2, 1.3)]) == Axis(0.5, pytest.approx(1.3))
    assert ticks(AXIS, 21) == "0.80    1.00     1.25"
    assert ticks(Axis(0.98, 1.3), 21) == "0.98             1.30"  # 1.00 would touch 0.98


CALM = Sampling(noise=Noise(process=0.001))
CELLS = timed_run(
    3,
    {
        ("triad", 65_536): {"cuda": Kernel(50), "ptx": Kernel(45), "ptx.v4": Kernel(52)},
        ("triad", 1_048_576): {"cuda": Kernel(500), "ptx": Kernel(495), "ptx.v4": Kernel(500, status="wrong")},
    },
    CALM,
).cells


def test_a_forest_has_a_line_for_each_verified_ratio():
    assert (
        printed(Forest(CELLS))
        == """\
time / cuda      0.90                                     1.00            1.04                rounds
n=65536  ptx     ├─●─┤                                      ┊                   0.901 ±0.005  ▆▆▃█▁
n=65536  ptx.v4                                             ┊              ├●┤  1.042 ±0.002  ▄█▇▅▁
n=1048576  ptx                                        ├●┤   ┊                   0.988 ±0.003  ▁▇█▅▂

"""
    )


def test_a_forest_shrinks_with_the_terminal_until_a_message_replaces_it():
    for width in (90, 80, 70, 60):
        lines = printed(Forest(CELLS), width=width).splitlines()
        assert len(lines) == 5
        assert max(map(len, lines)) <= width
    assert printed(Forest(CELLS), width=50).splitlines() == [
        "Not drawn in 50 columns: the intervals and the",
        "rounds. They need 59.",
        "",
    ]


def test_a_forest_needs_intervals_and_more_than_one_round():
    assert printed(Forest([TIMED])) == ""
    assert printed(Forest([replace(cell, rounds=[]) for cell in CELLS])) == ""
    assert printed(Forest([TIMED, TIMED])).count("●") == 2
    several = replace(CELLS[0], variants={name: CELLS[0].variants[name] for name in ("cuda", "ptx")})
    assert printed(Forest([several])).count("●") == 1  # its rounds are worth a line


def test_an_unverified_variant_has_no_ratio():
    broken = replace(CELLS[0].variants["cuda"], status="broken")
    cells = [replace(CELLS[0], variants={**CELLS[0].variants, "cuda": broken})]
    assert printed(Forest(cells)) == ""
