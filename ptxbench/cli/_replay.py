"""`ptxbench run --replay FILE`: prints every table again, from the samples of a recorded run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptxbench.cli._blocks import Blocks
from ptxbench.result import RunDocument
from ptxbench.runner import CellDone

if TYPE_CHECKING:
    from ptxbench.metrics import Metric


def replay(run: RunDocument, metrics: Sequence[Metric], reference: str | None = None, *, quiet: bool) -> None:
    """Print a recorded run as it was printed; all figures are computed again."""
    blocks = Blocks(metrics, reference, quiet=quiet)
    for cell, following in zip(run.cells, [*run.cells[1:], None], strict=True):
        blocks.add(CellDone(cell, last=following is None or following.pair != cell.pair))
    blocks.finish(run.run.timed_on)
