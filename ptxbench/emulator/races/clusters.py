"""Order and lifetime in clusters: their barriers, and accesses to the shared memory of a CTA that exits. Compiled by
numba.

The phase of a cluster's barrier completes in runtime/clusters.py; the next event of the cluster finds this here.
"""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import (
    LANES,
    allocated_row,
    cta_row,
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
    warp_row,
)
from ptxbench.emulator.races.mbarriers import complete_phase
from ptxbench.emulator.races.objects import ensure_object, object_slot
from ptxbench.emulator.races.pointers import compiled, longs_at, words_at
from ptxbench.emulator.races.reports import check_start, check_zone, cta_of_address, note_touch, report, stamp_of
from ptxbench.emulator.runtime import context, kinds


@compiled
def cluster_words(env: Any, r: Any) -> Any:
    """Address of the words of the current cluster."""
    return r[at.CLUSTER_ROWS] + 4 * at.CLUSTER_WORDS * (env[context.CLUSTER_SLOT] // env[context.CLUSTER_SIZE])


@compiled
def open_cta(env: Any, r: Any) -> None:
    """The current CTA starts: no other has accessed its memory yet. The first one starts the cluster."""
    if r[at.TOUCHED]:
        count = env[context.CLUSTER_SIZE] * r[at.FAR_STRIDE]
        touched = longs_at(r[at.TOUCHED] + 8 * cta_slot(env) * count)
        for i in range(count):
            touched[i] = 0
        release_row(r, init_row(env, r))
    if env[context.CLUSTER_RANK] == 0:
        words = cluster_words(env, r)
        release_row(r, words + 4 * at.CLUSTER_ARRIVED)
        release_row(r, words + 4 * at.CLUSTER_MET)
        release_row(r, words + 4 * at.CLUSTER_INITS)
        release_row(r, words + 4 * at.CLUSTER_INITS_MET)
        words_at(words)[at.CLUSTER_PARITY] = 0
        r[at.MESSAGES_OPEN] = 0


@compiled
def refresh_phase(env: Any, r: Any, words: Any) -> None:
    """If a phase of the barrier is complete: lanes that wait from now on acquire what its arrivals released."""
    parity = words_at(env[context.CLUSTER_STATE])[context.CLUSTER_PHASE >> 2]
    if words_at(words)[at.CLUSTER_PARITY] != parity:
        words_at(words)[at.CLUSTER_PARITY] = parity
        join_all(r, words + 4 * at.CLUSTER_MET, words_at(words)[at.CLUSTER_ARRIVED])
        release_row(r, words + 4 * at.CLUSTER_ARRIVED)
        join_all(r, words + 4 * at.CLUSTER_INITS_MET, words_at(words)[at.CLUSTER_INITS])
        release_row(r, words + 4 * at.CLUSTER_INITS)


@compiled
def arrive(env: Any, r: Any, lanes: Any, releases: Any) -> None:
    """Lanes arrive at the barrier of their cluster. A relaxed arrival publishes only accesses before a fence."""
    words, near_only = cluster_words(env, r), r[at.FAR] == 0
    refresh_phase(env, r, words)
    if releases:
        publish(env, r, lanes, words + 4 * at.CLUSTER_ARRIVED, -1, near_only)
    elif r[at.FENCED]:
        publish(env, r, lanes, words + 4 * at.CLUSTER_ARRIVED, at.FENCE_CLUSTER, near_only)
    if not near_only:  # the arrival shows that these threads have started
        times, first = row(r, allocated_row(r, words + 4 * at.CLUSTER_ARRIVED)), far_first(env, r, env[context.CTA])
        for lane in range(LANES):
            if lanes >> lane & 1:
                entry = first + (env[context.WARP] * LANES + lane >> r[at.FAR_SHIFT])
                times[entry] = max(times[entry], env[context.TIME_OF_START])
                fence = words_at(thread_words(env, r, env[context.WARP] * LANES + lane))[at.FENCE_INIT]
                if fence:
                    inits = row(r, allocated_row(r, words + 4 * at.CLUSTER_INITS))
                    inits[entry] = max(inits[entry], fence)
    tick(env, r)


@compiled
def wait(env: Any, r: Any, lanes: Any) -> None:
    """Lanes have waited for the phase in which they arrived."""
    words = cluster_words(env, r)
    refresh_phase(env, r, words)
    learn(env, r, env[context.WARP], lanes, words_at(words)[at.CLUSTER_MET])
    if lanes and r[at.INIT_ROWS]:
        join_all(r, init_row(env, r), words_at(words)[at.CLUSTER_INITS_MET])


@compiled
def init_row(env: Any, r: Any) -> Any:
    """Address of the number of a row: fences of initialised mbarriers that the current CTA knows by relaxed arrivals.
    All its threads know them as soon as one has waited."""
    return r[at.INIT_ROWS] + 4 * cta_slot(env)


@compiled
def check_initialised_in_cluster(
    env: Any, r: Any, sync_object: Any, target: Any, lane: Any, address: Any, site: Any
) -> None:
    """A lane uses an mbarrier (the address of its words) of the CTA at the place `target`.

    The initialisation must be ordered before the use: as any access, or by a fence.mbarrier_init and any arrival at the
    cluster's barrier.
    """
    words = words_at(sync_object)
    if words[at.STARTED] == 0 or r[at.OVERFLOW] or r[at.FAR] == 0:
        return
    owner = longs_at(env[context.CTA_HEADERS] + target * context.CTA_BYTES + context.CTA_RANK)[0]
    thread, starter = env[context.WARP] * LANES + lane, words[at.STARTER] & (1 << at.THREAD_BITS) - 1
    if knows(env, r, thread, starter, owner, False, words[at.STARTED]):
        return
    entry = far_first(env, r, owner) + (starter >> r[at.FAR_SHIFT])
    if row(r, words_at(init_row(env, r))[0])[entry] < words[at.STARTED]:
        report(env, kinds.START_UNORDERED, site, lane, address, words[at.STARTER], owner << 1)


@compiled
def arrive_at_mbarrier(env: Any, r: Any, lane: Any, address: Any, site: Any, flags: Any) -> None:
    """A lane arrives at an mbarrier of a CTA of the cluster. `flags`: whether it releases, and completes the phase."""
    target, thread = cta_of_address(env, address), env[context.WARP] * LANES + lane
    if target < 0:
        return
    check_start(env, r, target, thread, site, address)
    check_zone(env, r, target, lane, address, site)
    note_touch(env, r, target, thread, stamp_of(env, site, thread))
    sync_object = ensure_object(r, object_slot(env, r, context.SHARED_WINDOW + address, True))
    if sync_object:
        check_initialised_in_cluster(env, r, sync_object, target, lane, address, site)
        if flags & at.ARRIVAL_RELEASES or r[at.FENCED]:
            fence = -1 if flags & at.ARRIVAL_RELEASES else at.FENCE_CLUSTER
            publish(env, r, 1 << lane, sync_object + 4 * at.ARRIVED_ROW, fence, target == cta_slot(env))
            tick(env, r)
        if flags & at.COMPLETES:
            complete_phase(env, r, sync_object, lane, address, site)


@compiled
def close_cta(env: Any, r: Any) -> None:
    """The current CTA has exited. Some thread of it must have known each access of other CTAs to its memory: else the
    access may come after the exit."""
    if r[at.MESSAGES_OPEN]:  # pending messages do not concern the next CTA in this place
        stamps = longs_at(env[context.SHADOW])
        for index in range(r[at.SHARED_GRANULES]):
            if stamps[index] >> 32 == at.PENDING:
                stamps[index] = 0
    if r[at.TOUCHED] == 0 or r[at.OVERFLOW]:
        return
    stride, size = r[at.FAR_STRIDE], env[context.CLUSTER_SIZE]
    touched = longs_at(r[at.TOUCHED] + 8 * cta_slot(env) * size * stride)
    known_row, gathered = cta_row(env, r), False
    for index in range(size * stride):
        stamp = touched[index]
        if stamp == 0:
            continue
        if not gathered:
            gathered = True
            for warp in range(env[context.WARP_COUNT]):
                join_all(r, known_row, words_at(warp_row(env, r, warp))[0])
                for lane in range(LANES):
                    join_all(r, known_row, words_at(thread_words(env, r, warp * LANES + lane))[at.OWN_ROW])
        header = env[context.CTA_HEADERS] + (env[context.CLUSTER_SLOT] + index // stride) * context.CTA_BYTES
        other_cta = longs_at(header + context.CTA_RANK)[0]
        if row(r, words_at(known_row)[0])[far_first(env, r, other_cta) + index % stride] < stamp >> 32:
            report_access_after_exit(env, stamp, other_cta)


@compiled
def report_access_after_exit(env: Any, stamp: Any, other_cta: Any) -> None:
    """Report the access of another CTA that is not ordered before the current CTA's exit."""
    cta, warp, thread = env[context.CTA], env[context.WARP], stamp & (1 << at.THREAD_BITS) - 1
    line = longs_at(env[context.CTA_STATE] + context.CTA_EXIT_LINE)[0]
    site = env[context.COUNTERS] + 8 * (stamp >> at.THREAD_BITS & (1 << at.SITE_BITS) - 1)
    env[context.CTA], env[context.WARP] = other_cta, thread >> 5
    report(env, kinds.UNORDERED_EXIT, site, thread & LANES - 1, line << 32 | env[context.CLUSTER_OWN], 0, 0)
    env[context.CTA], env[context.WARP] = cta, warp
