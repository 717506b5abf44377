"""mbarriers: what arrivals release and waits acquire, and misuse. Compiled by numba.

The use of an mbarrier must be ordered after its initialisation, and its invalidation after every use. A phase must not
complete before the copies to it.
"""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import (
    LANES,
    allocated_row,
    cta_slot,
    far_first,
    join_all,
    knows,
    learn,
    publish,
    release_row,
    row,
    thread_words,
    tick,
)
from ptxbench.emulator.races.objects import ensure_object, forget, known_object, object_slot
from ptxbench.emulator.races.pointers import compiled, longs_at, words_at
from ptxbench.emulator.races.proxies import fenced, fenced_by
from ptxbench.emulator.races.reports import check_zone, note_touch, report, stamp_of
from ptxbench.emulator.runtime import context, kinds

NO_MBARRIER = 0xFFFFFFFF
"""The address of the mbarrier of a copy that has none."""


@compiled
def slot_of(env: Any, r: Any, lane: Any, address: Any, site: Any) -> Any:
    """`object_slot` of an address in the current CTA's shared memory, where a lane uses an mbarrier."""
    check_zone(env, r, cta_slot(env), lane, address, site)
    return object_slot(env, r, context.SHARED_WINDOW + address, False)


@compiled
def initialise(env: Any, r: Any, lane: Any, address: Any, site: Any) -> None:
    """A lane initialises an mbarrier."""
    slot = slot_of(env, r, lane, address, site)
    if slot == 0:
        return
    sync_object = known_object(r, slot)
    if sync_object and words_at(sync_object)[at.STARTED]:
        report(env, kinds.STARTED_AGAIN, site, lane, address, words_at(sync_object)[at.STARTER], env[context.CTA] << 1)
    forget(r, slot)
    sync_object = ensure_object(r, slot)
    if sync_object:
        words_at(sync_object)[at.STARTED], words_at(sync_object)[at.STARTER] = (
            env[context.TIME],
            stamp_of(env, site, env[context.WARP] * LANES + lane),
        )


@compiled
def invalidate(env: Any, r: Any, lane: Any, address: Any, site: Any) -> None:
    """A lane invalidates an mbarrier: the last use by every thread must be ordered before it."""
    slot = slot_of(env, r, lane, address, site)
    sync_object = known_object(r, slot)
    if sync_object == 0:
        return
    check_initialised(env, r, sync_object, lane, address, site)
    uses = row(r, words_at(sync_object)[at.USES_ROW])
    if r[at.NEAR] > LANES:
        for other in range(env[context.WARP_COUNT] * LANES):
            time = uses[other]
            if time and not knows(env, r, env[context.WARP] * LANES + lane, other, env[context.CTA], False, time):
                no_site = (1 << at.SITE_BITS) - 1 << at.THREAD_BITS
                report(env, kinds.ENDED_IN_USE, site, lane, address, no_site | other, env[context.CTA] << 1)
    forget(r, slot)


@compiled
def released_in_cluster(env: Any, r: Any, words: Any) -> Any:
    """Whether the thread that has initialised an mbarrier has then executed a fence.mbarrier_init, in a cluster.

    That is enough there, also for the async proxy: a relaxed arrival at the barrier of the cluster may follow it, which
    tells the clocks nothing.
    """
    starter = words[at.STARTER] & (1 << at.THREAD_BITS) - 1
    return env[context.CLUSTER_STATE] and fenced_by(env, r, starter, starter, words[at.STARTED], at.OF_START)


@compiled
def check_initialised(env: Any, r: Any, sync_object: Any, lane: Any, address: Any, site: Any) -> None:
    """A lane uses an mbarrier (the address of its words): the initialisation must be ordered before the use."""
    words = words_at(sync_object)
    if words[at.STARTED] == 0 or r[at.OVERFLOW]:
        return
    thread, starter = env[context.WARP] * LANES + lane, words[at.STARTER] & (1 << at.THREAD_BITS) - 1
    if not released_in_cluster(env, r, words) and not knows(
        env, r, thread, starter, env[context.CTA], False, words[at.STARTED]
    ):
        report(env, kinds.START_UNORDERED, site, lane, address, words[at.STARTER], env[context.CTA] << 1)
    if r[at.NEAR] > LANES:
        row(r, allocated_row(r, sync_object + 4 * at.USES_ROW))[thread] = env[context.TIME]


@compiled
def arrive_in_phase(env: Any, r: Any, sync_object: Any, lane: Any, address: Any, site: Any) -> None:
    """A lane's arrival must be ordered after all arrivals of the phase before: else it may count for that phase.

    This is not checked after an arrival that releases nothing, or one of `cp.async`: such arrivals order threads in
    time, but the clocks do not show it.
    """
    words, thread = words_at(sync_object), env[context.WARP] * LANES + lane
    if words[at.EARLIER_ROW]:
        earlier = row(r, words[at.EARLIER_ROW])
        for other in range(env[context.WARP_COUNT] * LANES):
            time = earlier[other]
            if time and not knows(env, r, thread, other, env[context.CTA], False, time):
                no_site = (1 << at.SITE_BITS) - 1 << at.THREAD_BITS
                report(env, kinds.EARLY_ARRIVAL, site, lane, address, no_site | other, env[context.CTA] << 1)
                break
    row(r, allocated_row(r, sync_object + 4 * at.PHASE_ROW))[thread] = env[context.TIME]


