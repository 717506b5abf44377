"""The layout of a kernel's own shared and local memory, in a sanitized launch with a zone after each variable.

PTX promises the alignment of variables, but neither their order nor their distance. (PTX ISA, "Alignment".) So an
access beyond a variable is an error, whatever it reaches. In a sanitized launch it reaches a zone, which belongs to no
variable. Data only: the parent process needs no LLVM to read it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptxbench.emulator.syntax import Function, Module, Variable
from ptxbench.emulator.variables import assign_offsets, local_variables, shared_variables

SHARED_ZONE = 1024
"""Bytes. The lower ten bits of each address stay, so that bank conflicts, alignments and swizzles are the same."""
LOCAL_ZONE = 64
MOST_ZONE_BYTES = 28 << 10
"""All zones. With the driver's bytes and 227 KiB they take the 256 KiB that a matrix descriptor can address."""


@dataclass(frozen=True)
class PlacedVariable:
    """A variable in shared or local memory. `moved`: the bytes of the zones below it."""

    space: str
    name: str
    offset: int
    size: int
    """0 for dynamic shared memory."""
    moved: int


@dataclass(frozen=True)
class OwnMemory:
    """The offsets of a kernel's variables in shared and in local memory, and the bytes of each, with zones.

    `variables`: in ascending order, of each memory with zones. `shared_zones`, `local_zones`: the bytes of zones.
    """

    shared: Mapping[str, int]
    shared_bytes: int
    shared_zones: int
    local: Mapping[str, int]
    local_bytes: int
    local_zones: int
    variables: tuple[PlacedVariable, ...]
    has_dynamic: bool
    """Whether accesses may reach dynamic shared memory: with zones, only if the kernel declares it."""

    @property
    def by_name(self) -> dict[str, PlacedVariable]:
        return {variable.name: variable for variable in self.variables}


def lay_out_own(module: Module, function: Function, *, reserved: int, zoned: bool) -> OwnMemory:
    """The layout. `reserved`: the driver's bytes in front of shared memory. `zoned`: whether there are zones."""
    of_cta = shared_variables(module, function)
    static = [variable for variable in of_cta if variable.count is not None]
    shared, shared_end = place(of_cta, "shared", reserved, len(static), SHARED_ZONE * zoned)
    of_thread = local_variables(function)
    declared = [variable for variable in of_thread if variable.space == "local"]
    local, local_end = place(of_thread, "local", 0, len(declared), LOCAL_ZONE * zoned)
    return OwnMemory(
        {variable.name: variable.offset for variable in shared},
        shared_end,
        shared[-1].moved if shared else 0,
        {variable.name: variable.offset for variable in local},
        -(-local_end // 16) * 16,
        local[-1].moved if local else 0,
        tuple(variable for placed in (shared, local) if placed and placed[-1].moved for variable in placed),
        not zoned or len(static) < len(of_cta),
    )


def place(
    variables: Sequence[Variable], space: str, start: int, zones: int, zone: int
) -> tuple[list[PlacedVariable], int]:
    """The variables from `start` on, and their end. The first `zones` of them, or as many as there is room for, have a
    zone of at least `zone` bytes after them, if another variable follows."""
    offsets, end = assign_offsets(variables)
    step = max((zone, *(variable.align for variable in variables))) if zone else 0
    most = min(zones, MOST_ZONE_BYTES // step) if step else 0
    placed = []
    for number, variable in enumerate(variables):
        moved = step * min(number, most)
        offset = start + offsets[variable.name] + moved
        placed.append(PlacedVariable(space, variable.name, offset, variable.size_bytes, moved))
    return placed, start + end + (placed[-1].moved if placed else 0)


def zones(variables: Sequence[PlacedVariable], space: str) -> Iterator[tuple[int, int]]:
    """The ranges of bytes of the zones in shared or in local memory."""
    for before, after in itertools.pairwise(variable for variable in variables if variable.space == space):
        if after.moved > before.moved:
            yield before.offset + before.size, after.offset


def zone_granules(variables: Sequence[PlacedVariable], space: str, granule: int) -> Iterator[slice]:
    """The granules of shadow that lie in a zone as a whole."""
    for start, end in zones(variables, space):
        yield slice(-(-start // granule), end // granule)


def finest(variables: Sequence[PlacedVariable], space: str, granule: int) -> int:
    """The granule with which each zone starts at a granule: `granule` or less."""
    for start, _ in zones(variables, space):
        granule = min(granule, start & -start)
    return granule
