"""Records which CTAs touched which bytes of global memory, to detect that two touched the same bytes.

CTAs may run in parallel only if none touches bytes that another one stores to. Each host thread keeps a record of
every line that its CTAs touch: LINE granules, which are as small as the kernel's smallest access to global memory
(at most MOST_GRANULE bytes). A record has the line's owner, which is the CTA that touched it last, and for each use
(stores, loads, atomic updates) the granules that the owner and the CTAs before it have used. A CTA that uses a granule
of another CTA conflicts with it, unless both only load it or both only update it: updates that run in parallel commute
(flow.order_reason).

An owner is written as 2 (LAUNCH + rank) + w. w is 1 if the owner has stored to the whole line and nothing else was done
to it; then the uses are not written. Owners below 2 LAUNCH are from an earlier launch, so that nothing has to be
cleared.

Stores are always recorded. Loads and updates are recorded in buffers that are marked in BUFFER_USES. BUFFER_USES also
has the uses of the other buffers, so that after the launch it is known whether one of them should have been marked.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import CTTZ, MASK, V32, V64, RuntimeFunction, end_with, next_group, slot, splat
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.types import LANES

STORE, LOAD, UPDATE = USES = ("store", "load", "atomic")
"""Uses by name, as in layout.Site.kind; in masks of uses, number k is bit 1 << k."""
USE_BITS = {name: 1 << number for number, name in enumerate(USES)}
DISCARD = "discard"
"""The kind of a site that stores unspecified values."""
CONFLICTS = {STORE: (STORE, LOAD, UPDATE), LOAD: (STORE, UPDATE), UPDATE: (STORE, LOAD)}
"""For each use, the uses by other CTAs that conflict with it."""


def use_of(kind: str) -> int:
    """The bit of this site kind's use of global memory; 0 for none."""
    return USE_BITS[STORE] if kind == DISCARD else USE_BITS.get(kind, 0)


LINE = 32
"""Granules in a line."""
MOST_GRANULE = 16
OWNER_BYTES = 8
USES_BYTES = 32
"""i32 masks of granules: the owner's stores, loads, updates, and one unused; then those of the CTAs before it."""
PAGE = 128
"""Lines per page: one byte says whether this launch touched any of them."""
BUFFER_SLOTS = 2
MARKED, USED = range(BUFFER_SLOTS)
"""For each buffer in BUFFER_USES: whether loads and updates are recorded; which uses were made of it."""

USES_VECTOR = "<4 x i32>"


def granule_shift(sizes: Iterable[int]) -> int:
    """Log2 of a granule's bytes, for a kernel whose accesses to global memory have these sizes in bytes per lane."""
    return min(MOST_GRANULE, *sizes, MOST_GRANULE).bit_length() - 1


def planned(use: str, size: int) -> tuple[RuntimeFunction, ...]:
    """The functions that an access needs, without their text, which depends on the whole kernel; `record` adds it."""
    return tuple(RuntimeFunction(name, "") for name in (f"record_lanes_{use}", f"record_run_{use}_{size}"))


NO_RECORD = RuntimeFunction(
    "record_bulk",
    """
define internal void @record_bulk(ptr %env, ptr %site, i64 %address, i64 %bytes, i64 %buffer, i1 %loads) noinline {
  ; Where CTAs may run in parallel: a bulk copy loads from, or stores to, a buffer.
  ret void
}
""",
)


@functools.cache
def record(name: str, shift: int) -> RuntimeFunction:
    """A function of `planned`, or NO_RECORD, by name, with its text; `shift`: the kernel's granule_shift."""
    if name == NO_RECORD.name:
        return record_bulk(shift)
    _, shape, use, *sizes = name.split("_")
    if shape == "lanes":
        return record_lanes(use, shift)
    return record_run(use, int(sizes[0]), shift)


