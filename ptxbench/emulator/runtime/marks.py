"""Marks of values that were never written (definedness.py): how a read makes them, and what a use does.

A mark is 0 for a value that was written. Else it has, from the highest bits on: the number of the load, from 1 on, or
OF_REGISTER; the lane that read; and the address of a byte, or the number of the read of a register.
"""

from __future__ import annotations

from ptxbench.emulator.races import layout
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime import kinds
from ptxbench.emulator.runtime.context import CTTZ, MASK, V32, V64, RuntimeFunction, multiples, slot, splat, vector
from ptxbench.emulator.runtime.sanitize import (
    FINDING,
    FLAG_OF_SITE,
    GATHER_SCATTER,
    IN_ZONE,
    SiteLines,
    in_bounds,
    local_row,
    times,
)
from ptxbench.emulator.types import LANES

ADDRESS_BITS = 19
"""Enough for shared memory, and for local memory."""
NUMBER_AT = ADDRESS_BITS + 5
OF_REGISTER = (1 << 32 - NUMBER_AT) - 1
MOST_LOADS, MOST_READS = OF_REGISTER - 1, 1 << ADDRESS_BITS

GATHER_STAMPS = f"llvm.masked.gather.v{LANES}i64.v{LANES}p0"
DECLARE_GATHER_STAMPS = f"declare {V64} @{GATHER_STAMPS}(<{LANES} x ptr>, i32, {MASK}, {V64})"


def in_shared(size: int) -> str:
    """Lines that set %active, the lanes whose bytes are tracked, and the shadow of shared memory."""
    return f"""{in_bounds(at.SHARED_BYTES, size)}
  {slot("shadow", at.SHADOW, "ptr")}
  {slot("table", at.RACES, "ptr")}
  %skipped.at = getelementptr i64, ptr %table, i64 {layout.SHARED_SKIPPED}
  %skipped = load i64, ptr %skipped.at
  %tracked = icmp eq i64 %skipped, 0
  {slot("start", at.TIME_OF_START)}
  {splat("start.all", "i64", "%start")}"""


def in_local(size: int, granule: int) -> str:
    """Lines that set %active, and the shadow of local memory with the first granule of each thread."""
    return f"""{local_row(size, granule)}
  %tracked = icmp eq i64 0, 0
  {times()}"""


