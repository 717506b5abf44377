"""Holding the device: a spin that lasts while the host enqueues what is timed, so that no event waits for the host.

The host's time is measured on this machine. Needs no device itself: the backend makes all calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any, Protocol

import numpy as np

from ptxbench.backends import flush

READINGS = 1000
"""How many times the timer is read to find its step."""

TRIES = 5
"""How many times the host's time is measured."""

Action = Callable[[], None]
"""Enqueues something."""


class HeldDevice(Protocol):
    """The part of the GPU backend that this module uses."""

    @property
    def cuda(self) -> Any: ...
    @property
    def stream(self) -> Any: ...
    def own_kernel(self, name: str) -> Any: ...
    def spinner(self, nanoseconds: int) -> Action: ...
    def event(self) -> Callable[[], Any]: ...


def smallest_step(readings: Sequence[int]) -> int | None:
    """The smallest nonzero difference between any two of the readings; None if all are equal."""
    steps = [later - earlier for earlier, later in pairwise(sorted(set(readings)))]
    return min(steps, default=None)


class Hold:
    """Makes spins that are long enough."""

    def __init__(self, device: HeldDevice) -> None:
        self.device = device

    def before(self, action: Action, restore: Action = lambda: None) -> Action:
        """Returns a function that enqueues a spin until the host has enqueued `action` between two events.

        It runs `action` to measure that time, and `restore` before each of these runs.
        """

        def host_ns() -> int:
            restore()
            return self.host_ns(action)

        return self.spin(self.spin_ns(median(host_ns() for _ in range(TRIES))))

    def spin(self, nanoseconds: int) -> Action:
        """Enqueues a spin of that many nanoseconds; nothing for 0."""
        return self.device.spinner(nanoseconds) if nanoseconds else lambda: None

    def spin_ns(self, host_ns: float) -> int:
        """How long to spin while the host works for `host_ns`; 0 if the device has no timer that could end the spin."""
        return flush.spin_ns(host_ns, 0, self.step_ns) if self.step_ns else 0

    def host_ns(self, action: Action) -> int:
        """The host's time to record an event, do `action` and record another. Waits for the device afterwards."""
        record_start, record_stop = self.device.event(), self.device.event()
        started_ns = time.perf_counter_ns()
        record_start()
        action()
        record_stop()
        elapsed_ns = time.perf_counter_ns() - started_ns
        self.device.stream.synchronize()
        return elapsed_ns

    @cached_property
    def step_ns(self) -> int | None:
        """The step of the device's timer; None if it never steps."""
        return smallest_step(self.timer_readings())

    def timer_readings(self) -> Sequence[int]:
        """READINGS readings of the device's timer, one after the other."""
        readings: Any = np.zeros(READINGS, np.uint64)
        cuda, stream = self.device.cuda, self.device.stream
        memory = cuda.alloc(readings.nbytes)
        self.device.own_kernel("timer_steps")((1,), (1,), (np.uint64(memory.ptr), np.uint32(READINGS)), 0, stream)
        kind = cuda.runtime.memcpyDeviceToHost
        cuda.runtime.memcpyAsync(readings.ctypes.data, memory.ptr, readings.nbytes, kind, stream.ptr)
        stream.synchronize()
        return [int(reading) for reading in readings]
