"""A second opinion: a plain NumPy interpreter of PTX that shares nothing with the emulator but its parser.

One NumPy operation an instruction over every thread at once (float instructions that NumPy lacks take a few more).
A thread has a program counter; the lowest of those that can run goes first, and threads that come to one place go
on together. It knows what the shipped kernels need; another instruction is a method, or a word in one.
Nothing is counted, and an access outside the arrays is an IndexError or wrong: PTX that is known to be right only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Function,
    Immediate,
    Instruction,
    Not,
    Operand,
    Register,
    Sink,
    Special,
    Symbol,
    Vector,
)

Array = NDArray[Any]
BASE = 1 << 20
"""Address of the first byte of the first array."""
GAP = 4096
LANES = 32
UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}
KINDS = {
    **{f"{kind}{bits}": dtype for kind in "bu" for bits, dtype in UNSIGNED.items()},
    "s8": np.int8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "f32": np.float32, "f64": np.float64,
    "pred": np.bool_,
}  # fmt: skip
LEAST_NORMAL = np.float32(2.0**-126)


def interpret(
    ptx: str,
    entry: str | None,
    *,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    args: Sequence[Any],
    dynamic_shared_bytes: int = 0,
    threads_at_once: int = 1 << 18,
    fused: bool = True,
) -> None:
    """Run a kernel on NumPy arrays and scalars, which it updates in place, CTAs by rank.

    `threads_at_once`: CTAs run together as long as they have no more threads than that. `fused`: fma rounds once;
    without it a product and a sum in f64 are rounded to f64 and then to f32, which is quicker and sometimes wrong.
    """
    function = choose(parse(ptx), entry)
    memory = Memory(args)
    warps = -(-(block[0] * block[1] * block[2]) // LANES)
    ctas = grid[0] * grid[1] * grid[2]
    together = max(1, threads_at_once // (warps * LANES))
    with np.errstate(all="ignore"):
        for first in range(0, ctas, together):
            ranks = np.arange(first, min(first + together, ctas))
            Threads(function, memory, grid, block, ranks, dynamic_shared_bytes, fused).run()
    memory.give_back(args)


class Memory:
    """Every array in one arena, and the parameters' values."""

    def __init__(self, args: Sequence[Any]) -> None:
        self.places: list[int | None] = []
        size = 0
        for arg in args:
            self.places.append(size if isinstance(arg, np.ndarray) else None)
            if isinstance(arg, np.ndarray):
                size = -(-(size + arg.nbytes + GAP) // 256) * 256
        self.bytes = np.zeros(size, np.uint8)
        self.views = {bits: self.bytes.view(dtype) for bits, dtype in UNSIGNED.items()}
        for place, arg in zip(self.places, args, strict=True):
            if place is not None:
                self.bytes[place : place + arg.nbytes] = arg.reshape(-1).view(np.uint8)
        self.parameters = [
            np.uint64(BASE + place) if place is not None else arg for place, arg in zip(self.places, args, strict=True)
        ]

    def give_back(self, args: Sequence[Any]) -> None:
        for place, arg in zip(self.places, args, strict=True):
            if place is not None:
                arg.reshape(-1).view(np.uint8)[:] = self.bytes[place : place + arg.nbytes]


@dataclass
class Step:
    """An instruction, taken apart once."""

    instruction: Instruction
    words: tuple[str, ...]
    do: Callable[[Step], None]
    target: int = -1
    kind: str = ""
    bits: int = 0
    shared: Mapping[str, int] = field(default_factory=dict)


class Threads:
    """The threads of some CTAs, each CTA filled up to whole warps; registers are arrays over all of them.

    `here`: None while every thread is at the instruction, else the numbers of those that are.
    """

    def __init__(
        self,
        function: Function,
        memory: Memory,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        ranks: Array,
        dynamic_shared_bytes: int,
        fused: bool,
    ) -> None:
        self.function, self.memory, self.fused = function, memory, fused
        self.grid, self.block = grid, block
        count = block[0] * block[1] * block[2]
        self.stride = -(-count // LANES) * LANES
        self.size = self.stride * len(ranks)
        self.thread = np.tile(np.arange(self.stride, dtype=np.uint32), len(ranks))
        self.cta = np.repeat(ranks.astype(np.uint32), self.stride)
        self.local_cta = np.repeat(np.arange(len(ranks)), self.stride)
        self.alive = self.thread < count
        self.waiting = np.zeros(self.size, bool)
        self.carry = np.zeros(self.size, np.uint64)
        self.pc = np.zeros(self.size, np.int64)
        self.here: Array | None = None
        self.registers: dict[str, Array] = {}
        self.variables, offset = {}, 0
        for variable in function.variables.values():
            offset = -(-offset // variable.align) * variable.align
            self.variables[variable.name] = offset
            offset += variable.size_bytes
        self.shared_bytes = max(8, -(-(offset + dynamic_shared_bytes) // 8) * 8)
        self.shared = np.zeros(len(ranks) * self.shared_bytes, np.uint8)
        self.shared_views = {bits: self.shared.view(dtype) for bits, dtype in UNSIGNED.items()}
        self.parameters = {p.name: value for p, value in zip(function.params, memory.parameters, strict=True)}
        self.steps = [self.decode(each) for each in function.instructions]

    def decode(self, instruction: Instruction) -> Step:
        words = tuple(instruction.opcode.split("."))
        kind = words[-1] if words[-1] in KINDS else ""
        step = Step(instruction, words, getattr(self, f"do_{words[0]}"), kind=kind)
        step.bits = 1 if kind == "pred" else int(kind[1:]) if kind else 0
        if words[0] == "bra":
            (target,) = instruction.operands
            assert isinstance(target, Symbol)
            step.target = self.function.labels[target.name]
        return step

    # ---- which threads run

    def run(self) -> None:
        end = len(self.steps)
        while True:
            ready = self.alive & ~self.waiting
            if not ready.any():
                if not self.alive.any():
                    return
                self.release()
                continue
            counters = np.where(ready, self.pc, end)
            at = int(counters.min())
            if at == end:
                self.alive &= ~ready
                continue
            chosen = ready & (counters == at)
            others = counters[~chosen]
            until = int(others.min()) if others.size else end
            self.here = None if chosen.all() else np.flatnonzero(chosen)
            while at < until:
                if self.moved(at):
                    break
                at += 1
            else:
                self.leave_at(at)

    def moved(self, at: int) -> bool:
        """Do one instruction; True where it has set the threads' program counters."""
        step = self.steps[at]
        control = step.words[0] in ("bra", "ret", "exit", "bar")
        everyone = self.here
        guard = step.instruction.guard
        if guard is not None:
            true = self.predicate(self.registers[guard.name]) ^ step.instruction.negated
            if not true.all():
                if control:
                    return self.part(step, at, true)
                if not true.any():
                    return False
                self.here = np.flatnonzero(true) if everyone is None else everyone[true]
        if control:
            self.leave_at(at + 1)
        step.do(step)
        self.here = everyone
        return control

    def part(self, step: Step, at: int, true: Array) -> bool:
        """A guarded branch, exit or barrier that only some threads take."""
        everyone = np.arange(self.size) if self.here is None else self.here
        self.leave_at(at + 1)
        if true.any():
            self.here = everyone[true]
            step.do(step)
        return True

    def leave_at(self, pc: int) -> None:
        if self.here is None:
            self.pc[:] = pc
        else:
            self.pc[self.here] = pc

    def release(self) -> None:
        """Those of each CTA whose living threads all wait go on."""
        waits = (self.waiting | ~self.alive).reshape(-1, self.stride).all(axis=1)
        if not (waits & self.waiting.reshape(-1, self.stride).any(axis=1)).any():
            raise RuntimeError("threads wait for each other")
        self.waiting &= ~np.repeat(waits, self.stride)

    # ---- operands

    def predicate(self, value: Array) -> Array:
        return value if self.here is None else value[self.here]

    def read(self, operand: Operand, kind: str) -> Any:
        """The operand of the threads here, as `kind`."""
        dtype = KINDS[kind]
        if isinstance(operand, Register):
            value = self.predicate(self.register(operand.name))
            if value.dtype == dtype:
                return value
            if kind == "pred":
                return value.astype(bool)
            width = np.dtype(dtype).itemsize
            if value.dtype.itemsize > width:  # the low bits
                value = value.astype(UNSIGNED[8 * width])
            return value.view(dtype) if value.dtype.itemsize == width else value.astype(dtype)
        if isinstance(operand, Immediate):
            if operand.bits:
                raw = UNSIGNED[operand.bits](operand.value)
                return raw.view(np.float32 if operand.bits == 32 else np.float64).astype(dtype)
            if np.dtype(dtype).kind == "f":
                return dtype(operand.value)
            bits = 8 * np.dtype(dtype).itemsize
            return UNSIGNED[bits](int(operand.value) & (1 << bits) - 1).view(dtype)
        if isinstance(operand, Special):
            return self.predicate(self.special(operand.name)).astype(dtype)
        if isinstance(operand, Symbol):
            return dtype(self.variables[operand.name] + operand.offset)
        if isinstance(operand, Not):
            return ~self.read(operand.operand, "pred")
        raise NotImplementedError(operand)

    def register(self, name: str) -> Array:
        if name not in self.registers:
            kind = self.function.registers[name]
            dtype = bool if kind.kind == "p" else KINDS[str(kind)]
            self.registers[name] = np.zeros(self.size, dtype)
        return self.registers[name]

    def write(self, operand: Operand, value: Any) -> None:
        """`value` to the register, extended by its own sign to the register's width."""
        if isinstance(operand, Sink):
            return
        assert isinstance(operand, Register)
        kind = self.function.registers[operand.name]
        dtype = np.dtype(bool if kind.kind == "p" else KINDS[str(kind)])
        value = np.asarray(value)
        if value.dtype != dtype:
            same = value.dtype.itemsize == dtype.itemsize and dtype.kind != "b"
            value = value.view(dtype) if same else value.astype(dtype)
        if self.here is None:
            self.registers[operand.name] = value if value.ndim else np.full(self.size, value)
        else:
            held = self.register(operand.name)
            held[self.here] = value

    def special(self, name: str) -> Array:
        base, _, axis = name[1:].partition(".")
        rank, extents = {
            "tid": (self.thread, self.block),
            "ctaid": (self.cta, self.grid),
            "ntid": (None, self.block),
            "nctaid": (None, self.grid),
        }[base]
        place = "xyz".index(axis)
        if rank is None:
            return np.full(self.size, extents[place], np.uint32)
        before = np.uint32(np.prod(extents[:place], dtype=np.uint32))
        return rank // before % np.uint32(extents[place])

    def all_of(self, step: Step, kind: str = "") -> Iterator[Any]:
        """The sources, as the instruction's type."""
        return (self.read(operand, kind or step.kind) for operand in step.instruction.operands[1:])

    def result(self, step: Step, value: Any) -> None:
        self.write(step.instruction.operands[0], value)

    # ---- floats

    def flushed(self, step: Step, *values: Any) -> list[Any]:
        if "ftz" not in step.words:
            return list(values)
        return [np.where(np.abs(v) < LEAST_NORMAL, np.copysign(np.float32(0), v), v) for v in values]

    def finished(self, step: Step, value: Any) -> Any:
        (value,) = self.flushed(step, value)
        if "sat" in step.words:
            value = np.where(value > 0, np.minimum(value, np.float32(1)), np.float32(0))
        return value

    # ---- instructions

    def arithmetic(self, step: Step, function: Callable[..., Any]) -> None:
        a, b = self.all_of(step)
        if step.kind == "f32":
            a, b = self.flushed(step, a, b)
            self.result(step, self.finished(step, function(a, b)))
        else:
            self.result(step, function(a, b))

    def do_add(self, step: Step) -> None:
        if "cc" in step.words:
            a, b = self.all_of(step)
            self.result(step, self.carried(step, a, b, carry_in=False))
        else:
            self.arithmetic(step, np.add)

    def do_addc(self, step: Step) -> None:
        a, b = self.all_of(step)
        self.result(step, self.carried(step, a, b, carry_in=True))

    def carried(self, step: Step, a: Any, b: Any, *, carry_in: bool) -> Any:
        """a + b and the carry bit that this thread has; .cc keeps the new one."""
        if step.kind != "u32":
            raise NotImplementedError(step.instruction.opcode)
        total = np.asarray(a, np.uint64) + b
        if carry_in:
            total = total + self.predicate(self.carry)
        if "cc" in step.words:
            self.carry[slice(None) if self.here is None else self.here] = total >> np.uint64(32)
        return total.astype(np.uint32)

    def do_sub(self, step: Step) -> None:
        self.arithmetic(step, np.subtract)

    def do_mul(self, step: Step) -> None:
        if step.words[1] in ("wide", "hi"):
            product = self.product(step, *step.instruction.operands[1:])
            self.result(step, product if step.words[1] == "wide" else self.high(step, product))
        else:
            self.arithmetic(step, np.multiply)

    def product(self, step: Step, a: Operand, b: Operand) -> Any:
        """All the bits of a product."""
        double = KINDS[f"{step.kind[0]}{2 * step.bits}"]
        return np.multiply(self.read(a, step.kind), self.read(b, step.kind), dtype=double)

    def high(self, step: Step, product: Any) -> Any:
        return (product >> step.bits).astype(KINDS[step.kind])

    def do_mad(self, step: Step) -> None:
        _, a, b, c = step.instruction.operands
        if step.words[:3] == ("mad", "lo", step.kind):
            self.result(step, self.read(a, step.kind) * self.read(b, step.kind) + self.read(c, step.kind))
            return
        product = self.product(step, a, b)
        if step.words[1] == "wide":
            self.result(step, product + self.read(c, f"{step.kind[0]}{2 * step.bits}"))
        elif "cc" in step.words or step.words[0] == "madc":
            half = self.high(step, product) if step.words[1] == "hi" else product.astype(KINDS[step.kind])
            self.result(step, self.carried(step, half, self.read(c, step.kind), carry_in=step.words[0] == "madc"))
        else:
            raise NotImplementedError(step.instruction.opcode)

    do_madc = do_mad

    def do_max(self, step: Step) -> None:
        self.arithmetic(step, np.fmax)

    def do_min(self, step: Step) -> None:
        self.arithmetic(step, np.fmin)

    def do_neg(self, step: Step) -> None:
        (a,) = self.all_of(step)
        (a,) = self.flushed(step, a) if step.kind == "f32" else (a,)
        self.result(step, np.negative(a))

    def do_fma(self, step: Step) -> None:
        a, b, c = self.flushed(step, *self.all_of(step))
        product = np.multiply(a, b, dtype=np.float64)  # exact: 48 bits of 53
        rounding = step.words[1]
        if not self.fused and rounding == "rn":
            self.result(step, self.finished(step, (product + c).astype(np.float32)))
            return
        addend = np.asarray(c, np.float64)
        total = product + addend
        partner = total - product
        lost = (product - (total - partner)) + (addend - partner)  # total + lost is the exact sum
        # Rounded to odd, so that the second rounding, to f32, is as good as the only one. (Boldo, Melquiond, 2008.)
        even = (total.view(np.uint64) & np.uint64(1)) == 0
        toward = np.where(lost > 0, np.inf, -np.inf)
        odd = np.where((lost != 0) & np.isfinite(lost) & even, np.nextafter(total, toward), total)
        value = odd.astype(np.float32)
        if rounding == "rm":
            value = np.where(value > odd, np.nextafter(value, np.float32(-np.inf)), value)
        elif rounding != "rn":
            raise NotImplementedError(step.instruction.opcode)
        self.result(step, self.finished(step, value))

    def do_ex2(self, step: Step) -> None:
        (a,) = self.flushed(step, *self.all_of(step))
        self.result(step, self.finished(step, np.exp2(a.astype(np.float64)).astype(np.float32)))

    def do_rcp(self, step: Step) -> None:
        (a,) = self.flushed(step, *self.all_of(step))
        self.result(step, self.finished(step, np.float32(1) / a))

    def do_and(self, step: Step) -> None:
        self.arithmetic(step, np.bitwise_and)

    def do_or(self, step: Step) -> None:
        self.arithmetic(step, np.bitwise_or)

    def do_xor(self, step: Step) -> None:
        self.arithmetic(step, np.bitwise_xor)

    def do_not(self, step: Step) -> None:
        (a,) = self.all_of(step)
        self.result(step, ~a)

    def shift(self, step: Step, function: Callable[..., Any]) -> None:
        _, a, b = step.instruction.operands
        value, count = self.read(a, step.kind), self.read(b, "u32")
        shifted = function(value, count.astype(value.dtype))
        inside = count < step.bits
        self.result(step, shifted if np.ndim(inside) == 0 and inside else np.where(inside, shifted, 0))

    def do_shl(self, step: Step) -> None:
        self.shift(step, np.left_shift)

    def do_shr(self, step: Step) -> None:
        if step.kind[0] == "s":
            raise NotImplementedError(step.instruction.opcode)
        self.shift(step, np.right_shift)

    def do_setp(self, step: Step) -> None:
        target, a, b, *rest = step.instruction.operands
        compare = {
            "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
            "ge": np.greater_equal,
        }[step.words[1]]  # fmt: skip
        result = compare(self.read(a, step.kind), self.read(b, step.kind))
        if rest:
            join = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}[step.words[2]]
            result = join(result, self.read(rest[0], "pred"))
        if isinstance(target, Dual):
            raise NotImplementedError(step.instruction.opcode)
        self.write(target, result)

    def do_mov(self, step: Step) -> None:
        (source,) = step.instruction.operands[1:]
        value = self.read(source, step.kind)
        self.result(step, value.copy() if self.here is None and isinstance(source, Register) else value)

    def do_cvt(self, step: Step) -> None:
        to, kind = step.words[-2:]
        value = self.read(step.instruction.operands[1], kind)
        if kind == to == "f32":
            self.result(step, self.finished(step, value))
        elif "f" in to + kind or "sat" in step.words:
            raise NotImplementedError(step.instruction.opcode)
        else:
            self.result(step, value.astype(KINDS[to]))

    def do_cvta(self, step: Step) -> None:
        if "global" not in step.words:
            raise NotImplementedError(step.instruction.opcode)
        self.result(step, self.read(step.instruction.operands[1], "u64"))

    # ---- memory

    def place(self, step: Step, address: Operand, size: int) -> tuple[Array, Any]:
        """The memory as items of `size` bits, and the items' numbers."""
        assert isinstance(address, Address)
        shared = "shared" in step.words
        if isinstance(address.base, Register):
            held = self.function.registers[address.base.name]
            at = self.read(address.base, f"u{held.bits}").astype(np.int64) + address.offset
        else:
            assert isinstance(address.base, Symbol)
            at = np.int64(self.variables[address.base.name] + address.base.offset + address.offset)
        if shared:
            return self.shared_views[size], (at + self.predicate(self.local_cta) * self.shared_bytes) // (size // 8)
        return self.memory.views[size], (at - BASE) // (size // 8)

    def vector(self, step: Step) -> int:
        return next((int(word[1]) for word in step.words if word in ("v2", "v4")), 1)

    def do_ld(self, step: Step) -> None:
        target, address = step.instruction.operands
        if step.words[1] == "param":
            assert isinstance(address, Address)
            assert isinstance(address.base, Symbol)
            assert not address.offset
            self.write(target, np.full(self.count(), self.parameters[address.base.name]))
            return
        memory, at = self.place(step, address, step.bits)
        count = self.vector(step)
        if count == 1:
            self.write(target, memory[at].view(KINDS[step.kind]))
            return
        assert isinstance(target, Vector)
        whole = memory.reshape(-1, count)[at // count]
        for place, each in enumerate(target.parts):
            self.write(each, np.ascontiguousarray(whole[:, place]).view(KINDS[step.kind]))

    def do_st(self, step: Step) -> None:
        address, source = step.instruction.operands
        memory, at = self.place(step, address, step.bits)
        if isinstance(source, Vector):
            values = np.stack([self.bits(self.read(each, step.kind), step.bits) for each in source.parts], axis=1)
            memory.reshape(-1, len(source.parts))[at // len(source.parts)] = values
        else:
            memory[at] = self.bits(self.read(source, step.kind), step.bits)

    def bits(self, value: Any, size: int) -> Any:
        return np.asarray(value).view(UNSIGNED[size])

    def count(self) -> int:
        return self.size if self.here is None else self.here.size

    def do_red(self, step: Step) -> None:
        address, source = step.instruction.operands
        self.add_atomically(step, address, source)

    def do_atom(self, step: Step) -> None:
        target, address, source = step.instruction.operands
        assert isinstance(target, Register | Sink)  # of the shipped kernels nobody looks at the old value
        self.add_atomically(step, address, source)

    def add_atomically(self, step: Step, address: Operand, source: Operand) -> None:
        """One after the other in the order of the threads; f32 in global memory is flushed on its way."""
        if "add" not in step.words:
            raise NotImplementedError(step.instruction.opcode)
        memory, at = self.place(step, address, step.bits)
        value = self.read(source, step.kind)
        if step.kind == "f32" and "global" in step.words:
            value = np.where(np.abs(value) < LEAST_NORMAL, np.copysign(np.float32(0), value), value)
        np.add.at(memory.view(KINDS[step.kind]), np.broadcast_to(at, (self.count(),)), value)

    # ---- between threads

    def active(self) -> Array:
        """Whether each thread is here."""
        if self.here is None:
            return np.ones(self.size, bool)
        flags = np.zeros(self.size, bool)
        flags[self.here] = True
        return flags

    def do_shfl(self, step: Step) -> None:
        target, source, distance, _, _ = step.instruction.operands
        if step.words[2] != "bfly" or not isinstance(distance, Immediate | Register):
            raise NotImplementedError(step.instruction.opcode)
        everyone = np.arange(self.size) if self.here is None else self.here
        partner = everyone ^ self.read(distance, "u32").astype(np.int64)
        assert isinstance(source, Register)
        held = self.register(source.name)
        value = held[partner]
        if self.here is not None:
            value = np.where(self.active()[partner], value, held[everyone])
        self.write(target.first if isinstance(target, Dual) else target, value)

    def do_redux(self, step: Step) -> None:
        if step.words[2] != "add":
            raise NotImplementedError(step.instruction.opcode)
        value = np.zeros(self.size, KINDS[step.kind])
        everyone = slice(None) if self.here is None else self.here
        value[everyone] = self.read(step.instruction.operands[1], step.kind)
        sums = value.reshape(-1, LANES).sum(axis=1, dtype=value.dtype)
        self.result(step, np.repeat(sums, LANES)[everyone])

    # ---- control; the program counters are already at the next instruction

    def do_bra(self, step: Step) -> None:
        self.leave_at(step.target)

    def do_ret(self, step: Step) -> None:
        self.alive[slice(None) if self.here is None else self.here] = False

    do_exit = do_ret

    def do_bar(self, step: Step) -> None:
        self.waiting[slice(None) if self.here is None else self.here] = True
        self.waiting &= self.alive
