"""The arrays of a launch on the device, between guard zones. Imports no CuPy: its layer over CUDA is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ptxbench.backends import buffers
from ptxbench.pair import Array


def contiguous(arguments: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays of some arguments."""
    return {name: np.ascontiguousarray(value) for name, value in arguments.items() if isinstance(value, np.ndarray)}


class DeviceBuffers:
    """The arrays of `arguments` on the device, each between its guard zones; copies, enqueued on `stream`."""

    def __init__(self, cuda: Any, stream: Any, arguments: Mapping[str, Any]) -> None:
        self.cuda = cuda
        self.stream = stream
        self.arguments = arguments
        self.arrays: dict[str, Array] = contiguous(arguments)
        self.memory: dict[str, Any] = {}
        self.masters: dict[str, Any] = {}
        zones = [buffers.guard_zone(index) for index in range(len(self.arrays))]  # alive until the stream is done
        for zone, (name, array) in zip(zones, self.arrays.items(), strict=True):
            self.memory[name] = memory = cuda.alloc(array.nbytes + 2 * buffers.GUARD_BYTES)
            self.upload(zone, memory.ptr)
            self.upload(array, memory.ptr + buffers.GUARD_BYTES)
            self.upload(zone, memory.ptr + buffers.GUARD_BYTES + array.nbytes)
        stream.synchronize()

    def refill(self, arguments: Mapping[str, Any]) -> None:
        """Wait for the stream, then put other data of the same shapes in place of those that are there."""
        self.stream.synchronize()
        self.arguments, self.arrays = arguments, contiguous(arguments)
        for name, address in self.addresses.items():
            self.upload(self.arrays[name], address)
        self.remember(tuple(self.masters))
        self.stream.synchronize()

    @property
    def addresses(self) -> dict[str, int]:
        """The address of each array's first byte."""
        return {name: memory.ptr + buffers.GUARD_BYTES for name, memory in self.memory.items()}

    def upload(self, array: Array, address: int) -> None:
        runtime = self.cuda.runtime
        runtime.memcpyAsync(address, array.ctypes.data, array.nbytes, runtime.memcpyHostToDevice, self.stream.ptr)

    def download(self) -> dict[str, buffers.Remains]:
        """Wait for the stream, then fetch every array and its zones."""
        runtime = self.cuda.runtime
        self.stream.synchronize()
        left = {}
        for name, array in self.arrays.items():
            zones = np.empty((2, buffers.GUARD_BYTES), np.uint8)
            remains = buffers.Remains(zones[0], np.empty_like(array), zones[1])
            address = self.memory[name].ptr
            for part in (remains.before, remains.data, remains.after):
                runtime.memcpyAsync(part.ctypes.data, address, part.nbytes, runtime.memcpyDeviceToHost, self.stream.ptr)
                address += part.nbytes
            left[name] = remains
        self.stream.synchronize()
        return left

    def remember(self, outputs: tuple[str, ...]) -> None:
        """Prepare `restore` for `outputs`: a fill where poison is all, else a master copy on the device."""
        self.masters = {}
        for name in outputs:
            array = self.arrays[name]
            self.masters[name] = None if buffers.is_poison(array) else self.cuda.alloc(array.nbytes)
            if self.masters[name] is not None:
                self.upload(array, self.masters[name].ptr)

    @property
    def updated(self) -> bool:
        """Whether a remembered output starts with data: a launch without `restore` before it then does other work."""
        return any(master is not None for master in self.masters.values())

    def restore(self) -> None:
        """Enqueue the restoring of the remembered outputs to what they were before the first launch."""
        runtime, stream = self.cuda.runtime, self.stream.ptr
        for name, master in self.masters.items():
            address, size = self.addresses[name], self.arrays[name].nbytes
            if master is None:
                runtime.memsetAsync(address, 0xFF, size, stream)
            else:
                runtime.memcpyAsync(address, master.ptr, size, runtime.memcpyDeviceToDevice, stream)
