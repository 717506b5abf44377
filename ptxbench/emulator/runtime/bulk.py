"""Bulk asynchronous copies of consecutive bytes between global memory and the CTA's shared memory.

A copy is checked and counted when it is issued; bulk_queue.py says when it is done.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.atomics import float_declarations, helpers, update
from ptxbench.emulator.runtime.bulk_queue import APPEND, COMPLETE, GROUP, field
from ptxbench.emulator.runtime.context import CTTZ, NEXT_LANE, V32, V64, RuntimeFunction, slot
from ptxbench.emulator.runtime.copies import (
    BULK_BARRIER,
    BULK_COMMITTED,
    BULK_DO,
    BULK_FAR,
    BULK_GROUP,
    BULK_LANE,
    BULK_MOVED,
    BULK_NEAR,
    BULK_REDUCE,
    BULK_SITE,
    BULK_TRANSACTION,
    BULK_WARP,
    SETTLE,
)
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.mbarriers import BAD_SIZE
from ptxbench.emulator.runtime.records import NO_RECORD
from ptxbench.emulator.runtime.watch import NOTHING
from ptxbench.emulator.types import Type

PIECE = 16
"""Addresses and sizes are multiples of this many bytes."""
MOVE = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"


def reduce(operation: str, kind: Type) -> RuntimeFunction:
    """`bulk_OPERATION_TYPE(far, near, bytes)`: update elements of global memory (far) with those of shared memory.

    The update is not atomic on the host: CTAs of such a kernel run one after the other (flow.order_reason).
    """
    t = f"i{kind.bits}"
    text = f"""
define internal void @bulk_{operation}_{kind}(ptr %far, ptr %near, i32 %bytes) noinline {{
entry:
  %count = udiv i32 %bytes, {kind.bytes}
  br label %next
next:
  %i = phi i32 [ 0, %entry ], [ %i.next, %element ]
  %over = icmp eq i32 %i, %count
  br i1 %over, label %done, label %element
element:
  %i.wide = zext i32 %i to i64
  %place = getelementptr {t}, ptr %far, i64 %i.wide
  %from = getelementptr {t}, ptr %near, i64 %i.wide
  %old = load {t}, ptr %place
  %b = load {t}, ptr %from
  {update(operation, kind, ftz=kind.name == "f32")}
  store {t} %new, ptr %place
  %i.next = add i32 %i, 1
  br label %next
done:
  ret void
}}
"""
    return RuntimeFunction(f"bulk_{operation}_{kind}", text, helpers(operation, kind), float_declarations(kind))


DO = RuntimeFunction("do_plain", f"""
define internal void @do_plain(ptr %env, ptr %item) noinline {{
entry:
  {slot("shared", at.SHARED)}
  {slot("delta", at.DELTA)}
  {field("item", "moved", BULK_MOVED)}
  {field("item", "near", BULK_NEAR)}
  {field("item", "far", BULK_FAR, "i64")}
  {field("item", "barrier", BULK_BARRIER)}
  %moved.wide = zext i32 %moved to i64
  %near.wide = zext i32 %near to i64
  %near.host = add i64 %shared, %near.wide
  %near.ptr = inttoptr i64 %near.host to ptr
  %far.host = add i64 %far, %delta
  %far.ptr = inttoptr i64 %far.host to ptr
  %leaves = icmp eq i32 %barrier, {GROUP}
  br i1 %leaves, label %out, label %in
out:
  {field("item", "reduce", BULK_REDUCE, "ptr")}
  %reduces = icmp ne ptr %reduce, null
  br i1 %reduces, label %combine, label %replace
combine:
  call void %reduce(ptr %far.ptr, ptr %near.ptr, i32 %moved)
  br label %out.done
replace:
  call void @llvm.memcpy.p0.p0.i64(ptr %far.ptr, ptr %near.ptr, i64 %moved.wide, i1 false)
  br label %out.done
out.done:
  {field("item", "out.site", BULK_SITE, "ptr")}
  {field("item", "out.lane", BULK_LANE)}
  %out.lane.wide = zext i32 %out.lane to i64
  call void @bulk_done(ptr %env, ptr %out.site, i64 %out.lane.wide, i32 %near, i64 %far, i32 %moved,
                       i1 %reduces)
  ret void
in:
  call void @settle_copy(ptr %env, i32 %near, i32 %moved)
  call void @llvm.memcpy.p0.p0.i64(ptr %near.ptr, ptr %far.ptr, i64 %moved.wide, i1 false)
  call void @complete_bulk(ptr %env, ptr %item)
  ret void
}}
""", (SETTLE, COMPLETE, NOTHING["bulk_done"]), (MOVE,))  # fmt: skip


def count(site: str, index: int, amount: str) -> str:
    """Lines that add the i64 `amount` to slot `index` of the site %SITE."""
    name = f"{site}.{index}"
    return f"""%{name}.at = getelementptr i64, ptr %{site}, i64 {index}
  %{name}.old = load i64, ptr %{name}.at
  %{name}.new = add i64 %{name}.old, {amount}
  store i64 %{name}.new, ptr %{name}.at"""


def keep(name: str, kind: str, offset: int) -> str:
    """Lines that store %name in the copy at %item."""
    label = name.replace(".", "_")
    return f"""%put.{label} = getelementptr i8, ptr %item, i64 {offset}
  store {kind} %{name}, ptr %put.{label}"""


def lane_of(name: str, kind: str) -> str:
    """Lines that load the lane's element of the list %name.all into %name."""
    return f"""%{name}.at = getelementptr {kind}, ptr %{name}.all, i64 %number.wide
  %{name} = load {kind}, ptr %{name}.at"""


