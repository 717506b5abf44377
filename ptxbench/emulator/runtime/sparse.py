"""Sparse products: the elements of B for the elements that A keeps, by A's metadata, and errors in the metadata.

An index of two bits says which of four neighbours (of elements, or of pairs of 4-bit elements) an element of A is; the
first kept one is in the low bits. Of tf32, it is one of two, and the index has four bits. (PTX ISA, "Sparse matrix
storage", and the figures of the metadata layouts.)
"""

from __future__ import annotations

import functools

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import CTTZ, V32, RuntimeFunction
from ptxbench.emulator.runtime.dot_products import STEP
from ptxbench.emulator.runtime.elements import replaced
from ptxbench.emulator.runtime.faults import FAULT, fault_if_any
from ptxbench.emulator.runtime.product import Multiply
from ptxbench.emulator.runtime.rearrange import gathered
from ptxbench.emulator.types import LANES, S32, U32

# Reasons for MISUSED.
REPEATED, UNORDERED, NOT_A_PAIR = 200, 201, 202
COMPLAINTS = {
    REPEATED: "has sparsity metadata that name one element twice (the indices of a pair, each of 2 bits, are equal)",
    UNORDERED: "has sparsity metadata that are not in ascending order (the first index of a pair is in the low 2 bits)",
    NOT_A_PAIR: "has sparsity metadata other than 0b0100 and 0b1110, the only values for elements of 32 bits",
}
ONES = 0x11111111
"""The low bit of each index of four bits, or pair of indices."""


def word_names(product: Multiply) -> list[str]:
    """The parameters of a sparse product: words of the metadata of each lane's row, and of the row 8 below."""
    assert product.sparse is not None
    return [f"indices.{high}.{i}" for high in range(2) for i in range(product.sparse.words(product.terms))]


def contributors(product: Multiply) -> int:
    """How many lanes of each group of four have the metadata of rows r and r + 8. The selector says which lanes."""
    assert product.sparse is not None
    return product.sparse.bits(product.terms) // 16


