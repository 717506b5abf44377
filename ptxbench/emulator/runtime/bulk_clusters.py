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
from ptxbench.emulator.runtime.bulk_checks import BAD_TARGET, NEAR, OWN, OWN_CTA, PIECE, SOURCE_GONE, TOLD, count, lists
from ptxbench.emulator.runtime.bulk_queue import COMPLETE, GROUP, OF_ITS_CLUSTER, PUT, WHAT, copy_at
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
    BULK_DO,
    BULK_FAR,
    BULK_LANE,
    BULK_MOVED,
    BULK_NEAR,
    BULK_REDUCE,
    BULK_SITE,
    BULK_WARP,
    QUEUE_BYTES,
    SETTLE,
)
from ptxbench.emulator.runtime.faults import FAULT, as_issuer
from ptxbench.emulator.runtime.mbarriers import BAD_SIZE
from ptxbench.emulator.runtime.messages import ELSEWHERE
from ptxbench.emulator.runtime.watch import NOTHING

REACH = RuntimeFunction(NEAR.name, f"""
define internal i1 @{NEAR.name}(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %address, i32 %barrier, i32 %ctas,
                              i64 %size, i64 %alignment) noinline {{
  ; Whether a copy may write %size bytes at %address of shared::cluster; or if %ctas is not 0, at the same offset in
  ; each of those CTAs.
entry:
  {slot("ranks", at.CLUSTER_SIZE)}
  {slot("first", at.CLUSTER_SLOT)}
  {slot("headers", at.CTA_HEADERS, "ptr")}
  %shown = zext i32 %address to i64
  %inner = and i32 %address, {OFFSET_MASK}
  %inner.wide = zext i32 %inner to i64
  %own.rank = lshr i64 %shown, {at.RANK_BITS}
  %strange = icmp uge i64 %own.rank, %ranks
  br i1 %strange, label %outside, label %inside
outside:
  call void @fault(ptr %env, i64 {at.OUT_OF_BOUNDS}, ptr %site, i64 %lane, i64 %shown)
  ret i1 false
inside:
  %between = xor i32 %address, %barrier
  %distance = lshr i32 %between, {at.RANK_BITS}
  %apart = icmp ne i32 %distance, 0
  br i1 %apart, label %misused, label %choose
choose:
  %ranks.short = trunc i64 %ranks to i32
  %own.short = trunc i64 %own.rank to i32
  %own.bit = shl i32 1, %own.short
  %unnamed = icmp eq i32 %ctas, 0
  %targets = select i1 %unnamed, i32 %own.bit, i32 %ctas
  %beyond = lshr i32 %targets, %ranks.short
  %some.beyond = icmp ne i32 %beyond, 0
  br i1 %some.beyond, label %misused, label %next
misused:
  %why = phi i64 [ {ELSEWHERE}, %inside ], [ {BAD_TARGET}, %choose ]
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site.misuse, i64 %lane, i64 %why)
  ret i1 false
next:
  %rest = phi i32 [ %targets, %choose ], [ %rest.less, %look ]
{next_bit("rank", "look", done="own")}
  %slot = add i64 %first, %rank.wide
  %h.offset = mul i64 %slot, {at.CTA_BYTES}
  %header = getelementptr i8, ptr %headers, i64 %h.offset
  %live.at = getelementptr i8, ptr %header, i64 {at.CTA_LIVE}
  %live = load i64, ptr %live.at
  %left = icmp eq i64 %live, 0
  br i1 %left, label %gone, label %next
gone:
  %line.at = getelementptr i8, ptr %header, i64 {at.CTA_EXIT_LINE}
  %line = load i64, ptr %line.at
  %line.high = shl i64 %line, 32
  %rank.high = shl i64 %rank.wide, {at.RANK_BITS}
  %with.rank = or i64 %rank.high, %inner.wide
  %with.line = or i64 %with.rank, %line.high
  call void @fault(ptr %env, i64 {at.LEFT}, ptr %site, i64 %lane, i64 %with.line)
  ret i1 false
own:
  %fine = call i1 @bulk_own(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %inner, i64 %shown, i64 %size,
                            i64 %alignment)
  ret i1 %fine
}}
""", (OWN, FAULT), (CTTZ,))  # fmt: skip

