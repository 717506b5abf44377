"""What is restored before a launch, over a CUDA that only notes what it is asked to do."""

from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.backends.device_buffers import DeviceBuffers
from ptxbench.pair import f32, poison, u32


@pytest.fixture
def cuda():
    """Addresses from 1 MiB on, and a log of fills and of copies on the device."""
    log, allocated = [], []

    def alloc(size):
        allocated.append(size)
        return SimpleNamespace(ptr=len(allocated) << 20)

    def copy(to, source, size, kind, stream):
        if kind == "on device":
            log.append(("copy", to, source, size))

    runtime = SimpleNamespace(
        memcpyAsync=copy,
        memsetAsync=lambda to, value, size, stream: log.append(("fill", to, value, size)),
        memcpyHostToDevice="up",
        memcpyDeviceToDevice="on device",
    )
    return SimpleNamespace(alloc=alloc, runtime=runtime, log=log)


ROWS = [
    ("poison is a fill",           poison((4,), f32),       ("fill", (1 << 20) + 4096, 0xFF, 16),   False),
    ("an accumulator is a copy",   np.zeros(4, f32),        ("copy", (1 << 20) + 4096, 2 << 20, 16), True),
    ("flags are too",              np.zeros(4, u32),        ("copy", (1 << 20) + 4096, 2 << 20, 16), True),
]  # fmt: skip


@pytest.mark.parametrize(("what", "array", "restored", "updated"), ROWS, ids=[row[0] for row in ROWS])
def test_an_output_is_restored_to_what_it_was_and_one_with_data_is_known(cuda, what, array, restored, updated):
    stream = SimpleNamespace(ptr=0, synchronize=lambda: None)
    buffers = DeviceBuffers(cuda, stream, {"y": array})
    buffers.remember(("y",))
    buffers.restore()
    assert cuda.log == [restored]
    assert buffers.updated is updated
