"""Products of small matrices, as out-of-line functions on fragments: one for each instruction and architecture.

A fragment is passed as registers, 32 lanes each. Elements are decoded register by register, then shuffled into
operand arrays in memory: one vector per k, in which each lane has the A[k] or B[k] of its own result. Then every lane
computes a dot product; its loop over k is a separate function.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ptxbench.emulator import tensor
from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.floats.rounding import fma
from ptxbench.emulator.runtime.context import MASK, REQUESTS, V32, RuntimeFunction, bump
from ptxbench.emulator.runtime.rearrange import gathered, struct, structure
from ptxbench.emulator.tensor import FORMATS, ElementFormat, Fragment, TensorModel
from ptxbench.emulator.types import B32, B64, F32, F64, LANES, S32, S64, U32, U64, Type

STEP = 256
"""Bytes per k in an operand array: up to two vectors of 32 i32, or one of 32 i64."""
SPECIAL = 4096
"""The exponent of infinity (significand 1 or -1) and NaN (0); sums of two such exponents are still recognizable."""
NOTHING = -4096
"""The exponent of zero: it is never the maximum."""
NARROW_STEPS, MOST_STEPS = 16, 32
"""How many products below 2^27 an i32 can sum; the most products per block, which an i64 can sum."""
NAN16, NAN32 = 0x7FFF, 0x7FFFFFFF

Planes = tuple[Value, ...]
"""A decoded element: (significand, exponent) of a float, else (value,)."""


@dataclass(frozen=True, eq=False)
class Multiply:
    """D = A B + C. `types` of d, a, b, c; `rule`: satfinite, xor, and, or a rounding of f64.

    `layout`: the shape, and what else determines its fragments; `d`: D's fragment if it differs from C's.
    """

    layout: str
    m: int
    n: int
    k: int
    types: tuple[str, str, str, str]
    a: Fragment
    b: Fragment
    c: Fragment
    model: TensorModel | None = None
    rule: str = ""
    d: Fragment = ()

    @functools.cached_property
    def name(self) -> str:
        parts = ["mma", self.layout, *self.types, self.rule, f"x{len(self.a)}"]
        if self.model:
            parts.append(f"{self.model.block}_{self.model.frac}" + "_halves" * self.model.halves)
        return "_".join(filter(None, parts))

    @functools.cached_property
    def registers(self) -> tuple[int, int, int, int]:
        """Registers of d, a, b and c."""
        fragments = (self.d or self.c, self.a, self.b, self.c)
        d, a, b, c = (register_count(each, kind) for each, kind in zip(fragments, self.types, strict=True))
        return d, a, b, c

    @property
    def flops(self) -> int:
        products = len({place[0] for place in self.c[0]})
        return 2 * self.m * self.n * self.k * products

    @property
    def depth(self) -> int:
        """Elements in a row of A; for b1, 32-bit words."""
        return self.k // 32 if self.types[1] == "b1" else self.k


@functools.cache
def multiply(what: Multiply, hardware_fma: bool = True) -> RuntimeFunction:
    """`NAME(a0, ..., b0, ..., c0, ..., active, site)` -> d0, ...; does nothing if no lane is active."""
    e = Emitter(hardware_fma=hardware_fma)
    kind_d, kind_a, kind_b, kind_c = what.types
    a_words, b_words, c_words = (
        [Value(f"%{name}.register{i}", word(kind)) for i in range(register_count(fragment, kind))]
        for name, fragment, kind in (("a", what.a, kind_a), ("b", what.b, kind_b), ("c", what.c, kind_c))
    )
    dot, lift = dot_product(what, hardware_fma)
    halves = what.model is not None and what.model.halves
    a = [decoded(e, element, kind_a, lift) for element in elements(e, a_words, kind_a)]
    b = [decoded(e, element, kind_b, 0) for element in elements(e, b_words, kind_b)]
    special = any_special(e, [*a, *b]) if what.model else ""
    order = sorted(range(what.depth), key=lambda k: k % 4 // 2) if halves else range(what.depth)
    a_array = OperandArray(e, "%a.array", a, where(what.a))
    b_array = OperandArray(e, "%b.array", b, where(what.b))
    results = []
    addends = elements(e, c_words, kind_c)
    if what.d:
        held = where(what.c)
        addends = [gathered(e, addends, [held[place] for place in lanes]) for lanes in what.d]
    for places, c in zip(what.d or what.c, addends, strict=True):
        rows = a_array.at([[(matrix, row, k) for matrix, row, _ in places] for k in order])
        columns = b_array.at([[(matrix, k, column) for matrix, _, column in places] for k in order])
        start = e.constant(0, c.type) if halves else c
        total = dot.apply(e, rows, columns, start, special)
        results.append(nearest_sum(e, total, c, kind_d) if halves else total)
    results = packed(e, results, kind_d)
    returns = struct(results[0].type, len(results))
    whole = structure(e, results)
    arguments = ", ".join(f"{each.type.vector} {each.ir}" for each in (*a_words, *b_words, *c_words))
    text = f"""
