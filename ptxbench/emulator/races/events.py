"""The only function that generated code calls: an event of a sanitized launch. Compiled by numba, once per machine."""

from __future__ import annotations

from typing import Any

from numba import carray, cfunc, types  # type: ignore[attr-defined]

from ptxbench.emulator.races import clusters, messages
from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import (
    LANES,
    cluster_of,
    cta_pending,
    cta_row,
    cta_slot,
    learn,
    live_lanes,
    meet_at_barrier,
    publish,
    release_row,
    sync_warp,
    thread_words,
    tick,
    wait_for_grid,
    warp_row,
)
from ptxbench.emulator.races.fences import fence, order_fences, reach_global, waiting_row
from ptxbench.emulator.races.mbarriers import arrive, complete_bytes, expect_copy, initialise, invalidate, wait
from ptxbench.emulator.races.objects import forget, strong
from ptxbench.emulator.races.observed import forget_observed, share_observed
from ptxbench.emulator.races.old_values import keep_replaced, show_new_values, show_old_values
from ptxbench.emulator.races.pointers import compiled, longs_at, words_at
from ptxbench.emulator.races.products import PIECE, forget_products, track_product
from ptxbench.emulator.races.proxies import fence_proxy, forget_fences
from ptxbench.emulator.races.shadow import access, access_range, complete_copy_write, note_copy_read
from ptxbench.emulator.runtime import barriers, context

AT_ADDRESSES = (
    at.LOAD, at.STORE, at.ATOMIC, at.OVERWRITE, at.READ_ONLY_LOAD, at.STRONG, at.OLD_VALUES, at.VALUES_REPLACED,
)  # fmt: skip
"""Events with an address for each lane, of any space."""
WITHIN_CTA = (
    at.WARP_SYNC, at.BARRIER_MET, at.BARRIER_WAKE, at.BARRIER_ARRIVE, at.FENCE, at.ENTER_CTA, at.OPEN_CTA,
    at.CLOSE_CTA, at.NEW_VALUES,
)  # fmt: skip
"""Events that other CTAs do not notice."""


@compiled
def open_cta(env: Any, r: Any) -> None:
    """The current CTA starts: its threads know nothing of other threads."""
    forget_fences(env, r)
    forget_products(env, r)
    if r[at.OLD_SITES]:
        forget_observed(env, r)
        release_row(r, waiting_row(env, r))
    for thread in range(env[context.WARP_COUNT] * LANES):
        address = thread_words(env, r, thread)
        release_row(r, address + 4 * at.OWN_ROW)
        release_row(r, address + 4 * at.PENDING_ROW)
        release_row(r, address + 4 * (at.KNOWN_SHARED + at.KNOWN_ROW))
        release_row(r, address + 4 * (at.KNOWN_GLOBAL + at.KNOWN_ROW))
        words = words_at(address)
        for i in range(at.THREAD_WORDS):
            words[i] = 0
    for warp in range(env[context.WARP_COUNT]):
        release_row(r, warp_row(env, r, warp))
    release_row(r, cta_row(env, r))
    release_row(r, cta_pending(env, r))
    for barrier in range(16):
        release_row(r, barrier_row(env, r, barrier))
    if r[at.SHARED_OBJECTS]:
        first = r[at.SHARED_OBJECTS] + cta_slot(env) * r[at.SHARED_OBJECT_STRIDE]
        for address in range(first, first + r[at.SHARED_OBJECT_STRIDE], 4):
            if words_at(address)[0]:
                forget(r, address)
    if env[context.CLUSTER_STATE]:
        clusters.open_cta(env, r)


@compiled
def choose_shared(env: Any, r: Any) -> None:
    """Decide whether the current CTA's shared memory is tracked: in a long launch, that of only some CTAs or clusters
    is."""
    unit = cluster_of(r, env[context.CTA])
    if r[at.SHARED_UP_TO] == 0 and r[at.SHARED_SEEN] > r[at.SHARED_BUDGET]:
        r[at.SHARED_UP_TO] = unit
    r[at.SHARED_SKIPPED] = r[at.SHARED_UP_TO] != 0 and unit > r[at.SHARED_UP_TO] and unit % at.CTA_STEP != 0


@compiled
def barrier_row(env: Any, r: Any, barrier: Any) -> Any:
    """Address of the number of a barrier's row: what the threads that have arrived know."""
    return r[at.BARRIER_ROWS] + 4 * (16 * cta_slot(env) + barrier)