TOLD_IN_CLUSTER = RuntimeFunction(TOLD.name, f"""
define internal void @{TOLD.name}(ptr %env, ptr %site.near, ptr %site.reach, ptr %site, i64 %issuer, i32 %near,
                                i32 %barrier, i32 %ctas, i1 %own, i32 %size, i1 %fills) noinline {{
  ; A copy is issued that will write or read shared memory of the CTA, or write that of CTAs of the cluster.
entry:
  {slot("rank", at.CLUSTER_RANK, "i32")}
  %inner = and i32 %near, {OFFSET_MASK}
  %place = and i32 %barrier, {OFFSET_MASK}
  %high = lshr i32 %near, {at.RANK_BITS}
  %of.address = shl i32 1, %high
  %own.bit = shl i32 1, %rank
  %unnamed = icmp eq i32 %ctas, 0
  %targets = select i1 %unnamed, i32 %of.address, i32 %ctas
  %all = select i1 %own, i32 %own.bit, i32 %targets
  %grouped = icmp eq i32 %barrier, {GROUP}
  %here = select i1 %grouped, i32 {GROUP}, i32 %place
{lane_loop("%all", "tell", "send")}
  %at.home = icmp eq i32 %number, %rank
  br i1 %at.home, label %tell, label %send
tell:
  call void @bytes_announced(ptr %env, ptr %site, i64 %issuer, i32 %here, i32 %size)
  call void @box_issued(ptr %env, ptr %site.near, i64 %issuer, i32 %inner, i32 %size, i1 %fills)
  br label %next
send:
  %its.high = shl i32 %number, {at.RANK_BITS}
  %its.near = or i32 %its.high, %inner
  %its.barrier = or i32 %its.high, %place
  call void @copy_sent(ptr %env, ptr %site.reach, i64 %issuer, i32 %its.near, i32 %its.barrier, i32 %size, i1 false)
  br label %next
done:
  ret void
}}
""", (NOTHING["copy_sent"],), (CTTZ,))  # fmt: skip

DO_AS_ISSUER = RuntimeFunction(bulk_queue.DO.name, f"""
define internal void @{bulk_queue.DO.name}(ptr %env, ptr %item) noinline {{
  ; Do a copy, perhaps of another CTA, as if its issuer were the current warp.
  {field("item", "function", BULK_DO, "ptr")}
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
""", (NOTHING["copy_begins"], NOTHING["copy_ends"]))  # fmt: skip

DO_FOR_ALL = RuntimeFunction("do_for_all", f"""
define internal void @do_for_all(ptr %env, ptr %item) noinline {{
  ; Do a copy for all CTAs that have yet to get the bytes.
entry:
  {field("item", "barrier", BULK_BARRIER)}
  {field("item", "ctas", BULK_CTAS)}
  {slot("shared", at.SHARED)}
  {slot("base", at.CLUSTER_SHARED)}
  {slot("stride", at.SHARED_STRIDE)}
  %leaves = icmp eq i32 %barrier, {GROUP}
  br i1 %leaves, label %out, label %next
out:
  call void @do_bulk(ptr %env, ptr %item)
  ret void
next:
  %rest = phi i32 [ %ctas, %entry ], [ %rest.less, %lane ]
{NEXT_LANE}
  %offset = mul i64 %number.wide, %stride
  %its.shared = add i64 %base, %offset
  store i64 %its.shared, ptr %shared.at
  call void @do_bulk(ptr %env, ptr %item)
  store i64 %shared, ptr %shared.at
  br label %next
done:
  ret void
}}
""", (bulk_queue.DO,), (CTTZ,))  # fmt: skip

