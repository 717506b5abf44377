"""Restoring buffers before a launch, with a fake CUDA that only records its calls."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.arrays import poison
from ptxbench.backends.device_buffers import DeviceBuffers
from ptxbench.pair import f32, u32


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
    ("poison is a fill",           poison((4,), f32),       ("fill", (1 << 20) + 4096, 0xFF, 16)),
    ("a clear accumulator too",    np.zeros(4, f32),        ("fill", (1 << 20) + 4096, 0, 16)),
    ("one with data is a copy",    np.ones(4, f32),         ("copy", (1 << 20) + 4096, 2 << 20, 16)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "array", "restored"), ROWS, ids=[row[0] for row in ROWS])
def test_an_output_is_restored_to_its_first_value(cuda, what, array, restored):
    stream = SimpleNamespace(ptr=0, synchronize=lambda: None)
    buffers = DeviceBuffers(cuda, stream, {"y": array})
    buffers.remember(("y",))
    buffers.restore_scratch()
    assert cuda.log == []
    buffers.restore()
    assert cuda.log == [restored]


def test_changed_arrays_and_scratch_are_restored_separately(cuda):
    stream = SimpleNamespace(ptr=0, synchronize=lambda: None)
    arrays = {"y": poison((4,), f32), "sum": np.ones(4, f32), "flags": np.zeros(4, u32)}
    buffers = DeviceBuffers(cuda, stream, arrays)
    buffers.remember(tuple(arrays), ("sum",), ("flags",))
    buffers.refill(buffers.arguments)  # this keeps their kind, and the address of the master copy
    restored = {
        "y": ("fill", (1 << 20) + 4096, 0xFF, 16),
        "sum": ("copy", (2 << 20) + 4096, 4 << 20, 16),
        "flags": ("fill", (3 << 20) + 4096, 0, 16),
    }
    for names, restore in (
        (("y", "sum"), buffers.restore), (("sum",), buffers.restore_updated), (("flags",), buffers.restore_scratch)
    ):  # fmt: skip
        cuda.log.clear()
        restore()
        assert cuda.log == [restored[name] for name in names]
    assert buffers.nbytes == 4 * 16
    copy = buffers.copy()
    assert (copy.updated, copy.scratch, set(copy.masters)) == (("sum",), ("flags",), set(arrays))


def test_new_data_replace_the_old_and_are_restored_from_then_on(cuda):
    up = []
    copy = cuda.runtime.memcpyAsync

    def noted(to, source, size, kind, stream):
        if kind == "up":
            up.append((to, np.frombuffer((ctypes.c_byte * size).from_address(source), np.uint8).copy()))
        copy(to, source, size, kind, stream)

    cuda.runtime.memcpyAsync = noted
    stream = SimpleNamespace(ptr=0, synchronize=lambda: None)
    buffers = DeviceBuffers(cuda, stream, {"x": np.zeros(4, u32), "n": u32.type(4), "y": np.zeros(4, f32)})
    buffers.remember(("y",))
    addresses = dict(buffers.addresses)
    up.clear()
    other = {"x": np.arange(4, dtype=u32), "n": u32.type(5), "y": np.ones(4, f32)}
    buffers.refill(other)
    assert buffers.arguments is other
    assert buffers.addresses == addresses
    assert [to for to, _ in up[:2]] == [addresses["x"], addresses["y"]]
    assert up[0][1].view(u32).tolist() == [0, 1, 2, 3]
    buffers.restore()
    (kind, to, source, size), *more = cuda.log
    assert (kind, to, size, more) == ("copy", addresses["y"], 16, [])
    assert dict(up[2:3])[source].view(f32).tolist() == [1, 1, 1, 1]
