"""The printed form of a run, block by block as its cells are finished."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ptxbench.metrics import Metric
from ptxbench.result import Cell
from ptxbench.run_info import TimedOn
from ptxbench.runner import CellDone, noise
from ptxbench.stats import Interval
from ptxbench.terminal import (
    WIDEST,
    CellTable,
    Forest,
    OmittedColumns,
    clock_notice,
    closing_lines,
    limits_notice,
    noise_floor,
    notice,
    several_gpus,
    summary,
)
from ptxbench.terminal.console import SafeConsole
from ptxbench.terminal.floors import ModelBlock


def open_console() -> SafeConsole:
    """Stdout: as wide as the terminal; without a terminal, the greatest width of a table."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDEST
    return SafeConsole(width=wide)


class Blocks:
    """Prints one table per cell and the finding of each pair; nothing if `quiet`."""

    def __init__(self, metrics: Sequence[Metric], reference: str | None = None, *, quiet: bool) -> None:
        self.metrics = metrics
        self.reference = reference
        self.quiet = quiet
        self.console = open_console()
        self.noise: Interval | None = None
        self.cells: list[Cell] = []
        self.of_pair: list[Cell] = []

    def add(self, event: CellDone) -> None:
        """Print one cell, and after the last cell of its pair the finding. Of the control only its noise is printed."""
        if event.cell.control:
            self.noise = noise([event.cell])
            return
        self.cells.append(event.cell)
        self.of_pair.append(event.cell)
        self.print(CellTable(event.cell, self.metrics, self.reference))
        if event.cell.model:
            self.print(ModelBlock(event.cell))
        if event.last:
            self.print(Forest(self.of_pair))
            if closing := closing_lines(self.of_pair, self.noise, self.reference):
                self.print(closing)
                self.print("")
            self.of_pair = []

    def finish(self, timed_on: TimedOn | None = None) -> None:
        """Print the summary of the cells, and what their numbers do not mean."""
        if self.cells:
            self.print(summary(self.cells))
            if not self.metrics:
                self.print(OmittedColumns(self.cells))
            self.print(notice(self.cells))
            self.print(limits_notice(self.cells))
            self.print(clock_notice(self.cells))
            self.print(noise_floor(self.noise))
            self.print(several_gpus(timed_on))

    def print(self, renderable: object) -> None:
        if not self.quiet and renderable is not None:
            self.console.print(renderable)
