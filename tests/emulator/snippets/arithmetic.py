"""Reference results of the kernels in arithmetic.cu, mostly in Python's own integers and fractions."""

import math
from fractions import Fraction

import numpy as np

from tests.emulator import exact
from tests.emulator.snippets import case, outputs

FORMS = {np.float32: (exact.F32, np.uint32), np.float64: (exact.F64, np.uint64)}


def wrap(values, dtype):
    """Whole numbers cut to the dtype's bits."""
    bits = np.dtype(dtype).itemsize * 8
    return np.array([int(v) % 2**bits for v in values], f"u{bits // 8}").view(dtype)


def elementwise(formula, *arrays):
    """`formula` of whole numbers, element by element, as Python's."""
    return [formula(*map(int, row)) for row in zip(*arrays, strict=True)]


def quotient(a, b):
    """C's division, towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def remainder(a, b):
    return a - b * quotient(a, b)


def some_of(rng, bits, count=32):
    """Nonzero signed integers of every length."""
    numbers = [int(rng.integers(1, 2 ** min(int(k), 62))) << max(int(k) - 62, 0) for k in rng.integers(1, bits, count)]
    return np.array(numbers, f"i{bits // 8}") * rng.choice([-1, 1], count).astype(f"i{bits // 8}")


@case()
def integer_division(rng):
    x, y, p, q = some_of(rng, 32), some_of(rng, 32), some_of(rng, 64), some_of(rng, 64)
    x[:3], y[:2] = (-(2**31), -(2**31), 2**31 - 1), (-1, 1)
    a, b, c, d = x.view(np.uint32), y.view(np.uint32), p.view(np.uint64), q.view(np.uint64)
    r = [elementwise(quotient, x, y), elementwise(remainder, x, y), elementwise(lambda v: quotient(v, 7), x),
         elementwise(lambda v: remainder(v, -10), x)]  # fmt: skip
    u = [a // b, a % b, a // 1000, a % 641]
    s = [elementwise(quotient, p, q), elementwise(remainder, p, q), elementwise(lambda v: quotient(v, 1000000007), p)]
    m = [c // d, c % d, c % 10]
    results = [outputs(4, 32, dtype=np.int32), outputs(4, 32, dtype=np.uint32),
            outputs(3, 32, dtype=np.int64), outputs(3, 32, dtype=np.uint64)]  # fmt: skip
    return [x, y, p, q, *results], {
        4: [wrap(row, np.int32) for row in r],
        5: u,
        6: [wrap(row, np.int64) for row in s],
        7: m,
    }


@case()
def wide_products(rng):
    x, y = some_of(rng, 64), some_of(rng, 64)
    a, b = x.astype(np.int32), y.astype(np.int32)
    hi = wrap(elementwise(lambda p, q: p * q >> 64, x, y), np.int64)
    uhi = wrap(elementwise(lambda p, q: p * q >> 64, x.view(np.uint64), y.view(np.uint64)), np.uint64)

    def low(v):
        return (v & 0xFFFFFF) - ((v & 0x800000) << 1)

    parts = [
        elementwise(lambda p, q: p * q >> 32, a, b),
        elementwise(lambda p, q: p * q >> 32, a.view(np.uint32), b.view(np.uint32)),
        elementwise(lambda p, q: low(p) * low(q), a, b),
        elementwise(lambda p, q: p * q >> 20, a, b),
    ]
    parts = np.stack([wrap(row, np.int32) for row in parts], axis=1)
    results = [outputs(32, dtype=np.int64), outputs(32, dtype=np.uint64), outputs(32, 4, dtype=np.int32)]
    return [x, y, *results], {2: hi, 3: uhi, 4: parts}


@case()
def long_shifts(rng):
    x, by = rng.integers(0, 2**64, 32, np.uint64), rng.integers(1, 64, 32, np.int32)
    rows = [
        elementwise(lambda v, k: v << k, x, by),
        elementwise(lambda v, k: v >> k, x, by),
        elementwise(lambda v, k: v >> k, x.view(np.int64), by),
        elementwise(lambda v, k: (v >> k | v << 64 - k) % 2**64 + 1, x, by),
    ]
    return [x, by, outputs(4, 32, dtype=np.uint64)], {2: [wrap(row, np.uint64) for row in rows]}


def reverse(value, bits):
    return int(f"{value:0{bits}b}"[::-1], 2)


def pick(a, b, selector):
    pool = (b << 32 | a).to_bytes(8, "little")
    return int.from_bytes(bytes(pool[selector >> 4 * k & 7] for k in range(4)), "little")


def signed(v):
    return v - (v >> 31 << 32)


@case()
def bit_intrinsics(rng):
    a, b = some_of(rng, 32).view(np.uint32), rng.integers(0, 2**32, 32, np.uint32)
    c = some_of(rng, 64).view(np.uint64)
    a[0], c[0] = 0, 0
    i = np.arange(32)
    rows = [
        elementwise(lambda v: v.bit_count(), a),
        elementwise(lambda v: reverse(v, 32), a),
        elementwise(lambda v, w, k: pick(v, w, 0x5140 + k % 4), a, b, i),
        elementwise(lambda v, w, k: ((w << 32 | v) << (k & 31)) >> 32, a, b, i),
        elementwise(lambda v, w, k: (w << 32 | v) >> (k + 40 & 31), a, b, i),
        elementwise(lambda v, w, k: ((w << 32 | v) << min(k + 10, 32)) >> 32, a, b, i),
        elementwise(lambda v, w, k: (w << 32 | v) >> min(k + 10, 32), a, b, i),
        elementwise(lambda v: 32 - v.bit_length(), a),
        elementwise(lambda v: (v & -v).bit_length(), a),
        elementwise(lambda v: v.bit_count(), c),
        elementwise(lambda v: 64 - v.bit_length(), c),
        elementwise(lambda v: (v & -v).bit_length(), c),
        elementwise(lambda v: reverse(v, 64), c),
        elementwise(lambda v, w: abs(signed(v) - signed(w)) + 7, a, b),
        elementwise(lambda v, w: signed(v) + signed(w) >> 1, a, b),
        elementwise(lambda v, w: v + w + 1 >> 1, a, b),
        elementwise(lambda v, w: v + w >> 1, a, b),
        elementwise(lambda v, w: min(signed(v), signed(w)), a, b),
        elementwise(max, a, b),
        elementwise(lambda v: abs(signed(v)), a),
        elementwise(lambda v, w: abs(v - w) + 9, a, b),
    ]
    return [a, b, c, outputs(len(rows), 32, dtype=np.uint32)], {3: [wrap(row, np.uint32) for row in rows]}


@case()
def packed_bytes(rng):
    a, b = rng.integers(0, 2**32, (2, 32), np.uint32)
    u4, v4 = (x.view(np.uint8).reshape(32, 4).astype(int) for x in (a, b))
    s4, t4 = (x.view(np.int8).reshape(32, 4).astype(int) for x in (a, b))
    u2, v2 = (x.view(np.uint16).reshape(32, 2).astype(int) for x in (a, b))
    s2, t2 = (x.view(np.int16).reshape(32, 2).astype(int) for x in (a, b))

    def join(values, dtype):
        return np.ascontiguousarray(values.astype(dtype)).view(np.uint32).reshape(-1)

    rows = [
        join(u4 + v4, np.uint8),
        join(u2 - v2, np.uint16),
        join(abs(u4 - v4), np.uint8),
        join(np.maximum(s2, t2), np.int16),
        join(np.minimum(u4, v4), np.uint8),
        join(np.where(u4 > v4, 255, 0), np.uint8),
        abs(u4 - v4).sum(axis=1).astype(np.uint32),
        join(u4 + v4 + 1 >> 1, np.uint8),
        wrap((s4 * t4).sum(axis=1) + 11, np.uint32),
        wrap((u4 * v4).sum(axis=1) + 5, np.uint32),
        wrap(s2[:, 0] * t4[:, 0] + s2[:, 1] * t4[:, 1] + 3, np.uint32),
        join(np.minimum(u2 + v2, 65535), np.uint16),
        join(abs(s4), np.uint8),
    ]
    return [a, b, outputs(len(rows), 32, dtype=np.uint32)], {2: rows}


@case()
def carries(rng):
    x, y = rng.integers(0, 2**32, (2, 32, 4), np.uint32)
    x[:8, 1:], y[:8, :3] = 2**32 - 1, 2**32 - 1
    total = [
        int.from_bytes(a.tobytes(), "little") + int.from_bytes(b.tobytes(), "little") for a, b in zip(x, y, strict=True)
    ]
    sums = [np.frombuffer((number % 2**128).to_bytes(16, "little"), np.uint32) for number in total]
    return [x, y, outputs(32, 4, dtype=np.uint32)], {2: np.array(sums)}


@case()
def doubles(rng):
    a, b = rng.normal(size=(2, 32)) * 10.0 ** rng.integers(-3, 4, 32)
    fused = [float(Fraction(p) * Fraction(q) + Fraction(0.1)) for p, q in zip(a, b, strict=True)]
    rows = [
        a + b, a - b, a * b, a / b, np.sqrt(abs(a)), fused, 1 / b, np.minimum(a, b), np.maximum(a, -b), np.floor(a),
        np.ceil(b), np.trunc(a), np.rint(b), np.copysign(a, b), a.astype(np.float32), np.trunc(a * 1e6),
    ]  # fmt: skip
    return [a, b, outputs(len(rows), 32, dtype=np.float64)], {2: rows}


def directed(formula, dtype, mode, *arrays):
    """A formula of fractions, rounded once as `mode` says."""
    form, unsigned = FORMS[dtype]
    bits = [exact.rounded(formula(*map(Fraction, map(float, row))), form, mode) for row in zip(*arrays, strict=True)]
    return np.array(bits, unsigned).view(dtype)


@case()
def roundings(rng):
    a, b = (rng.normal(size=(2, 32)) * 10.0 ** rng.integers(-3, 4, 32)).astype(np.float32)
    c, d = rng.normal(size=(2, 32)) * 10.0 ** rng.integers(-3, 4, 32)
    third = Fraction(float(np.float32(0.3)))
    formulas = [lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x * y + third, lambda x, y: x / y]
    modes = ("rz", "rp", "rm")
    floats = [directed(formula, np.float32, mode, a, b) for formula in formulas for mode in modes]
    floats += [directed(lambda x: exact.root(abs(x)), np.float32, mode, a) for mode in modes]
    floats += [directed(lambda x: 1 / x, np.float32, "rp", b)]
    more = [directed(formulas[i], np.float64, mode, c, d) for i in (0, 1, 3) for mode in modes]
    results = outputs(len(floats), 32), outputs(len(more), 32, dtype=np.float64)
    return [a, b, results[0], c, d, results[1]], {2: floats, 5: more}


@case()
def conversions(rng):
    """Fast math flushes no input here: none is subnormal."""
    x = np.concatenate([rng.normal(size=24) * 1000, [3e9, -3e9, 0.5, 1.5, -2.5, np.inf, np.nan, -0.0]]).astype(
        np.float32
    )
    y = np.concatenate([rng.normal(size=30) * 1e6, [1e300, -2.5]])
    z = some_of(rng, 64)

    def whole(values, rounding, low, high):
        return [0 if math.isnan(v) else int(min(max(rounding(v), low), high)) for v in map(float, values)]

    s32, u32 = (-(2**31), 2**31 - 1), (0, 2**32 - 1)
    bits = y.view(np.int64)
    ints = [
        whole(x, np.rint, *s32), whole(x, np.trunc, *s32), whole(x, np.ceil, *s32), whole(x, np.floor, *s32),
        whole(x, np.rint, *u32), whole(x, np.trunc, *s32), [v % 256 for v in whole(abs(x), np.trunc, *u32)],
        whole(y, np.rint, *s32), x.view(np.int32), bits >> 32, bits,
    ]  # fmt: skip
    limits = (-(2**63), 2**63 - 1)

    def floor(values):
        return [min(max(math.floor(v), limits[0]), limits[1]) for v in values]

    # NaN to a 64-bit integer gives the least value, to a 32-bit one 0
    rounded = [-(2**63) if math.isnan(v) else limits[1] if v == np.inf else int(np.rint(v)) for v in map(float, x)]
    longs = [floor(y), rounded, bits]
    floats = [
        z.astype(np.float32),
        directed(lambda v: v, np.float32, "rz", z),
        directed(lambda v: v, np.float32, "rp", z.astype(np.int32)),
        directed(lambda v: v, np.float32, "rm", z.astype(np.int32).view(np.uint32)),
        directed(lambda v: v, np.float32, "rz", y),
        np.where(np.isnan(x), 0, np.clip(x, 0, 1)),
    ]
    results = [outputs(11, 32, dtype=np.int32), outputs(3, 32, dtype=np.int64), outputs(6, 32)]
    return [x, y, z, *results], {
        3: [wrap(row, np.int32) for row in ints],
        4: [wrap(row, np.int64) for row in longs],
        5: floats,
    }
