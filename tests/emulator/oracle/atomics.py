"""Atomic operations, one thread after the other. (PTX ISA, "Parallel Synchronization": atom, red.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Operand, Register, Vector
from tests.emulator.oracle import numbers
from tests.emulator.oracle.loads import Place, taken_space, without_hints
from tests.emulator.oracle.step import INTEGERS, KINDS, UNSIGNED, Action, Step, rule, width

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

OPERATIONS = ("add", "and", "or", "xor", "min", "max", "inc", "dec", "exch", "cas")
AT_ONCE = {
    "add": np.add, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "min": np.minimum,
    "max": np.maximum,
}  # fmt: skip
"""If the old values are not used, the order of the threads does not show."""


def one_by_one(memory: Any, at: Any, operate: Callable[..., Any], operands: list[Any]) -> Any:
    """memory[at] = operate(memory[at], operands), the threads of one place in ascending order; the old values.

    The first thread of every place together, then the second of every place, and so on.
    """
    order = np.argsort(at, kind="stable")
    ordered = at[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    turn = np.empty(at.size, np.int64)
    turn[order] = np.arange(at.size) - np.repeat(first, np.diff(np.r_[first, at.size]))
    old = np.empty(at.size, memory.dtype)
    for number in range(int(turn.max()) + 1 if at.size else 0):
        now = np.flatnonzero(turn == number)
        old[now] = memory[at[now]]
        memory[at[now]] = operate(old[now], *(operand[now] for operand in operands))
    return old


@rule("atom", "red", counted="memory")
def atomic(step: Step) -> Action | None:
    kind = step.type()
    space = taken_space(step)
    without_hints(step)
    step.take("noftz")
    count = int((step.take("v2", "v4", "v8") or "v1")[1])
    name = step.need(*OPERATIONS)
    bits = width(kind)
    operands = list(step.operands)
    target = operands.pop(0) if step.root == "atom" else None
    address, *sources = operands
    sources = sources[: 2 if name == "cas" else 1]
    operate = operation(name, kind)
    at_once = AT_ONCE.get(name) if kind in INTEGERS or (kind[0] == "b" and kind[1:] in ("32", "64")) else None
    old_is_read = target is not None and is_read(step, target)

    def act(threads: Threads) -> None:
        place = Place(threads, space, address)
        if threads.counters is not None:
            for where, thread, addresses in place.each_space():
                threads.counters.atomic(step.line, where, thread, addresses, count * bits // 8)
        previous = []
        for i in range(count):
            memory, at = place.items(bits, i)
            values = [
                np.ascontiguousarray(threads.spread(threads.read(part(source, i, count), kind))).view(UNSIGNED[bits])
                for source in sources
            ]
            if at_once is not None and not old_is_read:
                at_once.at(memory.view(KINDS[kind]), at, values[0].view(KINDS[kind]))
                continue
            if kind == "f32" and name == "add" and not threads.fused:
                np.add.at(memory.view(np.float32), at, values[0].view(np.float32))
                continue
            if kind == "f32" and name == "add":
                # Subnormal numbers are zeros to an addition in global memory.
                flush = np.zeros(at.size, bool)
                for where, thread, _ in place.each_space():
                    flush |= np.isin(threads.all_here(), thread) & (where == "global")
                values.append(flush)
            previous.append(one_by_one(memory, at, operate, values))
        if target is not None and previous:
            for i, old in enumerate(previous):
                threads.write(part(target, i, count), old.view(KINDS[kind]))

    return act


def part(operand: Operand, place: int, count: int) -> Operand:
    if count == 1:
        return operand
    assert isinstance(operand, Vector)
    return operand.parts[place]


def is_read(step: Step, target: Operand) -> bool:
    """Whether any instruction may read a register that gets the old value."""
    names = {part.name for part in getattr(target, "parts", (target,)) if isinstance(part, Register)}
    others = [repr(instruction) for instruction in step.function.instructions if instruction is not step.instruction]
    return any(f"Register(name={name!r})" in other for name in names for other in others)


def operation(name: str, kind: str) -> Callable[..., Any]:
    """The function that computes the new bits from the old bits and those of the operands."""
    dtype = KINDS[kind]

    def typed(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(old: Any, *operands: Any) -> Any:
            result = function(old.view(dtype), *(operand.view(dtype) for operand in operands))
            return np.asarray(result, dtype).view(old.dtype)

        return run

    if name == "exch":
        return lambda old, new: new
    if name == "cas":
        return lambda old, compare, new: np.where(old == compare, new, old)
    if kind in ("f32", "f64") and name == "add":
        return add_f32 if kind == "f32" else typed(lambda a, b: numbers.pack(a + b, "f64"))
    if kind in ("f16", "bf16", "f16x2", "bf16x2"):
        return halves(name, kind)
    if kind[0] == "f":
        raise ValueError(f"atomic {name} of {kind}")
    if name == "inc":
        return lambda old, limit: np.where(old >= limit, 0, old + 1).astype(old.dtype)
    if name == "dec":
        return lambda old, limit: np.where((old == 0) | (old > limit), limit, old - 1).astype(old.dtype)
    return typed(AT_ONCE[name])


def add_f32(old: Any, addend: Any, flush: Any) -> Any:
    a, b = old.view(np.float32), addend.view(np.float32)
    a, b = np.where(flush, numbers.flushed(a), a), np.where(flush, numbers.flushed(b), b)
    total = a + b
    return numbers.pack(np.where(flush, numbers.flushed(total), total), "f32").view(np.uint32)


def halves(name: str, kind: str) -> Callable[..., Any]:
    """For f16, bf16 and pairs of them; subnormal numbers are kept."""
    element = kind.removesuffix("x2")

    def run(old: Any, operand: Any) -> Any:
        a, b = (numbers.value(np.ascontiguousarray(values).view(np.uint16), element) for values in (old, operand))
        if name == "add":
            result = numbers.rounded(numbers.added(a, b), element)
        elif name in ("min", "max"):
            low = name == "min"
            tie = np.where(a == b, np.signbit(a) if low else ~np.signbit(a), a < b if low else a > b)
            result = np.where(tie | np.isnan(b), a, b)
        else:
            raise NotImplementedError(f"atomic {name} of {kind}")
        return numbers.pack(result, element).view(old.dtype)

    return run
