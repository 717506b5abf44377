"""Calls of NVIDIA's driver library that CuPy lacks, by ctypes: cuLaunchKernelEx and related ones.

The structures are those of cuda.h (CUDA 12 and 13). The library is a parameter; a context must be current.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ptxbench.errors import LaunchUnavailable
from ptxbench.pair import Launch
from ptxbench.tensor_map import MAP_ALIGN, MAP_BYTES, TiledMap

COOPERATIVE, CLUSTER_DIMENSION, PROGRAMMATIC_SERIALIZATION = 2, 4, 6
"""Values of CUlaunchAttributeID."""

NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 14
"""Values of CUfunction_attribute."""

INVALID_CLUSTER_SIZE = 912
"""Values of CUresult."""

PORTABLE_CLUSTER = 8
"""The most CTAs of a cluster that every device with clusters supports."""


class AttributeValue(ctypes.Union):
    """CUlaunchAttributeValue."""

    _fields_ = (
        ("pad", ctypes.c_char * 64),
        ("cooperative", ctypes.c_int),
        ("programmatic", ctypes.c_int),
        ("cluster", ctypes.c_uint * 3),
    )


class Attribute(ctypes.Structure):
    """CUlaunchAttribute."""

    _fields_ = (("id", ctypes.c_int), ("pad", ctypes.c_char * 4), ("value", AttributeValue))


class LaunchConfig(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(Attribute)),
        ("attribute_count", ctypes.c_uint),
    )


def find_driver() -> Any:
    """NVIDIA's driver library, or None if it is not installed."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def driver_cuda_version(driver: Any) -> str:
    """The newest CUDA version that the driver supports, such as "12.4"."""
    version = ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(version))
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


TILE_CUDA = 13000
"""The first CUDA whose driver, r580, launches tile kernels (package cuda-tile)."""


def no_tile_kernels(library: Any) -> str | None:
    """Why the driver cannot launch a tile kernel; None if it can."""
    version = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    if version.value >= TILE_CUDA:
        return None
    return f"Tile kernels need a driver for CUDA 13; this one is for {driver_cuda_version(library)}. Update the driver."


def attributes(launch: Launch, *, follows: bool = False) -> list[Attribute]:
    """The attributes of the launch that differ from the default. `follows`: it may start before the one before it in
    the stream has ended."""
    result = []
    if launch.cluster_xyz is not None:
        result.append(
            Attribute(CLUSTER_DIMENSION, b"", AttributeValue(cluster=(ctypes.c_uint * 3)(*launch.cluster_xyz)))
        )
    if launch.cooperative:
        result.append(Attribute(COOPERATIVE, b"", AttributeValue(cooperative=1)))
    if follows:
        result.append(Attribute(PROGRAMMATIC_SERIALIZATION, b"", AttributeValue(programmatic=1)))
    return result


def config(launch: Launch, stream: int, *, follows: bool = False) -> LaunchConfig:
    """The launch in the form that cuLaunchKernelEx takes. It keeps its attributes alive. `follows`: as above."""
    extra = attributes(launch, follows=follows)
    return LaunchConfig(
        (ctypes.c_uint * 3)(*launch.grid_xyz),
        (ctypes.c_uint * 3)(*launch.block_xyz),
        launch.shared_bytes,
        stream,
        (Attribute * len(extra))(*extra),
        len(extra),
    )


def function_of(library: Any, name: str) -> Any:
    """A function of the driver. Raises LaunchUnavailable if the driver is too old to have it."""
    try:
        return getattr(library, name)
    except AttributeError:
        raise LaunchUnavailable(f"The driver has no {name}. Update the driver to one for CUDA 12 or later.") from None


