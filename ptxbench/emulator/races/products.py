"""Products of warpgroups as readers of shared memory, from their issue to the wait. Compiled by numba.

A table has for each piece of 16 bytes when products of each warp read it (layout.py). In the shadow, a stamp with the
time PENDING in place of the first read says that products have read the granule since its last write: a write then
looks into the table. The matrix descriptors are explained in runtime/descriptors.py.
"""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import LANES, cta_slot, knows
from ptxbench.emulator.races.pointers import compiled, longs_at, words_at
from ptxbench.emulator.races.proxies import fenced
from ptxbench.emulator.races.reports import (
    accessing_cta,
    race_kind,
    reaches_zone,
    report,
    report_race,
    reported,
    stamp_of,
)
from ptxbench.emulator.runtime import context, kinds
from ptxbench.emulator.runtime.warpgroup import DOUBLE_B, START_MASK, TRANSPOSED_A, TRANSPOSED_B

PIECE = 1 << at.PIECE_BITS
ROWS = 16
"""The rows of A that a warp reads."""


@compiled
def piece_row(env: Any, r: Any, target: Any, piece: Any) -> Any:
    """Address of the words of a piece of shared memory of the CTA at the place `target`, one for each warp."""
    first = target * r[at.PRODUCT_PIECES] + piece
    return r[at.PRODUCT_READS] + 4 * first * env[context.WARP_COUNT]


@compiled
def forget_products(env: Any, r: Any) -> None:
    """The current CTA starts: its shared memory has not been read."""
    if r[at.PRODUCT_READS]:
        words = words_at(piece_row(env, r, cta_slot(env), 0))
        for i in range(r[at.PRODUCT_PIECES] * env[context.WARP_COUNT]):
            words[i] = 0


