"""All that an audit found, and what it means for the exit status. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.audit.outcome import AuditOutcome
from ptxbench.audit.stored import StoredDevice
from ptxbench.audit.tally import TallyLine
from ptxbench.exit_status import ExitStatus


@dataclass(frozen=True)
class Audit:
    """The parts that were asked for; None for the others."""

    suites: int
    """Synthetic ones, of each noise."""
    seed: int
    synthetic: Sequence[TallyLine] | None = None
    stored: Sequence[tuple[StoredDevice, Sequence[TallyLine]]] | None = None
    outcomes: Sequence[AuditOutcome] | None = None
    """Of mutants and of edits that mean nothing."""

    @property
    def lines(self) -> list[TallyLine]:
        """Of seeded noise, then of stored runs."""
        return [*(self.synthetic or ()), *(line for _, lines in self.stored or () for line in lines)]

    @property
    def judged(self) -> list[AuditOutcome]:
        return [each for each in self.outcomes or () if each.skipped is None]

    @property
    def exit_status(self) -> ExitStatus:
        """REGRESSION if a target is not met, NO_VERDICT if there are edits and none was judged."""
        if not all(each.holds for each in self.judged) or any(line.holds is False for line in self.lines):
            return ExitStatus.REGRESSION
        return ExitStatus.NO_VERDICT if self.outcomes is not None and not self.judged else ExitStatus.GOOD
