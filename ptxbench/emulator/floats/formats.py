"""Floats narrower than f32: their bits to f32 and back, in integers (without F16C, LLVM would call a library).

Patterns are the low bits of u32 lanes; arithmetic on them is done in f32 or f64 (half.py in isa/ says where).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ptxbench.emulator.types import F32, U32, Type

if TYPE_CHECKING:
    from ptxbench.emulator.emit import Emitter, Value


@dataclass(frozen=True)
class FloatFormat:
    """A sign, `exponent` bits with this `bias`, `fraction` bits. Infinity, if there is one, follows `greatest`."""

    name: str
    exponent: int
    fraction: int
    bias: int
    greatest: int
    infinity: int | None
    nan: int
    """The encoding of NaN; the greatest number if the format has no NaN."""
    has_nan: bool = True

    @property
    def width(self) -> int:
        return 1 + self.exponent + self.fraction

    @property
    def sign(self) -> int:
        return 1 << self.width - 1

    @property
    def one(self) -> int:
        return self.bias << self.fraction

    def __str__(self) -> str:
        return self.name


F16 = FloatFormat("f16", 5, 10, 15, 0x7BFF, 0x7C00, 0x7FFF)
BF16 = FloatFormat("bf16", 8, 7, 127, 0x7F7F, 0x7F80, 0x7FFF)
TF32 = FloatFormat("tf32", 8, 10, 127, 0x3FBFF, 0x3FC00, 0x3FFFF)
E4M3 = FloatFormat("e4m3", 4, 3, 7, 0x7E, None, 0x7F)
E5M2 = FloatFormat("e5m2", 5, 2, 15, 0x7B, 0x7C, 0x7F)
E2M1 = FloatFormat("e2m1", 2, 1, 1, 0x7, None, 0x7, has_nan=False)
E2M3 = FloatFormat("e2m3", 2, 3, 1, 0x1F, None, 0x1F, has_nan=False)
E3M2 = FloatFormat("e3m2", 3, 2, 3, 0x1F, None, 0x1F, has_nan=False)
FORMATS = {form.name: form for form in (F16, BF16, TF32, E4M3, E5M2, E2M1, E2M3, E3M2)}

OOB_NAN = 0x7FF7
"""The magnitude of the half-precision NaN that tensor copies put outside a tensor, and that fma.oob reads as 0."""


def decode(e: Emitter, bits: Value, form: FloatFormat) -> Value:
    """The low bits of u32 lanes as f32: exact."""
    if form is BF16:
        return replace(e.as_type(e.shl(bits, e.constant(16, U32)), F32), raw=True)
    magnitude = e.and_(bits, e.constant(form.sign - 1, U32))
    # The fields moved to f32's places are the number times 2^(bias - 127); subnormals too.
    moved = replace(e.as_type(e.shl(magnitude, e.constant(23 - form.fraction, U32)), F32), raw=False)
    scaled = e.payload(e.mul(moved, e.constant(2.0 ** (127 - form.bias), F32)))
    if form.infinity is not None:
        special = e.shl(magnitude, e.constant(23 - form.fraction, U32))
        special = e.or_(special, e.constant(0x7F800000, U32))
        scaled = e.select(e.compare("hs", magnitude, e.constant(form.infinity, U32)), special, scaled)
    elif form.has_nan:
        nan = e.constant(0x7FFFFFFF, U32)
        scaled = e.select(e.compare("eq", magnitude, e.constant(form.nan, U32)), nan, scaled)
    sign = e.shl(e.and_(bits, e.constant(form.sign, U32)), e.constant(32 - form.width, U32))
    return replace(e.as_type(e.or_(replace(scaled, type=U32), sign), F32), raw=True)


def encode(e: Emitter, a: Value, form: FloatFormat, rounding: str = "rn", *, satfinite: bool = False) -> Value:
    """An f32, exact or rounded to odd, as a pattern of `form` in u32 lanes: rn, rna (ties away), rz, rm or rp.

    Above the greatest number, the result is infinity; it is the greatest number if the rounding requires it, with
    `satfinite`, or if the format has no infinity. NaN becomes the format's own, without a sign.
    """
    bits = replace(e.payload(a), type=U32)
    magnitude = e.and_(bits, e.constant(0x7FFFFFFF, U32))
    negative = e.compare("ge", e.unsigned(bits), e.constant(1 << 31, U32))
    field = e.shr(magnitude, e.constant(23, U32))
    fraction = e.and_(magnitude, e.constant(0x7FFFFF, U32))
    implicit = e.constant(0x800000, U32)
    normal = e.compare("ne", field, e.constant(0, U32))
    significand = e.select(normal, e.or_(fraction, implicit), fraction)
    exponent = e.select(normal, field, e.constant(1, U32))
    least = 128 - form.bias  # f32's exponent field of the least normal number of `form`
    below = e.sub(e.constant(least, U32), exponent)
    below = e.select(e.compare("lt", exponent, e.constant(least, U32)), below, e.constant(0, U32))
    drop = e.clamp_below(e.add(below, e.constant(23 - form.fraction, U32)), 26)
    one = e.constant(1, U32)
    mask = e.sub(e.shl(one, drop), one)
    half = e.shl(one, e.sub(drop, one))
    zero = e.constant(0, U32)
    last = e.and_(e.shr(significand, drop), one)
    addend = {
        "rn": lambda: e.add(e.sub(half, one), last),
        "rna": lambda: half,
        "rz": lambda: zero,
        "rm": lambda: e.select(negative, mask, zero),
        "rp": lambda: e.select(negative, zero, mask),
    }[rounding]()
    rounded = e.shr(e.add(significand, addend), drop)
    above = e.sub(exponent, e.constant(least, U32))
    above = e.select(e.compare("lt", exponent, e.constant(least, U32)), zero, above)
    pattern = e.add(e.shl(above, e.constant(form.fraction, U32)), rounded)  # the leading bit adds 1 to the exponent
    greatest = e.constant(form.greatest, U32)
    if satfinite or form.infinity is None:
        pattern = e.min(pattern, greatest)
    else:
        infinity = e.constant(form.infinity, U32)
        outward = {"rn": infinity, "rna": infinity, "rz": greatest}.get(rounding)
        if outward is None:
            outward = e.select(negative, *((infinity, greatest) if rounding == "rm" else (greatest, infinity)))
        pattern = e.min(pattern, outward)
        pattern = e.select(e.compare("eq", magnitude, e.constant(0x7F800000, U32)), infinity, pattern)
    sign = e.shr(e.and_(bits, e.constant(1 << 31, U32)), e.constant(32 - form.width, U32))
    nan = e.compare("hi", magnitude, e.constant(0x7F800000, U32))
    return e.select(nan, e.constant(form.nan, U32), e.or_(pattern, sign))


def relu(e: Emitter, a: Value) -> Value:
    """Negative numbers and -0 become +0; NaN is not changed."""
    zero = e.constant(0.0, a.type)
    return replace(e.select(e.compare("le", a, zero), zero, a), raw=True)


def flush(e: Emitter, bits: Value, form: FloatFormat) -> Value:
    """Subnormal patterns become zero of the same sign."""
    magnitude = e.and_(bits, e.constant(form.sign - 1, U32))
    subnormal = e.compare("lo", magnitude, e.constant(1 << form.fraction, U32))
    return e.select(subnormal, e.and_(bits, e.constant(form.sign, U32)), bits)


def flush_value(e: Emitter, a: Value, form: FloatFormat) -> Value:
    """An f32, exact or rounded to odd; values that are tiny in `form` become 0 of their sign. Tiny: below the least
    normal number after rounding to nearest even with an unbounded exponent. (As in rounding.flush for f32.)
    """
    least = 2.0 ** (1 - form.bias)
    half_a_step = least * 2.0 ** -(form.fraction + 2)
    tiny = e.compare("lt", e.absolute(a), e.constant(least - half_a_step, F32))
    sign = e.and_(e.payload(a), e.constant(1 << 31, U32))
    return replace(e.select(tiny, replace(e.as_type(replace(sign, type=U32), F32), raw=False), a), raw=True)


def is_nan(e: Emitter, bits: Value, form: FloatFormat) -> Value:
    magnitude = e.and_(bits, e.constant(form.sign - 1, U32))
    assert form.infinity is not None
    return e.compare("hi", magnitude, e.constant(form.infinity, U32))


def apply(e: Emitter, operation: Callable[..., Value], type: Type, *operands: Value) -> Value:
    """`operation(*patterns)` on f16 or bf16 lanes, or on both halves of f16x2 or bf16x2 lanes."""
    if type.bits == 16:
        return e.convert(operation(*(e.convert(e.unsigned(operand), U32) for operand in operands)), type)
    low = operation(*(e.and_(replace(operand, type=U32), e.constant(0xFFFF, U32)) for operand in operands))
    high = operation(*(e.shr(replace(operand, type=U32), e.constant(16, U32)) for operand in operands))
    return replace(pack(e, high, low, 16), type=type)


def pack(e: Emitter, high: Value, low: Value, bits: int) -> Value:
    """Two patterns of `bits` bits in one u32; the high bits of `low` are clear."""
    return e.or_(e.shl(high, e.constant(bits, U32)), low)
