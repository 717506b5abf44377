"""The probes over a device that only writes down what it was told, in which order."""

import ctypes
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.backends.gpu_probes import READINGS, GpuProbe
from ptxbench.measure.probe import Probe

L2 = 3200
"""Bytes of the cache: 100 sectors."""


class ScriptedGpu:
    """Stands for GpuBackend; `log` is what was enqueued."""

    l2_bytes = L2

    def __init__(self):
        self.log = []
        self.events = 0
        self.stream = SimpleNamespace(ptr=7, synchronize=lambda: self.log.append("synchronize"))
        runtime = SimpleNamespace(memcpyDeviceToHost=2, memcpyAsync=self.copy)
        self.cuda = SimpleNamespace(alloc=self.alloc, runtime=runtime)

    def reporting(self, name):
        return nullcontext()

    def reader(self, sectors):
        return lambda: self.log.append(f"read {sectors}")

    def spinner(self, ns):
        return lambda: self.log.append(f"spin {ns}")

    def alloc(self, size):
        self.log.append(f"alloc {size}")
        return SimpleNamespace(ptr=4096, memset_async=lambda value, n, stream: self.log.append(f"fill {n}"))

    def own_kernel(self, name):
        def launch(grid, block, arguments, shared, stream):
            self.log.append(f"{name} {grid} {block} {[int(each) for each in arguments]}")

        return launch

    def copy(self, target, source, size, kind, stream):
        self.log.append(f"copy {size}")
        values = np.arange(READINGS, dtype=np.uint64)
        ctypes.memmove(target, values.ctypes.data, size)

    def event(self):
        self.events += 1
        name = self.events

        def record():
            self.log.append(f"event {name}")
            return name

        return record

    def elapsed(self, start, stop):
        self.log.append(f"wait {start} {stop}")
        return 640


@pytest.fixture
def gpu():
    return ScriptedGpu()


def probe(gpu) -> Probe:
    return GpuProbe(gpu)


# reading, what the device is told
READINGS_AND_ORDERS = [
    (lambda probe: probe.read_after("read", 2), ["read 25", "read 200", "event 1", "read 25", "event 2", "wait 1 2"]),
    (lambda probe: probe.read_after("write", 0.5),
     ["alloc 1600", "read 25", "fill 1600", "event 1", "read 25", "event 2", "wait 1 2"]),
    (lambda probe: probe.read_after("write", 0), ["read 25", "event 1", "read 25", "event 2", "wait 1 2"]),
    (lambda probe: probe.flush_ns(2, 0), ["event 1", "read 200", "event 2", "wait 1 2"]),
    (lambda probe: probe.flush_ns(2, 9000), ["event 1", "read 200", "spin 9000", "event 2", "wait 1 2"]),
    (lambda probe: probe.event_pair_ns(), ["read 25", "event 1", "event 2", "wait 1 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("read", "told"), READINGS_AND_ORDERS)
def test_only_what_is_measured_lies_between_the_two_events(gpu, read, told):
    assert read(probe(gpu)) == 640
    assert gpu.log == told


def test_a_buffer_is_made_once(gpu):
    one = probe(gpu)
    for _ in range(3):
        one.read_after("write", 1)
    assert gpu.log.count("alloc 3200") == 1


def test_the_hosts_time_is_that_of_two_events_and_a_launch_and_of_no_waiting(gpu):
    assert probe(gpu).host_ns() > 0
    assert gpu.log == ["event 1", "read 25", "event 2", "synchronize"]


def test_the_readings_of_the_timer_come_back_whole(gpu):
    assert probe(gpu).timer_readings() == list(range(READINGS))
    assert gpu.log == ["alloc 8000", "timer_steps (1,) (1,) [4096, 1000]", "copy 8000", "synchronize"]