@compiled
def piece_address(descriptor: Any, transposed: Any, first_row: Any, pieces: Any, index: Any) -> Any:
    """The address of piece `index` of an operand's rows from `first_row` on; each row has 2 or 4 `pieces`."""
    mode = descriptor >> 62 & 3
    width = 256 >> mode if mode else PIECE
    start = (descriptor & START_MASK) << 4
    leading, stride = (descriptor >> 16 & START_MASK) << 4, (descriptor >> 32 & START_MASK) << 4
    if transposed:
        k, rows = index % (8 * pieces), first_row + 8 * (index // (8 * pieces))
        if mode:
            inside = (rows & (width // 2 - 1)) * 2
            address = start + rows // (width // 2) * leading + inside + (k & 7) * width + (k >> 3) * stride
        else:
            address = start + (rows >> 3) * stride + (k & 7) * PIECE + (k >> 3) * leading
    else:
        row, part = first_row + index // pieces, index % pieces
        address = start + (row & 7) * width + (row >> 3) * stride + part * (PIECE if mode else leading)
    return address ^ (address >> 3 & (width - PIECE))


@compiled
def track_product(env: Any, r: Any, a: Any, b: Any, site: Any, description: Any, done: Any) -> None:
    """The current warp issues a product, or has waited for it.

    `description`: the columns, from bit 16 on the flags, from bit 24 on whether A is in memory, from bit 32 on the
    address of the first byte of shared memory.
    """
    if r[at.SHARED_SKIPPED]:
        return
    columns, flags, origin = description & 0xFFFF, description >> 16 & 255, description >> 32
    if description >> 24 & 1:
        first = ROWS * (env[context.WARP] & 3)
        read_operand(env, r, a, flags & TRANSPOSED_A, first, ROWS, 2, origin, site, done)
    pieces = 4 if flags & DOUBLE_B else 2
    read_operand(env, r, b, flags & TRANSPOSED_B, 0, columns, pieces, origin, site, done)


@compiled
def read_operand(
    env: Any, r: Any, descriptor: Any, transposed: Any, first_row: Any, rows: Any, pieces: Any, origin: Any, site: Any,
    done: Any,
) -> None:  # fmt: skip
    """The reads of one operand in shared memory."""
    slot = site - env[context.COUNTERS] >> 3
    low = stamp_of(env, site, env[context.WARP] * LANES) | at.PROXY
    stamps, stride, bits = longs_at(env[context.SHADOW]), r[at.SHARED_GRANULES], r[at.SHARED_BITS]
    checked = -1  # no stamp
    for i in range(pieces * rows):
        offset = piece_address(descriptor, transposed, first_row, pieces, i) - origin
        if offset < 0 or offset + PIECE > env[context.SHARED_BYTES]:
            continue
        words = words_at(piece_row(env, r, cta_slot(env), offset >> at.PIECE_BITS))
        pending = words[env[context.WARP]]
        if done:
            if pending < 0:
                words[env[context.WARP]] = pending + 1 if pending < -1 else env[context.TIME]
            continue
        words[env[context.WARP]] = pending - 1 if pending < 0 else -1
        for index in range(offset >> bits, offset + PIECE >> bits):
            if stamps[index] != checked:  # else the result is the same, and a finding is reported once
                checked = stamps[index]
                check_last_write(env, r, checked, index << bits, site, slot)
            mark_product_read(env, stamps, index, stride, low)


@compiled
def check_last_write(env: Any, r: Any, written: Any, byte: Any, site: Any, slot: Any) -> None:
    """Check that the granule's last write was ordered before the product, in at least one lane of its warp."""
    if reaches_zone(env, written, site, 0, byte):
        return
    time, warp = written >> 32, env[context.WARP]
    if time < env[context.TIME_OF_START]:
        report(env, kinds.UNINITIALISED, site, 0, byte, 0, 0)
        return
    if time == at.PENDING:
        report(env, kinds.PENDING_COPY, site, 0, byte, 0, 0)
        return
    race = 1
    for lane in range(LANES):
        race = race_kind(env, r, written, warp * LANES + lane, slot)
        if race == 0:
            break
    if race:
        report_race(env, r, kinds.READ_AFTER_WRITE, site, 0, byte, written, race)
        return
    if written & at.PROXY == at.PROXY or accessing_cta(env, r, time) != env[context.CTA]:
        return
    if reported(env, kinds.MISSING_PROXY_FENCE, site):
        return
    writer = written & (1 << at.THREAD_BITS) - 1
    for lane in range(LANES):
        if fenced(env, r, warp * LANES + lane, writer, time, at.PROXY_SHARED):
            return
    report_race(env, r, kinds.MISSING_PROXY_FENCE, site, 0, byte, written, 1)


@compiled
def mark_product_read(env: Any, stamps: Any, index: Any, stride: Any, low: Any) -> None:
    """Mark a granule as read by products, in place of the first read, which becomes the second."""
    first = stamps[index + stride]
    if first & at.PROXY != at.PROXY and first >> 32 >= env[context.TIME_OF_START]:
        stamps[index + 2 * stride] = first
    stamps[index + stride] = at.PENDING << 32 | low


@compiled
def has_product_read(stamp: Any) -> Any:
    """Whether a stamp is the mark that products have read the granule."""
    return stamp >> 32 == at.PENDING and stamp & at.PROXY == at.PROXY


@compiled
def check_overwrite(env: Any, r: Any, mark: Any, thread: Any, site: Any, byte: Any) -> None:
    """A write to a granule that products have read: these must be complete, and ordered before the write."""
    lane, target = thread & 31, r[at.TARGET]
    cta = longs_at(env[context.CTA_HEADERS] + target * context.CTA_BYTES + context.CTA_RANK)[0]
    offset = byte & (1 << context.RANK_BITS) - 1
    words = words_at(piece_row(env, r, target, offset >> at.PIECE_BITS))
    for warp in range(env[context.WARP_COUNT]):
        time = words[warp]
        if time == 0:
            continue
        stamp = mark & ~((1 << at.THREAD_BITS) - 1) | warp * LANES
        if time < 0:
            report(env, kinds.UNDER_PRODUCT, site, lane, byte, stamp & 0xFFFFFFFF, cta << 1)
        elif not knows_product_done(env, r, thread, warp, cta, time):
            report(env, kinds.WRITE_AFTER_READ, site, lane, byte, stamp & 0xFFFFFFFF, cta << 1)


@compiled
def knows_product_done(env: Any, r: Any, thread: Any, warp: Any, cta: Any, time: Any) -> Any:
    """Whether `thread` knows that a lane of `warp` has waited for a product at `time`; all lanes of the warp did."""
    for lane in range(LANES):  # noqa: SIM110  for numba
        if knows(env, r, thread, warp * LANES + lane, cta, False, time):
            return True
    return False
