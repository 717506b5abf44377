"""Integer arithmetic, also with carries. (PTX ISA, "Integer Arithmetic", "Extended-Precision Integer Arithmetic".)"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.emulator.oracle.step import INTEGERS, KINDS, SIGNED, UNSIGNED, Action, Step, elementwise, rule, width

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

PACKED = ("s16x2", "u16x2", "s8x4", "u8x4")


def doubled(kind: str) -> str:
    return f"{kind[0]}{2 * width(kind)}"


def high(a: Any, b: Any, kind: str) -> Any:
    """The upper half of the product."""
    bits = width(kind)
    if bits < 64:
        wide = KINDS[doubled(kind)]
        return (np.multiply(a, b, dtype=wide) >> wide(bits)).astype(KINDS[kind])
    unsigned = high_of_u64(np.asarray(a).view(np.uint64), np.asarray(b).view(np.uint64))
    if kind == "s64":  # a negative factor is 2^64 too much
        unsigned = unsigned - np.where(a < 0, b, 0).view(np.uint64) - np.where(b < 0, a, 0).view(np.uint64)
    return unsigned.view(KINDS[kind])


def high_of_u64(a: Any, b: Any) -> Any:
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = a & low, a >> shift, b & low, b >> shift
    middle = a1 * b0 + (a0 * b0 >> shift)
    other = a0 * b1 + (middle & low)
    return a1 * b1 + (middle >> shift) + (other >> shift)


def wide_product(a: Any, b: Any, kind: str) -> Any:
    return np.multiply(a, b, dtype=KINDS[doubled(kind)])


def clamped(value: Any, kind: Any) -> Any:
    limits = np.iinfo(kind)
    return np.clip(value, limits.min, limits.max).astype(kind)


# ---- with carries


def carried(step: Step, kind: str, kinds: list[str], terms: Callable[..., tuple[Any, Any]], *, minus: bool) -> Action:
    """a + b + carry in, or a - b - 1 + carry in; `terms` gives a and b of the sources. .cc keeps the carry out.

    The carry of a subtraction is set if there is no borrow, as in ptxas.
    """
    takes = step.root in ("addc", "subc", "madc")
    keeps = bool(step.take("cc"))
    bits = UNSIGNED[width(kind)]
    pairs = list(zip(step.sources, kinds, strict=True))

    def act(threads: Threads) -> None:
        a, b = (np.asarray(term).view(bits) for term in terms(*(threads.read(o, k) for o, k in pairs)))
        old = threads.of(threads.carry) if takes else np.bool_(minus)
        if minus:
            total = a - b - (bits(1) - old.astype(bits))
            new = (a > b) | ((a == b) & old)
        else:
            total = a + b + old.astype(bits)
            new = (total < a) | ((total == a) & old)
        threads.write(step.target, total)
        if keeps:
            threads.carry[slice(None) if threads.here is None else threads.here] = new

    return act


@rule("add", "addc", "sub", "subc", counted="int")
def with_carry(step: Step) -> Action | None:
    if step.last not in INTEGERS or (step.root in ("add", "sub") and "cc" not in step.words):
        return None
    kind = step.type(among=("u32", "s32", "u64", "s64"))
    return carried(step, kind, [kind, kind], lambda a, b: (a, b), minus=step.root[:3] == "sub")


@rule("mad", "madc", counted="int")
def multiply_with_carry(step: Step) -> Action | None:
    if step.root == "mad" and "cc" not in step.words:
        return None
    kind = step.type(among=("u32", "s32", "u64", "s64"))
    half = step.need("lo", "hi")
    return carried(
        step, kind, [kind] * 3, lambda a, b, c: (a * b if half == "lo" else high(a, b, kind), c), minus=False
    )


# ---- plain


@rule("add", "sub", counted="int")
def add(step: Step) -> Action | None:
    operation = np.add if step.root == "add" else np.subtract
    if step.last in PACKED:
        return in_parts(step, operation, saturates=bool(step.take("sat")))
    if step.last not in INTEGERS:
        return None
    kind = step.type()
    if step.take("sat"):
        return elementwise(step, kind, lambda a, b: clamped(operation(a, b, dtype=np.int64), KINDS[kind]))
    return elementwise(step, kind, operation)


def in_parts(step: Step, operation: Any, *, relu: bool = False, saturates: bool = False) -> Action:
    """On the two or four integers in 32 bits."""
    kind = KINDS[step.type().partition("x")[0]]
    bits = 8 * np.dtype(kind).itemsize
    unsigned = UNSIGNED[bits]

    def function(a: Any, b: Any) -> Any:
        a, b = np.broadcast_arrays(a, b)
        result = np.zeros(a.shape, np.uint32)
        for at in range(0, 32, bits):
            parts = ((word >> at).astype(unsigned).view(kind).astype(np.int64) for word in (a, b))
            part = operation(*parts)
            part = np.maximum(part, 0) if relu else part
            part = clamped(part, kind) if saturates else part.astype(kind)
            result |= part.view(unsigned).astype(np.uint32) << at
        return result

    return elementwise(step, "u32", function)


@rule("min", "max", counted="int")
def smallest(step: Step) -> Action | None:
    operation = np.minimum if step.root == "min" else np.maximum
    relu = "relu" in step.words
    if relu and (step.last in PACKED or step.last == "s32" or step.words[0] in ("s32", "s16x2", "s8x4")):
        step.take("relu")
    if step.last in PACKED:
        return in_parts(step, operation, relu=relu)
    if step.last not in INTEGERS:
        return None
    return elementwise(step, step.type(), lambda a, b: np.maximum(operation(a, b), 0) if relu else operation(a, b))


@rule("mul", counted="int")
def mul(step: Step) -> Action | None:
    if step.last not in INTEGERS:
        return None
    kind = step.type()
    half = step.need("lo", "hi", "wide")
    functions = {"lo": np.multiply, "hi": lambda a, b: high(a, b, kind), "wide": lambda a, b: wide_product(a, b, kind)}
    return elementwise(step, kind, functions[half])


@rule("mad", counted="int")
def mad(step: Step) -> Action | None:
    if step.last not in INTEGERS:
        return None
    kind = step.type()
    half = step.need("lo", "hi", "wide")
    if half == "wide":
        return elementwise(step, [kind, kind, doubled(kind)], lambda a, b, c: wide_product(a, b, kind) + c)
    if half == "lo":
        return elementwise(step, kind, lambda a, b, c: a * b + c)
    if step.take("sat"):
        return elementwise(step, kind, lambda a, b, c: clamped(high(a, b, kind).astype(np.int64) + c, np.int32))
    return elementwise(step, kind, lambda a, b, c: high(a, b, kind) + c)


@rule("mul24", "mad24", counted="int")
def mul24(step: Step) -> Action | None:
    kind = step.type(among=("u32", "s32"))
    half = step.need("lo", "hi")
    saturates = bool(step.take("sat"))

    def function(a: Any, b: Any, c: Any = None) -> Any:
        if kind == "s32":
            a, b = (values.astype(np.int64) << 40 >> 40 for values in (a, b))
        else:
            a, b = (values.astype(np.uint64) & np.uint64(0xFFFFFF) for values in (a, b))
        product = a * b
        product = (product if half == "lo" else product >> product.dtype.type(16)).astype(KINDS[kind])
        if c is None:
            return product
        return clamped(product.astype(np.int64) + c, np.int32) if saturates else product + c

    return elementwise(step, kind, function)


@rule("sad", counted="int")
def sad(step: Step) -> Action | None:
    kind = step.type(among=INTEGERS)
    return elementwise(step, kind, lambda a, b, c: c + np.where(a < b, b - a, a - b))


@rule("neg", "abs", counted="int")
def neg(step: Step) -> Action | None:
    if step.last not in INTEGERS:
        return None
    return elementwise(step, step.type(), np.negative if step.root == "neg" else np.abs)


@rule("div", "rem", counted="int")
def div(step: Step) -> Action | None:
    """Toward zero. Division and remainder by 0, which PTX leaves undefined: all bits set (docs/emulator.md)."""
    if step.last not in INTEGERS:
        return None
    kind = step.type()

    def function(a: Any, b: Any) -> Any:
        a, b = np.broadcast_arrays(a, b)
        divisor = np.where(b == 0, np.ones_like(b), b)
        if kind[0] == "u":
            quotient = a // divisor
        else:
            size = np.abs(a).view(UNSIGNED[width(kind)]) // np.abs(divisor).view(UNSIGNED[width(kind)])
            quotient = np.where((a < 0) ^ (divisor < 0), np.negative(size), size).view(KINDS[kind])
        if step.root == "div":
            return np.where(b == 0, ~np.zeros_like(a), quotient)
        return np.where(b == 0, ~np.zeros_like(a), a - quotient * divisor)

    return elementwise(step, kind, function)


# ---- dot products


def parts(word: Any, bits: int, sign: str) -> list[Any]:
    """The bytes or halves of 32 bits, lowest first, as int64."""
    dtype = (SIGNED if sign == "s" else UNSIGNED)[bits]
    return [(np.asarray(word) >> i).astype(UNSIGNED[bits]).view(dtype).astype(np.int64) for i in range(0, 32, bits)]


@rule("dp4a", "dp2a", counted="int")
def dp4a(step: Step) -> Action | None:
    b_sign, a_sign = step.words.pop()[0], step.words.pop()[0]
    half = step.need("lo", "hi") if step.root == "dp2a" else ""

    def function(a: Any, b: Any, c: Any) -> Any:
        first, second = parts(a, 16 if half else 8, a_sign), parts(b, 8, b_sign)
        if half:
            second = second[:2] if half == "lo" else second[2:]
        total = c.astype(np.int64) + sum(x * y for x, y in zip(first, second, strict=True))
        return total.astype(np.uint32)

    return elementwise(step, "u32", function)
