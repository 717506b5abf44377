"""Checks accesses against the shadow of the memory that they touch. Compiled by numba."""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import LANES, cta_slot, knows
from ptxbench.emulator.races.pointers import bytes_at, compiled, longs_at
from ptxbench.emulator.races.products import check_overwrite, has_product_read
from ptxbench.emulator.races.proxies import fenced
from ptxbench.emulator.races.reports import (
    ELSEWHERE,
    IN_SHARED,
    accessing_cta,
    check_start,
    cta_of_address,
    note_touch,
    race_kind,
    reaches_zone,
    report,
    report_race,
    space_of,
    stamp_of,
    strength,
)
from ptxbench.emulator.runtime import context, kinds


@compiled
def value_byte(values: Any, lane: Any, element: Any, i: Any) -> Any:
    """Byte `i` of a lane's stored value: elements are in vectors of all lanes, one after the other."""
    return bytes_at(values)[(i // element * LANES + lane) * element + i % element]


@compiled
def same_as_memory(env: Any, values: Any, lane: Any, element: Any, first: Any, count: Any, host: Any) -> Any:
    """Whether memory already has the bytes that a lane stores, from `first` on."""
    if values == 0:
        return False
    stored = bytes_at(host)
    different = 0
    for i in range(count):
        different += stored[i] != value_byte(values, lane, element, first + i)
    return different == 0


@compiled
def earlier_lane(addresses: Any, mask: Any, lane: Any, byte: Any, size: Any) -> Any:
    """The highest lane below `lane` that stores to the same byte with this instruction, or -1."""
    for other in range(lane - 1, -1, -1):
        if mask >> other & 1 and 0 <= byte - addresses[other] < size:
            return other
    return -1


@compiled
def touch(
    env: Any, r: Any, kind: Any, stamps: Any, stride: Any, index: Any, in_shared: Any, thread: Any, slot: Any,
    site: Any, byte: Any, stamp: Any, silent: Any, earlier_store: Any, proxy: Any,
) -> Any:  # fmt: skip
    """Check one granule of an access: report findings and update the shadow.

    `silent`: memory already has the stored value. `earlier_store`: whether an earlier lane of the same instruction
    stored here: 1 the same value, 2 another value, 0 no such lane. `proxy`: if the access is made in the async proxy,
    what a fence must order between the last write and the access; else 0. The returned value is unused.
    """
    lane = thread & 31
    start = env[context.TIME_OF_START] if in_shared else 1
    written = stamps[index]
    if reaches_zone(env, written, site, lane, byte):
        return 0
    time = written >> 32
    unwritten = time < start
    if in_shared and kind != at.STORE and kind != at.COPY:
        if unwritten:
            if kind != at.OVERWRITE:
                report(env, kinds.UNINITIALISED, site, lane, byte, 0, 0)
        elif time == at.PENDING:
            report(env, kinds.PENDING_COPY, site, lane, byte, 0, 0)
    if in_shared and (kind == at.STORE or kind == at.COPY) and time == at.PENDING:
        report(env, kinds.OVERWRITES_COPY, site, lane, byte, 0, 0)
    reads = kind == at.LOAD or kind == at.BULK_LOAD or kind == at.READ_ONLY_LOAD
    if not unwritten:
        if earlier_store:
            if earlier_store == 2:
                report_race(env, r, kinds.DISAGREEMENT, site, lane, byte, written, 1)
        else:
            race = race_kind(env, r, written, thread, slot)
            if race:
                if silent:
                    report_race(env, r, kinds.SAME_VALUE, site, lane, byte, written, race)
                    return 0
                kind_of_race = kinds.READ_AFTER_WRITE if reads else kinds.WRITE_AFTER_WRITE
                report_race(env, r, kind_of_race, site, lane, byte, written, race)
            elif kind == at.READ_ONLY_LOAD and accessing_cta(env, r, time) != at.EARLIER:
                report_race(env, r, kinds.NOT_READ_ONLY, site, lane, byte, written, 1)
            elif proxy and written != r[at.FENCED_STAMP] and unfenced(env, r, written, thread, proxy):
                report_race(env, r, kinds.MISSING_PROXY_FENCE, site, lane, byte, written, 1)
    if reads:
        note_read(env, r, stamps, stride, index, thread, stamp, start)
        return 0
    for k in range(1, at.SHADOW_ARRAYS):
        read = stamps[index + k * stride]
        if read >> 32 < start:
            continue
        if has_product_read(read):
            check_overwrite(env, r, read, thread, site, byte)
            continue
        if read >> 32 == at.PENDING:
            report(env, kinds.WRITE_UNDER_COPY, site, lane, byte, read & 0xFFFFFFFF, env[context.CTA] << 1)
            continue
        race = race_kind(env, r, read, thread, slot)
        if race:
            if silent:
                report_race(env, r, kinds.SAME_VALUE, site, lane, byte, read, race)
                return 0
            report_race(env, r, kinds.WRITE_AFTER_READ, site, lane, byte, read, race)
    stamps[index] = stamp
    if kind == at.COPY:
        stamps[index] = (at.PENDING << 32) | (stamp & 0xFFFFFFFF) | at.ASYNC
    keeps = (kind == at.ATOMIC or kind == at.OVERWRITE) and not has_product_read(stamps[index + stride])
    if keeps and (unwritten or is_strong(r, written)):
        return 0
    # An atomic does not race with others, so it hides no weak access before it: that one counts as a read.
    kept, place = written if keeps else 0, index + stride
    if keeps and stamps[place] >> 32 >= start:
        place = index + 2 * stride
    else:
        stamps[index + 2 * stride] = 0
    stamps[place] = kept
    return 0


@compiled
def is_strong(r: Any, stamp: Any) -> Any:
    """Whether the access of a stamp is strong."""
    return strength(r, stamp >> at.THREAD_BITS & (1 << at.SITE_BITS) - 1) != at.WEAK


@compiled
def touch_alike(stamps: Any, stride: Any, index: Any, end: Any, written: Any, read: Any, other_read: Any) -> Any:
    """Update the granules after `index`, up to `end`, whose stamps were the same as those of `index` before `touch`.

    They need no check: it would have the same result, and a finding is reported once. `written`, `read`, `other_read`:
    these stamps. Returns the first granule that is not updated.
    """
    if has_product_read(read) or has_product_read(other_read):
        return index + 1
    new_written, new_read, new_other_read = stamps[index], stamps[index + stride], stamps[index + 2 * stride]
    index += 1
    while index < end:
        if stamps[index] != written or stamps[index + stride] != read or stamps[index + 2 * stride] != other_read:
            break
        stamps[index], stamps[index + stride], stamps[index + 2 * stride] = new_written, new_read, new_other_read
        index += 1
    return index


@compiled
def unfenced(env: Any, r: Any, written: Any, thread: Any, proxy: Any) -> Any:
    """Whether the write of the stamp `written` was made in the generic proxy, in the current CTA, and no proxy fence
    follows it."""
    time = written >> 32
    if written & at.PROXY == at.PROXY or time == at.PENDING:
        return False
    if time < env[context.TIME_OF_START] or accessing_cta(env, r, time) != env[context.CTA]:
        return False
    if fenced(env, r, thread, written & (1 << at.THREAD_BITS) - 1, time, proxy):
        r[at.FENCED_STAMP] = written  # the next granule mostly has the same stamp
        return False
    return True


@compiled
def note_read(env: Any, r: Any, stamps: Any, stride: Any, index: Any, thread: Any, stamp: Any, start: Any) -> None:
    """Record a read. Two reads since the last write are kept: the first one that is not ordered before this read, and
    this read."""
    first = stamps[index + stride]
    if first >> 32 == at.PENDING:
        stamps[index + 2 * stride] = stamp
        return
    if first >> 32 < start or is_covered(env, r, first, thread):
        stamps[index + stride] = stamp
    else:
        stamps[index + 2 * stride] = stamp


@compiled
def is_covered(env: Any, r: Any, read: Any, thread: Any) -> Any:
    """Whether a read is ordered before one of `thread`, so that checks against the later read cover the earlier one."""
    time = read >> 32
    return knows(env, r, thread, read & (1 << at.THREAD_BITS) - 1, accessing_cta(env, r, time), False, time)


@compiled
def access(env: Any, r: Any, description: Any, mask: Any, address_list: Any, first_site: Any, values: Any) -> None:
    """Check an instruction's accesses, lane by lane. `values`: address of the stored values, or 0."""
    kind, element = description & 255, description >> at.ELEMENT_AT & 255
    size, in_cluster = description >> at.BYTES_AT & 255, description >> at.FLAGS_AT & at.IN_CLUSTER
    addresses = longs_at(address_list)
    counters, now, warp = env[context.COUNTERS], env[context.TIME], env[context.WARP]
    single_cta, own_slot = env[context.CLUSTER_SIZE] == 1, cta_slot(env)
    r[at.TARGET] = own_slot
    for lane in range(LANES):
        if not mask >> lane & 1:
            continue
        address = addresses[lane]
        target, rank_offset = own_slot, 0
        if in_cluster:
            rank_offset = address - context.SHARED_WINDOW
            target = cta_of_address(env, rank_offset)
            if target < 0:
                continue
            r[at.TARGET] = target
            rank_offset = rank_offset >> context.RANK_BITS << context.RANK_BITS
            address -= rank_offset
        space = space_of(env, r, address, size)
        if space == ELSEWHERE:
            continue
        in_shared = space == IN_SHARED
        site = first_site
        slot = site - counters >> 3
        thread = warp * LANES + lane
        site_strength = strength(r, slot)
        stamp = now << 32 | (slot & (1 << at.SITE_BITS) - 1) << at.THREAD_BITS | thread
        if site_strength == at.STRONG_GPU or (
            in_shared and (site_strength == at.STRONG_CLUSTER or (site_strength and single_cta))
        ):
            stamp |= at.STRONG_BIT
        if in_shared:
            if in_cluster:
                check_start(env, r, target, thread, site, address - context.SHARED_WINDOW + rank_offset)
                note_touch(env, r, target, thread, stamp_of(env, site, thread))
            stamps = longs_at(env[context.FIRST_SHADOW] + target * env[context.SHADOW_STRIDE])
            bits, stride = r[at.SHARED_BITS], r[at.SHARED_GRANULES]
            offset = address - context.SHARED_WINDOW
            if offset < env[context.RESERVED_INSIDE] or r[at.SHARED_SKIPPED]:  # barriers of cooperative groups
                continue
            host = env[context.FIRST_SHARED] + target * env[context.SHARED_STRIDE] + offset
        else:
            if r[at.GLOBAL_SHADOW] == 0:
                continue
            stamps, bits, stride = longs_at(r[at.GLOBAL_SHADOW]), r[at.GLOBAL_BITS], r[at.GLOBAL_GRANULES]
            offset = address - context.GLOBAL_BASE
            if offset >> at.PAGE_BITS & r[at.SKIPPED_PAGES]:
                continue
            host = address + env[context.DELTA]
        granule = 1 << bits
        index = offset >> bits
        end = index + max(1, size >> bits)
        while index < end:
            first = index - (offset >> bits) << bits
            byte = (offset + rank_offset if in_shared else address) + first
            written, read, other_read = stamps[index], stamps[index + stride], stamps[index + 2 * stride]
            silent, earlier_store = False, 0
            if values and written >> 32 >= 1:
                if written >> 32 == now and written >> at.THREAD_BITS & (1 << at.SITE_BITS) - 1 == slot:
                    earlier = earlier_lane(addresses, mask, lane, address + first, size)
                    if earlier >= 0:
                        earlier_store = 1
                        from_byte = address + first - addresses[earlier]
                        for i in range(min(granule, size)):
                            a = value_byte(values, lane, element, first + i)
                            if a != value_byte(values, earlier, element, from_byte + i):
                                earlier_store = 2
                if not earlier_store:
                    silent = same_as_memory(env, values, lane, element, first, min(granule, size), host + first)
            touch(
                env,
                r,
                kind,
                stamps,
                stride,
                index,
                in_shared,
                thread,
                slot,
                site,
                byte,
                stamp,
                silent,
                earlier_store,
                0,
            )
            if values and written >> 32 >= 1:
                index += 1
            else:
                index = touch_alike(stamps, stride, index, end, written, read, other_read)


@compiled
def same_bytes(source: Any, host: Any, count: Any) -> Any:
    """Whether memory already has the bytes that a copy is about to store."""
    new, stored = bytes_at(source), bytes_at(host)
    different = 0
    for i in range(count):
        different += new[i] != stored[i]
    return different == 0


@compiled
def access_range(
    env: Any, r: Any, kind: Any, in_shared: Any, offset: Any, size: Any, thread: Any, site: Any, marks: Any, source: Any
) -> None:
    """Check a bulk copy's access to consecutive bytes, at an offset in shared memory or in the arena.

    The access is made in the async proxy. `marks`: bits that are set in the stamp. `source`: the host address of the
    bytes that the copy is about to store in global memory, or 0.
    """
    slot = site - env[context.COUNTERS] >> 3
    stamp = env[context.TIME] << 32 | (slot & (1 << at.SITE_BITS) - 1) << at.THREAD_BITS | thread | marks
    proxy = at.PROXY_SHARED if in_shared else at.PROXY_GLOBAL
    r[at.TARGET], r[at.FENCED_STAMP] = cta_slot(env), 0
    if in_shared and r[at.SHARED_SKIPPED]:
        return
    if in_shared:
        stamps, bits, stride, base = longs_at(env[context.SHADOW]), r[at.SHARED_BITS], r[at.SHARED_GRANULES], 0
    else:
        if r[at.GLOBAL_SHADOW] == 0:
            return
        stamps, bits, stride = longs_at(r[at.GLOBAL_SHADOW]), r[at.GLOBAL_BITS], r[at.GLOBAL_GRANULES]
        base = context.GLOBAL_BASE
    index, page_end = offset >> bits, offset + size >> bits
    while index < offset + size >> bits:
        first = index << bits
        if not in_shared and r[at.SKIPPED_PAGES]:
            page_end = min(offset + size >> bits, ((first >> at.PAGE_BITS) + 1) << at.PAGE_BITS - bits)
            if first >> at.PAGE_BITS & r[at.SKIPPED_PAGES]:
                index = page_end
                continue
        written, read, other_read = stamps[index], stamps[index + stride], stamps[index + 2 * stride]
        compared, silent = source != 0 and written >> 32 >= 1, False
        if compared and first >= offset:
            silent = same_bytes(source + first - offset, base + first + env[context.DELTA], 1 << bits)
        touch(env, r, kind, stamps, stride, index, in_shared, thread, slot, site, base + first, stamp, silent, 0, proxy)
        if compared:
            index += 1
        else:
            index = touch_alike(stamps, stride, index, page_end, written, read, other_read)


@compiled
def complete_copy_write(env: Any, r: Any, offset: Any, size: Any) -> None:
    """An asynchronous copy has completed its write to these bytes of shared memory."""
    stamps = longs_at(env[context.SHADOW])
    for index in range(offset >> r[at.SHARED_BITS], offset + size >> r[at.SHARED_BITS]):
        if stamps[index] >> 32 == at.PENDING:
            stamps[index] = env[context.TIME] << 32 | stamps[index] & 0xFFFFFFFF


@compiled
def note_copy_read(env: Any, r: Any, offset: Any, size: Any, thread: Any, site: Any, done: Any) -> None:
    """A copy is going to read these bytes of shared memory, or has read them."""
    slot = site - env[context.COUNTERS] >> 3
    low = (slot & (1 << at.SITE_BITS) - 1) << at.THREAD_BITS | thread | at.ASYNC
    stamps, stride = longs_at(env[context.SHADOW]), r[at.SHARED_GRANULES]
    for index in range(offset >> r[at.SHARED_BITS], offset + size >> r[at.SHARED_BITS]):
        position = index + stride * (2 if has_product_read(stamps[index + stride]) else 1)
        if not done:
            stamps[position] = at.PENDING << 32 | low
        elif stamps[position] >> 32 == at.PENDING:
            stamps[position] = env[context.TIME] << 32 | stamps[position] & 0xFFFFFFFF
