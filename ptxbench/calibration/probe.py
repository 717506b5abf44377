"""The readings that a calibration takes from a device, apart from kernels and their clocks, in nanoseconds.

It does not judge them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

FlushKind = Literal["read", "write"]
"""A flush either reads a buffer and leaves clean lines in L2, or fills it and leaves dirty lines."""


class Probe(Protocol):
    """Each method takes one reading, except `timer_readings`."""

    def exclusive(self) -> bool:
        """Whether only one process at a time may use the device, by its compute mode."""
        ...

    def read_after(self, how: FlushKind, times: float) -> int:
        """The time to read a quarter of L2 that was read before and then flushed with `times` L2."""
        ...

    def flush_ns(self, times: float, spin_ns: int) -> int:
        """How long the device is busy reading `times` L2 and spinning for `spin_ns`; 0: no spin."""
        ...

    def host_ns(self) -> int:
        """How long the host takes to record an event, launch a kernel and record another."""
        ...

    def event_pair_ns(self) -> int:
        """The time between two events with nothing between them."""
        ...

    def timer_readings(self) -> Sequence[int]:
        """A thousand readings of the device's timer, one after the other."""
        ...
