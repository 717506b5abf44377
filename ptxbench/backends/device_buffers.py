"""The arrays of a launch on the device, between guard zones. Imports no CuPy: its layer over CUDA is a parameter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np

from ptxbench.arrays import Array
from ptxbench.backends import buffers
from ptxbench.backends.base import Arguments, Names


def contiguous(arguments: Arguments) -> dict[str, Array]:
    """The arrays of one list of arguments."""
    return {name: np.ascontiguousarray(value) for name, value in arguments.items() if isinstance(value, np.ndarray)}


class DeviceBuffers:
    """The arrays of `arguments` on the device, each between its guard zones; copies, enqueued on `stream`.

    `checksum(address, size)` sums device memory. With it, `download` does not fetch large arrays that are not among
    `outputs` if their sum is unchanged.
    """

    def __init__(
        self,
        cuda: Any,
        stream: Any,
        arguments: Arguments,
        outputs: Collection[str] = (),
        checksum: Callable[[int, int], int] | None = None,
    ) -> None:
        self.cuda = cuda
        self.stream = stream
        self.arguments = arguments
        self.arrays: dict[str, Array] = contiguous(arguments)
        self.memory: dict[str, Any] = {}
        self.masters: dict[str, Any] = {}
        self.updated: Names = ()
        self.scratch: Names = ()
        self.outputs = frozenset(outputs)
        self.checksum = checksum
        self.sums: dict[str, int] = {}
        zones = [buffers.guard_zone(index) for index in range(len(self.arrays))]  # alive until the stream is done
        for zone, (name, array) in zip(zones, self.arrays.items(), strict=True):
            self.memory[name] = memory = cuda.alloc(array.nbytes + 2 * buffers.GUARD_BYTES)
            self.upload(zone, memory.ptr)
            self.upload(array, memory.ptr + buffers.GUARD_BYTES)
            self.upload(zone, memory.ptr + buffers.GUARD_BYTES + array.nbytes)
        stream.synchronize()
        self.sum_inputs()

    def copy(self) -> DeviceBuffers:
        """Another set with the same content, and the same arrays to restore."""
        duplicate = DeviceBuffers(self.cuda, self.stream, self.arguments)
        duplicate.remember(tuple(self.masters), self.updated, self.scratch)
        return duplicate

    def refill(self, arguments: Arguments) -> None:
        """Wait for the stream, then replace the arrays' content by other data of the same shapes."""
        self.stream.synchronize()
        self.arguments, self.arrays = arguments, contiguous(arguments)
        for name, address in self.addresses.items():
            self.upload(self.arrays[name], address)
        self.remember(tuple(self.masters), self.updated, self.scratch)
        self.stream.synchronize()
        self.sum_inputs()

    def sum_inputs(self) -> None:
        """Sum the large inputs, before any launch can have written them."""
        if self.checksum is not None:
            self.sums = {
                name: self.checksum(self.addresses[name], array.nbytes)
                for name, array in self.arrays.items()
                if name not in self.outputs and array.nbytes > buffers.MOST_FETCHED
            }

    def is_unchanged(self, name: str) -> bool:
        """Whether an input has the same sum as before the launches; False if it has no sum."""
        if self.checksum is None or name not in self.sums:
            return False
        return self.checksum(self.addresses[name], self.arrays[name].nbytes) == self.sums[name]

    @property
    def addresses(self) -> dict[str, int]:
        """The address of each array's first byte."""
        return {name: memory.ptr + buffers.GUARD_BYTES for name, memory in self.memory.items()}

    def upload(self, array: Array, address: int) -> None:
        runtime = self.cuda.runtime
        runtime.memcpyAsync(address, array.ctypes.data, array.nbytes, runtime.memcpyHostToDevice, self.stream.ptr)

    def download(self) -> dict[str, buffers.ReadBack]:
        """Wait for the stream, then fetch the zones of every array and the array itself.

        An input whose sum is unchanged is not fetched: the host's own array is returned.
        """
        self.stream.synchronize()
        arrays = {}
        for name, array in self.arrays.items():
            zones = np.empty((2, buffers.GUARD_BYTES), np.uint8)
            unchanged = self.is_unchanged(name)
            read_back = buffers.ReadBack(zones[0], array if unchanged else np.empty_like(array), zones[1])
            self.fetch(read_back.before, self.memory[name].ptr)
            self.fetch(read_back.after, self.addresses[name] + array.nbytes)
            if not unchanged:
                self.fetch(read_back.data, self.addresses[name])
            arrays[name] = read_back
        self.stream.synchronize()
        return arrays

    def fetch(self, array: Array, address: int) -> None:
        runtime = self.cuda.runtime
        runtime.memcpyAsync(array.ctypes.data, address, array.nbytes, runtime.memcpyDeviceToHost, self.stream.ptr)

    def remember(self, outputs: Names, updated: Names = (), scratch: Names = ()) -> None:
        """Prepare to restore `outputs`: by a fill if all bytes are equal, else from a master copy on the device.

        `updated`, `scratch`: the outputs that `restore_updated` and `restore_scratch` restore. A master copy stays at
        its address, because a captured graph copies from there.
        """
        old_masters, self.masters = self.masters, {}
        self.updated, self.scratch = updated, scratch
        for name in outputs:
            array = self.arrays[name]
            byte = buffers.fill_byte(array)
            if byte is None:
                old_master = old_masters.get(name)
                master = (
                    self.cuda.alloc(array.nbytes) if old_master is None or isinstance(old_master, int) else old_master
                )
                self.upload(array, master.ptr)
            self.masters[name] = master if byte is None else byte

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays and of the master copies."""
        arrays = sum(array.nbytes for array in self.arrays.values())
        return arrays + sum(
            self.arrays[name].nbytes for name, master in self.masters.items() if not isinstance(master, int)
        )

    def restore(self) -> None:
        """Enqueue restoring the remembered outputs, except scratch, to their content before the first launch."""
        self.reset([name for name in self.masters if name not in self.scratch])

    def restore_updated(self) -> None:
        """Enqueue restoring the outputs that a launch changes (`updated`)."""
        self.reset(self.updated)

    def restore_scratch(self) -> None:
        """Enqueue restoring the scratch arrays."""
        self.reset(self.scratch)

    def reset(self, names: Iterable[str]) -> None:
        """Enqueue restoring some remembered outputs."""
        runtime, stream = self.cuda.runtime, self.stream.ptr
        for name in names:
            address, size, master = self.addresses[name], self.arrays[name].nbytes, self.masters[name]
            if isinstance(master, int):
                runtime.memsetAsync(address, master, size, stream)
            else:
                runtime.memcpyAsync(address, master.ptr, size, runtime.memcpyDeviceToDevice, stream)
