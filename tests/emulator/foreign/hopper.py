"""Clusters and tensor maps in CUDA C++, by cooperative groups and cuda::ptx."""

import numpy as np

from ptxbench import emulator
from ptxbench.tensor_map import TensorMap
from tests.emulator.foreign import Expected, cuda, outputs


@cuda("sm_90", grid=4, block=64)
def cluster_histogram(rng):
    x = rng.integers(0, 32, 500, np.int32)
    bins = np.zeros(32, np.int32)
    return [x, bins, np.int32(500)], [Expected(bins, 2 * np.bincount(x, minlength=32))]  # by each of two clusters


@cuda("sm_90", grid=8, block=64)
def cluster_sums(rng):
    x = rng.integers(0, 9, (2, 4, 64), np.int32)
    y = outputs(2, 256, dtype=np.int32)
    return [x, y], [Expected(y, (x.sum(axis=2) @ [1, 10, 100, 1000])[:, None])]


@cuda("sm_90a", grid=4, block=128)
def multicast(rng):
    x = rng.integers(0, 999, (2, 1, 128), np.int32)
    y = outputs(2, 2, 128, dtype=np.int32)
    return [x, y], [Expected(y, x + np.array([[0], [1000]]))]


@cuda("sm_90", grid=(3, 2), block=32)
def add_transposed(rng):
    x, y = rng.integers(0, 999, (40, 72), np.int32), rng.integers(0, 999, (72, 40), np.int32)
    expected = y + x.T
    maps = [emulator.MapOf(array, TensorMap("map", "array", box=(32, 32))) for array in (x, y)]
    return maps, [Expected(y, expected)]
