"""Triton's matrix products for Hopper: tensor maps from the host or made by the kernel, and warpgroup instructions."""
# ruff: noqa: N803 - the constants of a kernel are in capitals, as Triton has them

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from benchmarks.producers.triton_kernels import POINTERS, SCALARS, bits
from ptxbench import emulator
from ptxbench.tensor_map import TensorMap
from tests.emulator.foreign import Case, Expected, Launch, Program, generator, outputs

CASES: list[Case] = []
SWIZZLES = (0, 32, 64, 128)
"""Bytes, by Triton's number."""


@dataclass(frozen=True)
class Tiles:
    """An argument: a matrix of which the kernel moves blocks, by a tensor map of the host."""

    array: Any
    block: tuple[int, int]

    @property
    def kind(self) -> str:
        return f"tensordesc<{POINTERS[self.array.dtype.name][1:]}[{self.block[0]},{self.block[1]}]>"

    def values(self, meta):
        """The parameters of the argument: the map, the extents and the strides."""
        raw = bits(self.array)
        box = tuple(reversed(meta["block_size"]))
        mapped = emulator.MapOf(raw, TensorMap("map", "array", box=box, swizzle=SWIZZLES[meta["swizzle"]]))
        strides = [stride // raw.itemsize for stride in raw.strides]
        return [mapped, *map(np.int32, raw.shape), *map(np.int64, strides)]


def case(*, kernel, grid, warps=4, stages=3):
    """Decorator: the function takes a generator and returns arguments, constants and the `Expected` results."""

    def decorator(reference):
        def make():
            args, constants, expected = reference(generator())
            return Program([launch(kernel, args, constants, grid, warps, stages)], expected)

        CASES.append(Case(reference.__name__, "sm_90a", make))
        return reference

    return decorator


def kind(value):
    if isinstance(value, Tiles):
        return value.kind
    return POINTERS[value.dtype.name] if isinstance(value, np.ndarray) else SCALARS[type(value)]


def launch(kernel, args, constants, grid, warps, stages):
    names = [name for name in kernel.arg_names if name not in constants]
    signature = dict(zip(names, map(kind, args), strict=True)) | dict.fromkeys(constants, "constexpr")
    place = kernel.arg_names.index
    aligned = {(place(name),): [["tt.divisibility", 16]] for name in signature if signature[name][0] in "*i"}
    source = ASTSource(
        kernel, signature, constexprs={(place(name),): value for name, value in constants.items()}, attrs=aligned
    )
    compiled = triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps, "num_stages": stages}
    )
    metas = iter(compiled.metadata.tensordesc_meta or ())
    values = []
    for argument in args:
        values += argument.values(next(metas)) if isinstance(argument, Tiles) else [bits(argument)]
    ctas = grid if isinstance(grid, int) else int(np.prod(grid))
    scratch = np.zeros(max(compiled.metadata.global_scratch_size * ctas, 1), np.uint8)
    return Launch(compiled.asm["ptx"], None, grid, 32 * warps, [*values, scratch, None], compiled.metadata.shared)


@triton.jit
def tiles_kernel(a, b, c, K, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr):
    row, column = tl.program_id(0) * ROWS, tl.program_id(1) * COLUMNS
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for k in range(0, K, DEPTH):
        total = tl.dot(a.load([row, k]), b.load([column, k]).T, total)
    c.store([row, column], total.to(c.dtype))


def product(rng, dtype, size, block, depth):
    """Whole numbers, so that sums are exact; with edges."""
    m, n, k = size
    a, b = (rng.integers(-4, 5, shape).astype(np.float32).astype(dtype) for shape in ((m, k), (n, k)))
    c = outputs(m, n, dtype=np.float16)
    wide = a.astype(np.float32) @ b.astype(np.float32).T
    args = [Tiles(a, (block, depth)), Tiles(b, (block, depth)), Tiles(c, (block, block)), np.int32(k)]
    return args, {"ROWS": block, "COLUMNS": block, "DEPTH": depth}, [Expected(c, wide.astype(np.float16))]


