"""Reference results of the kernels in language.cu."""

import numpy as np

from tests.emulator.foreign import Expected, cuda, outputs

BODY = np.dtype([("position", np.float64, 3), ("mass", np.float32), ("tag", np.int16)], align=True)


@cuda("sm_75", "sm_120", block=32)
def structures_by_value(rng):
    a = np.array([((4.0, -2.0, 0.5), 8.0, 3)], BODY)
    b = np.array([((1.0, 2.5, -6.0), 2.0, -5)], BODY)
    y = outputs(32, dtype=np.float64)
    expected = 8.0 * 3 * (a["position"] - b["position"]).sum() - 5 + np.arange(32)
    return [np.void(a.tobytes()), np.void(b.tobytes()), y, np.int32(3)], [Expected(y, expected)]


@cuda("sm_75", "sm_90", block=64)
def constants_and_switches(rng):
    x = rng.integers(1, 1 << 20, 64, np.int32)
    y = outputs(64, dtype=np.int32)
    bits = np.array([int(value).bit_count() for value in x])
    zeros = np.array([32 - int(value).bit_length() for value in x])
    results = np.choose(x & 7, [3 * x, x - 100, ~x, x << 3, x // 7, x % 7, bits, zeros])
    weights = np.array([1, -2, 3, -4, 5, -6, 7, -8])
    return [x, y], [Expected(y, results + weights[x >> 3 & 7])]


@cuda("sm_80", grid=(2, 3, 2), block=(4, 2, 5))
def three_dimensions(rng):
    y = outputs(10, 6, 8, dtype=np.int32)
    plane, row, x = np.indices(y.shape)
    return [y], [Expected(y, 10000 * plane + 100 * row + x)]


@cuda("sm_75", "sm_120", block=64, shared=64 * 12)
def shared_of_the_launch(rng):
    x = rng.integers(-99, 99, 64).astype(np.float32)
    y = outputs(64)
    return [x, y, np.int32(64)], [Expected(y, x[::-1] + 2 * np.roll(x, -1))]


@cuda("sm_80", "sm_90", block=32)
def local_arrays(rng):
    x = rng.integers(0, 99, (32, 32), np.int32)
    y = outputs(32, dtype=np.int32)
    sums = []
    for row in x:
        rising = []
        for value in map(int, row):
            while rising and rising[-1] > value:
                rising.pop()
            rising.append(value)
        total = 0
        for value in rising:
            total = 31 * total + value
        sums.append((total + (1 << 31)) % (1 << 32) - (1 << 31))
    return [x, y], [Expected(y, sums)]


PRINTED = "".join(
    f"thread {i} of the warp: {i / 4:.3f}, {hex(255 * i) if i else '0'}, {-i:5}, {chr(97 + i)}, {1 << (33 + i)}%\n"
    for i in range(0, 8, 2)
)


@cuda("sm_75", "sm_120", block=8, printed=PRINTED)
def printing(rng):
    return [np.arange(8, dtype=np.float32) / 4], []


@cuda("sm_90", block=32)
def lambdas(rng):
    x = rng.integers(1, 99, 32, np.int32)
    y = outputs(32, dtype=np.int32)
    scale = int(x[0])
    inner = (2 * scale + 1) ^ 5
    return [x, y], [Expected(y, (x * scale + 1) * scale + 1 + ((inner * scale + 1) ^ 5))]
