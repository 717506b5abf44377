"""Large arrays a piece at a time, and which elements a sample takes."""

import numpy as np
import pytest

from ptxbench.arrays import (
    bf16,
    e4m3,
    f16,
    f32,
    f64,
    frozen,
    greatest_number,
    one_of_each,
    pieces,
    s8,
    some_of_product,
    spacing,
    u8,
    u32,
    u64,
    wide,
)


@pytest.mark.parametrize(
    ("dtype", "wider"), [(f16, f64), (bf16, f64), (f32, f64), (f64, f64), (s8, np.int64), (u32, np.int64), (u64, u64)]
)
def test_arithmetic_is_safe_in_wide_elements(dtype, wider):
    array = np.array([1, 3], dtype)
    widened = wide(array)
    assert (widened.dtype, widened.tolist(), np.shares_memory(widened, array)) == (wider, [1, 3], False)


@pytest.mark.parametrize(
    ("dtype", "greatest", "step"),
    [
        (f16, 65504, 2**5),
        (bf16, 2.0**128 - 2.0**120, 2.0**120),
        (f32, 2.0**128 - 2.0**104, 2.0**104),
        (e4m3, 448, 2**5),
    ],
)
def test_the_greatest_number_has_the_spacing_of_its_binade(dtype, greatest, step):
    assert greatest_number(dtype) == greatest
    steps = spacing(np.array([greatest, -greatest, 1, 0, np.nan], dtype))
    assert (steps[:2].tolist(), steps[2] < 1, steps[3] > 0, np.isnan(steps[4])) == ([step, step], True, True, True)
    assert dtype == e4m3 or np.isnan(spacing(np.array([np.inf], dtype))).all()


def test_a_frozen_array_is_a_copy_that_nothing_can_change():
    array = np.arange(6, dtype=f32).reshape(2, 3)
    copy = frozen(array)
    assert (copy.tolist(), copy.dtype, copy.flags.writeable) == (array.tolist(), f32, False)
    with pytest.raises(ValueError, match="WRITEABLE"):
        copy.flags.writeable = True
    assert not np.shares_memory(copy, array)
    objects = np.array([None, "x"], object)
    assert frozen(objects) is objects


def test_pieces_are_all_elements_in_order():
    array = np.arange(21, dtype=u8).reshape(3, 7)
    blocks = list(pieces(array, 8))
    assert [start for start, _ in blocks] == [0, 8, 16]
    assert np.concatenate([piece for _, piece in blocks]).tolist() == list(range(21))


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 2048, 100_003])
@pytest.mark.parametrize("group", [32, 256])
def test_a_sample_has_the_ends_and_one_of_each_group(size, group):
    indices = one_of_each(size, group)
    assert (indices[0], indices[-1]) == (0, size - 1)
    assert (np.diff(indices) > 0).all()
    assert set(indices // group) == set(range(-(-size // group)))
    assert indices.size <= -(-size // group) + 1


def test_a_sample_looks_at_each_lane_and_each_place_of_a_tile():
    indices = one_of_each(1 << 20)
    assert np.bincount(indices % 32).min() > 900  # of 1024
    assert np.unique(indices % 2048).size == 2048


@pytest.mark.parametrize(("m", "n", "k"), [(64, 64, 5), (65, 97, 3), (20, 40, 4), (1, 8, 2)])
def test_a_sample_of_a_product_has_one_of_each_32_neighbours_of_a_row_and_of_a_column(m, n, k):
    rng = np.random.default_rng(1)
    a, b = rng.uniform(-1, 1, (m, k)).astype(f32), rng.uniform(-1, 1, (k, n)).astype(f32)
    indices, values = some_of_product(a, b)
    product = a.astype(f64) @ b.astype(f64)
    assert np.allclose(values, product.reshape(-1)[indices], rtol=1e-12, atol=1e-14)
    sampled = np.zeros((m, n), bool)
    sampled.reshape(-1)[indices] = True
    assert sampled.sum() == indices.size
    assert all(sampled[:, start : start + 32].any(axis=1).all() for start in range(0, n - 31, 32))
    assert all(sampled[start : start + 32].any(axis=0).all() for start in range(0, m - 31, 32))
    if m % 32 == n % 32 == 0:
        assert sampled[0, 0]
        assert sampled[-1, -1]
        assert (sampled.reshape(m // 8, 8, n // 8, 8).sum(axis=(1, 3)) == 2).all()
