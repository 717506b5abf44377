"""Reference results of the kernels in cooperative.cu."""

import numpy as np

from tests.emulator.foreign import Expected, cuda, outputs


def spread(values, size):
    return np.repeat(values, size)


@cuda("sm_75", "sm_80", "sm_120", block=64)
def tile_reductions(rng):
    x = rng.integers(0, 999, 64, np.int32)
    y = outputs(64, 6, dtype=np.int32)
    warps, eights = x.reshape(2, 32), x.reshape(8, 8)
    next_one = np.where(np.arange(64) % 32 < 31, np.roll(x, -1), 0)
    columns = [
        spread(warps.sum(axis=1), 32),
        spread(eights.min(axis=1), 8),
        spread(np.bitwise_xor.reduce(eights, axis=1), 8),
        warps.cumsum(axis=1).reshape(-1),
        (eights.cumsum(axis=1) - eights).reshape(-1),
        spread(eights[:, 3], 8) + next_one,
    ]
    return [x, y], [Expected(y, np.stack(columns, axis=1))]


@cuda("sm_75", "sm_120", block=64)
def double_reductions(rng):
    x = rng.normal(size=64)
    y = outputs(64, 2, dtype=np.float64)
    tiles = x.reshape(4, 16)
    columns = [spread(tiles.sum(axis=1), 16), np.maximum.accumulate(tiles, axis=1).reshape(-1)]
    bound = np.stack([16 * 2.0**-53 * spread(abs(tiles).sum(axis=1), 16), np.zeros(64)], axis=1)
    return [x, y], [Expected(y, np.stack(columns, axis=1), absolute=bound)]


@cuda("sm_75", "sm_80", "sm_120", block=32)
def labels(rng):
    x = rng.integers(0, 100, 32, np.int32)
    y = outputs(32, 4, dtype=np.int32)
    rows = []
    for i, value in enumerate(x):
        alike, half = x[x % 5 == value % 5], x[(x > 50) == (value > 50)]
        before = x[:i]
        rows.append([alike.sum(), alike.size, half.max(), ((before > 50) == (value > 50)).sum()])
    return [x, y], [Expected(y, np.array(rows))]


@cuda("sm_75", "sm_120", grid=2, block=64)
def kept_by_groups(rng):
    x = rng.integers(0, 100, 128, np.int32)
    wanted = x[x % 3 == 0]
    kept, count = outputs(128, dtype=np.int32), np.zeros(1, np.int32)
    # CTAs and warps take turns by rank, so that the values stay in order.
    expected = np.concatenate([wanted, kept[wanted.size :]])
    return [x, kept, count], [Expected(kept, expected), Expected(count, wanted.size)]


@cuda("sm_75", "sm_80", block=128, shared=512)
def copy_of_group(rng):
    x = rng.integers(0, 999, (4, 128), np.int32)
    y = outputs(4, 128, dtype=np.int32)
    return [x, y], [Expected(y, x[:, ::-1])]


@cuda("sm_75", "sm_120", block=32)
def copy_in_stages(rng):
    x = rng.integers(-99, 99, (5, 32)).astype(np.float32)
    y = outputs(32)
    return [x, y, np.int32(5)], [Expected(y, x[:, ::-1].sum(axis=0))]


@cuda("sm_80", "sm_120", block=256)
def wide_tiles(rng):
    x = rng.integers(0, 1000, 256, np.int32)
    y = outputs(256, 2, dtype=np.int32)
    tiles = x.reshape(4, 64)
    columns = [spread(tiles.sum(axis=1), 64), spread((tiles > 990).any(axis=1) + 2 * np.arange(4), 64)]
    return [x, y], [Expected(y, np.stack(columns, axis=1))]


@cuda("sm_80", "sm_120", grid=4, block=32)
def grid_steps(rng):
    x = rng.integers(0, 999, 128, np.int32)
    expected = x.cumsum()
    return [x, outputs(128, dtype=np.int32), np.int32(128)], [Expected(x, expected)]