@compiled
def complete_phase(env: Any, r: Any, sync_object: Any, lane: Any, address: Any, site: Any) -> None:
    """Threads that wait from now on acquire what all arrivals so far have released. All copies to the mbarrier must be
    complete."""
    words = words_at(sync_object)
    words[at.PHASE_ROW], words[at.EARLIER_ROW] = words[at.EARLIER_ROW], words[at.PHASE_ROW]
    release_row(r, sync_object + 4 * at.PHASE_ROW)
    if words[at.ARRIVED_ROW]:
        join_all(r, sync_object + 4 * at.COMPLETE_ROW, words[at.ARRIVED_ROW])
    if words[at.UNDONE_BYTES] > 0:
        report(env, kinds.EARLY_PHASE, site, lane, address, words[at.EXPECTER], words[at.UNDONE_BYTES])


@compiled
def arrive(env: Any, r: Any, lane: Any, address: Any, site: Any, flags: Any) -> None:
    """A lane arrives at an mbarrier, or changes the bytes that it expects.

    If it has no release semantics, it publishes only accesses before a fence.
    """
    sync_object = ensure_object(r, slot_of(env, r, lane, address, site))
    if sync_object == 0:
        return
    check_initialised(env, r, sync_object, lane, address, site)
    if flags & at.EXPECTS:
        words_at(sync_object)[at.EXPECTER] = stamp_of(env, site, env[context.WARP] * LANES + lane)
    if flags & at.ARRIVAL_RELEASES == 0:
        r[at.LOOSE_ARRIVALS] = 1
    elif r[at.NEAR] > LANES and r[at.OVERFLOW] == 0 and r[at.LOOSE_ARRIVALS] == 0:
        arrive_in_phase(env, r, sync_object, lane, address, site)
    if flags & at.ARRIVAL_RELEASES or r[at.FENCED]:
        fence = -1 if flags & at.ARRIVAL_RELEASES else at.FENCE_CTA
        publish(env, r, 1 << lane, sync_object + 4 * at.ARRIVED_ROW, fence, True)
        tick(env, r)
    if flags & at.COMPLETES:
        complete_phase(env, r, sync_object, lane, address, site)


@compiled
def expect_copy(env: Any, r: Any, lane: Any, address: Any, site: Any, size: Any) -> None:
    """A lane issues a copy that will complete `size` bytes at an mbarrier, in the async proxy."""
    if address == NO_MBARRIER:
        return
    sync_object = ensure_object(r, slot_of(env, r, lane, address, site))
    if sync_object == 0:
        return
    check_initialised(env, r, sync_object, lane, address, site)
    words = words_at(sync_object)
    words[at.UNDONE_BYTES] += size
    thread, starter = env[context.WARP] * LANES + lane, words[at.STARTER] & (1 << at.THREAD_BITS) - 1
    if words[at.STARTED] == 0 or released_in_cluster(env, r, words):
        return
    if not fenced(env, r, thread, starter, words[at.STARTED], at.PROXY_SHARED | at.OF_START):
        report(env, kinds.START_UNFENCED, site, lane, address, words[at.STARTER], env[context.CTA] << 1)


@compiled
def complete_bytes(env: Any, r: Any, lane: Any, address: Any, site: Any, size: Any, completes: Any) -> None:
    """A lane's copy has completed, and its mbarrier counts it."""
    sync_object = ensure_object(r, slot_of(env, r, lane, address, site))
    if size == 0:
        r[at.LOOSE_ARRIVALS] = 1
    if sync_object:
        words_at(sync_object)[at.UNDONE_BYTES] = max(0, words_at(sync_object)[at.UNDONE_BYTES] - size)
        times, thread = row(r, allocated_row(r, sync_object + 4 * at.ARRIVED_ROW)), env[context.WARP] * LANES + lane
        if env[context.CTA] == longs_at(env[context.CTA_STATE] + context.CTA_RANK)[0]:
            times[thread if r[at.NEAR] > LANES else lane] = env[context.TIME]
        else:  # another CTA of the cluster has issued it
            times[far_first(env, r, env[context.CTA]) + (thread >> r[at.FAR_SHIFT])] = env[context.TIME]
            note_touch(env, r, cta_slot(env), thread, stamp_of(env, site, thread))
        if completes:
            complete_phase(env, r, sync_object, lane, address, site)
        tick(env, r)


@compiled
def wait(env: Any, r: Any, mask: Any, address_list: Any, site: Any, acquires: Any) -> None:
    """Lanes have seen the phases of their mbarriers complete. They acquire what the arrivals have released, immediately
    (`acquires`) or at their next fence."""
    addresses, remaining = longs_at(address_list), mask
    while remaining:
        lowest = 0
        while not remaining >> lowest & 1:
            lowest += 1
        same_address = 0
        for lane in range(lowest, LANES):
            if remaining >> lane & 1 and addresses[lane] == addresses[lowest]:
                same_address |= 1 << lane
        remaining &= ~same_address
        sync_object = known_object(r, object_slot(env, r, addresses[lowest], False))
        if sync_object:
            for lane in range(lowest, LANES):
                if same_address >> lane & 1:
                    check_initialised(env, r, sync_object, lane, addresses[lowest] - context.SHARED_WINDOW, site)
            complete = words_at(sync_object)[at.COMPLETE_ROW]
            if acquires:
                learn(env, r, env[context.WARP], same_address, complete)
                continue
            for lane in range(lowest, LANES):
                if same_address >> lane & 1 and complete:
                    join_all(r, thread_words(env, r, env[context.WARP] * LANES + lane) + 4 * at.PENDING_ROW, complete)
