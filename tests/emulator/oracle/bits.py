"""Logic, shifts, bit fields and permutations. (PTX ISA, "Logic and Shift", "Integer Arithmetic", "prmt".)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Dual, Immediate
from tests.emulator.oracle.step import BITS, INTEGERS, KINDS, UNSIGNED, Action, Step, elementwise, rule, width

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

LOGIC = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.bitwise_not}


@rule(*LOGIC, counted="int")
def logic(step: Step) -> Action | None:
    kind = step.type(among=("pred", *BITS))
    return elementwise(step, kind, LOGIC[step.root])


@rule("cnot", counted="int")
def cnot(step: Step) -> Action | None:
    kind = step.type(among=BITS)
    return elementwise(step, kind, lambda a: (a == 0).astype(KINDS[kind]))


@rule("lop3", counted="int")
def lop3(step: Step) -> Action | None:
    step.need("b32")
    join = step.take("or", "and")
    a, b, c, table, *rest = step.sources
    assert isinstance(table, Immediate)
    lut = int(table.value)

    def act(threads: Threads) -> None:
        x, y, z = (threads.read(operand, "u32") for operand in (a, b, c))
        result = np.zeros_like(x | y | z)
        for row in range(8):
            if lut >> row & 1:
                result |= (x if row & 4 else ~x) & (y if row & 2 else ~y) & (z if row & 1 else ~z)
        if not isinstance(step.target, Dual):
            threads.write(step.target, result)
            return
        other = threads.read(rest[0], "pred")
        threads.write(step.target.first, result)
        some = result != 0
        threads.write(step.target.second, some | other if join == "or" else some & other)

    return act


@rule("shl", "shr", counted="int")
def shift(step: Step) -> Action | None:
    """The count has 32 bits, and is limited to the width."""
    kind = step.type(among=(*BITS, *INTEGERS))
    bits = width(kind)

    def function(a: Any, count: Any) -> Any:
        inside = count < bits
        clamped_count = np.asarray(np.where(inside, count, bits - 1)).astype(a.dtype)
        moved = np.left_shift(a, clamped_count) if step.root == "shl" else np.right_shift(a, clamped_count)
        outside = np.right_shift(a, a.dtype.type(bits - 1)) if kind[0] == "s" else a.dtype.type(0)
        return np.where(inside, moved, outside)

    return elementwise(step, [kind, "u32"], function)


@rule("shf", counted="int")
def shf(step: Step) -> Action | None:
    step.need("b32")
    direction, mode = step.need("l", "r"), step.need("clamp", "wrap")

    def function(a: Any, b: Any, count: Any) -> Any:
        both = np.asarray(b).astype(np.uint64) << np.uint64(32) | a
        n = (count & np.uint32(31) if mode == "wrap" else np.minimum(count, np.uint32(32))).astype(np.uint64)
        return (both << n >> np.uint64(32) if direction == "l" else both >> n).astype(np.uint32)

    return elementwise(step, "u32", function)


@rule("popc", "clz", "brev", counted="int")
def counted_bits(step: Step) -> Action | None:
    kind = step.type(among=("b32", "b64"))
    bits = width(kind)

    def places(a: Any) -> Any:
        return (np.asarray(a)[..., None] >> np.arange(bits, dtype=KINDS[kind])) & KINDS[kind](1)

    if step.root == "popc":
        return elementwise(step, kind, lambda a: places(a).sum(axis=-1).astype(np.uint32))
    if step.root == "clz":
        return elementwise(step, kind, lambda a: (bits - 1 - highest(a, bits)).astype(np.uint32))
    weights = KINDS[kind](1) << np.arange(bits - 1, -1, -1).astype(KINDS[kind])
    return elementwise(step, kind, lambda a: (places(a) * weights).sum(axis=-1, dtype=KINDS[kind]))


def highest(a: Any, bits: int) -> Any:
    """The number of the highest set bit, or -1 for zero."""
    top = np.full(np.shape(a), -1, np.int64)
    for place in range(bits):
        top = np.where(np.asarray(a) >> UNSIGNED[bits](place) & UNSIGNED[bits](1), place, top)
    return top


@rule("bfind", counted="int")
def bfind(step: Step) -> Action | None:
    kind = step.type(among=("u32", "s32", "u64", "s64"))
    bits = width(kind)
    distance = bool(step.take("shiftamt"))

    def function(a: Any) -> Any:
        a = np.where(a < 0, ~a, a)
        place = highest(a.view(UNSIGNED[bits]), bits)
        return np.where(place < 0, -1, bits - 1 - place if distance else place).astype(np.int32).view(np.uint32)

    return elementwise(step, kind, function)


def field_number(number: Any, bits: int) -> Any:
    """A position or a length: its low 8 bits for a field of 32 bits; for a field of 64 bits ptxas uses all bits."""
    number = np.asarray(number)
    return (number & np.uint32(0xFF) if bits == 32 else np.minimum(number, np.uint32(0xFF))).astype(np.int64)


@rule("bfe", counted="int")
def bfe(step: Step) -> Action | None:
    kind = step.type(among=("u32", "s32", "u64", "s64"))
    bits = width(kind)

    def function(a: Any, start: Any, length: Any) -> Any:
        start, length = (field_number(operand, bits) for operand in (start, length))
        result = np.zeros(np.broadcast(a, start, length).shape, UNSIGNED[bits])
        raw = np.asarray(a).view(UNSIGNED[bits])
        # The bit that fills the positions above the field: the highest of the field, or that of the whole number.
        last = np.minimum(start + length - 1, bits - 1)
        fill = (raw >> np.maximum(last, 0).astype(UNSIGNED[bits]) & UNSIGNED[bits](1)).astype(bool)
        fill = fill & (kind[0] == "s") & (length > 0)
        for place in range(bits):
            at = start + place
            bit = (raw >> np.minimum(at, bits - 1).astype(UNSIGNED[bits]) & UNSIGNED[bits](1)).astype(bool)
            bit = np.where((place < length) & (at < bits), bit, fill)
            result |= bit.astype(UNSIGNED[bits]) << UNSIGNED[bits](place)
        return result.view(KINDS[kind])

    return elementwise(step, [kind, "u32", "u32"], function)


@rule("bfi", counted="int")
def bfi(step: Step) -> Action | None:
    kind = step.type(among=("b32", "b64"))
    bits = width(kind)
    one = UNSIGNED[bits](1)

    def function(a: Any, b: Any, start: Any, length: Any) -> Any:
        start, length = (field_number(operand, bits) for operand in (start, length))
        result = np.array(np.broadcast_to(b, np.broadcast(a, b, start, length).shape))
        for place in range(bits):
            inside = (place >= start) & (place < start + length)
            from_a = a >> np.clip(place - start, 0, bits - 1).astype(UNSIGNED[bits]) & one
            mask = UNSIGNED[bits](1 << place)
            result = np.where(inside, result & ~mask | from_a << UNSIGNED[bits](place), result)
        return result

    return elementwise(step, [kind, kind, "u32", "u32"], function)


@rule("szext", counted="int")
def szext(step: Step) -> Action | None:
    kind = step.type(among=("u32", "s32"))
    mode = step.need("clamp", "wrap")

    def function(a: Any, count: Any) -> Any:
        n = np.asarray(count & np.uint32(31) if mode == "wrap" else np.minimum(count, np.uint32(32))).astype(np.int64)
        wide = np.asarray(a).astype(np.uint32).astype(np.uint64).view(np.int64)
        moved = wide << (64 - n) % 64
        moved = (
            moved >> (64 - n) % 64 if kind == "s32" else (moved.view(np.uint64) >> ((64 - n) % 64).astype(np.uint64))
        )
        return np.where(n == 0, 0, moved).astype(np.uint32)

    return elementwise(step, [kind, "u32"], function)


@rule("bmsk", counted="int")
def bmsk(step: Step) -> Action | None:
    step.need("b32")
    mode = step.need("clamp", "wrap")

    def function(a: Any, b: Any) -> Any:
        start, length = np.asarray(a).astype(np.uint64), np.asarray(b).astype(np.uint64)
        if mode == "wrap":
            start, length = start & np.uint64(31), length & np.uint64(31)
        start, length = np.minimum(start, np.uint64(32)), np.minimum(length, np.uint64(32))
        return ((np.uint64(1) << length) - np.uint64(1) << start).astype(np.uint32)

    return elementwise(step, "u32", function)


@rule("fns", counted="int")
def fns(step: Step) -> Action | None:
    step.need("b32")

    def one(mask: int, base: int, offset: int) -> int:
        if offset == 0:
            return base if base < 32 and mask >> base & 1 else 0xFFFFFFFF
        way = range(base, 32) if offset > 0 else range(min(base, 31), -1, -1)
        set_bits = [place for place in way if mask >> place & 1]
        return set_bits[abs(offset) - 1] if len(set_bits) >= abs(offset) else 0xFFFFFFFF

    def function(a: Any, b: Any, c: Any) -> Any:
        return np.array([one(*map(int, operands)) for operands in np.broadcast(np.atleast_1d(a), b, c)], np.uint32)

    return elementwise(step, ["u32", "u32", "s32"], function)


PRMT = {
    "f4e": ((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 6)),
    "b4e": ((0, 7, 6, 5), (1, 0, 7, 6), (2, 1, 0, 7), (3, 2, 1, 0)),
    "rc8": ((0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3)),
    "ecl": ((0, 1, 2, 3), (1, 1, 2, 3), (2, 2, 2, 3), (3, 3, 3, 3)),
    "ecr": ((0, 0, 0, 0), (0, 1, 1, 1), (0, 1, 2, 2), (0, 1, 2, 3)),
    "rc16": ((0, 1, 0, 1), (2, 3, 2, 3), (0, 1, 0, 1), (2, 3, 2, 3)),
}
"""The manual's table: which bytes, the lowest first, for each value of the selector's two low bits."""


@rule("prmt", counted="int")
def prmt(step: Step) -> Action | None:
    step.need("b32")
    mode = step.take(*PRMT)

    def function(a: Any, b: Any, c: Any) -> Any:
        a, b, c = np.broadcast_arrays(a, b, c)
        eight = np.stack([word >> np.uint32(8 * i) & np.uint32(0xFF) for word in (a, b) for i in range(4)])
        result = np.zeros(a.shape, np.uint32)
        for place in range(4):
            selector = (c >> np.uint32(4 * place) & np.uint32(15)).astype(np.int64)
            which = np.asarray(PRMT[mode])[c & np.uint32(3)][..., place] if mode else selector & 7
            byte = np.take_along_axis(eight, np.asarray(which)[None, ...], axis=0)[0]
            if not mode:
                sign = np.where(byte & np.uint32(0x80), np.uint32(0xFF), np.uint32(0))
                byte = np.where(selector & 8, sign, byte)
            result |= byte << np.uint32(8 * place)
        return result

    return elementwise(step, "u32", function)
