"""Boxes of tensors: a tensor map and coordinates, decoded, and the copy of a box by 16 bytes.

A box is decoded when it is issued and again when it is copied, from a copy of the map's bytes. In each dimension its
elements with an index from LO up to HI lie inside the tensor. (PTX ISA, "Tensors"; emulator/tensor_maps.py.)
"""

from __future__ import annotations

from collections.abc import Mapping

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.bulk_queue import COMPLETE, GROUP
from ptxbench.emulator.runtime.context import RuntimeFunction, end_with, field, slot
from ptxbench.emulator.runtime.copies import (
    BULK_BARRIER,
    BULK_COORDINATES,
    BULK_LANE,
    BULK_MAP,
    BULK_MOVED,
    BULK_REDUCE,
    BULK_SHARED,
    BULK_SITE,
    SETTLE,
)
from ptxbench.emulator.runtime.watch import SILENT

DIMENSIONS = 5
USED_BYTES = 64
"""The bytes at the start of a tensor map that have fields which are used here."""
PIECE = 16

# A decoded box: i64 slots, by index. First the scalars, then five numbers each.
(
    RANK, TYPE, SIZE, ROW_BYTES, ROWS, BYTES, INSIDE, FIRST, LOW, PAST, SHIFT, MASK, FILL, BAD,
) = range(14)  # fmt: skip
COUNT, LO, HI, STEP = (14 + DIMENSIONS * k for k in range(4))
SLOTS = 14 + 4 * DIMENSIONS

LOG_SIZES = sum(log << 2 * code for code, log in enumerate((0, 1, 2, 2, 3, 3, 1, 2, 2, 3, 1)))
"""For each element type, by its number, the binary logarithm of its bytes, two bits each."""
TYPES = 11
UNKNOWN_TYPE = 8
"""f32.ftz: how it changes the values is not documented."""
NANS = {
    1: 0x7FFF7FFF7FFF7FFF,
    2: 0x7FFFFFFF7FFFFFFF,
    3: 0x7FFFFFFFFFFFFFFF,
}
"""The fill NaN in eight bytes, by the logarithm of the element's bytes."""

# Reasons for MISUSED.
NOT_A_MAP, BAD_MAP, NARROW = 72, 74, 75
BAD_TYPE = 77
BAD_RANK = 1024
"""Plus the dimensions of the tensor map."""
COMPLAINTS = {
    NOT_A_MAP: "needs a tensor map there: 128 bytes of a parameter, or of constant or global memory, at a multiple of "
    "64; the address of a parameter needs cvta.param",
    **{
        BAD_RANK + rank: "has another number of coordinates than the tensor map, which has "
        f"{rank} dimension{'s' if rank > 1 else ''}"
        for rank in range(1, DIMENSIONS + 1)
    },
    BAD_MAP: "uses a tensor map that is damaged, or has a mode that the emulator does not support (interleave, tf32, "
    "f32.ftz, a swizzle of 96 bytes, atoms of 32 bytes with a flip)",
    NARROW: "uses a tensor map whose swizzle is wider than a row of its box; where a GPU puts such rows is not "
    "documented",
    BAD_TYPE: "is an operation that elements of the tensor map's type do not have",
}


def store_slots(values: Mapping[int, str]) -> str:
    """Lines that store i64 values in %box, by the index of their slot."""
    return "\n  ".join(
        f"%put.{index} = getelementptr i64, ptr %box, i64 {index}\n  store i64 {value}, ptr %put.{index}"
        for index, value in values.items()
    )


def load_slots(indices: Mapping[str, int]) -> str:
    """Lines that load slots of %box into %NAME, by name."""
    return "\n  ".join(
        f"%{name}.at = getelementptr i64, ptr %box, i64 {index}\n  %{name} = load i64, ptr %{name}.at"
        for name, index in indices.items()
    )


def bits(name: str, word: int, first: int, width: int) -> str:
    """Lines that take a field of the map's i32 word `word` into %name (i64)."""
    return f"""%{name}.at = getelementptr i32, ptr %map, i64 {word}
  %{name}.word = load i32, ptr %{name}.at
  %{name}.down = lshr i32 %{name}.word, {first}
  %{name}.bits = and i32 %{name}.down, {(1 << width) - 1 if width < 32 else -1}
  %{name} = zext i32 %{name}.bits to i64"""


