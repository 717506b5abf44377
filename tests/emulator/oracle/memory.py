"""One arena for every state space, and where an address lies in it.

Arrays, parameters and the module's variables come first; then the shared memory of each CTA that runs, then the local
memory of each thread. Generic addresses of shared and local memory are offsets in a window of their own each.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.syntax import Function, Masked, Module, Symbol, Variable
from tests.emulator.oracle.step import UNSIGNED, Missing

Array = NDArray[Any]
BASE = 1 << 20
"""Address of the arena's first byte, as global memory."""
GAP = 4096
WINDOW = 1 << 32
SHARED, LOCAL = 1 << 40, 1 << 41
"""Where the windows start that shared and local memory have among the generic addresses."""
RESERVED = 1024
"""The address of a CTA's first own byte of shared memory: from sm_80 on the driver reserves the bytes below."""


def aligned(offset: int, to: int) -> int:
    return -(-offset // to) * to


def place(variables: Sequence[Variable]) -> tuple[dict[str, int], int]:
    """Offsets in order of declaration, each with its alignment, and the total bytes."""
    placed, offset = {}, 0
    for variable in variables:
        offset = aligned(offset, variable.align)
        placed[variable.name] = offset
        offset += variable.size_bytes
    return placed, offset


class Memory:
    """The memory of a launch; `start` lays out the CTAs that run next."""

    def __init__(self, module: Module, function: Function, args: Sequence[Any], dynamic_shared_bytes: int) -> None:
        self.spaces: dict[str, str] = {}
        self.addresses: dict[str, int] = {}
        own = list(function.variables.values())
        shared = [v for v in (*module.variables.values(), *own) if v.space == "shared"]
        shared.sort(key=lambda v: v.count is None)  # an array of unknown length starts where the others end
        placed, size = place(shared)
        self.shared_bytes = aligned(size + dynamic_shared_bytes, 16)
        self.dynamic_shared_bytes = dynamic_shared_bytes
        local, size = place([v for v in own if v.space == "local"])
        self.local_bytes = aligned(size, 16)
        self.keep("shared", {name: RESERVED + offset for name, offset in placed.items()})
        self.keep("local", local)
        self.arrays: list[int | None] = []
        size = 0
        for arg in args:
            self.arrays.append(size if isinstance(arg, np.ndarray) else None)
            if isinstance(arg, np.ndarray):
                size = aligned(size + arg.nbytes + GAP, 256)
        constants = [v for v in module.variables.values() if v.space in ("global", "const")]
        for variable in constants:
            self.keep(variable.space, {variable.name: BASE + size})
            size = aligned(size + variable.size_bytes + GAP, 256)
        placed, parameter_bytes = place(function.params)
        self.keep("param", {name: BASE + size + offset for name, offset in placed.items()})
        parameters = size
        self.fixed = aligned(size + parameter_bytes + GAP, 256)
        self.hold(np.zeros(self.fixed, np.uint8))
        for variable in constants:
            self.put(self.addresses[variable.name] - BASE, initial(variable, self.addresses))
        for where, arg, param in zip(self.arrays, args, function.params, strict=True):
            if where is not None:
                self.bytes[where : where + arg.nbytes] = arg.reshape(-1).view(np.uint8)
                value = struct.pack("<Q", BASE + where)
            else:
                value = bytes(8) if arg is None else np.asarray(arg).tobytes()
            if len(value) != param.size_bytes:
                raise Missing(f"parameter {param.name} has {param.size_bytes} bytes, its argument {len(value)}")
            self.put(parameters + placed[param.name], value)

    def keep(self, space: str, addresses: dict[str, int]) -> None:
        self.addresses.update(addresses)
        self.spaces.update(dict.fromkeys(addresses, space))

    def put(self, offset: int, data: bytes) -> None:
        self.bytes[offset : offset + len(data)] = np.frombuffer(data, np.uint8)

    def hold(self, bytes: Array) -> None:
        self.bytes = bytes
        self.views = {bits: bytes.view(dtype) for bits, dtype in UNSIGNED.items()}

    def start(self, ctas: int, threads: int) -> None:
        """Shared and local memory of the CTAs that run next, which start as 0xFF bytes."""
        size = self.fixed + ctas * self.shared_bytes + threads * self.local_bytes
        arena = np.full(aligned(size, 16), 0xFF, np.uint8)
        arena[: self.fixed] = self.bytes[: self.fixed]
        self.hold(arena)
        self.local_start = self.fixed + ctas * self.shared_bytes

    def give_back(self, args: Sequence[Any]) -> None:
        for where, arg in zip(self.arrays, args, strict=True):
            if where is not None:
                arg.reshape(-1).view(np.uint8)[:] = self.bytes[where : where + arg.nbytes]

    def offsets(self, space: str, address: Array, cta: Array, thread: Array) -> Array:
        """The position of each address in the arena: a global address directly, a shared or local one in its window."""
        if space == "shared":
            return self.fixed + cta * self.shared_bytes + address - RESERVED
        if space == "local":
            return self.local_start + thread * self.local_bytes + address
        return address - BASE


def initial(variable: Variable, addresses: dict[str, int]) -> bytes:
    """The initial content of a variable of the module; zeros after its initialiser."""
    size, packed = variable.type.bytes, bytearray()
    for value in variable.initial:
        if isinstance(value, Masked):
            part = value.value if isinstance(value.value, int) else addresses[value.value.name] + value.value.offset
            packed.append(part >> value.shift & 0xFF)
            continue
        number = addresses[value.name] + value.offset if isinstance(value, Symbol) else value
        packed += (number & (1 << 8 * size) - 1).to_bytes(size, "little")
    return bytes(packed.ljust(variable.size_bytes, b"\0"))
