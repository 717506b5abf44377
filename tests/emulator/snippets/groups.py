"""Reference results of the kernels in groups.cu."""

import numpy as np

from tests.emulator.snippets import case, outputs


def mask(flags):
    return sum(1 << i for i, flag in enumerate(flags) if flag)


def by(x, size):
    return x.reshape(-1, size)


def spread(values, size):
    return np.repeat(values, size)


@case(block=64)
def tiles(rng):
    x = rng.integers(0, 99, 64, np.int32)
    i = np.arange(64)
    eights = by(x, 8)
    ups = np.where(i % 8, x[i - 1], x)
    rows = [
        spread(by(x, 32).sum(axis=1), 32),
        spread(eights.sum(axis=1), 8),
        spread(by(x, 4).sum(axis=1), 4) * 100 + i // 4 % 2 * 10 + i % 4,
        spread([mask(row & 1) for row in eights], 8),
        spread((eights > 90).any(axis=1) * 2 + 1, 8),
        x[i ^ 1] + ups,
        [mask(row & 3 == v & 3) for row in eights for v in row],
    ]
    return [x, outputs(7, 64, dtype=np.int32)], {1: rows}


@case(block=64)
def group_reductions(rng):
    x = rng.integers(-99, 99, 64, np.int32)
    rows = by(x, 16)
    sums = rows.cumsum(axis=1)
    expected = [spread(rows.sum(axis=1), 16), spread(rows.max(axis=1), 16), sums, sums - rows]
    return [x, outputs(4, 64, dtype=np.int32)], {1: np.array([part.reshape(-1) for part in expected])}


@case(grid=2, block=64)
def coalesced(rng):
    x = rng.integers(0, 99, 128, np.int32)
    wanted = x[x % 5 == 0]
    kept = outputs(128, dtype=np.int32)
    expected = kept.copy()
    expected[: wanted.size] = wanted  # warps and CTAs take their turns in order
    return [x, np.zeros(1, np.int32), kept], {1: [wanted.size], 2: expected}


@case(block=32)
def partitions(rng):
    x = rng.integers(0, 99, 32, np.int32)
    odd = x & 1
    rank = [(odd[:i] == odd[i]).sum() for i in range(32)]
    sums = [x[x % 3 == v % 3].sum() for v in x]
    return [x, outputs(2, 32, dtype=np.int32)], {1: [np.bincount(odd)[odd] * 100 + rank, sums]}


@case(block=64)
def pipelined(rng):
    x = rng.normal(size=(4, 64, 4)).astype(np.float32)
    return [x, outputs(4, 64, 4)], {1: x[:, ::-1, ::-1]}


@case(block=32)
def ragged_copy(rng):
    x = rng.normal(size=77).astype(np.float32)
    padded = np.concatenate([x, np.zeros(3, np.float32)])  # readable, and not to be copied
    padded[77:] = 9
    return [padded, outputs(128), np.int32(77)], {1: np.concatenate([x, np.zeros(51, np.float32)])}


@case(grid=2, block=48)
def group_copy(rng):
    x = rng.integers(0, 999, (2, 128), np.int32)
    return [x, outputs(2, 128, dtype=np.int32)], {1: x[:, ::-1] + 1}


X = (4, -17, 123456)
PRINTED = "".join(f"thread {i}: {x:5d}|{7:<6}|0xff text c %\n" for i, x in enumerate(X))


@case(block=64, printed=f"{PRINTED}2.500 1.250000e-07 0.3 1099511627776 end\n")
def printing(rng):
    return [np.array(X, np.int32), np.array([2.5, 1.25e-7])], {}
