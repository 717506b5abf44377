"""A host thread of a launch: its memory, the CTAs that it runs, and what it knows when it has ended."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator import native, sharing
from ptxbench.emulator.console import Console
from ptxbench.emulator.findings import RawFinding
from ptxbench.emulator.layout import ADVERSARIAL, BINS, PLAIN, SANITIZE, Translation
from ptxbench.emulator.memory_parts import LINE, MemoryParts
from ptxbench.emulator.messages import (
    OF_CLUSTER,
    OF_POOL,
    CtaConflict,
    Fault,
    LaunchRequest,
    WaitingLanes,
)
from ptxbench.emulator.races.layout import PROXY, SHADOW_ARRAYS, ZONE
from ptxbench.emulator.races.tables import Tables, make_tables
from ptxbench.emulator.runtime import context, kinds, records, register_pool
from ptxbench.emulator.runtime.barriers import REDUCES
from ptxbench.emulator.runtime.sanitize import IN_ZONE
from ptxbench.emulator.thread_memory import CONTEXT, CtaMemory, part_sizes, slots_of, turns_mask
from ptxbench.emulator.variation import addresses, memory
from ptxbench.emulator.zones import zone_granules

WORTH_A_THREAD = 250e-6
"""CPU seconds. If the rest of a launch takes longer, other host threads help. To start one costs half of this."""
KEPT_BYTES = 1 << 16
"""The most memory that a host thread keeps for another launch of the same request."""
CHUNKS = 32
"""Runs of CTAs per host thread: a thread with slow CTAs leaves runs to other threads. A run has neighbouring CTAs,
which mostly touch neighbouring bytes, so few cache lines move between cores."""


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
        cta = CtaMemory.of(request, layout)
        slots = slots_of(request, layout, cta)
        self.kernel, self.queue, self.records = kernel, queue, records_
        self.units = math.prod(request.grid) // (request.cluster_size if layout.clustered else 1)
        parts = self.parts = MemoryParts(part_sizes(request, layout, cta, slots))
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
        heap = layout.heap and layout.heap + request.module_shift
        shared_bytes = layout.shared_bytes + request.dynamic_shared_bytes
        field_values = {
            **addresses(request.placement, request.arch, layout.reserved_bytes, shared_bytes),
            **memory(request.variation.memory, request.variation.unwritten),
        }
        self.console = Console(self.context, request.buffers, bounds, field_values, heap, layout.heap_margin)
        steps = {"last first": -1, "first alone": self.units, "last alone": self.units}
        settings = {
            **parts.addresses,
            **records_.settings(layout.granule_shift),
            context.DELTA: arena - context.GLOBAL_BASE,
            context.SHARED_STRIDE: cta.shared_stride,
            context.SHARED_BYTES: cta.shared_bytes,
            context.LOCAL_BYTES: layout.local_bytes,
            context.REGISTER_BYTES: layout.register_bytes,
            context.LOOPS: len(layout.loops),
            context.TRIPS_AT: layout.trips_at,
            context.HALVES: request.mode == ADVERSARIAL,
            context.FUEL_PER_WARP: request.fuel,
            # From the last CTA on, the rank wraps below 0 and exceeds any count, which ends the loop.
            context.FIRST_CTA: self.units - 1 if request.ctas.startswith("last") else 0,
            context.CTA_COUNT: self.units,
            context.CHUNK: queue.chunk,
            context.NEXT_CHUNK: queue.next.ctypes.data,
            context.CTA_STEP: steps.get(request.ctas, 1),
            context.BY_TURNS: turns_mask(request, layout),
            context.WARP_COUNT: cta.warps,
            context.THREADS: math.prod(request.block),
            context.CTA_SLOTS: slots,
            context.SHADOW_STRIDE: cta.shadow_bytes,
            context.LOCAL_SHADOW_STRIDE: cta.local_shadow_bytes,
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
            self.mark_zones(slots, cta.warps)
            self.races = make_tables(request, layout, slots, cta.shared_bytes)
            settings[context.RACES] = self.races.table.ctypes.data
            settings[context.EVENT] = native.event_function()
            self.console.forget = self.races.forget
        for slot, value in settings.items():
            self.context[slot] = value
        plain = request.mode == PLAIN and not request.pending_stores and not layout.heap
        self.initial = parts.memory.copy() if plain and parts.memory.size <= KEPT_BYTES else None
        """Its memory before a launch, if it can be used for another one."""

    def mark_zones(self, slots: int, warps: int) -> None:
        """Mark the zones of shared and of local memory in their shadows."""
        translation = self.kernel.translation
        shared, local, _ = translation.granules
        stamps = self.parts.view(context.FIRST_SHADOW).view(np.int64).reshape(slots, -1)
        for granules in zone_granules(translation.variables, "shared", shared):
            stamps[:, granules] = ZONE << 32 | PROXY
        if not translation.has_dynamic:
            last = stamps.shape[1] // SHADOW_ARRAYS
            stamps[:, -(-translation.shared_bytes // shared) : last] = ZONE << 32 | PROXY
        times = self.parts.view(context.FIRST_LOCAL_SHADOW).view(np.int32).reshape(slots, -1)
        in_row = translation.local_bytes // local
        threads = times[:, : 32 * warps * in_row].reshape(slots, 32 * warps, in_row)
        for granules in zone_granules(translation.variables, "local", local):
            threads[:, :, granules] = IN_ZONE

    def reset_for(self, tag: int) -> HostThread:
        """This thread for the launch `tag` of the same request, which takes a quarter of the time of a new one."""
        assert self.initial is not None
        self.parts.memory[:] = self.initial
        self.console.printed.clear()
        self.context[context.LAUNCH] = tag
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
        if not (site := int(self.context[context.CONFLICT_SITE])):
            return None
        granule, cta, earlier = (
            int(self.context[slot]) for slot in (context.CONFLICT_AT, context.CONFLICT_CTA, context.CONFLICT_USE)
        )
        use = next(name for name, bit in records.USE_BITS.items() if bit & earlier)
        return CtaConflict(site // 8, granule << self.kernel.translation.granule_shift, cta, use)

    def fault(self) -> Fault | None:
        """The fault of a CTA of this thread, if there is one."""
        if not (kind := int(self.context[context.FAULT_KIND])):
            return None
        site, lane, address, cta, warp = (
            int(self.context[slot])
            for slot in (
                context.FAULT_SITE, context.FAULT_LANE, context.FAULT_ADDRESS, context.FAULT_CTA, context.FAULT_WARP,
            )
        )  # fmt: skip
        return Fault(kind, site // 8, lane, address & (1 << 64) - 1, cta, warp)

    def raw_findings(self) -> list[RawFinding]:
        """The findings of the watches."""
        if not (count := int(self.context[context.FINDING_COUNT])):
            return []
        rows = self.parts.view(context.FINDINGS).view(np.int64).reshape(-1, kinds.FINDING_SLOTS)[:count]
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
