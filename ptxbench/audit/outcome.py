"""The counters gate's outcome for one edit of a pair. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.exit_status import ExitStatus


@dataclass(frozen=True)
class Change:
    """A metric that failed the gate, with its values before and after."""

    metric: str
    base: float | None
    head: float | None


@dataclass(frozen=True)
class AuditOutcome:
    """One pair with one edit, compared with the original."""

    pair: str
    edit: str
    """The change, in a few words: `vector loads split`."""
    expected: Sequence[str]
    """Metrics that must fail, others may; none for a neutral edit, which must pass."""
    failing: Sequence[str] = ()
    """Metrics that failed the gate."""
    exit_status: ExitStatus = ExitStatus.GOOD
    """The exit status of the gate."""
    skipped: str | None = None
    """Why the edit could not be judged, in a sentence, such as that ptxas undid it. None if it was judged."""
    variant: str = "ptx"
    changes: Sequence[Change] = ()
    """The changes of the failing metrics, in the order of `failing`; without numbers if the kernel itself is wrong."""
    reason: str | None = None
    """Why the edited kernel is wrong or does not build, as the gate reported; None if it is right."""

    @property
    def neutral(self) -> bool:
        return not self.expected

    @property
    def holds(self) -> bool:
        """Whether a mutant was caught by the expected metrics, or a neutral edit passed."""
        if self.neutral:
            return self.exit_status == ExitStatus.GOOD and not self.failing
        return self.exit_status != ExitStatus.GOOD and set(self.expected) <= set(self.failing)
