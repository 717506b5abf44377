"""Dot products in every lane: integers, a chain of f64, and the blocks of tensor_models.TensorModel."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.floats.rounding import fma
from ptxbench.emulator.runtime.context import V32, RuntimeFunction
from ptxbench.emulator.runtime.elements import SPECIAL, any_lane, decoded_float
from ptxbench.emulator.runtime.product import Multiply
from ptxbench.emulator.runtime.tensor_rounding import NAN16, NAN32, scaled, to_f16, to_f32_toward_zero
from ptxbench.emulator.tensor import FORMATS, ElementFormat
from ptxbench.emulator.types import B64, F32, F64, LANES, S32, S64, U32, Type

STEP = 256
"""Bytes per k in an operand array: up to two vectors of 32 i32, or one of 32 i64."""
NARROW_STEPS, MOST_STEPS = 16, 32
"""How many products below 2^27 an i32 can sum; the most products per block, which an i64 can sum."""


@dataclass(frozen=True)
class Dot:
    """A dot product in every lane, in blocks of `steps` of k: `first` adds C, `following` adds the sum so far."""

    first: RuntimeFunction
    following: RuntimeFunction
    steps: int
    blocks: int

    def apply(self, e: Emitter, rows: str, columns: str, c: Value, special: str) -> Value:
        """C plus the products. `special`: an i1 name for functions that take one, else empty."""
        total = c
        for i in range(self.blocks):
            function = self.following if i else self.first
            vector = total.type.vector
            more = f", i1 {special}" if special else ""
            text = f"call {vector} @{function.name}(ptr {rows}, ptr {columns}, {vector} {total.ir}{more})"
            total = Value(e.op(text), total.type)
            if i + 1 < self.blocks:
                rows = e.op(f"getelementptr i8, ptr {rows}, i64 {STEP * self.steps}")
                columns = e.op(f"getelementptr i8, ptr {columns}, i64 {STEP * self.steps}")
        return total


def dot_product(product: Multiply, hardware_fma: bool) -> tuple[Dot, int]:
    """The dot product for a matrix product, and by how many bits the significands of A must be shifted left for it."""
    kind_d, kind_a, kind_b, kind_c = product.types
    if kind_a == "f64":
        function = dot_f64(product.k, product.rule, hardware_fma)
        return Dot(function, function, product.k, 1), 0
    if product.model is None:
        function = dot_integer(product.terms, product.rule)
        return Dot(function, function, product.terms, 1), 0
    model = product.model
    depth = product.terms // 2 if model.halves else product.terms
    steps = min(model.block, depth)
    start = FORMATS[kind_d if model.halves else kind_c]
    first = dot_float(steps, model.frac, start, kind_d, model.result_bits, model.lowest)
    following = dot_float(steps, model.frac, FORMATS[kind_d], kind_d, model.result_bits, model.lowest)
    lift = model.frac - FORMATS[kind_a].fraction - FORMATS[kind_b].fraction
    return Dot(first, following, steps, product.terms // steps), lift


def sum_of_terms(kind: str, start: str, following: str, term: Emitter, steps: int) -> str:
    """A loop over %k below `steps`: %total is first `start`; the lines of `term` compute its next value `following`."""
    return f"""  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %total = phi {kind} [ {start}, %entry ], [ {following}, %next ]
  {chr(10).join(term.lines)}
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, {steps}
  br i1 %more, label %next, label %done
done:"""


def dot_integer(steps: int, rule: str) -> RuntimeFunction:
    """`NAME(a, b, c)`: exact; the last addition wraps, or clamps if `rule` is satfinite. xor, and: on bits."""
    e = Emitter()
    a, b = (load(e, pointer, "%k", 0, S32) for pointer in ("%a", "%b"))
    products = {"xor": lambda: e.population(e.xor(a, b)), "and": lambda: e.population(e.and_(a, b))}
    product = products.get(rule, lambda: e.mul(a, b))()
    total = Value("%total", S32)
    added = e.add(total, product)
    last = Emitter()
    last.names = e.names
    if rule == "satfinite":
        name = f"llvm.sadd.sat.v{LANES}i32"
        result = last.intrinsic(name, V32, (V32, "%c"), (V32, added.ir))
    else:
        result = last.add(Value("%c", S32), added).ir
    name = f"dot_{rule or 'integer'}_{steps}"
    text = f"""
