"""What came of each planted bug, and how many were caught. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.bugs.bug import Bug
from ptxbench.exit_status import ExitStatus

CAUGHT, MISSED, EXPLAINED, SAME, UNJUDGED = "caught", "missed", "equivalent in words", "same machine code", "unjudged"


@dataclass(frozen=True)
class BugOutcome:
    """One bug of one kernel. `stage`, `code`: where `check` rejected it; None where it did not.

    `allclose`: whether one launch and `numpy.allclose` find it; None where that refuses the kernel without a bug too.
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
    """Numbers of one group of bugs."""

    planted: int
    caught: int
    compared: int
    """Bugs of kernels that `allclose` accepts without a bug."""
    allclose: int
    same: int
    explained: int


def tally(outcomes: Sequence[BugOutcome]) -> BugTally:
    counted = [each for each in outcomes if each.counts]
    compared = [each for each in counted if each.allclose is not None]
    return BugTally(
        planted=len(counted),
        caught=sum(each.status == CAUGHT for each in counted),
        compared=len(compared),
        allclose=sum(bool(each.allclose) for each in compared),
        same=sum(each.status == SAME for each in outcomes),
        explained=sum(each.status == EXPLAINED for each in outcomes),
    )


def exit_status(outcomes: Sequence[BugOutcome]) -> ExitStatus:
    """Of an audit: a bug that was not caught, none that was planted, or all caught."""
    counted = [each for each in outcomes if each.counts]
    if any(each.status == MISSED for each in counted):
        return ExitStatus.REGRESSION
    return ExitStatus.GOOD if counted else ExitStatus.NO_VERDICT
