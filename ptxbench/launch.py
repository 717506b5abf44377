"""How a kernel is launched: its grid, block and cluster, and chains of launches. Data only."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ptxbench.structs import StructLayout, parameters


@dataclass(frozen=True)
class Chain:
    """Launches of one kernel in one stream, one after the other, which are verified, counted and timed as one.

    `launches`: how many. `number`: the Scalar that says which one it is: 0, 1, ... `dependent`: whether they are
    programmatic dependent launches: each except the first may start before the previous one has ended, and sees the
    stores of the previous one only after griddepcontrol.wait (cudaGridDependencySynchronize).
    """

    launches: int
    number: str
    dependent: bool = False


@dataclass(frozen=True)
class Launch:
    """Grid in CTAs and block in threads, each an int or (x, y, z); dynamic shared memory in bytes.

    `cluster`: CTAs of a cluster, an int or (x, y, z), which must divide the grid; None launches without clusters.
    `cooperative`: whether the kernel may wait for all CTAs of the grid (`grid.sync()`), which must then run at once.
    `resident`: all CTAs must run at once for another reason, such as one CTA on each SM. The driver gets no request for
    this; a device on which they do not fit skips the launch.
    `set_aside`: percent of the L2 that the device can set aside for lines which a kernel marks to stay (evict_last).
    `chain`: the launch is a chain of launches, each with this grid and block; None is a single one.
    """

    grid: int | tuple[int, ...]
    block: int | tuple[int, ...]
    shared_bytes: int = 0
    cluster: int | tuple[int, ...] | None = None
    cooperative: bool = False
    resident: bool = False
    set_aside: int = 0
    chain: Chain | None = None
    structs: tuple[StructLayout, ...] = dataclasses.field(default=(), repr=False)
    """The parameters that are structs; a pair sets them."""

    def __repr__(self) -> str:
        """Without the fields of special launches if they are not set."""
        usual = {"cluster": None, "cooperative": False, "resident": False, "set_aside": 0, "chain": None}
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.repr}
        options = [f"{name}={value!r}" for name, value in values.items() if name not in usual or value != usual[name]]
        return f"Launch({', '.join(options)})"

    @property
    def grid_xyz(self) -> tuple[int, int, int]:
        """The grid in CTAs along x, y and z."""
        return xyz(self.grid)

    @property
    def block_xyz(self) -> tuple[int, int, int]:
        """The block in threads along x, y and z."""
        return xyz(self.block)

    @property
    def cluster_xyz(self) -> tuple[int, int, int] | None:
        """The cluster in CTAs along x, y and z; None for a launch without clusters."""
        return None if self.cluster is None else xyz(self.cluster)

    @property
    def recorded(self) -> dict[str, Any]:
        """The fields that a run document has."""
        return {
            "grid": self.grid_xyz,
            "block": self.block_xyz,
            "shared_bytes": int(self.shared_bytes),
            "cluster": self.cluster_xyz,
            "cooperative": self.cooperative,
            "launches": self.launches,
            "dependent": self.dependent,
        }

    @property
    def launches(self) -> int:
        """How many launches it is: 1, or those of its chain."""
        return 1 if self.chain is None else self.chain.launches

    @property
    def dependent(self) -> bool:
        """Whether a launch may start before the previous one in the chain has ended."""
        return self.chain is not None and self.chain.dependent

    @property
    def warps(self) -> int:
        """The warps that it starts, in all of its launches."""
        return self.launches * math.prod(self.grid_xyz) * -(-math.prod(self.block_xyz) // 32)

    def emulated(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """This launch with these arguments as `emulator.chain.run_steps` takes it, by its names."""
        taken = parameters(self.structs, arguments)
        return {
            "steps": [self.packed(step) for step in self.steps(arguments)],
            "dependent": self.dependent,
            "grid": self.grid_xyz,
            "block": self.block_xyz,
            "names": ["" if isinstance(value, StructLayout) else name for name, value in taken.items()],
            "dynamic_shared_bytes": int(self.shared_bytes),
            "cluster": self.cluster_xyz,
            "cooperative": self.cooperative,
        }

    def packed(self, arguments: Mapping[str, Any]) -> list[Any]:
        """The kernel's parameters from its arguments, in signature order: a struct as np.void, with a field for each
        member."""
        taken = parameters(self.structs, arguments)
        return [value.packed(arguments) if isinstance(value, StructLayout) else value for value in taken.values()]

    def steps(self, arguments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The arguments of each of its launches, in their order: those given, with the number of the launch."""
        if self.chain is None:
            return [arguments]
        number = self.chain.number
        return [{**arguments, number: type(arguments[number])(step)} for step in range(self.launches)]


@dataclass(frozen=True)
class OwnCta:
    """The threads and the dynamic shared memory of a CTA that a compiler chose, in place of those of the pair."""

    threads: tuple[int, int, int]
    shared_bytes: int = 0

    def of(self, launch: Launch) -> Launch:
        """The launch with this CTA."""
        return dataclasses.replace(launch, block=self.threads, shared_bytes=self.shared_bytes)


def with_structs(function: Callable[..., Launch], structs: tuple[StructLayout, ...]) -> Callable[..., Launch]:
    """A function of a pair that returns its launch, with the structs that the kernel takes."""
    if not callable(function):
        return function  # an error of the pair file, which is reported later

    @functools.wraps(function)
    def launch(**size: int) -> Launch:
        value = function(**size)
        return dataclasses.replace(value, structs=structs) if isinstance(value, Launch) else value

    return launch


def xyz(extent: int | tuple[int, ...]) -> tuple[int, int, int]:
    """`extent` padded with ones to three dimensions."""
    extents = extent if isinstance(extent, tuple) else (extent,)
    x, y, z = (*map(int, extents), 1, 1)[:3]  # int: a pair may compute with NumPy
    return x, y, z