def dimension(i: int) -> str:
    """Lines that decode dimension i and extend the running values of the dimensions before."""
    box = bits(f"box{i}", 13, 24, 8) if i == 0 else bits(f"box{i}", 14, 8 * (i - 1), 8)
    if i == 0:  # the hardware takes every element of dimension 0
        step = "%es0 = add i64 0, 1\n  %stride0 = add i64 %size, 0"
    else:
        step = f"""{bits(f"es{i}.less", 13, 3 * i, 3)}
  %es{i} = add i64 %es{i}.less, 1
  {bits(f"low{i}", 2 + i, 0, 32)}
  {bits(f"high{i}", 7, 4 * (i - 1), 4)}
  %low{i}.up = shl i64 %low{i}, 4
  %high{i}.up = shl i64 %high{i}, 36
  %stride{i} = or i64 %low{i}.up, %high{i}.up"""
    before = f".{i - 1}" if i else ".start"
    return f"""{box}
  {bits(f"dim{i}.less", 8 + i, 0, 32)}
  {step}
  %used{i} = icmp ugt i64 %rank, {i}
  %dim{i} = add i64 %dim{i}.less, 1
  %c{i}.at = getelementptr i32, ptr %coordinates, i64 {i}
  %c{i}.short = load i32, ptr %c{i}.at
  %c{i} = sext i32 %c{i}.short to i64
  %es{i}.1 = sub i64 %es{i}, 1
  %n{i}.sum = add i64 %box{i}, %es{i}
  %n{i}.full = udiv i64 %n{i}.sum, %es{i}                 ; ceil((box - 1 + 1) / es)
  %n{i} = select i1 %used{i}, i64 %n{i}.full, i64 1
  %neg{i} = sub i64 0, %c{i}
  %neg{i}.up = add i64 %neg{i}, %es{i}.1
  %lo{i}.full = sdiv i64 %neg{i}.up, %es{i}
  %lo{i}.pos = call i64 @llvm.smax.i64(i64 %lo{i}.full, i64 0)
  %lo{i}.cut = call i64 @llvm.smin.i64(i64 %lo{i}.pos, i64 %n{i})
  %lo{i} = select i1 %used{i}, i64 %lo{i}.cut, i64 0
  %left{i} = sub i64 %dim{i}, %c{i}
  %left{i}.pos = call i64 @llvm.smax.i64(i64 %left{i}, i64 0)
  %left{i}.up = add i64 %left{i}.pos, %es{i}.1
  %hi{i}.full = udiv i64 %left{i}.up, %es{i}
  %hi{i}.cut = call i64 @llvm.smin.i64(i64 %hi{i}.full, i64 %n{i})
  %hi{i}.least = call i64 @llvm.smax.i64(i64 %hi{i}.cut, i64 %lo{i})
  %hi{i} = select i1 %used{i}, i64 %hi{i}.least, i64 1
  %step{i}.full = mul i64 %es{i}, %stride{i}
  %step{i} = select i1 %used{i}, i64 %step{i}.full, i64 0
  %off{i}.full = mul i64 %c{i}, %stride{i}
  %off{i} = select i1 %used{i}, i64 %off{i}.full, i64 0
  %first.{i} = add i64 %first{before}, %off{i}
  %span{i} = sub i64 %hi{i}, %lo{i}
  %inside.{i} = mul i64 %inside{before}, %span{i}
  %total.{i} = mul i64 %total{before}, %n{i}
  %lo{i}.bytes = mul i64 %lo{i}, %step{i}
  %reach.{i} = add i64 %reach{before}, %lo{i}.bytes
  %hi{i}.last = sub i64 %hi{i}, 1
  %hi{i}.bytes = mul i64 %hi{i}.last, %step{i}
  %end.{i} = add i64 %end{before}, %hi{i}.bytes
  {store_slots({COUNT + i: f"%n{i}", LO + i: f"%lo{i}", HI + i: f"%hi{i}", STEP + i: f"%step{i}"})}"""


def nan_of_size() -> str:
    """Lines that set %fill.bits, the fill value in eight bytes, by %log, the logarithm of the element's bytes."""
    lines, last = [], "0"
    for log, pattern in NANS.items():
        lines.append(f"%nan.{log} = icmp eq i64 %log, {log}")
        lines.append(f"%nan.upto.{log} = select i1 %nan.{log}, i64 {pattern}, i64 {last}")
        last = f"%nan.upto.{log}"
    lines.append(f"%fill.bits = select i1 %nan.asked, i64 {last}, i64 0")
    return "\n  ".join(lines)


