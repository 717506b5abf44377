"""Tensor copies: a box of a tensor in global memory is copied to or from shared memory, by boxes.py.

A copy is checked and counted when it is issued; bulk_queue.py says when it is done.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import boxes, bulk, changed_maps
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.boxes import BAD, BYTES, INSIDE, LOW, PAST, RANK, READ_ROW, ROWS, SIZE, TYPE, load_slots
from ptxbench.emulator.runtime.bulk_checks import (
    BOX_ALIGN,
    CHECK_OFFSET,
    CHECK_SHARED,
    CHECK_TARGET,
    COUNT_DECLARATIONS,
    FIND_BUFFER,
    REPORT_ISSUED,
    aligned,
    count,
    count_targets,
    lists,
    units_spanned,
)
from ptxbench.emulator.runtime.bulk_queue import PUT, STORE_REST
from ptxbench.emulator.runtime.context import CTTZ, NEXT_LANE, V32, V64, RuntimeFunction, lane_of, loop, slot
from ptxbench.emulator.runtime.copies import BULK_COORDINATES, BULK_MAP
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.records import NO_RECORD
from ptxbench.emulator.runtime.watch import SILENT
from ptxbench.emulator.types import TYPES

MAP_BYTES, MAP_ALIGN = 128, 64
LOADS, STORES, PREFETCHES = range(3)

ELEMENTS = ("u32", "s32", "u64", "s64", "f16", "bf16", "f32", "f64")
NUMBERS = {"u32": 2, "s32": 3, "u64": 4, "s64": 5, "f16": 6, "f32": 7, "f64": 9, "bf16": 10}
"""The numbers of element types in a tensor map."""
BITS = {"u32": "b32", "s32": "b32", "u64": "b64", "s64": "b64"}
REDUCTIONS: dict[str, dict[str, str]] = {
    "add": {"u32": "u32", "s32": "s32", "u64": "u64", "f16": "f16", "bf16": "bf16", "f32": "f32", "f64": "f64"},
    **{name: {kind: kind for kind in ("u32", "s32", "u64", "s64", "f16", "bf16")} for name in ("min", "max")},
    **{name: {"u32": "u32"} for name in ("inc", "dec")},
    **dict.fromkeys(("and", "or", "xor"), BITS),
}
"""The element types of each operation, and for each the type of the arithmetic. (cp.reduce.async.bulk.)"""


def reduce(operation: str) -> RuntimeFunction:
    """`box_OPERATION(type, global, shared, bytes)`: update elements of the type with this number (NUMBERS)."""
    functions = {element: bulk.reduce(operation, TYPES[kind]) for element, kind in REDUCTIONS[operation].items()}
    cases = " ".join(f"i64 {NUMBERS[element]}, label %{element}" for element in functions)
    bodies = "\n".join(
        f"{element}:\n  call void @{function.name}(ptr %global, ptr %shared, i32 %bytes)\n  ret void"
        for element, function in functions.items()
    )
    text = f"""
define internal void @box_{operation}(i64 %type, ptr %global, ptr %shared, i32 %bytes) noinline {{
entry:
  switch i64 %type, label %other [ {cases} ]
other:
  ret void
{bodies}
}}
"""
    return RuntimeFunction(f"box_{operation}", text, tuple(dict.fromkeys(functions.values())))


def reducible(operation: str | None) -> int:
    """A mask with a bit for each element type that the operation has; all bits if `operation` is None."""
    if operation is None:
        return -1
    return sum(1 << NUMBERS[element] for element in REDUCTIONS[operation])


COORDINATES = "\n  ".join(
    f"""{lane_of(f"c{i}", "i32")}
  %coordinates.{i} = getelementptr i32, ptr %coordinates, i64 {i}
  store i32 %c{i}, ptr %coordinates.{i}"""
    for i in range(boxes.DIMENSIONS)
)
"""Lines that store the lane's coordinates in %coordinates."""

