"""Checks that a bulk copy may touch its bytes on both sides, and counts it. Both kinds of copies use this.

A copy that may not touch them moves nothing, but completes its transactions. So no thread waits for it forever if
faults are only collected.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import RuntimeFunction, slot
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.watch import NOTHING

PIECE = 16
"""Addresses and sizes are multiples of this many bytes."""
BOX_ALIGN = 128
"""The alignment of a box in shared memory."""
NEAR_ALIGNMENT, BAD_IGNORED, OWN_CTA, NO_TARGET, BAD_TARGET, SOURCE_GONE = 76, 80, 81, 82, 83, 84
"""Reasons for MISUSED."""
COMPLAINTS = {
    NEAR_ALIGNMENT: f"needs shared memory at a multiple of {BOX_ALIGN} bytes",
    BAD_IGNORED: "ignores more than 15 bytes at one end, or all bytes that it copies",
    OWN_CTA: "copies to the memory of its own CTA; the target must be in another CTA of the cluster",
    NO_TARGET: "has a mask that names no CTA",
    BAD_TARGET: "has a mask that names a CTA that the cluster does not have",
    SOURCE_GONE: "copies from the memory of its CTA, which has exited before the copy was done; let it wait for the "
    "cluster (barrier.cluster) before it exits",
}

OWN = RuntimeFunction("bulk_own", f"""
define internal i1 @bulk_own(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %inner, i64 %shown, i64 %size,
                             i64 %alignment) noinline {{
  ; Whether %size bytes at %inner lie aligned in a CTA's shared memory. %shown: %inner as a fault shows it.
entry:
  {slot("limit", at.SHARED_BYTES)}
  %inner.wide = zext i32 %inner to i64
  %end = add i64 %inner.wide, %size
  %past = icmp ugt i64 %end, %limit
  br i1 %past, label %out, label %in
out:
  %limit.whole = and i64 %limit, {-PIECE}          ; the first piece that lies outside
  %starts = icmp ult i64 %inner.wide, %limit.whole
  %less = sub i64 %limit.whole, %inner.wide
  %before = select i1 %starts, i64 %less, i64 0
  %first = add i64 %shown, %before
  br label %bad
in:
  %mask = sub i64 %alignment, 1
  %ragged = and i64 %inner.wide, %mask
  %odd = icmp ne i64 %ragged, 0
  br i1 %odd, label %misaligned, label %good
misaligned:
  %of.box = icmp eq i64 %alignment, {BOX_ALIGN}
  br i1 %of.box, label %box, label %bad
box:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site.misuse, i64 %lane, i64 {NEAR_ALIGNMENT})
  ret i1 false
bad:
  %kind = phi i64 [ {at.OUT_OF_BOUNDS}, %out ], [ {at.MISALIGNED}, %misaligned ]
  %where = phi i64 [ %first, %out ], [ %shown, %misaligned ]
  call void @fault(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %where)
  ret i1 false
good:
  ret i1 true
}}
""", (FAULT,))  # fmt: skip

NEAR = RuntimeFunction("bulk_near", """
define internal i1 @bulk_near(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %address, i32 %barrier, i32 %ctas,
                              i64 %size, i64 %alignment) noinline {
  ; Whether a copy may write %size bytes at %address of shared::cluster. Outside clusters that is the CTA's own memory;
  ; bulk_clusters.py replaces this function.
  %shown = zext i32 %address to i64
  %fine = call i1 @bulk_own(ptr %env, ptr %site, ptr %site.misuse, i64 %lane, i32 %address, i64 %shown, i64 %size,
                            i64 %alignment)
  ret i1 %fine
}
""", (OWN,))  # fmt: skip

OUTSIDE = RuntimeFunction("bulk_outside", f"""
define internal void @bulk_outside(ptr %env, ptr %site, i64 %lane, i64 %from, i64 %ends, i64 %unit) noinline {{
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
    from `first` up to `past`; or to `none` with %ends, as bulk_outside takes it."""
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


FAR = RuntimeFunction("bulk_far", f"""
define internal i64 @bulk_far(ptr %env, ptr %site, i64 %lane, i64 %from, i64 %past, i64 %unit) noinline {{
  ; The index of the buffer that has the global addresses from %from up to %past, or a fault and -1.
entry:
  {slot("buffers", at.BUFFERS, "ptr")}
  {slot("buffer.count", at.BUFFER_COUNT)}
  {find_buffer("entry", "%from", "%past")}
none:
  call void @bulk_outside(ptr %env, ptr %site, i64 %lane, i64 %from, i64 %ends, i64 %unit)
  ret i64 -1
found:
  ret i64 %i
}}
""", (OUTSIDE,))  # fmt: skip


TOLD = RuntimeFunction("bulk_told", """
define internal void @bulk_told(ptr %env, ptr %site.near, ptr %site.reach, ptr %site, i64 %lane, i32 %near,
                                i32 %barrier, i32 %ctas, i1 %own, i32 %size, i1 %fills) noinline {
  ; A copy is issued that will write or read shared memory of the CTA. In clusters bulk_clusters.py replaces this.
  call void @bytes_announced(ptr %env, ptr %site, i64 %lane, i32 %barrier, i32 %size)
  call void @box_issued(ptr %env, ptr %site.near, i64 %lane, i32 %near, i32 %size, i1 %fills)
  ret void
}
""", (NOTHING["box_issued"], NOTHING["bytes_announced"]))  # fmt: skip


def units_spanned(name: str, first: str, past: str, shift: int) -> str:
    """Lines that set %NAME: how many units of 2**shift bytes the addresses from `first` up to `past` lie in."""
    return f"""%{name}.end = sub i64 {past}, 1
  %{name}.last = lshr i64 %{name}.end, {shift}
  %{name}.first = lshr i64 {first}, {shift}
  %{name}.between = sub i64 %{name}.last, %{name}.first
  %{name} = add i64 %{name}.between, 1"""


CLOSE = """%near.end = add i64 %near.wide, %near.bytes
  %near.past = icmp ugt i64 %near.end, %limit
  %near.ragged = and i64 %near.wide, %near.low
  %near.odd = icmp ne i64 %near.ragged, 0
  %close.bad = or i1 %near.past, %near.odd"""
"""Lines that set %close.bad: a copy leaves the CTA's own memory, or is not aligned there. After `aligned`."""
TELL_CLOSE = """call i1 @bulk_own(ptr %env, ptr %site.near, ptr %site, i64 %number.wide, i32 %near, i64 %near.wide,
               i64 %near.bytes, i64 %near.alignment)"""
"""Lines that report this fault."""
REACH = f"""{CLOSE}
  br i1 %close.bad, label %near.tell, label %near.checked
near.tell:
  {TELL_CLOSE}
  br label %near.checked
near.of.cluster:
  %several.none = icmp eq i32 %ctas, 0
  %none.named = and i1 %several, %several.none
  br i1 %none.named, label %no.target, label %near.reach
no.target:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 {NO_TARGET})
  br label %near.checked
near.reach:
  %far.fine = call i1 @bulk_near(ptr %env, ptr %site.reach, ptr %site, i64 %number.wide, i32 %near, i32 %barrier,
                                 i32 %ctas, i64 %near.bytes, i64 %near.alignment)
  br label %near.checked
near.checked:
  %near.fine = phi i1 [ true, %near.of.cta ], [ false, %near.tell ], [ false, %no.target ],
                   [ %far.fine, %near.reach ]"""
"""Lines of an issue function after `near.of.cta`, for a copy that it checks there if %own, else at near.of.cluster.
They set %near.fine at near.checked."""


def aligned(alignment: int) -> str:
    """Lines for the entry of an issue function with CLOSE."""
    return f"""{slot("limit", at.SHARED_BYTES)}
  %near.alignment = add i64 0, {alignment}
  %near.low = sub i64 %near.alignment, 1"""


def targets(name: str) -> str:
    """Lines that set %NAME (i64): how many CTAs get the bytes of a copy."""
    return f"""%{name}.short = call i32 @llvm.ctpop.i32(i32 %ctas)
  %{name}.some = call i32 @llvm.umax.i32(i32 %{name}.short, i32 1)
  %{name} = zext i32 %{name}.some to i64"""


TARGETS = ("declare i32 @llvm.ctpop.i32(i32)", "declare i32 @llvm.umax.i32(i32, i32)")


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