def unwritten(space: str, size: int, granule: int, *, of_bits: bool) -> RuntimeFunction:
    """`unwritten_SPACE_SIZE(addresses, mask, env, site, number)`: the marks of the values of `size` bytes that a load
    at `site` reads. If there are any, the load's own report counts as made. `unwritten_bits_SPACE_SIZE`, `of_bits`:
    the bits of the values that were never written."""
    lines = SiteLines()
    shadow_type = V64 if space == "shared" else V32
    returns = vector(8 * size) if of_bits else V32
    marks = "zeroinitializer"
    for j in reversed(range(max(1, size // granule))):
        index = lines.op(f"add {V64} %index, splat (i64 {j})")
        if space == "shared":
            pointers = lines.op(f"getelementptr i64, ptr %shadow, {V64} {index}")
            stamps = lines.op(
                f"call {V64} @{GATHER_STAMPS}(<{LANES} x ptr> {pointers}, i32 8, {MASK} %active, {V64} zeroinitializer)"
            )
            written = lines.op(f"lshr {V64} {stamps}, splat (i64 32)")
        else:
            written = lines.gather(lines.op(f"getelementptr i32, ptr %shadow, {V64} {index}"), "%active")
        never = lines.both("%active", lines.op(f"icmp ult {shadow_type} {written}, %start.all"))
        if of_bits:
            field = (1 << 8 * min(granule, size)) - 1 << 8 * granule * j
            bits = lines.op(f"select {MASK} {never}, {returns} splat (i{8 * size} {field}), {returns} zeroinitializer")
            marks = lines.op(f"or {returns} {bits}, {marks}")
            continue
        byte = lines.op(f"add {V32} %a, splat (i32 {j * granule})")
        short = lines.op(f"and {V32} {byte}, splat (i32 {(1 << ADDRESS_BITS) - 1})")
        mark = lines.op(f"or {V32} {short}, %reader")
        marks = lines.op(f"select {MASK} {never}, {V32} {mark}, {V32} {marks}")
    place = in_shared(size) if space == "shared" else in_local(size, granule)
    base = "%granule.wide" if space == "shared" else "%granule.local"
    row = "" if space == "shared" else f"%granule.local = add {V64} %row, %granule.wide"
    name = f"unwritten_{'bits_' if of_bits else ''}{space}_{size}"
    text = f"""
define internal {returns} @{name}({V32} %a, i32 %asked, ptr %env, ptr %site, i32 %number) noinline {{
  {place}
  br i1 %tracked, label %look, label %nothing
nothing:
  ret {returns} zeroinitializer
look:
  %granule = lshr {V32} %a, splat (i32 {granule.bit_length() - 1})
  %granule.wide = zext {V32} %granule to {V64}
  {row}
  %index = add {V64} {base}, zeroinitializer
  %number.high = shl i32 %number, {NUMBER_AT}
  {splat("number.all", "i32", "%number.high")}
  %reader = or {V32} %number.all, {multiples("i32", 1 << ADDRESS_BITS)}
  {chr(10).join(lines.lines)}
  %some = icmp ne {returns} {marks}, zeroinitializer
  %some.mask = bitcast {MASK} %some to i32
  %none = icmp eq i32 %some.mask, 0
  br i1 %none, label %done, label %found
found:
  {FLAG_OF_SITE}
  %flag.new = or i64 %flag, {1 << kinds.UNINITIALISED}
  store i64 %flag.new, ptr %flag.at
  br label %done
done:
  ret {returns} {marks}
}}
"""
    return RuntimeFunction(name, text, (), (DECLARE_GATHER_STAMPS, *GATHER_SCATTER))


def store_marks(space: str, size: int, granule: int) -> RuntimeFunction:
    """`store_marks_SPACE_SIZE(addresses, mask, env, bits)`: after a store of values of `size` bytes, of which these
    bits were never written, the bytes with such bits count as never written."""
    lines = SiteLines()
    stored = vector(8 * size)
    kind, bits = (V64, 64) if space == "shared" else (V32, 32)
    for j in range(max(1, size // granule)):
        index = lines.op(f"add {V64} %index, splat (i64 {j})")
        pointers = lines.op(f"getelementptr i{bits}, ptr %shadow, {V64} {index}")
        if space == "shared":
            stamps = lines.op(
                f"call {V64} @{GATHER_STAMPS}(<{LANES} x ptr> {pointers}, i32 8, {MASK} %lanes, {V64} zeroinitializer)"
            )
            times = lines.op(f"lshr {V64} {stamps}, splat (i64 32)")
            in_zone = lines.op(f"icmp eq {V64} {times}, splat (i64 {layout.ZONE})")
        else:
            in_zone = lines.op(f"icmp eq {V32} {lines.gather(pointers, '%lanes')}, splat (i32 {IN_ZONE})")
        field = (1 << 8 * min(granule, size)) - 1 << 8 * granule * j
        of_granule = lines.op(f"and {stored} %bits, splat (i{8 * size} {field})")
        takes = lines.both("%lanes", lines.op(f"icmp ne {stored} {of_granule}, zeroinitializer"))
        outside = lines.both(takes, lines.op(f"xor {MASK} {in_zone}, splat (i1 true)"))
        lines.lines.append(
            f"call void @llvm.masked.scatter.v{LANES}i{bits}.v{LANES}p0({kind} zeroinitializer, <{LANES} x ptr> "
            f"{pointers}, i32 {bits // 8}, {MASK} {outside})"
        )
    place = in_shared(size) if space == "shared" else in_local(size, granule)
    base = "%granule.wide" if space == "shared" else "%granule.local"
    row = "" if space == "shared" else f"%granule.local = add {V64} %row, %granule.wide"
    text = f"""
define internal void @store_marks_{space}_{size}({V32} %a, i32 %asked, ptr %env, {stored} %bits) noinline {{
  {place}
  %marked = icmp ne {stored} %bits, zeroinitializer
  %lanes = and {MASK} %active, %marked
  %lanes.mask = bitcast {MASK} %lanes to i32
  %some = icmp ne i32 %lanes.mask, 0
  %goes.on = and i1 %some, %tracked
  br i1 %goes.on, label %look, label %done
look:
  %granule = lshr {V32} %a, splat (i32 {granule.bit_length() - 1})
  %granule.wide = zext {V32} %granule to {V64}
  {row}
  %index = add {V64} {base}, zeroinitializer
  {chr(10).join(lines.lines)}
  br label %done
done:
  ret void
}}
"""
    scatter = f"declare void @llvm.masked.scatter.v{LANES}i64.v{LANES}p0({V64}, <{LANES} x ptr>, i32, {MASK})"
    return RuntimeFunction(f"store_marks_{space}_{size}", text, (), (DECLARE_GATHER_STAMPS, scatter, *GATHER_SCATTER))


UNWRITTEN_REGISTER = RuntimeFunction("unwritten_register", f"""
define internal {V32} @unwritten_register(ptr %written.at, i32 %number) noinline {{
  %mark = or i32 %number, {OF_REGISTER << NUMBER_AT}
  {splat("mark.all", "i32", "%mark")}
  %reader = or {V32} %mark.all, {multiples("i32", 1 << ADDRESS_BITS)}
  %written.bits = load i32, ptr %written.at, align 4
  %written = bitcast i32 %written.bits to {MASK}
  %marks = select {MASK} %written, {V32} zeroinitializer, {V32} %reader
  ret {V32} %marks
}}
""")  # fmt: skip
"""`unwritten_register(mask of the lanes that wrote it, number)`: the marks of a register that an instruction reads."""

USED = RuntimeFunction("mark_used", f"""
define internal void @mark_used({V32} %marks, i32 %lanes, ptr %env, i64 %loads, i64 %reads) noinline {{
  ; A finding for each of %lanes that has a mark. The sites of the loads follow each other from slot %loads on, and
  ; those of the reads of registers from slot %reads on.
entry:
  %list = alloca {V32}, align 64
  %some = icmp ne {V32} %marks, zeroinitializer
  %some.mask = bitcast {MASK} %some to i32
  %used = and i32 %some.mask, %lanes
  %none = icmp eq i32 %used, 0
  br i1 %none, label %done, label %found
found:
  store {V32} %marks, ptr %list, align 64
  {slot("counters", at.COUNTERS, "ptr")}
  br label %next
next:
  %rest = phi i32 [ %used, %found ], [ %rest.less, %next ]
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %lane.wide = zext i32 %lane to i64
  %mark.at = getelementptr i32, ptr %list, i64 %lane.wide
  %mark = load i32, ptr %mark.at
  %address = and i32 %mark, {(1 << ADDRESS_BITS) - 1}
  %address.wide = zext i32 %address to i64
  %number = lshr i32 %mark, {NUMBER_AT}
  %number.wide = zext i32 %number to i64
  %is.load = icmp ne i64 %number.wide, {OF_REGISTER}
  %first.slot = select i1 %is.load, i64 %loads, i64 %reads
  %kind = select i1 %is.load, i64 {kinds.UNINITIALISED}, i64 {kinds.UNINITIALISED_REGISTER}
  %load = sub i64 %number.wide, 1
  %index = select i1 %is.load, i64 %load, i64 %address.wide
  %distance = mul i64 %index, {at.SITE_SLOTS}
  %site.slot = add i64 %first.slot, %distance
  %site = getelementptr i64, ptr %counters, i64 %site.slot
  %reader.high = lshr i32 %mark, {ADDRESS_BITS}
  %reader = and i32 %reader.high, 31
  %reader.wide = zext i32 %reader to i64
  call void @finding(ptr %env, i64 %kind, ptr %site, i64 %reader.wide, i64 %address.wide, i64 0)
  %fewer = sub i32 %rest, 1
  %rest.less = and i32 %rest, %fewer
  %last = icmp eq i32 %rest.less, 0
  br i1 %last, label %done, label %next
done:
  ret void
}}
""", (FINDING,), (CTTZ,))  # fmt: skip
"""`mark_used(marks, lanes, env, slot of loads, slot of reads)`: these lanes use values with these marks."""
