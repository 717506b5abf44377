"""IEEE 754 arithmetic on rational numbers, rounded once by separate code: the reference for the emulator.

Nothing here uses the floating point of this machine. A float is its bit pattern; formats are binary32 and binary64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

ROUNDINGS = ("rn", "rz", "rm", "rp")


@dataclass(frozen=True)
class Format:
    """`fraction` bits of fraction; `least` is the exponent of the smallest normal number.

    `flushes`: a result is 0 of its sign where, rounded with an unbounded exponent, it is less than that number (.ftz).
    """

    width: int
    fraction: int
    least: int
    nan: int
    flushes: bool = False

    @property
    def sign(self) -> int:
        return 1 << self.width - 1

    @property
    def infinity(self) -> int:
        return self.sign - (1 << self.fraction)

    @property
    def one(self) -> int:
        return 1 - self.least << self.fraction


F32 = Format(32, 23, -126, 0x7FFFFFFF)
F64 = Format(64, 52, -1022, 0x7FFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Number:
    """The value of a bit pattern; an infinity and a NaN have none."""

    negative: bool
    value: Fraction | None
    nan: bool = False

    @property
    def infinite(self) -> bool:
        return self.value is None and not self.nan

    @property
    def zero(self) -> bool:
        return self.value == 0


@functools.lru_cache(maxsize=1 << 14)
def decode(pattern: int, form: Format) -> Number:
    negative, magnitude = bool(pattern & form.sign), pattern & form.sign - 1
    if magnitude > form.infinity:
        return Number(negative, None, nan=True)
    if magnitude == form.infinity:
        return Number(negative, None)
    exponent, fraction = divmod(magnitude, 1 << form.fraction)
    if exponent:
        fraction += 1 << form.fraction
    scale = max(exponent, 1) - 1 + form.least - form.fraction
    value = Fraction(fraction << scale) if scale > 0 else Fraction(fraction, 1 << -scale)
    return Number(negative, -value if negative else value)


def rounded(exact: Fraction, form: Format, rounding: str = "rn") -> int:
    """The bit pattern of a number that is not 0, rounded once: rn nearest even, rz to zero, rm down, rp up."""
    negative, above, below = exact.numerator < 0, abs(exact.numerator), exact.denominator
    exponent = above.bit_length() - below.bit_length()
    if above << max(-exponent, 0) < below << max(exponent, 0):
        exponent -= 1
    if not form.flushes:
        exponent = max(exponent, form.least)
    shift = form.fraction - exponent
    below <<= max(-shift, 0)
    steps, rest = divmod(above << max(shift, 0), below)
    away = {
        "rn": 2 * rest > below or (2 * rest == below and steps % 2 == 1),
        "rz": False,
        "rm": negative and rest > 0,
        "rp": not negative and rest > 0,
    }[rounding]
    if exponent < form.least and steps + away < 1 << form.least - exponent + form.fraction:
        return zero(form, negative=negative)
    # The leading 1 of `steps` adds the 1 that a normal number's exponent field has above a subnormal one's.
    pattern = (exponent - form.least << form.fraction) + steps + away
    if pattern >= form.infinity:
        outward = {"rn": True, "rz": False, "rm": negative, "rp": not negative}[rounding]
        pattern = form.infinity if outward else form.infinity - 1
    return pattern | form.sign * negative


def zero(form: Format, *, negative: bool) -> int:
    return form.sign if negative else 0


def infinity(form: Format, *, negative: bool) -> int:
    return form.infinity | (form.sign if negative else 0)


def add(form: Format, rounding: str, a: int, b: int) -> int:
    return fma(form, rounding, a, form.one, b)


def sub(form: Format, rounding: str, a: int, b: int) -> int:
    return add(form, rounding, a, b ^ form.sign)


def mul(form: Format, rounding: str, a: int, b: int) -> int:
    x, y = decode(a, form), decode(b, form)
    negative = x.negative != y.negative
    if x.nan or y.nan or (x.infinite and y.zero) or (x.zero and y.infinite):
        return form.nan
    if x.infinite or y.infinite:
        return infinity(form, negative=negative)
    if x.zero or y.zero:
        return zero(form, negative=negative)
    return rounded(x.value * y.value, form, rounding)


def fma(form: Format, rounding: str, a: int, b: int, c: int) -> int:
    x, y, z = (decode(operand, form) for operand in (a, b, c))
    negative = x.negative != y.negative
    if x.nan or y.nan or z.nan or (x.infinite and y.zero) or (x.zero and y.infinite):
        return form.nan
    if x.infinite or y.infinite:
        return form.nan if z.infinite and z.negative != negative else infinity(form, negative=negative)
    if z.infinite:
        return infinity(form, negative=z.negative)
    total = x.value * y.value + z.value
    if total:
        return rounded(total, form, rounding)
    if z.zero and z.negative == negative:
        return zero(form, negative=negative)
    return zero(form, negative=rounding == "rm")  # IEEE 754, 6.3: an exact zero sum


def div(form: Format, rounding: str, a: int, b: int) -> int:
    x, y = decode(a, form), decode(b, form)
    negative = x.negative != y.negative
    if x.nan or y.nan or (x.infinite and y.infinite) or (x.zero and y.zero):
        return form.nan
    if x.infinite or y.zero:
        return infinity(form, negative=negative)
    if x.zero or y.infinite:
        return zero(form, negative=negative)
    return rounded(x.value / y.value, form, rounding)


def rcp(form: Format, rounding: str, a: int) -> int:
    return div(form, rounding, form.one, a)


def sqrt(form: Format, rounding: str, a: int) -> int:
    x = decode(a, form)
    if x.nan or (x.negative and not x.zero):
        return form.nan
    if x.zero or x.infinite:
        return a
    return rounded(root(x.value), form, rounding)


def rsqrt(form: Format, rounding: str, a: int) -> int:
    x = decode(a, form)
    if x.nan or (x.negative and not x.zero):
        return form.nan
    if x.zero:
        return infinity(form, negative=x.negative)
    if x.infinite:
        return 0
    return rounded(root(1 / x.value), form, rounding)


def root(value: Fraction) -> Fraction:
    """The square root, or a number on the same side of every number of up to 190 bits and of their midpoints."""
    scale = 200 + max(0, value.denominator.bit_length() - value.numerator.bit_length())
    scaled = (value.numerator << 2 * scale) // value.denominator
    whole = math.isqrt(scaled)
    exact = Fraction(whole, 1 << scale) ** 2 == value
    return Fraction(2 * whole + (not exact), 1 << scale + 1)


def ex2(form: Format, rounding: str, a: int) -> int:
    x = decode(a, form)
    if x.nan:
        return form.nan
    if x.infinite:
        return 0 if x.negative else form.infinity
    if abs(x.value) > 2000:
        return rounded(Fraction(2) ** (-2000 if x.negative else 2000), form, rounding)
    with localcontext() as context:
        context.prec = 60
        power = Decimal(2) ** (Decimal(x.value.numerator) / Decimal(x.value.denominator))
    return rounded(Fraction(power), form, rounding)


def flushed(pattern: int, form: Format) -> int:
    """A subnormal becomes zero of the same sign."""
    return pattern & form.sign if pattern & form.sign - 1 < 1 << form.fraction else pattern


def saturated(pattern: int, form: Format) -> int:
    """Clamped to [0, 1], NaN to +0."""
    x = decode(pattern, form)
    if x.nan or x.negative:
        return 0
    return form.one if x.infinite or x.value > 1 else pattern


def whole(pattern: int, form: Format, rounding: str) -> int | None:
    """The integer that a finite float rounds to: rni nearest even, rzi, rmi, rpi; None for infinities and NaN."""
    value = decode(pattern, form).value
    if value is None:
        return None
    return {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}[rounding](value)


Function = Callable[..., int]
