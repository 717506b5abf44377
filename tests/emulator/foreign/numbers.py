"""Reference results of the kernels in numbers.cu."""

import ml_dtypes
import numpy as np
import scipy.special

from tests.emulator.foreign import Expected, cuda, outputs


@cuda("sm_75", "sm_90", block=64)
def half2_polynomial(rng):
    x = rng.normal(size=(64, 2)).astype(np.float16)
    y = outputs(64, 3, 2, dtype=np.float16)
    wide = x.astype(np.float64)
    polynomial = (0.25 * wide - 0.5) * wide + np.array([1.0, 2.0])
    ratio = polynomial / (abs(wide) + 1)
    least = np.minimum(abs(wide), wide[:, ::-1])
    size = 0.25 * wide**2 + 0.5 * abs(wide) + 2  # of the terms, which can cancel
    bound = 2.0**-10 * np.stack([size, 2 * size, 0 * size], axis=1)
    return [x, y], [Expected(y, np.stack([polynomial, ratio, least], axis=1), absolute=bound)]


@cuda("sm_80", "sm_120", block=64)
def half_functions(rng):
    x = rng.normal(size=64).astype(np.float16)
    y = outputs(64, 4, dtype=np.float16)
    wide = x.astype(np.float64)
    columns = [np.exp(wide), np.sqrt(abs(wide)), np.tanh(wide), np.floor(wide) + (wide > 0.5)]
    return [x, y], [Expected(y, np.stack(columns, axis=1), relative=2.0**-9)]


@cuda("sm_80", "sm_90", block=32)
def bfloat16_dot(rng):
    x, y = (rng.normal(size=256).astype(ml_dtypes.bfloat16) for _ in range(2))
    dot, sums = outputs(1), outputs(256, dtype=np.uint16)
    a, b = x.astype(np.float64), y.astype(np.float64)
    expected = [
        Expected(dot, a @ b, absolute=14 * 2.0**-24 * (abs(a) @ abs(b))),
        Expected(sums, (a + b).astype(ml_dtypes.bfloat16).view(np.uint16)),
    ]
    return [x.view(np.uint16), y.view(np.uint16), dot, sums], expected


@cuda("sm_80", "sm_90", "sm_120", grid=2, block=64)
def fp8_round_trip(rng):
    x = (rng.normal(size=128) * 10.0 ** rng.integers(-4, 3, 128)).astype(np.float32)
    e4m3, e5m2 = outputs(128, dtype=np.uint8), outputs(128, dtype=np.uint8)
    back = outputs(128, 2)
    a = np.clip(x, -448, 448).astype(ml_dtypes.float8_e4m3fn)
    b = x.astype(ml_dtypes.float8_e5m2)
    expected = [
        Expected(e4m3, a.view(np.uint8)),
        Expected(e5m2, b.view(np.uint8)),
        Expected(back, np.stack([a.astype(np.float64), b.astype(np.float64)], axis=1)),
    ]
    return [x, e4m3, e5m2, back], expected


@cuda("sm_75", "sm_120", block=96)
def fp6_and_fp4(rng):
    x = (rng.normal(size=96) * 3).astype(np.float32)
    back = outputs(96, 3)
    types = (ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn, ml_dtypes.float4_e2m1fn)
    largest = (7.5, 28.0, 6.0)
    columns = [np.clip(x, -top, top).astype(kind) for kind, top in zip(types, largest, strict=True)]
    return [x, back], [Expected(back, np.stack([column.astype(np.float64) for column in columns], axis=1))]


def words(values):
    """Python integers as 128-bit ones: two words of 64 bits each."""
    return np.array([[value & (1 << 64) - 1, value >> 64 & (1 << 64) - 1] for value in values], np.uint64)


@cuda("sm_75", "sm_120", block=32)
def int128_products(rng):
    x, y = (rng.integers(-(1 << 62), 1 << 62, 32, np.int64) for _ in range(2))
    z = outputs(64, 2, dtype=np.uint64)
    values = []
    for a, b in zip(map(int, x), map(int, y), strict=True):
        product = a * b
        values += [product + (a << 70) - (b >> 3), abs(product) % 1000000007 * (1 if product >= 0 else -1)]
    return [x, y, z], [Expected(z, words(values))]


@cuda("sm_75", "sm_80", block=32)
def int128_quotients(rng):
    pairs = []
    for i in range(32):
        x, y = (int.from_bytes(rng.bytes(16), "little") >> int(shift) for shift in rng.integers(0, 127, 2))
        pairs.append((x, (1 << 64) + 1 if i == 0 else y or 1))
    quotients, remainders = outputs(32, 2, dtype=np.uint64), outputs(32, 2, dtype=np.uint64)
    expected = [
        Expected(quotients, words([x // y for x, y in pairs])),
        Expected(remainders, words([x % y for x, y in pairs])),
    ]
    return [words([x for x, _ in pairs]), words([y for _, y in pairs]), quotients, remainders], expected


@cuda("sm_75", "sm_90", block=64)
def functions_f32(rng):
    x = (rng.normal(size=64) * 3).astype(np.float32)
    y = outputs(64, 10)
    wide = x.astype(np.float64)
    size = abs(wide)
    columns = [
        np.sin(wide), np.exp(wide), np.log(size + 0.1), size**1.7, scipy.special.erf(wide),
        scipy.special.gamma(size * 0.2 + 1), np.arctan2(wide, 2), np.cbrt(wide), scipy.special.j0(wide),
        (size + 0.1) ** -0.5,
    ]  # fmt: skip
    # j0 and the logarithm near their zeros are off by what their argument is.
    return [x, y], [Expected(y, np.stack(columns, axis=1), relative=2.0**-19, absolute=2.0**-20)]


@cuda("sm_80", "sm_120", block=64)
def functions_f64(rng):
    x = rng.normal(size=64) * 3
    y = outputs(64, 8, dtype=np.float64)
    size = abs(x)
    columns = [
        np.cos(x), np.exp(x), np.log1p(size), size**-0.3, scipy.special.erfc(x), scipy.special.gammaln(size + 1.5),
        np.tan(x * 1e5), np.fmod(x * 100.0, 0.7),
    ]  # fmt: skip
    return [x, y], [Expected(y, np.stack(columns, axis=1), relative=2.0**-48, absolute=2.0**-50)]