define internal {V32} @{name}(ptr %a, ptr %b, {V32} %c) noinline {{
entry:
{sum_of_terms(V32, "zeroinitializer", added.ir, e, steps)}
  {chr(10).join(last.lines)}
  ret {V32} {result}
}}
"""
    return RuntimeFunction(name, text, (), tuple(sorted(e.declarations | last.declarations)))


def dot_f64(steps: int, rounding: str, hardware_fma: bool) -> RuntimeFunction:
    """`NAME(a, b, c)`: a chain of fused multiply-adds in ascending k. (PTX ISA, mma: as with fma.f64.)"""
    e = Emitter(hardware_fma=hardware_fma)
    a, b = (load(e, pointer, "%k", 0, F64) for pointer in ("%a", "%b"))
    total = fma(e, a, b, Value("%total", F64), rounding or "rn")
    last = Emitter()
    last.names = e.names
    result = last.bits(replace(total, raw=True))
    name = f"dot_f64_{rounding or 'rn'}_{steps}"
    vector = B64.vector
    text = f"""
define internal {vector} @{name}(ptr %a, ptr %b, {vector} %c) noinline {{
entry:
  %start = bitcast {vector} %c to {F64.vector}
{sum_of_terms(F64.vector, "%start", total.ir, e, steps)}
  {chr(10).join(last.lines)}
  ret {vector} {result.ir}
}}
"""
    return RuntimeFunction(name, text, (), tuple(sorted(e.declarations | last.declarations)))


@functools.cache
def fma_functions(rounding: str, hardware_fma: bool) -> dict[str, str]:
    """The functions of Emitter.functions that `dot_f64` calls; the kernel may have them already."""
    e = Emitter(hardware_fma=hardware_fma)
    value = Value("%total", F64)
    fma(e, value, value, value, rounding or "rn")
    return e.functions


def load(e: Emitter, pointer: str, k: str, plane: int, kind: Type) -> Value:
    """The vector of one k in an operand array."""
    step = e.op(f"mul i64 {k}, {STEP}")
    at = e.op(f"getelementptr i8, ptr {pointer}, i64 {step}")
    if plane:
        at = e.op(f"getelementptr i8, ptr {at}, i64 {128 * plane}")
    return Value(e.op(f"load {kind.vector}, ptr {at}, align 64"), kind)


def dot_float(
    steps: int, frac: int, start: ElementFormat, kind_d: str, fraction_bits: int, lowest: int | None = None
) -> RuntimeFunction:
    """`NAME(a, b, c, special)` -> the bits of D: one block of tensor_models.TensorModel, c of the format `start`.

    Products are in units of 2^(top - frac), with significands already shifted to `frac` fraction bits. Each is below
    2^27, so an i32 holds the sum of up to 16; in f64, the sum of a block with c is exact. `fraction_bits`: of an f32
    result.
    """
    assert steps <= MOST_STEPS
    assert frac <= 25
    begin, highest, term, finish = Emitter(), Emitter(), Emitter(), Emitter()
    highest.names, term.names, finish.names = 10_000, 20_000, 30_000
    c_significand, c_exponent = decoded_float(begin, Value("%c", U32), start, max(0, frac - start.fraction))
    c_special = any_lane(begin, begin.compare("ge", c_exponent, begin.constant(SPECIAL, S32)))
    begin.line(f"%odd = or i1 %special, {c_special}")
    top_start = c_exponent if lowest is None else begin.max(c_exponent, begin.constant(lowest, S32))

    exponents = [load(highest, pointer, "%k", 1, S32) for pointer in ("%a", "%b")]
    top_next = highest.max(Value("%top", S32), highest.add(*exponents))
    top = Value("%top.all", S32)

    def truncated(e: Emitter, significand: Value, exponent: Value, more: int = 0) -> Value:
        """The significand shifted right by top - exponent, toward zero."""
        distance = e.add(e.sub(top, exponent), e.constant(more, S32))
        distance = e.min(replace(distance, type=U32), e.constant(31, U32))
        sign = e.shr(significand, e.constant(31, S32))
        magnitude = e.sub(e.xor(significand, sign), sign)
        shifted = replace(e.shr(replace(magnitude, type=U32), distance), type=S32)
        return e.sub(e.xor(shifted, sign), sign)

    a, b = (load(term, pointer, "%t", 0, S32) for pointer in ("%a", "%b"))
    exponents = [load(term, pointer, "%t", 1, S32) for pointer in ("%a", "%b")]
    sum_type = S32 if steps <= NARROW_STEPS else S64
    product = term.convert(truncated(term, term.mul(a, b), term.add(*exponents)), sum_type)
    sum_next = term.add(Value("%sum", sum_type), product)

    addend = Emitter()
    addend.names = 40_000
    c_term = addend.int_to_float(truncated(addend, c_significand, c_exponent, max(0, start.fraction - frac)), F64)
    total = finish.add(c_term, finish.int_to_float(sum_next, F64))
    value = scaled(finish, total, top, frac)
    result = to_f16(finish, value) if kind_d == "f16" else to_f32_toward_zero(finish, value, fraction_bits)
    special = special_sum(steps, kind_d)
    name = f"dot_{start.name}_{kind_d}_{steps}_{frac}" + (f"_{fraction_bits}" if fraction_bits != 23 else "")
    name += "" if lowest is None else f"_from_{-lowest}"
    addend_of_c = f"{V32} {c_significand.ir}, {V32} {c_exponent.ir}"
    text = f"""
