"""Reference results of the kernels in libcudacxx.cu."""

import numpy as np

from tests.emulator.foreign import Expected, cuda, outputs


@cuda("sm_80", "sm_90", block=128)
def barrier_arrive_and_wait(rng):
    x = rng.integers(0, 999, 128, np.int32)
    y = outputs(128, dtype=np.int32)
    return [x, y], [Expected(y, x.sum())]


@cuda("sm_75", "sm_90", block=96)
def barrier_split(rng):
    x = rng.integers(0, 999, 96, np.int32)
    y = outputs(96, dtype=np.int32)
    return [x, y], [Expected(y, 3 * x + x[::-1])]


@cuda("sm_80", "sm_90", block=96)
def producer_and_consumers(rng):
    x = rng.integers(0, 999, (5, 32), np.int32)
    y = outputs(64, dtype=np.int32)
    sums = sum(np.roll(row, -i) for i, row in enumerate(x))
    return [x, y, np.int32(5)], [Expected(y, np.tile(sums, 2))]


@cuda("sm_80", "sm_90", grid=2, block=64)
def copy_with_barrier(rng):
    x = rng.integers(0, 999, (2, 256), np.int32)
    y = outputs(2, 256, dtype=np.int32)
    return [x, y], [Expected(y, x[:, ::-1])]


@cuda("sm_75", "sm_80", "sm_90", block=64)
def pipeline_of_block(rng):
    x = rng.integers(-99, 99, (7, 64)).astype(np.float32)
    y = outputs(64)
    return [x, y, np.int32(7)], [Expected(y, x[:, ::-1].sum(axis=0))]


@cuda("sm_75", "sm_80", block=32)
def pipeline_of_thread(rng):
    x = rng.integers(-99, 99, (5, 32, 4)).astype(np.float32)
    y = outputs(32, 4)
    return [x, y, np.int32(5)], [Expected(y, x.sum(axis=0))]


@cuda("sm_75", "sm_90", grid=3, block=64)
def atomic_references(rng):
    x = rng.integers(0, 1000, 192, np.int32)
    counts, total, most = np.zeros(8, np.int32), np.zeros(1, np.float32), np.zeros(1, np.uint64)
    expected = [
        Expected(counts, np.bincount(x & 7, minlength=8)),
        Expected(total, x.sum()),
        Expected(most, np.uint64(x.max()) << np.uint64(33)),
    ]
    return [x, counts, total, most], expected


@cuda("sm_80", block=40)
def compare_and_exchange(rng):
    x = rng.choice([0.5, 2.0, -1.0, 4.0], 40)
    products = outputs(1, dtype=np.float64)
    return [products, x], [Expected(products, x.prod())]


@cuda("sm_75", "sm_90", grid=2, block=64)
def message_between_blocks(rng):
    data, flag, y = outputs(64, dtype=np.int32), np.zeros(1, np.uint32), outputs(64, dtype=np.int32)
    return [data, flag, y], [Expected(y, 7 * np.arange(64) + 2), Expected(flag, 1)]


@cuda("sm_80", "sm_90", grid=6, block=64)
def last_block_sums(rng):
    x = rng.integers(0, 999, (6, 64), np.int32)
    partial, tickets, total = outputs(6, dtype=np.int32), np.zeros(1, np.uint32), outputs(1, dtype=np.int32)
    expected = [Expected(partial, x.sum(axis=1)), Expected(tickets, 6), Expected(total, x.sum())]
    return [x, partial, tickets, total], expected


@cuda("sm_80", "sm_90", block=48)
def latch_and_semaphore(rng):
    y = outputs(48, dtype=np.int32)
    return [y], [Expected(y, sum(range(48)))]


@cuda("sm_75", "sm_90", grid=2, block=64)
def complex_numbers(rng):
    x = (rng.normal(size=100) + 1j * rng.normal(size=100)).astype(np.complex64)
    y = outputs(100, 3, dtype=np.complex64)
    z = x.astype(np.complex128)
    columns = [z * z + z.conj(), np.exp(z) / (z + 2), abs(z) + 1j * abs(z) ** 2]
    # The terms of z * z can cancel, so that its error is one of abs(z) ** 2.
    bound = 2.0**-21 * np.stack([abs(z) ** 2 + abs(z), abs(columns[1]), abs(columns[2])], axis=1)
    return [x, y, np.int32(100)], [Expected(y, np.stack(columns, axis=1), absolute=bound)]


@cuda("sm_80", block=64)
def bits_and_tuples(rng):
    x = rng.integers(1, 1 << 32, 64, np.uint64).astype(np.uint32) >> rng.integers(0, 31, 64, np.uint32) | 1 << 5
    x[:8] = 1 << np.arange(8)
    y = outputs(64, 7, dtype=np.int32)
    rows = []
    for value in map(int, x):
        ones, width = value.bit_count(), value.bit_length()
        trailing = (value & -value).bit_length() - 1
        rotated = (value << 7 | value >> 25) & 0xFFFF
        rows.append([ones, 32 - width, trailing, width, rotated, ones == 1])
        rows[-1].append(ones + 32 - width if value & 1 else -trailing)
    return [x, y], [Expected(y, np.array(rows))]
