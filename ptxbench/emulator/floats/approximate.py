"""2^x, log2, sine, cosine, tanh and 1/sqrt in f64, to about 2^-51: rounded to f32, they give the ideal value.

The ideal value is the one nearest to the exact result. With a relative error of 2^-51, an f32 result differs from it
only if the exact result is within 2^-26 of a step of the middle between two f32: about 1 in 2^25 of them.
Taylor series, added from their smallest term, not fused: the same bits on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from ptxbench.emulator.floats import rounding
from ptxbench.emulator.types import F32, F64, S64, U32, U64

if TYPE_CHECKING:
    from ptxbench.emulator.emit import Emitter, Value

EXP2 = tuple(math.log(2) ** k / math.factorial(k) for k in range(14))
"""2^f for |f| <= 1/2; the rest is below 2^-57."""
LOG2 = tuple(2 / (2 * k + 1) / math.log(2) for k in range(12))
"""log2((1 + s) / (1 - s)) / s in s^2 for |s| <= 0.172; the rest is below 2^-60."""
SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(9))
"""sin(r) / r in r^2 for |r| <= pi / 4; the rest is below 2^-62."""
COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in range(10))
"""cos(r) in r^2."""
ROOT_HALF = 0x3FE6A09E667F3BCD
"""The bits of sqrt(1/2)."""


@cache
def tanh_series() -> tuple[float, ...]:
    """tanh(x) / x in x^2 for |x| < 1/4; the rest is below 2^-60. From tanh' = 1 - tanh^2."""
    terms = [Fraction(1)]
    while len(terms) < 13:
        k = len(terms)
        terms.append(-sum((terms[i] * terms[k - 1 - i] for i in range(k)), Fraction(0)) / (2 * k + 1))
    return tuple(map(float, terms))


