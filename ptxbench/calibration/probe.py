"""What a calibration asks of a device beyond kernels and their clocks, in nanoseconds. Says nothing of what is good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

How = Literal["read", "write"]
"""A flush reads a buffer, and leaves clean lines in L2, or fills it, and leaves dirty ones."""


class Probe(Protocol):
    """Each method takes one reading, but for `timer_readings`."""

    def exclusive(self) -> bool:
        """Whether only one process at a time may use the device, by its compute mode."""
        ...

    def read_after(self, how: How, times: float) -> int:
        """How long the reading of a quarter of L2 takes that was read before, and then `times` L2 flushed."""
        ...

    def flush_ns(self, times: float, spin_ns: int) -> int:
        """How long the device is busy with the reading of `times` L2 and a spin of `spin_ns`; 0 is none."""
        ...

    def host_ns(self) -> int:
        """How long the host takes to record an event, launch a kernel and record another."""
        ...

    def event_pair_ns(self) -> int:
        """What two events with nothing between them lie apart."""
        ...

    def timer_readings(self) -> Sequence[int]:
        """A thousand readings of the device's timer, one after the other."""
        ...
