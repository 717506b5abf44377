"""The threads of some CTAs: which of them run, their registers, and the operands that they read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.syntax import (
    Element,
    Function,
    Immediate,
    Not,
    Operand,
    Register,
    Sink,
    Special,
    Sum,
    Symbol,
)
from tests.emulator.oracle.counters import LANES, Counters
from tests.emulator.oracle.loops import Loops, Trips
from tests.emulator.oracle.memory import Memory
from tests.emulator.oracle.step import KINDS, SIGNED, UNSIGNED, Step

Array = NDArray[Any]
MOST_STEPS = 20_000_000
"""The most instructions of a batch of CTAs. A kernel of the tests that needs more waits in an endless loop."""


class Threads:
    """Each CTA is filled up to whole warps; registers are arrays over all threads, as unsigned integers.

    `here`: None while every thread is at the instruction, else the numbers of those that are.
    `by_header`: the loops, for the counters. `fused`: whether fma.rn.f32 rounds once.
    """

    def __init__(
        self,
        function: Function,
        steps: Sequence[Step],
        by_header: Loops,
        memory: Memory,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        ranks: Array,
        *,
        fused: bool,
        in_turn: bool,
        counters: Counters | None,
    ) -> None:
        self.function, self.steps, self.memory = function, steps, memory
        self.fused, self.in_turn, self.counters = fused, in_turn, counters
        self.grid, self.block = grid, block
        count = block[0] * block[1] * block[2]
        self.stride = -(-count // LANES) * LANES
        self.size = self.stride * len(ranks)
        self.numbers = np.arange(self.size)
        self.thread = np.tile(np.arange(self.stride, dtype=np.uint32), len(ranks))
        self.rank = np.repeat(ranks.astype(np.uint32), self.stride)
        self.cta = np.repeat(np.arange(len(ranks)), self.stride)
        self.alive = self.thread < count
        self.waiting = np.zeros(self.size, bool)
        self.barrier = np.zeros(self.size, np.int64)
        """The barrier at which a thread waits; `expected`: for how many threads, 0 for all."""
        self.expected = np.zeros(self.size, np.int64)
        self.votes: list[tuple[Step, Array, Array]] = []
        """bar.red that threads wait at: the instruction, the threads, their predicates."""
        self.barriers: dict[int, Any] = {}
        """The mbarriers (mbarriers.py), by their offsets in the arena."""
        self.carry = np.zeros(self.size, bool)
        self.clock = np.zeros(self.size // LANES, np.int64)
        self.pc = np.zeros(self.size, np.int64)
        self.here: Array | None = None
        self.counted: Array | None = None
        self.counted_warps: tuple[Any, int] = (self.numbers, 0)
        """Of the threads `counted`, which executed the last instruction (`warps_of`)."""
        self.turn = 0
        self.registers: dict[str, Array] = {}
        self.trips = None if counters is None else Trips(steps, by_header, self.size)
        memory.start(len(ranks), self.size)

    # ---- which threads run

    def run(self) -> None:
        end = len(self.steps)
        executed = 0
        while True:
            ready = self.alive & ~self.waiting
            if not ready.any():
                if not self.alive.any():
                    self.add_trips()
                    return
                self.release()
                continue
            if self.in_turn:
                ready &= self.numbers // LANES == self.next_warp(ready)
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
                executed += 1
                if self.execute(at):
                    break
                at += 1
            else:
                self.leave_at(at)
            if executed > MOST_STEPS:
                raise RuntimeError(f"line {self.steps[at].line}: threads go around for ever")

    def add_trips(self) -> None:
        if self.trips is not None and self.counters is not None:
            self.trips.close_all()
            for line, entries in self.trips.entries.items():
                self.counters.loops.setdefault(line, Counter()).update(entries)

    def next_warp(self, ready: Array) -> int:
        """The warp that runs: the same as before until all its lanes wait or have exited, then the next by rank."""
        able = np.logical_or.reduce(ready.reshape(-1, LANES), axis=1)
        while not able[self.turn]:
            self.turn = (self.turn + 1) % len(able)
        return self.turn

    def execute(self, at: int) -> bool:
        """Execute one instruction; True if it has set the threads' program counters."""
        step = self.steps[at]
        here = self.here
        guard = step.instruction.guard
        guarded: Array | None = here
        if guard is not None:
            true = self.of(self.register(guard.name)) ^ step.instruction.negated
            if not true.all():
                guarded = self.all_here()[true]
        if isinstance(step.members, Register):
            self.by_mask(step, at, guarded)
            self.here = here
            return False
        if self.counters is not None:
            self.count(step, at, here, guarded)
        if step.moves:
            self.leave_at(at + 1)
        if guarded is None or guarded.size:
            self.here = guarded
            step.action(self)
            self.here = here
        return step.moves

    def by_mask(self, step: Step, at: int, guarded: Array | None) -> None:
        """The lanes that name a warp's first mask, then those that name its second, and so on."""
        everyone = self.here
        assert step.members is not None
        self.here = guarded
        here, masks = self.all_here(), self.spread(self.read(step.members, "u32"))
        remaining = np.ones(here.size, bool)
        guard_false = np.setdiff1d(self.numbers if everyone is None else everyone, here)
        while remaining.any() or guard_false.size:
            warps, first = np.unique(here[remaining] // LANES, return_index=True)
            chosen = np.zeros(self.size // LANES, np.uint32)
            chosen[warps] = masks[remaining][first]
            group = remaining & (masks == chosen[here // LANES])
            self.here = here[group]
            if self.counters is not None:  # lanes with a false guard are counted with the first group
                self.count(step, at, np.union1d(self.here, guard_false), self.here)
            if self.here.size:
                step.action(self)
            remaining, guard_false = remaining & ~group, guard_false[:0]

    def count(self, step: Step, at: int, everyone: Array | None, guarded: Array | None) -> None:
        assert self.counters is not None
        threads = self.size if everyone is None else everyone.size
        their_warps, warps = self.warps_of(everyone)
        active = self.size if guarded is None else guarded.size
        if self.trips is not None:
            self.trips.count(at, self.numbers if everyone is None else everyone)
        self.counters.execution(step.line, step.counted, warps, threads, active)
        self.clock[their_warps] += 1  # once for each warp, however many of its lanes execute it
        if step.moves and step.targets != () and step.instruction.guard is not None:
            divergent = 0
            if guarded is not None and active < threads and step.targets != (at + 1,):
                size = self.size // LANES
                all_lanes = np.bincount(self.all_here() // LANES, minlength=size)
                some = np.bincount(guarded // LANES, minlength=size)
                divergent = int(((some > 0) & (some < all_lanes)).sum())
            self.counters.branch(step.line, warps, divergent)

    def warps_of(self, threads: Array | None) -> tuple[Any, int]:
        """The warp of each of these threads, and how many warps that is; the same threads usually go on."""
        if threads is None:
            return slice(None), self.clock.size
        if threads is not self.counted:
            warps = threads // LANES
            self.counted, self.counted_warps = threads, (warps, runs_of(warps))
        return self.counted_warps

    def leave_at(self, pc: Any) -> None:
        if self.here is None:
            self.pc[:] = pc
        else:
            self.pc[self.here] = pc

    def release(self) -> None:
        """Threads at a complete barrier continue."""
        freed = np.zeros(self.size, bool)
        if not (self.barrier.any() or self.expected.any()):  # the usual case: all threads wait at barrier 0
            complete = (self.waiting | ~self.alive).reshape(-1, self.stride).all(axis=1)
            complete &= self.waiting.reshape(-1, self.stride).any(axis=1)
            self.resume(np.repeat(complete, self.stride) & self.waiting, int(complete.sum()))
            return
        completed = 0
        for cta in range(self.size // self.stride):
            threads_of_cta = slice(cta * self.stride, (cta + 1) * self.stride)
            waiting, alive = self.waiting[threads_of_cta], self.alive[threads_of_cta]
            for name in np.unique(self.barrier[threads_of_cta][waiting]):
                at_barrier = waiting & (self.barrier[threads_of_cta] == name)
                expected = int(self.expected[threads_of_cta][at_barrier].max())
                # A barrier counts whole warps.
                arrived = int(at_barrier.reshape(-1, LANES).any(axis=1).sum()) * LANES
                if arrived >= expected if expected else not (alive & ~at_barrier).any():
                    freed[threads_of_cta] |= at_barrier
                    completed += 1
        self.resume(freed, completed)

    def resume(self, freed: Array, completed: int) -> None:
        """These threads continue after their barriers, of which `completed` are complete."""
        if self.counters is not None:
            self.counters.phases += completed
        if not freed.any():
            raise RuntimeError("threads wait for each other")
        self.waiting &= ~freed
        self.turn = 0
        votes, self.votes = self.votes, []
        self.finish_votes(votes, freed)

    def finish_votes(self, votes: list[tuple[Step, Array, Array]], freed: Array) -> None:
        """Write the results of bar.red, which are over all threads of each CTA that executed it."""
        if not votes:
            return
        true = np.zeros(self.size, np.int64)
        arrived = np.zeros(self.size, np.int64)
        for _, threads, values in votes:
            true[threads] += values
            arrived[threads] += 1
        true_of_cta = np.repeat(true.reshape(-1, self.stride).sum(axis=1), self.stride)
        threads_of_cta = np.repeat(arrived.reshape(-1, self.stride).sum(axis=1), self.stride)
        for step, threads, values in votes:
            if not freed[threads].all():
                self.votes.append((step, threads, values))
                continue
            self.here = threads
            operation = step.instruction.opcode.split(".red.")[1].split(".")[0]
            result = {
                "popc": true_of_cta.astype(np.uint32),
                "and": true_of_cta == threads_of_cta,
                "or": true_of_cta > 0,
            }[operation]
            self.write(step.target, result[threads])

    # ---- operands

    def all_here(self) -> Array:
        return self.numbers if self.here is None else self.here

    def of(self, values: Array) -> Array:
        """The elements of the active threads in an array over all threads."""
        return values if self.here is None else values[self.here]

    def full(self, value: Any, dtype: Any = None) -> Array:
        """An array over all threads that holds `value` for those here, else 0."""
        value = np.asarray(value)
        result = np.zeros(self.size, dtype or value.dtype)
        result[slice(None) if self.here is None else self.here] = value
        return result

    def active(self) -> Array:
        """Whether each thread is here."""
        return self.full(True, bool)

    def count_here(self) -> int:
        return self.size if self.here is None else self.here.size

    def spread(self, value: Any) -> Array:
        """One value for each active thread, also if it is the same for all."""
        value, shape = np.asarray(value), (self.count_here(),)
        return value if value.shape == shape else np.broadcast_to(value, shape)

    def read(self, operand: Operand, kind: str) -> Any:
        """The operand of the active threads as `kind`; a scalar if it is the same for all."""
        dtype = np.dtype(KINDS[kind])
        if isinstance(operand, Register):
            raw = self.of(self.register(operand.name))
            if kind == "pred" or raw.dtype == bool:
                return raw.astype(bool)
            if raw.dtype.itemsize != dtype.itemsize:  # the low bits of a wider register
                raw = raw.astype(UNSIGNED[8 * dtype.itemsize])
            return raw.view(dtype)
        if isinstance(operand, Immediate):
            return immediate(operand, dtype)
        if isinstance(operand, Special):
            return self.of(np.asarray(self.special(operand.name))).astype(dtype)
        if isinstance(operand, Symbol):
            return dtype.type(self.memory.addresses[operand.name] + operand.offset)
        if isinstance(operand, Sum):
            raw = self.of(self.register(operand.register.name))
            total = raw + raw.dtype.type(operand.offset & (1 << 8 * raw.dtype.itemsize) - 1)
            return total.astype(UNSIGNED[8 * dtype.itemsize]).view(dtype)
        if isinstance(operand, Element):
            start = np.uint64(self.memory.addresses[operand.symbol.name] + operand.symbol.offset)
            index = self.read(operand.index, "u32").astype(np.uint64)
            return (start + index * np.uint64(operand.scale)).astype(dtype)
        if isinstance(operand, Not):
            return ~self.read(operand.operand, "pred")
        raise NotImplementedError(operand)

    def register(self, name: str) -> Array:
        if name not in self.registers:
            self.registers[name] = np.zeros(self.size, self.dtype_of(name))
        return self.registers[name]

    def dtype_of(self, name: str) -> Any:
        """The NumPy type of a register."""
        kind = self.function.registers[name]
        return np.dtype(bool if kind.kind == "p" else UNSIGNED[kind.bits])

    def write(self, operand: Operand, value: Any) -> None:
        """`value` to the register, extended by its own sign where the register is wider."""
        if isinstance(operand, Sink):
            return
        assert isinstance(operand, Register)
        value, dtype = np.asarray(value), self.dtype_of(operand.name)
        is_new_array = value.base is None and value.shape == (self.size,)  # a view may show another register
        if dtype.kind != "b":
            if value.dtype.kind == "f" and value.dtype.itemsize != dtype.itemsize:
                value = value.view(f"u{value.dtype.itemsize}")
            kind, bits = value.dtype.kind, 8 * value.dtype.itemsize
            if bits != 8 * dtype.itemsize and kind in "iu":
                value = value.astype(SIGNED[8 * dtype.itemsize] if kind == "i" else dtype)
            value = value.view(dtype)
        if self.here is None:
            self.registers[operand.name] = value if is_new_array else np.array(np.broadcast_to(value, (self.size,)))
        else:
            self.register(operand.name)[self.here] = value

    # ---- predefined registers

    def special(self, name: str) -> Any:
        base, _, axis = name.removeprefix("%").partition(".")
        thread, lane = self.thread, self.thread % LANES
        one = np.uint64(1)
        if axis or base in ("tid", "ntid", "ctaid", "nctaid"):
            place = "xyz".index(axis or "x")
            rank, extents = {
                "tid": (thread, self.block), "ctaid": (self.rank, self.grid),
                "ntid": (None, self.block), "nctaid": (None, self.grid),
            }[base]  # fmt: skip
            if rank is None:
                return np.full(self.size, extents[place], np.uint32)
            before = np.uint32(np.prod(extents[:place], dtype=np.uint32))
            return rank // before % np.uint32(extents[place])
        if base.startswith("clock") or base.startswith("globaltimer"):
            now = np.repeat(self.clock - 1, LANES)  # the number of instructions before this one
            return now >> 32 if base.endswith("_hi") else now
        simple = {
            "laneid": lane, "warpid": thread // LANES, "WARP_SZ": LANES,
            "lanemask_eq": one << lane, "lanemask_lt": (one << lane) - one, "lanemask_le": (one << lane + 1) - one,
            "lanemask_gt": ~((one << lane + 1) - one), "lanemask_ge": ~((one << lane) - one),
            # CTAs are dealt out to 132 SMs by rank, each with room for 64 warps; the emulator says the same.
            "smid": self.rank % 132, "nsmid": 132, "nwarpid": 64, "gridid": 1,
            "dynamic_smem_size": self.memory.dynamic_shared_bytes,
        }  # fmt: skip
        if base not in simple:
            raise NotImplementedError(f"special register {name}")
        return np.broadcast_to(np.asarray(simple[base]), (self.size,))


def immediate(operand: Immediate, dtype: Any) -> Any:
    """A number as the instruction's type; a float may be written as bits."""
    if operand.bits:
        raw = UNSIGNED[operand.bits](operand.value)
        if operand.bits == 32 and dtype == np.float64:  # ptxas takes the bits, not the number
            raw = UNSIGNED[64](operand.value)
            return raw.view(np.float64)
        number = raw.view(np.float32 if operand.bits == 32 else np.float64)
        return raw.astype(dtype) if dtype.kind in "iu" else number.astype(dtype)
    if dtype.kind == "f":
        return dtype.type(operand.value)
    if dtype.kind == "b":
        return np.bool_(operand.value)
    bits = 8 * dtype.itemsize
    return UNSIGNED[bits](int(operand.value) & (1 << bits) - 1).view(dtype)


def runs_of(values: Array) -> int:
    """How many different values there are in an ascending array."""
    return 1 + int(np.count_nonzero(values[1:] != values[:-1])) if values.size else 0
