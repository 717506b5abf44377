"""The rounding of the sums of matrix units: from an exact f64 to the bits of f32 or f16."""

from __future__ import annotations

from dataclasses import replace

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.types import F32, F64, S32, U32, U64

NAN16, NAN32 = 0x7FFF, 0x7FFFFFFF


def nearest_sum(e: Emitter, a: Value, b: Value, kind: str) -> Value:
    """The bits of the sum of two f32 or two f16, to nearest even."""
    if kind == "f16":
        return to_f16(e, e.add(f16_to_f64(e, a), f16_to_f64(e, b)))
    total = e.add(e.as_type(replace(a, type=U32), F32), e.as_type(replace(b, type=U32), F32))
    return e.as_type(total, U32)


def scaled(e: Emitter, total: Value, top: Value, frac: int) -> Value:
    """total 2^(top - frac), exact: an f64 has the range for it."""
    limit = 800
    bounded = e.max(e.min(top, e.constant(limit, S32)), e.constant(-limit, S32))
    exponent = e.convert(e.add(bounded, e.constant(1023 - frac, S32)), U64)
    power = e.as_type(e.shl(exponent, e.constant(52, U64)), F64)
    return replace(e.mul(total, power), raw=False)


def to_f32_toward_zero(e: Emitter, value: Value, fraction_bits: int) -> Value:
    """The bits of an f64 as f32 with `fraction_bits`, truncated; infinity from 2^128 on."""
    nearest = replace(e.convert(value, F32), raw=False)
    magnitude = e.absolute(value)
    beyond = e.compare("gt", e.absolute(e.convert(nearest, F64)), magnitude)
    inside = e.compare("lt", magnitude, e.constant(2.0**128, F64))
    bits = e.as_type(nearest, U32)
    bits = e.select(e.and_(beyond, inside), e.sub(bits, e.constant(1, U32)), bits)
    return e.and_(bits, e.constant(-1 << 23 - fraction_bits, U32)) if fraction_bits < 23 else bits


def to_f16(e: Emitter, value: Value) -> Value:
    """The bits of an f64 as f16, rounded once to nearest even, in the low half of 32."""
    bits = e.as_type(replace(value, raw=False), U64)

    def long(number: int) -> Value:
        return e.constant(number, U64)

    field = e.and_(e.shr(bits, long(52)), long(0x7FF))
    field = e.max(field, long(1023 - 14))  # subnormal results share the smallest exponent
    scale = e.as_type(e.shl(e.sub(long(2 * 1023 + 10), field), long(52)), F64)
    magic = 2.0**52  # adding it rounds to nearest even and leaves an integer in the low bits
    shifted = e.add(replace(e.mul(e.absolute(value), scale), raw=False), e.constant(magic, F64))
    steps = e.sub(e.as_type(replace(shifted, raw=False), U64), long(0x433 << 52))
    encoded = e.add(e.shl(e.sub(field, long(1023 - 14)), long(10)), steps)
    encoded = e.min(encoded, long(0x7C00))
    sign = e.and_(e.shr(bits, long(48)), long(0x8000))
    result = e.convert(e.or_(encoded, sign), U32)
    return e.select(e.compare("nan", value, value), e.constant(NAN16, U32), result)


def f16_to_f64(e: Emitter, half: Value) -> Value:
    """An f16 in the low half of 32 bits, exactly: its exponent as f64 bits is 1008 too small."""
    wide = e.convert(half, U64)
    magnitude = e.and_(wide, e.constant(0x7FFF, U64))
    small = e.as_type(e.shl(magnitude, e.constant(42, U64)), F64)
    number = e.as_type(replace(e.mul(small, e.constant(2.0**1008, F64)), raw=False), U64)
    special = e.or_(e.shl(magnitude, e.constant(42, U64)), e.constant(0x7FF << 52, U64))
    chosen = e.select(e.compare("ge", magnitude, e.constant(0x7C00, U64)), special, number)
    sign = e.shl(e.and_(wide, e.constant(0x8000, U64)), e.constant(48, U64))
    return e.as_type(e.or_(chosen, sign), F64)
