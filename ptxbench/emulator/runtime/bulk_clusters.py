"""Bulk copies in clusters: to the memory of other CTAs, to several at once, and between CTAs.

The addresses of a copy are those of shared::cluster. Its bytes come to a CTA when a thread of that CTA tests the
mbarrier unsuccessfully, so each CTA of a multicast copy gets them at its own time. The source of a copy between CTAs is
read then too. (PTX ISA, "cp.async.bulk", "cp.reduce.async.bulk".)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from ptxbench.emulator.runtime import bulk_queue
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.bulk_checks import (
    BAD_TARGET,
    CHECK_OFFSET,
    CHECK_TARGET,
    OWN_CTA,
    PIECE,
    REPORT_ISSUED,
    SOURCE_GONE,
    count,
    lists,
)
from ptxbench.emulator.runtime.bulk_queue import COMPLETE, GROUP, PUT, QUEUES_OF_CLUSTER, STORE_REST, copy_at
from ptxbench.emulator.runtime.clusters import OFFSET_MASK, host_of
from ptxbench.emulator.runtime.context import (
    CTTZ,
    NEXT_LANE,
    V32,
    RuntimeFunction,
    field,
    lane_loop,
    lane_of,
    loop,
    next_bit,
    slot,
)
from ptxbench.emulator.runtime.copies import (
    BULK_BARRIER,
    BULK_COUNT,
    BULK_CTA,
    BULK_CTAS,
    BULK_FUNCTION,
    BULK_GLOBAL,
    BULK_LANE,
    BULK_MOVED,
    BULK_REDUCE,
    BULK_SHARED,
    BULK_SITE,
    BULK_WARP,
    QUEUE_BYTES,
    SETTLE,
)
from ptxbench.emulator.runtime.faults import FAULT, as_issuer
from ptxbench.emulator.runtime.mbarriers import BAD_SIZE
from ptxbench.emulator.runtime.messages import ELSEWHERE
from ptxbench.emulator.runtime.watch import SILENT

CHECK_TARGET_IN_CLUSTER = RuntimeFunction(CHECK_TARGET.name, f"""
define internal i1 @{CHECK_TARGET.name}(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %address, i32 %barrier,
                                        i32 %ctas, i64 %size, i64 %alignment) noinline {{
  ; Whether a copy may write %size bytes at %address of shared::cluster; or if %ctas is not 0, at the same offset in
  ; each of those CTAs.
entry:
  {slot("ranks", at.CLUSTER_SIZE)}
  {slot("first", at.CLUSTER_SLOT)}
  {slot("headers", at.CTA_HEADERS, "ptr")}
  %shown = zext i32 %address to i64
  %offset = and i32 %address, {OFFSET_MASK}
  %offset.wide = zext i32 %offset to i64
  %target.rank = lshr i64 %shown, {at.RANK_BITS}
  %no.such.rank = icmp uge i64 %target.rank, %ranks
  br i1 %no.such.rank, label %outside, label %inside
outside:
  call void @fault(ptr %env, i64 {at.OUT_OF_BOUNDS}, ptr %site, i64 %lane, i64 %shown)
  ret i1 false
inside:
  %difference = xor i32 %address, %barrier
  %rank.difference = lshr i32 %difference, {at.RANK_BITS}
  %apart = icmp ne i32 %rank.difference, 0
  br i1 %apart, label %misused, label %choose
choose:
  %ranks.short = trunc i64 %ranks to i32
  %rank.short = trunc i64 %target.rank to i32
  %address.cta = shl i32 1, %rank.short
  %no.mask = icmp eq i32 %ctas, 0
  %targets = select i1 %no.mask, i32 %address.cta, i32 %ctas
  %targets.beyond = lshr i32 %targets, %ranks.short
  %some.beyond = icmp ne i32 %targets.beyond, 0
  br i1 %some.beyond, label %misused, label %next
misused:
  %reason = phi i64 [ {ELSEWHERE}, %inside ], [ {BAD_TARGET}, %choose ]
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site.misuse, i64 %lane, i64 %reason)
  ret i1 false
next:
  %rest = phi i32 [ %targets, %choose ], [ %rest.less, %look ]
{next_bit("rank", "look", done="check")}
  %slot = add i64 %first, %rank.wide
  %header.offset = mul i64 %slot, {at.CTA_BYTES}
  %header = getelementptr i8, ptr %headers, i64 %header.offset
  %live.at = getelementptr i8, ptr %header, i64 {at.CTA_LIVE}
  %live = load i64, ptr %live.at
  %exited = icmp eq i64 %live, 0
  br i1 %exited, label %gone, label %next
gone:
  %line.at = getelementptr i8, ptr %header, i64 {at.CTA_EXIT_LINE}
  %line = load i64, ptr %line.at
  %line.high = shl i64 %line, 32
  %rank.high = shl i64 %rank.wide, {at.RANK_BITS}
  %with.rank = or i64 %rank.high, %offset.wide
  %with.line = or i64 %with.rank, %line.high
  call void @fault(ptr %env, i64 {at.LEFT}, ptr %site, i64 %lane, i64 %with.line)
  ret i1 false
check:
  %fine = call i1 @bulk_check_offset(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %offset, i64 %shown,
                                     i64 %size, i64 %alignment)
  ret i1 %fine
}}
""", (CHECK_OFFSET, FAULT), (CTTZ,))  # fmt: skip

REPORT_ISSUED_IN_CLUSTER = RuntimeFunction(REPORT_ISSUED.name, f"""
define internal void @{REPORT_ISSUED.name}(ptr %env, ptr %site.shared, ptr %site.fault, ptr %site, i64 %issuer,
                                           i32 %shared.address, i32 %barrier, i32 %ctas, i1 %in.cta, i32 %size,
                                           i1 %fills) noinline {{
  ; A copy is issued that will write or read shared memory of the CTA, or write that of CTAs of the cluster.
entry:
  {slot("rank", at.CLUSTER_RANK, "i32")}
  %offset = and i32 %shared.address, {OFFSET_MASK}
  %barrier.offset = and i32 %barrier, {OFFSET_MASK}
  %target.rank = lshr i32 %shared.address, {at.RANK_BITS}
  %address.cta = shl i32 1, %target.rank
  %this.cta = shl i32 1, %rank
  %no.mask = icmp eq i32 %ctas, 0
  %targets = select i1 %no.mask, i32 %address.cta, i32 %ctas
  %touched.ctas = select i1 %in.cta, i32 %this.cta, i32 %targets
  %grouped = icmp eq i32 %barrier, {GROUP}
  %local.barrier = select i1 %grouped, i32 {GROUP}, i32 %barrier.offset
{lane_loop("%touched.ctas", "report", "send")}
  %is.this.cta = icmp eq i32 %number, %rank
  br i1 %is.this.cta, label %report, label %send
report:
  call void @bytes_announced(ptr %env, ptr %site, i64 %issuer, i32 %local.barrier, i32 %size)
  call void @box_issued(ptr %env, ptr %site.shared, i64 %issuer, i32 %offset, i32 %size, i1 %fills)
  br label %next
send:
  %rank.high = shl i32 %number, {at.RANK_BITS}
  %target = or i32 %rank.high, %offset
  %target.barrier = or i32 %rank.high, %barrier.offset
  call void @copy_sent(ptr %env, ptr %site.fault, i64 %issuer, i32 %target, i32 %target.barrier, i32 %size, i1 false)
  br label %next
done:
  ret void
}}
""", (SILENT["copy_sent"],), (CTTZ,))  # fmt: skip

PERFORM_AS_ISSUER = RuntimeFunction(bulk_queue.PERFORM.name, f"""
define internal void @{bulk_queue.PERFORM.name}(ptr %env, ptr %item) noinline {{
  ; Do a copy, perhaps of another CTA, as if its issuer were the current warp.
  {field("item", "function", BULK_FUNCTION, "ptr")}
  {field("item", "issuer", BULK_WARP, "i64")}
  {field("item", "sender", BULK_CTA, "i64")}
  {slot("warp", at.WARP)}
  {slot("cta", at.CTA)}
  store i64 %issuer, ptr %warp.at
  store i64 %sender, ptr %cta.at
  call void @copy_begins(ptr %env)
  call void %function(ptr %env, ptr %item)
  call void @copy_ends(ptr %env)
  store i64 %warp, ptr %warp.at
  store i64 %cta, ptr %cta.at
  ret void
}}
""", (SILENT["copy_begins"], SILENT["copy_ends"]))  # fmt: skip

PERFORM_FOR_ALL = RuntimeFunction("perform_for_all", f"""
define internal void @perform_for_all(ptr %env, ptr %item) noinline {{
  ; Do a copy for all CTAs that have yet to get the bytes.
entry:
  {field("item", "barrier", BULK_BARRIER)}
  {field("item", "ctas", BULK_CTAS)}
  {slot("shared.base", at.SHARED)}
  {slot("cluster.shared", at.CLUSTER_SHARED)}
  {slot("stride", at.SHARED_STRIDE)}
  %to.global = icmp eq i32 %barrier, {GROUP}
  br i1 %to.global, label %to.global.memory, label %next
to.global.memory:
  call void @perform_bulk(ptr %env, ptr %item)
  ret void
next:
  %rest = phi i32 [ %ctas, %entry ], [ %rest.less, %lane ]
{NEXT_LANE}
  %offset = mul i64 %number.wide, %stride
  %cta.shared = add i64 %cluster.shared, %offset
  store i64 %cta.shared, ptr %shared.base.at
  call void @perform_bulk(ptr %env, ptr %item)
  store i64 %shared.base, ptr %shared.base.at
  br label %next
done:
  ret void
}}
""", (bulk_queue.PERFORM,), (CTTZ,))  # fmt: skip

CLOSED = RuntimeFunction("bulk_closed", f"""
define internal void @bulk_closed(ptr %env, ptr %header, i64 %rank) noinline {{
  ; The CTA of %rank has exited. Copies of others to its memory for which it has not waited are faults, and so are
  ; copies from its memory to others that are not done.
entry:
  {QUEUES_OF_CLUSTER}
  %line.at = getelementptr i8, ptr %header, i64 {at.CTA_EXIT_LINE}
  %line = load i64, ptr %line.at
  %line.high = shl i64 %line, 32
  %rank.high = shl i64 %rank, {at.RANK_BITS}
  %rank.short = trunc i64 %rank to i32
  %cta.bit = shl i32 1, %rank.short
  {slot("warp", at.WARP)}
  {slot("cta", at.CTA)}
  br label %queue.next
{loop("queue.next", "k", "%count", "queue.look", after="queue.done")}
  %offset = mul i64 %k, {QUEUE_BYTES}
  %queue = getelementptr i8, ptr %queues, i64 %offset
  %copies.at = getelementptr i8, ptr %queue, i64 {BULK_COUNT}
  %copies = load i32, ptr %copies.at
  %issuer.rank = udiv i64 %k, %warps
  %issued.by.it = icmp eq i64 %issuer.rank, %rank
  br label %next
{loop("next", "index", "%copies", "look", after="after", before="queue.look", done="queue.done", kind="i32")}
  {copy_at("index", "item")}
  {field("item", "item.barrier", BULK_BARRIER)}
  {field("item", "ctas", BULK_CTAS)}
  {field("item", "global.address", BULK_GLOBAL, "i64")}
  {field("item", "shared.address", BULK_SHARED)}
  %grouped = icmp eq i32 %item.barrier, {GROUP}
  br i1 %grouped, label %after, label %classify
classify:
  %cta.pending = and i32 %ctas, %cta.bit
  %is.target = icmp ne i32 %cta.pending, 0
  %issued.by.other = xor i1 %issued.by.it, true
  %target.exited = and i1 %is.target, %issued.by.other
  %between.ctas = icmp ult i64 %global.address, {at.GLOBAL_BASE}
  %source.exited = and i1 %between.ctas, %issued.by.it
  %bad = or i1 %target.exited, %source.exited
  br i1 %bad, label %report, label %after
report:
  {as_issuer("item", site=BULK_SITE, lane=BULK_LANE, warp=BULK_WARP, cta=BULK_CTA)}
  %shared.wide = zext i32 %shared.address to i64
  %with.rank = or i64 %rank.high, %shared.wide
  %with.line = or i64 %with.rank, %line.high
  %kind = select i1 %target.exited, i64 {at.LEFT}, i64 {at.MISUSED}
  %detail = select i1 %target.exited, i64 %with.line, i64 {SOURCE_GONE}
  call void @fault(ptr %env, i64 %kind, ptr %site, i64 %lane.wide, i64 %detail)
  store i64 %warp, ptr %warp.at
  store i64 %cta, ptr %cta.at
  br label %after
after:
  %index.next = add i32 %index, 1
  br label %next
queue.done:
  %k.next = add i64 %k, 1
  br label %queue.next
done:
  ret void
}}
""", (FAULT,))  # fmt: skip

REPLACING = (
    CHECK_TARGET_IN_CLUSTER,
    REPORT_ISSUED_IN_CLUSTER,
    bulk_queue.complete(clustered=True),
    bulk_queue.finish(clustered=True),
    replace(bulk_queue.make_room(clustered=True), needs=(PERFORM_FOR_ALL,)),
    replace(bulk_queue.put(clustered=True), needs=()),
    bulk_queue.before_test(clustered=True),
    PERFORM_AS_ISSUER,  # after those that need the other one
)


def replacing(present: Collection[str]) -> Iterator[RuntimeFunction]:
    """The functions that replace functions of `present` in clusters, by their names, with the functions they need."""
    for function in REPLACING:
        if function.name in present:
            yield from (needed for needed in function.needs if needed.name not in present)
            yield replace(function, needs=())


# ---- between CTAs

COPY_BETWEEN = RuntimeFunction("copy_between", f"""
define internal void @copy_between(ptr %env, ptr %item) noinline {{
  ; From the memory of the CTA that issued the copy to the memory of the current one.
entry:
  {slot("shared.base", at.SHARED)}
  {field("item", "moved", BULK_MOVED)}
  {field("item", "shared.address", BULK_SHARED)}
  {field("item", "global.address", BULK_GLOBAL, "i64")}
  {field("item", "reduce", BULK_REDUCE, "ptr")}
  %moved.wide = zext i32 %moved to i64
  %shared.wide = zext i32 %shared.address to i64
  %shared.host = add i64 %shared.base, %shared.wide
  %to = inttoptr i64 %shared.host to ptr
  %source = trunc i64 %global.address to i32
  {host_of("%source", "source.host")}
  %from = inttoptr i64 %source.host to ptr
  call void @copy_taken_remote(ptr %env, i32 %source, i32 %moved)
  call void @settle_copy(ptr %env, i32 %shared.address, i32 %moved)
  %reduces = icmp ne ptr %reduce, null
  br i1 %reduces, label %combine, label %replace
combine:
  call void %reduce(ptr %to, ptr %from, i32 %moved)
  br label %complete
replace:
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %moved.wide, i1 false)
  br label %complete
complete:
  call void @complete_bulk(ptr %env, ptr %item)
  ret void
}}
""", (SETTLE, COMPLETE, SILENT["copy_taken_remote"]),
    ("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",))  # fmt: skip

ISSUE = RuntimeFunction("issue_between", f"""
define internal void @issue_between({V32} %targets, {V32} %sources, {V32} %sizes, {V32} %barriers, i32 %asked, ptr %env,
                                    ptr %site.target, ptr %site.source, ptr %site, ptr %reduce,
                                    i64 %elements) noinline {{
  ; One copy per lane, from an offset in the CTA's own memory (source) to an address of shared::cluster.
  ; %reduce: what updates the target, {PIECE} bytes of it as %elements elements; null where bytes are replaced.
entry:
  {lists(("shared.address", "i32", "%targets"), ("source", "i32", "%sources"), ("size", "i32", "%sizes"),
         ("barrier", "i32", "%barriers"))}
  {slot("cta.base", at.CLUSTER_OWN, "i32")}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %return, label %next
next:
  %rest = phi i32 [ %asked, %entry ], [ %rest.less, %reported ]
  %pieces = phi i64 [ 0, %entry ], [ %pieces.new, %reported ]
  %passes = phi i64 [ 0, %entry ], [ %passes.new, %reported ]
{NEXT_LANE}
  {lane_of("shared.address", "i32")}
  {lane_of("source", "i32")}
  {lane_of("size", "i32")}
  {lane_of("barrier", "i32")}
  %size.wide = zext i32 %size to i64
  %source.wide = zext i32 %source to i64
  %size.ragged = and i32 %size, {PIECE - 1}
  %size.odd = icmp ne i32 %size.ragged, 0
  br i1 %size.odd, label %misused, label %look
look:
  %difference = xor i32 %shared.address, %cta.base
  %remote = lshr i32 %difference, {at.RANK_BITS}
  %same.cta = icmp eq i32 %remote, 0
  br i1 %same.cta, label %misused, label %source.check
misused:
  %reason = phi i64 [ {BAD_SIZE}, %lane ], [ {OWN_CTA}, %look ]
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 %reason)
  br label %put
source.check:
  %source.fine = call i1 @bulk_check_offset(ptr %env, ptr %site.source, ptr %site, i64 %number.wide, i32 %source,
                                            i64 %source.wide, i64 %size.wide, i64 {PIECE})
  br i1 %source.fine, label %target.check, label %put
target.check:
  %fine = call i1 @{CHECK_TARGET.name}(ptr %env, ptr %site.target, ptr %site, i64 %number.wide, i32 %shared.address,
                                       i32 %barrier, i32 0, i64 %size.wide, i64 {PIECE})
  br i1 %fine, label %good, label %put
good:
  br label %put
put:
  %moved = phi i32 [ 0, %misused ], [ 0, %source.check ], [ 0, %target.check ], [ %size, %good ]
  %source.cluster = or i32 %source, %cta.base
  %global.address = zext i32 %source.cluster to i64           ; the source is in the place of a global address
  %function = getelementptr i8, ptr @copy_between, i64 0
  %report.site = getelementptr i8, ptr %site.target, i64 0
  %transaction = add i32 %size, 0
  %item = call ptr @put_bulk(ptr %env, i64 %number.wide, i32 %shared.address, i32 %barrier, i32 0)
  {STORE_REST}
  %some = icmp ne i32 %moved, 0
  br i1 %some, label %report, label %reported
report:
  %updating = icmp ne ptr %reduce, null
  call void @box_issued(ptr %env, ptr %site.source, i64 %number.wide, i32 %source, i32 %moved, i1 false)
  call void @copy_sent(ptr %env, ptr %site.target, i64 %number.wide, i32 %shared.address, i32 %barrier, i32 %moved,
                       i1 %updating)
  br label %reported
reported:
  %moved.wide = zext i32 %moved to i64
  %copy.pieces = lshr i64 %moved.wide, 4
  %pieces.new = add i64 %pieces, %copy.pieces
  %moved.up = add i64 %moved.wide, 127
  %copy.passes = lshr i64 %moved.up, 7
  %passes.new = add i64 %passes, %copy.passes
  br label %next
done:
  %updates = icmp ne ptr %reduce, null
  %updated = mul i64 %pieces, %elements
  %target.active = select i1 %updates, i64 %updated, i64 %pieces
  %target.work = zext i1 %updates to i64
  {count("site", at.REQUESTS, "1")}
  {count("site", at.ACTIVE, "%pieces")}
  {count("site.target", at.REQUESTS, "1")}
  {count("site.target", at.ACTIVE, "%target.active")}
  {count("site.target", at.WORK, "%target.work")}
  {count("site.source", at.REQUESTS, "1")}
  {count("site.source", at.ACTIVE, "%pieces")}
  {count("site.source", at.WORK, "%passes")}
  br label %return
return:
  ret void
}}
""", (CHECK_TARGET, CHECK_OFFSET, PUT, COPY_BETWEEN, SILENT["box_issued"], SILENT["copy_sent"], FAULT),
    (CTTZ,))  # fmt: skip
"""A copy that moves no bytes still completes its transactions at the mbarrier."""
