"""What the emulator counts of a launch, by the names of the counters."""

from __future__ import annotations

from ptxbench.backends.base import LaunchOutcome
from ptxbench.executed import Counted, Executed, of_build
from ptxbench.pair import Launch
from ptxbench.profiling.counters import EXECUTED, Bounds
from ptxbench.toolchain import Build


def counts_of(build: Build, launch: Launch, outcome: LaunchOutcome) -> tuple[dict[str, float], dict[str, Bounds]]:
    """The counts of the launch, with its executed machine instructions, and the bounds of those that are ranges."""
    counts = dict(outcome.counts or {})
    bounds: dict[str, Bounds] = {}
    derived = executed_by(build, launch, outcome)
    if derived.fit is not None and derived.least is not None and derived.most is not None:
        counts[EXECUTED], bounds[EXECUTED] = derived.fit, (derived.least, derived.most)
    return counts, bounds


def executed_by(build: Build, launch: Launch, outcome: LaunchOutcome) -> Executed:
    """Machine instructions that the launch executed, by what the emulator counted."""
    return of_build(build, Counted(outcome.by_line or {}, launch.warps, outcome.loops or {}))