def launcher(
    library: Any,
    check: Callable[[int], None],
    function: int,
    launch: Launch,
    content: Sequence[bytes],
    stream: int,
    *,
    follows: bool = False,
) -> Callable[[], None]:
    """Returns the function that enqueues the launch of a CUfunction by cuLaunchKernelEx.

    `content`: the bytes of each parameter; `check` raises for a CUresult that is an error. `follows`: whether it may
    start before the launch before it in the stream has ended.
    """
    launch_kernel = function_of(library, "cuLaunchKernelEx")
    launch_config = config(launch, stream, follows=follows)
    values = [aligned(value) for value in content]
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))

    def enqueue() -> None:  # keeps the values alive, which the driver reads at each launch
        assert len(values) == len(pointers)
        check(launch_kernel(ctypes.byref(launch_config), ctypes.c_void_p(function), pointers, None))

    return enqueue


def clusters_at_once(library: Any, check: Callable[[int], None], function: int, launch: Launch) -> int:
    """How many clusters of the launch the device can hold at once (cuOccupancyMaxActiveClusters).

    Also 0 if the cluster size is not portable and the device does not support it.
    """
    count = ctypes.c_int(0)
    ask = function_of(library, "cuOccupancyMaxActiveClusters")
    status = ask(ctypes.byref(count), ctypes.c_void_p(function), ctypes.byref(config(launch, 0)))
    if status == INVALID_CLUSTER_SIZE and math.prod(launch.cluster_xyz or (1,)) > PORTABLE_CLUSTER:
        return 0
    check(status)
    return count.value


ELEMENTS = {
    name: number
    for number, name in enumerate(
        ("u8", "u16", "u32", "s32", "u64", "s64", "f16", "f32", "f64", "bf16", "f32.ftz", "tf32", "tf32.ftz")
    )
}
"""CUtensorMapDataType."""

INTERLEAVES = {0: 0, 16: 1, 32: 2}
"""CUtensorMapInterleave, by bytes."""

SWIZZLES = {(0, 16): 0, (32, 16): 1, (64, 16): 2, (128, 16): 3, (128, 32): 4, (128, 64): 6}
"""CUtensorMapSwizzle, by bytes of the swizzle and of its atom."""

PROMOTIONS = {0: 0, 64: 1, 128: 2, 256: 3}
"""CUtensorMapL2promotion, by bytes."""

FILLS = {"zeros": 0, "nan": 1}
"""CUtensorMapFloatOOBfill."""


def encode_tiled(library: Any, check: Callable[[int], None], tiled: TiledMap, address: int) -> bytes:
    """The bytes of a tensor map over the array at `address` (cuTensorMapEncodeTiled)."""
    encode = function_of(library, "cuTensorMapEncodeTiled")
    tensor_map = aligned(bytes(MAP_BYTES))
    check(
        encode(
            ctypes.byref(tensor_map),
            ctypes.c_int(ELEMENTS[tiled.element]),
            ctypes.c_uint32(tiled.rank),
            ctypes.c_void_p(address),
            (ctypes.c_uint64 * tiled.rank)(*tiled.shape),
            (ctypes.c_uint64 * max(tiled.rank - 1, 1))(*tiled.strides),
            (ctypes.c_uint32 * tiled.rank)(*tiled.box),
            (ctypes.c_uint32 * tiled.rank)(*tiled.element_strides),
            ctypes.c_int(INTERLEAVES[tiled.interleave]),
            ctypes.c_int(SWIZZLES[tiled.swizzle, tiled.atom]),
            ctypes.c_int(PROMOTIONS[tiled.l2_promotion]),
            ctypes.c_int(FILLS[tiled.fill]),
        )
    )
    return bytes(tensor_map)


ALIGNMENT = MAP_ALIGN
"""The alignment of a tensor map, the strictest of all parameters."""


def aligned(content: bytes) -> Any:
    """A ctypes array of these bytes at an address that is a multiple of 64; it keeps its memory alive."""
    memory = ctypes.create_string_buffer(len(content) + ALIGNMENT)
    value = (ctypes.c_char * len(content)).from_buffer(memory, -ctypes.addressof(memory) % ALIGNMENT)
    value.raw = content
    return value
