"""Reference results of the kernels in cub_block.cu."""

import numpy as np

from tests.emulator.foreign import Expected, cuda, outputs

THREADS, ITEMS = 128, 4
TILE = THREADS * ITEMS


@cuda("sm_75", "sm_90", grid=3, block=THREADS)
def reduce_raking(rng):
    x = rng.integers(-(1 << 20), 1 << 20, (3, THREADS), np.int32)
    sums = outputs(3, dtype=np.int32)
    return [x, sums], [Expected(sums, x.sum(axis=1))]


@cuda("sm_75", grid=2, block=THREADS)
def reduce_warps(rng):
    x = rng.normal(size=(2, THREADS))
    sums = outputs(2, dtype=np.float64)
    return [x, sums], [Expected(sums, x.sum(axis=1), absolute=THREADS * 2.0**-53 * abs(x).sum(axis=1))]


@cuda("sm_90", block=THREADS)
def reduce_largest(rng):
    x = rng.normal(size=TILE - 7).astype(np.float32)
    largest = outputs(1)
    return [x, largest, np.int32(x.size)], [Expected(largest, x.max())]


@cuda("sm_75", "sm_90", block=THREADS)
def reduce_fewer(rng):
    x = rng.integers(-99, 99, THREADS, np.int32)
    total = outputs(1, dtype=np.int32)
    return [x, total], [Expected(total, x.sum())]


@cuda("sm_75", "sm_90", block=THREADS)
def scan_exclusive(rng):
    x = rng.integers(-99, 99, TILE, np.int32)
    y, total = outputs(TILE, dtype=np.int32), outputs(1, dtype=np.int32)
    return [x, y, total], [Expected(y, x.cumsum() - x), Expected(total, x.sum())]


@cuda("sm_75", block=THREADS)
def scan_largest(rng):
    x = rng.integers(-9999, 9999, THREADS, np.int32)
    y = outputs(THREADS, dtype=np.int32)
    return [x, y], [Expected(y, np.maximum.accumulate(x))]


@cuda("sm_90", block=THREADS)
def sort_keys(rng):
    x = rng.integers(-(1 << 31), 1 << 31, TILE, np.int64).astype(np.int32)
    y = outputs(TILE, dtype=np.int32)
    return [x, y], [Expected(y, np.sort(x))]


@cuda("sm_75", block=THREADS)
def sort_pairs(rng):
    keys = rng.integers(-50, 50, TILE).astype(np.float32)
    sorted_keys, places = outputs(TILE), outputs(TILE, dtype=np.int32)
    order = np.argsort(-keys, kind="stable")
    return [keys, sorted_keys, places], [Expected(sorted_keys, keys[order]), Expected(places, order)]


@cuda("sm_90", block=THREADS)
def sort_merge(rng):
    x = rng.normal(size=3 * THREADS - 50)
    y = outputs(x.size, dtype=np.float64)
    return [x, y, np.int32(x.size)], [Expected(y, np.sort(x))]


def counted(rng):
    x = (rng.normal(size=2 * TILE) * 20 + 128).astype(np.uint8)
    counts = np.zeros(256, np.uint32)
    return [x, counts], [Expected(counts, np.bincount(x, minlength=256))]


@cuda("sm_75", grid=2, block=THREADS)
def histogram_atomic(rng):
    return counted(rng)


@cuda("sm_90", grid=2, block=THREADS)
def histogram_sort(rng):
    return counted(rng)


@cuda("sm_75", "sm_90", block=THREADS)
def exchange(rng):
    x = rng.integers(0, 1 << 30, TILE, np.int32)
    ranks = rng.permutation(TILE).astype(np.int32)
    striped, scattered = outputs(TILE, dtype=np.int32), outputs(TILE, dtype=np.int32)
    moved = np.empty_like(x)
    moved[ranks] = x
    return [x, striped, scattered, ranks], [Expected(striped, x), Expected(scattered, moved)]


@cuda("sm_90", block=THREADS)
def heads_and_differences(rng):
    x = rng.integers(0, 3, TILE, np.int32)
    heads, differences = outputs(TILE, dtype=np.int32), outputs(TILE, dtype=np.int32)
    steps = np.diff(x, prepend=x[0] - 1)
    expected = np.concatenate([x[:1], np.diff(x)])
    return [x, heads, differences], [Expected(heads, steps != 0), Expected(differences, expected)]


@cuda("sm_75", block=THREADS)
def shuffle(rng):
    x = rng.integers(0, 1 << 30, THREADS, np.int32)
    y = outputs(THREADS, dtype=np.int32)
    return [x, y], [Expected(y, np.roll(x, -5))]


@cuda("sm_75", "sm_90", block=THREADS)
def run_length_decode(rng):
    values = rng.integers(0, 1 << 30, THREADS, np.int32)
    lengths = rng.integers(1, 12, THREADS, np.uint32)
    y, total = outputs(int(lengths.sum()), dtype=np.int32), outputs(1, dtype=np.uint32)
    return [values, lengths, y, total], [Expected(y, np.repeat(values, lengths)), Expected(total, lengths.sum())]
