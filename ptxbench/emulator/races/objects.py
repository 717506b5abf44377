"""Synchronization through memory: release to and acquire from locations. Compiled by numba.

The release of a store replaces what was released to the location before; that of an atomic adds to it. (PTX ISA,
"Memory Consistency Model": release and acquire patterns, by one instruction, or by a fence and a strong access.)
"""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import (
    LANES,
    cluster_of,
    cta_slot,
    join_all,
    join_scope,
    live_lanes,
    publish,
    release_row,
    thread_words,
    tick,
    warp_row,
)
from ptxbench.emulator.races.pointers import compiled, longs_at, words_at
from ptxbench.emulator.races.reports import ELSEWHERE, IN_SHARED, cta_of_address, space_of
from ptxbench.emulator.runtime import context


@compiled
def object_slot(env: Any, r: Any, address: Any, in_cluster: Any) -> Any:
    """Address of the word with the number of the object at a generic address; 0 outside all memory.

    `in_cluster`: an address in shared memory has the rank of its CTA.
    """
    owner, offset = cta_slot(env), address - context.SHARED_WINDOW
    if in_cluster and 0 <= offset < 1 << 32:
        owner = cta_of_address(env, offset)
        if owner < 0:
            return 0
        address -= offset >> context.RANK_BITS << context.RANK_BITS
    space = space_of(env, r, address, at.OBJECT_GRANULE)
    if space == ELSEWHERE:
        return 0
    if space == IN_SHARED:
        index = address - context.SHARED_WINDOW >> 2
        return r[at.SHARED_OBJECTS] + owner * r[at.SHARED_OBJECT_STRIDE] + 4 * index if r[at.SHARED_OBJECTS] else 0
    return r[at.GLOBAL_OBJECTS] + 4 * (address - context.GLOBAL_BASE >> 2) if r[at.GLOBAL_OBJECTS] else 0


@compiled
def ensure_object(r: Any, slot: Any) -> Any:
    """Address of the words of the object in the word at `slot`; a new one if the word is 0. Returns 0 if none is
    left."""
    number = words_at(slot)
    if number[0] == 0:
        if r[at.FREE_OBJECT_COUNT]:
            r[at.FREE_OBJECT_COUNT] -= 1
            number[0] = words_at(r[at.FREE_OBJECTS])[r[at.FREE_OBJECT_COUNT]]
        elif r[at.OBJECTS_USED] < r[at.OBJECT_COUNT]:
            number[0] = r[at.OBJECTS_USED]
            r[at.OBJECTS_USED] += 1
        else:
            r[at.OVERFLOW] = 1
            return 0
    return r[at.OBJECTS] + 4 * at.OBJECT_WORDS * number[0]


@compiled
def known_object(r: Any, slot: Any) -> Any:
    """Like `ensure_object`, but 0 if there is no object."""
    number = words_at(slot)[0] if slot else 0
    return r[at.OBJECTS] + 4 * at.OBJECT_WORDS * number if number else 0


@compiled
def forget(r: Any, slot: Any) -> None:
    """Free the object that the word at `slot` names."""
    number = words_at(slot)[0]
    if number:
        clear_releases(r, r[at.OBJECTS] + 4 * at.OBJECT_WORDS * number)
        words_at(r[at.FREE_OBJECTS])[r[at.FREE_OBJECT_COUNT]] = number
        r[at.FREE_OBJECT_COUNT] += 1
        words_at(slot)[0] = 0


@compiled
def clear_releases(r: Any, sync_object: Any) -> None:
    """Clear what was released to an object (the address of its words)."""
    release_row(r, sync_object + 4 * at.WIDE_ROW)
    release_row(r, sync_object + 4 * at.CLUSTER_ROW)
    release_row(r, sync_object + 4 * at.CTA_ROW)
    release_row(r, sync_object + 4 * at.USES_ROW)
    release_row(r, sync_object + 4 * at.PHASE_ROW)
    release_row(r, sync_object + 4 * at.EARLIER_ROW)
    words_at(sync_object)[at.STARTED] = 0
    words_at(sync_object)[at.UNDONE_BYTES] = 0
    words_at(sync_object)[at.VERSION] += 1


@compiled
def acquire_into(env: Any, r: Any, holder: Any, sync_object: Any, flags: Any) -> None:
    """Acquire into the row of `holder` what was released to an object, within the scopes of both."""
    words = words_at(sync_object)
    join_scope(env, r, holder, words[at.WIDE_ROW], flags)
    if cluster_of(r, words[at.HOME]) == cluster_of(r, env[context.CTA]):
        join_scope(env, r, holder, words[at.CLUSTER_ROW], flags & at.OF_CTA)
    if words[at.HOME] == env[context.CTA]:
        join_all(r, holder, words[at.CTA_ROW])


