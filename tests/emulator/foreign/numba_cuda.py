"""Python kernels that numba-cuda compiles, and their references. With a named target it needs no device."""

import functools
import math
import warnings

import numpy as np

from tests.emulator.foreign import Expected, Launch, Program, generator, outputs, register

# numba-cuda 0.30 asks NumPy for a name that 2.5 has removed, and for a deprecated unit of time.
vars(np).setdefault("row_stack", np.vstack)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import numba
    from numba import cuda

WARP = 0xFFFFFFFF
U9, U14, U28, U36, U55 = map(np.uint64, (9, 14, 28, 36, 55))


def kernel(*archs, grid=1, block=32, shared=0, printed=""):
    """Decorator: the function takes a generator and returns the kernel, its arguments and the `Expected` results."""

    def decorator(case):
        def make(arch):
            function, args, expected = case(generator())
            ptx = compiled(function, tuple(numba_type(arg) for arg in args), arch)
            flat = [word for arg in args for word in flattened(arg)]
            return Program([Launch(ptx, None, grid, block, flat, shared)], expected, printed)

        for arch in archs:
            register(__name__, case.__name__, arch, functools.partial(make, arch))
        return case

    return decorator


def numba_type(value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return numba.typeof(value)


def compiled(function, signature, arch):
    """The PTX of a Python function; the function is its only entry."""
    number = int(arch.removeprefix("sm_"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cuda.compile_ptx(function, signature, cc=divmod(number, 10))[0]


def flattened(value):
    """An argument as parameters of the kernel: an array is seven words or more; one of them is the pointer."""
    if not isinstance(value, np.ndarray):
        return [value]
    words = [np.int64(value.size), np.int64(value.itemsize)]
    return [None, None, *words, value, *map(np.int64, value.shape), *map(np.int64, value.strides)]


# ---- maps


@kernel("sm_75", "sm_90", grid=3, block=64)
def triad(rng):
    def triad(a, b, c, s):
        i = cuda.grid(1)
        if i < a.size:
            a[i] = b[i] + s * c[i]

    b, c = rng.integers(-99, 99, (2, 150)).astype(np.float32)
    a = outputs(150)
    return triad, [a, b.copy(), c.copy(), np.float32(3)], [Expected(a, b + 3 * c)]


@kernel("sm_80", grid=(2, 3), block=(8, 4))
def laplace(rng):
    def laplace(x, y):
        i, j = cuda.grid(2)
        if 0 < i < x.shape[0] - 1 and 0 < j < x.shape[1] - 1:
            y[i, j] = x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1] - 4 * x[i, j]

    x = rng.integers(-99, 99, (14, 11)).astype(np.float64)
    y = np.zeros((14, 11))
    expected = np.zeros((14, 11))
    middle = x[1:-1, 1:-1]
    expected[1:-1, 1:-1] = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * middle
    return laplace, [x, y], [Expected(y, expected)]


@kernel("sm_120", grid=(2, 2), block=(16, 8))
def mandelbrot(rng):
    def mandelbrot(counts):
        i, j = cuda.grid(2)
        c = complex(-2.25 + 3.0 * i / 32, -1.5 + 3.0 * j / 16)
        z = 0j
        count = 0
        while z.real * z.real + z.imag * z.imag <= 4.0 and count < 50:
            z = z * z + c
            count += 1
        counts[j, i] = count

    counts = outputs(16, 32, dtype=np.int32)
    expected = np.zeros((16, 32), int)
    for j, i in np.ndindex(16, 32):
        c, z = complex(-2.25 + 3.0 * i / 32, -1.5 + 3.0 * j / 16), 0j
        while z.real * z.real + z.imag * z.imag <= 4.0 and expected[j, i] < 50:
            z = z * z + c
            expected[j, i] += 1
    return mandelbrot, [counts], [Expected(counts, expected)]


@kernel("sm_75", "sm_90", block=64)
def mathematics(rng):
    def mathematics(x, y):
        i = cuda.grid(1)
        value = x[i]
        y[i, 0] = math.sin(value) * math.exp(value)
        y[i, 1] = math.log1p(abs(value)) + math.erf(value)
        y[i, 2] = math.pow(abs(value), 1.5)
        y[i, 3] = math.hypot(value, 2.0)
        y[i, 4] = math.atan2(value, 0.5) + math.floor(value)

    x = rng.normal(size=64)
    y = outputs(64, 5, dtype=np.float64)
    erf = np.array([math.erf(value) for value in x])
    columns = [np.sin(x) * np.exp(x), np.log1p(abs(x)) + erf, abs(x) ** 1.5, np.hypot(x, 2)]
    columns.append(np.arctan2(x, 0.5) + np.floor(x))
    return mathematics, [x, y], [Expected(y, np.stack(columns, axis=1), relative=2.0**-49, absolute=2.0**-49)]


@kernel("sm_75", block=64)
def divisions(rng):
    def divisions(x, y, quotients, remainders):
        i = cuda.grid(1)
        quotients[i] = x[i] // y[i]
        remainders[i] = x[i] % y[i]

    x = rng.integers(-(1 << 40), 1 << 40, 64)
    y = rng.choice([-7, 3, 1 << 33, -(1 << 20) + 1], 64)
    quotients, remainders = outputs(2, 64, dtype=np.int64)
    args = [x, y, quotients.copy(), remainders.copy()]
    return divisions, args, [Expected(args[2], x // y), Expected(args[3], x % y)]


@kernel("sm_90", block=64)
def bits(rng):
    def bits(x, y):
        i = cuda.grid(1)
        y[i, 0] = cuda.popc(x[i])
        y[i, 1] = cuda.clz(x[i])
        y[i, 2] = cuda.ffs(x[i])
        y[i, 3] = cuda.brev(x[i])
        y[i, 4] = cuda.selp(x[i] > 1000, 1, 2)

    x = rng.integers(1, 1 << 32, 64, np.uint64).astype(np.uint32) >> rng.integers(0, 31, 64, np.uint32) | 64
    y = outputs(64, 5, dtype=np.uint32)
    rows = []
    for value in map(int, x):
        first = (value & -value).bit_length()
        rows.append(
            [value.bit_count(), 32 - value.bit_length(), first, int(f"{value:032b}"[::-1], 2), 1 + (value <= 1000)]
        )
    return bits, [x, y], [Expected(y, rows)]


# ---- shared memory


@kernel("sm_75", "sm_90", grid=3, block=128)
def block_sum(rng):
    def block_sum(x, sums):
        tree = cuda.shared.array(128, numba.float64)
        t = cuda.threadIdx.x
        tree[t] = x[cuda.grid(1)]
        cuda.syncthreads()
        step = 64
        while step:
            if t < step:
                tree[t] += tree[t + step]
            cuda.syncthreads()
            step //= 2
        if t == 0:
            sums[cuda.blockIdx.x] = tree[0]

    x = rng.integers(-999, 999, 384).astype(np.float64)
    sums = outputs(3, dtype=np.float64)
    return block_sum, [x, sums], [Expected(sums, x.reshape(3, 128).sum(axis=1))]


@kernel("sm_80", "sm_120", grid=(2, 2), block=(16, 16))
def matrix_product(rng):
    def matrix_product(a, b, c):
        a_tile = cuda.shared.array((16, 16), numba.float32)
        b_tile = cuda.shared.array((16, 16), numba.float32)
        column, row = cuda.grid(2)
        tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
        total = numba.float32(0.0)
        for first in range(0, a.shape[1], 16):
            a_tile[ty, tx] = a[row, first + tx]
            b_tile[ty, tx] = b[first + ty, column]
            cuda.syncthreads()
            for k in range(16):
                total += a_tile[ty, k] * b_tile[k, tx]
            cuda.syncthreads()
        c[row, column] = total

    a, b = rng.integers(-9, 9, (2, 32, 32)).astype(np.float32)
    c = outputs(32, 32)
    return matrix_product, [a.copy(), b.copy(), c], [Expected(c, a @ b)]


@kernel("sm_90", grid=(2, 3), block=(16, 16))
def transpose(rng):
    def transpose(x, y):
        tile = cuda.shared.array((16, 17), numba.int32)
        tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
        row, column = cuda.blockIdx.y * 16 + ty, cuda.blockIdx.x * 16 + tx
        if row < x.shape[0] and column < x.shape[1]:
            tile[ty, tx] = x[row, column]
        cuda.syncthreads()
        row, column = cuda.blockIdx.x * 16 + ty, cuda.blockIdx.y * 16 + tx
        if row < y.shape[0] and column < y.shape[1]:
            y[row, column] = tile[tx, ty]

    x = rng.integers(0, 999, (40, 25), np.int32)
    y = outputs(25, 40, dtype=np.int32)
    return transpose, [x, y], [Expected(y, x.T)]


@kernel("sm_75", block=64, shared=64 * 4 + 8)
def dynamic_shared(rng):
    def dynamic_shared(x, y):
        values = cuda.shared.array(0, numba.int32)
        t = cuda.threadIdx.x
        values[t] = x[t]
        if t < 2:
            values[64 + t] = 1000 * t
        cuda.syncthreads()
        y[t] = values[63 - t] + values[64 + t % 2]

    x = rng.integers(0, 999, 64, np.int32)
    y = outputs(64, dtype=np.int32)
    return dynamic_shared, [x, y], [Expected(y, x[::-1] + 1000 * (np.arange(64) % 2))]


@kernel("sm_80", "sm_120", block=96)
def odd_even_sort(rng):
    def odd_even_sort(x):
        values = cuda.shared.array(192, numba.float32)
        t = cuda.threadIdx.x
        values[2 * t], values[2 * t + 1] = x[2 * t], x[2 * t + 1]
        for step in range(192):
            cuda.syncthreads()
            i = 2 * t + step % 2
            if i + 1 < 192 and values[i] > values[i + 1]:
                values[i], values[i + 1] = values[i + 1], values[i]
        cuda.syncthreads()
        x[2 * t], x[2 * t + 1] = values[2 * t], values[2 * t + 1]

    x = rng.normal(size=192).astype(np.float32)
    expected = np.sort(x)
    return odd_even_sort, [x], [Expected(x, expected)]


@kernel("sm_75", block=128)
def counts_at_barriers(rng):
    def counts_at_barriers(x, y):
        t = cuda.threadIdx.x
        y[t, 0] = cuda.syncthreads_count(numba.int32(x[t] > 50))
        y[t, 1] = cuda.syncthreads_and(numba.int32(x[t] >= 0))
        y[t, 2] = cuda.syncthreads_or(numba.int32(x[t] > 200))

    x = rng.integers(0, 100, 128, np.int32)
    y = outputs(128, 3, dtype=np.int32)
    return counts_at_barriers, [x, y], [Expected(y, np.tile([(x > 50).sum(), 1, 0], (128, 1)))]


# ---- warps and atomics


@kernel("sm_80", "sm_120", grid=2, block=64)
def warp_scan(rng):
    def warp_scan(x, y):
        i = cuda.grid(1)
        value = x[i]
        step = 1
        while step < 32:
            other = cuda.shfl_up_sync(WARP, value, step)
            if cuda.laneid >= step:
                value += other
            step *= 2
        y[i] = value

    x = rng.integers(-99, 99, 128, np.int64)
    y = outputs(128, dtype=np.int64)
    return warp_scan, [x, y], [Expected(y, x.reshape(4, 32).cumsum(axis=1).reshape(-1))]


@kernel("sm_90", block=32)
def votes(rng):
    def votes(x, y):
        t = cuda.threadIdx.x
        y[t, 0] = cuda.ballot_sync(WARP, x[t] > 5)
        y[t, 1] = cuda.any_sync(WARP, x[t] > 5) + 2 * cuda.all_sync(WARP, x[t] > 5)
        y[t, 2] = cuda.match_any_sync(WARP, x[t])

    x = rng.integers(0, 10, 32, np.int32)
    y = outputs(32, 3, dtype=np.uint32)
    ballot = sum(1 << i for i in range(32) if x[i] > 5)
    rows = [[ballot, 1, sum(1 << i for i in range(32) if x[i] == value)] for value in x]
    return votes, [x, y], [Expected(y, rows)]


@kernel("sm_75", "sm_90", grid=3, block=64)
def atomics(rng):
    def atomics(x, counts, total, most, least):
        i = cuda.grid(1)
        cuda.atomic.add(counts, x[i] % 8, 1)
        cuda.atomic.add(total, 0, numba.float64(x[i]))
        cuda.atomic.max(most, 0, x[i])
        cuda.atomic.min(least, 0, numba.float32(x[i]))

    x = rng.integers(0, 1000, 192, np.int32)
    counts, total = np.zeros(8, np.int32), np.zeros(1)
    most, least = np.zeros(1, np.int32), np.full(1, np.inf, np.float32)
    expected = [
        Expected(counts, np.bincount(x % 8, minlength=8)),
        Expected(total, x.sum()),
        Expected(most, x.max()),
        Expected(least, x.min()),
    ]
    return atomics, [x, counts, total, most, least], expected


@kernel("sm_80", grid=2, block=64)
def lock(rng):
    def lock(mutex, total):
        # One thread of a block at a time.
        if cuda.threadIdx.x == 0:
            while cuda.atomic.cas(mutex, 0, 0, 1) != 0:
                pass
            cuda.threadfence()
            cuda.atomic.add(total, 0, total[1])
            cuda.threadfence()
            cuda.atomic.exch(mutex, 0, 0)

    mutex, total = np.zeros(1, np.int32), np.array([0, 5], np.int32)
    return lock, [mutex, total], [Expected(mutex, 0), Expected(total, [10, 5])]


# ---- the language


@kernel("sm_75", "sm_120", block=64)
def local_and_constant_arrays(rng):
    weights = np.array([1, -2, 3, -4, 5], np.int64)

    def local_and_constant_arrays(x, y):
        i = cuda.grid(1)
        constant = cuda.const.array_like(weights)
        window = cuda.local.array(5, numba.int64)
        for k in range(5):
            window[(i + k) % 5] = x[i + k]
        total = 0
        for k in range(5):
            total += window[k] * constant[k]
        y[i] = total

    x = rng.integers(0, 99, 68)
    y = outputs(64, dtype=np.int64)
    expected = [sum(x[i + k] * weights[(i + k) % 5] for k in range(5)) for i in range(64)]
    return local_and_constant_arrays, [x, y], [Expected(y, expected)]


@kernel("sm_80", "sm_120", block=64)
def binary_search(rng):
    def binary_search(x, values, places):
        i = cuda.grid(1)
        low, high = 0, x.size
        while low < high:
            middle = (low + high) // 2
            if x[middle] < values[i]:
                low = middle + 1
            else:
                high = middle
        places[i] = low

    x = np.sort(rng.integers(0, 500, 200, np.int32))
    values = rng.integers(-5, 505, 64, np.int32)
    places = outputs(64, dtype=np.int64)
    return binary_search, [x, values, places], [Expected(places, np.searchsorted(x, values))]


@kernel("sm_90", block=4, printed="".join(f"thread {i} has {i * 2.5:f}\n" for i in range(4)))
def printing(rng):
    def printing(x):
        print("thread", cuda.threadIdx.x, "has", x[cuda.threadIdx.x])

    return printing, [np.arange(4) * 2.5], []


@kernel("sm_75", "sm_120", block=32)
def random_numbers(rng):
    def random_numbers(states, y):
        # xoroshiro128+, three numbers a thread.
        i = cuda.grid(1)
        s0, s1 = states[i, 0], states[i, 1]
        for k in range(y.shape[1]):
            y[i, k] = s0 + s1
            s1 ^= s0
            s0, s1 = ((s0 << U55) | (s0 >> U9)) ^ s1 ^ (s1 << U14), (s1 << U36) | (s1 >> U28)

    states = rng.integers(1, 1 << 64, (32, 2), np.uint64)
    y = outputs(32, 3, dtype=np.uint64)
    mask, rows = (1 << 64) - 1, []
    for s0, s1 in states.tolist():
        row = []
        for _ in range(3):
            row.append(s0 + s1 & mask)
            s1 ^= s0
            s0, s1 = (s0 << 55 | s0 >> 9) & mask ^ s1 ^ s1 << 14 & mask, (s1 << 36 | s1 >> 28) & mask
        rows.append(row)
    return random_numbers, [states, y], [Expected(y, np.array(rows, np.uint64))]


@kernel("sm_80", "sm_90", block=32)
def records(rng):
    def records(x, y):
        i = cuda.grid(1)
        y[i] = x[i].mass * x[i].speed + x[i].tag

    kind = np.dtype([("mass", np.float64), ("speed", np.float32), ("tag", np.int16)], align=True)
    x = np.zeros(32, kind)
    x["mass"], x["speed"], x["tag"] = rng.integers(1, 99, 32), rng.integers(-9, 9, 32), rng.integers(0, 99, 32)
    y = outputs(32, dtype=np.float64)
    return records, [x, y], [Expected(y, x["mass"] * x["speed"] + x["tag"])]


@kernel("sm_75", "sm_90", grid=2, block=32)
def complex_numbers(rng):
    def complex_numbers(x, y):
        i = cuda.grid(1)
        y[i, 0] = x[i] * x[i].conjugate() + 1j
        y[i, 1] = abs(x[i]) + x[i] / (x[i] + 2)

    x = rng.normal(size=64) + 1j * rng.normal(size=64)
    y = outputs(64, 2, dtype=np.complex128)
    columns = [abs(x) ** 2 + 1j, abs(x) + x / (x + 2)]
    return complex_numbers, [x, y], [Expected(y, np.stack(columns, axis=1), absolute=2.0**-46)]