define internal {V32} @{name}(ptr %a, ptr %b, {V32} %c, i1 %special) noinline {{
entry:
  {chr(10).join(begin.lines)}
  br label %highest
highest:
  %k = phi i64 [ 0, %entry ], [ %k.next, %highest ]
  %top = phi {V32} [ {top_start.ir}, %entry ], [ {top_next.ir}, %highest ]
  {chr(10).join(highest.lines)}
  %k.next = add i64 %k, 1
  %k.more = icmp ult i64 %k.next, {steps}
  br i1 %k.more, label %highest, label %addend
addend:
  %top.all = phi {V32} [ {top_next.ir}, %highest ]
  {chr(10).join(addend.lines)}
  br label %term
term:
  %t = phi i64 [ 0, %addend ], [ %t.next, %term ]
  %sum = phi {sum_type.vector} [ zeroinitializer, %addend ], [ {sum_next.ir}, %term ]
  {chr(10).join(term.lines)}
  %t.next = add i64 %t, 1
  %t.more = icmp ult i64 %t.next, {steps}
  br i1 %t.more, label %term, label %finish
finish:
  {chr(10).join(finish.lines)}
  br i1 %odd, label %specials, label %done
specials:
  %corrected = call {V32} @{special.name}(ptr %a, ptr %b, {addend_of_c}, {V32} {result.ir})
  br label %done
done:
  %result = phi {V32} [ {result.ir}, %finish ], [ %corrected, %specials ]
  ret {V32} %result
}}
"""
    declared = (e.declarations for e in (begin, highest, term, finish, addend))
    return RuntimeFunction(name, text, (special,), tuple(sorted(set().union(*declared))))


def special_sum(steps: int, kind_d: str) -> RuntimeFunction:
    """`NAME(a, b, c significand, c exponent, result)`: the result, or infinity or NaN if a term requires it.

    Each term is replaced by infinity, NaN, or its significand, so that IEEE arithmetic decides.
    """

    def like(e: Emitter, significand: Value, exponent: Value) -> Value:
        finite = e.int_to_float(significand, F32)
        zero = e.constant(0, S32)
        infinite = e.select(
            e.compare("lt", significand, zero), e.constant(float("-inf"), F32), e.constant(float("inf"), F32)
        )
        nan = e.from_bits(NAN32, F32)
        special = e.select(e.compare("eq", significand, zero), nan, infinite)
        return e.select(e.compare("ge", exponent, e.constant(SPECIAL, S32)), special, finite)

    begin, term, finish = Emitter(), Emitter(), Emitter()
    term.names, finish.names = 10_000, 20_000
    start = like(begin, Value("%c", S32), Value("%c.exponent", S32))
    a, b = (like(term, load(term, p, "%k", 0, S32), load(term, p, "%k", 1, S32)) for p in ("%a", "%b"))
    total_next = term.add(Value("%total", F32), term.mul(a, b))
    total = replace(total_next, raw=False)
    finite = Value("%finite", U32)
    infinity, nan, sign = (0x7C00, NAN16, 0x8000) if kind_d == "f16" else (0x7F800000, NAN32, 0x80000000)
    endless = finish.compare("eq", finish.absolute(total), finish.constant(float("inf"), F32))
    below = finish.compare("lt", total, finish.constant(0.0, F32))
    signed = finish.select(below, finish.constant(infinity | sign, U32), finish.constant(infinity, U32))
    result = finish.select(endless, signed, finite)
    result = finish.select(finish.compare("nan", total, total), finish.constant(nan, U32), result)
    name = f"specials_{kind_d}_{steps}"
    text = f"""
define internal {V32} @{name}(ptr %a, ptr %b, {V32} %c, {V32} %c.exponent, {V32} %finite) noinline cold {{
entry:
  {chr(10).join(begin.lines)}
{sum_of_terms(F32.vector, start.ir, total_next.ir, term, steps)}
  {chr(10).join(finish.lines)}
  ret {V32} {result.ir}
}}
"""
    return RuntimeFunction(name, text, (), tuple(sorted(begin.declarations | term.declarations | finish.declarations)))