define internal {returns} @{what.name}({arguments}, i32 %active, ptr %site) noinline {{
entry:
  %a.array = alloca [{max(1, a_array.size)} x i8], align 64
  %b.array = alloca [{max(1, b_array.size)} x i8], align 64
  %idle = icmp eq i32 %active, 0
  br i1 %idle, label %nothing, label %go
nothing:
  ret {returns} zeroinitializer
go:
  {bump(REQUESTS, "1")}
  {chr(10).join(e.lines)}
  ret {returns} {whole}
}}
"""
    return RuntimeFunction(what.name, text, (dot.first, dot.rest), tuple(sorted(e.declarations)))


# ---- fragments in and out


def word(kind: str) -> Type:
    return B64 if kind == "f64" else B32


def register_count(fragment: Fragment, kind: str) -> int:
    return len(fragment) * tensor.in_units(kind, 0)[1] // word(kind).bits


def elements(e: Emitter, words: Sequence[Value], kind: str) -> list[Value]:
    """The elements of registers, zero- or sign-extended, from the low bits up."""
    bits = tensor.in_units(kind, 0)[1]
    if bits in (32, 64):
        return list(words)
    signed = kind in ("s8", "s4")
    values = []
    for each in words:
        for low in range(0, 32, bits):
            high = 32 - bits - low
            lifted = e.shl(each, e.constant(high, B32)) if high else each
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


def where(fragment: Fragment) -> dict[tensor.Place, tuple[int, int]]:
    """For each place of the matrix, the element and the lane that hold it; the first if there are several."""
    result: dict[tensor.Place, tuple[int, int]] = {}
    for element, lanes in enumerate(fragment):
        for lane, place in enumerate(lanes):
            result.setdefault(place, (element, lane))
    return result


class OperandArray:
    """Rows of A or columns of B in memory: for each k, a vector with each lane's own element.

    Results that need the same rows share them.
    """

    def __init__(self, e: Emitter, base: str, held: Sequence[Planes], places: dict[tensor.Place, tuple[int, int]]):
        self.e = e
        self.base = base
        self.held = held
        self.places = places
        self.offsets: dict[tuple[tuple[tensor.Place, ...], ...], int] = {}
        self.size = 0

    def at(self, wanted: Sequence[Sequence[tensor.Place]]) -> str:
        """A pointer to the array for these places, by k and lane; it is filled on first use."""
        key = tuple(map(tuple, wanted))
        if key not in self.offsets:
            self.offsets[key] = self.size
            for lanes in key:
                self.put([self.places[place] for place in lanes])
        return self.e.op(f"getelementptr i8, ptr {self.base}, i64 {self.offsets[key]}")

    def put(self, sources: Sequence[tuple[int, int]]) -> None:
        for plane in range(len(self.held[0])):
            value = gathered(self.e, [planes[plane] for planes in self.held], sources)
            at = self.e.op(f"getelementptr i8, ptr {self.base}, i64 {self.size + 128 * plane}")
            self.e.line(f"store {value.type.vector} {value.ir}, ptr {at}, align 64")
        self.size += STEP


# ---- floats


def decoded(e: Emitter, x: Value, kind: str, lift: int) -> Planes:
    """Significand, shifted left by `lift`, and exponent; integers and f64 as they are."""
    if kind not in FORMATS:
        return (x,)
    if kind == "tf32":
        x = e.shr(replace(x, type=U32), e.constant(13, U32))
    return decoded_float(e, x, FORMATS[kind], lift)


def decoded_float(e: Emitter, x: Value, form: ElementFormat, lift: int) -> Planes:
    """The value is significand * 2^(exponent - fraction - lift); zero, infinity and NaN as in SPECIAL and NOTHING."""

    def number(value: int) -> Value:
        return e.constant(value, S32)

    x = replace(x, type=S32)
    magnitude = e.and_(x, number((1 << form.bits - 1) - 1))
    fraction = e.and_(x, number((1 << form.fraction) - 1))
    field = Value(e.op(f"lshr {V32} {magnitude.ir}, splat (i32 {form.fraction})"), S32)
    normal = e.compare("ne", field, number(0))
    significand = e.select(normal, e.or_(fraction, number(1 << form.fraction)), fraction)
    exponent = e.add(e.max(field, number(1)), number(form.least - 1))
    exponent = e.select(e.compare("eq", magnitude, number(0)), number(NOTHING), exponent)
    greatest = (1 << form.bits - 1) - 1
    if form.infinity:
        endless = greatest - (1 << form.fraction) + 1
        special = e.compare("ge", magnitude, number(endless))
        one = e.select(e.compare("eq", magnitude, number(endless)), number(1), number(0))
        significand = e.select(special, one, significand)
    else:
        special = e.compare("eq", magnitude, number(greatest))
        significand = e.select(special, number(0), significand)
    exponent = e.select(special, number(SPECIAL), exponent)
    if lift:
        significand = e.shl(significand, number(lift))
    sign = e.compare("ne", e.and_(x, number(1 << form.bits - 1)), number(0))
    return e.select(sign, e.negate(significand), significand), exponent


def any_special(e: Emitter, held: Sequence[Planes]) -> str:
    """Whether any element is infinite or NaN (i1 name)."""
    most = held[0][1]
    for _, exponent in held[1:]:
        most = e.max(most, exponent)
    return some(e, e.compare("ge", most, e.constant(SPECIAL, S32)))


def some(e: Emitter, lanes: Value) -> str:
    return e.op(f"icmp ne i32 {e.op(f'bitcast {MASK} {lanes.ir} to i32')}, 0")


# ---- dot products


@dataclass(frozen=True)
class Dot:
    """A dot product in every lane, in blocks of `steps` of k: `first` adds C, `rest` the sum so far."""

    first: RuntimeFunction
    rest: RuntimeFunction
    steps: int
    blocks: int

    def apply(self, e: Emitter, rows: str, columns: str, c: Value, special: str) -> Value:
        """C plus the products. `special`: an i1 name for functions that take one, else empty."""
        total = c
        for i in range(self.blocks):
            function = self.rest if i else self.first
            vector = total.type.vector
            more = f", i1 {special}" if special else ""
            text = f"call {vector} @{function.name}(ptr {rows}, ptr {columns}, {vector} {total.ir}{more})"
            total = Value(e.op(text), total.type)
            if i + 1 < self.blocks:
                rows = e.op(f"getelementptr i8, ptr {rows}, i64 {STEP * self.steps}")
                columns = e.op(f"getelementptr i8, ptr {columns}, i64 {STEP * self.steps}")
        return total


def dot_product(what: Multiply, hardware_fma: bool) -> tuple[Dot, int]:
    """The dot product for `what`, and the left shift in bits that it needs on the significands of A."""
    kind_d, kind_a, kind_b, kind_c = what.types
    if kind_a == "f64":
        function = dot_f64(what.k, what.rule, hardware_fma)
        return Dot(function, function, what.k, 1), 0
    if what.model is None:
        function = dot_integer(what.depth, what.rule)
        return Dot(function, function, what.depth, 1), 0
    model = what.model
    depth = what.k // 2 if model.halves else what.k
    steps = min(model.block, depth)
    start = FORMATS[kind_d if model.halves else kind_c]
    first = dot_float(steps, model.frac, start, kind_d, model.kept)
    rest = dot_float(steps, model.frac, FORMATS[kind_d], kind_d, model.kept)
    lift = model.frac - FORMATS[kind_a].fraction - FORMATS[kind_b].fraction
    return Dot(first, rest, steps, what.k // steps), lift


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
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %total = phi {V32} [ zeroinitializer, %entry ], [ {added.ir}, %next ]
  {chr(10).join(e.lines)}
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, {steps}
  br i1 %more, label %next, label %done
done:
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
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %total = phi {F64.vector} [ %start, %entry ], [ {total.ir}, %next ]
  {chr(10).join(e.lines)}
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, {steps}
  br i1 %more, label %next, label %done
done:
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


def dot_float(steps: int, frac: int, start: ElementFormat, kind_d: str, kept: int) -> RuntimeFunction:
    """`NAME(a, b, c, special)` -> the bits of D: one block of tensor.Model, c of the format `start`.

    Products are in units of 2^(top - frac), with significands already shifted to `frac` fraction bits. Each is below
    2^27, so an i32 holds the sum of up to 16; in f64, the sum of a block with c is exact.
    """
    assert steps <= MOST_STEPS
    assert frac <= 25
    begin, highest, term, finish = Emitter(), Emitter(), Emitter(), Emitter()
    highest.names, term.names, finish.names = 10_000, 20_000, 30_000
    c_significand, c_exponent = decoded_float(begin, Value("%c", U32), start, max(0, frac - start.fraction))
    c_special = some(begin, begin.compare("ge", c_exponent, begin.constant(SPECIAL, S32)))
    begin.line(f"%odd = or i1 %special, {c_special}")

    exponents = [load(highest, pointer, "%k", 1, S32) for pointer in ("%a", "%b")]
    top_next = highest.max(Value("%top", S32), highest.add(*exponents))
    top = Value("%top.all", S32)

    def cut(e: Emitter, significand: Value, exponent: Value, more: int = 0) -> Value:
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
    product = term.convert(cut(term, term.mul(a, b), term.add(*exponents)), sum_type)
    sum_next = term.add(Value("%sum", sum_type), product)

    addend = Emitter()
    addend.names = 40_000
    c_term = addend.int_to_float(cut(addend, c_significand, c_exponent, max(0, start.fraction - frac)), F64)
    total = finish.add(c_term, finish.int_to_float(sum_next, F64))
    value = scaled(finish, total, top, frac)
    result = to_f16(finish, value) if kind_d == "f16" else to_f32_toward_zero(finish, value, kept)
    special = special_sum(steps, kind_d)
    name = f"dot_{start.name}_{kind_d}_{steps}_{frac}" + (f"_{kept}" if kept != 23 else "")
    addend_of_c = f"{V32} {c_significand.ir}, {V32} {c_exponent.ir}"
    text = f"""
