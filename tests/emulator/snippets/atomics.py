"""Reference results of the kernels in atomics.cu. Float sums add integers, so that their order does not matter."""

import numpy as np

from tests.emulator.snippets import case, f16, outputs, to_bf16


@case(grid=3, block=70)
def integer_atomics(rng):
    x = rng.integers(-(2**30), 2**30, 210, np.int32)
    u = x.view(np.uint32)
    cells = np.array([5, 5, 2**31 - 1, -(2**31)], np.int32)
    ucells = np.array([2**32 - 1, 0, 1, 2**32 - 1, 0, 7, 7, 0], np.uint32)
    down = (7 - 210) % 51
    expected = [
        np.bitwise_and.reduce(u | 0xFF00FF00), np.bitwise_or.reduce(u & 0x0FF00FF0), 1 ^ np.bitwise_xor.reduce(u),
        u.min(), u.max(), (7 + 210) % 51, down, 210,
    ]  # fmt: skip
    sums = np.array([5 + x.sum(dtype=np.int64), 5 - x.sum(dtype=np.int64)]).astype(np.int32)
    return [x, cells, ucells], {1: [*sums, x.min(), x.max()], 2: np.array(expected, np.uint32)}


@case(grid=3, block=40)
def returned_values(rng):
    swapped = np.ones(120, np.int32)
    cells = np.zeros(3, np.int32)
    swapped[119] = 0  # CTAs run in ascending order where atomics return values, so the last thread is the last
    zeros = np.zeros(120, np.int32)
    return [np.zeros(1, np.int32), cells, zeros.copy(), zeros.copy()], {
        0: [120],
        1: [120, 7, 1],
        2: [1] * 120,
        3: swapped,
    }


@case(block=96)
def wide_atomics(rng):
    x = rng.integers(-(2**63), 2**63, 96, np.int64)
    u = x.view(np.uint64)
    product = 3
    for value in u.tolist():
        product = product * (value | 1) % 2**64
    cells = np.array([2**62, -(2**62)])
    ucells = np.array([1, 2**64 - 1, 0, 2**64 - 1, 0, 0, 3, 0], np.uint64)
    expected = [
        (1 + sum(u.tolist())) % 2**64, u.min(), u.max(), np.bitwise_and.reduce(u | np.uint64(0xFFFF0000FFFF0000)),
        np.bitwise_or.reduce(u), np.bitwise_xor.reduce(u), product, 5,
    ]  # fmt: skip
    return [x, cells, ucells], {
        1: [min(x.min(), 2**62), max(x.max(), -(2**62))],
        2: np.array(list(map(int, expected)), np.uint64),
    }


@case(block=64)
def float_atomics(rng):
    x = rng.integers(-99, 99, 64).astype(np.float32)
    f, d = np.array([1.0, 0.0, 50.0], np.float32), np.zeros(1)
    greatest = np.array([x.max()], np.float32).view(np.int32)
    return [x, f, d, np.zeros(1, np.int32)], {1: [1 + x.sum(), 2.5, min(50, x.min())], 2: [x.sum()], 3: greatest}


@case(block=48)
def packed_atomics(rng):
    x = rng.integers(-2, 3, 48).astype(np.float32)  # every partial sum is exact in bf16 too
    total = x.sum()
    bf = to_bf16([total, -total, total, 0])
    return [x, f16([0, 0]), f16([0]), np.zeros(4, np.uint16)], {1: [total, 2 * total], 2: [total], 3: bf}


@case(grid=3, block=64)
def shared_histogram(rng):
    x = rng.integers(0, 256, 1000).astype(np.uint8)
    bins = np.zeros(16, np.int32)
    return [x, bins, np.int32(1000)], {1: np.bincount(x >> 4, minlength=16)}


@case(block=80)
def shared_atomics(rng):
    x = rng.integers(1, 500, 80, np.int32)
    return [x, outputs(6, dtype=np.int32)], {1: [x.min(), np.bitwise_or.reduce(x), 9, 4, x.sum(), x.sum()]}


@case(block=64)
def scopes(rng):
    return [np.zeros(4, np.int32), outputs(1, dtype=np.int32)], {0: [64, 128, 63, 32], 1: [32]}


@case(grid=9, block=32)
def spin_lock(rng):
    value = 1
    for _ in range(9):
        value = value * 3 + 1
    return [np.zeros(1, np.int32), np.ones(1, np.int32)], {0: [0], 1: [value]}
