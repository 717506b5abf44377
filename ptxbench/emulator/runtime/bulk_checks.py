"""Checks that a bulk copy may touch its bytes on both sides, and counts it. Both kinds of copies use this.

A copy that may not touch them moves nothing, but completes its transactions. So no thread waits for it forever if
faults are only collected.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import RuntimeFunction, slot
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.watch import SILENT

PIECE = 16
"""Addresses and sizes are multiples of this many bytes."""
BOX_ALIGN = 128
"""The alignment of a box in shared memory."""
SHARED_ALIGNMENT, BAD_IGNORED, OWN_CTA, NO_TARGET, BAD_TARGET, SOURCE_GONE = 76, 80, 81, 82, 83, 84
"""Reasons for MISUSED."""
COMPLAINTS = {
    SHARED_ALIGNMENT: f"needs shared memory at a multiple of {BOX_ALIGN} bytes",
    BAD_IGNORED: "ignores more than 15 bytes at one end, or all bytes that it copies",
    OWN_CTA: "copies to the memory of its own CTA; the target must be in another CTA of the cluster",
    NO_TARGET: "has a mask that names no CTA",
    BAD_TARGET: "has a mask that names a CTA that the cluster does not have",
    SOURCE_GONE: "copies from the memory of its CTA, which has exited before the copy was done; let it wait for the "
    "cluster (barrier.cluster) before it exits",
}

CHECK_OFFSET = RuntimeFunction("bulk_check_offset", f"""
define internal i1 @bulk_check_offset(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %offset, i64 %shown,
                                      i64 %size, i64 %alignment) noinline {{
  ; Whether %size bytes at %offset lie aligned in a CTA's shared memory. %shown: %offset as a fault shows it.
entry:
  {slot("limit", at.SHARED_BYTES)}
  %offset.wide = zext i32 %offset to i64
  %end = add i64 %offset.wide, %size
  %past = icmp ugt i64 %end, %limit
  br i1 %past, label %out, label %in
out:
  %limit.whole = and i64 %limit, {-PIECE}          ; the first piece that lies outside
  %starts = icmp ult i64 %offset.wide, %limit.whole
  %less = sub i64 %limit.whole, %offset.wide
  %before = select i1 %starts, i64 %less, i64 0
  %first = add i64 %shown, %before
  br label %bad
in:
  %mask = sub i64 %alignment, 1
  %ragged = and i64 %offset.wide, %mask
  %odd = icmp ne i64 %ragged, 0
  br i1 %odd, label %misaligned, label %good
misaligned:
  %of.box = icmp eq i64 %alignment, {BOX_ALIGN}
  br i1 %of.box, label %box, label %bad
box:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site.misuse, i64 %lane, i64 {SHARED_ALIGNMENT})
  ret i1 false
bad:
  %kind = phi i64 [ {at.OUT_OF_BOUNDS}, %out ], [ {at.MISALIGNED}, %misaligned ]
  %fault.address = phi i64 [ %first, %out ], [ %shown, %misaligned ]
  call void @fault(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %fault.address)
  ret i1 false
good:
  ret i1 true
}}
""", (FAULT,))  # fmt: skip

CHECK_TARGET = RuntimeFunction("bulk_check_target", """
define internal i1 @bulk_check_target(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %address, i32 %barrier,
                                      i32 %ctas, i64 %size, i64 %alignment) noinline {
  ; Whether a copy may write %size bytes at %address of shared::cluster. Outside clusters that is the CTA's own memory;
  ; bulk_clusters.py replaces this function.
  %shown = zext i32 %address to i64
  %fine = call i1 @bulk_check_offset(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %address, i64 %shown,
                                     i64 %size, i64 %alignment)
  ret i1 %fine
}
""", (CHECK_OFFSET,))  # fmt: skip

REPORT_OUTSIDE = RuntimeFunction("bulk_report_outside", f"""
define internal void @bulk_report_outside(ptr %env, ptr %site, i64 %lane, i64 %from, i64 %ends, i64 %unit) noinline {{
  ; No buffer has the global addresses from %from on. %ends: the end of the buffer that has the first of them, or 0.
  ; %unit: the first address outside that is reported is a multiple of it.
  %down = sub i64 0, %unit
  %ends.whole = and i64 %ends, %down
  %reaches = icmp ult i64 %from, %ends.whole
  %first = select i1 %reaches, i64 %ends.whole, i64 %from
  call void @fault(ptr %env, i64 {at.OUT_OF_BOUNDS}, ptr %site, i64 %lane, i64 %first)
  ret void
}}
""", (FAULT,))  # fmt: skip


def find_buffer(before: str, first: str, past: str) -> str:
    """Lines that go from the block `before` to `found` with %i, the index of the buffer that has the global addresses
    from `first` up to `past`; or to `none` with %ends, as bulk_report_outside takes it."""
    return f"""br label %search
search:
  %i = phi i64 [ 0, %{before} ], [ %i.next, %miss ]
  %ends = phi i64 [ 0, %{before} ], [ %ends.new, %miss ]
  %last = icmp eq i64 %i, %buffer.count
  br i1 %last, label %none, label %compare
compare:
  %entry.index = shl i64 %i, 1
  %lo.at = getelementptr i64, ptr %buffers, i64 %entry.index
  %lo = load i64, ptr %lo.at
  %hi.at = getelementptr i64, ptr %lo.at, i64 1
  %hi = load i64, ptr %hi.at
  %after = icmp uge i64 {first}, %lo
  %before = icmp ult i64 {first}, %hi
  %starts = and i1 %after, %before
  %enough = icmp ule i64 {past}, %hi
  %fits = and i1 %starts, %enough
  br i1 %fits, label %found, label %miss
