"""Reference results of the kernels in warps.cu."""

import numpy as np

from tests.emulator.snippets import case, outputs

LANES = np.arange(32)
ALL = 0xFFFFFFFF


def mask(flags):
    """The bits of the lanes with a set flag."""
    return sum(1 << i for i, flag in enumerate(flags) if flag)


@case(block=64)
def scans(rng):
    x = rng.integers(-99, 99, (2, 32), np.int32)
    sums = np.repeat(x.sum(axis=1, keepdims=True) * 0.5, 32, axis=1)
    return [x, outputs(2, 32, dtype=np.int32), outputs(2, 32, dtype=np.float64)], {1: x.cumsum(axis=1), 2: sums}


@case()
def shuffles(rng):
    x, i = rng.integers(0, 999, 32, np.int32), LANES
    down, up, across = i + 3, i - 2, i ^ 9
    sources = [
        np.full(32, 5),
        i // 8 * 8 + (i + 3) % 8,
        np.where(down // 16 == i // 16, down, i),
        np.where((up >= 0) & (up // 4 == i // 4), up, i),
        np.where(across // 16 == i // 16, across, i),
        x % 32,
    ]
    halves = x[np.minimum(i + 1, 31)]
    return [x, outputs(6, 32, dtype=np.int32), outputs(32, dtype=np.int16)], {
        1: [x[source] for source in sources],
        2: halves,
    }


@case(block=64)
def compaction(rng):
    x = rng.integers(0, 98, (2, 32), np.int32)
    x[1, 3] = 99
    kept = outputs(2, 32, dtype=np.int32)
    expected, votes = kept.copy(), []
    for row, values in enumerate(x):
        wanted = values[values % 3 == 0]
        expected[row, : wanted.size] = wanted
        votes.append([mask(values % 3 == 0), wanted.size, (values > 95).any(), (values < 99).all()])
    return [x, kept, outputs(2, 4, dtype=np.uint32)], {1: expected, 2: np.array(votes, np.uint32)}


@case(block=64)
def matches(rng):
    x, y = rng.integers(0, 5, (2, 32), np.int32), rng.integers(0, 3, (2, 32), np.int64) << 33
    x[1, 4] = -1
    any_of = [[mask(row == value) for row in rows for value in row] for rows in (x, y)]
    all_of = [[ALL] * 32 + [0] * 32, [ALL] * 64]
    predicates = [[1] * 32 + [0] * 32, [1] * 64]
    results = [outputs(2, 64, dtype=np.uint32), outputs(2, 64, dtype=np.uint32), outputs(2, 64, dtype=np.int32)]
    return [x, y, *results], {2: any_of, 3: all_of, 4: predicates}


@case(block=64, since="sm_80")
def reductions(rng):
    x = rng.integers(-(2**31), 2**31, (2, 32)).astype(np.int32)
    u = x.view(np.uint32)
    rows = [
        x.sum(axis=1, dtype=np.int32), x.min(axis=1), x.max(axis=1), u.min(axis=1).view(np.int32),
        np.bitwise_and.reduce(u | 0x100, axis=1).view(np.int32), np.bitwise_or.reduce(u, axis=1).view(np.int32),
        np.bitwise_xor.reduce(u, axis=1).view(np.int32),
    ]  # fmt: skip
    return [x, outputs(7, 64, dtype=np.int32)], {1: [np.repeat(row, 32) for row in rows]}


@case(block=64)
def partial_masks(rng):
    x = rng.integers(0, 99, (2, 32), np.int32)
    first = x[:, :12].sum(axis=1, keepdims=True)
    odd = (x[:, 12:] % 2).sum(axis=1, keepdims=True)
    rest = np.where(LANES % 2, odd + 13, odd)
    return [x, outputs(2, 32, dtype=np.int32)], {1: np.where(LANES < 12, first, rest) + first}


@case(block=96)
def counting_barriers(rng):
    x = rng.integers(0, 100, 96, np.int32)
    rows = [[(x > 50).sum()] * 96, [1] * 96, [0] * 96, [1] * 96]
    return [x, outputs(4, 96, dtype=np.int32)], {1: rows}


@case(grid=3, block=160, relative=1e-6, absolute=1e-5)
def block_sums(rng):
    x = rng.uniform(-1, 1, (3, 160)).astype(np.float32)
    return [x, outputs(3)], {1: x.astype(np.float64).sum(axis=1)}


@case(grid=2, block=(20, 4))
def identities(rng):
    thread = np.tile(np.arange(80), 2)
    rows = [thread % 32, thread // 32, np.full(160, ALL), thread % 32 + 1]
    return [outputs(160, 4, dtype=np.uint32)], {0: np.stack(rows, axis=1)}
