"""Counts sectors and lines of global memory, and passes over shared memory. Definitions: docs/counters.md."""

from __future__ import annotations

from ptxbench.emulator.runtime.context import (
    ACTIVE,
    ALL,
    COUNTERS,
    CTPOP,
    CTTZ,
    EXTRA,
    LINES,
    MASK,
    PATTERN_SCALE,
    PATTERNS,
    REQUESTS,
    RUNS,
    V32,
    V64,
    WIDE_8,
    WIDE_16,
    WORK,
    RuntimeFunction,
    bump,
    lane_of,
    next_group,
    slot,
    splat,
)
from ptxbench.emulator.types import LANES

GROUPS = RuntimeFunction("groups", f"""
define internal i64 @groups({V32} %keys, i32 %mask) noinline {{
  ; Distinct keys among the lanes of %mask, and in the upper half the most lanes that share one.
entry:
  %lanes = alloca [{LANES} x i32], align 64
  store {V32} %keys, ptr %lanes
  br label %next
next:
  %rest = phi i32 [ %mask, %entry ], [ %rest.less, %group ]
  %count = phi i64 [ 0, %entry ], [ %count.more, %group ]
  %most = phi i32 [ 0, %entry ], [ %most.new, %group ]
{next_group("%keys", "%lanes", "key", 32, "group")}
  %size = call i32 @llvm.ctpop.i32(i32 %members)
  %larger = icmp ugt i32 %size, %most
  %most.new = select i1 %larger, i32 %size, i32 %most
  %count.more = add i64 %count, 1
  br label %next
done:
  %most.wide = zext i32 %most to i64
  %most.high = shl i64 %most.wide, 32
  %both = or i64 %most.high, %count
  ret i64 %both
}}
""", (), (CTTZ, CTPOP))  # fmt: skip

WAVEFRONTS = RuntimeFunction("wavefronts", f"""
define internal i64 @wavefronts({V32} %units, i32 %mask, i32 %slots) noinline {{
  ; Passes of a shared-memory request, and in the upper half those beyond the ideal, which is one per group. A group has
  ; %slots lanes; two lanes conflict when their units differ but fall into one slot (docs/counters.md).
entry:
  %lanes = alloca [{LANES} x i32], align 64
  %seen = alloca [{LANES} x i8], align 64
  store {V32} %units, ptr %lanes
  %slot.mask = sub i32 %slots, 1
  {splat("slot.all", "i32", "%slot.mask")}
  %slot.of = and {V32} %units, %slot.all
  %slot.bit = shl {V32} splat (i32 1), %slot.of
  %short = sub i32 32, %slots
  %group.first = lshr i32 -1, %short
  br label %group
group:
  %start = phi i32 [ 0, %entry ], [ %start.next, %close ]
  %passes = phi i64 [ 0, %entry ], [ %passes.new, %close ]
  %ideal = phi i64 [ 0, %entry ], [ %ideal.new, %close ]
  %end = icmp uge i32 %start, 32
  br i1 %end, label %done, label %open
open:
  %group.mask = shl i32 %group.first, %start
  %members = and i32 %mask, %group.mask
  %empty = icmp eq i32 %members, 0
  br i1 %empty, label %close, label %distinct
distinct:
  %members.vector = bitcast i32 %members to {MASK}
  %bits = select {MASK} %members.vector, {V32} %slot.bit, {V32} zeroinitializer
  %used = call i32 @llvm.vector.reduce.or.v{LANES}i32({V32} %bits)
  %used.count = call i32 @llvm.ctpop.i32(i32 %used)
  %member.count = call i32 @llvm.ctpop.i32(i32 %members)
  %free = icmp eq i32 %used.count, %member.count
  br i1 %free, label %close, label %count
count:
  store [{LANES} x i8] zeroinitializer, ptr %seen
  br label %next
next:
  %rest = phi i32 [ %members, %count ], [ %rest.less, %unit ]
  %most = phi i8 [ 0, %count ], [ %most.new, %unit ]
  %over = icmp eq i32 %rest, 0
  br i1 %over, label %close, label %unit
unit:
  %number = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %number.wide = zext i32 %number to i64
  {lane_of("key", "i32", "%lanes")}
  {splat("key.all", "i32", "%key")}
  %equal = icmp eq {V32} %units, %key.all
  %equal.mask = bitcast {MASK} %equal to i32
  %sharing = and i32 %equal.mask, %rest
  %rest.less = xor i32 %rest, %sharing
  %slot = and i32 %key, %slot.mask
  %slot.wide = zext i32 %slot to i64
  %seen.at = getelementptr i8, ptr %seen, i64 %slot.wide
  %seen.old = load i8, ptr %seen.at
  %seen.new = add i8 %seen.old, 1
  store i8 %seen.new, ptr %seen.at
  %larger = icmp ugt i8 %seen.new, %most
  %most.new = select i1 %larger, i8 %seen.new, i8 %most
  br label %next
close:
  %more = phi i8 [ 0, %open ], [ 1, %distinct ], [ %most, %next ]
  %one = phi i64 [ 0, %open ], [ 1, %distinct ], [ 1, %next ]
  %more.wide = zext i8 %more to i64
  %passes.new = add i64 %passes, %more.wide
  %ideal.new = add i64 %ideal, %one
  %start.next = add i32 %start, %slots
  br label %group
done:
  %conflicts = sub i64 %passes, %ideal
  %conflicts.high = shl i64 %conflicts, 32
  %both = or i64 %conflicts.high, %passes
  ret i64 %both
}}
""", (), (CTTZ, CTPOP, f"declare i32 @llvm.vector.reduce.or.v{LANES}i32({V32})"))  # fmt: skip


