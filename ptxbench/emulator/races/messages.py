"""Asynchronous stores to CTAs of a cluster: pending from when they are sent until their mbarrier counts them. Compiled
by numba."""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import LANES, far_first, filled, row, tick
from ptxbench.emulator.races.mbarriers import complete_phase
from ptxbench.emulator.races.objects import made, object_slot
from ptxbench.emulator.races.pointers import compiled, longs_at
from ptxbench.emulator.races.reports import check_start, named, note_touch, report, stamp_of, strength
from ptxbench.emulator.races.shadow import touch
from ptxbench.emulator.runtime import context, kinds


@compiled
def send(env: Any, r: Any, lane: Any, address: Any, site: Any, what: Any) -> None:
    """A lane sends a store or an update to an address of the cluster: it must be ordered after what was done there."""
    size, updates = what >> at.MESSAGE_SIZE_AT & 255, what & at.MESSAGE_UPDATES
    target, offset = named(env, address), address & (1 << context.RANK_BITS) - 1
    thread, slot = env[context.WARP] * LANES + lane, site - env[context.COUNTERS] >> 3
    if target < 0:
        return
    check_start(env, r, target, thread, site, address)
    r[at.MESSAGES_OPEN] += 1
    r[at.TARGET] = target
    if r[at.SHARED_SKIPPED] or offset < env[context.RESERVED_INSIDE]:
        return
    low = stamp_of(env, site, thread) | at.ASYNC
    stamps = longs_at(env[context.FIRST_SHADOW] + target * env[context.SHADOW_STRIDE])
    kind = at.ATOMIC if updates else at.COPY
    for index in range(offset >> r[at.SHARED_BITS], offset + size >> r[at.SHARED_BITS]):
        byte = address - offset + (index << r[at.SHARED_BITS])
        before = stamps[index]
        if before >> 32 == at.PENDING:
            if not (updates and strength(r, before >> at.THREAD_BITS & (1 << at.SITE_BITS) - 1)):
                report(env, kinds.TWO_COPIES, site, lane, byte, before & 0xFFFFFFFF, 0)
            continue
        mine = env[context.TIME] << 32 | low
        touch(env, r, kind, stamps, r[at.SHARED_GRANULES], index, True, thread, slot, site, byte, mine, False, 0, 0)
        stamps[index] = at.PENDING << 32 | low


@compiled
def complete(env: Any, r: Any, lane: Any, address: Any, site: Any, what: Any) -> None:
    """The store is done, and its mbarrier counts it. The context has the sender's CTA and warp, and for the rest those
    of the CTA that runs."""
    size, barrier = what >> at.MESSAGE_SIZE_AT & 255, what >> at.MESSAGE_BARRIER_AT
    thread, sender = env[context.WARP] * LANES + lane, env[context.CTA]
    target, offset = named(env, address), address & (1 << context.RANK_BITS) - 1
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
    thing = made(r, object_slot(env, r, context.SHARED_WINDOW + barrier, True))
    if thing:
        times, first = row(r, filled(r, thing + 4 * at.ARRIVED_ROW)), far_first(env, r, sender)
        if first >= 0:
            times[first + (thread >> r[at.FAR_SHIFT])] = now
        if sender == owner:
            times[thread if r[at.NEAR] > LANES else lane] = now
        if what & at.MESSAGE_COMPLETES:
            complete_phase(env, r, thing, lane, barrier, site)
    env[context.CTA] = longs_at(env[context.CTA_STATE] + context.CTA_RANK)[0]
    tick(env, r)
    r[at.OWN_SINCE] = env[context.TIME]
    env[context.CTA] = sender
