"""The four roundings of PTX (rn nearest even, rz toward zero, rm down, rp up) for f32 and f64.

LLVM rounds to nearest, and the CPU's rounding mode must not change: LLVM moves operations across the change. So an f32
result is computed in f64, exactly or rounded to odd, and then narrowed to f32; an f64 result uses integers (soft.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ptxbench.emulator.floats import soft
from ptxbench.emulator.types import F32, F64, PRED, S64, U32, U64, Type

if TYPE_CHECKING:
    from ptxbench.emulator.emit import Emitter, Value


def fma(e: Emitter, a: Value, b: Value, c: Value, rounding: str = "rn") -> Value:
    """a * b + c, rounded once."""
    if rounding == "rn" and e.hardware_fma:
        return e.fused(a, b, c)
    if a.type is F64:
        return soft.fma(e, a, b, c, rounding)
    return e.outline(fma_by_f64, a, b, c, rounding=rounding)


def fma_by_f64(e: Emitter, a: Value, b: Value, c: Value, rounding: str) -> Value:
    product = e.mul(e.convert(a, F64), e.convert(b, F64))  # exact: 48 bits of 53
    return add_to_f32(e, product, e.convert(c, F64), rounding)


def add(e: Emitter, a: Value, b: Value, rounding: str = "rn") -> Value:
    if rounding == "rn":
        return e.add(a, b)
    if a.type is F64:
        return soft.fma(e, a, e.constant(1.0, F64), b, rounding)
    return e.outline(add_by_f64, a, b, rounding=rounding)


def add_by_f64(e: Emitter, a: Value, b: Value, rounding: str) -> Value:
    return add_to_f32(e, e.convert(a, F64), e.convert(b, F64), rounding)


def mul(e: Emitter, a: Value, b: Value, rounding: str = "rn") -> Value:
    if rounding == "rn":
        return e.mul(a, b)
    if a.type is F64:  # adding a zero of the product's sign does not change it
        sign = e.and_(e.xor(e.payload(a), e.payload(b)), e.constant(1 << 63, U64))
        return soft.fma(e, a, b, e.as_type(sign, F64), rounding)
    return e.outline(mul_by_f64, a, b, rounding=rounding)


def mul_by_f64(e: Emitter, a: Value, b: Value, rounding: str) -> Value:
    """The product of two f32 is exact in f64."""
    return narrow(e, e.mul(e.convert(a, F64), e.convert(b, F64)), rounding)


def divide(e: Emitter, a: Value, b: Value, rounding: str = "rn") -> Value:
    if rounding == "rn":
        return e.divide(a, b)
    return e.outline(divide_f64 if a.type is F64 else divide_by_f64, a, b, rounding=rounding)


def divide_by_f64(e: Emitter, a: Value, b: Value, rounding: str) -> Value:
    """A quotient of 24-bit numbers that is not an f32 differs from every f32 by more than the f64 rounding, 2^-53."""
    return narrow(e, e.divide(e.convert(a, F64), e.convert(b, F64)), rounding)


def divide_f64(e: Emitter, a: Value, b: Value, rounding: str) -> Value:
    """The nearest quotient q, moved by one step if the sign of a - q b shows that it is on the wrong side.

    If q overflowed, a - q b is an infinity of the right sign; if a or q is infinite without overflow, it is NaN.
    """
    quotient = e.divide(a, b)
    remainder = soft.fma(e, e.negate(quotient), b, a, "odd")  # to odd: not 0 unless exact
    zero = e.constant(0.0, F64)
    flipped = e.compare("lo", e.payload(b), e.constant(1 << 63, U64))
    remainder = e.select(flipped, remainder, e.negate(remainder))
    low, high = e.compare("gt", remainder, zero), e.compare("lt", remainder, zero)
    negative = e.compare("hs", e.xor(e.payload(a), e.payload(b)), e.constant(1 << 63, U64))
    return direct(e, quotient, low, high, negative, rounding)


def square_root(e: Emitter, a: Value, rounding: str = "rn") -> Value:
    if rounding == "rn":
        return e.square_root(a)
    return e.outline(square_root_f64 if a.type is F64 else square_root_by_f64, a, rounding=rounding)


def square_root_by_f64(e: Emitter, a: Value, rounding: str) -> Value:
    """A root of a 24-bit number that is not an f32 differs from every f32 by more than the f64 rounding."""
    return narrow(e, e.square_root(e.convert(a, F64)), rounding)


def square_root_f64(e: Emitter, a: Value, rounding: str) -> Value:
    root = e.square_root(a)
    remainder = soft.fma(e, e.negate(root), root, a, "odd")  # NaN for an infinite root: neither above nor below
    zero = e.constant(0.0, F64)
    low, high = e.compare("gt", remainder, zero), e.compare("lt", remainder, zero)
    return direct(e, root, low, high, e.compare("lt", root, zero), rounding)


def direct(e: Emitter, nearest: Value, low: Value, high: Value, negative: Value, rounding: str) -> Value:
    """Adjust `nearest`, which is too `low`, too `high` or exact, to rz, rm or rp. `negative`: its sign."""
    down, up = step(e, nearest, up=False), step(e, nearest, up=True)
    if rounding == "rm":
        return e.select(high, down, nearest)
    if rounding == "rp":
        return e.select(low, up, nearest)
    inward = e.select(negative, up, down)
    return e.select(e.select(negative, low, high), inward, nearest)


UP = 2.0**64
"""The scale of `flush`: large enough that nothing near f32's least normal number is subnormal."""