def remembered(compute: str) -> str:
    """LLVM lines that end a function with the result of `compute` (lines that set %result) for the active lanes of
    %rel.

    A site mostly sees one pattern repeatedly: distances from lane 0, and lane 0's position in a row of the banks.
    These and the mask determine both counts, so the result of the last pattern is kept and reused if they are equal.
    """
    return f"""{slot("counters", COUNTERS)}
  %site.int = ptrtoint ptr %site to i64
  %site.offset = sub i64 %site.int, %counters
  {slot("patterns", PATTERNS, "ptr")}
  %pattern.offset = mul i64 %site.offset, {PATTERN_SCALE}
  %pattern = getelementptr i8, ptr %patterns, i64 %pattern.offset
  %mask.at = getelementptr i8, ptr %pattern, i64 128
  %phase.at = getelementptr i8, ptr %pattern, i64 132
  %result.at = getelementptr i8, ptr %pattern, i64 136
  %old = load {V32}, ptr %pattern, align 4
  %old.mask = load i32, ptr %mask.at
  %old.phase = load i32, ptr %phase.at
  %differs = icmp ne {V32} %rel, %old
  %differs.mask = bitcast {MASK} %differs to i32
  %differs.active = and i32 %differs.mask, %mask
  %mask.change = xor i32 %old.mask, %mask
  %phase.change = xor i32 %old.phase, %phase
  %change.some = or i32 %differs.active, %mask.change
  %change = or i32 %change.some, %phase.change
  %same = icmp eq i32 %change, 0
  br i1 %same, label %unchanged, label %fresh
unchanged:
  %old.result = load i64, ptr %result.at
  ret i64 %old.result
fresh:
  {compute}
  store {V32} %rel, ptr %pattern, align 4
  store i32 %mask, ptr %mask.at
  store i32 %phase, ptr %phase.at
  store i64 %result, ptr %result.at
  ret i64 %result"""


def wavefronts_of(name: str, result: str, comment: str) -> RuntimeFunction:
    """A function that returns %result, which the lines `result` compute from the addresses %a; cached at the site."""
    return RuntimeFunction(name, f"""
define internal i64 @{name}({V32} %a, i32 %mask, ptr %env, ptr %site, i32 %shift, i32 %slots) noinline {{
  ; {comment}
  %a.first = extractelement {V32} %a, i64 0
  {splat("first.all", "i32", "%a.first")}
  %rel = sub {V32} %a, %first.all
  %phase = and i32 %a.first, 127
  {remembered(f'''{splat("shift.all", "i32", "%shift")}
  %unit = lshr {V32} %a, %shift.all
  %narrow.both = call i64 @wavefronts({V32} %unit, i32 %mask, i32 %slots)
  %narrow.high = lshr i64 %narrow.both, 16
  %narrow.low = and i64 %narrow.both, 65535
  %narrow = or i64 %narrow.low, %narrow.high
  {result}''')}
}}
""", (WAVEFRONTS,))  # fmt: skip