@case(kernel=tiles_kernel, grid=(2, 2))
def product_of_tiles_f16(rng):
    return product(rng, np.float16, (200, 136, 320), 128, 64)


@case(kernel=tiles_kernel, grid=(2, 1), warps=8)
def product_of_tiles_f16_by_two_warpgroups(rng):
    return product(rng, np.float16, (256, 128, 192), 128, 64)


@case(kernel=tiles_kernel, grid=(1, 1))
def product_of_tiles_fp8(rng):
    return product(rng, ml_dtypes.float8_e4m3fn, (64, 64, 256), 64, 128)


@triton.jit
def made_tiles_kernel(
    a, b, c, M, N, K, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, CTAS: tl.constexpr
):
    """Persistent: a CTA has every CTAS-th tile. The kernel makes the tensor maps."""
    a_tiles = tl.make_tensor_descriptor(a, [M, K], [K, 1], [ROWS, DEPTH])
    b_tiles = tl.make_tensor_descriptor(b, [N, K], [K, 1], [COLUMNS, DEPTH])
    c_tiles = tl.make_tensor_descriptor(c, [M, N], [N, 1], [ROWS, COLUMNS])
    across = tl.cdiv(N, COLUMNS)
    for tile in tl.range(tl.program_id(0), tl.cdiv(M, ROWS) * across, CTAS):
        row, column = tile // across * ROWS, tile % across * COLUMNS
        total = tl.zeros((ROWS, COLUMNS), tl.float32)
        for k in range(0, K, DEPTH):
            total = tl.dot(a_tiles.load([row, k]), b_tiles.load([column, k]).T, total)
        c_tiles.store([row, column], total.to(tl.float16))


@case(kernel=made_tiles_kernel, grid=2)
def product_of_made_tiles(rng):
    m, n, k = 200, 136, 192
    a, b = (rng.integers(-4, 5, shape).astype(np.float16) for shape in ((m, k), (n, k)))
    c = outputs(m, n, dtype=np.float16)
    wide = a.astype(np.float32) @ b.astype(np.float32).T
    constants = {"ROWS": 64, "COLUMNS": 64, "DEPTH": 64, "CTAS": 2}
    return [a, b, c, *map(np.int32, (m, n, k))], constants, [Expected(c, wide.astype(np.float16))]


@triton.jit
def attention_kernel(q, k, v, y, scale, LENGTH: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Flash attention by tensor maps: a block of queries passes over all keys."""
    first, head = tl.program_id(0) * BLOCK, tl.program_id(1) * LENGTH
    queries = q.load([head + first, 0])
    most = tl.full((BLOCK,), -float("inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    result = tl.zeros((BLOCK, WIDTH), tl.float32)
    for key in range(0, LENGTH, BLOCK):
        scores = tl.dot(queries, k.load([head + key, 0]).T) * scale
        larger = tl.maximum(most, tl.max(scores, axis=1))
        weights = tl.exp(scores - larger[:, None])
        shrink = tl.exp(most - larger)
        total = total * shrink + tl.sum(weights, axis=1)
        result = tl.dot(weights.to(tl.float16), v.load([head + key, 0]), result * shrink[:, None])
        most = larger
    y.store([head + first, 0], (result / total[:, None]).to(tl.float16))


@case(kernel=attention_kernel, grid=(2, 2))
def attention_of_tiles(rng):
    heads, length, width, block = 2, 128, 64, 64
    q, k, v = rng.normal(size=(3, heads * length, width)).astype(np.float16)
    y = outputs(heads * length, width, dtype=np.float16)
    scale = width**-0.5
    wide = [array.astype(np.float64).reshape(heads, length, width) for array in (q, k, v)]
    scores = np.einsum("hiw,hjw->hij", *wide[:2]) * scale
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    expected = (weights / weights.sum(axis=2, keepdims=True) @ wide[2]).reshape(-1, width)
    args = [*(Tiles(array.copy(), (block, width)) for array in (q, k, v)), Tiles(y, (block, width)), np.float32(scale)]
    return args, {"LENGTH": length, "WIDTH": width, "BLOCK": block}, [Expected(y, expected, absolute=2.0**-8)]
