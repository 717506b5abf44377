"""Checks a launch against the kernel, and packs the arguments as the bytes of its parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import architecture
from ptxbench.emulator.limits import MAX_SHARED_BYTES
from ptxbench.emulator.memory import ZeroArray
from ptxbench.emulator.pointers import AddressOf, Pointer, encode, without_objects
from ptxbench.emulator.syntax import Function, Module, Variable
from ptxbench.emulator.tensor_maps import MapOf
from ptxbench.emulator.variables import assign_offsets, shared_variables
from ptxbench.errors import LaunchError

POINTER_BYTES = 8
MAX_THREADS = 1024
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_CLUSTER = 16
"""CTAs of a cluster on GPUs that allow more than the portable 8."""
FIRST_WITH_CLUSTERS = 90


def extent(value: int | Sequence[int], name: str) -> tuple[int, int, int]:
    """x, or up to (x, y, z), as three integers of at least 1."""
    dimensions = tuple(value) if isinstance(value, list | tuple | np.ndarray) else (value,)
    valid = all(isinstance(dimension, int | np.integer) and dimension >= 1 for dimension in dimensions)
    if not valid or not 1 <= len(dimensions) <= 3:
        raise LaunchError(f"{name} is {value}; expected one to three whole numbers of at least 1.")
    x, y, z = (*map(int, dimensions), 1, 1)[:3]
    return x, y, z


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise LaunchError unless the value is a whole number of at least `least`, or None."""
    if value is not None and not (isinstance(value, int | np.integer) and value >= least):
        raise LaunchError(f"{name} is {value!r}; expected a whole number of at least {least}.")


def check_launch(
    module: Module,
    function: Function,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    dynamic_shared_bytes: int,
) -> None:
    """Check the limits of every GPU, and the entry's directives. (PTX ISA, "Performance-Tuning Directives".)"""
    threads = block[0] * block[1] * block[2]
    if threads > MAX_THREADS:
        raise LaunchError(f"The block has {threads} threads; the maximum is {MAX_THREADS}.")
    if any(size > most for size, most in zip(grid, MAX_GRID, strict=True)):
        raise LaunchError(f"The grid is {grid}; the maximum is {MAX_GRID}.")
    required = function.directives.get(".reqntid")
    if required and block != (whole := (*required, 1, 1)[:3]):
        raise LaunchError(f"'{function.name}' needs blocks of {whole} (.reqntid); this one is {block}.")
    most = function.directives.get(".maxntid")
    if most and threads > math.prod(most):
        limit = math.prod(most)
        raise LaunchError(
            f"'{function.name}' allows at most {limit} threads in a block (.maxntid); this one has {threads}."
        )
    if not isinstance(dynamic_shared_bytes, int | np.integer) or dynamic_shared_bytes < 0:
        raise LaunchError(f"{dynamic_shared_bytes} bytes of dynamic shared memory; expected 0 or more, a whole number.")
    shared = assign_offsets(shared_variables(module, function))[1] + dynamic_shared_bytes
    if shared > MAX_SHARED_BYTES:
        raise LaunchError(
            f"'{function.name}' asks for {shared} bytes of shared memory; the maximum is {MAX_SHARED_BYTES}."
        )


def parameters_of(function: Function) -> str:
    """How many parameters it has, in words."""
    return f"{len(function.params)} parameter{'' if len(function.params) == 1 else 's'}"


def check_names(function: Function, names: Sequence[str] | None) -> Sequence[str]:
    """The names of the arguments, by default those of the parameters. Raises LaunchError for another number of them."""
    params = [param.name for param in function.params]
    if names and len(names) != len(params):
        raise LaunchError(f"'{function.name}' has {parameters_of(function)}, but 'names' has {len(names)}.")
    return names or params