WAVEFRONTS_OF = wavefronts_of(
    "wavefronts_of", "%result = or i64 %narrow, 0", "16 bits each of the passes and those beyond the ideal."
)
WIDE_WAVEFRONTS_OF = wavefronts_of(
    "wide_wavefronts_of",
    f"""%units.8 = lshr {V32} %a, splat (i32 3)
  %both.8 = call i64 @wavefronts({V32} %units.8, i32 %mask, i32 16)
  %high.8 = shl i64 %both.8, 48
  %wide.8 = lshr i64 %high.8, 16
  %units.16 = lshr {V32} %a, splat (i32 4)
  %both.16 = call i64 @wavefronts({V32} %units.16, i32 %mask, i32 8)
  %wide.16 = shl i64 %both.16, 48
  %wides = or i64 %wide.8, %wide.16
  %result = or i64 %narrow, %wides""",
    "The same, and the passes of accesses of 8 and 16 bytes per lane at these addresses rounded down, as ptxas may "
    "merge them.",
)

SECTORS_AND_LINES = RuntimeFunction("sectors_and_lines", f"""
define internal i64 @sectors_and_lines({V32} %sector, i32 %mask) noinline {{
  %sectors.all = call i64 @groups({V32} %sector, i32 %mask)
  %sectors = and i64 %sectors.all, 4294967295
  %line = lshr {V32} %sector, splat (i32 2)
  %lines.all = call i64 @groups({V32} %line, i32 %mask)
  %lines = shl i64 %lines.all, 32
  %both = or i64 %lines, %sectors
  ret i64 %both
}}
""", (GROUPS,))  # fmt: skip

SECTORS_OF = RuntimeFunction("sectors_of", f"""
define internal i64 @sectors_of({V64} %a, i32 %mask, ptr %env, ptr %site) noinline {{
  ; How many sectors these addresses lie in, and in the upper half how many lines; remembered at the site unless they
  ; lie too far apart.
  %a.first = extractelement {V64} %a, i64 0
  {splat("first.all", "i64", "%a.first")}
  %rel.wide = sub {V64} %a, %first.all
  %rel = trunc {V64} %rel.wide to {V32}
  %extended = sext {V32} %rel to {V64}
  %too.far = icmp ne {V64} %extended, %rel.wide
  %too.far.mask = bitcast {MASK} %too.far to i32
  %too.far.lanes = and i32 %too.far.mask, %mask
  %in.range = icmp eq i32 %too.far.lanes, 0
  %sector.wide = lshr {V64} %a, splat (i64 5)
  %sector = trunc {V64} %sector.wide to {V32}
  %phase.wide = and i64 %a.first, 127
  %phase = trunc i64 %phase.wide to i32
  br i1 %in.range, label %look, label %out.of.range
out.of.range:
  %counted = call i64 @sectors_and_lines({V32} %sector, i32 %mask)
  ret i64 %counted
look:
  {remembered(f"%result = call i64 @sectors_and_lines({V32} %sector, i32 %mask)")}
}}
""", (SECTORS_AND_LINES,))  # fmt: skip


def count_sectors() -> str:
    """LLVM lines that count the distinct 32-byte sectors and 128-byte lines; an aligned access of up to 32 bytes
    touches one of each per lane."""
    before = ", ".join(f"i32 {max(0, i - 1)}" for i in range(LANES))
    return f"""%sector.wide = lshr {V64} %a, splat (i64 5)
  %sector = trunc {V64} %sector.wide to {V32}
  %before = shufflevector {V32} %sector, {V32} poison, {V32} <{before}>
  %rising = icmp uge {V32} %sector, %before
  %rising.mask = bitcast {MASK} %rising to i32
  %sorted = icmp eq i32 %rising.mask, {ALL}
  %full = icmp eq i32 %mask, {ALL}
  %easy = and i1 %sorted, %full
  br i1 %easy, label %steps, label %search
steps:
  %new = icmp ne {V32} %sector, %before
  %new.mask = bitcast {MASK} %new to i32
  %new.count = call i32 @llvm.ctpop.i32(i32 %new.mask)
  %new.more = add i32 %new.count, 1
  %new.wide = zext i32 %new.more to i64
  %line = lshr {V32} %sector, splat (i32 2)
  %line.before = lshr {V32} %before, splat (i32 2)
  %line.new = icmp ne {V32} %line, %line.before
  %line.new.mask = bitcast {MASK} %line.new to i32
  %line.count = call i32 @llvm.ctpop.i32(i32 %line.new.mask)
  %line.more = add i32 %line.count, 1
  %line.wide = zext i32 %line.more to i64
  br label %counted
search:
  %grouped = call i64 @sectors_of({V64} %a, i32 %mask, ptr %env, ptr %site)
  %grouped.count = and i64 %grouped, 4294967295
  %grouped.lines = lshr i64 %grouped, 32
  br label %counted
counted:
  %sectors = phi i64 [ %new.wide, %steps ], [ %grouped.count, %search ]
  %lines = phi i64 [ %line.wide, %steps ], [ %grouped.lines, %search ]
  {bump(WORK, "%sectors")}
  {bump(LINES, "%lines")}"""