CONFLICT = RuntimeFunction("conflict", f"""
define internal void @conflict(ptr %env, ptr %site, i64 %line, i32 %granules, {USES_VECTOR} %before) noinline cold {{
  ; Store the first conflict. If the launch runs CTAs in parallel, it also ends the work of this host thread.
entry:
  {slot("conflict.site", at.CONFLICT_SITE)}
  %first = icmp eq i64 %conflict.site, 0
  br i1 %first, label %store.conflict, label %done
store.conflict:
  {slot("counters", at.COUNTERS)}
  %site.int = ptrtoint ptr %site to i64
  %site.offset = sub i64 %site.int, %counters
  store i64 %site.offset, ptr %conflict.site.at
  %number = call i32 @llvm.cttz.i32(i32 %granules, i1 true)
  %number.wide = zext i32 %number to i64
  %line.first = mul i64 %line, {LINE}
  %granule = add i64 %line.first, %number.wide
  %p.granule = getelementptr i64, ptr %env, i64 {at.CONFLICT_AT}
  store i64 %granule, ptr %p.granule
  {slot("cta", at.CTA)}
  %p.cta = getelementptr i64, ptr %env, i64 {at.CONFLICT_CTA}
  store i64 %cta, ptr %p.cta
  %bit = shl i32 1, %number
  %bit.first = insertelement {USES_VECTOR} poison, i32 %bit, i64 0
  %bit.all = shufflevector {USES_VECTOR} %bit.first, {USES_VECTOR} poison, <4 x i32> zeroinitializer
  %uses.before = and {USES_VECTOR} %before, %bit.all
  %used = icmp ne {USES_VECTOR} %uses.before, zeroinitializer
  %used.bits = bitcast <4 x i1> %used to i4
  %used.wide = zext i4 %used.bits to i64
  %p.use = getelementptr i64, ptr %env, i64 {at.CONFLICT_USE}
  store i64 %used.wide, ptr %p.use
  {slot("stop", at.STOP_AT_CONFLICT)}
  %stops = icmp ne i64 %stop, 0
  {end_with(f"call void @fault(ptr %env, i64 {at.CONFLICTED}, ptr %site, i64 0, i64 0)", "%stops", "end")}
}}
""", (FAULT,), (CTTZ,))  # fmt: skip

OWNER = f"""{slot("owners", at.RECORD_OWNERS)}
  {slot("launch", at.LAUNCH)}
  {slot("cta", at.CTA)}
  %this.owner = add i64 %launch, %cta
  %this.owner.twice = shl i64 %this.owner, 1
  %launch.twice = shl i64 %launch, 1
  {slot("pages", at.RECORD_PAGES)}"""
"""LLVM lines that load the address of the records, and the record value of this CTA and launch."""


def mark_page(name: str) -> str:
    """LLVM lines that mark the page of line %NAME as touched."""
    return f"""%{name}.page = lshr i64 %{name}, {PAGE.bit_length() - 1}
  %{name}.page.int = add i64 %pages, %{name}.page
  %{name}.page.at = inttoptr i64 %{name}.page.int to ptr
  store i8 1, ptr %{name}.page.at"""


def record_line(use: str) -> RuntimeFunction:
    """`record_line_USE(env, site, line, granules)`: this CTA uses granules (a mask) of a line."""
    number = USES.index(use)
    conflicting_uses = ", ".join("i32 -1" if other in CONFLICTS[use] else "i32 0" for other in (*USES, ""))
    conflict_call = f"call void @conflict(ptr %env, ptr %site, i64 %line, i32 %conflicting, {USES_VECTOR} %others)"
    text = f"""
define internal void @record_line_{use}(ptr %env, ptr %site, i64 %line, i32 %granules) noinline {{
entry:
  {OWNER}
  {slot("all.uses", at.RECORD_USES)}
  %owner.offset = mul i64 %line, {OWNER_BYTES}
  %owner.int = add i64 %owners, %owner.offset
  %owner.at = inttoptr i64 %owner.int to ptr
  %owner = load i64, ptr %owner.at
  %uses.offset = mul i64 %line, {USES_BYTES}
  %uses.int = add i64 %all.uses, %uses.offset
  %uses.at = inttoptr i64 %uses.int to ptr
  %past.at = getelementptr i8, ptr %uses.at, i64 {USES_BYTES // 2}
  %already.owned = icmp eq i64 %owner, %this.owner.twice
  br i1 %already.owned, label %more, label %other
other:
  %stale = icmp ult i64 %owner, %launch.twice
  br i1 %stale, label %fresh, label %change
fresh:
  %uses.first = insertelement {USES_VECTOR} zeroinitializer, i32 %granules, i64 {number}
  store i64 %this.owner.twice, ptr %owner.at
  store {USES_VECTOR} %uses.first, ptr %uses.at
  store {USES_VECTOR} zeroinitializer, ptr %past.at
  {mark_page("line")}
  ret void
change:
  ; Another CTA owned the line, or this one has stored to all of it: write its uses first.
  %whole.bit = and i64 %owner, 1
  %whole = icmp ne i64 %whole.bit, 0
  %owner.uses = load {USES_VECTOR}, ptr %uses.at
  %owner.past = load {USES_VECTOR}, ptr %past.at
  %uses.written = select i1 %whole, {USES_VECTOR} <i32 -1, i32 0, i32 0, i32 0>, {USES_VECTOR} %owner.uses
  %past.written = select i1 %whole, {USES_VECTOR} zeroinitializer, {USES_VECTOR} %owner.past
  %rank = lshr i64 %owner, 1
  %same = icmp eq i64 %rank, %this.owner
  %both = or {USES_VECTOR} %uses.written, %past.written
  %uses.new = select i1 %same, {USES_VECTOR} %uses.written, {USES_VECTOR} zeroinitializer
  %past.new = select i1 %same, {USES_VECTOR} %past.written, {USES_VECTOR} %both
  store i64 %this.owner.twice, ptr %owner.at
  store {USES_VECTOR} %uses.new, ptr %uses.at
  store {USES_VECTOR} %past.new, ptr %past.at
  br label %more
more:
  %use.at = getelementptr i32, ptr %uses.at, i64 {number}
  %use.before = load i32, ptr %use.at
  %use.now = or i32 %use.before, %granules
  store i32 %use.now, ptr %use.at
  %past = load {USES_VECTOR}, ptr %past.at
  %others = and {USES_VECTOR} %past, <{conflicting_uses}>
  %taken = call i32 @llvm.vector.reduce.or.v4i32({USES_VECTOR} %others)
  %conflicting = and i32 %taken, %granules
  %conflicts = icmp ne i32 %conflicting, 0
  {end_with(conflict_call, "%conflicts", "report")}
}}
"""
    reduce_or = f"declare i32 @llvm.vector.reduce.or.v4i32({USES_VECTOR})"
    return RuntimeFunction(f"record_line_{use}", text, (CONFLICT,), (reduce_or,))


