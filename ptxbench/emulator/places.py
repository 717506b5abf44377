"""Names of the bytes of a kernel's own memory, for messages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ptxbench.emulator.layout import Site, Translation
from ptxbench.emulator.runtime import context
from ptxbench.emulator.zones import PlacedVariable
from ptxbench.kernel_names import demangled

JUST_BEFORE = 128
"""Bytes before a variable that belong to it in messages; most accesses to a zone are past the end of a variable."""


@dataclass(frozen=True)
class OwnPlaces:
    """The shared and the local memory of a launch's kernel. Bytes count from the kernel's own first byte, without zones
    (zones.py)."""

    translation: Translation
    dynamic_shared_bytes: int

    def size(self, space: str) -> int:
        """The bytes of the memory."""
        size = self.translation.local_bytes
        if space == "shared":
            size = self.translation.own_shared_bytes + self.dynamic_shared_bytes * self.translation.has_dynamic
        return size - max((variable.moved for variable in self.in_space(space)), default=0)

    def byte(self, space: str, address: int) -> int:
        """The byte's index; negative for an address below the kernel's own memory."""
        moved = max((variable.moved for variable in self.in_space(space) if variable.offset <= address), default=0)
        if space != "shared":
            return address - moved
        wrapped = 1 << 32 if address >= 1 << 31 else 0
        return address - self.translation.reserved_bytes - wrapped - (0 if wrapped else moved)

    def in_zone(self, space: str, address: int) -> str | None:
        """If the address is in a zone, what it is beyond: "byte 132 of 'tile', which has 128"."""
        for before, after in itertools.pairwise(self.in_space(space)):
            beyond, ahead = address - before.offset - before.size, after.offset - address
            if beyond >= 0 and ahead > 0 and after.moved > before.moved:
                variable = after if ahead < min(beyond, JUST_BEFORE) else before
                return self.named(variable, address - variable.offset)
        return None

    def beyond(self, site: Site, address: int) -> str | None:
        """What an access in shared or local memory is beyond, if it leaves the variable in which it must stay:
        "byte 132 of 'tile', which has 128"."""
        for variable in self.translation.variables:
            size = variable.size or self.dynamic_shared_bytes
            byte = address - variable.offset - (1 << 32 if address >= 1 << 31 else 0)
            if variable.name == site.variable and not 0 <= byte <= size - site.bytes:
                return self.named(variable, size if 0 <= byte < size else byte)
        return None

    def named(self, variable: PlacedVariable, byte: int) -> str:
        size = variable.size or self.dynamic_shared_bytes
        name = variable.name.rpartition(":")[2].partition("@")[0]  # without its inlined function and its scope
        return f"byte {byte} of '{demangled(name)}', which has {size}"

    def in_cluster(self, address: int) -> str:
        """The name of a byte of shared::cluster."""
        byte = self.byte("shared", address & (1 << context.RANK_BITS) - 1)
        return f"byte {byte} of the shared memory of the CTA of rank {address >> context.RANK_BITS} in the cluster"

    def in_space(self, space: str) -> list[PlacedVariable]:
        return [variable for variable in self.translation.variables if variable.space == space]