def flush(e: Emitter, result: Value, recompute: Callable[..., Value], *scaled: Value) -> Value:
    """An f32 `result` with tiny values replaced by 0 of their sign. (PTX ISA, ".ftz".)

    Tiny means below the least normal number after rounding to 24 bits with an unbounded exponent, as ptxas folds it:
    2^-126 (1 - 2^-24) is tiny, although as a subnormal number it would round up to 2^-126. So only a result of +-2^-126
    must be computed again, by `recompute` on its operands times UP: that gives the result times UP, rounded where
    nothing is subnormal. If it overflows, the result was not tiny.
    """
    flushed = replace(e.flush_if(True, result), raw=False)
    edge = e.compare("eq", e.absolute(result), e.constant(2.0**-126, F32))
    any_edge = e.op(f"icmp ne i32 {e.op(f'bitcast {PRED.vector} {edge.ir} to i32')}, 0")
    before, look, after, done = (e.label(hint) for hint in ("before", "look", "after", "done"))
    e.line(f"br label %{before}\n{before}:")
    e.line(f"br i1 {any_edge}, label %{look}, label %{done}\n{look}:")
    exact = recompute(*(e.mul(operand, e.constant(UP, operand.type)) for operand in scaled))
    tiny = e.compare("lt", e.absolute(exact), e.constant(UP * 2.0**-126, F32))
    chosen = e.select(tiny, copy_sign(e, e.constant(0.0, F32), flushed), flushed)
    e.line(f"br label %{after}\n{after}:")
    e.line(f"br label %{done}\n{done}:")
    merged = e.op(f"phi {F32.vector} [ {flushed.ir}, %{before} ], [ {chosen.ir}, %{after} ]")
    return replace(flushed, ir=merged, raw=True)


def add_to_f32(e: Emitter, a: Value, b: Value, rounding: str) -> Value:
    """The exact sum of two f64, rounded once to f32."""
    total = add_to_odd(e, a, b)
    result = narrow(e, total, rounding)
    if rounding != "rm":
        return result
    # An exact sum of zero is -0 when rounding down, unless both terms are +0. (IEEE 754, 6.3.)
    signs = e.or_(e.payload(a), e.payload(b))
    zero = e.convert(e.as_type(e.and_(signs, e.constant(1 << 63, U64)), F64), F32)
    return replace(e.select(e.compare("eq", total, e.constant(0.0, F64)), zero, result), raw=True)


def add_to_odd(e: Emitter, a: Value, b: Value) -> Value:
    """The sum a + b rounded to odd: exact, or the neighbour whose last bit is set.

    Rounding that to a format of at least two bits less gives, in any direction, the same as one rounding of the exact
    sum. (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd",
    2008.) The terms must stay a factor of two below overflow.
    """
    total = e.add(a, b)
    partner = e.sub(total, a)  # TwoSum: total + lost is a + b exactly
    lost = e.add(e.sub(a, e.sub(total, partner)), e.sub(b, partner))
    zero = e.constant(0.0, a.type)
    inexact = e.compare("ne", lost, zero)  # ordered: false if an infinity made `lost` NaN
    bits = e.payload(total)
    one = e.constant(1, bits.type)
    even = e.compare("eq", e.and_(bits, one), e.constant(0, bits.type))
    # Toward `lost`: away from zero (+1 on the bit pattern) if lost and total have the same sign.
    grows = e.xor(e.compare("lt", lost, zero), e.compare("gt", total, zero))
    moved = e.select(grows, e.add(bits, one), e.sub(bits, one))
    odd = e.as_type(moved, a.type)
    return replace(e.select(e.and_(inexact, even), odd, total), raw=True)