def record_run(use: str, size: int, shift: int) -> RuntimeFunction:
    """`record_run_USE_SIZE(env, site, address)`: all lanes use SIZE bytes each, contiguous from `address` on."""
    lines = size >> shift
    owners = f"<{lines} x i64>"
    quick = "br label %each"
    if use == STORE:  # whole lines that this launch has not touched yet: the owner is enough
        quick = f"""%aligned = icmp eq i32 %phase, 0
  br i1 %aligned, label %whole, label %each
whole:
  {OWNER}
  %owner.offset = mul i64 %line.first, {OWNER_BYTES}
  %owner.int = add i64 %owners, %owner.offset
  %owner.at = inttoptr i64 %owner.int to ptr
  %owner = load {owners}, ptr %owner.at, align 8
  %launch.first = insertelement {owners} poison, i64 %launch.twice, i64 0
  %launch.all = shufflevector {owners} %launch.first, {owners} poison, <{lines} x i32> zeroinitializer
  %stale = icmp ult {owners} %owner, %launch.all
  %stale.mask = bitcast <{lines} x i1> %stale to i{lines}
  %fresh = icmp eq i{lines} %stale.mask, -1
  br i1 %fresh, label %take, label %each
take:
  %this.owner.whole = or i64 %this.owner.twice, 1
  %this.owner.first = insertelement {owners} poison, i64 %this.owner.whole, i64 0
  %this.owner.all = shufflevector {owners} %this.owner.first, {owners} poison, <{lines} x i32> zeroinitializer
  store {owners} %this.owner.all, ptr %owner.at, align 8
  %line.last = add i64 %line.first, {lines - 1}
  {mark_page("line.first")}
  {mark_page("line.last") if lines > 1 else ""}
  ret void"""
    text = f"""
define internal void @record_run_{use}_{size}(ptr %env, ptr %site, i64 %address) noinline {{
entry:
  %granule = lshr i64 %address, {shift}
  %line.first = lshr i64 %granule, {LINE.bit_length() - 1}
  %granule.short = trunc i64 %granule to i32
  %phase = and i32 %granule.short, {LINE - 1}
  %head = shl i32 -1, %phase
  %tail = xor i32 %head, -1
  {quick}
each:
  br label %next
next:
  %k = phi i64 [ 0, %each ], [ %k.next, %recorded ]
  %is.first = icmp eq i64 %k, 0
  %is.last = icmp eq i64 %k, {lines}
  %middle = select i1 %is.first, i32 %head, i32 -1
  %granules = select i1 %is.last, i32 %tail, i32 %middle
  %none = icmp eq i32 %granules, 0
  br i1 %none, label %recorded, label %record
record:
  %line = add i64 %line.first, %k
  call void @record_line_{use}(ptr %env, ptr %site, i64 %line, i32 %granules)
  br label %recorded
recorded:
  %k.next = add i64 %k, 1
  %over = icmp ugt i64 %k.next, {lines}
  br i1 %over, label %done, label %next
done:
  ret void
}}
"""
    return RuntimeFunction(f"record_run_{use}_{size}", text, (record_line(use),))


