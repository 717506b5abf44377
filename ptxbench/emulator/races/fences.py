"""Fences of threads. Compiled by numba."""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import (
    LANES,
    allocated_row,
    cta_pending,
    cta_row,
    cta_slot,
    join,
    join_all,
    join_scope,
    learn,
    live_lanes,
    publish,
    release_row,
    thread_words,
    tick,
    warp_row,
)
from ptxbench.emulator.races.pointers import compiled, longs_at, words_at
from ptxbench.emulator.races.reports import IN_SHARED, space_of
from ptxbench.emulator.runtime import context


@compiled
def fence(env: Any, r: Any, lanes: Any, flags: Any) -> None:
    """`lanes` execute a fence. It releases their accesses up to now, and acquires what they have read from other
    threads, depending on `flags`."""
    now = env[context.TIME]
    releases, scope = flags & at.FENCE_RELEASES, at.OF_CTA
    if flags & at.FENCES_CLUSTER:
        scope = at.OF_CLUSTER
    if flags & at.FENCES_GPU:
        scope = 0
    r[at.FENCED] = 1
    for lane in range(LANES):
        if lanes >> lane & 1:
            address = thread_words(env, r, env[context.WARP] * LANES + lane)
            words = words_at(address)
            if releases:
                words[at.FENCE_CTA] = now
            if releases and scope != at.OF_CTA:
                words[at.FENCE_CLUSTER] = now
            if releases and scope == 0:
                words[at.FENCE_GPU] = now
            if flags & at.FENCE_ACQUIRES and words[at.PENDING_ROW]:
                take_pending(env, r, address, scope)
    if flags & at.FENCE_IS_SC and scope == 0:
        learn_of_others(env, r, env[context.WARP], lanes, words_at(cta_pending(env, r))[0])
    if r[at.OLD_SITES] and flags & at.FENCE_IS_SC and scope != at.OF_CTA:
        execute_sc(env, r, lanes)
    tick(env, r)


@compiled
def order_row(env: Any) -> Any:
    """Address of the number of the row with what fence.sc of all CTAs have released."""
    return env[context.RACES] + 8 * at.SC_ROW


@compiled
def waiting_row(env: Any, r: Any) -> Any:
    """Address of the number of the row with what fence.sc of the CTA release when it next accesses global memory."""
    return r[at.SC_WAITING] + 4 * cta_slot(env)


@compiled
def execute_sc(env: Any, r: Any, lanes: Any) -> None:
    """`lanes` execute a fence.sc. It synchronizes with those before it.

    Which of two comes first is the order of time, with one exception: a fence.sc comes after those that are executed
    before its CTA accesses global memory again. No access shows another order, so they may have been executed first:
    it does not replace a missing fence before an atomic that precedes it. (PTX ISA, "Fence-SC".)
    """
    learn(env, r, env[context.WARP], lanes, words_at(order_row(env))[0])
    publish(env, r, lanes, waiting_row(env, r), -1, False)


@compiled
def order_fences(env: Any, r: Any) -> None:
    """The CTA is about to access global memory: fence.sc that it has executed come before later ones, and after all
    others up to now."""
    waiting = waiting_row(env, r)
    if words_at(waiting)[0]:
        join_all(r, cta_row(env, r), words_at(order_row(env))[0])
        join_all(r, order_row(env), words_at(waiting)[0])
        release_row(r, waiting)


@compiled
def reach_global(env: Any, r: Any, mask: Any, address_list: Any) -> Any:
    """Whether one of the lanes has an address outside shared memory."""
    addresses = longs_at(address_list)
    for lane in range(LANES):  # noqa: SIM110  for numba
        if mask >> lane & 1 and space_of(env, r, addresses[lane], 1) != IN_SHARED:
            return True
    return False


@compiled
def take_pending(env: Any, r: Any, thread: Any, scope: Any) -> None:
    """A thread (the address of its words) acquires what it has read, within the scope of its fence."""
    words = words_at(thread)
    join_scope(env, r, thread + 4 * at.OWN_ROW, words[at.PENDING_ROW], scope)
    if scope == 0:
        release_row(r, thread + 4 * at.PENDING_ROW)
        words[at.SEEN] = 0


@compiled
def learn_of_others(env: Any, r: Any, warp: Any, lanes: Any, source: Any) -> None:
    """`lanes` execute a fence.sc after a barrier: they acquire what other threads had read before the barrier, of other
    CTAs, which is row `source`.

    It was released by a fence, too. If both are fence.sc, the first one comes before the second one, because the other
    order would contradict the read: so they synchronize. (PTX ISA, "Fence-SC".)
    """
    if source == 0:
        return
    whole = lanes == live_lanes(env, warp)
    for lane in range(1 if whole else LANES):
        if whole or lanes >> lane & 1:
            own = thread_words(env, r, warp * LANES + lane) + 4 * at.OWN_ROW
            join(r, allocated_row(r, warp_row(env, r, warp) if whole else own), source, r[at.NEAR], r[at.WIDTH])