def narrow(e: Emitter, a: Value, rounding: str) -> Value:
    """An f64 that is exact or rounded to odd, as f32: rn, rz, rm, rp, or odd."""
    nearest = e.convert(a, F32)
    if rounding == "rn":
        return nearest
    back = e.convert(nearest, F64)
    low, high = e.compare("lt", back, a), e.compare("gt", back, a)
    negative = e.compare("lt", a, e.constant(0.0, F64))
    if rounding != "odd":
        return direct(e, nearest, low, high, negative, rounding)
    bits = e.payload(direct(e, nearest, low, high, negative, "rz"))
    sticky = e.one_if(e.or_(low, high), U32)
    return replace(e.as_type(e.or_(bits, sticky), F32), raw=True)


def step(e: Emitter, a: Value, *, up: bool) -> Value:
    """The next float above or below; for an infinity, the greatest finite number of its sign."""
    bits = e.payload(a)
    sign_bit = 1 << a.type.bits - 1
    one = e.constant(1, bits.type)
    zero = e.compare("eq", a, e.constant(0.0, a.type))
    negative = e.compare("hs", bits, e.constant(sign_bit, bits.type))
    grows = e.not_(negative) if up else negative
    moved = e.select(grows, e.add(bits, one), e.sub(bits, one))
    least = e.constant(1 if up else sign_bit | 1, bits.type)
    return replace(e.as_type(e.select(zero, least, moved), a.type), raw=True)


def from_integer(e: Emitter, a: Value, type: Type, rounding: str) -> Value:
    """An integer as f32 or f64."""
    if rounding == "rn":
        return e.int_to_float(a, type)
    if a.type.bits < 64:
        exact = e.int_to_float(a, F64)
        return exact if type is F64 else narrow(e, exact, rounding)
    high, low = halves(e, a)
    return add(e, high, low, rounding) if type is F64 else add_to_f32(e, high, low, rounding)


def integer_to_odd(e: Emitter, a: Value) -> Value:
    """An integer as f32, rounded to odd."""
    exact = e.int_to_float(a, F64) if a.type.bits < 64 else add_to_odd(e, *halves(e, a))
    return narrow(e, exact, "odd")


def halves(e: Emitter, a: Value) -> tuple[Value, Value]:
    """A 64-bit integer as the exact sum of two f64."""
    high = e.shr(a, e.constant(32, a.type))
    low = e.and_(a, e.constant(0xFFFFFFFF, a.type))
    scale = e.constant(2.0**32, F64)
    return e.mul(e.int_to_float(high, F64), scale), e.int_to_float(replace(low, type=S64), F64)


def whole(e: Emitter, a: Value, rounding: str) -> Value:
    """Round to an integer: rni nearest even, rzi toward zero, rmi down, rpi up; the sign of zero stays.

    Without SSE4.1 LLVM would call libm. Then adding and subtracting 2^23 (2^52) rounds to nearest, and a step of 1
    corrects the direction.
    """
    if e.hardware_fma:  # every CPU with fma has the instructions for these
        name = {"rni": "roundeven", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}[rounding]
        return e.unary(name, a, raw=True)
    magnitude = e.absolute(a)
    magic = e.constant(2.0**23 if a.type is F32 else 2.0**52, a.type)
    small = e.compare("lt", magnitude, magic)
    value = magnitude if rounding == "rzi" else a
    offset = magic if rounding == "rzi" else copy_sign(e, magic, a)
    nearest = e.sub(e.add(value, offset), offset)
    one = e.constant(1.0, a.type)
    if rounding == "rpi":
        nearest = e.select(e.compare("lt", nearest, value), e.add(nearest, one), nearest)
    elif rounding != "rni":
        nearest = e.select(e.compare("gt", nearest, value), e.sub(nearest, one), nearest)
    return replace(e.select(small, copy_sign(e, nearest, a), a), raw=True)


def copy_sign(e: Emitter, magnitude: Value, sign: Value) -> Value:
    """The magnitude of one with the sign of the other; NaNs keep their bits."""
    top = e.constant(1 << sign.type.bits - 1, e.payload(sign).type)
    bits = e.or_(e.and_(e.payload(magnitude), e.not_(top)), e.and_(e.payload(sign), top))
    return replace(e.as_type(bits, magnitude.type), raw=magnitude.raw)
