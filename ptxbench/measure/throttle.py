"""Which blocks count. A block is dropped whole, because of its clock or its heat, never because of its time."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ptxbench.backends.base import BlockState

REASONS = {
    0x8: "hardware slowdown",
    0x20: "thermal, by the driver",
    0x40: "thermal, by the hardware",
    0x80: "power brake",
}
"""Bits of NVML's clock event reasons that drop a block. The power cap, 0x4, is normal for a large kernel."""


def throttled(state: BlockState) -> str | None:
    """Why the device says that a block does not count; None if it counts."""
    return next((name for bit, name in REASONS.items() if state.reasons & bit), None)


def dropped(states: Sequence[BlockState], slow_clock: float) -> dict[int, str]:
    """The blocks of a round that do not count, by index, with the reason.

    A clock is slow if it is below the share `slow_clock` of the median of the round's blocks. So a card that always
    runs below its nominal clock keeps its samples.
    """
    clocks = [state.clock_mhz for state in states if state.clock_mhz is not None]
    least = slow_clock * median(clocks) if clocks else 0.0
    reasons = {}
    for index, state in enumerate(states):
        slow = state.clock_mhz is not None and state.clock_mhz < least
        if reason := throttled(state) or ("clock" if slow else None):
            reasons[index] = reason
    return reasons


def pause(times: int) -> float:
    """Seconds to rest after this many throttled blocks in a row: 75 ms, then 1.5 times as long each time, up to 2 s."""
    return min(2.0, 0.05 * 1.5**times)