define internal {V32} @{name}(ptr %a, ptr %b, {V32} %c, i1 %special) noinline {{
entry:
  {chr(10).join(begin.lines)}
  br label %highest
highest:
  %k = phi i64 [ 0, %entry ], [ %k.next, %highest ]
  %top = phi {V32} [ {c_exponent.ir}, %entry ], [ {top_next.ir}, %highest ]
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
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %total = phi {F32.vector} [ {start.ir}, %entry ], [ {total_next.ir}, %next ]
  {chr(10).join(term.lines)}
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, {steps}
  br i1 %more, label %next, label %done
done:
  {chr(10).join(finish.lines)}
  ret {V32} {result.ir}
}}
"""
    return RuntimeFunction(name, text, (), tuple(sorted(begin.declarations | term.declarations | finish.declarations)))


def nearest_sum(e: Emitter, a: Value, b: Value, kind: str) -> Value:
    """The bits of the sum of two f32 or two f16, to nearest even."""
    if kind == "f16":
        return to_f16(e, e.add(f16_to_f64(e, a), f16_to_f64(e, b)))
    total = e.add(e.as_type(replace(a, type=U32), F32), e.as_type(replace(b, type=U32), F32))
    return e.as_type(total, U32)


# ---- rounding


def scaled(e: Emitter, total: Value, top: Value, frac: int) -> Value:
    """total 2^(top - frac), exact: an f64 has the range for it."""
    limit = 800
    bounded = e.max(e.min(top, e.constant(limit, S32)), e.constant(-limit, S32))
    exponent = e.convert(e.add(bounded, e.constant(1023 - frac, S32)), U64)
    power = e.as_type(e.shl(exponent, e.constant(52, U64)), F64)
    return replace(e.mul(total, power), raw=False)


def to_f32_toward_zero(e: Emitter, value: Value, kept: int) -> Value:
    """The bits of an f64 as f32 with `kept` fraction bits, truncated; infinity from 2^128 on."""
    nearest = replace(e.convert(value, F32), raw=False)
    magnitude = e.absolute(value)
    beyond = e.compare("gt", e.absolute(e.convert(nearest, F64)), magnitude)
    inside = e.compare("lt", magnitude, e.constant(2.0**128, F64))
    bits = e.as_type(nearest, U32)
    bits = e.select(e.and_(beyond, inside), e.sub(bits, e.constant(1, U32)), bits)
    return e.and_(bits, e.constant(-1 << 23 - kept, U32)) if kept < 23 else bits


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