def record_lanes(use: str, shift: int) -> RuntimeFunction:
    """`record_lanes_USE(addresses, mask, bytes, env, site)`: each lane of a mask uses aligned bytes of one line."""
    text = f"""
define internal void @record_lanes_{use}({V64} %a, i32 %mask, i32 %bytes, ptr %env, ptr %site) noinline {{
  ; One step for each line: its lanes' granules together.
entry:
  %lines = alloca {V64}, align 64
  %count = lshr i32 %bytes, {shift}
  %spare = sub i32 {LINE}, %count
  %pattern = lshr i32 -1, %spare
  {splat("pattern.all", "i32", "%pattern")}
  %granule = lshr {V64} %a, splat (i64 {shift})
  %all.lines = lshr {V64} %granule, splat (i64 {LINE.bit_length() - 1})
  store {V64} %all.lines, ptr %lines
  %granule.short = trunc {V64} %granule to {V32}
  %phase = and {V32} %granule.short, splat (i32 {LINE - 1})
  %granules.all = shl {V32} %pattern.all, %phase
  br label %next
next:
  %rest = phi i32 [ %mask, %entry ], [ %rest.less, %step ]
{next_group("%all.lines", "%lines", "line", 64, "step")}
  %member = bitcast i32 %members to {MASK}
  %chosen = select {MASK} %member, {V32} %granules.all, {V32} zeroinitializer
  %granules = call i32 @llvm.vector.reduce.or.v{LANES}i32({V32} %chosen)
  call void @record_line_{use}(ptr %env, ptr %site, i64 %line, i32 %granules)
  br label %next
done:
  ret void
}}
"""
    reduce_or = f"declare i32 @llvm.vector.reduce.or.v{LANES}i32({V32})"
    return RuntimeFunction(f"record_lanes_{use}", text, (record_line(use),), (CTTZ, reduce_or))


def record_range(use: str, shift: int) -> RuntimeFunction:
    """`record_range_USE(env, site, address, bytes)`: consecutive bytes, at least one granule, in whole granules."""
    text = f"""
define internal void @record_range_{use}(ptr %env, ptr %site, i64 %address, i64 %bytes) noinline {{
entry:
  %granule.first = lshr i64 %address, {shift}
  %granule.count = lshr i64 %bytes, {shift}
  %granule.end = add i64 %granule.first, %granule.count
  br label %next
next:
  %granule = phi i64 [ %granule.first, %entry ], [ %line.end, %next ]
  %line = lshr i64 %granule, {LINE.bit_length() - 1}
  %line.after = add i64 %line, 1
  %line.end = mul i64 %line.after, {LINE}
  %short = icmp ult i64 %granule.end, %line.end
  %end = select i1 %short, i64 %granule.end, i64 %line.end
  %width.wide = sub i64 %end, %granule
  %width = trunc i64 %width.wide to i32
  %spare = sub i32 {LINE}, %width
  %pattern = lshr i32 -1, %spare
  %granule.short = trunc i64 %granule to i32
  %phase = and i32 %granule.short, {LINE - 1}
  %granules = shl i32 %pattern, %phase
  call void @record_line_{use}(ptr %env, ptr %site, i64 %line, i32 %granules)
  %over = icmp uge i64 %line.end, %granule.end
  br i1 %over, label %done, label %next
done:
  ret void
}}
"""
    return RuntimeFunction(f"record_range_{use}", text, (record_line(use),))


def record_bulk(shift: int) -> RuntimeFunction:
    """The function that replaces NO_RECORD. Bulk copies are recorded in every buffer, marked or not."""
    text = f"""
define internal void @record_bulk(ptr %env, ptr %site, i64 %address, i64 %bytes, i64 %buffer, i1 %loads) noinline {{
  {slot("buffer.uses", at.BUFFER_USES, "ptr")}
  %use = select i1 %loads, i64 {USE_BITS[LOAD]}, i64 {USE_BITS[STORE]}
  %index.first = mul i64 %buffer, {BUFFER_SLOTS}
  %index = add i64 %index.first, {USED}
  %used.at = getelementptr i64, ptr %buffer.uses, i64 %index
  %used.old = load i64, ptr %used.at
  %used = or i64 %used.old, %use
  store i64 %used, ptr %used.at
  br i1 %loads, label %from, label %to
from:
  call void @record_range_{LOAD}(ptr %env, ptr %site, i64 %address, i64 %bytes)
  ret void
to:
  call void @record_range_{STORE}(ptr %env, ptr %site, i64 %address, i64 %bytes)
  ret void
}}
"""
    return RuntimeFunction(NO_RECORD.name, text, (record_range(LOAD, shift), record_range(STORE, shift)))
