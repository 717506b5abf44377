"""Triton's kernels: those of its tutorials and other usual ones, compiled for a target without a GPU."""
# ruff: noqa: N803 - the constants of a kernel are in capitals, as Triton has them

from __future__ import annotations

import ml_dtypes
import numpy as np
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tests.emulator.foreign import Case, Expected, Launch, Program, generator, outputs

VERSION = triton.__version__
CASES: list[Case] = []

POINTERS = {
    "float16": "*fp16", "float32": "*fp32", "float64": "*fp64", "bfloat16": "*bf16", "int8": "*i8", "int32": "*i32",
    "int64": "*i64", "uint32": "*u32", "float8_e4m3fn": "*fp8e4nv", "float8_e5m2": "*fp8e5",
}  # fmt: skip
SCALARS = {np.float32: "fp32", np.int32: "i32"}


def case(*archs, kernel, grid=1, warps=4, stages=3):
    """Decorator: the function takes a generator and returns arguments, constants and the `Expected` results."""

    def decorator(reference):
        def make(arch):
            args, constants, expected = reference(generator())
            return Program([launch(kernel, args, constants, arch, grid, warps, stages)], expected)

        for arch in archs or ("sm_75", "sm_80", "sm_90", "sm_120"):
            CASES.append(Case(reference.__name__, arch, lambda arch=arch: make(arch)))
        return reference

    return decorator


