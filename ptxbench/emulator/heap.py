"""The device heap of a launch, for malloc and free in CUDA C. It uses first fit, so that addresses never vary."""

from __future__ import annotations

import bisect

HEAP_BYTES = 8 << 20
"""The default size of a CUDA device's heap (cudaLimitMallocHeapSize), in bytes."""
UNIT = 16
"""Alignment of blocks and gap between two, in bytes: an access a little past a block does not hit the next one."""
COUNT_BYTES = 8
"""For `new T[n]` with a constructor and no destructor, NVRTC and nvcc store n in front of the block, where malloc has
reserved nothing, and never read it: `st.u64 [%block+-8], %n`."""
MOST_CHECKED = 1024
"""Up to this many blocks, each has its own bounds; above, accesses are checked against the whole heap."""


class Heap:
    """`base`: the address of its first byte; 0 if the kernel has no heap. `margin`: bytes in front of each block that
    the kernel may use too."""

    def __init__(self, base: int, margin: int = 0) -> None:
        self.base, self.margin = base, margin
        self.blocks: dict[int, int] = {}
        """Bytes of each block, by address."""
        self.allocated: list[tuple[int, int]] = []
        """Address and bytes of the first MOST_CHECKED blocks, freed ones included: for messages."""
        self.gaps: list[tuple[int, int]] = [(0, HEAP_BYTES)]
        """Free ranges: offset and length, ascending, never adjacent."""

    def allocate(self, size: int) -> int:
        """The address of a new block; 0 if `size` is 0 or there is no room."""
        needed = -(-size // UNIT) * UNIT + UNIT
        if size == 0:
            return 0
        for index, (offset, length) in enumerate(self.gaps):
            if length >= needed:
                remaining = (offset + needed, length - needed)
                self.gaps[index : index + 1] = [remaining] if remaining[1] else []
                self.blocks[self.base + offset] = size
                if len(self.allocated) < MOST_CHECKED:
                    self.allocated.append((self.base + offset, size))
                return self.base + offset
        return 0

    def release(self, address: int) -> bool:
        """Free a block; returns False if `address` is not the address of a block."""
        size = self.blocks.pop(address, None)
        if size is None:
            return False
        offset, length = address - self.base, -(-size // UNIT) * UNIT + UNIT
        index = bisect.bisect(self.gaps, (offset, 0))
        if index < len(self.gaps) and self.gaps[index][0] == offset + length:
            length += self.gaps.pop(index)[1]
        if index and sum(self.gaps[index - 1]) == offset:
            index -= 1
            previous = self.gaps.pop(index)
            offset, length = previous[0], previous[1] + length
        self.gaps.insert(index, (offset, length))
        return True

    def bounds(self) -> list[tuple[int, int]]:
        """The accessible ranges: first address and end of each."""
        if len(self.blocks) > MOST_CHECKED:
            return [(self.base - self.margin, self.base + HEAP_BYTES)]
        return [(address - self.margin, address + size) for address, size in self.blocks.items()]
