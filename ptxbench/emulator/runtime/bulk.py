"""Bulk asynchronous copies of consecutive bytes between global memory and shared memory.

A copy is checked and counted when it is issued; bulk_queue.py says when it is done.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.atomics import float_declarations, helpers, update
from ptxbench.emulator.runtime.bulk_checks import (
    BAD_IGNORED,
    CLOSE,
    NEAR,
    OUTSIDE,
    OWN,
    PIECE,
    REACH,
    TARGETS,
    TELL_CLOSE,
    TOLD,
    aligned,
    count,
    find_buffer,
    lists,
    targets,
    units_spanned,
)
from ptxbench.emulator.runtime.bulk_queue import COMPLETE, GROUP, PUT, WHAT, keep
from ptxbench.emulator.runtime.context import (
    CTTZ,
    NEXT_LANE,
    POISON,
    V32,
    V64,
    RuntimeFunction,
    field,
    lane_of,
    loop,
    slot,
)
from ptxbench.emulator.runtime.copies import (
    BULK_BARRIER,
    BULK_FAR,
    BULK_LANE,
    BULK_MASK,
    BULK_MOVED,
    BULK_NEAR,
    BULK_REDUCE,
    BULK_SITE,
    SETTLE,
)
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.mbarriers import BAD_SIZE
from ptxbench.emulator.runtime.records import NO_RECORD
from ptxbench.emulator.runtime.watch import NOTHING
from ptxbench.emulator.types import Type

ALL_BYTES = 0xFFFF
"""The mask of a copy to global memory that writes every byte."""
RIGHT_AT = 8
"""The bytes that a copy from global memory ignores, in one number: those at its start are in the bits below this one,
those at its end from this bit on."""
FILL = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
MOVE = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"


def reduce(operation: str, kind: Type) -> RuntimeFunction:
    """`bulk_OPERATION_TYPE(far, near, bytes)`: update the elements at the target (far) with those of shared memory.

    The update is not atomic on the host: CTAs of such a kernel run one after the other (flow.order_reason).
    """
    t = f"i{kind.bits}"
    text = f"""
