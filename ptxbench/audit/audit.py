"""The results of an audit, and its exit status. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.audit.outcome import AuditOutcome
from ptxbench.audit.stored import StoredDevice
from ptxbench.audit.tally import TallyLine
from ptxbench.exit_status import ExitStatus


@dataclass(frozen=True)
class Audit:
    """The requested parts of an audit; None for the others."""

    suites: int
    """The number of synthetic suites for each noise."""
    seed: int
    synthetic: Sequence[TallyLine] | None = None
    stored: Sequence[tuple[StoredDevice, Sequence[TallyLine]]] | None = None
    outcomes: Sequence[AuditOutcome] | None = None
    """The outcomes of mutants and of neutral edits."""

    @property
    def lines(self) -> list[TallyLine]:
        """The lines of seeded noise, then those of stored runs."""
        return [*(self.synthetic or ()), *(line for _, lines in self.stored or () for line in lines)]

    @property
    def judged(self) -> list[AuditOutcome]:
        return [outcome for outcome in self.outcomes or () if outcome.skipped is None]

    @property
    def exit_status(self) -> ExitStatus:
        """REGRESSION if a target is not met, NO_VERDICT if there are edits and none was judged."""
        if not all(outcome.holds for outcome in self.judged) or any(line.holds is False for line in self.lines):
            return ExitStatus.REGRESSION
        return ExitStatus.NO_VERDICT if self.outcomes is not None and not self.judged else ExitStatus.GOOD
