"""The emulator's own process: takes launches on standard input, answers on standard output, as pickles.

A crash here costs one launch. `python -m ptxbench.emulator.worker HANDLE PARENT`: HANDLE is the arena's file
descriptor, PARENT the process that starts this one (it may end before this process first checks).
"""

from __future__ import annotations

import ctypes
import functools
import gc
import mmap
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator import native, sharing
from ptxbench.emulator.console import Console
from ptxbench.emulator.findings import RawFinding
from ptxbench.emulator.heap import MOST_CHECKED
from ptxbench.emulator.layout import ADVERSARIAL, BINS, PLAIN, SANITIZE, Translation
from ptxbench.emulator.memory import in_small_pages
from ptxbench.emulator.memory_parts import LINE, MemoryParts
from ptxbench.emulator.messages import (
    OF_CLUSTER,
    OF_POOL,
    CtaConflict,
    ErrorReply,
    Fault,
    LaunchReply,
    LaunchRequest,
    RetryReply,
    TranslationCache,
    WaitingLanes,
)
from ptxbench.emulator.pending_stores import apply_stores
from ptxbench.emulator.races.layout import SHADOW_ARRAYS
from ptxbench.emulator.races.tables import Tables, make_tables
from ptxbench.emulator.runtime import context, kinds, records, register_pool
from ptxbench.emulator.runtime.barriers import REDUCES
from ptxbench.emulator.runtime.copies import QUEUE_BYTES
from ptxbench.emulator.runtime.messages import LIST_BYTES
from ptxbench.emulator.variation import addresses, conditions, memory, module_shift
from ptxbench.errors import LaunchError, PtxbenchError

MOST_ALIVE = 4096
ALIVE_BYTES = 1 << 30
"""The most memory for the state of CTAs that may wait for each other, in bytes."""
MOST_THREADS = 256
"""The most host threads of a launch."""
CONTEXT = -1
"""The number of the part with a thread's context; the other parts have the number of their context slot."""
WORTH_A_THREAD = 250e-6
"""CPU seconds. If the rest of a launch takes longer, other host threads help. To start one costs half of this."""
KEPT_BYTES = 1 << 16
"""The most memory that a host thread keeps for another launch of the same request."""
CHUNKS = 32
"""Runs of CTAs per host thread: a thread with slow CTAs leaves runs to other threads. A run has neighbouring CTAs,
which mostly touch neighbouring bytes, so few cache lines move between cores."""


BY_TURNS = {"by turns": 1, "stores first": -1}
"""The orders in which CTAs take turns, each with a bit mask. A CTA gives way after a store that others may wait for if
its rank, with the lowest bit inverted, has a bit of the mask (runtime/turns.py)."""


