"""What the counters gate said of one edit of a pair. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.exit_status import ExitStatus


@dataclass(frozen=True)
class Change:
    """A metric that the gate failed, as it was and as it is."""

    metric: str
    base: float | None
    head: float | None


@dataclass(frozen=True)
class AuditOutcome:
    """One pair, edited once, against itself as it was."""

    pair: str
    edit: str
    """What was done, in a few words: `vector loads split`."""
    expected: Sequence[str]
    """Metrics of which the gate must fail at least these; none for an edit that means nothing, which must pass."""
    failing: Sequence[str] = ()
    """Metrics that the gate failed."""
    exit_status: ExitStatus = ExitStatus.GOOD
    """The gate's."""
    skipped: str | None = None
    """Why the edit says nothing of the gate, in a sentence: ptxas undid it. None where it was judged."""
    variant: str = "ptx"
    changes: Sequence[Change] = ()
    """Of what failed, in the order of `failing`; without numbers where the kernel itself is wrong."""
    reason: str | None = None
    """Why the edited kernel is wrong or does not build, which the gate told; None where it is right."""

    @property
    def neutral(self) -> bool:
        return not self.expected

    @property
    def holds(self) -> bool:
        """Whether a mutant was caught and its cause named, or an edit that means nothing was let pass."""
        if self.neutral:
            return self.exit_status == ExitStatus.GOOD and not self.failing
        return self.exit_status != ExitStatus.GOOD and set(self.expected) <= set(self.failing)
