"""Results of approximate instructions as a GPU may give them: not the exact value, but within the documented bound.

A launch has the ideal results unless it has a seed. With a seed, a result is drawn from the seed, the instruction and
the ideal result: the same input always gives the same result.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ptxbench.emulator.accuracy import FRACTION_BITS, LEAST_NORMAL
from ptxbench.emulator.accuracy import bound as documented
from ptxbench.emulator.runtime import conditions
from ptxbench.emulator.types import F32, F64, S32, U32, U64

if TYPE_CHECKING:
    from ptxbench.emulator.emit import Emitter, Value

MIX = (0x7FEB352D, 0x846CA68B)
"""Odd factors that spread each bit of a number over all of them. (Wellons, "Prospecting for Hash Functions".)"""
GREATEST_ANGLE = 314.1592
"""100 pi, rounded down: for greater angles the manual states no error."""
WITHIN = 1 - 2.0**-20
"""The share of a bound that is used: the exact value is known to some 50 bits."""


def ideal_unless_varied(e: Emitter, ideal: Value) -> None:
    """In an outlined function: return `ideal` unless this launch varies results; the code after this varies them."""
    seed = e.op(conditions.APPROXIMATE.load)
    varied = e.op(f"icmp ne i64 {seed}, 0")
    e.line(f"br i1 {varied}, label %varied, label %ideal")
    e.line("ideal:")
    e.line(f"ret {ideal.type.vector} {ideal.ir}")
    e.line("varied:")


def drawn(e: Emitter, bits: Value, opcode: str) -> Value:
    """A random f64 for each u32 pattern: magnitude from 1/2 to 1, either sign."""
    seed = e.convert(e.condition(conditions.APPROXIMATE, U64), U32)
    x = e.xor(e.add(bits, e.constant(zlib.crc32(opcode.encode()), U32)), seed)
    for shift, factor in zip((16, 15), MIX, strict=True):
        x = e.mul(e.xor(x, e.shr(x, e.constant(shift, U32))), e.constant(factor, U32))
    x = e.xor(x, e.shr(x, e.constant(16, U32)))
    part = e.int_to_float(e.and_(x, e.constant((1 << 30) - 1, U32)), F64)
    size = e.add(e.mul(part, e.constant(2.0**-31, F64)), e.constant(0.5, F64))
    negative = e.compare("lt", replace(x, type=S32), e.constant(0, S32))
    return e.select(negative, e.negate(size), size)


def places(e: Emitter, exact: Value, fraction: int, least: int) -> Value:
    """The unit in the last place of an f64 in a format of `fraction` bits, normal from 2^least on."""
    field = e.and_(e.shr(e.payload(exact), e.constant(52, U64)), e.constant(0x7FF, U64))
    field = e.max(field, e.constant(least + 1023, U64))
    return e.as_type(e.shl(e.sub(field, e.constant(fraction, U64)), e.constant(52, U64)), F64)


def limit(e: Emitter, exact: Value, opcode: str) -> Value:
    """The greatest error of an instruction at each exact value: `accuracy.ErrorBound.at` as kernel code."""
    bound = documented(opcode)
    assert bound is not None, opcode
    most = e.constant(bound.absolute * WITHIN, F64)
    if bound.relative:
        by_size = e.mul(e.absolute(exact), e.constant(bound.relative * WITHIN, F64))
        most = e.select(e.compare("gt", by_size, most), by_size, most)
    if bound.ulps:
        unit = places(e, exact, FRACTION_BITS[bound.type], LEAST_NORMAL[bound.type])
        by_places = e.mul(unit, e.constant(bound.ulps * WITHIN, F64))
        most = e.select(e.compare("gt", by_places, most), by_places, most)
    return most


def limit_of_angle(e: Emitter, angle: Value, most: Value) -> Value:
    """The greatest error of a sine or cosine of an angle of 0 or more (f32). `most`: for those up to 100 pi.

    The manual states a smaller one up to 2 pi, and none beyond 100 pi: there it grows with the angle, as that of an
    angle which is reduced in f32 does, up to 1.
    """
    small = e.constant(2.0**-20.5 * WITHIN, F64)
    grown = e.mul(most, e.mul(e.convert(angle, F64), e.constant(1 / GREATEST_ANGLE, F64)))
    one = e.constant(1.0, F64)
    beyond = e.select(e.compare("lt", grown, one), grown, one)
    most = e.select(e.compare("gt", angle, e.constant(GREATEST_ANGLE, F32)), beyond, most)
    return e.select(e.compare("gt", angle, e.constant(6.283185, F32)), most, small)


def moved(
    e: Emitter, ideal: Value, exact: Value, most: Value, opcode: str, rounded: Callable[[Value], tuple[Value, Value]]
) -> Value:
    """A result other than `ideal` (u32 patterns), within `most` of `exact` (f64).

    `rounded`: converts an f64 to a result: its pattern, and its value in f64. Zeros, infinities, NaN and powers of two
    are not changed: the manual or every GPU gives them exactly.
    """
    target = e.add(exact, e.mul(most, drawn(e, ideal, opcode)))
    pattern, value = rounded(target)
    within = e.compare("le", e.absolute(e.sub(value, exact)), most)  # false on NaN and on infinities
    fraction = e.and_(e.payload(exact), e.constant((1 << 52) - 1, U64))
    return e.select(e.and_(within, e.compare("ne", fraction, e.constant(0, U64))), pattern, ideal)


def varied_f32(e: Emitter, ideal: Value, exact: Value, most: Value, opcode: str) -> Value:
    """`moved` for results in f32."""

    def rounded(target: Value) -> tuple[Value, Value]:
        nearest = e.convert(target, F32)
        return e.unsigned(e.payload(nearest)), e.convert(nearest, F64)

    pattern = moved(e, e.unsigned(e.payload(ideal)), exact, most, opcode, rounded)
    return replace(e.as_type(pattern, F32), raw=True)
