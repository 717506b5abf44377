"""Where the rows of an array have their greatest and least elements, so that each part of a kernel reads one."""

from __future__ import annotations

import numpy as np

from ptxbench.arrays import Array

TILE = 128
"""Elements that a warp reads at once, if a lane reads four."""


def peak_positions(rng: np.random.Generator, rows: int, length: int) -> Array:
    """A position in each of `rows` rows of `length` elements, all different if possible, the ends first.

    In long rows, 32 positions cover all lanes of a warp, whether a lane reads one element or four neighbours, and all
    of these four, in parts of the row that are as far apart as possible. The remaining positions are on both sides of
    multiples of powers of two, where the tiles of warps and CTAs end.
    """
    ends = np.array([0, length - 1])
    if rows <= ends.size:
        return rng.permutation(np.append(ends, rng.integers(length)))[:rows]
    if rows >= length or length < TILE:
        inner = rng.permutation(np.arange(1, length - 1))
        return np.resize(np.concatenate([ends, inner]) if length > 1 else ends[:1], rows)
    part = np.arange(1 << max(rows - ends.size, 1).bit_length() - 1)
    lane, element = part % 4 * 8 + part // 4 % 8, (part + part // 32) % 4
    tile = (part + rng.random(part.size)) * length // part.size // TILE * TILE
    inside = tile.astype(np.int64) + 4 * lane + element
    inside = np.where(inside < length, inside, rng.integers(length, size=part.size))
    powers = 2 ** rng.integers(1, length.bit_length(), max(rows - ends.size - part.size, 0))
    borders = rng.integers(length, size=powers.size) // powers * powers - rng.integers(2, size=powers.size)
    return np.concatenate([ends, inside, borders.clip(0)])[:rows]
