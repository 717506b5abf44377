"""Results as Rich renderables. Nothing here prints: each command has its console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp

from rich.console import RenderableType
from rich.constrain import Constrain

from ptxbench import cycles, roofline
from ptxbench.result import MUST_FAIL, SEVERITY, VERIFIED, Cell
from ptxbench.run_info import TimedOn
from ptxbench.stats import Interval
from ptxbench.terminal.cell import CellTable, OmittedColumns
from ptxbench.terminal.forest import Forest
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import WIDEST
from ptxbench.units import plural
from ptxbench.wording.cells import COUNTS_NOTICE
from ptxbench.wording.findings import closing
from ptxbench.wording.limits import limits_words

__all__ = [
    "WIDEST",
    "CellTable",
    "Forest",
    "OmittedColumns",
    "clock_notice",
    "closing_lines",
    "limits_notice",
    "noise_floor",
    "notice",
    "summary",
]


def closing_lines(
    cells: Sequence[Cell], noise: Interval | None = None, reference: str | None = None
) -> RenderableType | None:
    """The finding of a pair's cells, in words; None if there is none.

    `noise`: of the control, which a verdict must exceed. `reference`: what to compare with, instead of the best CUDA C.
    """
    lines = closing(cells, noise, reference)
    return Constrain(Prose("\n".join(lines), "bold"), WIDEST) if lines else None


def notice(cells: Sequence[Cell]) -> RenderableType | None:
    """The notice that counts are not times: printed once per run if it has counts."""
    counted = any(result.counts is not None for cell in cells for result in cell.variants.values())
    return Constrain(Prose(COUNTS_NOTICE, "dim"), WIDEST) if counted else None


def limits_notice(cells: Sequence[Cell]) -> RenderableType | None:
    """The limits that times are compared with: printed once per run if those of the device are known."""
    timed = [cell for cell in cells if cell.rounds and cell.limits and not cell.control]
    sentences = sorted({limits_words(cell.limits) for cell in timed if cell.limits})
    if reasons := sorted({why for cell in timed if (why := roofline.no_share(cell))}):
        sentences.append(f"No share of the memory bandwidth is shown where {' or '.join(reasons)}.")
    return Constrain(Prose("\n".join(sentences), "dim"), WIDEST) if sentences else None


def clock_notice(cells: Sequence[Cell]) -> Prose | None:
    """A note that verdicts use time alone: printed once per run if a clock is unknown."""
    rounds = [timed_round for cell in cells for timed_round in cell.rounds]
    unknown = rounds and not cycles.by_kernel(rounds)
    return Prose("The SM clock is unknown, so verdicts go by time alone.", "dim") if unknown else None


def noise_floor(noise: Interval | None) -> Prose | None:
    """The measured difference of one kernel from itself; None if it was not measured."""
    if noise is None:
        return None
    low, high = (100 * (exp(end) - 1) for end in (noise.low, noise.high))
    return Prose(f"Noise floor: one kernel against itself differs by {low:+.2f} to {high:+.2f} %.", "dim")


def several_gpus(timed_on: TimedOn | None) -> Prose | None:
    """`Timed on 3 GPUs of 2 hosts, ...`; None for fewer than two GPUs."""
    if timed_on is None or timed_on.gpus < 2:
        return None
    gpus, hosts = plural(timed_on.gpus, "GPU"), plural(timed_on.hosts, "host")
    return Prose(f"Timed on {gpus} of {hosts}, each pair on one: times of two pairs may be those of two GPUs.", "dim")


def summary(cells: Sequence[Cell]) -> Prose:
    """`6 cells, 17 variants: 15 verified, 1 wrong, 1 skipped.`"""
    statuses = Counter(result.status for cell in cells for result in cell.variants.values())
    words = ", ".join(f"{statuses[status]} {status}" for status in (VERIFIED, *SEVERITY) if statuses[status])
    bad = any(statuses[status] for status in SEVERITY if status != MUST_FAIL)
    text = f"{plural(len(cells), 'cell')}, {plural(statuses.total(), 'variant')}: {words or 'nothing done'}."
    return Prose(text, "yellow" if bad else "green")