CLOSED = RuntimeFunction("bulk_closed", f"""
define internal void @bulk_closed(ptr %env, ptr %header, i64 %rank) noinline {{
  ; The CTA of %rank has exited. Copies of others to its memory for which it has not waited are faults, and so are
  ; copies from its memory to others that are not done.
entry:
  {OF_ITS_CLUSTER}
  %line.at = getelementptr i8, ptr %header, i64 {at.CTA_EXIT_LINE}
  %line = load i64, ptr %line.at
  %line.high = shl i64 %line, 32
  %rank.high = shl i64 %rank, {at.RANK_BITS}
  %rank.short = trunc i64 %rank to i32
  %own.bit = shl i32 1, %rank.short
  {slot("warp", at.WARP)}
  {slot("cta", at.CTA)}
  br label %queue.next
{loop("queue.next", "k", "%count", "queue.look", after="queue.done")}
  %offset = mul i64 %k, {QUEUE_BYTES}
  %queue = getelementptr i8, ptr %queues, i64 %offset
  %held.at = getelementptr i8, ptr %queue, i64 {BULK_COUNT}
  %held = load i32, ptr %held.at
  %issuer.rank = udiv i64 %k, %warps
  %by.itself = icmp eq i64 %issuer.rank, %rank
  br label %next
{loop("next", "index", "%held", "look", after="after", before="queue.look", done="queue.done", kind="i32")}
  {copy_at("index", "item")}
  {field("item", "its", BULK_BARRIER)}
  {field("item", "ctas", BULK_CTAS)}
  {field("item", "far", BULK_FAR, "i64")}
  {field("item", "near", BULK_NEAR)}
  %grouped = icmp eq i32 %its, {GROUP}
  br i1 %grouped, label %after, label %judge
judge:
  %its.bit = and i32 %ctas, %own.bit
  %comes = icmp ne i32 %its.bit, 0
  %by.other = xor i1 %by.itself, true
  %lost = and i1 %comes, %by.other
  %between = icmp ult i64 %far, {at.GLOBAL_BASE}
  %drained = and i1 %between, %by.itself
  %bad = or i1 %lost, %drained
  br i1 %bad, label %tell, label %after
tell:
  {as_issuer("item", site=BULK_SITE, lane=BULK_LANE, warp=BULK_WARP, cta=BULK_CTA)}
  %near.wide = zext i32 %near to i64
  %with.rank = or i64 %rank.high, %near.wide
  %with.line = or i64 %with.rank, %line.high
  %kind = select i1 %lost, i64 {at.LEFT}, i64 {at.MISUSED}
  %what = select i1 %lost, i64 %with.line, i64 {SOURCE_GONE}
  call void @fault(ptr %env, i64 %kind, ptr %site, i64 %lane.wide, i64 %what)
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
    REACH,
    TOLD_IN_CLUSTER,
    bulk_queue.complete(clustered=True),
    bulk_queue.finish(clustered=True),
    replace(bulk_queue.make_room(clustered=True), needs=(DO_FOR_ALL,)),
    replace(bulk_queue.put(clustered=True), needs=()),
    bulk_queue.before_test(clustered=True),
    DO_AS_ISSUER,  # after those that need the other one
)


def replacing(present: Collection[str]) -> Iterator[RuntimeFunction]:
    """The functions that replace functions of `present` in clusters, by their names, with the functions they need."""
    for function in REPLACING:
        if function.name in present:
            yield from (needed for needed in function.needs if needed.name not in present)
            yield replace(function, needs=())


# ---- between CTAs

DO = RuntimeFunction("do_between", f"""
define internal void @do_between(ptr %env, ptr %item) noinline {{
  ; From the memory of the CTA that issued the copy to the memory of the current one.
entry:
  {slot("shared", at.SHARED)}
  {field("item", "moved", BULK_MOVED)}
  {field("item", "near", BULK_NEAR)}
  {field("item", "far", BULK_FAR, "i64")}
  {field("item", "reduce", BULK_REDUCE, "ptr")}
  %moved.wide = zext i32 %moved to i64
  %near.wide = zext i32 %near to i64
  %near.host = add i64 %shared, %near.wide
  %to = inttoptr i64 %near.host to ptr
  %source = trunc i64 %far to i32
  {host_of("%source", "source.host")}
  %from = inttoptr i64 %source.host to ptr
  call void @copy_taken_far(ptr %env, i32 %source, i32 %moved)
  call void @settle_copy(ptr %env, i32 %near, i32 %moved)
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
""", (SETTLE, COMPLETE, NOTHING["copy_taken_far"]),
    ("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",))  # fmt: skip

ISSUE = RuntimeFunction("issue_between", f"""
define internal void @issue_between({V32} %nears, {V32} %sources, {V32} %sizes, {V32} %barriers, i32 %asked, ptr %env,
                                    ptr %site.near, ptr %site.source, ptr %site, ptr %reduce, i64 %elements) noinline {{
  ; One copy per lane, from an offset in the CTA's own memory (source) to an address of shared::cluster (near).
  ; %reduce: what updates the target, {PIECE} bytes of it as %elements elements; null where bytes are replaced.
entry:
  {lists(("near", "i32", "%nears"), ("source", "i32", "%sources"), ("size", "i32", "%sizes"),
         ("barrier", "i32", "%barriers"))}
  {slot("own", at.CLUSTER_OWN, "i32")}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %return, label %next
next:
  %rest = phi i32 [ %asked, %entry ], [ %rest.less, %told ]
  %pieces = phi i64 [ 0, %entry ], [ %pieces.new, %told ]
  %passes = phi i64 [ 0, %entry ], [ %passes.new, %told ]
{NEXT_LANE}
  {lane_of("near", "i32")}
  {lane_of("source", "i32")}
  {lane_of("size", "i32")}
  {lane_of("barrier", "i32")}
  %size.wide = zext i32 %size to i64
  %source.wide = zext i32 %source to i64
  %size.ragged = and i32 %size, {PIECE - 1}
  %size.odd = icmp ne i32 %size.ragged, 0
  br i1 %size.odd, label %misused, label %look
look:
  %distance = xor i32 %near, %own
  %remote = lshr i32 %distance, {at.RANK_BITS}
  %at.home = icmp eq i32 %remote, 0
  br i1 %at.home, label %misused, label %source.check
misused:
  %why = phi i64 [ {BAD_SIZE}, %lane ], [ {OWN_CTA}, %look ]
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 %why)
  br label %put
source.check:
  %source.fine = call i1 @bulk_own(ptr %env, ptr %site.source, ptr %site, i64 %number.wide, i32 %source,
                                   i64 %source.wide, i64 %size.wide, i64 {PIECE})
  br i1 %source.fine, label %near.check, label %put
near.check:
  %fine = call i1 @{NEAR.name}(ptr %env, ptr %site.near, ptr %site, i64 %number.wide, i32 %near, i32 %barrier, i32 0,
                               i64 %size.wide, i64 {PIECE})
  br i1 %fine, label %good, label %put
good:
  br label %put
put:
  %moved = phi i32 [ 0, %misused ], [ 0, %source.check ], [ 0, %near.check ], [ %size, %good ]
  %source.shared = or i32 %source, %own
  %far = zext i32 %source.shared to i64
  %do = getelementptr i8, ptr @do_between, i64 0
  %site.kept = getelementptr i8, ptr %site.near, i64 0
  %transaction = add i32 %size, 0
  %item = call ptr @put_bulk(ptr %env, i64 %number.wide, i32 %near, i32 %barrier, i32 0)
  {WHAT}
  %some = icmp ne i32 %moved, 0
  br i1 %some, label %tell, label %told
tell:
  %updating = icmp ne ptr %reduce, null
  call void @box_issued(ptr %env, ptr %site.source, i64 %number.wide, i32 %source, i32 %moved, i1 false)
  call void @copy_sent(ptr %env, ptr %site.near, i64 %number.wide, i32 %near, i32 %barrier, i32 %moved, i1 %updating)
  br label %told
told:
  %moved.wide = zext i32 %moved to i64
  %its.pieces = lshr i64 %moved.wide, 4
  %pieces.new = add i64 %pieces, %its.pieces
  %moved.up = add i64 %moved.wide, 127
  %its.passes = lshr i64 %moved.up, 7
  %passes.new = add i64 %passes, %its.passes
  br label %next
done:
  %updates = icmp ne ptr %reduce, null
  %updated = mul i64 %pieces, %elements
  %near.active = select i1 %updates, i64 %updated, i64 %pieces
  %near.work = zext i1 %updates to i64
  {count("site", at.REQUESTS, "1")}
  {count("site", at.ACTIVE, "%pieces")}
  {count("site.near", at.REQUESTS, "1")}
  {count("site.near", at.ACTIVE, "%near.active")}
  {count("site.near", at.WORK, "%near.work")}
  {count("site.source", at.REQUESTS, "1")}
  {count("site.source", at.ACTIVE, "%pieces")}
  {count("site.source", at.WORK, "%passes")}
  br label %return
return:
  ret void
}}
""", (NEAR, OWN, PUT, DO, NOTHING["box_issued"], NOTHING["copy_sent"], FAULT), (CTTZ,))  # fmt: skip
"""A copy that moves no bytes still completes its transactions at the mbarrier."""
