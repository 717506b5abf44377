"""Times that authors of public kernels state, and what those kernels execute: the table that tests the floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from ptxbench import specifications
from ptxbench.documents import read_json
from ptxbench.floors import Floor, floors, ordered
from ptxbench.specifications import Specification

FILE = Path(__file__).parents[1] / "data" / "published_points.json"

GPUS: Mapping[str, Specification] = {
    "RTX 2080 Super": specifications.RTX_2080_SUPER,
    "RTX A6000": specifications.RTX_A6000,
    "RTX 3090": specifications.RTX_3090,
    "H100 SXM": specifications.H100_SXM,
}
"""The GPUs by their names in the file."""


@dataclass(frozen=True)
class ModelPoint:
    """One kernel: its author's time, and the floors of what it executes."""

    name: str
    repository: str
    size: str
    gpu: str
    arch: str
    seconds: float
    executed: Mapping[str, Any]
    floors: Mapping[str, float]

    @property
    def highest(self) -> Floor:
        return ordered(self.floors)[0]

    @property
    def over_floor(self) -> float:
        """The author's time divided by the highest floor; below 1 the floor is wrong, or the time."""
        return self.seconds / self.highest.seconds

    @property
    def series(self) -> tuple[str, str, str]:
        """Kernels of one author with the same task on the same GPU."""
        return self.repository, self.size, self.gpu


@cache
def published() -> tuple[ModelPoint, ...]:
    """Every point of the file that ptxbench ships."""
    return read(read_json(FILE))


def read(document: Mapping[str, Any]) -> tuple[ModelPoint, ...]:
    return tuple(
        ModelPoint(
            point["name"],
            point["repository"],
            point["size"],
            point["gpu"],
            point["arch"],
            point["time_ms"] / 1e3,
            point["executed"],
            floors(point["executed"], point["arch"], GPUS[point["gpu"]]),
        )
        for point in document["points"]
    )


def pairs(points: Sequence[ModelPoint]) -> list[tuple[ModelPoint, ModelPoint]]:
    """Every two points of one series."""
    return [(a, b) for a, b in combinations(points, 2) if a.series == b.series]
