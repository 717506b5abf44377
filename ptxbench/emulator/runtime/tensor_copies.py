"""Tensor copies: a box of a tensor in global memory, to or from shared memory. boxes.py copies it.

A copy is checked and counted when it is issued; bulk_queue.py says when it is done.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import boxes, bulk
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.boxes import BAD, BYTES, INSIDE, LOW, PAST, PIECE, RANK, READ_ROW, ROWS, SIZE, TYPE, get
from ptxbench.emulator.runtime.bulk import count, keep, lane_of
from ptxbench.emulator.runtime.bulk_queue import APPEND
from ptxbench.emulator.runtime.context import CTTZ, NEXT_LANE, V32, V64, RuntimeFunction, slot
from ptxbench.emulator.runtime.copies import (
    BULK_BARRIER,
    BULK_COMMITTED,
    BULK_DO,
    BULK_FAR,
    BULK_GROUP,
    BULK_LANE,
    BULK_MAP,
    BULK_MOVED,
    BULK_NEAR,
    BULK_PLACE,
    BULK_REDUCE,
    BULK_SITE,
    BULK_TRANSACTION,
    BULK_WARP,
)
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.records import NO_RECORD
from ptxbench.emulator.runtime.watch import NOTHING
from ptxbench.emulator.types import TYPES

MAP_BYTES, MAP_ALIGN = 128, 64
NEAR_ALIGN = 128
LOADS, STORES, PREFETCHES = range(3)

ELEMENTS = ("u32", "s32", "u64", "s64", "f16", "bf16", "f32", "f64")
NUMBERS = {"u32": 2, "s32": 3, "u64": 4, "s64": 5, "f16": 6, "f32": 7, "f64": 9, "bf16": 10}
"""The numbers of element types in a tensor map."""
BITS = {"u32": "b32", "s32": "b32", "u64": "b64", "s64": "b64"}
REDUCTIONS: dict[str, dict[str, str]] = {
    "add": {"u32": "u32", "s32": "s32", "u64": "u64", "f16": "f16", "bf16": "bf16", "f32": "f32", "f64": "f64"},
    **{name: {each: each for each in ("u32", "s32", "u64", "s64", "f16", "bf16")} for name in ("min", "max")},
    **{name: {"u32": "u32"} for name in ("inc", "dec")},
    **dict.fromkeys(("and", "or", "xor"), BITS),
}
"""The element types of each operation, with the type by which it is done. (cp.reduce.async.bulk.)"""


def reduce(operation: str) -> RuntimeFunction:
    """`box_OPERATION(type, far, near, bytes)`: update elements of the type that a tensor map names."""
    done = {element: bulk.reduce(operation, TYPES[kind]) for element, kind in REDUCTIONS[operation].items()}
    cases = " ".join(f"i64 {NUMBERS[element]}, label %{element}" for element in done)
    bodies = "\n".join(
        f"{element}:\n  call void @{function.name}(ptr %far, ptr %near, i32 %bytes)\n  ret void"
        for element, function in done.items()
    )
    text = f"""
define internal void @box_{operation}(i64 %type, ptr %far, ptr %near, i32 %bytes) noinline {{
entry:
  switch i64 %type, label %other [ {cases} ]
other:
  ret void
{bodies}
}}
"""
    return RuntimeFunction(f"box_{operation}", text, tuple(dict.fromkeys(done.values())))


def reducible(operation: str | None) -> int:
    """A bit for each element type that the operation has; all if there is none."""
    if operation is None:
        return -1
    return sum(1 << NUMBERS[element] for element in REDUCTIONS[operation])


COORDINATES = "\n  ".join(
    f"""{lane_of(f"c{i}", "i32")}
  %place.{i} = getelementptr i32, ptr %place, i64 {i}
  store i32 %c{i}, ptr %place.{i}"""
    for i in range(boxes.DIMENSIONS)
)
"""Lines that store the lane's coordinates in %place."""

