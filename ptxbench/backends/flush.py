"""Preparations of a timed launch: how much to read so that L2 is flushed, and how long to hold the device.

Works on numbers, and on a driver that is passed in: needs no device.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MULTIPLES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0)
"""Multiples of L2 that a calibration tries."""

ENOUGH = 0.99
"""A share of the longest time of a launch after a flush: the smallest flush that reaches it is sufficient."""

AHEAD = 1.5
"""The device must be busy for this many times the host's time to enqueue a launch."""

HOLD = 2
"""If the device would not be busy that long, it is held for this many times the host's time, which varies."""

PERSISTING_L2 = 6
"""CU_LIMIT_PERSISTING_L2_CACHE_SIZE of the driver's CUlimit."""


@dataclass(frozen=True)
class Flush:
    """How a sample begins: a read of `times` L2, then a spin of `spin_ns` nanoseconds, if any."""

    times: float = 2.0
    """Replacement is not strictly least-recently-used, and large caches are hashed over two halves."""
    spin_ns: int = 0


def choose(curve: Mapping[float, float]) -> float:
    """The smallest flush after which a launch takes as long as after any; `curve`: nanoseconds by multiple of L2."""
    return min(times for times, ns in curve.items() if ns >= ENOUGH * max(curve.values()))


def spin_ns(host_ns: float, flush_ns: float, timer_step_ns: int) -> int:
    """How long to spin after a flush of `flush_ns`, so that a host that enqueues in `host_ns` is ahead; 0: no spin.

    Whole steps of the timer that ends the spin, and one more, because its first reading may be one step old.
    """
    if flush_ns >= AHEAD * host_ns:
        return 0
    return (math.ceil(HOLD * host_ns / timer_step_ns) + 1) * timer_step_ns


def forget_persisting(driver: Any) -> bool:
    """Keep no persisting lines in L2; False if the driver or the device does not support such lines.

    `driver`: NVIDIA's library, loaded by ctypes; a context must be current. CuPy lacks these calls.
    """
    try:
        limited = driver.cuCtxSetLimit(PERSISTING_L2, ctypes.c_size_t(0))
        return bool(limited == driver.cuCtxResetPersistingL2Cache() == 0)
    except AttributeError:  # a driver from before CUDA 11
        return False


MARKING = re.compile(r"evict_last|cache_hint")
"""What PTX that can mark lines of L2 as persisting contains: a priority, or a policy, which may be a plain number."""


def marks_lines(ptx: str) -> bool:
    """Whether a kernel can leave lines in L2 that a sweep does not evict."""
    return MARKING.search(ptx) is not None