LAST = DIMENSIONS - 1

BOX = {
    RANK: "%rank", TYPE: "%type", SIZE: "%size", ROW_BYTES: "%row.bytes", ROWS: "%rows", BYTES: "%total.bytes",
    INSIDE: "%inside.bytes", FIRST: f"%first.{LAST}", LOW: "%low", PAST: "%past", SHIFT: "%shift", MASK: "%box.mask",
    FILL: "%fill.bits", BAD: "%bad",
}  # fmt: skip
"""The values of the scalar slots of a decoded box."""
DECODE = RuntimeFunction("box_of", f"""
define internal void @box_of(ptr %map, ptr %coordinates, ptr %box) noinline {{
  ; Decode the box of the tensor map %map at the five coordinates %coordinates.
entry:
  %first.start = load i64, ptr %map, align 8
  {bits("rank.less", 2, 4, 3)}
  %rank = add i64 %rank.less, 1
  {bits("type", 2, 7, 4)}
  {bits("interleave", 2, 11, 2)}
  {bits("swizzle", 2, 13, 2)}
  {bits("nan", 2, 15, 1)}
  {bits("rounds", 2, 16, 1)}
  {bits("atom", 2, 19, 2)}
  {bits("wide", 2, 22, 1)}
  %type.twice = shl i64 %type, 1
  %log.down = lshr i64 {LOG_SIZES}, %type.twice
  %log = and i64 %log.down, 3
  %size = shl i64 1, %log
  %nan.asked = icmp ne i64 %nan, 0
  {nan_of_size()}
  %inside.start = add i64 0, 1
  %total.start = add i64 0, 1
  %reach.start = add i64 0, 0
  %end.start = add i64 0, 0
  {chr(10).join("  " + dimension(i) for i in range(DIMENSIONS))}
  %inside.bytes = mul i64 %inside.{LAST}, %size
  %total.bytes = mul i64 %total.{LAST}, %size
  %row.bytes = mul i64 %n0, %size
  %rows = udiv i64 %total.{LAST}, %n0
  %low = add i64 %first.{LAST}, %reach.{LAST}
  %last = add i64 %first.{LAST}, %end.{LAST}
  %past = add i64 %last, %size
  ; 128 bytes: a ^ (a >> 3 & 0x70), and for atoms of 32 and 64 bytes a ^ (a >> 2 & 0x60) and a ^ (a >> 1 & 0x40).
  %span.one = shl i64 16, %swizzle
  %swizzled = icmp ne i64 %swizzle, 0
  %span = select i1 %swizzled, i64 %span.one, i64 0
  %has.32 = icmp eq i64 %atom, 1
  %has.64 = icmp eq i64 %atom, 3
  %mask.16 = sub i64 %span.one, 16
  %mask.64 = select i1 %has.64, i64 64, i64 %mask.16
  %mask = select i1 %has.32, i64 96, i64 %mask.64
  %shift.64 = select i1 %has.64, i64 1, i64 3
  %shift = select i1 %has.32, i64 2, i64 %shift.64
  ; modes that the emulator does not support
  %bad.interleave = icmp ne i64 %interleave, 0
  %bad.rounds = icmp ne i64 %rounds, 0
  %bad.wide = icmp ne i64 %wide, 0
  %bad.rank = icmp ugt i64 %rank, {DIMENSIONS}
  %bad.type = icmp uge i64 %type, {TYPES}
  %bad.ftz = icmp eq i64 %type, {UNKNOWN_TYPE}
  %bad.flip = icmp eq i64 %atom, 2
  %has.atom = icmp ne i64 %atom, 0
  %not.128 = icmp ne i64 %swizzle, 3
  %bad.atom = and i1 %has.atom, %not.128
  %row.ragged = and i64 %row.bytes, 15
  %bad.row = icmp ne i64 %row.ragged, 0
  %start.ragged = and i64 %first.start, 15
  %bad.start = icmp ne i64 %start.ragged, 0
  %beyond = icmp ugt i64 %row.bytes, %span
  %bad.beyond = and i1 %swizzled, %beyond
  %or.1 = or i1 %bad.interleave, %bad.rounds
  %or.2 = or i1 %or.1, %bad.wide
  %or.3 = or i1 %or.2, %bad.rank
  %or.4 = or i1 %or.3, %bad.type
  %or.5 = or i1 %or.4, %bad.ftz
  %or.6 = or i1 %or.5, %bad.flip
  %or.7 = or i1 %or.6, %bad.atom
  %or.8 = or i1 %or.7, %bad.row
  %or.9 = or i1 %or.8, %bad.start
  %broken = or i1 %or.9, %bad.beyond
  %under = icmp ult i64 %row.bytes, %span
  %narrow = select i1 %under, i64 {NARROW}, i64 0
  %bad = select i1 %broken, i64 {BAD_MAP}, i64 %narrow
  %box.mask = select i1 %swizzled, i64 %mask, i64 0
  {store_slots(BOX)}
  ret void
}}
""", (), ("declare i64 @llvm.smax.i64(i64, i64)", "declare i64 @llvm.smin.i64(i64, i64)"))  # fmt: skip


