"""The probes of a calibration on the local GPU. Only calls: other modules judge the readings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache, cached_property
from statistics import median
from typing import Literal

from ptxbench.backends import buffers
from ptxbench.backends.gpu import GpuBackend
from ptxbench.backends.hold import TRIES, Action
from ptxbench.errors import DeviceError
from ptxbench.units import si

COMPUTE_MODE, EXCLUSIVE = 20, 3
"""cudaDevAttrComputeMode, and cudaComputeModeExclusiveProcess."""

NAME = "calibration"
"""The kernel in the message of a failure."""

ATTEMPTS = 8
"""Attempts at a reading, each with a longer spin than the one before, until the host was in time."""


class GpuProbe:
    """See calibration.probe.Probe. Buffers are made when they are first needed, never in a timed part.

    Every reading is taken while a spin holds the device, so that the events time the device and not the host.
    """

    def __init__(self, gpu: GpuBackend) -> None:
        self.gpu = gpu
        self.reader = cache(self.make_reader)
        self.filler = cache(self.make_filler)
        self.spinner = cache(gpu.spinner)

    def exclusive(self) -> bool:
        with self.gpu.reporting(NAME):
            return bool(self.gpu.cuda.runtime.deviceGetAttribute(COMPUTE_MODE, 0) == EXCLUSIVE)

    def read_after(self, how: Literal["read", "write"], times: float) -> int:
        with self.gpu.reporting(NAME):
            flush = self.reader(times) if how == "read" else self.filler(times)
            return self.timed(self.probe, before=(self.probe, flush))

    def flush_ns(self, times: float, spin_ns: int) -> int:
        with self.gpu.reporting(NAME):
            return self.timed(self.reader(times), *([self.spinner(spin_ns)] if spin_ns else []))

    def host_ns(self) -> int:
        with self.gpu.reporting(NAME):
            return self.gpu.hold.host_ns(self.probe)

    def event_pair_ns(self) -> int:
        with self.gpu.reporting(NAME):
            return self.timed()

    def timer_readings(self) -> Sequence[int]:
        with self.gpu.reporting(NAME):
            return self.gpu.hold.timer_readings()

    def timed(self, *actions: Action, before: Sequence[Action] = ()) -> int:
        """How long the device takes for `actions` after it has finished `before`.

        If the host was late, the reading is repeated with a longer hold. Raises DeviceError if it is always late.
        """
        spin_ns = self.held_ns
        for _ in range(ATTEMPTS):
            record_start, record_stop = self.gpu.event(), self.gpu.event()
            for prepare in before:
                prepare()
            started_ns = time.perf_counter_ns()
            if spin_ns:
                self.spinner(spin_ns)()
            start = record_start()
            for action in actions:
                action()
            stop = record_stop()
            host_ns = time.perf_counter_ns() - started_ns
            ns = self.gpu.elapsed(start, stop)
            if not spin_ns or host_ns <= spin_ns - (self.gpu.hold.step_ns or 0):  # a spin may end a step early
                return ns
            spin_ns = self.gpu.hold.spin_ns(host_ns)
        raise DeviceError(
            f"{NAME}: the host took {si(host_ns / 1e9, 's')} to enqueue a launch and was late {ATTEMPTS} times. "
            "Stop other work on this machine."
        )

    @cached_property
    def held_ns(self) -> int:
        """How long the device is held before a first reading; 0 if it has no timer that could end a spin."""
        probe, hold = self.probe, self.gpu.hold

        def launches() -> None:  # what is timed, and the spin
            probe()
            probe()

        return hold.spin_ns(median(hold.host_ns(launches) for _ in range(TRIES)))

    @cached_property
    def probe(self) -> Action:
        """Reads a quarter of L2."""
        return self.gpu.reader(self.sectors(0.25))

    def make_reader(self, times: float) -> Action:
        return self.gpu.reader(self.sectors(times))

    def make_filler(self, times: float) -> Action:
        """Fills `times` L2 with zeros."""
        size = self.sectors(times) * buffers.SECTOR_BYTES
        if not size:
            return lambda: None
        memory = self.gpu.cuda.alloc(size)
        return lambda: memory.memset_async(0, size, self.gpu.stream)

    def sectors(self, times: float) -> int:
        return buffers.sweep_sectors(self.gpu.l2_bytes, times)