miss:
  %ends.new = select i1 %starts, i64 %hi, i64 %ends
  %i.next = add i64 %i, 1
  br label %search"""


FIND_BUFFER = RuntimeFunction("bulk_find_buffer", f"""
define internal i64 @bulk_find_buffer(ptr %env, ptr %site, i64 %lane, i64 %from, i64 %past, i64 %unit) noinline {{
  ; The index of the buffer that has the global addresses from %from up to %past, or a fault and -1.
entry:
  {slot("buffers", at.BUFFERS, "ptr")}
  {slot("buffer.count", at.BUFFER_COUNT)}
  {find_buffer("entry", "%from", "%past")}
none:
  call void @bulk_report_outside(ptr %env, ptr %site, i64 %lane, i64 %from, i64 %ends, i64 %unit)
  ret i64 -1
found:
  ret i64 %i
}}
""", (REPORT_OUTSIDE,))  # fmt: skip


REPORT_ISSUED = RuntimeFunction("bulk_report_issued", """
define internal void @bulk_report_issued(ptr %env, ptr %site.shared, ptr %site.fault, ptr %site, i64 %lane,
                                         i32 %shared.address, i32 %barrier, i32 %ctas, i1 %in.cta, i32 %size,
                                         i1 %fills) noinline {
  ; A copy is issued that will write or read shared memory of the CTA. In clusters bulk_clusters.py replaces this.
  call void @bytes_announced(ptr %env, ptr %site, i64 %lane, i32 %barrier, i32 %size)
  call void @box_issued(ptr %env, ptr %site.shared, i64 %lane, i32 %shared.address, i32 %size, i1 %fills)
  ret void
}
""", (SILENT["box_issued"], SILENT["bytes_announced"]))  # fmt: skip


def units_spanned(name: str, first: str, past: str, shift: int) -> str:
    """Lines that set %NAME: how many units of 2**shift bytes the addresses from `first` up to `past` lie in."""
    return f"""%{name}.end = sub i64 {past}, 1
  %{name}.last = lshr i64 %{name}.end, {shift}
  %{name}.first = lshr i64 {first}, {shift}
  %{name}.between = sub i64 %{name}.last, %{name}.first
  %{name} = add i64 %{name}.between, 1"""


CHECK_IN_CTA = """%shared.end = add i64 %shared.wide, %shared.bytes
  %shared.past = icmp ugt i64 %shared.end, %limit
  %shared.ragged = and i64 %shared.wide, %shared.low
  %shared.odd = icmp ne i64 %shared.ragged, 0
  %shared.bad = or i1 %shared.past, %shared.odd"""
"""Lines that set %shared.bad: a copy leaves the CTA's own memory, or is not aligned there. After `aligned`."""
REPORT_IN_CTA = """call i1 @bulk_check_offset(ptr %env, ptr %site.shared, ptr %site, i64 %number.wide,
                                              i32 %shared.address, i64 %shared.wide, i64 %shared.bytes,
                                              i64 %shared.alignment)"""
"""Lines that report this fault."""
CHECK_SHARED = f"""{CHECK_IN_CTA}
  br i1 %shared.bad, label %report.in.cta, label %shared.checked
report.in.cta:
  {REPORT_IN_CTA}
  br label %shared.checked
check.in.cluster:
  %no.ctas = icmp eq i32 %ctas, 0
  %none.named = and i1 %several, %no.ctas
  br i1 %none.named, label %no.target, label %check.target
no.target:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 {NO_TARGET})
  br label %shared.checked
check.target:
  %target.fine = call i1 @bulk_check_target(ptr %env, ptr %site.fault, ptr %site, i64 %number.wide, i32 %shared.address,
                                            i32 %barrier, i32 %ctas, i64 %shared.bytes, i64 %shared.alignment)
  br label %shared.checked
shared.checked:
  %shared.fine = phi i1 [ true, %check.in.cta ], [ false, %report.in.cta ], [ false, %no.target ],
                        [ %target.fine, %check.target ]"""
"""Lines of an issue function after `check.in.cta`, for a copy that it checks there if %in.cta, else at
check.in.cluster. They set %shared.fine at shared.checked."""


def aligned(alignment: int) -> str:
    """Lines for the entry of an issue function with CHECK_IN_CTA."""
    return f"""{slot("limit", at.SHARED_BYTES)}
  %shared.alignment = add i64 0, {alignment}
  %shared.low = sub i64 %shared.alignment, 1"""


def count_targets(name: str) -> str:
    """Lines that set %NAME (i64): how many CTAs get the bytes of a copy."""
    return f"""%{name}.short = call i32 @llvm.ctpop.i32(i32 %ctas)
  %{name}.some = call i32 @llvm.umax.i32(i32 %{name}.short, i32 1)
  %{name} = zext i32 %{name}.some to i64"""


COUNT_DECLARATIONS = ("declare i32 @llvm.ctpop.i32(i32)", "declare i32 @llvm.umax.i32(i32, i32)")


def count(site: str, index: int, amount: str) -> str:
    """Lines that add the i64 `amount` to slot `index` of the site %SITE."""
    name = f"{site}.{index}"
    return f"""%{name}.at = getelementptr i64, ptr %{site}, i64 {index}
  %{name}.old = load i64, ptr %{name}.at
  %{name}.new = add i64 %{name}.old, {amount}
  store i64 %{name}.new, ptr %{name}.at"""


def lists(*names: tuple[str, str, str]) -> str:
    """Lines that store vectors as the lists that `lane_of` reads: (name, element type, vector)."""
    lines = []
    for name, kind, vector in names:
        lines.append(f"%{name}.all = alloca <32 x {kind}>, align 64")
        lines.append(f"store <32 x {kind}> {vector}, ptr %{name}.all")
    return "\n  ".join(lines)
