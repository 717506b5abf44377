"""Reference results of the kernels in partly.cu."""

import numpy as np

from tests.emulator.snippets import case, outputs


@case(block=128)
def greatest(rng):
    x = rng.permutation(200).astype(np.int32)[:100] - 80
    return [x, outputs(2, dtype=np.int32), np.int32(100)], {1: [x.max(), x.argmax()]}


@case(block=32)
def prefetched(rng):
    x = rng.integers(0, 99, 75, np.int32)
    j = np.arange(75) % 32
    return [x, outputs(32, dtype=np.int32), np.int32(75)], {1: [(x * (j + i)).sum() for i in range(32)]}


@case(block=32)
def sorted_items(rng):
    x = rng.integers(0, 99, 32, np.int32)
    x[8:13] = 2  # four even neighbours
    items = [[(x[(i + k) % 32], k) for k in range(4) if x[(i + k) % 32] % 2] for i in range(32)]
    expected = [10 * min(some)[0] + min(some)[1] if some else -1 for some in items]
    return [x, outputs(32, dtype=np.int32), np.int32(32)], {1: expected}


@case(block=32)
def four_greatest(rng):
    x = rng.permutation(100).astype(np.int32)
    expected = [(sorted(x[i::32], reverse=True) + [-1] * 4)[:4] for i in range(32)]
    return [x, outputs(32, 4, dtype=np.int32), np.int32(100)], {1: expected}


@case(block=64)
def greatest_odd(rng):
    x = rng.permutation(200).astype(np.int32)[:64]
    return [x, outputs(1, dtype=np.int32), np.int32(64)], {1: [x[x % 2 == 1].max()]}
