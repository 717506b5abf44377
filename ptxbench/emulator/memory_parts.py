"""The memory of a host thread: parts that share no cache line with those of another thread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.sharing import zeroed

LINE = 128
"""Bytes of two cache lines: processors fetch the neighbour of a line too."""
MAPPED_FROM = 1 << 20
"""From this size in bytes on, a thread's memory is mapped separately."""


class MemoryParts:
    """Zeroed memory in numbered parts; each part starts on its own cache line.

    `addresses`: where each part starts.
    """

    def __init__(self, sizes: Mapping[int, int]) -> None:
        self.sizes = sizes
        self.offsets = {}
        end = 0
        for name, size in sizes.items():
            self.offsets[name] = end
            end += -(-size // LINE) * LINE
        # NumPy clears small arrays fastest, and maps large ones in pages of 2 MB, of which only a corner is touched.
        raw = np.zeros(end + LINE, np.uint8) if end < MAPPED_FROM else zeroed(end + LINE)
        allocated = raw.ctypes.data
        start = -allocated % LINE
        self.memory = raw[start:]
        first = allocated + start
        self.addresses = {name: first + offset for name, offset in self.offsets.items()}

    def view(self, name: int) -> NDArray[np.uint8]:
        """The bytes of a part, shape (size,)."""
        return self.memory[self.offsets[name] :][: self.sizes[name]]
