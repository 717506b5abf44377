"""The events that a run reports. Data only: the listener decides what to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ptxbench.pair import Size
from ptxbench.result import Cell
from ptxbench.units import size_words


@dataclass(frozen=True)
class Step:
    """The next step begins; `done` of `total` steps are finished. `size` is None for a build."""

    done: int
    total: int
    pair: str
    variant: str
    phase: str
    """build, verify, count or measure."""
    size: Size | None = None
    knobs: Mapping[str, int] = field(default_factory=dict)
    """The values of the pair's knobs, if any are set."""

    @property
    def words(self) -> str:
        """`verify triad ptx at n=4096`."""
        size = f" at {size_words(self.size)}" if self.size else ""
        return f"{self.phase} {self.pair} {self.variant}{size}"


@dataclass(frozen=True)
class CellDone:
    """A cell is finished. `last`: whether it is the last one of its pair."""

    cell: Cell
    last: bool


@dataclass(frozen=True)
class DeviceLost:
    """The device can no longer be used: the run ends here, and its finished cells are kept.

    `suspects`: the variants that may have caused it; none if the machine is at fault.
    """

    reason: str
    suspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gpu:
    """A GPU of another machine. `uuid_hash`: see run_info.Device."""

    host: str
    uuid_hash: str | None


@dataclass(frozen=True)
class TimedBy:
    """The GPUs that timed the cells, if other machines did."""

    gpus: frozenset[Gpu]


@dataclass(frozen=True)
class ResultsSoFar:
    """The results so far, after a cell of a round or after a round; the cells to save if the run is interrupted.

    `whole`: whether every cell has the same rounds.
    """

    cells: tuple[Cell, ...]
    whole: bool = True


Event = Step | CellDone | DeviceLost | TimedBy | ResultsSoFar
