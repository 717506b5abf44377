"""The elements of a matrix in registers: taken from them, decoded, and packed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.runtime.context import MASK, V32
from ptxbench.emulator.tensor import FORMATS, ElementFormat
from ptxbench.emulator.types import B32, B64, S32, U32, Type

SPECIAL = 4096
"""The exponent of infinity (significand 1 or -1) and NaN (0); sums of two such exponents are still recognizable."""
ZERO_EXPONENT = -4096
"""The exponent of zero: it is never the maximum."""

Planes = tuple[Value, ...]
"""A decoded element: (significand, exponent) of a float, else (value,)."""


def word(kind: str) -> Type:
    """The type of a register with elements of this type."""
    return B64 if kind == "f64" else B32


def replaced(value: Value, kind: Type) -> Value:
    """The same bits, as another type of that width."""
    return replace(value, type=kind)


def elements(e: Emitter, words: Sequence[Value], kind: str, bits: int) -> list[Value]:
    """The elements of registers, of `bits` each, zero- or sign-extended, from the low bits up."""
    if bits in (32, 64):
        return list(words)
    signed = kind in ("s8", "s4")
    values = []
    for register in words:
        for low in range(0, 32, bits):
            high = 32 - bits - low
            lifted = e.shl(register, e.constant(high, B32)) if high else register
            lifted = replace(lifted, type=S32 if signed else U32)
            values.append(e.shr(lifted, e.constant(32 - bits, lifted.type)))
    return values


def packed(e: Emitter, results: Sequence[Value], kind: str) -> list[Value]:
    """Pack elements into registers: f16 in pairs, the first in the low half."""
    if kind != "f16":
        return list(results)
    sixteen = e.constant(16, B32)
    return [
        e.or_(replace(low, type=B32), e.shl(replace(high, type=B32), sixteen))
        for low, high in zip(results[::2], results[1::2], strict=True)
    ]


def decoded(e: Emitter, x: Value, kind: str, lift: int) -> Planes:
    """The significand, shifted left by `lift`, and the exponent; integers and f64 are not changed."""
    if kind not in FORMATS:
        return (x,)
    if kind == "tf32":
        x = e.shr(replace(x, type=U32), e.constant(13, U32))
    if FORMATS[kind].padding:
        x = e.shr(replace(x, type=U32), e.constant(FORMATS[kind].padding, U32))
    return decoded_float(e, x, FORMATS[kind], lift)


def decoded_float(e: Emitter, x: Value, form: ElementFormat, lift: int) -> Planes:
    """The value is significand * 2^(exponent - fraction - lift); of zero, infinity and NaN, SPECIAL and ZERO_EXPONENT
    are the exponents."""

    def number(value: int) -> Value:
        return e.constant(value, S32)

    x = replace(x, type=S32)
    magnitude = e.and_(x, number((1 << form.bits - 1) - 1))
    fraction = e.and_(x, number((1 << form.fraction) - 1))
    field = Value(e.op(f"lshr {V32} {magnitude.ir}, splat (i32 {form.fraction})"), S32)
    normal = e.compare("ne", field, number(0))
    significand = e.select(normal, e.or_(fraction, number(1 << form.fraction)), fraction)
    exponent = e.add(e.max(field, number(1)), number(form.least - 1))
    exponent = e.select(e.compare("eq", magnitude, number(0)), number(ZERO_EXPONENT), exponent)
    greatest = (1 << form.bits - 1) - 1
    if form.infinity:
        endless = greatest - (1 << form.fraction) + 1
        special = e.compare("ge", magnitude, number(endless))
        one = e.select(e.compare("eq", magnitude, number(endless)), number(1), number(0))
        significand = e.select(special, one, significand)
        exponent = e.select(special, number(SPECIAL), exponent)
    elif form.nan:
        special = e.compare("eq", magnitude, number(greatest))
        significand = e.select(special, number(0), significand)
        exponent = e.select(special, number(SPECIAL), exponent)
    if lift:
        significand = e.shl(significand, number(lift))
    sign = e.compare("ne", e.and_(x, number(1 << form.bits - 1)), number(0))
    return e.select(sign, e.negate(significand), significand), exponent


def any_special(e: Emitter, decoded_elements: Sequence[Planes]) -> str:
    """Whether any element is infinite or NaN (i1 name)."""
    most = decoded_elements[0][1]
    for _, exponent in decoded_elements[1:]:
        most = e.max(most, exponent)
    return any_lane(e, e.compare("ge", most, e.constant(SPECIAL, S32)))


def any_lane(e: Emitter, lanes: Value) -> str:
    """Whether the predicate holds in any lane (i1 name)."""
    return e.op(f"icmp ne i32 {e.op(f'bitcast {MASK} {lanes.ir} to i32')}, 0")
