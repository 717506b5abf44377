"""A number for programs that improve kernels: how good a judgement is, and what the number is made of. A suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ptxbench import keywords
from ptxbench.check.finding_codes import WARNING
from ptxbench.check.findings import ACCEPTED, NO_VERDICT, Judgement
from ptxbench.check.machine_code import EXECUTED, ends, settled
from ptxbench.check.ranking import TIME
from ptxbench.check.stages import CANDIDATE

CORRECT, CLEAN, FAST = 0.5, 0.1, 0.4
"""The weights of the parts."""

NOT_UNCLEAN = frozenset({"same-code", "slower-counts", "not-timed", "fewer-targets"})
"""Warnings that are not a problem of the kernel, or that `fast` contains."""


@dataclass(frozen=True)
class Reward:
    """The parts, each between 0 and 1; all are 0 unless the kernel is accepted, so a wrong kernel never gains by speed.

    `correct`: 1 for an accepted kernel. `clean`: 1 without warnings, 1/2 with one kind of warning, 1/3 with two.
    `fast`: the best known figure divided by the kernel's own, at most 1; None if no figure is known. `basis`: that
    figure: `time` on a GPU, else `sectors` or `sass_executed`, whichever share is smaller.
    """

    correct: float
    clean: float
    fast: float | None
    basis: str | None

    @property
    def total(self) -> float:
        """The weighted sum: 0.5 correct, 0.1 clean, 0.4 fast."""
        return CORRECT * self.correct + CLEAN * self.clean + FAST * (self.fast or 0.0)


def reward(judgement: Judgement, among: Iterable[Judgement] = ()) -> Reward | None:
    """The reward of a judgement; None if the kernel could not be judged, because then nothing is known of it.

    The best known figure is that of the pair's variants and of the accepted judgements of the same pair, architecture
    and seed in `among`.
    """
    keywords.instance("judgement", judgement, Judgement, "a Judgement")
    if judgement.verdict == NO_VERDICT:
        return None
    if judgement.verdict != ACCEPTED:
        return Reward(0.0, 0.0, 0.0, None)
    warnings = {finding.code for finding in judgement.findings if finding.severity == WARNING} - NOT_UNCLEAN
    shares = dict(speeds(judgement, [other for other in among if is_comparable(other, judgement)]))
    basis = TIME if TIME in shares else min(shares, key=shares.__getitem__, default=None)
    return Reward(1.0, 1 / (1 + len(warnings)), None if basis is None else shares[basis], basis)


def is_comparable(other: Judgement, judgement: Judgement) -> bool:
    """Whether the figures of two judgements are of launches on the same data."""
    same_task = (other.pair, other.arch, other.seed) == (judgement.pair, judgement.arch, judgement.seed)
    return same_task and other.verdict == ACCEPTED


def speeds(judgement: Judgement, others: Iterable[Judgement]) -> Iterable[tuple[str, float]]:
    """By figure: the best known value over the judgement's own, at most 1. A range that is too wide supports no figure;
    of another range, the less favourable end is used."""
    others = list(others)
    for figure in (TIME, "sectors", EXECUTED):
        if figure == EXECUTED and not settled(judgement.executed.get(CANDIDATE)):
            continue
        candidate_ratios = [
            limits[1]
            for variant, ratios in judgement.ratios.items()
            if (limits := ends(ratios.get(figure))) and is_settled(judgement.executed.get(variant), figure)
        ]
        if not candidate_ratios:
            continue
        yield (
            figure,
            min(1.0, 1 / max(*candidate_ratios, 1.0), *(relative(other, judgement, figure) for other in others)),
        )


def is_settled(executed: Mapping[str, Any] | None, figure: str) -> bool:
    """Whether a figure is certain enough to be used; only executed machine instructions may be uncertain."""
    return figure != EXECUTED or settled(executed)


def relative(other: Judgement, judgement: Judgement, figure: str) -> float:
    """The figure of another candidate over that of this one, through a variant of the pair; 1 if either is unknown."""
    for variant, ratios in judgement.ratios.items():
        ends_here, ends_there = ends(ratios.get(figure)), ends(other.ratios.get(variant, {}).get(figure))
        if ends_here and ends_there and ends_here[1] and is_settled(other.executed.get(CANDIDATE), figure):
            return ends_there[0] / ends_here[1] if ends_there != ends_here else 1.0
    return 1.0
