"""Loads and stores of every state space. (PTX ISA, "Data Movement and Conversion": ld, st, prefetch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Address, Operand, Register, Sink, Symbol, Vector
from tests.emulator.oracle.memory import BASE, LOCAL, SHARED, WINDOW
from tests.emulator.oracle.moves import spaces
from tests.emulator.oracle.step import KINDS, UNSIGNED, Action, Step, rule, width

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

SPACES = ("global", "shared", "shared::cta", "shared::cluster", "local", "const", "param")
HINTS = (
    "ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "L1::evict_normal", "L1::evict_unchanged", "L1::evict_first",
    "L1::evict_last", "L1::no_allocate", "L2::evict_first", "L2::evict_last", "L2::evict_normal", "L2::cache_hint",
    "L2::64B", "L2::128B", "L2::256B",
)  # fmt: skip
ORDERS = ("weak", "relaxed", "acquire", "release", "acq_rel", "volatile", "mmio", "cta", "gpu", "sys", "cluster")


class Place:
    """The memory accesses of the active threads: offsets in the arena, and their counters."""

    def __init__(self, threads: Threads, space: str, address: Operand, offset: int = 0) -> None:
        self.threads, self.space = threads, space
        assert isinstance(address, Address)
        base: Any = address.base
        if isinstance(base, Register):
            bits = threads.function.registers[base.name].bits
            at = threads.read(base, f"u{bits}").astype(np.int64) + address.offset
        elif isinstance(base, Symbol):
            memory = threads.memory
            at = np.int64(memory.addresses[base.name] + base.offset + address.offset)
            self.space = space = space or memory.spaces[base.name]
        else:
            at = np.int64(int(base.value) + address.offset)
        self.address = threads.spread(at + offset)
        cta, thread = threads.of(threads.cta), threads.all_here()
        if space in SPACES:
            self.masks = {space: None}
            self.offsets = threads.memory.offsets(space, self.address, cta, thread)
            return
        self.masks = spaces(self.address)
        self.offsets = self.address - BASE
        for name, window in (("shared", SHARED), ("local", LOCAL)):
            inside = threads.memory.offsets(name, self.address & WINDOW - 1 if window else 0, cta, thread)
            self.offsets = np.where(self.masks[name], inside, self.offsets)

    def items(self, bits: int, place: int = 0) -> tuple[Any, Any]:
        """Memory as items of that width, and for each address the index of the item `place` items after it."""
        return self.threads.memory.views[bits], self.offsets // (bits // 8) + place

    def each_space(self) -> Any:
        """(space, threads, addresses) for each space with an address."""
        thread = self.threads.all_here()
        for space, mask in self.masks.items():
            if mask is None:
                yield space, thread, self.address
            elif mask.any():
                yield space, thread[mask], self.address[mask]

    def count(self, step: Step, kind: str, size: int) -> None:
        if self.threads.counters is not None:
            for space, thread, address in self.each_space():
                self.threads.counters.access(step.line, space, kind, thread, address, size)


def taken_space(step: Step) -> str:
    return step.take(*SPACES).partition("::")[0]


def without_hints(step: Step) -> bool:
    """Take the words without an effect here; True if one adds a last operand, a cache policy."""
    hinted = "L2::cache_hint" in step.words
    while step.take(*HINTS, *ORDERS):
        pass
    return hinted


@rule("ld", "ldu", counted="memory")
def ld(step: Step) -> Action | None:
    kind = step.type()
    space = taken_space(step)
    without_hints(step)
    count = int((step.take("v2", "v4", "v8") or "v1")[1])
    bits = width(kind)
    target, address = step.operands[:2]
    targets = target.parts if count > 1 else (target,)

    def act(threads: Threads) -> None:
        place = Place(threads, space, address)
        place.count(step, "load", count * bits // 8)
        # All are read before any is written: a target may be the address.
        values = [memory[at] for memory, at in (place.items(bits, i) for i in range(count))]
        for register, value in zip(targets, values, strict=True):
            threads.write(register, value.view(KINDS[kind]))

    return act


@rule("st", counted="memory")
def st(step: Step) -> Action | None:
    kind = step.type()
    space = taken_space(step)
    without_hints(step)
    count = int((step.take("v2", "v4", "v8") or "v1")[1])
    bits = width(kind)
    address, source = step.operands[:2]
    sources = source.parts if isinstance(source, Vector) else (source,)
    if len(sources) != count:
        raise step.missing("as many sources")

    def act(threads: Threads) -> None:
        place = Place(threads, space, address)
        place.count(step, "store", count * bits // 8)
        for i, source in enumerate(sources):
            if isinstance(source, Sink):
                continue
            memory, at = place.items(bits, i)
            memory[at] = np.asarray(threads.read(source, kind)).view(UNSIGNED[bits])

    return act


@rule("discard", counted="memory")
def discard(step: Step) -> Action | None:
    """Bytes with an undefined value: the same as in the emulator."""
    space = taken_space(step)
    step.words.clear()
    address = step.operands[0]

    def act(threads: Threads) -> None:
        place = Place(threads, space, address)
        for i in range(16):
            memory, at = place.items(64, i)
            memory[at] = np.uint64(0xF5F5F5F5F5F5F5F5)

    return act


@rule("prefetch", "prefetchu", "applypriority", counted="memory")
def prefetch(step: Step) -> Action | None:
    step.words.clear()
    return lambda threads: None