ISSUE = RuntimeFunction("issue_box", f"""
define internal void @issue_box({V32} %shared.addresses, {V64} %maps, {V32} %barriers, {V32} %masks, i32 %asked,
                                ptr %env, ptr %site.shared, ptr %site.global, ptr %site.fault, ptr %site, ptr %site.box,
                                ptr %reduce, i64 %types, i64 %rank.given, i32 %mode, i1 %in.cta, i1 %several,
                                {", ".join(f"{V32} %k{i}" for i in range(boxes.DIMENSIONS))}) noinline {{
  ; One box per lane; each is checked. %in.cta, %several, %masks, %site.fault: as in issue_bulk. %global.address: that
  ; of the tensor map. %reduce: the function that updates global memory; null if bytes are replaced. %types: the element
  ; types that it has, as bits.
entry:
  {lists(("shared.address", "i32", "%shared.addresses"), ("global.address", "i64", "%maps"),
         ("barrier", "i32", "%barriers"), ("ctas", "i32", "%masks"),
         *((f"c{i}", "i32", f"%k{i}") for i in range(boxes.DIMENSIONS)))}
  %box = alloca [{boxes.SLOTS} x i64], align 8
  %coordinates = alloca [{boxes.DIMENSIONS} x i32], align 8
  {slot("delta", at.DELTA)}
  {slot("buffers", at.BUFFERS, "ptr")}
  {slot("buffer.count", at.BUFFER_COUNT)}
  {aligned(BOX_ALIGN)}
  %prefetches = icmp eq i32 %mode, {PREFETCHES}
  %loads = icmp eq i32 %mode, {LOADS}
  %updates = icmp ne ptr %reduce, null
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %return, label %next
next:
  %rest = phi i32 [ %asked, %entry ], [ %rest.less, %lane.done ]
{NEXT_LANE}
  {lane_of("shared.address", "i32")}
  {lane_of("global.address", "i64")}
  {lane_of("barrier", "i32")}
  {lane_of("ctas", "i32")}
  {COORDINATES}
  %shared.wide = zext i32 %shared.address to i64
  %map.end = add i64 %global.address, {MAP_BYTES}
  %map.ragged = and i64 %global.address, {MAP_ALIGN - 1}
  %map.odd = icmp ne i64 %map.ragged, 0
  br i1 %map.odd, label %map.bad, label %map.search
{loop("map.search", "m", "%buffer.count", "map.look", after="map.miss", before="lane", done="map.bad")}
  %m.index = shl i64 %m, 1
  %m.lo.at = getelementptr i64, ptr %buffers, i64 %m.index
  %m.lo = load i64, ptr %m.lo.at
  %m.hi.at = getelementptr i64, ptr %m.lo.at, i64 1
  %m.hi = load i64, ptr %m.hi.at
  %m.after = icmp uge i64 %global.address, %m.lo
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
  %map.host = add i64 %global.address, %delta
  %map = inttoptr i64 %map.host to ptr
  call void @box_of(ptr %map, ptr %coordinates, ptr %box)
  {load_slots({"bad": BAD, "rank": RANK, "type": TYPE, "shared.bytes": BYTES, "inside": INSIDE})}
  %size.bytes = trunc i64 %shared.bytes to i32
  %stale = call i1 @map_is_stale(ptr %env, i64 %global.address, ptr %map)
  br i1 %stale, label %misused, label %bad.check
bad.check:
  %is.bad = icmp ne i64 %bad, 0
  br i1 %is.bad, label %misused, label %rank.check
rank.check:
  %rank.differs = icmp ne i64 %rank, %rank.given
  %bad.rank = add i64 %rank, {boxes.BAD_RANK}
  br i1 %rank.differs, label %misused, label %type.check
type.check:
  %type.down = lshr i64 %types, %type
  %type.bit = and i64 %type.down, 1
  %type.none = icmp eq i64 %type.bit, 0
  br i1 %type.none, label %misused, label %prefetch.check
prefetch.check:
  br i1 %prefetches, label %lane.done, label %shared.check
misused:
  %reason = phi i64 [ {changed_maps.STALE}, %decode ], [ %bad, %bad.check ], [ %bad.rank, %rank.check ],
                    [ {boxes.BAD_TYPE}, %type.check ]
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 %reason)
  br i1 %prefetches, label %lane.done, label %put
shared.check:
  br i1 %in.cta, label %check.in.cta, label %check.in.cluster
check.in.cta:
  {CHECK_SHARED}
  br i1 %shared.fine, label %global.check, label %put
global.check:
  {load_slots({"low": LOW, "past.all": PAST, "rows": ROWS})}
  {load_slots({"row.bytes": boxes.ROW_BYTES, "shift": boxes.SHIFT, "turned": boxes.MASK})}
  %cut = icmp ne i64 %inside, %shared.bytes
  %nothing = icmp eq i64 %inside, 0
  br i1 %nothing, label %put, label %search
search:
  %i = call i64 @bulk_find_buffer(ptr %env, ptr %site.global, i64 %number.wide, i64 %low, i64 %past.all, i64 1)
  %outside = icmp slt i64 %i, 0
  br i1 %outside, label %put, label %row.next
row.next:
  %row = phi i64 [ 0, %search ], [ %row.more, %row.done ]
  %sectors = phi i64 [ 0, %search ], [ %sectors.new, %row.done ]
  %lines = phi i64 [ 0, %search ], [ %lines.new, %row.done ]
  %rows.over = icmp eq i64 %row, %rows
  br i1 %rows.over, label %put, label %row.look
row.look:
  {READ_ROW}
  br i1 %row.some, label %row.measure, label %row.skip
row.skip:
  br label %row.done
row.measure:
  call void @record_bulk(ptr %env, ptr %site.global, i64 %row.start, i64 %row.inside, i64 %i, i1 %loads)
  %row.end = add i64 %row.start, %row.inside
  {units_spanned("row.sectors", "%row.start", "%row.end", 5)}
  {units_spanned("row.lines", "%row.start", "%row.end", 7)}
  %sectors.more = add i64 %sectors, %row.sectors
  %lines.more = add i64 %lines, %row.lines
  br i1 %loads, label %row.report, label %row.stored
row.stored:
  br i1 %cut, label %row.take, label %row.done
row.take:
  %row.offset = mul i64 %row, %row.bytes
  %row.shared = add i64 %shared.wide, %row.offset
  call void @row_taken(ptr %env, ptr %site.shared, i64 %number.wide, i64 %row.shared, i64 %from, i64 %past, i64 %shift,
                       i64 %turned)
  br label %row.done
row.report:
  call void @row_loaded(ptr %env, ptr %site.global, i64 %number.wide, i64 %row.start, i64 %row.inside)
  br label %row.done
row.done:
  %sectors.new = phi i64 [ %sectors, %row.skip ], [ %sectors.more, %row.stored ], [ %sectors.more, %row.take ],
                         [ %sectors.more, %row.report ]
  %lines.new = phi i64 [ %lines, %row.skip ], [ %lines.more, %row.stored ], [ %lines.more, %row.take ],
                       [ %lines.more, %row.report ]
  %row.more = add i64 %row, 1
  br label %row.next
put:
  %moved = phi i32 [ 0, %map.bad ], [ 0, %misused ], [ 0, %shared.checked ], [ %size.bytes, %global.check ],
                   [ 0, %search ], [ %size.bytes, %row.next ]
  %transaction = phi i32 [ 0, %map.bad ], [ %size.bytes, %misused ], [ %size.bytes, %shared.checked ],
                         [ %size.bytes, %global.check ], [ %size.bytes, %search ], [ %size.bytes, %row.next ]
  %copy.sectors = phi i64 [ 0, %map.bad ], [ 0, %misused ], [ 0, %shared.checked ], [ 0, %global.check ],
                          [ 0, %search ], [ %sectors, %row.next ]
  %copy.lines = phi i64 [ 0, %map.bad ], [ 0, %misused ], [ 0, %shared.checked ], [ 0, %global.check ], [ 0, %search ],
                        [ %lines, %row.next ]
  br i1 %prefetches, label %lane.done, label %enqueue
enqueue:
  %function = getelementptr i8, ptr @copy_box, i64 0
  %report.site = select i1 %in.cta, ptr %site, ptr %site.fault
  %item = call ptr @put_bulk(ptr %env, i64 %number.wide, i32 %shared.address, i32 %barrier, i32 %ctas)
  {STORE_REST}
  %some = icmp ne i32 %moved, 0
  br i1 %some, label %measure, label %lane.done
measure:
  %map.source.host = add i64 %global.address, %delta
  %map.source = inttoptr i64 %map.source.host to ptr
  %item.map = getelementptr i8, ptr %item, i64 {BULK_MAP}
  call void @llvm.memcpy.p0.p0.i64(ptr %item.map, ptr %map.source, i64 {boxes.USED_BYTES}, i1 false)
  %item.coordinates = getelementptr i8, ptr %item, i64 {BULK_COORDINATES}
  call void @llvm.memcpy.p0.p0.i64(ptr %item.coordinates, ptr %coordinates, i64 {4 * boxes.DIMENSIONS}, i1 false)
  {load_slots({"copy.bytes": BYTES, "copy.inside": INSIDE})}
  %copy.whole = icmp eq i64 %copy.bytes, %copy.inside
  %at.once = or i1 %copy.whole, %loads                             ; else row_taken has reported it
  br i1 %at.once, label %report, label %reported
report:
  call void @bulk_report_issued(ptr %env, ptr %site.shared, ptr %site.fault, ptr %site, i64 %number.wide,
                                i32 %shared.address, i32 %barrier, i32 %ctas, i1 %in.cta, i32 %moved, i1 %loads)
  br label %reported
reported:
  {load_slots({"copy.size": SIZE})}
  {count_targets("cta.count")}
  %copy.pieces = lshr i64 %copy.bytes, 4
  %copy.arrived = mul i64 %copy.pieces, %cta.count
  %filled = sub i64 %copy.bytes, %copy.inside
  %elements = udiv i64 %copy.inside, %copy.size
  %bytes.up = add i64 %copy.bytes, 127
  %passes.per.cta = lshr i64 %bytes.up, 7
  %copy.passes = mul i64 %passes.per.cta, %cta.count
  %copy.spread = mul i64 %copy.sectors, %cta.count
  %multicast = select i1 %several, i64 %copy.spread, i64 0
  %filled.shared = select i1 %loads, i64 %filled, i64 0
  %global.active = select i1 %updates, i64 %elements, i64 %copy.pieces
  %global.work = select i1 %updates, i64 0, i64 %copy.sectors
  %global.extra = select i1 %updates, i64 %copy.sectors, i64 %filled
  {count("site", at.ACTIVE, "%copy.pieces")}
  {count("site", at.WORK, "%multicast")}
  {count("site.global", at.ACTIVE, "%global.active")}
  {count("site.global", at.WORK, "%global.work")}
  {count("site.global", at.EXTRA, "%global.extra")}
  {count("site.global", at.LINES, "%copy.lines")}
  {count("site.shared", at.ACTIVE, "%copy.arrived")}
  {count("site.shared", at.WORK, "%copy.passes")}
  {count("site.box", at.REQUESTS, "1")}
  {count("site.box", at.ACTIVE, "%filled.shared")}
  br label %lane.done
lane.done:
  br label %next
done:
  br i1 %prefetches, label %return, label %requests
requests:
  %update = zext i1 %updates to i64
  {count("site", at.REQUESTS, "1")}
  {count("site.global", at.REQUESTS, "1")}
  %global.serial.at = getelementptr i64, ptr %site.global, i64 {at.WORK}
  %global.serial = load i64, ptr %global.serial.at
  %global.serial.new = add i64 %global.serial, %update             ; no two elements of a copy have one address
  store i64 %global.serial.new, ptr %global.serial.at
  {count("site.shared", at.REQUESTS, "1")}
  br label %return
return:
  ret void
}}
""", (PUT, CHECK_TARGET, CHECK_OFFSET, FIND_BUFFER, REPORT_ISSUED, changed_maps.IS_STALE, boxes.DECODE, boxes.ROW,
      boxes.COPY, SILENT["row_loaded"], SILENT["row_taken"], NO_RECORD, FAULT),
    (CTTZ, *COUNT_DECLARATIONS, "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"))  # fmt: skip