def count_sectors_of_run(size: int) -> str:
    """The same for a run: `size` bytes per lane, one lane after the other from the aligned address %a.first on."""
    return f"""%run.beside = and i64 %a.first, 127
  %run.whole = icmp eq i64 %run.beside, 0
  br i1 %run.whole, label %run.of.lines, label %run.across
run.of.lines:
  {bump(RUNS, "1", "run.c")}
  br label %run.counted
run.across:
  {bump(REQUESTS, "1", "run.c")}
  {bump(ACTIVE, str(LANES), "run.c")}
  %run.last = add i64 %a.first, {(LANES - 1) * size}
  %run.sector = lshr i64 %a.first, 5
  %run.sector.last = lshr i64 %run.last, 5
  %run.steps = sub i64 %run.sector.last, %run.sector
  %run.sectors = add i64 %run.steps, 1
  %run.line = lshr i64 %a.first, 7
  %run.line.last = lshr i64 %run.last, 7
  %run.line.steps = sub i64 %run.line.last, %run.line
  %run.lines = add i64 %run.line.steps, 1
  {bump(WORK, "%run.sectors", "run.c")}
  {bump(LINES, "%run.lines", "run.c")}
  br label %run.counted
run.counted:"""


def slots_of(size: int) -> int:
    """How many lanes a group of a shared request has, with `size` bytes per lane."""
    return min(32, 128 // size)


def count_wavefronts_of_run(size: int, *, mergeable: bool = False) -> str:
    """LLVM lines that count the passes of a run in shared memory: one for each group."""
    wide = f"{bump(WIDE_8, '2', 'run.c')}{bump(WIDE_16, '4', 'run.c')}" if mergeable else ""
    return bump(RUNS, "1", "run.c") + wide


def count_wavefronts(size: int, *, mergeable: bool = False) -> str:
    """LLVM lines that count the passes of a shared request and those beyond the ideal; for a `mergeable` one also the
    passes after merging."""
    slots = slots_of(size)
    shift = max(2, size.bit_length() - 1)
    name, wide = "wavefronts_of", ""
    if mergeable:
        name = "wide_wavefronts_of"
        wide = f"""%wide.8.up = lshr i64 %waves, 32
  %wide.8 = and i64 %wide.8.up, 65535
  %wide.16 = lshr i64 %waves, 48
  {bump(WIDE_8, "%wide.8")}
  {bump(WIDE_16, "%wide.16")}"""
    return f"""%waves = call i64 @{name}({V32} %a, i32 %mask, ptr %env, ptr %site, i32 {shift}, i32 {slots})
  %passes = and i64 %waves, 65535
  %conflicts.up = lshr i64 %waves, 16
  %conflicts = and i64 %conflicts.up, 65535
  {bump(WORK, "%passes")}
  {bump(EXTRA, "%conflicts")}
  {wide}"""


COUNT_LANES = RuntimeFunction("count_lanes", """
define internal void @count_lanes(ptr %counters, i64 %slot, i32 %lanes) noinline {
  ; Add the number of lanes to the counter %slot.
  %at = getelementptr i64, ptr %counters, i64 %slot
  %old = load i64, ptr %at
  %count = call i32 @llvm.ctpop.i32(i32 %lanes)
  %count.wide = zext i32 %count to i64
  %new = add i64 %old, %count.wide
  store i64 %new, ptr %at
  ret void
}
""", declarations=(CTPOP,))  # fmt: skip

COUNT_BLOCK = RuntimeFunction("count_block", """
define internal void @count_block(ptr %counters, i64 %slot, i32 %lanes) noinline {
  ; Add one to the counter %slot, and the number of lanes to the next.
  %at = getelementptr i64, ptr %counters, i64 %slot
  %old = load i64, ptr %at
  %new = add i64 %old, 1
  store i64 %new, ptr %at
  %next = add i64 %slot, 1
  call void @count_lanes(ptr %counters, i64 %next, i32 %lanes)
  ret void
}
""", (COUNT_LANES,))  # fmt: skip
