"""The probes of a calibration on the local GPU. Calls and nothing else: what they tell is judged elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np

from ptxbench.backends import buffers
from ptxbench.backends.gpu import GpuBackend

READINGS = 1000

NAME = "calibration"
"""The kernel in the message of a failure."""

Action = Callable[[], None]
"""Enqueues something."""


class GpuProbe:
    """See measure.probe.Probe. Buffers are made the first time that they are needed, never in a timed part."""

    def __init__(self, gpu: GpuBackend) -> None:
        self.gpu = gpu
        self.reader = cache(self.make_reader)
        self.filler = cache(self.make_filler)
        self.spinner = cache(gpu.spinner)

    def read_after(self, how: Literal["read", "write"], times: float) -> int:
        with self.gpu.reporting(NAME):
            flush = self.reader(times) if how == "read" else self.filler(times)
            return self.timed(self.probe, before=(self.probe, flush))

    def flush_ns(self, times: float, spin_ns: int) -> int:
        with self.gpu.reporting(NAME):
            return self.timed(self.reader(times), *([self.spinner(spin_ns)] if spin_ns else []))

    def host_ns(self) -> int:
        with self.gpu.reporting(NAME):
            probe, record_start, record_stop = self.probe, self.gpu.event(), self.gpu.event()
            begun = time.perf_counter_ns()
            record_start()
            probe()
            record_stop()
            passed = time.perf_counter_ns() - begun
            self.gpu.stream.synchronize()
            return passed

    def event_pair_ns(self) -> int:
        with self.gpu.reporting(NAME):
            return self.timed(before=(self.probe,))  # so that both events wait together for the device

    def timer_readings(self) -> Sequence[int]:
        readings: Any = np.zeros(READINGS, np.uint64)
        cuda, stream = self.gpu.cuda, self.gpu.stream
        with self.gpu.reporting(NAME):
            memory = cuda.alloc(readings.nbytes)
            self.gpu.own_kernel("timer_steps")((1,), (1,), (np.uint64(memory.ptr), np.uint32(READINGS)), 0, stream)
            kind = cuda.runtime.memcpyDeviceToHost
            cuda.runtime.memcpyAsync(readings.ctypes.data, memory.ptr, readings.nbytes, kind, stream.ptr)
            stream.synchronize()
        return [int(each) for each in readings]

    def timed(self, *actions: Action, before: Sequence[Action] = ()) -> int:
        """How long the device takes for `actions` once it is done with what is `before`."""
        record_start, record_stop = self.gpu.event(), self.gpu.event()
        for each in before:
            each()
        start = record_start()
        for each in actions:
            each()
        return self.gpu.elapsed(start, record_stop())

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