def selectors(product: Multiply) -> range:
    return range(4 // contributors(product))


def lanes(product: Multiply, selector: int) -> int:
    """The mask of the lanes that have metadata, for a value of the selector."""
    count = contributors(product)
    return sum(1 << lane for lane in range(LANES) if lane % 4 // count == selector)


def words(e: Emitter, product: Multiply, metadata: Value, selector: int) -> list[Value]:
    """The metadata of each lane's row, and of the row 8 below, as `word_names` lists them.

    With elements of 16 and 32 bits, a lane has half a word of both rows; with shorter ones, a word of one row.
    """
    count = contributors(product)
    metadata = replaced(metadata, U32)
    parts = [
        gathered(e, [metadata], [(0, 4 * (lane // 4) + count * selector + i) for lane in range(LANES)])
        for i in range(count)
    ]
    if product.bits(1) < 16:
        return [*parts[::2], *parts[1::2]]
    result = []
    for high in (0, 16):
        halves = [e.and_(e.shr(part, e.constant(high, U32)), e.constant(0xFFFF, U32)) for part in parts]
        result.append(halves[0] if count == 1 else e.or_(halves[0], e.shl(halves[1], e.constant(16, U32))))
    return result


@functools.cache
def choose(product: Multiply, planes: int) -> RuntimeFunction:
    """`NAME(from, to, words...)`: from an operand array with every k, the elements that each lane needs, in the order
    of the sum."""
    assert product.sparse is not None
    unit, pairs, count = product.sparse.unit, product.sparse.pairs, product.sparse.words(product.terms)
    halves = product.model is not None and product.model.halves
    e = Emitter()
    index = e.op(f"udiv i64 %i, {unit}")
    bit = e.op(f"mul i64 {index}, {4 if pairs else 2}")
    word = "%word0"
    if count > 1:
        second = e.op(f"icmp uge i64 {bit}, 32")
        word = e.op(f"select i1 {second}, {V32} %word1, {V32} %word0")
    shift = e.splat(e.op(f"trunc i64 {e.op(f'and i64 {bit}, 31')} to i32"), U32)
    chosen = e.shr(Value(word, U32), shift)
    chosen = (
        e.and_(e.shr(chosen, e.constant(1, U32)), e.constant(1, U32)) if pairs else e.and_(chosen, e.constant(3, U32))
    )
    choices = 2 if pairs else 4
    chunk = e.op(f"udiv i64 %i, {1 if pairs else 2 * unit}")
    inside = "0" if pairs else e.op(f"urem i64 %i, {unit}")
    first = e.op(f"add i64 {e.op(f'mul i64 {chunk}, {choices * unit}')}, {inside}")
    slot = "%i"
    if halves:  # k mod 4 in {0, 1} comes first
        half = e.op(f"lshr i64 {e.op('and i64 %i, 2')}, 1")
        block = e.op(f"mul i64 {e.op('lshr i64 %i, 2')}, 2")
        within = e.op(f"add i64 {block}, {e.op('and i64 %i, 1')}")
        slot = e.op(f"add i64 {within}, {e.op(f'mul i64 {half}, {product.terms // 2}')}")
    for plane in range(planes):
        value = None
        for choice in range(choices):
            k = e.op(f"add i64 {first}, {choice * unit}")
            offset = e.op(f"add i64 {e.op(f'mul i64 {k}, {STEP}')}, {128 * plane}")
            pointer = e.op(f"getelementptr i8, ptr %from, i64 {offset}")
            element = Value(e.op(f"load {V32}, ptr {pointer}, align 64"), S32)
            is_chosen = e.compare("eq", chosen, e.constant(choice, U32))
            value = element if value is None else e.select(is_chosen, element, value)
        assert value is not None
        offset = e.op(f"add i64 {e.op(f'mul i64 {slot}, {STEP}')}, {128 * plane}")
        pointer = e.op(f"getelementptr i8, ptr %to, i64 {offset}")
        e.line(f"store {V32} {value.ir}, ptr {pointer}, align 64")
    name = f"choose_{unit}_{choices}_{planes}_{product.terms}" + "_halves" * halves
    words = ", ".join(f"{V32} %word{i}" for i in range(count))
    text = f"""
define internal void @{name}(ptr %from, ptr %to, {words}) noinline {{
entry:
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  {chr(10).join(e.lines)}
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, {product.terms}
  br i1 %more, label %next, label %done
done:
  ret void
}}
"""
    return RuntimeFunction(name, text, (), tuple(sorted(e.declarations)))


@functools.cache
def check(*, pairs: bool, ordered: bool) -> RuntimeFunction:
    """`NAME(env, site, metadata, lanes)`: a fault for the first of `lanes` whose metadata are not valid."""
    e = Emitter()
    ones = e.constant(ONES, U32)
    metadata = Value("%given", U32)
    bits = [e.and_(e.shr(metadata, e.constant(i, U32)), ones) for i in range(4)]
    if pairs:  # 0b0100 and 0b1110: bit 2, not bit 0, and bits 1 and 3 are equal
        good = e.and_(e.and_(bits[2], e.xor(bits[0], ones)), e.xor(e.xor(bits[1], bits[3]), ones))
        reason = NOT_A_PAIR
    else:
        low, high = e.xor(bits[0], bits[2]), e.xor(bits[1], bits[3])
        if ordered:
            good = e.or_(e.and_(high, bits[3]), e.and_(e.xor(high, ones), e.and_(low, bits[2])))
            reason = UNORDERED
        else:
            good, reason = e.or_(low, high), REPEATED
    bad = e.compare("ne", good, ones)
    mask = e.op(f"bitcast <32 x i1> {bad.ir} to i32")
    name = "check_metadata" + "_pairs" * pairs + "_ordered" * (ordered and not pairs)
    text = f"""
define internal void @{name}(ptr %env, ptr %site, {V32} %given, i32 %lanes) noinline {{
entry:
  {chr(10).join(e.lines)}
  %wrong = and i32 {mask}, %lanes
  %some = icmp ne i32 %wrong, 0
  br i1 %some, label %report, label %done
{fault_if_any("%wrong", at.MISUSED, reason, block="report", after="done")}
  ret void
}}
"""
    return RuntimeFunction(name, text, (FAULT,), (CTTZ, *sorted(e.declarations)))
