"""The probes on a fake device that only records its calls in order."""

import ctypes
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.backends import gpu_probes, hold
from ptxbench.backends.event_clock import EventClock
from ptxbench.backends.gpu_probes import GpuProbe
from ptxbench.backends.hold import READINGS, Hold
from ptxbench.calibration.probe import Probe
from ptxbench.errors import DeviceError

L2 = 3200
"""Bytes of the cache: 100 sectors."""


class Machine:
    """A host that needs `host` ns for each call, and a device that works through its queue.

    `log` is what was enqueued. The timer of the device steps by `step`; `late` calls are slow ones, by their number.
    """

    l2_bytes = L2

    def __init__(self, host=3_000, step=32, late=None):
        self.host, self.step, self.late = host, step, late or {}
        self.log, self.calls, self.now, self.free = [], 0, 1_000_000, 0
        self.stream = SimpleNamespace(ptr=7, synchronize=self.synchronize)
        runtime = SimpleNamespace(memcpyDeviceToHost=2, memcpyAsync=self.copy)
        self.cuda = SimpleNamespace(alloc=self.alloc, runtime=runtime)
        self.hold = Hold(self)

    def perf_counter_ns(self):
        return self.now

    def reporting(self, name=""):
        return nullcontext()

    def enqueue(self, words, ns):
        """The device starts when it is free and the host has enqueued the work."""
        self.calls += 1
        self.now += self.late.get(self.calls, self.host)
        self.log.append(words)
        self.free = max(self.free, self.now) + ns
        return self.free

    def synchronize(self):
        self.log.append("synchronize")
        self.now = max(self.now, self.free)

    def reader(self, sectors):
        return lambda: self.enqueue(f"read {sectors}", 40 * sectors)

    def spinner(self, ns):
        return lambda: self.enqueue(f"spin {ns}", ns - self.step // 2)

    def alloc(self, size):
        self.log.append(f"alloc {size}")
        return SimpleNamespace(ptr=4096, memset_async=lambda value, n, stream: self.enqueue(f"fill {n}", n))

    def own_kernel(self, name):
        def launch(grid, block, arguments, shared, stream):
            self.enqueue(f"{name} {grid} {block} {[int(argument) for argument in arguments]}", 0)

        return launch

    def copy(self, target, source, size, kind, stream):
        self.log.append(f"copy {size}")
        values = np.arange(READINGS, dtype=np.uint64) // 3 * self.step
        ctypes.memmove(target, values.ctypes.data, size)

    def event(self):
        return lambda: self.enqueue("event", 0)

    def elapsed(self, start, stop):
        self.synchronize()
        self.log[-1] = "wait"
        return stop - start

    def taken(self):
        taken, self.log = self.log, []
        return taken


@pytest.fixture
def machine(monkeypatch):
    def make(**changes):
        scripted = Machine(**changes)
        for module in (gpu_probes, hold):
            monkeypatch.setattr(module, "time", scripted)
        return scripted

    return make


def probe(machine) -> Probe:
    gpu_probe = GpuProbe(machine)
    gpu_probe.held_ns  # noqa: B018  what it takes to know the host is not part of a reading
    machine.taken()
    return gpu_probe


SPIN = "spin 24032"  # twice the 12 us of two events and two launches, in steps of 32 ns, and one more

# reading, the calls of the device
READINGS_AND_ORDERS = [
    (lambda probe: probe.read_after("read", 2), ["read 25", "read 200", SPIN, "event", "read 25", "event", "wait"]),
    (lambda probe: probe.read_after("write", 0.5),
     ["alloc 1600", "read 25", "fill 1600", SPIN, "event", "read 25", "event", "wait"]),
    (lambda probe: probe.read_after("write", 0), ["read 25", SPIN, "event", "read 25", "event", "wait"]),
    (lambda probe: probe.flush_ns(2, 0), [SPIN, "event", "read 200", "event", "wait"]),
    (lambda probe: probe.flush_ns(2, 9000), [SPIN, "event", "read 200", "spin 9000", "event", "wait"]),
    (lambda probe: probe.event_pair_ns(), [SPIN, "event", "event", "wait"]),
]  # fmt: skip


@pytest.mark.parametrize(("read", "order"), READINGS_AND_ORDERS)
def test_only_the_measured_work_lies_between_the_two_events(machine, read, order):
    device = machine()
    read(probe(device))
    assert device.log == order


@pytest.mark.parametrize("host", [500, 3_000, 8_000, 20_000])
@pytest.mark.parametrize("step", [32, 1_024])
def test_a_reading_is_the_devices_time_however_slow_the_host_is(machine, host, step):
    gpu_probe = probe(machine(host=host, step=step))
    assert gpu_probe.read_after("read", 0) == gpu_probe.read_after("read", 2) == 25 * 40
    assert gpu_probe.flush_ns(2, 0) == 200 * 40
    assert gpu_probe.flush_ns(2, 10 * step) == 200 * 40 + 10 * step - step // 2
    assert gpu_probe.event_pair_ns() == 0


def test_if_the_host_is_late_once_the_reading_is_repeated_with_a_longer_spin(machine):
    device = machine(host=3_000)
    gpu_probe = probe(device)
    device.late = {device.calls + 5: 90_000}  # the launch between the two events
    assert gpu_probe.read_after("read", 0) == 25 * 40
    spins = [entry for entry in device.log if entry.startswith("spin")]
    assert spins == [SPIN, "spin 198048"]


def test_a_host_that_is_always_late_is_reported(machine):
    device = machine()
    gpu_probe = probe(device)
    device.late = {device.calls + 1 + i: 30_000 * 4 ** (i // 3) for i in range(30)}
    with pytest.raises(DeviceError, match=r"was late 8 times\. Stop other work on this machine\."):
        gpu_probe.event_pair_ns()


def test_a_device_whose_timer_never_steps_is_read_without_a_spin(machine):
    device = machine(step=0)
    gpu_probe = probe(device)
    assert gpu_probe.event_pair_ns() == 3_000
    assert device.log == ["event", "event", "wait"]


@pytest.mark.parametrize("host", [3_000, 20_000, 400_000])  # for a graph of 1,024 nodes some drivers need that long
def test_a_graph_is_timed_without_the_hosts_time(machine, host):
    device = machine(host=host)
    clock = EventClock(
        lambda launch: None, lambda: None, device.event, device.elapsed, device.reporting,
        lambda launches: lambda: device.enqueue(f"graph of {launches}", 2_000 * launches), hold=device.hold.before,
    )  # fmt: skip
    assert [clock.enqueue_graph(launches)() for launches in (8, 16, 8)] == [16_000, 32_000, 16_000]
    device.taken()
    clock.refilled = clock.reloaded = lambda *data: [lambda: None]
    clock.refill({})
    clock.reload(2)
    clock.enqueue_graph(8)()  # a graph of new modules or data does not run before the sample that it is for
    spin = device.hold.spin_ns(3 * host)
    assert device.log == [f"spin {spin}", "event", "graph of 8", "event", "wait"]


def test_a_buffer_is_made_once(machine):
    device = machine()
    first = probe(device)
    for _ in range(3):
        first.read_after("write", 1)
    assert device.log.count("alloc 3200") == 1


def test_the_hosts_time_covers_two_events_and_a_launch_without_waiting(machine):
    device = machine(host=3_000)
    gpu_probe = probe(device)
    assert gpu_probe.host_ns() == 9_000
    assert device.log == ["event", "read 25", "event", "synchronize"]


def test_all_readings_of_the_timer_are_returned(machine):
    device = machine()
    assert probe(device).timer_readings() == [32 * (i // 3) for i in range(READINGS)]
    assert device.log == ["alloc 8000", "timer_steps (1,) (1,) [4096, 1000]", "copy 8000", "synchronize"]
