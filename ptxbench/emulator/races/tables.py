"""The memory for race detection in one sanitized launch, and notes on checks that could not be made."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator import sharing
from ptxbench.emulator.heap import HEAP_BYTES
from ptxbench.emulator.layout import Translation
from ptxbench.emulator.memory import available_memory
from ptxbench.emulator.messages import LaunchRequest
from ptxbench.emulator.pending_stores import PendingStore
from ptxbench.emulator.races import layout as at
from ptxbench.emulator.variation import EVERY_LINE

MOST_SHADOW = 4 << 30
"""The most bytes of global shadow memory: six per byte of the arrays (24 if a kernel accesses single bytes)."""
SURELY_FREE = 16 << 20
"""For a shadow of up to this many bytes, the system is not asked how much memory is free."""
ROW_BYTES = 512 << 20
"""The most bytes of rows. Their pages are touched only if threads synchronize other than by barriers of the CTA."""
MOST_TIMES = 1 << 26
"""The most synchronization events of a launch that get separate times."""
MOST_OBJECTS = 1 << 18
MAPPED_FROM = 1 << 20
"""Arrays of this many bytes or more are mapped, so that a launch clears only the pages that it touches."""
MOST_PROXY_FENCES = 1 << 20
"""The most proxy fences of a launch, each of some lanes of a warp, that are remembered."""


MOST_GRANULES = 3 << 18
"""The most granules of global memory that are tracked, 3 MiB of words. Of larger arrays, every second page or fewer."""
SHARED_BUDGET = 1 << 14
"""Warp accesses to shared memory, about 3 ms, after which the shared memory of most CTAs is not tracked."""
MOST_REUSED = 1 << 30
"""The most bytes of a shadow that is kept for the next launch: to clear pages takes a twentieth of the time of mapping
new ones."""
REUSED: list[NDArray[np.uint8]] = []
"""The shadow that is kept, if any."""
MOST_REPLACED = 1 << 16
"""The most locations with a strong store whose replaced value is kept, in a launch whose loads may give old values."""


def zeroed_shadow(pages: int, page_granules: int, step: int) -> NDArray[np.uint8]:
    """The zeroed shadow of global memory, for every `step`-th page. Only one launch of a process can use it at a
    time."""
    size = 8 * at.SHADOW_ARRAYS * pages * page_granules
    if REUSED and size <= REUSED[0].size:
        REUSED[0][:size].view(np.int64).reshape(at.SHADOW_ARRAYS, pages, page_granules)[:, ::step] = 0
        return REUSED[0]
    fresh = np.zeros(size, np.uint8)
    if size <= MOST_REUSED:
        REUSED[:] = [fresh]
    return fresh


@dataclass
class Tables:
    """The table of layout.py and the arrays that it points to. Shadows are zeroed lazily: only touched pages cost
    memory."""

    table: NDArray[np.int64]
    arrays: list[NDArray[np.uint8]]
    notes: list[str]

    def forget(self, offset: int, size: int) -> None:
        """Mark `size` bytes at `offset` of the arena as never accessed: they are a new block."""
        if not self.table[at.GLOBAL_SHADOW]:
            return
        bits, granules = int(self.table[at.GLOBAL_BITS]), int(self.table[at.GLOBAL_GRANULES])
        first, end = offset >> bits, (offset + size - 1 >> bits) + 1
        for number in range(at.SHADOW_ARRAYS):
            start = int(self.table[at.GLOBAL_SHADOW]) + 8 * (number * granules + first)
            ctypes.memset(start, 0, 8 * (end - first))

    def checks_missed(self) -> tuple[str, ...]:
        """The checks that were not made, after the launch."""
        more = []
        if self.table[at.SHARED_UP_TO]:
            more.append(
                f"races in shared memory checked in {'clusters' if self.table[at.PLACES] else 'CTAs'} 0 to "
                f"{self.table[at.SHARED_UP_TO]} and in one of {at.CTA_STEP} of the others; use a smaller size to check "
                f"all"
            )
        if self.table[at.OVERFLOW]:
            more.append("race check incomplete: too many synchronization events; use a smaller size")
        if self.table[at.FENCES_LOGGED] == self.table[at.FENCE_LOG_SIZE]:
            more.append("missing proxy fences not checked to the end: there are too many fences; use a smaller size")
        return (*self.notes, *more)


def stamp_pending_stores(
    stamps: NDArray[np.int64], pending_stores: Sequence[PendingStore], bits: int, step: int
) -> None:
    """Stamp the stores of a launch before this one. `bits`: log2 of a granule; every `step`-th page is tracked."""
    for store in pending_stores:
        offsets = store.offset + store.positions
        tracked = offsets[offsets >> at.PAGE_BITS & step - 1 == 0]
        stamps[tracked >> bits] = at.EARLIER_TIME << 32 | at.NO_SITE


def cluster_places(request: LaunchRequest) -> NDArray[np.int64]:
    """The number of each CTA's cluster and its rank there, shape (CTAs, 2)."""
    z, y, x = np.unravel_index(np.arange(math.prod(request.grid)), request.grid[::-1])
    width, height, depth = request.cluster or (1, 1, 1)
    across, down = request.grid[0] // width, request.grid[1] // height
    number = (z // depth * down + y // height) * across + x // width
    rank = (z % depth * height + y % height) * width + x % width
    return np.stack([number, rank], axis=1)


def lay_out_far(
    table: NDArray[np.int64], request: LaunchRequest, messages: bool, warps: int, ctas: int
) -> tuple[str, ...]:
    """Decide which far entries rows have: of the grid if CTAs send each other messages, of a cluster if there are
    clusters, or none. `warps`: of a CTA. Returns notes about what cannot be checked."""
    size, loads_vary, notes = request.cluster_size, request.variation.loads is not None, []
    whole_grid = messages and warps * ctas <= at.MOST_WARPS
    if messages and not whole_grid:
        notes.append(
            f"races between {'CTAs' if size == 1 else 'clusters'} not checked: they send messages to each other, and "
            f"the grid has {warps * ctas:,} warps; the maximum is {at.MOST_WARPS:,}; use a smaller grid"
        )
    far_ctas = ctas if whole_grid else size if size > 1 else 0
    most_threads = at.MOST_THREADS if size > 1 else at.MOST_THREADS_OF_CTAS
    by_thread = 32 * warps * far_ctas <= most_threads and (size > 1 or not loads_vary)
    stride = 32 * warps if by_thread else warps
    table[at.BETWEEN_CTAS], table[at.FAR_IN_CLUSTER] = whole_grid or not messages, not whole_grid
    table[at.FAR_STRIDE], table[at.FAR_SHIFT], table[at.FAR] = stride, 0 if by_thread else 5, far_ctas * stride
    return tuple(notes)


def make_tables(request: LaunchRequest, translation: Translation, slots: int, shared_bytes: int) -> Tables:
    """Tables for a launch with `slots` resident CTAs, each with `shared_bytes` of shared memory."""
    warps = -(-math.prod(request.block) // 32)
    ctas = math.prod(request.grid)
    table = np.zeros(at.TABLE_SLOTS, np.int64)
    arrays: list[NDArray[np.uint8]] = []
    notes: list[str] = []

    def array(slot: int, size: int) -> NDArray[np.uint8]:
        memory = np.zeros(max(size, 8) + 64, np.uint8) if size < MAPPED_FROM else sharing.zeroed(size + 64)
        arrays.append(memory)
        first = memory.ctypes.data
        table[slot] = first + -first % 64
        return memory[-first % 64 :]

    table[at.NEAR] = 32 * warps if translation.rows else 32
    loads_vary = request.variation.loads is not None
    observes = loads_vary and warps * ctas <= at.MOST_WARPS
    notes += lay_out_far(table, request, translation.messages or observes, warps, ctas)
    cluster, stride = request.cluster_size, int(table[at.FAR_STRIDE])
    table[at.UNFINISHED] = bool(request.pending_stores)
    table[at.WIDTH] = width = int(table[at.NEAR] + table[at.FAR] + table[at.UNFINISHED])
    if translation.clustered:
        array(at.CLUSTER_ROWS, 4 * at.CLUSTER_WORDS * (slots // cluster))
    if cluster > 1:
        array(at.INIT_ROWS, 4 * slots)
        array(at.TOUCHED, 8 * slots * cluster * stride)
        array(at.PLACES, 8 * ctas).view(np.int32)[: 2 * ctas] = cluster_places(request).ravel()
    holders = slots * (129 * warps + 23) + 2  # four per thread, one per warp, the CTA's, its barriers', its cluster's
    objects_rows = 3 * MOST_OBJECTS if translation.rows else 0
    observed_rows = 2 * MOST_REPLACED + slots * (warps + 2) if loads_vary else 0
    rows = min(ROW_BYTES // (4 * width), holders + objects_rows + observed_rows)
    table[at.ROW_COUNT], table[at.FREE_COUNT] = rows, rows - 2
    array(at.ROWS, 4 * width * rows)
    array(at.FREE, 4 * rows)
    table[at.LOG_SIZE] = MOST_TIMES
    table[at.SHARED_BUDGET] = SHARED_BUDGET
    array(at.LOG, 4 * MOST_TIMES).view(np.int32)[at.EARLIER_TIME] = at.EARLIER
    array(at.CTA_ROWS, 4 * slots)
    array(at.CTA_PENDING, 4 * slots)
    array(at.WARP_ROWS, 4 * slots * warps)
    array(at.THREADS_AT, 4 * at.THREAD_WORDS * slots * 32 * warps)
    array(at.BARRIER_ROWS, 4 * 16 * slots)
    table[at.FENCE_LOG_SIZE], table[at.FENCES_LOGGED] = MOST_PROXY_FENCES, 1
    array(at.FENCE_LOG, 4 * at.FENCE_WORDS * MOST_PROXY_FENCES)
    array(at.WARP_FENCES, 4 * slots * warps)
    if any(site.kind == "wgmma" for site in translation.sites):
        table[at.PRODUCT_PIECES] = (shared_bytes >> at.PIECE_BITS) + 1
        array(at.PRODUCT_READS, 4 * slots * warps * int(table[at.PRODUCT_PIECES]))
    table[at.OBJECT_COUNT], table[at.OBJECTS_USED] = MOST_OBJECTS, 1
    array(at.OBJECTS, 4 * at.OBJECT_WORDS * MOST_OBJECTS)
    array(at.FREE_OBJECTS, 4 * MOST_OBJECTS)
    shared_granule, _, global_granule = translation.granules
    table[at.SHARED_BITS], table[at.SHARED_GRANULES] = (
        shared_granule.bit_length() - 1,
        shared_bytes // shared_granule + 1,
    )
    if translation.rows:
        table[at.SHARED_OBJECT_STRIDE] = 4 * (shared_bytes // at.OBJECT_GRANULE + 1)
        array(at.SHARED_OBJECTS, int(table[at.SHARED_OBJECT_STRIDE]) * slots)
        array(at.GLOBAL_OBJECTS, 4 * (request.arena_bytes // at.OBJECT_GRANULE + 1))
    table[at.ARENA_BYTES] = request.arena_bytes
    bits = global_granule.bit_length() - 1
    pages, page_granules = (request.arena_bytes >> at.PAGE_BITS) + 1, 1 << at.PAGE_BITS - bits
    table[at.GLOBAL_BITS], table[at.GLOBAL_GRANULES] = bits, pages * page_granules
    heap_granules = HEAP_BYTES >> bits if translation.heap else 0  # few are touched
    step = 1 << ((pages * page_granules - heap_granules - 1) // MOST_GRANULES).bit_length()
    size = 8 * at.SHADOW_ARRAYS * pages * page_granules
    if size > SURELY_FREE and size > min(MOST_SHADOW, available_memory() // 2):
        notes.append(
            f"races in global memory not checked: the arrays of {request.arena_bytes / 1e6:,.0f} MB need "
            f"{size / 1e6:,.0f} MB to track accesses; use a smaller size"
        )
    else:
        table[at.SKIPPED_PAGES] = step - 1
        arrays.append(zeroed_shadow(pages, page_granules, step))
        table[at.GLOBAL_SHADOW] = arrays[-1].ctypes.data
        stamp_pending_stores(arrays[-1][:size].view(np.int64), request.pending_stores, bits, step)
        if step > 1:
            notes.append(
                f"races in global memory checked on one page of 4 KiB in {step}: the arrays have "
                f"{request.arena_bytes / 1e6:,.0f} MB; use a smaller size to check all"
            )
    strengths = array(at.STRENGTH, translation.slots)
    table[at.STRENGTH_SIZE] = translation.slots
    for site in translation.sites:
        strengths[site.slot] = site.strength
    if loads_vary:
        old_sites = array(at.OLD_SITES, translation.slots)
        for site in translation.sites:
            old_sites[site.slot] = request.variation.loads in (EVERY_LINE, translation.steps[site.step].line)
        table[at.REPLACED_COUNT] = MOST_REPLACED
        array(at.REPLACED, 4 * at.REPLACED_WORDS * (MOST_REPLACED + 1))
        array(at.REPLACED_INDEX, request.arena_bytes + 8)
        array(at.HIDDEN, 8 * at.HIDDEN_LONGS * 32)
        array(at.OBSERVED_ROWS, 4 * slots * (warps + 1))
        array(at.SC_WAITING, 4 * slots)
    return Tables(table, arrays, notes)
