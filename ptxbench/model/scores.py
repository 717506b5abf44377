"""How far measured times are above their floors, and how often a claim from floors was right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from ptxbench.floors import HIGHER, LOWER, NO_CLAIM, WORDS, Claim, claim
from ptxbench.model.points import ModelPoint, pairs

SAME = 0.02
"""Times with a smaller difference count as equal: authors state two to four digits, and clocks vary."""

LESS, ALIKE, MORE = "less", "alike", "more"
"""Measured time compared with that of the other side."""

CLAIMS, MEASURED = (LOWER, HIGHER, NO_CLAIM), (LESS, ALIKE, MORE)

RIGHT, WRONG, WITHIN, SILENT = "right", "wrong", "within 2 %", "silent"
OUTCOMES = (RIGHT, WITHIN, WRONG, SILENT)

DISTANCES = (("under 5 %", 0.05), ("5 to 30 %", 0.30), ("over 30 %", float("inf")))
"""Classes of the difference of two measured times: the longer over the shorter, less 1, and its upper limit."""


@dataclass(frozen=True)
class ScoredClaim:
    """One claim, and the measured times of both sides in seconds."""

    name: str
    claim: Claim
    seconds: float
    base_seconds: float

    @property
    def measured(self) -> str:
        return ALIKE if self.distance < SAME else LESS if self.seconds < self.base_seconds else MORE

    @property
    def distance(self) -> float:
        long, short = max(self.seconds, self.base_seconds), min(self.seconds, self.base_seconds)
        return long / short - 1

    @property
    def outcome(self) -> str:
        if self.claim.verdict == NO_CLAIM:
            return SILENT
        if self.measured == ALIKE:
            return WITHIN
        return RIGHT if (self.claim.verdict == LOWER) == (self.measured == LESS) else WRONG


def of_points(points: Sequence[ModelPoint]) -> list[ScoredClaim]:
    """Each later kernel of a series against each earlier one."""
    return [
        ScoredClaim(
            f"{later.name} against {earlier.name}", claim(later.floors, earlier.floors), later.seconds, earlier.seconds
        )
        for earlier, later in pairs(points)
    ]


def confusion(scored: Iterable[ScoredClaim]) -> Counter[tuple[str, str]]:
    """How often each verdict of a claim had each measured outcome, by (verdict of the claim, MEASURED)."""
    return Counter((score.claim.verdict, score.measured) for score in scored)


def by_distance(scored: Iterable[ScoredClaim]) -> Counter[tuple[str, str]]:
    """How often a claim was right, by (class of the difference of times, OUTCOMES)."""
    return Counter((next(name for name, most in DISTANCES if score.distance < most), score.outcome) for score in scored)


@dataclass(frozen=True)
class Spread:
    """Measured time divided by the highest floor, for points with one resource as the highest."""

    resource: str
    points: int
    least: float
    median: float
    most: float


def spreads(points: Sequence[ModelPoint]) -> list[Spread]:
    """The spread by resource, and last for all points."""
    result = []
    for name in (*WORDS, None):
        over = [point.over_floor for point in points if name in (None, point.highest.resource)]
        if over:
            result.append(Spread(WORDS[name] if name else "all", len(over), min(over), median(over), max(over)))
    return result


FACTOR = 0.7
"""A rate times this factor must put a floor above a published time; otherwise no point tests the rate."""


def refutable(points: Sequence[ModelPoint]) -> dict[tuple[str, str], float]:
    """By architecture and resource, the least measured time divided by the floor of that resource, over all points.

    A rate that is slower by more than this factor is refuted by a point; a smaller error is not detected.
    """
    least: dict[tuple[str, str], float] = {}
    for point in points:
        for name, seconds in point.floors.items():
            key = (point.arch, name)
            least[key] = min(least.get(key, float("inf")), point.seconds / seconds)
    return least
