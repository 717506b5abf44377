"""The outcome of each planted bug, and how many were caught. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.bugs.bug import Bug
from ptxbench.exit_status import ExitStatus

CAUGHT, MISSED, EXPLAINED, SAME, UNJUDGED = "caught", "missed", "equivalent in words", "same machine code", "unjudged"


@dataclass(frozen=True)
class BugOutcome:
    """One bug of one kernel. `stage`, `code`: where `check` rejected it; None if it did not.

    `allclose`: whether one launch and `numpy.allclose` find it; None if that rejects the original kernel too.
    `why`: the reason of an entry of `equivalent.toml`.
    """

    pair: str
    language: str
    file: str
    bug: Bug
    status: str
    stage: str | None = None
    code: str | None = None
    allclose: bool | None = None
    why: str | None = None

    @property
    def counts(self) -> bool:
        """Whether it is a bug that must be caught."""
        return self.status in (CAUGHT, MISSED)


@dataclass(frozen=True)
class BugTally:
    """The counts of one group of bugs."""

    planted: int
    caught: int
    compared: int
    """Bugs of kernels whose original `allclose` accepts."""
    allclose: int
    same: int
    explained: int


def tally(outcomes: Sequence[BugOutcome]) -> BugTally:
    counted = [outcome for outcome in outcomes if outcome.counts]
    compared = [outcome for outcome in counted if outcome.allclose is not None]
    return BugTally(
        planted=len(counted),
        caught=sum(outcome.status == CAUGHT for outcome in counted),
        compared=len(compared),
        allclose=sum(bool(outcome.allclose) for outcome in compared),
        same=sum(outcome.status == SAME for outcome in outcomes),
        explained=sum(outcome.status == EXPLAINED for outcome in outcomes),
    )


def exit_status(outcomes: Sequence[BugOutcome]) -> ExitStatus:
    """REGRESSION if a bug was not caught, NO_VERDICT if none was planted, GOOD if all were caught."""
    counted = [outcome for outcome in outcomes if outcome.counts]
    if any(outcome.status == MISSED for outcome in counted):
        return ExitStatus.REGRESSION
    return ExitStatus.GOOD if counted else ExitStatus.NO_VERDICT