ISSUE = RuntimeFunction("issue_box", f"""
define internal void @issue_box({V32} %nears, {V64} %maps, {V32} %barriers, i32 %asked, ptr %env, ptr %site.near,
                                ptr %site.far, ptr %site, ptr %site.box, ptr %reduce, i64 %types, i64 %rank.said,
                                i32 %mode, {", ".join(f"{V32} %k{i}" for i in range(boxes.DIMENSIONS))}) noinline {{
  ; A box a lane, each checked by itself. One that may not be moves nothing, but completes its transactions, so that
  ; where faults are only collected nobody waits for them. %reduce: what updates global memory; null where bytes are
  ; replaced. %types: the element types that it has, as bits.
entry:
  %near.all = alloca {V32}, align 64
  %far.all = alloca {V64}, align 64
  %barrier.all = alloca {V32}, align 64
  {chr(10).join(f"  %c{i}.all = alloca {V32}, align 64" for i in range(boxes.DIMENSIONS))}
  %box = alloca [{boxes.SLOTS} x i64], align 8
  %place = alloca [{boxes.DIMENSIONS} x i32], align 8
  store {V32} %nears, ptr %near.all
  store {V64} %maps, ptr %far.all
  store {V32} %barriers, ptr %barrier.all
  {chr(10).join(f"  store {V32} %k{i}, ptr %c{i}.all" for i in range(boxes.DIMENSIONS))}
  {slot("limit", at.SHARED_BYTES)}
  {slot("delta", at.DELTA)}
  {slot("buffers", at.BUFFERS, "ptr")}
  {slot("buffer.count", at.BUFFER_COUNT)}
  {slot("queue", at.QUEUE, "ptr")}
  {slot("warp", at.WARP)}
  %committed.all = getelementptr i8, ptr %queue, i64 {BULK_COMMITTED}
  %hint = icmp eq i32 %mode, {PREFETCHES}
  %loads = icmp eq i32 %mode, {LOADS}
  %updates = icmp ne ptr %reduce, null
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %return, label %next
next:
  %rest = phi i32 [ %asked, %entry ], [ %rest.less, %lane.done ]
{NEXT_LANE}
  {lane_of("near", "i32")}
  {lane_of("far", "i64")}
  {lane_of("barrier", "i32")}
  {COORDINATES}
  %near.wide = zext i32 %near to i64
  %map.end = add i64 %far, {MAP_BYTES}
  %map.ragged = and i64 %far, {MAP_ALIGN - 1}
  %map.odd = icmp ne i64 %map.ragged, 0
  br i1 %map.odd, label %map.bad, label %map.search
map.search:
  %m = phi i64 [ 0, %lane ], [ %m.next, %map.miss ]
  %map.none = icmp eq i64 %m, %buffer.count
  br i1 %map.none, label %map.bad, label %map.look
map.look:
  %m.index = shl i64 %m, 1
  %m.lo.at = getelementptr i64, ptr %buffers, i64 %m.index
  %m.lo = load i64, ptr %m.lo.at
  %m.hi.at = getelementptr i64, ptr %m.lo.at, i64 1
  %m.hi = load i64, ptr %m.hi.at
  %m.after = icmp uge i64 %far, %m.lo
  %m.before = icmp ule i64 %map.end, %m.hi
  %m.fits = and i1 %m.after, %m.before
  br i1 %m.fits, label %decode, label %map.miss
map.miss:
  %m.next = add i64 %m, 1
  br label %map.search
map.bad:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 {boxes.NOT_A_MAP})
  br label %put
decode:
  %map.host = add i64 %far, %delta
  %map = inttoptr i64 %map.host to ptr
  call void @box_of(ptr %map, ptr %place, ptr %box)
  {get("bad", BAD)}
  {get("rank", RANK)}
  {get("type", TYPE)}
  {get("bytes", BYTES)}
  {get("inside", INSIDE)}
  %size.bytes = trunc i64 %bytes to i32
  %is.bad = icmp ne i64 %bad, 0
  br i1 %is.bad, label %misused, label %rank.check
rank.check:
  %rank.differs = icmp ne i64 %rank, %rank.said
  br i1 %rank.differs, label %misused, label %type.check
type.check:
  %type.down = lshr i64 %types, %type
  %type.bit = and i64 %type.down, 1
  %type.none = icmp eq i64 %type.bit, 0
  br i1 %type.none, label %misused, label %hint.check
hint.check:
  br i1 %hint, label %lane.done, label %near.check
near.check:
  %near.ragged = and i64 %near.wide, {NEAR_ALIGN - 1}
  %near.odd = icmp ne i64 %near.ragged, 0
  br i1 %near.odd, label %misused, label %near.room
misused:
  %reason = phi i64 [ %bad, %decode ], [ {boxes.BAD_RANK}, %rank.check ], [ {boxes.BAD_TYPE}, %type.check ],
                    [ {boxes.NEAR_ALIGNMENT}, %near.check ]
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 %reason)
  br i1 %hint, label %lane.done, label %put
near.room:
  %near.end = add i64 %near.wide, %bytes
  %near.past = icmp ugt i64 %near.end, %limit
  br i1 %near.past, label %near.out, label %far.check
near.out:
  %limit.whole = and i64 %limit, {-PIECE}
  %near.starts = icmp ult i64 %near.wide, %limit.whole
  %near.first = select i1 %near.starts, i64 %limit.whole, i64 %near.wide
  call void @fault(ptr %env, i64 {at.OUT_OF_BOUNDS}, ptr %site.near, i64 %number.wide, i64 %near.first)
  br label %put
far.check:
  {get("low", LOW)}
  {get("past.all", PAST)}
  {get("rows", ROWS)}
  %nothing = icmp eq i64 %inside, 0
  br i1 %nothing, label %put, label %search
search:
  %i = phi i64 [ 0, %far.check ], [ %i.next, %miss ]
  %ends = phi i64 [ 0, %far.check ], [ %ends.new, %miss ]
  %none = icmp eq i64 %i, %buffer.count
  br i1 %none, label %far.out, label %compare
compare:
  %entry.index = shl i64 %i, 1
  %lo.at = getelementptr i64, ptr %buffers, i64 %entry.index
  %lo = load i64, ptr %lo.at
  %hi.at = getelementptr i64, ptr %lo.at, i64 1
  %hi = load i64, ptr %hi.at
  %after = icmp uge i64 %low, %lo
  %before = icmp ult i64 %low, %hi
  %starts = and i1 %after, %before
  %enough = icmp ule i64 %past.all, %hi
  %fits = and i1 %starts, %enough
  br i1 %fits, label %rows.start, label %miss
miss:
  %ends.new = select i1 %starts, i64 %hi, i64 %ends
  %i.next = add i64 %i, 1
  br label %search
far.out:
  %far.starts = icmp ult i64 %low, %ends
  %far.first = select i1 %far.starts, i64 %ends, i64 %low
  call void @fault(ptr %env, i64 {at.OUT_OF_BOUNDS}, ptr %site.far, i64 %number.wide, i64 %far.first)
  br label %put
rows.start:
  br label %row.next
row.next:
  %row = phi i64 [ 0, %rows.start ], [ %row.more, %row.done ]
  %sectors = phi i64 [ 0, %rows.start ], [ %sectors.new, %row.done ]
  %lines = phi i64 [ 0, %rows.start ], [ %lines.new, %row.done ]
  %rows.over = icmp eq i64 %row, %rows
  br i1 %rows.over, label %put, label %row.look
row.look:
  {READ_ROW}
  br i1 %row.some, label %row.measure, label %row.skip
row.skip:
  br label %row.done
row.measure:
  call void @record_bulk(ptr %env, ptr %site.far, i64 %row.start, i64 %row.inside, i64 %i, i1 %loads)
  %row.end = add i64 %row.start, %row.inside
  %row.last = sub i64 %row.end, 1
  %sector.last = lshr i64 %row.last, 5
  %sector.first = lshr i64 %row.start, 5
  %sectors.between = sub i64 %sector.last, %sector.first
  %row.sectors = add i64 %sectors.between, 1
  %sectors.more = add i64 %sectors, %row.sectors
  %line.last = lshr i64 %row.last, 7
  %line.first = lshr i64 %row.start, 7
  %lines.between = sub i64 %line.last, %line.first
  %row.lines = add i64 %lines.between, 1
  %lines.more = add i64 %lines, %row.lines
  br i1 %loads, label %row.tell, label %row.done
row.tell:
  call void @row_loaded(ptr %env, ptr %site.far, i64 %number.wide, i64 %row.start, i64 %row.inside)
  br label %row.done
row.done:
  %sectors.new = phi i64 [ %sectors, %row.skip ], [ %sectors.more, %row.measure ], [ %sectors.more, %row.tell ]
  %lines.new = phi i64 [ %lines, %row.skip ], [ %lines.more, %row.measure ], [ %lines.more, %row.tell ]
  %row.more = add i64 %row, 1
  br label %row.next
put:
  %moved = phi i32 [ 0, %map.bad ], [ 0, %misused ], [ 0, %near.out ], [ 0, %far.out ],
                   [ %size.bytes, %far.check ], [ %size.bytes, %row.next ]
  %transaction = phi i32 [ 0, %map.bad ], [ %size.bytes, %misused ], [ %size.bytes, %near.out ],
                         [ %size.bytes, %far.out ], [ %size.bytes, %far.check ], [ %size.bytes, %row.next ]
  %its.sectors = phi i64 [ 0, %map.bad ], [ 0, %misused ], [ 0, %near.out ], [ 0, %far.out ], [ 0, %far.check ],
                         [ %sectors, %row.next ]
  %its.lines = phi i64 [ 0, %map.bad ], [ 0, %misused ], [ 0, %near.out ], [ 0, %far.out ], [ 0, %far.check ],
                       [ %lines, %row.next ]
  br i1 %hint, label %lane.done, label %queue.it
queue.it:
  %item = call ptr @append_bulk(ptr %env, ptr %queue)
  %committed.at = getelementptr i32, ptr %committed.all, i64 %number.wide
  %group = load i32, ptr %committed.at
  {keep("site", "ptr", BULK_SITE)}
  {keep("far", "i64", BULK_FAR)}
  {keep("number", "i32", BULK_LANE)}
  {keep("moved", "i32", BULK_MOVED)}
  {keep("transaction", "i32", BULK_TRANSACTION)}
  {keep("near", "i32", BULK_NEAR)}
  {keep("barrier", "i32", BULK_BARRIER)}
  {keep("group", "i32", BULK_GROUP)}
  {keep("warp", "i64", BULK_WARP)}
  {keep("reduce", "ptr", BULK_REDUCE)}
  %do = getelementptr i8, ptr @do_box, i64 0
  {keep("do", "ptr", BULK_DO)}
  %some = icmp ne i32 %moved, 0
  br i1 %some, label %measure, label %lane.done
measure:
  %map.from.host = add i64 %far, %delta
  %map.from = inttoptr i64 %map.from.host to ptr
  %map.kept = getelementptr i8, ptr %item, i64 {BULK_MAP}
  call void @llvm.memcpy.p0.p0.i64(ptr %map.kept, ptr %map.from, i64 {boxes.USED_BYTES}, i1 false)
  %place.kept = getelementptr i8, ptr %item, i64 {BULK_PLACE}
  call void @llvm.memcpy.p0.p0.i64(ptr %place.kept, ptr %place, i64 {4 * boxes.DIMENSIONS}, i1 false)
  call void @box_issued(ptr %env, ptr %site.near, i64 %number.wide, i32 %near, i32 %moved, i1 %loads)
  {get("its.bytes", BYTES)}
  {get("its.inside", INSIDE)}
  {get("its.size", SIZE)}
  %its.pieces = lshr i64 %its.bytes, 4
  %filled = sub i64 %its.bytes, %its.inside
  %elements = udiv i64 %its.inside, %its.size
  %bytes.up = add i64 %its.bytes, 127
  %its.passes = lshr i64 %bytes.up, 7
  %filled.near = select i1 %loads, i64 %filled, i64 0
  %far.active = select i1 %updates, i64 %elements, i64 %its.pieces
  %far.work = select i1 %updates, i64 0, i64 %its.sectors
  %far.extra = select i1 %updates, i64 %its.sectors, i64 %filled
  {count("site", at.ACTIVE, "%its.pieces")}
  {count("site.far", at.ACTIVE, "%far.active")}
  {count("site.far", at.WORK, "%far.work")}
  {count("site.far", at.EXTRA, "%far.extra")}
  {count("site.far", at.LINES, "%its.lines")}
  {count("site.near", at.ACTIVE, "%its.pieces")}
  {count("site.near", at.WORK, "%its.passes")}
  {count("site.box", at.REQUESTS, "1")}
  {count("site.box", at.ACTIVE, "%filled.near")}
  br label %lane.done
lane.done:
  br label %next
done:
  br i1 %hint, label %return, label %requests
requests:
  %one.update = zext i1 %updates to i64
  {count("site", at.REQUESTS, "1")}
  {count("site.far", at.REQUESTS, "1")}
  %far.serial.at = getelementptr i64, ptr %site.far, i64 {at.WORK}
  %far.serial = load i64, ptr %far.serial.at
  %far.serial.new = add i64 %far.serial, %one.update             ; of one copy no two elements meet
  store i64 %far.serial.new, ptr %far.serial.at
  {count("site.near", at.REQUESTS, "1")}
  br label %return
return:
  ret void
}}
""", (APPEND, boxes.DECODE, boxes.ROW, boxes.DO, NOTHING["box_issued"], NOTHING["row_loaded"], NO_RECORD, FAULT),
    (CTTZ, "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"))  # fmt: skip
