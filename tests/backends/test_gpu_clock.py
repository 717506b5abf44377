"""The GPU backend's clock on a fake CUDA that only records its calls: which module and which data it uses."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.arrays import poison
from ptxbench.backends.device_limits import LaunchLimits
from ptxbench.backends.gpu import GpuBackend
from ptxbench.backends.launching import Launcher
from ptxbench.pair import Launch, f32
from ptxbench.result import BuildReport
from ptxbench.toolchain import Build

BUILD = Build("ptx", "ptx", "scale", "sm_90", Path("scale.ptx"), "", b"image", BuildReport("", ""))


class Cuda:
    """`log`: modules that are loaded, kernels that are launched (module, arguments) and host data that are copied."""

    def __init__(self):
        self.log = []
        self.modules = 0
        self.allocated = 0
        self.runtime = SimpleNamespace(
            memcpyAsync=self.copy, memsetAsync=lambda *arguments: None, memcpyHostToDevice="up",
            memcpyDeviceToDevice="across", memcpyDeviceToHost="down",
            getDeviceProperties=lambda device: {"l2CacheSize": 1 << 20}, memGetInfo=lambda: (1 << 40, 1 << 40),
            CUDARuntimeError=KeyError,
        )  # fmt: skip
        self.driver = SimpleNamespace(
            funcGetAttribute=lambda attribute, function: 0, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES=0,
            CUDADriverError=KeyError,
        )  # fmt: skip
        self.memory = SimpleNamespace(OutOfMemoryError=KeyError)
        self.function = SimpleNamespace(Module=self.module)
        self.Event = lambda: SimpleNamespace(record=lambda stream: None, synchronize=lambda: None)

    def get_elapsed_time(self, start, stop):
        return 0.001

    def alloc(self, size):
        self.allocated += 1
        return SimpleNamespace(ptr=self.allocated << 32)

    def copy(self, to, source, size, kind, stream):
        if kind == "up" and size == 16:
            self.log.append("upload")

    def module(self):
        self.modules += 1
        number = self.modules
        self.log.append(f"load {number}")

        def launch(grid, block, packed, shared, stream):
            self.log.append(f"launch {number} n={packed[-1]}")

        vars(launch)["ptr"] = number
        return SimpleNamespace(load=lambda image: None, get_function=lambda entry: launch)

    def taken(self):
        taken, self.log = self.log, []
        return taken


@pytest.fixture
def backend():
    gpu = GpuBackend()
    graph = SimpleNamespace(upload=lambda stream: None, launch=lambda stream: None)
    stream = SimpleNamespace(
        ptr=0, synchronize=lambda: None, begin_capture=lambda: None, end_capture=lambda: graph
    )  # fmt: skip
    gpu.__dict__.update(cuda=Cuda(), stream=stream, empty_l2=lambda: None)
    gpu.__dict__.update(launcher=Launcher(gpu.cuda, None, LaunchLimits("H100", 132, 227 << 10), stream))
    gpu.__dict__.update(pool=SimpleNamespace(free_bytes=lambda: 0, free_all_blocks=lambda: None))
    gpu.__dict__.update(hold=SimpleNamespace(before=lambda launch, restore: lambda: None))
    return gpu


def arguments(n, y=None):
    return {"x": np.full(4, n, f32), "y": poison((4,), f32) if y is None else y, "n": np.uint32(n)}


def test_the_next_samples_use_new_data_and_modules(backend):
    clock = backend.clock(BUILD, Launch(1, 32), first := arguments(1), ("y",))
    other = backend.clock(dataclasses.replace(BUILD, variant="cuda"), Launch(1, 32), first, ("y",))
    assert backend.cuda.taken() == ["upload", "upload", "load 1", "load 2"]  # both share the arrays
    clock.enqueue()()
    second = arguments(2)
    clock.refill(second)
    other.refill(second)
    clock.enqueue()()
    assert backend.cuda.taken() == ["launch 1 n=1", "upload", "upload", "launch 1 n=2"]
    clock.reload(2)
    for _ in range(3):
        clock.enqueue()()
    other.enqueue()()
    assert backend.cuda.taken() == ["load 3", "load 4", "launch 3 n=2", "launch 4 n=2", "launch 4 n=2", "launch 2 n=2"]


def test_a_graph_uses_one_reloaded_module_over_all_copies(backend):
    clock = backend.clock(BUILD, Launch(1, 32), arguments(1), ("y",))
    assert (clock.graphs, clock.copies) == (True, 64)
    clock.enqueue_graph(3)()
    clock.refill(arguments(2))
    clock.reload(2)
    backend.cuda.taken()
    clock.enqueue_graph(3)()
    clock.enqueue()()  # the output belongs to the module that the graph has used
    assert backend.cuda.taken() == ["launch 3 n=2", "launch 3 n=1", "launch 3 n=1", "launch 3 n=2"]


def test_a_warm_sample_is_the_second_of_two_launches_and_graphs_stay_on_one_set_of_buffers(backend):
    backend.reset_persisting_lines = lambda: None
    clock = backend.clock(BUILD, Launch(1, 32), arguments(1), ("y",), cache="warm")
    assert (clock.graphs, clock.copies, clock.as_wanted) == (True, 1, True)
    backend.cuda.taken()
    clock.enqueue()()
    assert backend.cuda.taken() == ["launch 1 n=1"] * 2
    assert backend.cuda.allocated == 2  # one set of arrays


def test_restoring_and_change_detection_use_the_new_data(backend):
    first = arguments(1, np.zeros(4, f32))
    clock = backend.clock(BUILD, Launch(1, 32), first, ("y",))
    second = arguments(2, np.ones(4, f32))
    clock.refill(second)
    memory = backend.shared_buffers[1]
    assert memory.arguments is second
    assert memory.masters["y"] is not None
    again = backend.clock(BUILD, Launch(1, 32), first, ("y",))
    assert memory.arguments is first  # a clock that is made later starts with its own data
    assert again is not clock