class CtaQueue:
    """How host threads share `count` CTAs or clusters: a thread takes runs of `chunk` neighbours, one after the other.

    `next`: the counter with the first CTA of the next run. `chunk` is 0 if one thread runs all CTAs.
    """

    def __init__(self, count: int, threads: int) -> None:
        self.chunk = -(-count // (CHUNKS * threads)) if threads > 1 else 0
        self.next = np.zeros(LINE // 8, np.int64)


class HostThread:
    """One host thread's context, register file, shared memory and counters.

    `arena`: the host address of its first byte. `records_`, `tag`: where it records which CTA touched which bytes, and
    the launch's number there (sharing.py). `marked`: indices of the buffers whose loads and updates are recorded.
    `queue`: how it shares the CTAs with other threads; if it does, it stops when two CTAs touch the same bytes.
    """

    def __init__(
        self, request: LaunchRequest, kernel: native.NativeKernel, arena: int, records_: sharing.Records, tag: int,
        marked: Collection[int], queue: CtaQueue,
    ) -> None:  # fmt: skip
        layout = kernel.translation
        warps = -(-(request.block[0] * request.block[1] * request.block[2]) // 32)
        shared_bytes = layout.shared_bytes + request.dynamic_shared_bytes
        shared_stride = -(-shared_bytes // 64) * 64 + 64
        count = request.grid[0] * request.grid[1] * request.grid[2]
        shadow_bytes = local_shadow_bytes = 0
        if request.mode == SANITIZE:
            shared, local, _ = layout.granules
            shadow_bytes = 8 * SHADOW_ARRAYS * (shared_bytes // shared + 1)
            local_shadow_bytes = 4 * 32 * warps * (layout.local_bytes // local + 1)
        cta_bytes = (
            warps * (layout.register_bytes + context.WARP_BYTES + 32 * layout.local_bytes + QUEUE_BYTES * layout.queues)
            + shared_stride
            + shadow_bytes
            + local_shadow_bytes
        )
        at_once = request.ctas in BY_TURNS or (layout.order_reason is not None and request.ctas == "usual")
        size = request.cluster_size if layout.clustered else 1
        slots = max(size, min(count, MOST_ALIVE, ALIVE_BYTES // cta_bytes) // size * size) if at_once else size
        units = count // size
        if layout.cooperates and at_once and slots < count:
            raise LaunchError(
                f"'{layout.name}' may wait for the whole grid (this_grid().sync()): all its {count:,} CTAs must be "
                f"resident at once; the emulator can hold {slots:,} of this size. Use a smaller grid."
            )
        ranges = len(request.buffers) + (MOST_CHECKED if layout.heap else 0)
        self.kernel, self.queue, self.units, self.records = kernel, queue, units, records_
        sanitized = request.mode == SANITIZE
        parts = self.parts = MemoryParts({  # memory of CTAs that never start is not touched, and so costs nothing
            context.FIRST_REGISTERS: slots * warps * layout.register_bytes,
            context.FIRST_WARPS: slots * warps * context.WARP_BYTES,
            context.FIRST_SHARED: slots * shared_stride,
            context.FIRST_LOCAL: slots * 32 * warps * layout.local_bytes,
            context.CTA_HEADERS: slots * context.CTA_BYTES,
            context.FIRST_SHADOW: slots * shadow_bytes,
            context.FIRST_LOCAL_SHADOW: slots * local_shadow_bytes,
            context.FIRST_QUEUES: slots * warps * QUEUE_BYTES if layout.queues else 0,
            context.CLUSTER_HEADERS: slots // size * context.CLUSTER_BYTES if layout.clustered else 0,
            context.MESSAGE_LISTS: slots // size * LIST_BYTES if layout.sends else 0,
            context.PARAMS: len(request.params) + 64,
            context.COUNTERS: 8 * layout.slots,
            context.PATTERNS: 8 * context.PATTERN_SCALE * layout.slots,
            context.BUFFERS: 16 * ranges,
            context.BUFFER_USES: 8 * records.BUFFER_SLOTS * ranges,
            context.TRIPS: 8 * BINS * len(layout.loops),
            context.FINDINGS: 8 * kinds.FINDING_SLOTS * kinds.MOST_FINDINGS * sanitized,
            context.FLAGS: 8 * layout.slots * sanitized,
            CONTEXT: 8 * context.ENV_SLOTS,
        })  # fmt: skip
        parts.view(context.PARAMS)[: len(request.params)] = np.frombuffer(request.params, np.uint8)
        self.counters = parts.view(context.COUNTERS).view(np.int64)
        self.trips = parts.view(context.TRIPS).view(np.int64).reshape(-1, BINS)
        use_slots, uses = uses_of_sites(layout)
        self.counters[use_slots] = uses
        self.buffer_uses = parts.view(context.BUFFER_USES).view(np.int64).reshape(-1, records.BUFFER_SLOTS)
        for index in marked:
            self.buffer_uses[index, records.MARKED] = 1
        self.context = parts.view(CONTEXT).view(np.int64)
        self.address = parts.addresses.pop(CONTEXT)
        bounds = parts.view(context.BUFFERS).view(np.int64)
        heap = layout.heap and layout.heap + module_shift(request.placement)
        field_values = {**addresses(request.placement, 0, fixed=True), **memory(request.variation.memory)}
        self.console = Console(self.context, request.buffers, bounds, field_values, heap)
        settings = {
            **parts.addresses,
            **records_.settings(layout.granule_shift),
            context.DELTA: arena - context.GLOBAL_BASE,
            context.SHARED_STRIDE: shared_stride,
            context.SHARED_BYTES: shared_bytes,
            context.LOCAL_BYTES: layout.local_bytes,
            context.REGISTER_BYTES: layout.register_bytes,
            context.LOOPS: len(layout.loops),
            context.TRIPS_AT: layout.trips_at,
            context.HALVES: request.mode == ADVERSARIAL,
            context.FUEL_PER_WARP: request.fuel,
            # From the last CTA on, the rank wraps below 0 and exceeds any count, which ends the loop.
            context.FIRST_CTA: units - 1 if request.ctas.startswith("last") else 0,
            context.CTA_COUNT: units,
            context.CHUNK: queue.chunk,
            context.NEXT_CHUNK: queue.next.ctypes.data,
            context.CTA_STEP: {"last first": -1, "first alone": units, "last alone": units}.get(request.ctas, 1),
            context.BY_TURNS: BY_TURNS.get(request.ctas, 0),
            context.WARP_COUNT: warps,
            context.THREADS: request.block[0] * request.block[1] * request.block[2],
            context.CTA_SLOTS: slots,
            context.SHADOW_STRIDE: shadow_bytes,
            context.LOCAL_SHADOW_STRIDE: local_shadow_bytes,
            context.LAUNCH: tag,
            context.STOP_AT_CONFLICT: queue.chunk > 0,
            context.HOST: self.console.address,
            context.RESERVED_INSIDE: layout.reserved_bytes,
            context.CLUSTER_SIZE: request.cluster_size,
            context.UNFINISHED: len(request.pending_stores),
            context.CLUSTER_EXPLICIT: request.cluster is not None,
        }
        settings |= {context.CLUSTER_X + axis: extent for axis, extent in enumerate(request.cluster or (1, 1, 1))}
        settings |= {context.GRID_X + axis: extent for axis, extent in enumerate(request.grid)}
        settings |= {context.BLOCK_X + axis: extent for axis, extent in enumerate(request.block)}
        self.races: Tables | None = None
        if request.mode == SANITIZE:
            self.races = make_tables(request, layout, slots, shared_bytes)
            settings[context.RACES] = self.races.table.ctypes.data
            settings[context.EVENT] = native.event_function()
            self.console.forget = self.races.forget
        for slot, value in settings.items():
            self.context[slot] = value
        plain = request.mode == PLAIN and not request.pending_stores and not layout.heap
        self.initial = parts.memory.copy() if plain and parts.memory.size <= KEPT_BYTES else None
        """Its memory before a launch, if it can be used for another one."""

    def reset_for(self, tag: int) -> HostThread:
        """This thread for the launch `tag` of the same request, which takes a third of the time of a new one."""
        assert self.initial is not None
        self.parts.memory[:] = self.initial
        self.console = Console(self.context, self.console.buffers, self.console.bounds, self.console.field_values)
        records_ = self.records.settings(self.kernel.translation.granule_shift)
        for slot, value in {**records_, context.LAUNCH: tag, context.HOST: self.console.address}.items():
            self.context[slot] = value
        return self

    def run(self) -> None:
        """Run CTAs until all are done or one fails; then no other thread starts another run of CTAs.

        Runs are handed out in rank order, so that every CTA below the first failing one is run.
        """
        self.context[context.RUN_WARP] = self.kernel.warp  # it may have been compiled again
        self.context[context.PREPARE_WARP] = self.kernel.prepare_warp
        if self.kernel.run(self.address):
            self.queue.next[0] = self.units

    def begin(self) -> bool:
        """Run the first run of CTAs. Returns whether other threads shorten the rest by more than their start costs.

        If not, this thread runs the rest alone, in rank order, and does not stop if CTAs touch the same bytes. If the
        rest takes long, optimised code runs it.
        """
        chunk, began = self.queue.chunk, time.thread_time()
        self.context[context.CHUNK], self.context[context.CTA_COUNT] = 0, chunk
        self.context[context.STOP_AT_CONFLICT] = False
        self.run()
        self.context[context.CHUNK], self.context[context.CTA_COUNT] = chunk, self.units
        self.queue.next[0] = max(self.queue.next[0], chunk)  # higher after a fault
        rest_seconds = (time.thread_time() - began) / chunk * (self.units - chunk)
        self.kernel.expect(rest_seconds)
        self.context[context.STOP_AT_CONFLICT] = worth_sharing = (
            rest_seconds > WORTH_A_THREAD and self.conflict() is None
        )
        return worth_sharing

    def conflict(self) -> CtaConflict | None:
        """The first access, by a CTA of this thread, to bytes that an earlier CTA used, if one of the two stored."""
        site, granule, cta, earlier = (
            int(self.context[slot])
            for slot in (context.CONFLICT_SITE, context.CONFLICT_AT, context.CONFLICT_CTA, context.CONFLICT_USE)
        )
        if not site:
            return None
        use = next(name for name, bit in records.USE_BITS.items() if bit & earlier)
        return CtaConflict(site // 8, granule << self.kernel.translation.granule_shift, cta, use)

    def fault(self) -> Fault | None:
        kind, site, lane, address, cta, warp = (
            int(self.context[slot])
            for slot in (
                context.FAULT_KIND, context.FAULT_SITE, context.FAULT_LANE, context.FAULT_ADDRESS, context.FAULT_CTA,
                context.FAULT_WARP,
            )
        )  # fmt: skip
        return Fault(kind, site // 8, lane, address & (1 << 64) - 1, cta, warp) if kind else None

    def raw_findings(self) -> list[RawFinding]:
        """The findings of the watches."""
        rows = (
            self.parts.view(context.FINDINGS)
            .view(np.int64)
            .reshape(-1, kinds.FINDING_SLOTS)[: int(self.context[context.FINDING_COUNT])]
        )
        return [
            RawFinding(kind, site // 8, lane, address, cta, warp, other, where)
            for kind, site, lane, address, cta, warp, other, where in rows.tolist()
        ]

    def waiting(self) -> tuple[WaitingLanes, ...]:
        """Where the lanes of a blocked CTA wait: one entry per warp and place."""
        warps = int(self.context[context.WARP_COUNT])
        all_warps = self.blocked(context.WARPS, context.FIRST_WARPS)
        header = self.blocked(context.CTA_STATE, context.CTA_HEADERS)
        entries = header[context.CTA_BARRIERS :][: 16 * context.BARRIER_BYTES].view(np.int32).reshape(16, -1)
        waits = []
        for rank in range(warps):
            state = all_warps[rank * context.WARP_BYTES :][: context.WARP_BYTES]
            pcs = state[:128].view(np.uint32)
            numbers = state[context.WARP_BARRIERS :][:32]
            masks = (context.WARP_EXITED, context.WARP_VALID, context.WARP_WAITING, context.WARP_CLUSTER_WAITING)
            tested = state[context.WARP_TESTED :][:128].view(np.uint32)
            exited, valid, waiting, cluster_waiting = (int(state[at : at + 4].view(np.uint32)[0]) for at in masks)
            (parked,) = state[context.WARP_PARKED :][:4].view(np.uint32)
            lanes_by_place: dict[tuple[int, bool, int, int], int] = {}
            for lane in range(32):
                if valid & ~exited & 1 << lane:
                    barrier = int(numbers[lane]) & 15 if waiting & 1 << lane else -1
                    barrier = OF_CLUSTER if cluster_waiting & 1 << lane else barrier
                    last = 0 <= barrier < OF_CLUSTER and int(numbers[lane]) < REDUCES  # it continues at the next block
                    polls = int(tested[lane]) if barrier < 0 and not parked >> lane & 1 else 0
                    waiting_at = (int(pcs[lane]) - last, last, barrier, polls)
                    lanes_by_place[waiting_at] = lanes_by_place.get(waiting_at, 0) | 1 << lane
            for (block, last, barrier, polls), lanes in sorted(lanes_by_place.items()):
                arrived, _, expected = (
                    (int(entry) for entry in entries[barrier][:3]) if 0 <= barrier < 16 else (0, 0, 0)
                )
                if barrier == OF_CLUSTER:
                    arrived, expected = self.cluster_barrier_counts()
                if missing := self.missing_registers(rank):
                    barrier, expected = OF_POOL, missing
                mbarrier = None if barrier == OF_POOL else self.polled_mbarrier(polls)
                waits.append(WaitingLanes(rank, lanes, block, last, barrier, arrived, expected, mbarrier))
        return tuple(waits)

    def blocked(self, slot: int, part: int) -> NDArray[np.uint8]:
        """The bytes of a part from the address in the context's `slot` on: the state of the blocked CTA."""
        return self.parts.view(part)[int(self.context[slot]) - self.parts.addresses[part] :]

    def polled_mbarrier(self, number: int) -> tuple[int, int] | None:
        """The address and the word of the mbarrier that lanes of the blocked CTA test without success (WARP_TESTED)."""
        if number == 0:
            return None
        shared = self.blocked(context.SHARED, context.FIRST_SHARED)
        return number - 1, int(shared[number - 1 :][:8].view(np.uint64)[0])

    def missing_registers(self, rank: int) -> int:
        """How many more registers per thread a warp of the blocked CTA waits for; 0 if it does not wait for them."""
        if not self.kernel.translation.pool:
            return 0
        current, requested = self.pool_state(rank)
        return requested and requested - current

    def pool_state(self, rank: int) -> tuple[int, int]:
        """The registers per thread of a warp of the blocked CTA, and the number that it waits for."""
        offset, initial = self.kernel.translation.pool
        start = rank * self.kernel.translation.register_bytes + offset
        registers = self.blocked(context.REGISTERS, context.FIRST_REGISTERS)
        state = registers[start:][: register_pool.BYTES].view(np.int32)
        return int(state[register_pool.HELD // 4]) or initial, int(state[register_pool.WANTED // 4])

    def registers(self) -> tuple[int, ...]:
        """The registers per thread of each warp of the blocked CTA, then those in its pool."""
        if not self.kernel.translation.pool:
            return ()
        header = self.blocked(context.CTA_STATE, context.CTA_HEADERS)
        pool = int(header[context.CTA_POOL :][:4].view(np.int32)[0])
        return (*(self.pool_state(rank)[0] for rank in range(int(self.context[context.WARP_COUNT]))), pool)

    def cluster_barrier_counts(self) -> tuple[int, int]:
        """How many threads have arrived at the barrier of the blocked cluster, and how many it expects."""
        header = self.blocked(context.CLUSTER_STATE, context.CLUSTER_HEADERS)[: context.CLUSTER_BYTES].view(np.int32)
        arrived, exited = (int(header[at // 4]) for at in (context.CLUSTER_ARRIVED, context.CLUSTER_EXITED))
        return arrived, int(self.context[context.CLUSTER_SIZE] * self.context[context.THREADS]) - exited


@functools.lru_cache(maxsize=64)
def uses_of_sites(layout: Translation) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The counter of each site that says which use of global memory it makes, and its value."""
    slots = [site.slot + context.USE for site in layout.sites]
    return np.array(slots, np.int64), np.array([records.use_of(site.kind) for site in layout.sites], np.int64)


class ProcessHost:
    """What the process keeps from launch to launch: the arena, helper threads, and the records of each thread."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.arena: mmap.mmap | None = None
        self.pool = ThreadPoolExecutor(MOST_THREADS)
        self.records: list[sharing.Records] = []
        self.tag = 1
        """The next launch's number in the records; a launch takes one number per CTA."""
        self.last: tuple[object, ...] = ()
        """The key of the last launch (`makers`)."""
        self.reusable: dict[int, HostThread] = {}
        """The host threads of the last launch that can be used again, by the id of their records."""

    def prepare(self, request: LaunchRequest, threads: int, shift: int) -> int:
        """Map the arena and make records for each thread. Returns the host address of the arena's first byte."""
        if self.arena is None or len(self.arena) < request.arena_bytes:  # else kept: its pages are mapped
            self.arena = in_small_pages(mmap.mmap(self.handle, 0))  # all of it
        self.records += [sharing.Records() for _ in range(threads - len(self.records))]
        for record in self.records[:threads]:
            record.prepare(request.arena_bytes, shift)
        return ctypes.addressof(ctypes.c_char.from_buffer(self.arena))

    def makers(
        self, request: LaunchRequest, kernel: native.NativeKernel, arena: int, tag: int, marked: set[int],
        queue: CtaQueue, threads: int,
    ) -> list[Callable[[], HostThread]]:  # fmt: skip
        """The functions that make the host threads of a launch. They reuse those of the last launch if it was the
        same."""
        launch_key = (request, kernel, kernel.translation, arena, marked, threads)
        if request.pending_stores or launch_key != self.last:
            self.last, self.reusable = launch_key, {}
        if self.reusable:
            queue = next(iter(self.reusable.values())).queue
            queue.next[0] = 0
        return [
            functools.partial(self.reusable[id(record)].reset_for, tag) if id(record) in self.reusable
            else functools.partial(HostThread, request, kernel, arena, record, tag, marked, queue)
            for record in self.records[:threads]
        ]  # fmt: skip

    def keep(self, workers: Sequence[HostThread]) -> None:
        """Keep these host threads, which have run a launch without a fault, for the next launch."""
        self.reusable |= {id(worker.records): worker for worker in workers if worker.initial is not None}

    def run_together(self, first: HostThread, others: Sequence[Callable[[], HostThread]]) -> list[HostThread]:
        """Run `first` on this host thread, and those that `others` make on threads that start before it has ended. Each
        thread makes its own, so that `first` does not wait for it. Returns all that ran."""
        futures = [self.pool.submit(make_and_run, other) for other in others]
        first.run()
        started = [future for future in futures if not future.cancel()]
        for future in started:
            future.exception()  # waits for all of them, even if one lacks memory
        return [first, *(future.result() for future in started)]


def make_and_run(make: Callable[[], HostThread]) -> HostThread:
    worker = make()
    worker.run()
    return worker


def launch(request: LaunchRequest, host: ProcessHost) -> LaunchReply | RetryReply:
    """Run every CTA, in parallel unless the kernel or its last launch shows a reason not to.

    Returns `RetryReply` if CTAs that ran in parallel have touched each other's bytes, or if that cannot be known.
    Then the same request must be sent again, with the arena as before, and will be run in another way.
    """
    translated = SANITIZE if request.mode == SANITIZE else PLAIN
    kernel = native.kernel(request.ptx, request.entry, request.arch, translated, request.cluster_size > 1)
    layout = kernel.translation
    count = request.grid[0] * request.grid[1] * request.grid[2]
    recorded = layout.order_reason is None and request.ctas == "usual" and request.mode != ADVERSARIAL
    parallel_allowed = recorded and request.mode == PLAIN and not kernel.shares
    units = count // request.cluster_size if layout.clustered else count
    threads = max(1, min(request.threads, units, MOST_THREADS)) if parallel_allowed else 1
    base = host.prepare(request, threads, layout.granule_shift)
    tag, host.tag = host.tag, host.tag + count
    all_buffers = range(len(request.buffers))
    marked = set(all_buffers)
    if request.mode != SANITIZE:
        marked = kernel.marked & marked | mixed_buffers(request, layout)
    threads_of_block = request.block[0] * request.block[1] * request.block[2]
    native.set_conditions(
        conditions(request.variation, request.placement, request.arch, layout.reserved_bytes, threads_of_block)
    )
    makers = host.makers(request, kernel, base, tag, marked, CtaQueue(units, threads), threads)
    workers: list[HostThread] = []
    try:
        workers = [first := makers[0]()]
        began = time.process_time()
        parallel = threads > 1 and (request.all_threads or first.begin())
        if request.pending_stores:  # then there is one worker
            apply = functools.partial(apply_stores, request.pending_stores, np.frombuffer(host.arena, np.uint8))
            first.console.apply_pending_stores = functools.partial(apply, ended=False)
        workers = host.run_together(first, makers[1:] if parallel else ())
        if request.pending_stores and first.context[context.UNFINISHED]:
            apply(ended=True)
        kernel.ran_for(time.process_time() - began)
        if recorded and not is_conclusive(workers, kernel, tag, parallel):
            return RetryReply()
        reply = reply_of(workers, kernel, recorded)
        if request.wants_stored and layout.order_reason is None and len(workers) == 1:
            reply = replace(reply, stored=first.records.stored(tag, layout.granule_shift))
        if reply.fault is None:
            host.keep(workers)
        return reply
    finally:
        for worker in workers:
            worker.console.close()


def reply_of(workers: Sequence[HostThread], kernel: native.NativeKernel, recorded: bool) -> LaunchReply:
    """The reply for a launch. `recorded`: whether the CTAs' accesses were recorded."""
    conflict = workers[0].conflict() if recorded and len(workers) == 1 else None
    faults = [(fault.cta, index, fault) for index, worker in enumerate(workers) if (fault := worker.fault())]
    first = min(faults, default=None, key=lambda item: item[:2])
    # Stores by bulk copies and by the host are not seen.
    unseen = kernel.translation.queues or kernel.translation.heap or workers[0].console.apply_pending_stores
    blocked = workers[first[1]] if first and first[2].kind == context.DEADLOCK else None
    return LaunchReply(
        added([worker.counters for worker in workers]),
        sum(int(worker.context[context.PHASES]) for worker in workers),
        sum(int(worker.context[context.MBARRIER_PHASES]) for worker in workers),
        first[2] if first else None,
        kernel.translation,
        blocked.waiting() if blocked else (),
        blocked.registers() if blocked else (),
        "".join(text for worker in workers for text in worker.console.printed),
        workers[first[1]].console.failed if first else "",
        tuple(finding for worker in workers for finding in worker.raw_findings()),
        tuple(note for worker in workers if worker.races for note in worker.races.checks_missed()),
        conflict,
        tuple(workers[0].console.heap.allocated),
        sum(len(worker.console.heap.blocks) for worker in workers),
        None if unseen else sharing.stored_buffers([worker.buffer_uses for worker in workers]),
        added([worker.trips for worker in workers]),
    )


def added(arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The sum of the arrays, which the next launch may use again."""
    first, *others = arrays
    total = first.copy()
    for other in others:
        total += other
    return total


def mixed_buffers(request: LaunchRequest, layout: Translation) -> set[int]:
    """Indices of the buffers that the kernel's text seems both to load from and to store to."""
    offsets = [offset for offset in layout.mixed_params if offset + 8 <= len(request.params)]
    addresses = [int.from_bytes(request.params[offset : offset + 8], "little") for offset in offsets]
    shift = module_shift(request.placement)
    return {
        index
        for index, (low, high) in enumerate(request.buffers)
        if any(
            low <= address < high
            for address in (*addresses, *(mixed_address + shift for mixed_address in layout.mixed_addresses))
        )
    }


def is_conclusive(workers: Sequence[HostThread], kernel: native.NativeKernel, tag: int, parallel: bool) -> bool:
    """Whether the launch `tag` gave the result of CTAs run by rank, and it is known whether CTAs shared bytes.
    `parallel`: whether several threads were allowed to run them, even if only one did.

    If not, the kernel remembers what the next launch must do differently. A launch that lacked records it needed counts
    only if it ran by rank and failed: then sharing does not matter.
    """
    unmarked = sharing.unmarked([worker.buffer_uses for worker in workers])
    if unmarked and (parallel or not workers[0].fault()):
        kernel.marked |= unmarked
        return False
    if not parallel:
        kernel.shares = workers[0].conflict() is not None
        return True
    kernel.shares = any(worker.conflict() for worker in workers) or sharing.shared(
        [worker.records for worker in workers], tag
    )
    return not kernel.shares


def serve(handle: int, requests: Any, answers: Any) -> None:
    """Answer requests until the parent closes the pipe."""
    host, translations = ProcessHost(handle), TranslationCache()
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        answer: LaunchReply | RetryReply | ErrorReply
        try:
            answer = reply_to(request, host)
        except MemoryError:
            gc.collect()  # free what was made before memory ran out
            answer = ErrorReply("LaunchError", "Not enough memory for this launch. Use a smaller size.")
        translations.dump(answer, answers)


def reply_to(request: LaunchRequest, host: ProcessHost) -> LaunchReply | RetryReply | ErrorReply:
    """The reply to one request. Raises MemoryError."""
    try:
        return launch(request, host)
    except PtxbenchError as error:
        return ErrorReply(type(error).__name__, str(error))
    except OSError as error:  # pages that cannot be mapped
        raise MemoryError(str(error)) from None


def exit_with_parent(parent: int) -> None:
    """End this process soon after its parent, even in the middle of a launch."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def serve_parent(handle: int, parent: int, requests: Any, answers: Any) -> None:
    """`serve` in a process that ends with its parent. Ctrl-C is the parent's: it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=exit_with_parent, args=(parent,), daemon=True).start()
    serve(handle, requests, answers)


if __name__ == "__main__":
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output printed by a library must not mix with the answers
    serve_parent(int(sys.argv[1]), int(sys.argv[2]), sys.stdin.buffer, output)
