"""TileLang's kernels: it writes CUDA C without a GPU, and NVRTC makes PTX of it with TileLang's headers."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import tilelang
import tilelang.language as T  # noqa: N812 - as TileLang's own examples name it
from tilelang import tvm

from ptxbench.toolchain import nvrtc
from tests.emulator.foreign import Case, Expected, Launch, Program, generator, outputs

CASES: list[Case] = []
FOLDER = Path(tilelang.__file__).parent
FLAGS = ("-default-device", f"-I{FOLDER / 'src'}", f"-I{FOLDER / '3rdparty/cutlass/include'}")
EXTENTS = ("blockIdx.x", "blockIdx.y", "blockIdx.z"), ("threadIdx.x", "threadIdx.y", "threadIdx.z")


def case(kernel, *archs):
    """Decorator: the function takes a generator and returns the arrays and the `Expected` results."""

    def decorator(reference):
        def make(arch):
            args, expected = reference(generator())
            ptx, grid, block, shared, order = compiled(kernel, arch)
            return Program([Launch(ptx, None, grid, block, [args[i] for i in order], shared)], expected)

        for arch in archs or ("sm_75", "sm_80", "sm_90", "sm_120"):
            CASES.append(Case(reference.__name__, arch, functools.partial(make, arch)))
        return reference

    return decorator


@functools.cache
def compiled(kernel, arch):
    """(PTX, grid, block, bytes of dynamic shared memory, places of its parameters among the arrays) of a kernel."""
    target = tvm.target.Target({"kind": "cuda", "arch": arch})
    with target:
        lowered = tilelang.lower(kernel, target=target)
    [function] = lowered.device_mod.functions.values()
    extents = {name: int(extent) for name, extent in function.attrs["thread_extent"].items()}
    grid, block = (tuple(extents.get(name, 1) for name in names) for names in EXTENTS)
    shared = int(function.attrs.get("dyn_shared_memory_buf", 0))
    # TileLang puts this before its source when it calls NVRTC itself: it has the names of std that NVRTC lacks.
    source = b"#include <tl_templates/cuda/nvrtc_std.h>\n" + lowered.kernel_source.encode()
    ptx = nvrtc.translate(nvrtc.find(), source, Path(f"{function.attrs['global_symbol']}.cu"), arch, FLAGS).ptx
    names = [kernel.buffer_map[parameter].name for parameter in kernel.params]
    order = [names.index(parameter.name) for parameter in function.params]
    return ptx, grid, block, shared, order


@T.prim_func
def add_kernel(x: T.Tensor((1024,), "float32"), y: T.Tensor((1024,), "float32"), z: T.Tensor((1024,), "float32")):
    with T.Kernel(4, threads=128) as block:
        for i in T.Parallel(256):
            z[block * 256 + i] = x[block * 256 + i] + y[block * 256 + i]


@case(add_kernel)
def add(rng):
    x, y = rng.integers(-99, 99, (2, 1024)).astype(np.float32)
    z = outputs(1024)
    return [x.copy(), y.copy(), z], [Expected(z, x + y)]


@T.prim_func
def softmax_kernel(x: T.Tensor((8, 512), "float32"), y: T.Tensor((8, 512), "float32")):
    with T.Kernel(8, threads=128) as row:
        values = T.alloc_fragment((1, 512), "float32")
        most = T.alloc_fragment((1,), "float32")
        total = T.alloc_fragment((1,), "float32")
        T.copy(x[row, 0], values)
        T.reduce_max(values, most, dim=1)
        for i, j in T.Parallel(1, 512):
            values[i, j] = T.exp(values[i, j] - most[i])
        T.reduce_sum(values, total, dim=1)
        for i, j in T.Parallel(1, 512):
            values[i, j] = values[i, j] / total[i]
        T.copy(values, y[row, 0])


@case(softmax_kernel)
def softmax(rng):
    x = (rng.normal(size=(8, 512)) * 3).astype(np.float32)
    y = outputs(8, 512)
    exponentials = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return [x, y], [Expected(y, exponentials / exponentials.sum(axis=1, keepdims=True), relative=2.0**-18)]


@T.prim_func
def transpose_kernel(x: T.Tensor((64, 96), "float32"), y: T.Tensor((96, 64), "float32")):
    with T.Kernel(3, 2, threads=128) as (column, row):
        tile = T.alloc_shared((32, 33), "float32")
        for i, j in T.Parallel(32, 32):
            tile[i, j] = x[row * 32 + i, column * 32 + j]
        for i, j in T.Parallel(32, 32):
            y[column * 32 + i, row * 32 + j] = tile[j, i]


@case(transpose_kernel)
def transpose(rng):
    x = rng.normal(size=(64, 96)).astype(np.float32)
    y = outputs(96, 64)
    return [x, y], [Expected(y, x.T)]


@T.prim_func
def product_kernel(
    a: T.Tensor((128, 128), "float16"), b: T.Tensor((128, 128), "float16"), c: T.Tensor((128, 128), "float32")
):
    with T.Kernel(2, 2, threads=128) as (column, row):
        a_tile = T.alloc_shared((64, 32), "float16")
        b_tile = T.alloc_shared((32, 64), "float16")
        total = T.alloc_fragment((64, 64), "float32")
        T.clear(total)
        for k in T.Pipelined(4, num_stages=2):
            T.copy(a[row * 64, k * 32], a_tile)
            T.copy(b[k * 32, column * 64], b_tile)
            T.gemm(a_tile, b_tile, total)
        T.copy(total, c[row * 64, column * 64])


@case(product_kernel, "sm_75", "sm_80")  # for later ones TileLang needs sm_90a and the like
def product(rng):
    a, b = rng.normal(size=(2, 128, 128)).astype(np.float16)
    c = outputs(128, 128)
    left, right = a.astype(np.float64), b.astype(np.float64)
    return [a.copy(), b.copy(), c], [Expected(c, left @ right, absolute=129 * 2.0**-23 * (abs(left) @ abs(right)))]


@T.prim_func
def histogram_kernel(x: T.Tensor((2048,), "int32"), counts: T.Tensor((32,), "int32")):
    with T.Kernel(4, threads=128) as block:
        for i in T.Parallel(512):
            T.atomic_add(counts[x[block * 512 + i]], 1)


@case(histogram_kernel)
def histogram(rng):
    x = rng.integers(0, 32, 2048, np.int32)
    counts = np.zeros(32, np.int32)
    return [x, counts], [Expected(counts, np.bincount(x, minlength=32))]


@T.prim_func
def cumsum_kernel(x: T.Tensor((4, 128), "float32"), y: T.Tensor((4, 128), "float32")):
    with T.Kernel(1, threads=128):
        tile = T.alloc_shared((4, 128), "float32")
        T.copy(x, tile)
        T.cumsum(tile, dim=1)
        T.copy(tile, y)


@case(cumsum_kernel)
def cumsum(rng):
    x = rng.integers(-99, 99, (4, 128)).astype(np.float32)
    y = outputs(4, 128)
    return [x, y], [Expected(y, x.cumsum(axis=1))]