ISSUE = RuntimeFunction("issue_bulk", f"""
define internal void @issue_bulk({V32} %nears, {V64} %fars, {V32} %sizes, {V32} %barriers, i32 %asked, ptr %env,
                                 ptr %site.near, ptr %site.far, ptr %site, ptr %reduce, i64 %elements) noinline {{
  ; A copy a lane between shared memory (near) and global memory (far), each checked by itself. One that may not be
  ; moves nothing, but completes its transactions, so that where faults are only collected nobody waits for them.
  ; %reduce: what updates global memory, {PIECE} bytes of it as %elements elements; null where bytes are replaced.
entry:
  %near.all = alloca {V32}, align 64
  %far.all = alloca {V64}, align 64
  %size.all = alloca {V32}, align 64
  %barrier.all = alloca {V32}, align 64
  store {V32} %nears, ptr %near.all
  store {V64} %fars, ptr %far.all
  store {V32} %sizes, ptr %size.all
  store {V32} %barriers, ptr %barrier.all
  {slot("limit", at.SHARED_BYTES)}
  {slot("buffers", at.BUFFERS, "ptr")}
  {slot("buffer.count", at.BUFFER_COUNT)}
  {slot("queue", at.QUEUE, "ptr")}
  {slot("warp", at.WARP)}
  %committed.all = getelementptr i8, ptr %queue, i64 {BULK_COMMITTED}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %return, label %next
next:
  %rest = phi i32 [ %asked, %entry ], [ %rest.less, %lane.done ]
  %pieces = phi i64 [ 0, %entry ], [ %pieces.new, %lane.done ]
  %sectors = phi i64 [ 0, %entry ], [ %sectors.new, %lane.done ]
  %lines = phi i64 [ 0, %entry ], [ %lines.new, %lane.done ]
  %passes = phi i64 [ 0, %entry ], [ %passes.new, %lane.done ]
{NEXT_LANE}
  {lane_of("near", "i32")}
  {lane_of("far", "i64")}
  {lane_of("size", "i32")}
  {lane_of("barrier", "i32")}
  %size.wide = zext i32 %size to i64
  %near.wide = zext i32 %near to i64
  %size.ragged = and i32 %size, {PIECE - 1}
  %size.odd = icmp ne i32 %size.ragged, 0
  br i1 %size.odd, label %size.bad, label %size.good
size.bad:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 {BAD_SIZE})
  br label %put
size.good:
  %nothing = icmp eq i32 %size, 0
  br i1 %nothing, label %put, label %near.check
near.check:
  %near.end = add i64 %near.wide, %size.wide
  %near.past = icmp ugt i64 %near.end, %limit
  br i1 %near.past, label %near.out, label %near.in
near.out:
  %limit.whole = and i64 %limit, {-PIECE}          ; the first piece that lies outside
  %near.starts = icmp ult i64 %near.wide, %limit.whole
  %near.first = select i1 %near.starts, i64 %limit.whole, i64 %near.wide
  br label %near.bad
near.in:
  %near.ragged = and i64 %near.wide, {PIECE - 1}
  %near.odd = icmp ne i64 %near.ragged, 0
  br i1 %near.odd, label %near.bad, label %search
near.bad:
  %near.kind = phi i64 [ {at.OUT_OF_BOUNDS}, %near.out ], [ {at.MISALIGNED}, %near.in ]
  %near.address = phi i64 [ %near.first, %near.out ], [ %near.wide, %near.in ]
  call void @fault(ptr %env, i64 %near.kind, ptr %site.near, i64 %number.wide, i64 %near.address)
  br label %put
search:
  %i = phi i64 [ 0, %near.in ], [ %i.next, %miss ]
  %ends = phi i64 [ 0, %near.in ], [ %ends.new, %miss ]
  %none = icmp eq i64 %i, %buffer.count
  br i1 %none, label %far.out, label %compare
compare:
  %entry.index = shl i64 %i, 1
  %lo.at = getelementptr i64, ptr %buffers, i64 %entry.index
  %lo = load i64, ptr %lo.at
  %hi.at = getelementptr i64, ptr %lo.at, i64 1
  %hi = load i64, ptr %hi.at
  %after = icmp uge i64 %far, %lo
  %before = icmp ult i64 %far, %hi
  %starts = and i1 %after, %before
  %room = sub i64 %hi, %far
  %enough = icmp ule i64 %size.wide, %room
  %fits = and i1 %starts, %enough
  br i1 %fits, label %far.in, label %miss
miss:
  %ends.new = select i1 %starts, i64 %hi, i64 %ends
  %i.next = add i64 %i, 1
  br label %search
far.out:
  %ends.whole = and i64 %ends, {-PIECE}
  %far.starts = icmp ult i64 %far, %ends.whole
  %far.first = select i1 %far.starts, i64 %ends.whole, i64 %far
  br label %far.bad
far.in:
  %far.ragged = and i64 %far, {PIECE - 1}
  %far.odd = icmp ne i64 %far.ragged, 0
  br i1 %far.odd, label %far.bad, label %far.good
far.good:
  %enters = icmp ne i32 %barrier, {GROUP}
  call void @record_bulk(ptr %env, ptr %site.far, i64 %far, i64 %size.wide, i64 %i, i1 %enters)
  br label %put
far.bad:
  %far.kind = phi i64 [ {at.OUT_OF_BOUNDS}, %far.out ], [ {at.MISALIGNED}, %far.in ]
  %far.address = phi i64 [ %far.first, %far.out ], [ %far, %far.in ]
  call void @fault(ptr %env, i64 %far.kind, ptr %site.far, i64 %number.wide, i64 %far.address)
  br label %put
put:
  %moved = phi i32 [ 0, %size.bad ], [ 0, %size.good ], [ 0, %near.bad ], [ 0, %far.bad ], [ %size, %far.good ]
  %item = call ptr @append_bulk(ptr %env, ptr %queue)
  %committed.at = getelementptr i32, ptr %committed.all, i64 %number.wide
  %group = load i32, ptr %committed.at
  {keep("site", "ptr", BULK_SITE)}
  {keep("far", "i64", BULK_FAR)}
  {keep("number", "i32", BULK_LANE)}
  {keep("moved", "i32", BULK_MOVED)}
  {keep("size", "i32", BULK_TRANSACTION)}
  {keep("near", "i32", BULK_NEAR)}
  {keep("barrier", "i32", BULK_BARRIER)}
  {keep("group", "i32", BULK_GROUP)}
  {keep("warp", "i64", BULK_WARP)}
  {keep("reduce", "ptr", BULK_REDUCE)}
  %do = getelementptr i8, ptr @do_plain, i64 0
  {keep("do", "ptr", BULK_DO)}
  %some = icmp ne i32 %moved, 0
  br i1 %some, label %measure, label %lane.done
measure:
  %fills = icmp ne i32 %barrier, {GROUP}
  call void @bulk_issued(ptr %env, ptr %site.near, ptr %site.far, i64 %number.wide, i32 %near, i64 %far, i32 %moved,
                         i1 %fills)
  %its.pieces = lshr i64 %size.wide, 4
  %pieces.more = add i64 %pieces, %its.pieces
  %far.end = add i64 %far, %size.wide
  %far.last = sub i64 %far.end, 1
  %sector.last = lshr i64 %far.last, 5
  %sector.first = lshr i64 %far, 5
  %sectors.between = sub i64 %sector.last, %sector.first
  %its.sectors = add i64 %sectors.between, 1
  %sectors.more = add i64 %sectors, %its.sectors
  %line.last = lshr i64 %far.last, 7
  %line.first = lshr i64 %far, 7
  %lines.between = sub i64 %line.last, %line.first
  %its.lines = add i64 %lines.between, 1
  %lines.more = add i64 %lines, %its.lines
  %size.up = add i64 %size.wide, 127
  %its.passes = lshr i64 %size.up, 7
  %passes.more = add i64 %passes, %its.passes
  br label %lane.done
lane.done:
  %pieces.new = phi i64 [ %pieces, %put ], [ %pieces.more, %measure ]
  %sectors.new = phi i64 [ %sectors, %put ], [ %sectors.more, %measure ]
  %lines.new = phi i64 [ %lines, %put ], [ %lines.more, %measure ]
  %passes.new = phi i64 [ %passes, %put ], [ %passes.more, %measure ]
  br label %next
done:
  %updates = icmp ne ptr %reduce, null
  %updated = mul i64 %pieces, %elements
  %far.active = select i1 %updates, i64 %updated, i64 %pieces
  %far.work = select i1 %updates, i64 1, i64 %sectors             ; of one copy no two elements meet
  %far.extra = select i1 %updates, i64 %sectors, i64 0
  {count("site", at.REQUESTS, "1")}
  {count("site", at.ACTIVE, "%pieces")}
  {count("site.far", at.REQUESTS, "1")}
  {count("site.far", at.ACTIVE, "%far.active")}
  {count("site.far", at.WORK, "%far.work")}
  {count("site.far", at.EXTRA, "%far.extra")}
  {count("site.far", at.LINES, "%lines")}
  {count("site.near", at.REQUESTS, "1")}
  {count("site.near", at.ACTIVE, "%pieces")}
  {count("site.near", at.WORK, "%passes")}
  br label %return
return:
  ret void
}}
""", (APPEND, DO, NOTHING["bulk_issued"], NO_RECORD, FAULT), (CTTZ,))  # fmt: skip
