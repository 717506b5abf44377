"""What a run leads to, event by event: its finished cells, how it ended, and the exit status that follows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ptxbench.exit_status import ExitStatus
from ptxbench.result import (
    BROKEN,
    COMPLETE,
    DEVICE_LOST,
    INTERRUPTED,
    LIBRARY,
    UNSUPPORTED,
    VERIFIED,
    WRONG,
    Cell,
)
from ptxbench.runner.events import CellDone, DeviceLost, Event, Gpu, ResultsSoFar, TimedBy


@dataclass
class RunOutcome:
    """The outcome of a run: its finished cells, and how it ended."""

    cells: list[Cell] = field(default_factory=list)
    status: str = COMPLETE
    lost: str | None = None
    """Why the device can no longer be used."""
    complete_rounds: tuple[Cell, ...] = ()
    """Cells of the complete rounds, if the run ends between rounds."""
    gpus: frozenset[Gpu] = frozenset()
    """See TimedBy; empty for a run on this machine."""
    error: BaseException | None = None
    """The error that ended it, which the caller raises again once the finished cells are saved."""

    def add(self, event: Event) -> None:
        if isinstance(event, CellDone):
            self.cells.append(event.cell)
        elif isinstance(event, ResultsSoFar):
            self.complete_rounds = event.cells
        elif isinstance(event, DeviceLost):
            self.status, self.lost = DEVICE_LOST, event.reason
        elif isinstance(event, TimedBy):
            self.gpus = event.gpus

    def interrupt(self, error: BaseException | None = None) -> None:
        self.status, self.error = INTERRUPTED, error

    def finish(self) -> None:
        """Keep the complete rounds of a run that finished no cell."""
        if not self.cells:
            self.cells += self.complete_rounds

    @property
    def exit_status(self) -> ExitStatus:
        pair_cells = [cell for cell in self.cells if not cell.control]
        statuses = Counter(
            result.status for cell in pair_cells for result in cell.variants.values() if result.language != LIBRARY
        )
        control = {result.status for cell in self.cells if cell.control for result in cell.variants.values()}
        if self.status == INTERRUPTED:
            return ExitStatus.INTERRUPTED
        if statuses[WRONG] or statuses[BROKEN]:
            return ExitStatus.WRONG_KERNEL
        if self.status == DEVICE_LOST or statuses[UNSUPPORTED] or not statuses[VERIFIED] or control & {WRONG, BROKEN}:
            return ExitStatus.NO_VERDICT
        return ExitStatus.GOOD