@compiled
def leave_barrier(env: Any, r: Any, barrier: Any, warp: Any, lanes: Any) -> None:
    """Lanes of a warp continue after a barrier of some of the threads."""
    learn(env, r, warp, lanes, words_at(barrier_row(env, r, barrier))[0])
    if lanes == live_lanes(env, warp):
        now = env[context.TIME]
        longs_at(env[context.WARPS] + warp * context.WARP_BYTES + context.WARP_SYNC)[0] = now
        if warp == env[context.WARP]:
            env[context.TIME_OF_WARP] = now


@compiled
def complete_barrier(env: Any, r: Any, barrier: Any, everyone: Any) -> None:
    """A barrier is complete, and its waiting threads have continued."""
    if everyone:
        if r[at.OLD_SITES]:
            share_observed(env, r)
        meet_at_barrier(env, r)
    else:
        release_row(r, barrier_row(env, r, barrier))
        tick(env, r)


@compiled
def complete_copy_waits(env: Any, r: Any, lanes: Any) -> None:
    """Lanes have waited for their own copies."""
    for lane in range(LANES):
        if lanes >> lane & 1:
            words_at(thread_words(env, r, env[context.WARP] * LANES + lane))[at.WAITED] = env[context.TIME]
    tick(env, r)


@compiled
def start_copy(env: Any, r: Any, lane: Any, offset: Any, size: Any, site: Any, fills: Any) -> None:
    """A bulk copy is issued that will write shared memory (`fills`) or read it."""
    thread = env[context.WARP] * LANES + lane
    if fills:
        access_range(env, r, at.COPY, True, offset, size, thread, site, at.PROXY, 0)
    else:
        access_range(env, r, at.LOAD, True, offset, size, thread, site, at.ASYNC, 0)
        note_copy_read(env, r, offset, size, thread, site, False)


