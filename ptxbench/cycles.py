"""Rounds in clock cycles of the SM instead of nanoseconds: a difference of the clock is not a difference of the code.

A block has one reading of the clock, so the ratio inside a block is the same in cycles and in time. The ratio of two
kernels therefore uses the clock that each has alone, read after each of its samples there. A time that is compared with
another run's uses the clock of its block.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ptxbench.result import Round
from ptxbench.stats import letters

CLOCK_DEPENDENT = "CLOCK-DEPENDENT"
"""Reason: the difference shows in time or in cycles, but not in both."""

LOCK = "lock the clock by nvidia-smi -lgc MHZ"
"""What to do about it."""

FASTER_OR_SLOWER = frozenset({"FASTER", "SLOWER"})


def by_kernel(rounds: Sequence[Round]) -> Sequence[Round]:
    """Each sample times the clock in MHz that its kernel had alone: cycles times 1000. Empty if one is unknown."""
    if not all({"A", "B"} <= timed_round.solo_mhz.keys() for timed_round in rounds):
        return ()
    result = []
    for timed_round in rounds:
        clocks = [timed_round.solo_mhz[letter] for letter in letters(timed_round.start)]
        result.append(dataclasses.replace(timed_round, ns=[times(block, clocks) for block in timed_round.ns]))
    return result


def by_block(rounds: Sequence[Round]) -> Sequence[Round]:
    """Each sample times the clock of its block in MHz: cycles times 1000. Empty if one is unknown."""
    result = []
    for timed_round in rounds:
        clocks = [mhz for mhz in timed_round.clock_mhz if mhz is not None]
        if len(clocks) != len(timed_round.ns):
            return ()
        ns = [times(block, [mhz] * len(block)) for block, mhz in zip(timed_round.ns, clocks, strict=True)]
        result.append(dataclasses.replace(timed_round, ns=ns))
    return result


def times(ns: Sequence[int], mhz: Sequence[float]) -> list[int]:
    return [max(1, round(time * clock)) for time, clock in zip(ns, mhz, strict=True)]


def contradict(by_time: str, by_cycles: str, claims: frozenset[str] = FASTER_OR_SLOWER) -> bool:
    """Whether two verdicts disagree on one of the `claims`, if the one by time claims anything."""
    return by_time != "INCONCLUSIVE" and by_time != by_cycles and bool(claims & {by_time, by_cycles})
