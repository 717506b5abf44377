"""What a run tells while it goes on. Data only: who listens decides what to draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ptxbench.pair import Size
from ptxbench.result import Cell


@dataclass(frozen=True)
class Step:
    """The next piece of work begins; `done` of `total` pieces are behind. `size` is None for a build."""

    done: int
    total: int
    pair: str
    variant: str
    phase: str
    """build, verify, count or measure."""
    size: Size | None = None
    knobs: Mapping[str, int] = field(default_factory=dict)
    """The pair's knobs that are turned."""


@dataclass(frozen=True)
class CellDone:
    """A cell is finished. `last` of its pair."""

    cell: Cell
    last: bool


@dataclass(frozen=True)
class DeviceLost:
    """The device cannot be used any more: the run ends here, its finished cells are kept.

    `suspects`: the variants that may have caused it; none where the machine is at fault.
    """

    reason: str
    suspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class CalibrationSaved:
    """What is known after a cell of a round, for whoever is interrupted before the cells are done.

    `whole`: whether every cell has the same rounds.
    """

    cells: tuple[Cell, ...]
    whole: bool = True


Event = Step | CellDone | DeviceLost | CalibrationSaved