@compiled
def start_row(env: Any, r: Any, lane: Any, row_offset: Any, site: Any, description: Any) -> None:
    """A store of a box is issued that will read the bytes of a row that lie inside the tensor, and not the others."""
    thread, first, past = (
        env[context.WARP] * LANES + lane,
        description & at.ROW_BITS,
        description >> at.ROW_PAST_AT & at.ROW_BITS,
    )
    mask, shift = description >> at.ROW_MASK_AT & at.ROW_BITS, description >> at.ROW_SHIFT_AT
    for piece in range(first // PIECE * PIECE, past, PIECE):
        swizzled = row_offset + piece ^ (row_offset + piece >> shift & mask)
        begin, end = max(first, piece), min(past, piece + PIECE)
        access_range(env, r, at.LOAD, True, swizzled + begin - piece, end - begin, thread, site, at.ASYNC, 0)
        note_copy_read(env, r, swizzled + begin - piece, end - begin, thread, site, False)


@compiled
def access_global_by_copy(
    env: Any, r: Any, lane: Any, offset: Any, size: Any, site: Any, flags: Any, source: Any
) -> None:
    """A bulk copy's access to global memory. An update is strong and of GPU scope, as with `red`. `source`: as in
    access_range."""
    kind = at.BULK_LOAD if flags == at.GLOBAL_LOADS else at.ATOMIC if flags == at.GLOBAL_UPDATES else at.STORE
    marks = 0 if flags == at.GLOBAL_LOADS else at.PROXY
    access_range(env, r, kind, False, offset, size, env[context.WARP] * LANES + lane, site, marks, source)


@compiled
def noticed_by_others(env: Any, r: Any, event_kind: Any, mask: Any, addresses: Any) -> Any:
    """Whether other CTAs may notice that an event comes after the fences of its CTA."""
    if event_kind in AT_ADDRESSES:
        return reach_global(env, r, mask, addresses)
    return event_kind not in WITHIN_CTA


def event(env_pointer: Any, kind: int, mask: int, addresses: int, site: int, values: int) -> None:
    """Handle one event; the meaning of the arguments depends on its kind (runtime/watch.py)."""
    env = carray(env_pointer, context.ENV_SLOTS)
    r = longs_at(env[context.RACES])
    event_kind = kind & 255
    if r[at.OLD_SITES] and noticed_by_others(env, r, event_kind, mask, addresses):
        order_fences(env, r)
    if event_kind in (at.LOAD, at.STORE, at.ATOMIC, at.OVERWRITE, at.COPY, at.BULK_LOAD, at.READ_ONLY_LOAD):
        access(env, r, kind, mask, addresses, site, values)
    elif event_kind == at.STRONG:
        strong(env, r, mask, addresses, kind >> at.FLAGS_AT)
    elif event_kind == at.WARP_SYNC:
        sync_warp(env, r, mask)
    elif event_kind == at.BARRIER_MET:
        complete_barrier(env, r, mask, site)
    elif event_kind == at.BARRIER_WAKE:
        leave_barrier(env, r, addresses, site, mask)
    elif event_kind == at.BARRIER_ARRIVE:
        if site != barriers.EVERYONE:
            publish(env, r, mask, barrier_row(env, r, addresses), -1, True)
            tick(env, r)
    elif event_kind == at.FENCE:
        fence(env, r, mask, site)
    elif event_kind == at.MBARRIER_WAIT:
        wait(env, r, mask, addresses, site, kind >> at.FLAGS_AT == 0)
    elif event_kind == at.MBARRIER_ARRIVE:
        arrive(env, r, mask, addresses, site, values)
    elif event_kind == at.MBARRIER_BYTES:
        complete_bytes(env, r, mask, addresses, site, values >> 1, values & 1)
    elif event_kind == at.MBARRIER_INIT:
        initialise(env, r, mask, addresses, site)
    elif event_kind == at.MBARRIER_END:
        invalidate(env, r, mask, addresses, site)
    elif event_kind == at.COPY_ANNOUNCED:
        expect_copy(env, r, mask, addresses, site, values)
    elif event_kind == at.PROXY_FENCE:
        fence_proxy(env, r, mask, site)
    elif event_kind in (at.PRODUCT_ISSUED, at.PRODUCT_DONE):
        track_product(env, r, mask, addresses, site, values, event_kind == at.PRODUCT_DONE)
    elif event_kind == at.COPY_DONE:
        complete_copy_write(env, r, addresses, site)
    elif event_kind == at.COPIES_WAITED:
        complete_copy_waits(env, r, mask)
    elif event_kind == at.BULK_SHARED:
        start_copy(env, r, mask, addresses, values >> 1, site, values & 1)
    elif event_kind == at.ROW_SHARED:
        start_row(env, r, mask, addresses, site, values)
    elif event_kind == at.BULK_GLOBAL:
        access_global_by_copy(env, r, mask, addresses, values >> at.GLOBAL_SIZE_AT, site,
                   values & (at.GLOBAL_LOADS | at.GLOBAL_UPDATES), kind >> at.SOURCE_AT)  # fmt: skip
    elif event_kind == at.BULK_TAKEN:
        note_copy_read(env, r, addresses, values >> 1, env[context.WARP] * LANES + mask, site, True)
    elif event_kind == at.ENTER_CTA:
        tick(env, r)
        r[at.OWN_SINCE] = env[context.TIME]
        r[at.GRID_KNOWN] = longs_at(env[context.CTA_STATE] + context.CTA_GRID_KNOWN)[0]
        choose_shared(env, r)
    elif event_kind == at.OPEN_CTA:
        open_cta(env, r)
    elif event_kind == at.GRID_WAIT:
        wait_for_grid(env, r, mask)
    elif event_kind == at.CLUSTER_ARRIVE:
        clusters.arrive(env, r, mask, values)
    elif event_kind == at.CLUSTER_WAIT:
        clusters.wait(env, r, mask)
    elif event_kind == at.CLOSE_CTA:
        clusters.close_cta(env, r)
    elif event_kind == at.MBARRIER_ARRIVE_REMOTE:
        clusters.arrive_at_mbarrier(env, r, mask, addresses, site, values)
    elif event_kind == at.MESSAGE_SENT:
        messages.send(env, r, mask, addresses, site, values, False)
    elif event_kind == at.COPY_SENT:
        messages.send(env, r, mask, addresses, site, values, True)
    elif event_kind == at.COPY_BEGINS:
        messages.begin_copy(env, r)
    elif event_kind == at.COPY_ENDS:
        messages.end_copy(env, r)
    elif event_kind == at.COPY_TAKEN_REMOTE:
        messages.finish_source_read(env, r, addresses, values)
    elif event_kind == at.MESSAGE_DONE:
        messages.complete(env, r, mask, addresses, site, values)
    elif event_kind == at.OLD_VALUES:
        show_old_values(env, r, mask, addresses, kind >> at.BYTES_AT & 255, site, kind >> at.FLAGS_AT)
    elif event_kind == at.VALUES_REPLACED:
        keep_replaced(env, r, mask, addresses, kind >> at.BYTES_AT & 255, kind >> at.FLAGS_AT)
    elif event_kind == at.NEW_VALUES:
        show_new_values(r)


SIGNATURE = types.void(types.CPointer(types.int64), *[types.int64] * 5)  # type: ignore[no-untyped-call]


def compiled_event() -> tuple[str, str]:
    """The name of the compiled function, and its LLVM IR."""
    function = cfunc(SIGNATURE)(event)
    return function.native_name, function.inspect_llvm()