def launch(kernel, args, constants, arch, grid, warps, stages):
    names = [name for name in kernel.arg_names if name not in constants]
    kinds = [
        POINTERS[argument.dtype.name] if isinstance(argument, np.ndarray) else SCALARS[type(argument)]
        for argument in args
    ]
    signature = dict(zip(names, kinds, strict=True)) | dict.fromkeys(constants, "constexpr")
    place = kernel.arg_names.index
    aligned = {(place(name),): [["tt.divisibility", 16]] for name, kind in signature.items() if kind[0] == "*"}
    source = ASTSource(
        kernel, signature, constexprs={(place(name),): value for name, value in constants.items()}, attrs=aligned
    )
    options = {"num_warps": warps, "num_stages": stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", int(arch[3:]), 32), options=options)
    # Two workspaces follow the arguments; no kernel here needs one.
    values = [bits(argument) for argument in args]
    return Launch(compiled.asm["ptx"], None, grid, 32 * warps, [*values, None, None], compiled.metadata.shared)


def bits(value):
    """An array of a type that NumPy lacks as integers of its size."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "V":
        return value.view(f"u{value.itemsize}")
    return value


# ---- maps


@triton.jit
def add_kernel(x, y, z, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(z + i, tl.load(x + i, mask=i < n) + tl.load(y + i, mask=i < n), mask=i < n)


@case(kernel=add_kernel, grid=4)
def add(rng):
    x, y = rng.integers(-99, 99, (2, 1000)).astype(np.float32)
    z = outputs(1000)
    return [x.copy(), y.copy(), z, np.int32(1000)], {"BLOCK": 256}, [Expected(z, x + y)]


@triton.jit
def gelu_kernel(x, y, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + i, mask=i < n)
    tl.store(y + i, 0.5 * value * (1 + tl.math.erf(value * 0.7071067811865476)) + tl.sigmoid(value), mask=i < n)


@case(kernel=gelu_kernel, grid=2)
def gelu(rng):
    from scipy.special import erf

    x = rng.normal(size=500).astype(np.float32)
    y = outputs(500)
    wide = x.astype(np.float64)
    expected = 0.5 * wide * (1 + erf(wide / 2**0.5)) + 1 / (1 + np.exp(-wide))
    return [x, y, np.int32(500)], {"BLOCK": 256}, [Expected(y, expected, absolute=2.0**-20)]


@triton.jit
def dropout_kernel(x, y, n, p, seed, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    kept = tl.rand(seed, i) > p
    tl.store(y + i, tl.where(kept, tl.load(x + i, mask=i < n) / (1 - p), 0.0), mask=i < n)


def philox(seed, counters):
    """The first of the four words that Philox 4x32-10 makes of each counter."""
    low = np.uint64(0xFFFFFFFF)
    words = [counters.astype(np.uint64), *(np.zeros(counters.size, np.uint64) for _ in range(3))]
    keys = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first, second = words[0] * np.uint64(0xD2511F53), words[2] * np.uint64(0xCD9E8D57)
        words = [second >> 32 ^ words[1] ^ keys[0], second & low, first >> 32 ^ words[3] ^ keys[1], first & low]
        keys = [keys[0] + 0x9E3779B9 & 0xFFFFFFFF, keys[1] + 0xBB67AE85 & 0xFFFFFFFF]
    return words[0]


@case(kernel=dropout_kernel, grid=2)
def dropout(rng):
    x = rng.integers(1, 99, 500).astype(np.float32)
    y = outputs(500)
    drawn = philox(123, np.arange(500)).astype(np.uint32).view(np.int32).astype(np.int64)
    uniform = np.where(drawn < 0, -drawn - 1, drawn).astype(np.float32) * np.float32(4.6566127342e-10)
    expected = np.where(uniform > 0.5, x * 2, 0)
    return [x, y, np.int32(500), np.float32(0.5), np.int32(123)], {"BLOCK": 256}, [Expected(y, expected)]


@triton.jit
def cast_kernel(x, half, brain, eight, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + i)
    tl.store(half + i, value.to(tl.float16))
    tl.store(brain + i, value.to(tl.bfloat16))
    tl.store(eight + i, value.to(tl.float8e5))


@case("sm_80", "sm_90", "sm_120", kernel=cast_kernel, grid=2)
def casts(rng):
    x = (rng.normal(size=512) * 8).astype(np.float32)
    types = (np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2)
    results = [outputs(512, dtype=dtype) for dtype in types]
    expected = [Expected(bits(result), bits(x.astype(kind))) for result, kind in zip(results, types, strict=True)]
    return [x, *results], {"BLOCK": 256}, expected


@triton.jit
def transpose_kernel(x, y, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows, columns = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    tile = tl.load(x + rows[:, None] * COLUMNS + columns[None, :])
    tl.store(y + columns[:, None] * ROWS + rows[None, :], tl.trans(tile))


@case(kernel=transpose_kernel)
def transpose(rng):
    x = rng.normal(size=(64, 32)).astype(np.float32)
    y = outputs(32, 64)
    return [x, y], {"ROWS": 64, "COLUMNS": 32}, [Expected(y, x.T)]


@triton.jit
def join_kernel(x, y, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    value = tl.load(x + i)
    both = tl.interleave(value, -value)
    even, odd = tl.split(tl.reshape(both, (BLOCK, 2)))
    tl.store(y + tl.arange(0, 2 * BLOCK), both)
    tl.store(y + 2 * BLOCK + i, even + 2 * odd)


@case(kernel=join_kernel)
def join_and_split(rng):
    x = rng.integers(-99, 99, 256, np.int32)
    y = outputs(768, dtype=np.int32)
    expected = np.concatenate([np.stack([x, -x], axis=1).reshape(-1), x - 2 * x])
    return [x, y], {"BLOCK": 256}, [Expected(y, expected)]


# ---- reductions and scans


@triton.jit
def softmax_kernel(x, y, n, BLOCK: tl.constexpr):
    row, i = tl.program_id(0), tl.arange(0, BLOCK)
    value = tl.load(x + row * n + i, mask=i < n, other=-float("inf"))
    value = tl.exp(value - tl.max(value, axis=0))
    tl.store(y + row * n + i, value / tl.sum(value, axis=0), mask=i < n)


@case(kernel=softmax_kernel, grid=6)
def softmax(rng):
    x = (rng.normal(size=(6, 781)) * 3).astype(np.float32)
    y = outputs(6, 781)
    exponentials = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    return [x, y, np.int32(781)], {"BLOCK": 1024}, [Expected(y, expected, relative=2.0**-18, absolute=2.0**-100)]


@triton.jit
def layer_norm_kernel(x, weight, bias, y, means, n, eps, BLOCK: tl.constexpr):
    row, i = tl.program_id(0), tl.arange(0, BLOCK)
    value = tl.load(x + row * n + i, mask=i < n, other=0.0)
    mean = tl.sum(value, axis=0) / n
    centred = tl.where(i < n, value - mean, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, axis=0) / n + eps)
    tl.store(means + row, mean)
    result = centred * scale * tl.load(weight + i, mask=i < n) + tl.load(bias + i, mask=i < n)
    tl.store(y + row * n + i, result, mask=i < n)


@case(kernel=layer_norm_kernel, grid=4)
def layer_norm(rng):
    x = rng.normal(size=(4, 500)).astype(np.float32)
    weight, bias = rng.normal(size=(2, 500)).astype(np.float32)
    y, means = outputs(4, 500), outputs(4)
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axis=1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * weight + bias
    args = [x, weight.copy(), bias.copy(), y, means, np.int32(500), np.float32(1e-5)]
    bounds = [Expected(y, expected, 2.0**-18, 2.0**-18), Expected(means, wide.mean(axis=1), absolute=2.0**-20)]
    return args, {"BLOCK": 512}, bounds


@triton.jit
def reduce_kernel(x, sums, largest, places, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows, columns = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    value = tl.load(x + rows[:, None] * COLUMNS + columns[None, :])
    tl.store(sums + columns, tl.sum(value, axis=0))
    most, place = tl.max(value, axis=1, return_indices=True)
    tl.store(largest + rows, most)
    tl.store(places + rows, place)


@case(kernel=reduce_kernel)
def reductions(rng):
    x = rng.integers(-9999, 9999, (32, 128)).astype(np.float32)
    sums, largest, places = outputs(128), outputs(32), outputs(32, dtype=np.int32)
    expected = [Expected(sums, x.sum(axis=0)), Expected(largest, x.max(axis=1)), Expected(places, x.argmax(axis=1))]
    return [x, sums, largest, places], {"ROWS": 32, "COLUMNS": 128}, expected


@triton.jit
def welford(mean1, m1, weight1, mean2, m2, weight2):
    delta, weight = mean2 - mean1, weight1 + weight2
    share = tl.where(weight == 0.0, 0.0, weight2 / weight)
    return mean1 + delta * share, m1 + m2 + delta * delta * weight1 * share, weight


@triton.jit
def variance_kernel(x, y, BLOCK: tl.constexpr):
    value = tl.load(x + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK))
    zeros = tl.zeros((BLOCK,), tl.float32)
    mean, m2, weight = tl.reduce((value, zeros, zeros + 1.0), 0, welford)
    tl.store(y + 2 * tl.program_id(0), mean)
    tl.store(y + 2 * tl.program_id(0) + 1, m2 / weight)


@case(kernel=variance_kernel, grid=3, warps=2)
def variance(rng):
    x = rng.normal(size=(3, 512)).astype(np.float32)
    y = outputs(3, 2)
    wide = x.astype(np.float64)
    expected = np.stack([wide.mean(axis=1), wide.var(axis=1)], axis=1)
    return [x, y], {"BLOCK": 512}, [Expected(y, expected, absolute=2.0**-18)]


@triton.jit
def cumsum_kernel(x, y, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows, columns = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    at = rows[:, None] * COLUMNS + columns[None, :]
    value = tl.load(x + at)
    tl.store(y + at, tl.cumsum(value, axis=1) + tl.cumsum(value, axis=0, reverse=True))


@case(kernel=cumsum_kernel)
def cumsum(rng):
    x = rng.integers(-99, 99, (16, 128), np.int32)
    y = outputs(16, 128, dtype=np.int32)
    return [x, y], {"ROWS": 16, "COLUMNS": 128}, [Expected(y, x.cumsum(axis=1) + x[::-1].cumsum(axis=0)[::-1])]


@triton.jit
def linear(a1, b1, a2, b2):
    return a1 * a2, b1 * a2 + b2


@triton.jit
def recurrence_kernel(a, b, y, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    _, result = tl.associative_scan((tl.load(a + i), tl.load(b + i)), 0, linear)
    tl.store(y + i, result)


@case(kernel=recurrence_kernel, grid=2)
def recurrence(rng):
    a = rng.choice([-1.0, 1.0], (2, 256)).astype(np.float32)
    b = rng.integers(-99, 99, (2, 256)).astype(np.float32)
    y = outputs(2, 256)
    expected, state = np.zeros((2, 256)), np.zeros(2)
    for i in range(256):
        state = expected[:, i] = state * a[:, i] + b[:, i]
    return [a, b, y], {"BLOCK": 256}, [Expected(y, expected)]


@triton.jit
def sort_kernel(x, y, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + i, tl.sort(tl.load(x + i)))


@case(kernel=sort_kernel, grid=2)
def sort(rng):
    x = rng.integers(-9999, 9999, (2, 256), np.int32)
    y = outputs(2, 256, dtype=np.int32)
    return [x, y], {"BLOCK": 256}, [Expected(y, np.sort(x, axis=1))]


@triton.jit
def histogram_kernel(x, counts, BLOCK: tl.constexpr, BINS: tl.constexpr):
    value = tl.load(x + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK))
    tl.atomic_add(counts + tl.arange(0, BINS), tl.histogram(value, BINS))


@case(kernel=histogram_kernel, grid=2)
def histogram(rng):
    x = rng.integers(0, 64, 1024, np.int32)
    counts = np.zeros(64, np.int32)
    return [x, counts], {"BLOCK": 512, "BINS": 64}, [Expected(counts, np.bincount(x, minlength=64))]


@triton.jit
def cross_entropy_kernel(logits, labels, losses, n, BLOCK: tl.constexpr):
    row, i = tl.program_id(0), tl.arange(0, BLOCK)
    value = tl.load(logits + row * n + i, mask=i < n, other=-float("inf"))
    most = tl.max(value, axis=0)
    total = tl.log(tl.sum(tl.exp(value - most), axis=0)) + most
    tl.store(losses + row, total - tl.load(logits + row * n + tl.load(labels + row)))


@case(kernel=cross_entropy_kernel, grid=5)
def cross_entropy(rng):
    logits = (rng.normal(size=(5, 300)) * 3).astype(np.float32)
    labels = rng.integers(0, 300, 5, np.int32)
    losses = outputs(5)
    wide = logits.astype(np.float64)
    expected = np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(5), labels]
    return [logits, labels, losses, np.int32(300)], {"BLOCK": 512}, [Expected(losses, expected, absolute=2.0**-17)]


# ---- gathers and atomics


@triton.jit
def gather_kernel(x, index, y, n, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    i, columns = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, WIDTH)
    rows = tl.load(index + i, mask=i < n, other=0)
    value = tl.load(x + rows[:, None] * WIDTH + columns[None, :])
    tl.store(y + i[:, None] * WIDTH + columns[None, :], value, mask=(i < n)[:, None])


@case(kernel=gather_kernel, grid=3)
def gather(rng):
    x = rng.normal(size=(50, 32)).astype(np.float32)
    index = rng.integers(0, 50, 40, np.int32)
    y = outputs(40, 32)
    return [x, index, y, np.int32(40)], {"WIDTH": 32, "BLOCK": 16}, [Expected(y, x[index])]


@triton.jit
def gather_in_block_kernel(x, index, y, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(y + i, tl.gather(tl.load(x + i), tl.load(index + i), 0))


@case(kernel=gather_in_block_kernel)
def gather_in_block(rng):
    x, index = rng.integers(0, 999, 256, np.int32), rng.integers(0, 256, 256, np.int32)
    y = outputs(256, dtype=np.int32)
    return [x, index, y], {"BLOCK": 256}, [Expected(y, x[index])]


@triton.jit
def scatter_kernel(x, index, sums, most, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value, place = tl.load(x + i, mask=i < n), tl.load(index + i, mask=i < n)
    tl.atomic_add(sums + place, value, mask=i < n)
    tl.atomic_max(most + place, value.to(tl.int32), mask=i < n)


@case(kernel=scatter_kernel, grid=3)
def scatter(rng):
    x, index = rng.integers(0, 99, 300).astype(np.float32), rng.integers(0, 20, 300, np.int32)
    sums, most = np.zeros(20, np.float32), np.zeros(20, np.int32)
    largest = np.zeros(20)
    np.maximum.at(largest, index, x)
    expected = [Expected(sums, np.bincount(index, x, 20)), Expected(most, largest)]
    return [x, index, sums, most, np.int32(300)], {"BLOCK": 128}, expected


@triton.jit
def lock_kernel(x, sums, lock, WIDTH: tl.constexpr):
    columns = tl.arange(0, WIDTH)
    value = tl.load(x + tl.program_id(0) * WIDTH + columns)
    while tl.atomic_cas(lock, 0, 1) == 1:
        pass
    tl.store(sums + columns, tl.load(sums + columns) + value)
    tl.debug_barrier()
    tl.atomic_xchg(lock, 0)


@case(kernel=lock_kernel, grid=4)
def lock(rng):
    x = rng.integers(-99, 99, (4, 128)).astype(np.float32)
    sums, state = np.zeros(128, np.float32), np.zeros(1, np.int32)
    return [x, sums, state], {"WIDTH": 128}, [Expected(sums, x.sum(axis=0)), Expected(state, 0)]


# ---- products


@triton.jit
def product_kernel(
    a, b, c, M, N, K, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, KIND: tl.constexpr
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    depth = tl.arange(0, DEPTH)
    total = tl.zeros((ROWS, COLUMNS), KIND)
    for k in range(0, K, DEPTH):
        left = tl.load(a + rows[:, None] * K + k + depth[None, :], mask=depth[None, :] < K - k, other=0.0)
        right = tl.load(b + (k + depth[:, None]) * N + columns[None, :], mask=depth[:, None] < K - k, other=0.0)
        total = tl.dot(left, right, total, out_dtype=KIND)
    inside = (rows[:, None] < M) & (columns[None, :] < N)
    tl.store(c + rows[:, None] * N + columns[None, :], total, mask=inside)


def product(rng, dtype, size, roundoff):
    m, n, k = size
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    c = outputs(m, n)
    left, right = a.astype(np.float64), b.astype(np.float64)
    bound = (k + 1) * roundoff * (abs(left) @ abs(right))
    constants = {"ROWS": 64, "COLUMNS": 64, "DEPTH": 32, "KIND": tl.float32}
    args = [a, b, c, np.int32(m), np.int32(n), np.int32(k)]
    return args, constants, [Expected(c, left @ right, absolute=bound)]


@case(kernel=product_kernel, grid=(2, 1))
def product_f16(rng):
    return product(rng, np.float16, (128, 64, 96), 2.0**-23)


@case("sm_80", "sm_90", "sm_120", kernel=product_kernel, grid=(2, 1))
def product_bf16(rng):
    return product(rng, ml_dtypes.bfloat16, (128, 64, 96), 2.0**-23)


@case(kernel=product_kernel, grid=(1, 1))
def product_tf32(rng):
    return product(rng, np.float32, (64, 64, 64), 2.0**-10)


@case("sm_90", "sm_120", kernel=product_kernel, grid=(1, 1))
def product_fp8(rng):
    return product(rng, ml_dtypes.float8_e4m3fn, (64, 64, 64), 2.0**-12)


@case("sm_80", "sm_90", "sm_120", kernel=product_kernel, grid=(1, 1))
def product_s8(rng):
    a, b = rng.integers(-128, 128, (2, 64, 64), np.int8)
    c = outputs(64, 64, dtype=np.int32)
    constants = {"ROWS": 64, "COLUMNS": 64, "DEPTH": 32, "KIND": tl.int32}
    args = [a.copy(), b.copy(), c, *map(np.int32, (64, 64, 64))]
    return args, constants, [Expected(c, a.astype(int) @ b.astype(int))]


@triton.jit
def attention_kernel(q, k, v, y, scale, LENGTH: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Flash attention, causal: a block of queries passes over the keys before it."""
    head = tl.program_id(1) * LENGTH * WIDTH
    rows, columns, width = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, BLOCK), tl.arange(0, WIDTH)
    queries = tl.load(q + head + rows[:, None] * WIDTH + width[None, :])
    most = tl.full((BLOCK,), -float("inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    result = tl.zeros((BLOCK, WIDTH), tl.float32)
    for first in range(0, (tl.program_id(0) + 1) * BLOCK, BLOCK):
        keys = tl.load(k + head + (first + columns[None, :]) * WIDTH + width[:, None])
        values = tl.load(v + head + (first + columns[:, None]) * WIDTH + width[None, :])
        scores = tl.dot(queries, keys) * scale
        scores = tl.where(rows[:, None] >= first + columns[None, :], scores, -float("inf"))
        larger = tl.maximum(most, tl.max(scores, axis=1))
        weights = tl.exp(scores - larger[:, None])
        shrink = tl.exp(most - larger)
        total = total * shrink + tl.sum(weights, axis=1)
        result = tl.dot(weights.to(tl.float16), values, result * shrink[:, None])
        most = larger
    tl.store(y + head + rows[:, None] * WIDTH + width[None, :], result / total[:, None])


@case(kernel=attention_kernel, grid=(4, 2))
def attention(rng):
    q, k, v = rng.normal(size=(3, 2, 128, 32)).astype(np.float16)
    y = outputs(2, 128, 32)
    scale = 32**-0.5
    scores = np.einsum("hiw,hjw->hij", q.astype(np.float64), k.astype(np.float64)) * scale
    scores = np.where(np.tri(128, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    expected = weights / weights.sum(axis=2, keepdims=True) @ v.astype(np.float64)
    args = [q.copy(), k.copy(), v.copy(), y, np.float32(scale)]
    return args, {"LENGTH": 128, "WIDTH": 32, "BLOCK": 32}, [Expected(y, expected, absolute=2.0**-8)]