@compiled
def release_to(env: Any, r: Any, lanes: Any, sync_object: Any, flags: Any) -> None:
    """`lanes` release to an object what they know: all of it, or the accesses before a fence."""
    words, near_only = words_at(sync_object), r[at.FAR] == 0
    if words[at.HOME] != env[context.CTA]:
        release_row(r, sync_object + 4 * at.CTA_ROW)
        if cluster_of(r, words[at.HOME]) != cluster_of(r, env[context.CTA]):
            release_row(r, sync_object + 4 * at.CLUSTER_ROW)
    words[at.HOME] = env[context.CTA]
    if flags & at.RELEASES:
        if flags & at.OF_CTA:
            publish(env, r, lanes, sync_object + 4 * at.CTA_ROW, -1, True)
        else:
            publish(
                env,
                r,
                lanes,
                sync_object + 4 * (at.CLUSTER_ROW if flags & at.OF_CLUSTER else at.WIDE_ROW),
                -1,
                near_only,
            )
    elif r[at.FENCED]:
        publish(env, r, lanes, sync_object + 4 * at.CTA_ROW, at.FENCE_CTA, True)
        if not flags & at.OF_CTA:
            publish(env, r, lanes, sync_object + 4 * at.CLUSTER_ROW, at.FENCE_CLUSTER, near_only)
        if not flags & (at.OF_CTA | at.OF_CLUSTER):
            publish(env, r, lanes, sync_object + 4 * at.WIDE_ROW, at.FENCE_GPU, near_only)
    words[at.VERSION] += 1


@compiled
def acquire(env: Any, r: Any, lane: Any, sync_object: Any, flags: Any) -> None:
    """A lane reads an object: it acquires what was released there, immediately or at its next fence."""
    address = thread_words(env, r, env[context.WARP] * LANES + lane)
    words = words_at(address)
    if flags & at.ACQUIRES:
        acquire_into(env, r, address + 4 * at.OWN_ROW, sync_object, flags)
    version, object_offset = words_at(sync_object)[at.VERSION], sync_object - r[at.OBJECTS]
    if (
        words[at.SEEN] != object_offset or words[at.SEEN_VERSION] != version
    ):  # else it was acquired before, or is pending
        words[at.SEEN], words[at.SEEN_VERSION] = object_offset, version
        acquire_into(env, r, address + 4 * at.PENDING_ROW, sync_object, flags)


@compiled
def same_address(addresses: Any, mask: Any) -> Any:
    """Whether all lanes of a mask have the same address."""
    first = -1
    for lane in range(LANES):
        if mask >> lane & 1:
            if first < 0:
                first = addresses[lane]
            elif addresses[lane] != first:
                return False
    return True


@compiled
def strong(env: Any, r: Any, mask: Any, address_list: Any, flags: Any) -> None:
    """Strong accesses of the lanes of a mask, in lane order."""
    addresses, changed = longs_at(address_list), False
    if flags & at.OF_CLUSTER and env[context.CLUSTER_SIZE] == 1:
        flags = flags ^ at.OF_CLUSTER | at.OF_CTA
    acquires_only = flags & at.WRITES == 0 and flags & at.ACQUIRES != 0
    if acquires_only and mask == live_lanes(env, env[context.WARP]) and same_address(addresses, mask):
        for lane in range(LANES):
            if mask >> lane & 1:
                sync_object = known_object(r, object_slot(env, r, addresses[lane], flags & at.IN_CLUSTER))
                if sync_object:
                    acquire_into(env, r, warp_row(env, r, env[context.WARP]), sync_object, flags)
                return
    for lane in range(LANES):
        if not mask >> lane & 1:
            continue
        slot = object_slot(env, r, addresses[lane], flags & at.IN_CLUSTER)
        if slot == 0:
            continue
        sync_object = known_object(r, slot)
        if sync_object and flags & at.READS:
            acquire(env, r, lane, sync_object, flags)
        if flags & at.WRITES:
            if sync_object and not flags & at.READS:
                clear_releases(r, sync_object)
            if flags & at.RELEASES or r[at.FENCED]:
                if sync_object == 0:
                    sync_object = ensure_object(r, slot)
                if sync_object:
                    release_to(env, r, 1 << lane, sync_object, flags)
                    changed = True
    if changed:
        tick(env, r)
