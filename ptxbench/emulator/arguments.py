"""What is asked of a launch, held against the kernel; and the arguments as the bytes of its parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.syntax import Function, Variable
from ptxbench.errors import LaunchError

MAX_THREADS = 1024
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_SHARED_BYTES = 227 * 1024
"""The most that a CTA can have on any GPU so far (sm_90, sm_100)."""


def extent(value: int | Sequence[int], name: str) -> tuple[int, int, int]:
    """x, or up to (x, y, z), as three whole numbers of at least 1."""
    given = (value,) if isinstance(value, int | np.integer) else tuple(value)
    if not 1 <= len(given) <= 3 or any(each < 1 for each in given):
        raise LaunchError(f"{name} is {value}; it must be one to three numbers of at least 1.")
    x, y, z = (*map(int, given), 1, 1)[:3]
    return x, y, z


def check_launch(
    function: Function, grid: tuple[int, int, int], block: tuple[int, int, int], dynamic_shared_bytes: int
) -> None:
    """Limits of every GPU, and what the entry's directives ask for. (PTX ISA, "Performance-Tuning Directives".)"""
    threads = block[0] * block[1] * block[2]
    if threads > MAX_THREADS:
        raise LaunchError(f"A block of {threads} threads; the most is {MAX_THREADS}.")
    if any(each > most for each, most in zip(grid, MAX_GRID, strict=True)):
        raise LaunchError(f"A grid of {grid}; the most is {MAX_GRID}.")
    required = function.directives.get(".reqntid")
    if required and block != (*required, 1, 1)[:3]:
        raise LaunchError(f"'{function.name}' needs blocks of {required} (.reqntid); this one is {block}.")
    most = function.directives.get(".maxntid")
    if most and threads > math.prod(most):
        limit = math.prod(most)
        raise LaunchError(f"'{function.name}' takes blocks of {limit} threads at most (.maxntid); this has {threads}.")
    shared = sum(v.size_bytes for v in function.variables.values() if v.space == "shared") + dynamic_shared_bytes
    if shared > MAX_SHARED_BYTES:
        raise LaunchError(
            f"'{function.name}' asks for {shared} bytes of shared memory; the most is {MAX_SHARED_BYTES}."
        )


def check_arguments(function: Function, args: Sequence[Any]) -> dict[int, tuple[str, NDArray[Any]]]:
    """The arrays among `args` by position, with their parameters' names. Raises LaunchError and TypeError."""
    if len(args) != len(function.params):
        raise LaunchError(f"'{function.name}' has {len(function.params)} parameters; {len(args)} arguments were given.")
    arrays = {}
    for index, (param, arg) in enumerate(zip(function.params, args, strict=True)):
        if isinstance(arg, np.ndarray):
            if param.array or param.type.bits != 64 or param.type.floating:
                raise LaunchError(f"'{param.name}' is .{param.type}, which takes a NumPy scalar, not an array.")
            if not arg.flags.c_contiguous or not arg.flags.writeable:
                raise LaunchError(f"The array for '{param.name}' must be C-contiguous and writable.")
            arrays[index] = (param.name, arg)
        elif isinstance(arg, np.generic):
            check_scalar(param, arg)
        elif arg is not None:
            raise TypeError(f"{arg!r} for '{param.name}' has no width; use np.{numpy_name(param)}({arg!r}).")
    return arrays


def check_scalar(param: Variable, arg: np.generic[Any]) -> None:
    floating = arg.dtype.kind == "f"
    same_kind = param.array or param.type.kind == "b" or param.type.floating == floating
    if arg.dtype.itemsize != param.size_bytes or not same_kind:
        raise LaunchError(
            f"'{param.name}' is .{param.type} ({param.size_bytes} bytes), but its argument is {arg.dtype}."
        )


def numpy_name(param: Variable) -> str:
    """The NumPy scalar that a parameter takes."""
    kind = {"f": "float", "s": "int"}.get(param.type.kind, "uint")
    return f"{kind}{param.type.bits}"


def pack(function: Function, args: Sequence[Any], addresses: Mapping[int, int]) -> bytes:
    """The parameters' bytes, each aligned as its type asks."""
    packed = bytearray()
    for index, (param, arg) in enumerate(zip(function.params, args, strict=True)):
        packed.extend(bytes(-len(packed) % param.align))
        if index in addresses:
            packed.extend(addresses[index].to_bytes(8, "little"))
        else:
            packed.extend(bytes(param.size_bytes) if arg is None else arg.tobytes())
    return bytes(packed)