def digit(i: int) -> str:
    """Lines that split the row's number: its index in dimension i, and whether that is inside."""
    rest = f"%rest.{i - 1}" if i > 1 else "%row"
    inside, address = (f"%inside.{i - 1}", f"%address.{i - 1}") if i > 1 else ("true", "%first")
    return f"""{load_slots({f"n{i}": COUNT + i, f"lo{i}": LO + i, f"hi{i}": HI + i, f"step{i}": STEP + i})}
  %index.{i} = urem i64 {rest}, %n{i}
  %rest.{i} = udiv i64 {rest}, %n{i}
  %from.{i} = icmp uge i64 %index.{i}, %lo{i}
  %upto.{i} = icmp ult i64 %index.{i}, %hi{i}
  %between.{i} = and i1 %from.{i}, %upto.{i}
  %inside.{i} = and i1 {inside}, %between.{i}
  %offset.{i} = mul i64 %index.{i}, %step{i}
  %address.{i} = add i64 {address}, %offset.{i}"""


ROW = RuntimeFunction("box_row", f"""
define internal {{ i64, i64, i64 }} @box_row(ptr %box, i64 %row) noinline {{
  ; The global address of the first element of a row, and which of its bytes lie inside the tensor: from, and past.
  {load_slots({"first": FIRST, "size": SIZE, "lo0": LO, "hi0": HI})}
  {chr(10).join("  " + digit(i) for i in range(1, DIMENSIONS))}
  %from.bytes = mul i64 %lo0, %size
  %past.bytes = mul i64 %hi0, %size
  %past = select i1 %inside.{LAST}, i64 %past.bytes, i64 %from.bytes
  %r0 = insertvalue {{ i64, i64, i64 }} poison, i64 %address.{LAST}, 0
  %r1 = insertvalue {{ i64, i64, i64 }} %r0, i64 %from.bytes, 1
  %r2 = insertvalue {{ i64, i64, i64 }} %r1, i64 %past, 2
  ret {{ i64, i64, i64 }} %r2
}}
""")  # fmt: skip

READ_ROW = """%row.parts = call { i64, i64, i64 } @box_row(ptr %box, i64 %row)
  %row.global = extractvalue { i64, i64, i64 } %row.parts, 0
  %from = extractvalue { i64, i64, i64 } %row.parts, 1
  %past = extractvalue { i64, i64, i64 } %row.parts, 2
  %row.inside = sub i64 %past, %from
  %row.some = icmp ne i64 %row.inside, 0
  %row.start = add i64 %row.global, %from"""
"""Lines that decode the row %row of %box."""