@cache
def quarter_turns() -> tuple[int, ...]:
    """The first 288 bits of 2^-24 / (2 pi), in nine words: pi by Machin's formula, in integers."""
    bits = 400

    def arctan_of_one_over(n: int) -> int:
        total, term, k = 0, (1 << bits) // n, 0
        while term:
            total += (-1) ** k * (term // (2 * k + 1))
            term //= n * n
            k += 1
        return total

    pi = 4 * (4 * arctan_of_one_over(5) - arctan_of_one_over(239))
    fraction = ((1 << bits + 288 - 24) // (2 * pi)) & (1 << 288) - 1
    return tuple(fraction >> 32 * (8 - k) & 0xFFFFFFFF for k in range(9))


def series(e: Emitter, coefficients: Sequence[float], x: Value) -> Value:
    """The polynomial in x, by Horner's rule."""
    total = e.constant(coefficients[-1], F64)
    for coefficient in reversed(coefficients[:-1]):
        total = e.add(e.mul(total, x), e.constant(coefficient, F64))
    return total


def exp2(e: Emitter, a: Value) -> Value:
    """2^a = 2^n 2^f with n an integer and |f| <= 1/2. Above 2^300: 2^300; below 2^-300: 2^-300."""
    limit = e.constant(300.0, F64)
    x = e.select(e.compare("gt", a, limit), limit, a)
    limit = e.constant(-300.0, F64)
    x = e.select(e.compare("lt", x, limit), limit, x)
    magic = e.constant(1.5 * 2.0**52, F64)  # adding it leaves an integer in the low bits
    shifted = e.add(x, magic)
    fraction = e.sub(x, e.sub(shifted, magic))
    exponent = e.add(e.payload(shifted), e.constant(1023, U64))
    scale = e.as_type(e.shl(exponent, e.constant(52, U64)), F64)
    result = e.mul(series(e, EXP2, fraction), scale)
    return e.select(e.compare("nan", a, a), a, result)


def log2(e: Emitter, a: Value) -> Value:
    """log2(2^k m) = k + log2(m), m from sqrt(1/2) to sqrt(2). -infinity for 0, NaN below 0. Not for subnormals."""
    bits = replace(e.payload(a), type=S64)
    k = e.shr(e.sub(bits, e.constant(ROOT_HALF, S64)), e.constant(52, S64))
    m = e.as_type(e.sub(bits, e.shl(k, e.constant(52, S64))), F64)
    f = e.sub(m, e.constant(1.0, F64))
    s = e.divide(f, e.add(m, e.constant(1.0, F64)))
    logarithm = e.mul(series(e, LOG2, e.mul(s, s)), s)
    result = e.add(e.int_to_float(k, F64), logarithm)
    zero, infinity = e.constant(0.0, F64), e.constant(math.inf, F64)
    result = e.select(e.compare("eq", a, zero), e.constant(-math.inf, F64), result)
    result = e.select(e.compare("ltu", a, zero), e.constant(math.nan, F64), result)
    return replace(e.select(e.compare("eq", a, infinity), infinity, result), raw=True)


def reduce(e: Emitter, a: Value) -> tuple[Value, Value]:
    """An f32 |a| as n quarter turns (u64, modulo 4) and r in [-pi/4, pi/4], to 2^-52 for every finite f32.

    |a| = M 2^(s - 24) with M of 24 bits. M times 128 bits of 1 / (2 pi), from place s - 24 on, is the turn without
    its integer part: the two highest bits are the quarters, and 102 bits of the rest are right. Every f32 is at least
    2^-34 from a quarter turn, so r is known to 2^-66. (Payne and Hanek, "Radian reduction for trigonometric
    functions", 1983.)
    """
    bits = replace(e.payload(a), type=U32)
    field = e.and_(e.shr(bits, e.constant(23, U32)), e.constant(0xFF, U32))
    small = e.compare("lt", e.absolute(a), e.constant(0.785398185, F32))  # no quarter turn: a itself
    s = e.sub(field, e.constant(126, U32))
    s = e.select(e.compare("lo", field, e.constant(126, U32)), e.constant(0, U32), s)
    mantissa = e.convert(e.or_(e.and_(bits, e.constant(0x7FFFFF, U32)), e.constant(0x800000, U32)), U64)
    word, shift = e.shr(s, e.constant(5, U32)), e.and_(s, e.constant(31, U32))
    words = []
    for number in range(5):  # nine constants, five of them chosen by the word in which the window starts
        chosen = e.constant(quarter_turns()[number], U32)
        for start in range(1, 5):
            here = e.compare("eq", word, e.constant(start, U32))
            chosen = e.select(here, e.constant(quarter_turns()[number + start], U32), chosen)
        words.append(e.convert(chosen, U64))
    shift64, low32 = e.convert(shift, U64), e.constant(0xFFFFFFFF, U64)
    limbs = []
    for high, low in pairwise(words):
        both = e.or_(e.shl(high, e.constant(32, U64)), low)
        limbs.append(e.and_(e.shr(e.shl(both, shift64), e.constant(32, U64)), low32))
    carry = e.constant(0, U64)
    product = []
    for limb in reversed(limbs):
        part = e.add(e.mul(limb, mantissa), carry)
        carry = e.shr(part, e.constant(32, U64))
        product.append(e.and_(part, low32))
    _, below, second, first = product
    turn = e.or_(e.shl(first, e.constant(32, U64)), second)
    quarters = e.shr(e.add(turn, e.constant(1 << 61, U64)), e.constant(62, U64))
    remainder = e.signed(e.sub(turn, e.shl(quarters, e.constant(62, U64))))
    r = e.add(
        e.mul(e.int_to_float(remainder, F64), e.constant(2.0**-62, F64)),
        e.mul(e.int_to_float(e.signed(below), F64), e.constant(2.0**-94, F64)),
    )
    r = e.mul(r, e.constant(math.pi / 2, F64))
    magnitude = e.convert(e.absolute(a), F64)
    return e.select(small, e.constant(0, U64), quarters), e.select(small, magnitude, r)


def turned(e: Emitter, a: Value, quarter: int) -> Value:
    """sin(|a| + quarter pi/2) for an f32; NaN for an infinity."""
    quarters, r = reduce(e, a)
    quarters = e.add(quarters, e.constant(quarter, U64))
    square = e.mul(r, r)
    sine = e.add(r, e.mul(e.mul(series(e, SINE[1:], square), square), r))
    cosine = series(e, COSINE, square)
    one, two = e.constant(1, U64), e.constant(2, U64)
    even = e.compare("eq", e.and_(quarters, one), e.constant(0, U64))
    result = e.select(even, sine, cosine)
    second_half = e.compare("ne", e.and_(quarters, two), e.constant(0, U64))
    result = e.select(second_half, e.negate(result), result)
    undefined = e.compare("geu", e.absolute(a), e.constant(math.inf, F32))
    return replace(e.select(undefined, e.constant(math.nan, F64), result), raw=True)


def sine(e: Emitter, a: Value) -> Value:
    result = turned(e, a, 0)
    negative = e.compare("hs", e.payload(a), e.constant(1 << 31, U32))
    return e.select(negative, e.negate(result), result)


def cosine(e: Emitter, a: Value) -> Value:
    return turned(e, a, 1)


def tanh(e: Emitter, a: Value) -> Value:
    """(1 - t) / (1 + t) with t = e^-2|a|; near 0, where this cancels, a series. For an f64 that is an f32."""
    magnitude = e.absolute(a)
    limit = e.constant(32.0, F64)  # from there on nearer to 1 than f64 can represent
    clamped = e.select(e.compare("gt", magnitude, limit), limit, magnitude)
    power = exp2(e, e.mul(clamped, e.constant(-2.0 / math.log(2), F64)))
    one = e.constant(1.0, F64)
    general = e.divide(e.sub(one, power), e.add(one, power))
    square = e.mul(magnitude, magnitude)
    near_zero = e.add(magnitude, e.mul(e.mul(series(e, tanh_series()[1:], square), square), magnitude))
    result = e.select(e.compare("lt", magnitude, e.constant(0.25, F64)), near_zero, general)
    return e.select(e.compare("nan", a, a), a, rounding.copy_sign(e, result, a))


def reciprocal_root(e: Emitter, a: Value) -> Value:
    """1 / sqrt(a) of an f64, correctly rounded except for near-ties within 2^-50 of a step.

    a = m 4^k with 1 <= m < 4; the f64 quotient y is corrected with the exact 1 - m y^2, as in Newton's iteration.
    """
    subnormal = e.compare("lt", a, e.constant(2.0**-1022, F64))
    scaled = e.select(subnormal, e.mul(a, e.constant(2.0**108, F64)), a)
    bits = replace(e.payload(scaled), type=S64)
    exponent = e.sub(e.shr(bits, e.constant(52, S64)), e.constant(1023, S64))
    k = e.shr(exponent, e.constant(1, S64))
    m = e.as_type(e.sub(bits, e.shl(k, e.constant(53, S64))), F64)
    one = e.constant(1.0, F64)
    y = e.divide(one, e.square_root(m))
    square = e.mul(y, y)
    square_rest = rounding.fma(e, y, y, e.negate(square))
    rest = e.sub(rounding.fma(e, e.negate(m), square, one), e.mul(m, square_rest))
    corrected = rounding.fma(e, e.mul(y, e.constant(0.5, F64)), rest, y)
    power = e.shl(e.sub(e.constant(1023, S64), k), e.constant(52, S64))
    result = e.mul(corrected, e.as_type(power, F64))
    result = e.select(subnormal, e.mul(result, e.constant(2.0**54, F64)), result)
    return special_root(e, a, result)


def special_root(e: Emitter, a: Value, result: Value) -> Value:
    """The special cases of 1 / sqrt(a): infinity with the sign of a zero, 0 for infinity, NaN for negative numbers."""
    zero, infinity = e.constant(0.0, a.type), e.constant(math.inf, a.type)
    result = e.select(e.compare("eq", a, infinity), zero, result)
    result = e.select(e.compare("ltu", a, zero), e.constant(math.nan, a.type), result)
    return replace(e.select(e.compare("eq", a, zero), rounding.copy_sign(e, infinity, a), result), raw=True)
