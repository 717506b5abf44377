"""Scales of the blocks of A and B: from their registers to each lane, and the sum of products with them.

A register has four scales. For the rows r and r + 8, two neighbouring lanes of a group of four have them: the first or
the second two, by `thread.a`. For a column, the lane `thread.b` of its group has them. `byte.a` and `byte.b` say which
byte is the first. (PTX ISA, "Block Scaling for mma.sync".)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import V32, RuntimeFunction, end_with, splat
from ptxbench.emulator.runtime.dot_products import STEP, dot_integer
from ptxbench.emulator.runtime.elements import SPECIAL, Planes, decoded_float, replaced
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.product import Multiply, Scales
from ptxbench.emulator.runtime.rearrange import gathered
from ptxbench.emulator.runtime.tensor_rounding import NAN32, scaled, to_f32_toward_zero
from ptxbench.emulator.tensor import FORMATS
from ptxbench.emulator.types import B32, F64, LANES, S32, S64, U32, U64

NAMES = ("scale.a", "scale.b", "byte.a", "thread.a", "byte.b", "thread.b")
"""Parameters of a product with scales, 32 lanes each."""
NOT_A_SELECTOR = 204
"""The reason for MISUSED."""
COMPLAINTS = {NOT_A_SELECTOR: "has a byte or thread selector of scales that is out of range, or differs among threads"}
FRACTION = {"ue8m0": 0, "ue4m3": 3}
"""Fraction bits of the significands."""


class LaneScales:
    """The scales that lanes need, decoded to significand and exponent as in elements.py."""

    def __init__(self, e: Emitter, scales: Scales) -> None:
        self.e = e
        self.scales = scales
        self.parameters = {name: replaced(Value(f"%{name}", B32), U32) for name in NAMES}
        self.decoded: dict[tuple[str, tuple[int, ...], int], Planes] = {}

    def of_rows(self, rows: Sequence[int], number: int) -> Planes:
        """The scale with that number of each lane's row."""
        return self.from_lanes("a", tuple(4 * (row % 8) + row // 8 for row in rows), (0, 2), number)

    def of_columns(self, columns: Sequence[int], number: int) -> Planes:
        return self.from_lanes("b", tuple(4 * column for column in columns), (0, 1, 2, 3), number)

    def from_lanes(self, operand: str, first: tuple[int, ...], steps: tuple[int, ...], number: int) -> Planes:
        """The scale `number` that each lane needs. `first`: the lane that has it if the thread selector is 0; for
        selector i it is the lane `steps[i]` behind that one."""
        key = (operand, first, number)
        if key not in self.decoded:
            e, thread = self.e, self.parameters[f"thread.{operand}"]
            byte = e.add(self.parameters[f"byte.{operand}"], e.constant(number, U32))
            bits = e.shr(self.parameters[f"scale.{operand}"], e.shl(byte, e.constant(3, U32)))
            bits_of_lane = gathered(e, [bits], [(0, lane) for lane in first])
            for i, step in enumerate(steps[1:], 1):
                bits_of_neighbor = gathered(e, [bits], [(0, lane + step) for lane in first])
                bits_of_lane = e.select(e.compare("eq", thread, e.constant(i, U32)), bits_of_neighbor, bits_of_lane)
            self.decoded[key] = decoded_scale(e, e.and_(bits_of_lane, e.constant(0xFF, U32)), self.scales.kind)
        return self.decoded[key]


def decoded_scale(e: Emitter, x: Value, kind: str) -> Planes:
    """Significand and exponent of a byte; the sign of a ue4m3 is ignored."""
    if kind == "ue4m3":
        return decoded_float(e, e.and_(x, e.constant(0x7F, U32)), FORMATS["e4m3"], 0)
    nan = e.compare("eq", x, e.constant(0xFF, U32))
    exponent = e.sub(replaced(x, S32), e.constant(127, S32))
    return (
        e.select(nan, e.constant(0, S32), e.constant(1, S32)),
        e.select(nan, e.constant(SPECIAL, S32), exponent),
    )


def with_scale(e: Emitter, element: Planes, scale: Planes) -> Planes:
    """An element times a power of two; NaN if either is NaN."""
    significand, exponent = element
    special = e.constant(SPECIAL, S32)
    infinite = e.compare("ge", exponent, special)
    nan = e.compare("ge", scale[1], special)
    exponent = e.select(e.or_(infinite, nan), special, e.add(exponent, scale[1]))
    return e.select(nan, e.constant(0, S32), significand), exponent


# ---- groups of products that share scales


def doubled(e: Emitter, x: Value) -> Value:
    """Twice the value of an e2m1 in the low four bits: an integer."""
    fraction, field = e.and_(x, e.constant(1, U32)), e.and_(e.shr(x, e.constant(1, U32)), e.constant(3, U32))
    large = e.shl(e.or_(fraction, e.constant(2, U32)), e.sub(e.max(field, e.constant(1, U32)), e.constant(1, U32)))
    magnitude = replaced(e.select(e.compare("eq", field, e.constant(0, U32)), fraction, large), S32)
    negative = e.compare("ne", e.and_(x, e.constant(8, U32)), e.constant(0, U32))
    return e.select(negative, e.negate(magnitude), magnitude)


def grouped_sum(
    e: Emitter,
    product: Multiply,
    lanes: LaneScales,
    places: Sequence[tuple[int, int, int]],
    a: str,
    b: str,
    c: Value,
) -> Value:
    """C plus the products of operand arrays of integers, in every lane."""
    assert product.scales is not None
    rows, columns = [row for _, row, _ in places], [column for _, _, column in places]
    numbers = range(product.scales.count)
    planes = [
        plane for number in numbers for plane in (*lanes.of_rows(rows, number), *lanes.of_columns(columns, number))
    ]
    arguments = "".join(f", {V32} {plane.ir}" for plane in planes)
    return Value(e.op(f"call {V32} @{dot_grouped(product).name}(ptr {a}, ptr {b}, {V32} {c.ir}{arguments})"), c.type)


@functools.cache
def dot_grouped(product: Multiply) -> RuntimeFunction:
    """`NAME(a, b, c, significand and exponent of A's and B's scale 0, ...)`: a block of tensor_models.TensorModel with
    groups. Products are multiples of 1/4."""
    assert product.model is not None
    assert product.scales is not None
    size, frac, fraction = product.model.group, product.model.frac, FRACTION[product.scales.kind]
    count = product.terms // size
    sums = dot_integer(size, "")
    e = Emitter()
    names = [f"{part}{number}" for number in range(product.scales.count) for part in ("sa", "ea", "sb", "eb")]
    c_significand, c_exponent = decoded_float(e, Value("%c", U32), FORMATS["f32"], 0)
    zero, special = e.constant(0, S32), e.constant(SPECIAL, S32)
    infinite = e.compare("ge", c_exponent, special)
    nan = e.and_(infinite, e.compare("eq", c_significand, zero))
    pairs = []
    for number in range(product.scales.count):
        sa, ea, sb, eb = (Value(f"%{part}{number}", S32) for part in ("sa", "ea", "sb", "eb"))
        nan = e.or_(nan, e.compare("ge", e.max(ea, eb), special))
        pairs.append((e.mul(sa, sb), e.add(ea, eb)))
    top = c_exponent
    for _, exponent in pairs:
        top = e.max(top, exponent)
    total = truncated(
        e, e.shl(e.convert(c_significand, S64), e.constant(frac - FORMATS["f32"].fraction, S64)), top, c_exponent
    )
    for group in range(count):
        from_k = [e.op(f"getelementptr i8, ptr {p}, i64 {group * size * STEP}") for p in ("%a", "%b")]
        group_sum = Value(
            e.op(f"call {V32} @{sums.name}(ptr {from_k[0]}, ptr {from_k[1]}, {V32} zeroinitializer)"), S32
        )
        significand, exponent = pairs[group * product.scales.count // count]
        term = e.convert(e.mul(group_sum, significand), S64)
        total = e.add(total, truncated(e, e.shl(term, e.constant(frac - 2 - 2 * fraction, S64)), top, exponent))
    value = scaled(e, e.int_to_float(total, F64), top, frac)
    result = to_f32_toward_zero(e, value, product.model.result_bits)
    result = e.select(infinite, Value("%c", U32), result)
    result = e.select(nan, e.constant(NAN32, U32), result)
    name = f"dot_grouped_{product.scales}_{count}_{size}_{frac}"
    arguments = ", ".join(f"{V32} %{argument}" for argument in names)
    text = f"""
define internal {V32} @{name}(ptr %a, ptr %b, {V32} %c, {arguments}) noinline {{
  {chr(10).join(e.lines)}
  ret {V32} {result.ir}
}}
"""
    return RuntimeFunction(name, text, (sums,), tuple(sorted(e.declarations)))


def truncated(e: Emitter, significand: Value, top: Value, exponent: Value) -> Value:
    """The significand shifted right by top - exponent, toward zero; i64."""
    distance = e.min(replaced(e.sub(top, exponent), U32), e.constant(63, U32))
    sign = e.shr(significand, e.constant(63, S64))
    magnitude = e.sub(e.xor(significand, sign), sign)
    shifted = replaced(e.shr(replaced(magnitude, U64), e.convert(distance, U64)), S64)
    return e.sub(e.xor(shifted, sign), sign)


@functools.cache
def check(allowed: tuple[int, ...]) -> RuntimeFunction:
    """`NAME(env, site, selector, lanes)`: a fault unless the selector is allowed, and the same in all `lanes`."""
    name = "check_selector_" + "_".join(map(str, allowed))
    text = f"""
define internal void @{name}(ptr %env, ptr %site, {V32} %given, i32 %lanes) noinline {{
entry:
  %first = extractelement {V32} %given, i64 0
  {splat("same", "i32", "%first")}
  %differs = icmp ne {V32} %given, %same
  %mask = bitcast <{LANES} x i1> %differs to i32
  %different = and i32 %mask, %lanes
  %other = icmp ne i32 %different, 0
  %large = icmp ugt i32 %first, 31
  %shift = and i32 %first, 31
  %set = shl i32 1, %shift
  %member = and i32 %set, {sum(1 << selector for selector in allowed)}
  %outside = icmp eq i32 %member, 0
  %unknown = or i1 %large, %outside
  %wrong = or i1 %other, %unknown
  %executed = icmp ne i32 %lanes, 0
  %bad = and i1 %wrong, %executed
  {end_with(f"call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 0, i64 {NOT_A_SELECTOR})", "%bad", "report")}
}}
"""
    return RuntimeFunction(name, text, (FAULT,))