COPY = RuntimeFunction("copy_box", f"""
define internal void @copy_box(ptr %env, ptr %item) noinline {{
entry:
  %box = alloca [{SLOTS} x i64], align 8
  {slot("shared.base", at.SHARED)}
  {slot("delta", at.DELTA)}
  {field("item", "moved", BULK_MOVED)}
  {field("item", "shared.address", BULK_SHARED)}
  {field("item", "barrier", BULK_BARRIER)}
  {field("item", "reduce", BULK_REDUCE, "ptr")}
  {field("item", "site", BULK_SITE, "ptr")}
  {field("item", "lane", BULK_LANE)}
  %lane.wide = zext i32 %lane to i64
  %map = getelementptr i8, ptr %item, i64 {BULK_MAP}
  %coordinates = getelementptr i8, ptr %item, i64 {BULK_COORDINATES}
  %to.global = icmp eq i32 %barrier, {GROUP}
  %reduces = icmp ne ptr %reduce, null
  %shared.wide = zext i32 %shared.address to i64
  %idle = icmp eq i32 %moved, 0
  br i1 %idle, label %finish, label %start
start:
  call void @box_of(ptr %map, ptr %coordinates, ptr %box)
  {load_slots({"rows": ROWS, "row.bytes": ROW_BYTES, "shift": SHIFT, "mask": MASK, "fill": FILL, "type": TYPE})}
  br i1 %to.global, label %take, label %settle
take:
  call void @box_taken(ptr %env, ptr %site, i64 %lane.wide, i32 %shared.address, i32 %moved)
  br label %next
settle:
  call void @settle_copy(ptr %env, i32 %shared.address, i32 %moved)
  br label %next
next:
  %row = phi i64 [ 0, %take ], [ 0, %settle ], [ %row.next, %row.done ]
  %over = icmp eq i64 %row, %rows
  br i1 %over, label %finish, label %look
look:
  {READ_ROW}
  %row.offset = mul i64 %row, %row.bytes
  %row.shared = add i64 %shared.wide, %row.offset
  br label %piece
piece:
  %p = phi i64 [ 0, %look ], [ %p.end, %piece.done ]
  %end = icmp uge i64 %p, %row.bytes
  br i1 %end, label %row.over, label %move
move:
  %p.end = add i64 %p, {PIECE}
  %linear = add i64 %row.shared, %p
  %linear.down = lshr i64 %linear, %shift
  %turned = and i64 %linear.down, %mask
  %to = xor i64 %linear, %turned
  %begin = call i64 @llvm.smax.i64(i64 %from, i64 %p)
  %stop = call i64 @llvm.smin.i64(i64 %past, i64 %p.end)
  %length = sub i64 %stop, %begin
  %some = icmp sgt i64 %length, 0
  %whole = icmp eq i64 %length, {PIECE}
  %to.host = add i64 %shared.base, %to
  %to.ptr = inttoptr i64 %to.host to ptr
  %within = sub i64 %begin, %p
  %shared.host = add i64 %to.host, %within
  %shared.ptr = inttoptr i64 %shared.host to ptr
  %global.begin = add i64 %row.global, %begin
  %global.host = add i64 %global.begin, %delta
  %global.ptr = inttoptr i64 %global.host to ptr
  br i1 %to.global, label %out, label %in
in:
  br i1 %whole, label %in.whole, label %in.fill
in.whole:
  %bytes = load <2 x i64>, ptr %global.ptr, align 1
  store <2 x i64> %bytes, ptr %to.ptr, align 1
  br label %piece.done
in.fill:
  %second = getelementptr i64, ptr %to.ptr, i64 1
  store i64 %fill, ptr %to.ptr, align 1
  store i64 %fill, ptr %second, align 1
  br i1 %some, label %in.part, label %piece.done
in.part:
  call void @llvm.memcpy.p0.p0.i64(ptr %shared.ptr, ptr %global.ptr, i64 %length, i1 false)
  br label %piece.done
out:
  br i1 %some, label %out.some, label %piece.done
out.some:
  br i1 %reduces, label %combine, label %replace
combine:
  %length.short = trunc i64 %length to i32
  call void %reduce(i64 %type, ptr %global.ptr, ptr %shared.ptr, i32 %length.short)
  br label %piece.done
replace:
  call void @row_stored(ptr %env, ptr %site, i64 %lane.wide, i64 %global.begin, i64 %length, i1 false, ptr %shared.ptr)
  call void @llvm.memcpy.p0.p0.i64(ptr %global.ptr, ptr %shared.ptr, i64 %length, i1 false)
  br label %piece.done
piece.done:
  br label %piece
row.over:
  %leaving = and i1 %to.global, %row.some
  %updated = and i1 %leaving, %reduces
  br i1 %updated, label %report, label %row.done
report:
  call void @row_stored(ptr %env, ptr %site, i64 %lane.wide, i64 %row.start, i64 %row.inside, i1 true, ptr null)
  br label %row.done
row.done:
  %row.next = add i64 %row, 1
  br label %next
finish:
  {end_with("call void @complete_bulk(ptr %env, ptr %item)", "%to.global", "complete", unless=True, done="return")}
}}
""", (DECODE, ROW, SETTLE, COMPLETE, SILENT["box_taken"], SILENT["row_stored"]),
    ("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",))  # fmt: skip