def cluster_of(
    function: Function, grid: tuple[int, int, int], cluster: tuple[int, int, int] | None, arch: str
) -> tuple[int, int, int] | None:
    """The CTAs of a cluster: `cluster` if the launch gives it, else as the entry requires; None without clusters.

    Raises LaunchError for a cluster that no GPU launches. (PTX ISA, "Cluster Dimension Directives".)
    """
    name = f"'{function.name}'"
    required = function.directives.get(".reqnctapercluster")
    if required and cluster and cluster != (*required, 1, 1)[:3]:
        raise LaunchError(f"{name} needs clusters of {required} CTAs (.reqnctapercluster); this launch has {cluster}.")
    if required:
        cluster = extent(required, ".reqnctapercluster")
    if cluster is None:
        explicit = ".explicitcluster" in function.directives
        return (1, 1, 1) if explicit else None
    ctas = math.prod(cluster)
    if ctas > MAX_CLUSTER:
        raise LaunchError(f"A cluster of {ctas} CTAs; the maximum is {MAX_CLUSTER}.")
    most = function.directives.get(".maxclusterrank")
    if most and ctas > most[0]:
        raise LaunchError(f"{name} allows at most {most[0]} CTAs in a cluster (.maxclusterrank); this one has {ctas}.")
    if any(ctas_of_grid % ctas_of_cluster for ctas_of_grid, ctas_of_cluster in zip(grid, cluster, strict=True)):
        raise LaunchError(f"The cluster {cluster} does not divide the grid {grid}.")
    if ctas > 1 and architecture.number(arch) < FIRST_WITH_CLUSTERS:
        raise LaunchError(f"Clusters need sm_{FIRST_WITH_CLUSTERS}; this run is for {arch}.")
    return cluster


def check_arguments(
    function: Function, args: Sequence[Any], names: Sequence[str] | None = None
) -> list[tuple[str, Any]]:
    """The arguments with their names, by default those of the parameters. Raises LaunchError and TypeError."""
    if len(args) != len(function.params):
        arguments = "argument was" if len(args) == 1 else "arguments were"
        raise LaunchError(f"'{function.name}' has {parameters_of(function)}; {len(args)} {arguments} given.")
    for param, arg in zip(function.params, args, strict=True):
        if isinstance(arg, MapOf):
            arg.check(param.name, param.size_bytes, param.align)
        elif isinstance(arg, np.ndarray | Pointer):
            check_pointer(param)
        elif isinstance(arg, np.generic):
            check_scalar(param, arg)
        elif arg is not None:
            raise TypeError(f"{arg!r} for '{param.name}' has no width; use np.{numpy_name(param)}({arg!r}).")
    return list(zip(names or [param.name for param in function.params], args, strict=True))


def check_pointer(param: Variable) -> None:
    """Raise LaunchError unless the parameter is 8 bytes that can be an address: a number, or a structure of one."""
    if param.array and param.size_bytes != POINTER_BYTES:
        raise LaunchError(
            f"'{param.name}' is a structure of {param.size_bytes} bytes, which takes an np.void of that size, not an "
            f"array. A field of dtype object in it holds the address of an array."
        )
    if param.size_bytes != POINTER_BYTES or param.type.floating:
        raise LaunchError(f"'{param.name}' is .{param.type}, which takes a NumPy scalar, not an array.")


def check_array(name: str, array: NDArray[Any]) -> None:
    """Raise LaunchError unless a launch can use the array's bytes directly."""
    if not (array.flags.c_contiguous or isinstance(array, ZeroArray)):
        raise LaunchError(f"The array for '{name}' must be C-contiguous. Pass numpy.ascontiguousarray of it.")
    check_byte_order(name, array.dtype)


def check_byte_order(name: str, dtype: np.dtype[Any]) -> None:
    if not without_objects(dtype).isnative:
        raise LaunchError(
            f"'{name}' is {dtype}, which is not in this machine's byte order. Pass a copy of it in that order: "
            "x.astype(x.dtype.newbyteorder('='))."
        )


def check_scalar(param: Variable, arg: np.generic[Any]) -> None:
    floating = arg.dtype.kind == "f"
    same_kind = param.array or param.type.kind == "b" or param.type.floating == floating
    if arg.dtype.itemsize != param.size_bytes or not same_kind:
        raise LaunchError(
            f"'{param.name}' is .{param.type} ({param.size_bytes} bytes), but its argument is {arg.dtype}."
        )
    check_byte_order(param.name, arg.dtype)


def numpy_name(param: Variable) -> str:
    """The NumPy scalar type for a parameter."""
    kind = {"f": "float", "s": "int"}.get(param.type.kind, "uint")
    return f"{kind}{param.type.bits}"


def pack(function: Function, args: Sequence[Any], address_of: AddressOf) -> bytes:
    """The parameters' bytes, each aligned as its type requires. `address_of`: of an array or a Pointer."""
    packed = bytearray()
    for param, arg in zip(function.params, args, strict=True):
        packed.extend(bytes(-len(packed) % param.align))
        if isinstance(arg, np.ndarray | Pointer):
            packed.extend(address_of(arg).to_bytes(POINTER_BYTES, "little"))
        elif isinstance(arg, MapOf):
            packed.extend(arg.encoded(address_of(arg.array)))
        elif arg is None:
            packed.extend(bytes(param.size_bytes))
        else:
            packed.extend(encode(np.asarray(arg), address_of).tobytes())
    return bytes(packed)
