"""The control: one kernel measured against itself, in every round. Any difference is the noise of the measurement."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path

from ptxbench import stats
from ptxbench.discovery import LoadedPair, Source
from ptxbench.metrics import REFERENCE
from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, u32
from ptxbench.result import Cell
from ptxbench.runner.plan import PairPlan

CONTROL = "A/A control"
"""The name of the control. It has a slash, so that no file of a pair can have it."""

COPY = "ptx"
"""The variant that is a copy of the reference."""

PATH = Path(__file__).with_suffix(".ptx")

PAIR = Pair(
    purpose="What the measurement reports if nothing differs.",
    args=[
        In("x", u32, lambda n: (n,)),
        Out("y", u32, lambda n: (n,)),
        Scalar("vectors", u32, lambda n: n // 4),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, 1024), block=256),
    reference=lambda x, vectors: {"y": x},
    tolerance=EXACT,
    check_sizes=[{"n": 4096 + 4}],
    bench_sizes=[{"n": 1 << 24}],
    flops=lambda n: 0,
)


def control_plan() -> PairPlan:
    """The plan of the control: both variants are the same file."""
    sources = tuple(Source(variant, "ptx", PATH, "control") for variant in (REFERENCE, COPY))
    return PairPlan(
        LoadedPair(CONTROL, "y = x, against itself.", PAIR, sources, PATH), sources, tuple(PAIR.bench_sizes)
    )


def noise(cells: Sequence[Cell]) -> stats.Interval | None:
    """The log ratio of the control to itself, with its interval; None if it was not measured."""
    for cell in cells:
        if cell.control and (interval := stats.ratio(cell.rounds, COPY, REFERENCE)):
            return stats.Interval(log(interval.low), log(interval.value), log(interval.high))
    return None


def is_biased(noise: stats.Interval | None, limit: float) -> bool:
    """Whether one kernel seems to differ from itself: its interval excludes 0, and by more than `limit`."""
    return noise is not None and not noise.low <= 0 <= noise.high and abs(noise.value) > limit
