"""Asynchronous copies, done when they are issued, which is the earliest time that PTX allows. (PTX ISA, cp.async.)

The emulator does them when a thread waits for them, the latest: a kernel that the difference shows in has a race.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptxbench.emulator.syntax import Immediate, Register
from tests.emulator.oracle.atomics import operation
from tests.emulator.oracle.loads import Place, taken_space, without_hints
from tests.emulator.oracle.mbarriers import change
from tests.emulator.oracle.step import Action, Step, rule, width

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads


@rule("cp", counted="async")
def cp(step: Step) -> Action | None:
    step.need("async")
    if "bulk" in step.words:
        return None
    if step.take("commit_group", "wait_group", "wait_all"):
        return lambda threads: None
    step.need("ca", "cg")
    hinted = without_hints(step)
    taken_space(step)
    taken_space(step)
    to, source, size, *rest = step.operands
    if hinted:
        rest.pop()
    assert isinstance(size, Immediate)
    size_bytes = int(size.value)

    def act(threads: Threads) -> None:
        target, origin = Place(threads, "shared", to), Place(threads, "global", source)
        taken = np.full(threads.count_here(), size_bytes, np.int64)
        if rest:
            extra = rest[0]
            if isinstance(extra, Register) and threads.dtype_of(extra.name).kind == "b":
                taken = np.where(threads.read(extra, "pred"), 0, size_bytes)
            else:
                taken = np.minimum(threads.spread(threads.read(extra, "u32")).astype(np.int64), size_bytes)
        memory = threads.memory.bytes
        for i in range(size_bytes):
            value = memory[np.where(taken > i, origin.offsets + i, 0)]
            memory[target.offsets + i] = np.where(taken > i, value, 0)
        counters = threads.counters
        if counters is not None:
            thread = threads.all_here()
            target.count(step, "store", size_bytes)
            warps = int(np.unique(thread // 32).size)
            counters.add(step.line, ptx_async_requests=warps, ptx_async_bytes=size_bytes * thread.size)
            some = taken > 0  # a warp that only fills with zeros makes no request to global memory
            loading = int(np.unique(thread[some] // 32).size)
            counters.add(step.line, ptx_global_load_requests=loading, ptx_global_load_bytes=int(taken.sum()))
            for count in np.unique(taken[some]):
                alike = taken[some] == count
                counters.sectors(
                    step.line, "load", (thread // 32)[some][alike],
                    origin.address[some][alike], int(count),
                )  # fmt: skip

    return act


@rule("cp", counted="async")
def bulk(step: Step) -> Action | None:
    step.need("async")
    step.need("bulk")
    if "reduce" in step.words:
        return None
    if step.take("commit_group", "wait_group", "prefetch"):
        step.words.clear()
        return lambda threads: None
    hinted = without_hints(step)
    loads = bool(step.take("mbarrier::complete_tx::bytes"))
    if not loads:
        step.need("bulk_group")
    step.need("global")
    step.need("shared::cta", "shared::cluster")
    to, source, size, *rest = step.operands
    if hinted:
        rest.pop()

    def act(threads: Threads) -> None:
        target = Place(threads, "shared" if loads else "global", to)
        origin = Place(threads, "global" if loads else "shared", source)
        sizes = threads.spread(threads.read(size, "u32")).astype(np.int64)
        memory = threads.memory.bytes
        for start, end, count in zip(target.offsets, origin.offsets, sizes, strict=True):
            memory[start : start + count] = memory[end : end + count]
        if loads:
            change(threads, rest[0], lambda barrier, i: barrier.expect(-int(sizes[i])))
        if threads.counters is not None:
            count_bulk(threads, step.line, sizes, (target if not loads else origin).address, loads)

    return act


@rule("cp", counted="async")
def bulk_reduce(step: Step) -> Action | None:
    for word in ("async", "bulk", "reduce", "global", "shared::cta", "bulk_group"):
        step.need(word)
    hinted = without_hints(step)
    kind = step.type()
    step.take("noftz")
    name = step.need("add", "and", "or", "xor", "min", "max", "inc", "dec")
    to, source, size, *rest = step.operands
    assert len(rest) == bool(hinted)
    bits, operate = width(kind), operation(name, kind)

    def act(threads: Threads) -> None:
        target, origin = Place(threads, "global", to), Place(threads, "shared", source)
        sizes = threads.spread(threads.read(size, "u32")).astype(np.int64)
        memory = threads.memory.views[bits]
        for start, end, count in zip(target.offsets, origin.offsets, sizes, strict=True):
            far, near, elements = start * 8 // bits, end * 8 // bits, count * 8 // bits
            values = [np.ascontiguousarray(memory[near : near + elements])]
            if kind == "f32":
                values.append(np.ones(elements, bool))  # subnormal numbers are zeros to an addition in global memory
            memory[far : far + elements] = operate(np.ascontiguousarray(memory[far : far + elements]), *values)
        if threads.counters is not None:
            count_reduction(threads, step.line, sizes, target.address, bits // 8)

    return act


def count_reduction(threads: Threads, line: int, sizes: np.ndarray, address: np.ndarray, element: int) -> None:
    """A load of shared memory, and one atomic request: each element counts as a lane, no two have one address."""
    assert threads.counters is not None
    warps, total = int(np.unique(threads.all_here() // 32).size), int(sizes.sum())
    sectors = int(np.where(sizes > 0, (address + sizes - 1) // 32 - address // 32 + 1, 0).sum())
    threads.counters.add(
        line, ptx_async_requests=warps, ptx_async_bytes=total, ptx_atomic_global_requests=warps,
        ptx_atomic_global_lanes=total // element, ptx_atomic_global_serial=warps, ptx_atomic_global_sectors=sectors,
        ptx_shared_load_requests=warps, ptx_shared_load_bytes=total,
        ptx_shared_load_wavefronts=int((-(-sizes // 128)).sum()),
    )  # fmt: skip


def count_bulk(threads: Threads, line: int, sizes: np.ndarray, address: np.ndarray, loads: bool) -> None:
    """One request on either side; each thread's copy counts alone, in sectors and lines there, in 128 bytes here."""
    assert threads.counters is not None
    warps, total = int(np.unique(threads.all_here() // 32).size), int(sizes.sum())
    far, near = ("ptx_global_load", "ptx_shared_store") if loads else ("ptx_global_store", "ptx_shared_load")
    sectors, lines = (
        int(np.where(sizes > 0, (address + sizes - 1) // unit - address // unit + 1, 0).sum()) for unit in (32, 128)
    )
    threads.counters.add(line, ptx_async_requests=warps, ptx_async_bytes=total)
    passes = int((-(-sizes // 128)).sum())
    for name, work in ((far, {"sectors": sectors, "lines": lines}), (near, {"wavefronts": passes})):
        counts = {f"{name}_{of}": count for of, count in work.items()}
        threads.counters.add(line, **{f"{name}_requests": warps, f"{name}_bytes": total}, **counts)