define internal void @bulk_{operation}_{kind}(ptr %far, ptr %near, i32 %bytes) noinline {{
entry:
  %count = udiv i32 %bytes, {kind.bytes}
  br label %next
{loop("next", "i", "%count", "element", after="element", kind="i32")}
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


MASKED = RuntimeFunction("copy_masked", """
define internal void @copy_masked(ptr %env, ptr %site, i64 %lane, ptr %to, ptr %from, i64 %far, i32 %bytes,
                                  i32 %mask) noinline {
  ; Copy the bytes whose bit in %mask is set: bit k stands for byte k of each 16.
entry:
  %words = lshr i32 %bytes, 2
  br label %next
next:
  %i = phi i32 [ 0, %entry ], [ %i.next, %done ]
  %over = icmp eq i32 %i, %words
  br i1 %over, label %end, label %word
word:
  %place = and i32 %i, 3
  %shift = shl i32 %place, 2
  %down = lshr i32 %mask, %shift
  %four = trunc i32 %down to i4
  %bits = bitcast i4 %four to <4 x i1>
  %i.wide = zext i32 %i to i64
  %to.word = getelementptr <4 x i8>, ptr %to, i64 %i.wide
  %from.word = getelementptr <4 x i8>, ptr %from, i64 %i.wide
  %new = load <4 x i8>, ptr %from.word
  %whole = icmp eq i4 %four, -1
  br i1 %whole, label %tell, label %write
tell:
  %offset = shl i64 %i.wide, 2
  %address = add i64 %far, %offset
  call void @row_stored(ptr %env, ptr %site, i64 %lane, i64 %address, i64 4, i1 false, ptr %from.word)
  br label %write
write:
  call void @llvm.masked.store.v4i8.p0(<4 x i8> %new, ptr %to.word, i32 4, <4 x i1> %bits)
  br label %done
done:
  %i.next = add i32 %i, 1
  br label %next
end:
  ret void
}
""", (NOTHING["row_stored"],), ("declare void @llvm.masked.store.v4i8.p0(<4 x i8>, ptr, i32, <4 x i1>)",))  # fmt: skip
"""The sanitizer sees whole words only: it does not know bytes."""

IGNORED = f"""%left = and i32 %extra, {(1 << RIGHT_AT) - 1}
  %right = lshr i32 %extra, {RIGHT_AT}
  %left.wide = zext i32 %left to i64
  %right.wide = zext i32 %right to i64"""
"""Lines that split what a load ignores."""

DO = RuntimeFunction("do_plain", f"""
define internal void @do_plain(ptr %env, ptr %item) noinline {{
entry:
  {slot("shared", at.SHARED)}
  {slot("delta", at.DELTA)}
  {field("item", "moved", BULK_MOVED)}
  {field("item", "near", BULK_NEAR)}
  {field("item", "far", BULK_FAR, "i64")}
  {field("item", "barrier", BULK_BARRIER)}
  {field("item", "extra", BULK_MASK)}
  {field("item", "site", BULK_SITE, "ptr")}
  {field("item", "lane", BULK_LANE)}
  %lane.wide = zext i32 %lane to i64
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
  call void @box_taken(ptr %env, ptr %site, i64 %lane.wide, i32 %near, i32 %moved)
  %reduces = icmp ne ptr %reduce, null
  br i1 %reduces, label %combine, label %plain
combine:
  call void @row_stored(ptr %env, ptr %site, i64 %lane.wide, i64 %far, i64 %moved.wide, i1 true, ptr null)
  call void %reduce(ptr %far.ptr, ptr %near.ptr, i32 %moved)
  ret void
plain:
  %all = icmp eq i32 %extra, {ALL_BYTES}
  br i1 %all, label %replace, label %masked
replace:
  call void @row_stored(ptr %env, ptr %site, i64 %lane.wide, i64 %far, i64 %moved.wide, i1 false, ptr %near.ptr)
  call void @llvm.memcpy.p0.p0.i64(ptr %far.ptr, ptr %near.ptr, i64 %moved.wide, i1 false)
  ret void
masked:
  call void @copy_masked(ptr %env, ptr %site, i64 %lane.wide, ptr %far.ptr, ptr %near.ptr, i64 %far, i32 %moved,
                         i32 %extra)
  ret void
in:
  call void @settle_copy(ptr %env, i32 %near, i32 %moved)
  %ignores = icmp ne i32 %extra, 0
  br i1 %ignores, label %part, label %fill
fill:
  call void @llvm.memcpy.p0.p0.i64(ptr %near.ptr, ptr %far.ptr, i64 %moved.wide, i1 false)
  br label %complete
part:
  {IGNORED}
  call void @llvm.memset.p0.i64(ptr %near.ptr, i8 {POISON - 256}, i64 %moved.wide, i1 false)
  %near.from = getelementptr i8, ptr %near.ptr, i64 %left.wide
  %far.from = getelementptr i8, ptr %far.ptr, i64 %left.wide
  %both = add i64 %left.wide, %right.wide
  %taken = call i64 @llvm.usub.sat.i64(i64 %moved.wide, i64 %both)
  call void @llvm.memcpy.p0.p0.i64(ptr %near.from, ptr %far.from, i64 %taken, i1 false)
  br label %complete
complete:
  call void @complete_bulk(ptr %env, ptr %item)
  ret void
}}
""", (SETTLE, COMPLETE, MASKED, NOTHING["box_taken"], NOTHING["row_stored"]),
    (MOVE, FILL, "declare i64 @llvm.usub.sat.i64(i64, i64)"))  # fmt: skip


def summed(name: str, amount: str) -> str:
    """Lines that add `amount` to the sum %NAME over the lanes."""
    return f"%{name}.more = add i64 %{name}, {amount}"


WHOLE_START = f"""%ctas = add i32 0, 0
  %extra = select i1 %enters, i32 0, i32 {ALL_BYTES}
  %far.bytes = add i64 %near.bytes, 0
  %far.from = add i64 %far, 0"""
WHOLE_CHECKS = f"""{CLOSE}
  br i1 %close.bad, label %near.tell, label %far.check
near.tell:
  {TELL_CLOSE}
  br label %put"""
WHOLE_SUMS = summed("passes", "%one.passes")
PART_START = f"""{IGNORED}
  %both = add i64 %left.wide, %right.wide
  %ignored = select i1 %enters, i64 %both, i64 0
  %skipped = select i1 %enters, i64 %left.wide, i64 0
  %far.bytes = sub i64 %near.bytes, %ignored
  %far.from = add i64 %far, %skipped"""
PART_CHECKS = f"""%left.much = icmp ugt i32 %left, {PIECE - 1}
  %right.much = icmp ugt i32 %right, {PIECE - 1}
  %much = or i1 %left.much, %right.much
  %none.left = icmp uge i64 %both, %near.bytes
  %wrong.ends = or i1 %much, %none.left
  %ends.bad = and i1 %wrong.ends, %enters
  br i1 %ends.bad, label %ends.tell, label %near.check
ends.tell:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 {BAD_IGNORED})
  br label %put
near.check:
  br i1 %own, label %near.of.cta, label %near.of.cluster
near.of.cta:
  {REACH}
  br i1 %near.fine, label %far.check, label %put"""
PART_SUMS = f"""{targets("places")}
  %its.arrived = mul i64 %its.pieces, %places
  {summed("arrived", "%its.arrived")}
  %its.spread = mul i64 %its.sectors, %places
  {summed("spread", "%its.spread")}
  %its.passes = mul i64 %one.passes, %places
  {summed("passes", "%its.passes")}
  %written = call i32 @llvm.ctpop.i32(i32 %extra)
  %written.wide = zext i32 %written to i64
  %unwritten = sub i64 {PIECE}, %written.wide
  %masked.out = mul i64 %unwritten, %its.pieces
  %its.unused = select i1 %enters, i64 %ignored, i64 %masked.out
  {summed("unused", "%its.unused")}"""

MULTICAST = f"""%multicast = select i1 %several, i64 %spread, i64 0
  {count("site", at.WORK, "%multicast")}"""
REFUSED = "size.bad", "size.good", "none", "far.bad"


def issue(parts: bool) -> RuntimeFunction:
    """`issue_bulk`, and for the copies that need it `issue_bulk_parts`.

    issue_bulk is for whole copies of a CTA outside clusters. Most copies are of this kind, and in code without
    optimisation each line takes time.
    """
    vectors = [("near", "i32", "%nears"), ("far", "i64", "%fars"), ("size", "i32", "%sizes"),
               ("barrier", "i32", "%barriers")]  # fmt: skip
    sums = ["pieces", "sectors", "lines", "passes"]
    if parts:
        vectors += [("ctas", "i32", "%masks"), ("extra", "i32", "%extras")]
        sums += ["arrived", "unused", "spread"]
    name, more = "issue_bulk", ""
    if parts:
        name, more = "issue_bulk_parts", f", ptr %site.reach, i1 %own, i1 %several, {V32} %masks, {V32} %extras"
    reach, own = ("%site.reach", "%own") if parts else ("%site.near", "true")
    zero = "\n  ".join(f"%{total} = phi i64 [ 0, %entry ], [ %{total}.new, %lane.done ]" for total in sums)
    new = "\n  ".join(f"%{total}.new = phi i64 [ %{total}, %put ], [ %{total}.more, %measured ]" for total in sums)
    lanes = "\n  ".join(lane_of(vector_name, kind) for vector_name, kind, _ in vectors)
    refused = ["ends.tell", "near.checked"] if parts else ["near.tell"]
    return RuntimeFunction(name, f"""
define internal void @{name}({V32} %nears, {V64} %fars, {V32} %sizes, {V32} %barriers, i32 %asked, ptr %env,
                             ptr %site.near, ptr %site.far, ptr %site, ptr %reduce, i64 %elements{more}) noinline {{
  ; One copy per lane between shared memory (near) and global memory (far), each checked separately.
  ; %own: the addresses are offsets in the CTA's own memory; else they are of shared::cluster, and faults are at
  ; %site.reach. %several: %masks are the CTAs that get the bytes. %extras: of a load, what it ignores; of a store, the
  ; bytes of each 16 that it writes. %reduce: what updates global memory, {PIECE} bytes of it as %elements elements;
  ; null where bytes are replaced.
entry:
  {lists(*vectors)}
  {aligned(PIECE)}
  {slot("buffers", at.BUFFERS, "ptr")}
  {slot("buffer.count", at.BUFFER_COUNT)}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %return, label %next
next:
  %rest = phi i32 [ %asked, %entry ], [ %rest.less, %lane.done ]
  {zero}
{NEXT_LANE}
  {lanes}
  %enters = icmp ne i32 %barrier, {GROUP}
  %near.bytes = zext i32 %size to i64
  %near.wide = zext i32 %near to i64
  {PART_START if parts else WHOLE_START}
  %far.past = add i64 %far.from, %far.bytes
  %size.ragged = and i32 %size, {PIECE - 1}
  %size.odd = icmp ne i32 %size.ragged, 0
  br i1 %size.odd, label %size.bad, label %size.good
size.bad:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 {BAD_SIZE})
  br label %put
size.good:
  %nothing = icmp eq i32 %size, 0
  br i1 %nothing, label %put, label %check
check:
  {PART_CHECKS if parts else WHOLE_CHECKS}
far.check:
  {find_buffer("far.check", "%far.from", "%far.past")}
none:
  %by.piece = icmp eq i64 %far.bytes, %near.bytes
  %unit = select i1 %by.piece, i64 {PIECE}, i64 1
  call void @bulk_outside(ptr %env, ptr %site.far, i64 %number.wide, i64 %far.from, i64 %ends, i64 %unit)
  br label %put
found:
  %far.ragged = and i64 %far, {PIECE - 1}
  %far.odd = icmp ne i64 %far.ragged, 0
  br i1 %far.odd, label %far.bad, label %far.good
far.bad:
  call void @fault(ptr %env, i64 {at.MISALIGNED}, ptr %site.far, i64 %number.wide, i64 %far)
  br label %put
far.good:
  call void @record_bulk(ptr %env, ptr %site.far, i64 %far.from, i64 %far.bytes, i64 %i, i1 %enters)
  br label %put
put:
  %moved = phi i32 [ %size, %far.good ], {", ".join(f"[ 0, %{block} ]" for block in (*REFUSED, *refused))}
  %do = getelementptr i8, ptr @do_plain, i64 0
  %site.kept = select i1 {own}, ptr %site, ptr {reach}
  %transaction = add i32 %size, 0
  %item = call ptr @put_bulk(ptr %env, i64 %number.wide, i32 %near, i32 %barrier, i32 %ctas)
  {WHAT}
  {keep("extra", "i32", BULK_MASK)}
  %some = icmp ne i32 %moved, 0
  br i1 %some, label %measure, label %lane.done
measure:
  call void @bulk_told(ptr %env, ptr %site.near, ptr {reach}, ptr %site, i64 %number.wide, i32 %near,
                       i32 %barrier, i32 %ctas, i1 {own}, i32 %moved, i1 %enters)
  br i1 %enters, label %loaded, label %measured
loaded:
  call void @row_loaded(ptr %env, ptr %site.far, i64 %number.wide, i64 %far.from, i64 %far.bytes)
  br label %measured
measured:
  %its.pieces = lshr i64 %near.bytes, 4
  {summed("pieces", "%its.pieces")}
  {units_spanned("its.sectors", "%far.from", "%far.past", 5)}
  {summed("sectors", "%its.sectors")}
  {units_spanned("its.lines", "%far.from", "%far.past", 7)}
  {summed("lines", "%its.lines")}
  %size.up = add i64 %near.bytes, 127
  %one.passes = lshr i64 %size.up, 7
  {PART_SUMS if parts else WHOLE_SUMS}
  br label %lane.done
lane.done:
  {new}
  br label %next
done:
  %updates = icmp ne ptr %reduce, null
  %updated = mul i64 %pieces, %elements
  %far.active = select i1 %updates, i64 %updated, i64 %pieces
  %far.work = select i1 %updates, i64 1, i64 %sectors             ; the elements of a copy do not overlap
  %far.extra = select i1 %updates, i64 %sectors, i64 {"%unused" if parts else "0"}
  {count("site", at.REQUESTS, "1")}
  {count("site", at.ACTIVE, "%pieces")}
  {MULTICAST if parts else ""}
  {count("site.far", at.REQUESTS, "1")}
  {count("site.far", at.ACTIVE, "%far.active")}
  {count("site.far", at.WORK, "%far.work")}
  {count("site.far", at.EXTRA, "%far.extra")}
  {count("site.far", at.LINES, "%lines")}
  {count("site.near", at.REQUESTS, "1")}
  {count("site.near", at.ACTIVE, "%arrived" if parts else "%pieces")}
  {count("site.near", at.WORK, "%passes")}
  br label %return
return:
  ret void
}}
""", (PUT, *((NEAR,) if parts else ()), OWN, OUTSIDE, DO, TOLD, NOTHING["row_loaded"], NO_RECORD, FAULT),
    (CTTZ, *(TARGETS if parts else ())))  # fmt: skip


ISSUE, ISSUE_PARTS = issue(parts=False), issue(parts=True)
