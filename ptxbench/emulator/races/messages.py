"""Asynchronous stores and bulk copies to CTAs of a cluster: pending from when they are sent until their mbarrier counts
them. Compiled by numba."""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import LANES, allocated_row, far_first, row, tick
from ptxbench.emulator.races.clusters import check_initialised_in_cluster
from ptxbench.emulator.races.mbarriers import complete_phase
from ptxbench.emulator.races.objects import ensure_object, object_slot
from ptxbench.emulator.races.pointers import compiled, longs_at, words_at
from ptxbench.emulator.races.products import has_product_read
from ptxbench.emulator.races.reports import (
    check_start,
    check_zone,
    cta_of_address,
    note_touch,
    reaches_zone,
    report,
    stamp_of,
    strength,
)
from ptxbench.emulator.races.shadow import touch
from ptxbench.emulator.runtime import context, kinds


@compiled
def send(env: Any, r: Any, lane: Any, address: Any, site: Any, description: Any, in_proxy: Any) -> None:
    """A lane sends a store, a copy or an update to an address of the cluster: it must be ordered after the earlier
    accesses there. `in_proxy`: it is a bulk copy, in the async proxy."""
    size, updates = description >> at.MESSAGE_SIZE_AT & at.MESSAGE_SIZES, description & at.MESSAGE_UPDATES
    target, offset = cta_of_address(env, address), address & (1 << context.RANK_BITS) - 1
    thread, slot = env[context.WARP] * LANES + lane, site - env[context.COUNTERS] >> 3
    if target < 0:
        return
    check_start(env, r, target, thread, site, address)
    r[at.MESSAGES_OPEN] += 1
    r[at.TARGET] = target
    barrier = description >> at.MESSAGE_BARRIER_AT
    check_zone(env, r, target, lane, barrier, site)
    sync_object = ensure_object(r, object_slot(env, r, context.SHARED_WINDOW + barrier, True))
    if sync_object:
        check_initialised_in_cluster(env, r, sync_object, target, lane, barrier, site)
        words_at(sync_object)[at.UNDONE_BYTES] += size
    if r[at.SHARED_SKIPPED] or offset < env[context.RESERVED_INSIDE]:
        return
    marks, proxy = (at.PROXY, at.PROXY_SHARED) if in_proxy else (at.ASYNC, 0)
    low = stamp_of(env, site, thread) | marks
    stamps = longs_at(env[context.FIRST_SHADOW] + target * env[context.SHADOW_STRIDE])
    kind = at.ATOMIC if updates else at.COPY
    for index in range(offset >> r[at.SHARED_BITS], offset + size >> r[at.SHARED_BITS]):
        byte = address - offset + (index << r[at.SHARED_BITS])
        old_stamp = stamps[index]
        if reaches_zone(env, old_stamp, site, lane, byte):
            continue
        if old_stamp >> 32 == at.PENDING:
            if not (updates and strength(r, old_stamp >> at.THREAD_BITS & (1 << at.SITE_BITS) - 1)):
                report(env, kinds.TWO_COPIES, site, lane, byte, old_stamp & 0xFFFFFFFF, 0)
            continue
        stamp = env[context.TIME] << 32 | low
        touch(
            env, r, kind, stamps, r[at.SHARED_GRANULES], index, True, thread, slot, site, byte, stamp, False, 0, proxy
        )
        stamps[index] = at.PENDING << 32 | low


@compiled
def running_cta(env: Any) -> Any:
    """The CTA that runs. While the message of another CTA is carried out, CTA and WARP in the context are the
    sender's."""
    return longs_at(env[context.CTA_STATE] + context.CTA_RANK)[0]


@compiled
def begin_copy(env: Any, r: Any) -> None:
    """A bulk copy begins. If another CTA has issued it, the log names that CTA for this time."""
    if env[context.CTA] != running_cta(env):
        tick(env, r)


@compiled
def end_copy(env: Any, r: Any) -> None:
    """The copy has ended: from now on the log names the CTA that runs again."""
    sender = env[context.CTA]
    if sender != running_cta(env):
        r[at.MESSAGES_OPEN] -= 1
        resume(env, r)
        env[context.CTA] = sender


@compiled
def resume(env: Any, r: Any) -> None:
    """The accesses from now on are those of the CTA that runs."""
    env[context.CTA] = running_cta(env)
    tick(env, r)
    r[at.OWN_SINCE] = env[context.TIME]


@compiled
def finish_source_read(env: Any, r: Any, address: Any, size: Any) -> None:
    """A copy between CTAs has read its source, at an address of the cluster."""
    target, offset = cta_of_address(env, address), address & (1 << context.RANK_BITS) - 1
    if target < 0:
        return
    stamps = longs_at(env[context.FIRST_SHADOW] + target * env[context.SHADOW_STRIDE])
    for index in range(offset >> r[at.SHARED_BITS], offset + size >> r[at.SHARED_BITS]):
        for array in range(1, at.SHADOW_ARRAYS):
            position = index + array * r[at.SHARED_GRANULES]
            if stamps[position] >> 32 == at.PENDING and not has_product_read(stamps[position]):
                stamps[position] = env[context.TIME] << 32 | stamps[position] & 0xFFFFFFFF


@compiled
def complete(env: Any, r: Any, lane: Any, address: Any, site: Any, description: Any) -> None:
    """A message is complete, and its mbarrier counts it. CTA and WARP in the context are the sender's; all other words
    are those of the CTA that runs."""
    size, barrier = description >> at.MESSAGE_SIZE_AT & at.MESSAGE_SIZES, description >> at.MESSAGE_BARRIER_AT
    thread, sender = env[context.WARP] * LANES + lane, env[context.CTA]
    target, offset = cta_of_address(env, address), address & (1 << context.RANK_BITS) - 1
    if target < 0:
        return
    r[at.MESSAGES_OPEN] -= 1
    tick(env, r)  # the log has the sender for this time
    now = env[context.TIME]
    low = stamp_of(env, site, thread)
    note_touch(env, r, target, thread, low)
    stamps = longs_at(env[context.FIRST_SHADOW] + target * env[context.SHADOW_STRIDE])
    for index in range(offset >> r[at.SHARED_BITS], offset + size >> r[at.SHARED_BITS]):
        if stamps[index] == at.PENDING << 32 | low | at.ASYNC:
            stamps[index] = now << 32 | low | at.ASYNC
    owner = longs_at(env[context.CTA_HEADERS] + target * context.CTA_BYTES + context.CTA_RANK)[0]
    sync_object = ensure_object(r, object_slot(env, r, context.SHARED_WINDOW + barrier, True))
    if sync_object:
        times, first = row(r, allocated_row(r, sync_object + 4 * at.ARRIVED_ROW)), far_first(env, r, sender)
        if first >= 0:
            times[first + (thread >> r[at.FAR_SHIFT])] = now
        if sender == owner:
            times[thread if r[at.NEAR] > LANES else lane] = now
        words_at(sync_object)[at.UNDONE_BYTES] = max(0, words_at(sync_object)[at.UNDONE_BYTES] - size)
        if description & at.MESSAGE_COMPLETES:
            complete_phase(env, r, sync_object, lane, barrier, site)
    resume(env, r)
    env[context.CTA] = sender
