"""Between the lanes of a warp. (PTX ISA, "Parallel Synchronization": shfl, vote, match, redux, elect, activemask.)

The lanes of a mask must be here together: the interpreter does not wait for one that is elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Dual, Operand
from tests.emulator.oracle.counters import LANES
from tests.emulator.oracle.step import Action, Step, rule

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

BIT = np.uint32(1) << np.arange(LANES, dtype=np.uint32)


def together(threads: Threads, step: Step, mask: Operand) -> None:
    """Raise if a lane of the mask that has not exited is at another instruction."""
    if threads.here is None:
        return
    wanted = threads.full(threads.read(mask, "u32"), np.uint32)
    lane = np.uint32(1) << (threads.thread % LANES).astype(np.uint32)
    active = threads.active()
    warps = np.bitwise_or.reduce(wanted.reshape(-1, LANES), axis=1).repeat(LANES)
    elsewhere = threads.alive & ~active & (warps & lane > 0)
    if elsewhere.any():
        raise RuntimeError(f"line {step.line}: lanes of the mask are elsewhere")


def masks(flags: Any) -> Any:
    """A mask for each thread, of the lanes of its warp with a true flag."""
    sums = (flags.reshape(-1, LANES) * BIT).sum(axis=1, dtype=np.uint32)
    return np.repeat(sums, LANES)


def synchronised(step: Step, function: Callable[[Threads], Any], mask: Operand | None) -> Action:
    """Write the result of a function for all threads."""
    step.members = mask

    def act(threads: Threads) -> None:
        if mask is not None:
            together(threads, step, mask)
        results = function(threads)
        if isinstance(step.target, Dual):
            threads.write(step.target.first, threads.of(results[0]))
            threads.write(step.target.second, threads.of(results[1]))
        else:
            threads.write(step.target, threads.of(results[0] if isinstance(results, tuple) else results))

    return act


@rule("shfl", counted="warp")
def shfl(step: Step) -> Action | None:
    step.need("b32")
    sync = step.take("sync")
    mode = step.need("up", "down", "bfly", "idx")
    source, distance, limits, *rest = step.sources

    def function(threads: Threads) -> Any:
        values = threads.full(threads.read(source, "u32"), np.uint32)
        b, c = threads.read(distance, "u32"), threads.read(limits, "u32")
        if np.ndim(b) == np.ndim(c) == 0:  # the same in every warp
            from_lane, valid = sources(np.arange(LANES), np.int64(b), np.int64(c))
            partner = (threads.numbers[::LANES, None] + from_lane).reshape(-1)
            valid = np.tile(valid, len(partner) // LANES)
        else:
            lane = (threads.thread % LANES).astype(np.int64)
            from_lane, valid = sources(lane, threads.full(b, np.int64), threads.full(c, np.int64))
            partner = threads.numbers - lane + from_lane
        value = values[partner]
        return value if threads.here is None else np.where(threads.active()[partner], value, values), valid

    def sources(lane: Any, b: Any, c: Any) -> Any:
        """The lane to read from, and whether it is in the segment."""
        b, clamp, segment = b & 31, c & 31, c >> 8 & 31
        most = (lane & segment) | (clamp & ~segment)
        least = lane & segment
        if mode == "up":
            j, valid = lane - b, lane - b >= most
        elif mode == "down":
            j, valid = lane + b, lane + b <= most
        elif mode == "bfly":
            j, valid = lane ^ b, (lane ^ b) <= most
        else:
            j = least | (b & ~segment)
            valid = j <= most
        return np.where(valid, j, lane) & 31, valid

    return synchronised(step, function, rest[0] if sync else None)


@rule("vote", counted="warp")
def vote(step: Step) -> Action | None:
    step.need("pred", "b32")
    sync = step.take("sync")
    mode = step.need("all", "any", "uni", "ballot")
    source, *rest = step.sources

    def function(threads: Threads) -> Any:
        yes = masks(threads.full(threads.read(source, "pred"), bool))
        everyone = masks(threads.active())
        if mode == "ballot":
            return yes
        return {"all": yes == everyone, "any": yes != 0, "uni": (yes == 0) | (yes == everyone)}[mode]

    return synchronised(step, function, rest[0] if sync else None)


@rule("activemask", counted="warp")
def activemask(step: Step) -> Action | None:
    step.need("b32")
    return synchronised(step, lambda threads: masks(threads.active()), None)


@rule("elect", counted="warp")
def elect(step: Step) -> Action | None:
    """The lowest lane is elected; PTX leaves the choice open. (docs/emulator.md)"""
    step.need("sync")

    def function(threads: Threads) -> Any:
        active = threads.active().reshape(-1, LANES)
        leader = np.repeat(active.argmax(axis=1), LANES)
        return leader.astype(np.uint32), leader == threads.thread % LANES

    return synchronised(step, function, step.sources[0])


@rule("match", counted="warp")
def match(step: Step) -> Action | None:
    kind = step.type(among=("b32", "b64"))
    step.need("sync")
    mode = step.need("any", "all")
    source, mask = step.sources

    def function(threads: Threads) -> Any:
        active = threads.active().reshape(-1, LANES)
        values = threads.full(threads.read(source, kind)).reshape(-1, LANES)
        same = (values[:, :, None] == values[:, None, :]) & active[:, None, :]
        matching = (same * BIT).sum(axis=2, dtype=np.uint32).reshape(-1)
        if mode == "any":
            return matching
        everyone = masks(threads.active())
        return np.where(matching == everyone, everyone, np.uint32(0)), matching == everyone

    return synchronised(step, function, mask)


@rule("redux", counted="warp")
def redux(step: Step) -> Action | None:
    kind = step.type(among=("u32", "s32", "b32", "f32"))
    step.need("sync")
    name = step.need("add", "min", "max", "and", "or", "xor")
    if kind == "f32":
        raise step.missing("f32")
    source, mask = step.sources
    operation: Any = {
        "add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or,
        "xor": np.bitwise_xor,
    }[name]  # fmt: skip

    def function(threads: Threads) -> Any:
        values = threads.full(threads.read(source, kind)).reshape(-1, LANES)
        active = threads.active().reshape(-1, LANES)
        if name in ("add", "or", "xor"):
            values = np.where(active, values, values.dtype.type(0))
        else:  # absent lanes get the value of the first present one
            value_of_first = np.take_along_axis(values, active.argmax(axis=1)[:, None], axis=1)
            values = np.where(active, values, value_of_first)
        return np.repeat(operation.reduce(values, axis=1, dtype=values.dtype), LANES)

    return synchronised(step, function, mask)
