"""What goes before a timed launch: how much to read so that L2 forgets, and how long to hold the device.

Over numbers alone, and a driver that is passed in: needs no device.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MULTIPLES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0)
"""Of L2, that a calibration tries."""

ENOUGH = 0.99
"""Of the longest time of a launch after a flush: the least flush that reaches it leaves nothing behind."""

AHEAD = 1.5
"""How many times as long as the host needs to enqueue a launch must what goes before it take on the device."""

HOLD = 2
"""How many times as long the device is held where it would not take so long: some room, for the host's time varies."""

PERSISTING_L2 = 6
"""CU_LIMIT_PERSISTING_L2_CACHE_SIZE of the driver's CUlimit."""


@dataclass(frozen=True)
class Flush:
    """How a sample begins: `times` L2 is read, then the device spins for `spin_ns` nanoseconds, if any."""

    times: float = 2.0
    """Replacement is not strictly least-recently-used, and large caches are hashed over two halves."""
    spin_ns: int = 0


def choose(curve: Mapping[float, float]) -> float:
    """The least flush after which a launch takes as long as after any; `curve`: nanoseconds by multiple of L2."""
    return min(times for times, ns in curve.items() if ns >= ENOUGH * max(curve.values()))


def spin_ns(host_ns: float, flush_ns: float, timer_step_ns: int) -> int:
    """How long to spin after a flush of `flush_ns`, for the host to be ahead that enqueues in `host_ns`; 0: not at all.

    Whole steps of the timer by which the spin ends, and one more, since its first reading may be as old as a step.
    """
    if flush_ns >= AHEAD * host_ns:
        return 0
    return (math.ceil(HOLD * host_ns / timer_step_ns) + 1) * timer_step_ns


def forget_persisting(driver: Any) -> bool:
    """Let nothing stay in L2 for being marked as persisting; False where the driver or the device knows no such lines.

    `driver`: NVIDIA's library, loaded by ctypes; the context must be current. CuPy has neither call.
    """
    try:
        limited = driver.cuCtxSetLimit(PERSISTING_L2, ctypes.c_size_t(0))
        return bool(limited == driver.cuCtxResetPersistingL2Cache() == 0)
    except AttributeError:  # a driver from before CUDA 11
        return False


MARKING = re.compile(r"evict_last|cache_hint")
"""What PTX that can mark lines of L2 as persisting contains: a priority, or a policy that may be a plain number."""


def marks_lines(ptx: str) -> bool:
    """Whether a kernel can leave lines in L2 that a sweep does not push out."""
    return MARKING.search(ptx) is not None
