"""Graphs that restore the arrays of a kernel between its launches, on the simulated device, in virtual time."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import toolchain
from ptxbench.backends.gpu import GpuBackend
from ptxbench.errors import DeviceError
from ptxbench.pair import Launch, f32, u32
from tests import simulated

PATH = Path(__file__).parents[1] / "gpu" / "ptx" / "accumulates.ptx"
N = 1 << 17  # 512 KiB an array
EXACT = {"like": "small", "noise": 0.0, "event_ns": 1, "kernel_ns": 5000}
FREE = {"memory_rate": 1e18, "l2_rate": 1e18}
"""Moving data takes no time."""


@pytest.fixture(scope="module")
def launches(tmp_path_factory):
    return tmp_path_factory.mktemp("launches")


@pytest.fixture
def clock(monkeypatch, tmp_path, launches):
    """A clock of the kernel on a device with these figures."""

    def clock(cache="cold", updated=("y",), scratch=("ticket",), **figures):
        simulated.install(monkeypatch, tmp_path, device={**EXACT, **figures}, launches=str(launches))
        backend = GpuBackend()
        assert backend.unavailable() is None
        build = toolchain.build(PATH, language="ptx", variant="ptx", entry="accumulates", arch="sm_90")
        arguments = {"x": np.full(N, 0.5, f32), "y": np.ones(N, f32), "ticket": np.zeros(1, u32)}
        how = {"updated": updated, "scratch": scratch, "cache": cache}
        return backend.clock(build, Launch(N // 256, 256), arguments, ("y", "ticket"), **how)

    return clock


def slope(clock, k=16):
    short, long = clock.enqueue_graph(k), clock.enqueue_graph(2 * k)
    first = short()
    return (long() - first) / k


@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_restoring_between_launches_is_not_timed(clock, cache):
    gpu_clock = clock(cache, **FREE)
    once = gpu_clock.enqueue()()
    assert once >= 5000
    assert slope(gpu_clock) == pytest.approx(once, abs=2)
    assert slope(gpu_clock) == pytest.approx(once, abs=2)  # captured before
    gpu_clock.enqueue()()
    assert set(gpu_clock.outputs()["y"].tolist()) == {1.5}


def test_a_cold_launch_of_a_graph_finds_its_in_out_array_out_of_l2_too(clock):
    """The time exceeds a single launch by memory writes: of its result, and at most of the restored arrays."""
    gpu_clock = clock()
    once = gpu_clock.enqueue()()
    moved = 1e9 * 4 * N / 0.3e12
    assert once > 5000 + 2 * moved
    assert once + moved - 2 <= slope(gpu_clock) <= once + 2 * moved + 2


def test_a_warm_launch_of_a_graph_finds_everything_in_l2(clock):
    gpu_clock = clock("warm")
    assert slope(gpu_clock) == pytest.approx(gpu_clock.enqueue()(), rel=0.01)
    assert slope(gpu_clock) < 5000 + 1e9 * 4 * N / 0.3e12


@pytest.mark.parametrize("left_out", [{"scratch": ()}, {"updated": ()}])
def test_a_kernel_whose_arrays_are_not_restored_shows_it(clock, left_out):
    """So the tests above would fail without a restore."""
    gpu_clock = clock(**FREE, **left_out)
    with pytest.raises(DeviceError):
        gpu_clock.enqueue_graph(8)()
