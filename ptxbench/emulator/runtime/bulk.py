"""Bulk asynchronous copies of consecutive bytes between global memory and shared memory.

A copy is checked and counted when it is issued; bulk_queue.py says when it is done.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.atomics import float_declarations, helpers, update
from ptxbench.emulator.runtime.bulk_checks import (
    BAD_IGNORED,
    CHECK_IN_CTA,
    CHECK_OFFSET,
    CHECK_SHARED,
    CHECK_TARGET,
    COUNT_DECLARATIONS,
    PIECE,
    REPORT_IN_CTA,
    REPORT_ISSUED,
    REPORT_OUTSIDE,
    aligned,
    count,
    count_targets,
    find_buffer,
    lists,
    units_spanned,
)
from ptxbench.emulator.runtime.bulk_queue import COMPLETE, GROUP, PUT, STORE_REST, store_field
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
    BULK_GLOBAL,
    BULK_LANE,
    BULK_MASK,
    BULK_MOVED,
    BULK_REDUCE,
    BULK_SHARED,
    BULK_SITE,
    SETTLE,
)
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.mbarriers import BAD_SIZE
from ptxbench.emulator.runtime.records import NO_RECORD
from ptxbench.emulator.runtime.watch import SILENT
from ptxbench.emulator.types import Type

ALL_BYTES = 0xFFFF
"""The mask of a copy to global memory that writes every byte."""
RIGHT_AT = 8
"""The bytes that a copy from global memory ignores, in one number: those at its start are in the bits below this one,
those at its end from this bit on."""
FILL = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
MOVE = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"


def reduce(operation: str, kind: Type) -> RuntimeFunction:
    """`bulk_OPERATION_TYPE(global, shared, bytes)`: update the elements in global memory with those of shared memory.

    The update is not atomic on the host: CTAs of such a kernel run one after the other (flow.order_reason).
    """
    t = f"i{kind.bits}"
    text = f"""
define internal void @bulk_{operation}_{kind}(ptr %global, ptr %shared, i32 %bytes) noinline {{
entry:
  %count = udiv i32 %bytes, {kind.bytes}
  br label %next
{loop("next", "i", "%count", "element", after="element", kind="i32")}
  %i.wide = zext i32 %i to i64
  %target = getelementptr {t}, ptr %global, i64 %i.wide
  %source = getelementptr {t}, ptr %shared, i64 %i.wide
  %old = load {t}, ptr %target
  %b = load {t}, ptr %source
  {update(operation, kind, ftz=kind.name == "f32")}
  store {t} %new, ptr %target
  %i.next = add i32 %i, 1
  br label %next
done:
  ret void
}}
"""
    return RuntimeFunction(f"bulk_{operation}_{kind}", text, helpers(operation, kind), float_declarations(kind))


MASKED = RuntimeFunction("copy_masked", """
define internal void @copy_masked(ptr %env, ptr %site, i64 %lane, ptr %to, ptr %from, i64 %global.address, i32 %bytes,
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
  %position = and i32 %i, 3
  %shift = shl i32 %position, 2
  %down = lshr i32 %mask, %shift
  %word.mask = trunc i32 %down to i4
  %bits = bitcast i4 %word.mask to <4 x i1>
  %i.wide = zext i32 %i to i64
  %to.word = getelementptr <4 x i8>, ptr %to, i64 %i.wide
  %from.word = getelementptr <4 x i8>, ptr %from, i64 %i.wide
  %new = load <4 x i8>, ptr %from.word
  %whole = icmp eq i4 %word.mask, -1
  br i1 %whole, label %report, label %write
report:
  %offset = shl i64 %i.wide, 2
  %address = add i64 %global.address, %offset
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
""", (SILENT["row_stored"],), ("declare void @llvm.masked.store.v4i8.p0(<4 x i8>, ptr, i32, <4 x i1>)",))  # fmt: skip
"""The sanitizer sees whole words only: it does not know bytes."""

IGNORED = f"""%left = and i32 %extra, {(1 << RIGHT_AT) - 1}
  %right = lshr i32 %extra, {RIGHT_AT}
  %left.wide = zext i32 %left to i64
  %right.wide = zext i32 %right to i64"""
"""Lines that split what a load ignores."""

COPY = RuntimeFunction("copy_plain", f"""
define internal void @copy_plain(ptr %env, ptr %item) noinline {{
entry:
  {slot("shared.base", at.SHARED)}
  {slot("delta", at.DELTA)}
  {field("item", "moved", BULK_MOVED)}
  {field("item", "shared.address", BULK_SHARED)}
  {field("item", "global.address", BULK_GLOBAL, "i64")}
  {field("item", "barrier", BULK_BARRIER)}
  {field("item", "extra", BULK_MASK)}
  {field("item", "site", BULK_SITE, "ptr")}
  {field("item", "lane", BULK_LANE)}
  %lane.wide = zext i32 %lane to i64
  %moved.wide = zext i32 %moved to i64
  %shared.wide = zext i32 %shared.address to i64
  %shared.host = add i64 %shared.base, %shared.wide
  %shared.ptr = inttoptr i64 %shared.host to ptr
  %global.host = add i64 %global.address, %delta
  %global.ptr = inttoptr i64 %global.host to ptr
  %to.global = icmp eq i32 %barrier, {GROUP}
  br i1 %to.global, label %out, label %in
out:
  {field("item", "reduce", BULK_REDUCE, "ptr")}
  call void @box_taken(ptr %env, ptr %site, i64 %lane.wide, i32 %shared.address, i32 %moved)
  %reduces = icmp ne ptr %reduce, null
  br i1 %reduces, label %combine, label %plain
combine:
  call void @row_stored(ptr %env, ptr %site, i64 %lane.wide, i64 %global.address, i64 %moved.wide, i1 true, ptr null)
  call void %reduce(ptr %global.ptr, ptr %shared.ptr, i32 %moved)
  ret void
plain:
  %all = icmp eq i32 %extra, {ALL_BYTES}
  br i1 %all, label %replace, label %masked
replace:
  call void @row_stored(ptr %env, ptr %site, i64 %lane.wide, i64 %global.address, i64 %moved.wide, i1 false,
                        ptr %shared.ptr)
  call void @llvm.memcpy.p0.p0.i64(ptr %global.ptr, ptr %shared.ptr, i64 %moved.wide, i1 false)
  ret void
masked:
  call void @copy_masked(ptr %env, ptr %site, i64 %lane.wide, ptr %global.ptr, ptr %shared.ptr, i64 %global.address,
                         i32 %moved, i32 %extra)
  ret void
in:
  call void @settle_copy(ptr %env, i32 %shared.address, i32 %moved)
  %ignores = icmp ne i32 %extra, 0
  br i1 %ignores, label %part, label %fill
fill:
  call void @llvm.memcpy.p0.p0.i64(ptr %shared.ptr, ptr %global.ptr, i64 %moved.wide, i1 false)
  br label %complete
part:
  {IGNORED}
  call void @llvm.memset.p0.i64(ptr %shared.ptr, i8 {POISON - 256}, i64 %moved.wide, i1 false)
  %shared.from = getelementptr i8, ptr %shared.ptr, i64 %left.wide
  %global.from = getelementptr i8, ptr %global.ptr, i64 %left.wide
  %both = add i64 %left.wide, %right.wide
  %taken = call i64 @llvm.usub.sat.i64(i64 %moved.wide, i64 %both)
  call void @llvm.memcpy.p0.p0.i64(ptr %shared.from, ptr %global.from, i64 %taken, i1 false)
  br label %complete
complete:
  call void @complete_bulk(ptr %env, ptr %item)
  ret void
}}
""", (SETTLE, COMPLETE, MASKED, SILENT["box_taken"], SILENT["row_stored"]),
    (MOVE, FILL, "declare i64 @llvm.usub.sat.i64(i64, i64)"))  # fmt: skip


def summed(name: str, amount: str) -> str:
    """Lines that add `amount` to the sum %NAME over the lanes."""
    return f"%{name}.more = add i64 %{name}, {amount}"


WHOLE_START = f"""%ctas = add i32 0, 0
  %extra = select i1 %loads, i32 0, i32 {ALL_BYTES}
  %global.bytes = add i64 %shared.bytes, 0
  %global.from = add i64 %global.address, 0"""
WHOLE_CHECKS = f"""{CHECK_IN_CTA}
  br i1 %shared.bad, label %report.in.cta, label %global.check
report.in.cta:
  {REPORT_IN_CTA}
  br label %put"""
WHOLE_SUMS = summed("passes", "%passes.per.cta")
PART_START = f"""{IGNORED}
  %both = add i64 %left.wide, %right.wide
  %ignored = select i1 %loads, i64 %both, i64 0
  %skipped = select i1 %loads, i64 %left.wide, i64 0
  %global.bytes = sub i64 %shared.bytes, %ignored
  %global.from = add i64 %global.address, %skipped"""
PART_CHECKS = f"""%left.much = icmp ugt i32 %left, {PIECE - 1}
  %right.much = icmp ugt i32 %right, {PIECE - 1}
  %much = or i1 %left.much, %right.much
  %none.left = icmp uge i64 %both, %shared.bytes
  %wrong.ends = or i1 %much, %none.left
  %ends.bad = and i1 %wrong.ends, %loads
  br i1 %ends.bad, label %report.ends, label %shared.check
report.ends:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 {BAD_IGNORED})
  br label %put
shared.check:
  br i1 %in.cta, label %check.in.cta, label %check.in.cluster
check.in.cta:
  {CHECK_SHARED}
  br i1 %shared.fine, label %global.check, label %put"""
PART_SUMS = f"""{count_targets("cta.count")}
  %copy.arrived = mul i64 %copy.pieces, %cta.count
  {summed("arrived", "%copy.arrived")}
  %copy.spread = mul i64 %copy.sectors, %cta.count
  {summed("spread", "%copy.spread")}
  %copy.passes = mul i64 %passes.per.cta, %cta.count
  {summed("passes", "%copy.passes")}
  %written = call i32 @llvm.ctpop.i32(i32 %extra)
  %written.wide = zext i32 %written to i64
  %unwritten = sub i64 {PIECE}, %written.wide
  %masked.out = mul i64 %unwritten, %copy.pieces
  %copy.unused = select i1 %loads, i64 %ignored, i64 %masked.out
  {summed("unused", "%copy.unused")}"""

MULTICAST = f"""%multicast = select i1 %several, i64 %spread, i64 0
  {count("site", at.WORK, "%multicast")}"""
REFUSED = "size.bad", "size.good", "none", "global.bad"


def issue(parts: bool) -> RuntimeFunction:
    """`issue_bulk`, and for the copies that need it `issue_bulk_parts`.

    issue_bulk is for whole copies of a CTA outside clusters. Most copies are of this kind, and in code without
    optimisation each line takes time.
    """
    vectors = [
        ("shared.address", "i32", "%shared.addresses"),
        ("global.address", "i64", "%global.addresses"),
        ("size", "i32", "%sizes"),
        ("barrier", "i32", "%barriers"),
    ]
    sums = ["pieces", "sectors", "lines", "passes"]
    if parts:
        vectors += [("ctas", "i32", "%masks"), ("extra", "i32", "%extras")]
        sums += ["arrived", "unused", "spread"]
    name, more = "issue_bulk", ""
    if parts:
        name, more = "issue_bulk_parts", f", ptr %site.fault, i1 %in.cta, i1 %several, {V32} %masks, {V32} %extras"
    fault_site, in_cta = ("%site.fault", "%in.cta") if parts else ("%site.shared", "true")
    zero = "\n  ".join(f"%{total} = phi i64 [ 0, %entry ], [ %{total}.new, %lane.done ]" for total in sums)
    new = "\n  ".join(f"%{total}.new = phi i64 [ %{total}, %put ], [ %{total}.more, %measured ]" for total in sums)
    lanes = "\n  ".join(lane_of(vector_name, kind) for vector_name, kind, _ in vectors)
    refused = ["report.ends", "shared.checked"] if parts else ["report.in.cta"]
    return RuntimeFunction(name, f"""
define internal void @{name}({V32} %shared.addresses, {V64} %global.addresses, {V32} %sizes, {V32} %barriers,
                             i32 %asked, ptr %env, ptr %site.shared, ptr %site.global, ptr %site, ptr %reduce,
                             i64 %elements{more}) noinline {{
  ; One copy per lane between shared memory and global memory, each checked separately.
  ; %in.cta: the addresses are offsets in the CTA's own memory; else they are of shared::cluster, and faults are at
  ; %site.fault. %several: %masks are the CTAs that get the bytes. %extras: of a load, what it ignores; of a store, the
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
  %loads = icmp ne i32 %barrier, {GROUP}
  %shared.bytes = zext i32 %size to i64
  %shared.wide = zext i32 %shared.address to i64
  {PART_START if parts else WHOLE_START}
  %global.past = add i64 %global.from, %global.bytes
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
global.check:
  {find_buffer("global.check", "%global.from", "%global.past")}
none:
  %by.piece = icmp eq i64 %global.bytes, %shared.bytes
  %unit = select i1 %by.piece, i64 {PIECE}, i64 1
  call void @bulk_report_outside(ptr %env, ptr %site.global, i64 %number.wide, i64 %global.from, i64 %ends, i64 %unit)
  br label %put
found:
  %global.ragged = and i64 %global.address, {PIECE - 1}
  %global.odd = icmp ne i64 %global.ragged, 0
  br i1 %global.odd, label %global.bad, label %global.good
global.bad:
  call void @fault(ptr %env, i64 {at.MISALIGNED}, ptr %site.global, i64 %number.wide, i64 %global.address)
  br label %put
global.good:
  call void @record_bulk(ptr %env, ptr %site.global, i64 %global.from, i64 %global.bytes, i64 %i, i1 %loads)
  br label %put
put:
  %moved = phi i32 [ %size, %global.good ], {", ".join(f"[ 0, %{block} ]" for block in (*REFUSED, *refused))}
  %function = getelementptr i8, ptr @copy_plain, i64 0
  %report.site = select i1 {in_cta}, ptr %site, ptr {fault_site}
  %transaction = add i32 %size, 0
  %item = call ptr @put_bulk(ptr %env, i64 %number.wide, i32 %shared.address, i32 %barrier, i32 %ctas)
  {STORE_REST}
  {store_field("extra", "i32", BULK_MASK)}
  %some = icmp ne i32 %moved, 0
  br i1 %some, label %measure, label %lane.done
measure:
  call void @bulk_report_issued(ptr %env, ptr %site.shared, ptr {fault_site}, ptr %site, i64 %number.wide,
                                i32 %shared.address, i32 %barrier, i32 %ctas, i1 {in_cta}, i32 %moved, i1 %loads)
  br i1 %loads, label %loaded, label %measured
loaded:
  call void @row_loaded(ptr %env, ptr %site.global, i64 %number.wide, i64 %global.from, i64 %global.bytes)
  br label %measured
measured:
  %copy.pieces = lshr i64 %shared.bytes, 4
  {summed("pieces", "%copy.pieces")}
  {units_spanned("copy.sectors", "%global.from", "%global.past", 5)}
  {summed("sectors", "%copy.sectors")}
  {units_spanned("copy.lines", "%global.from", "%global.past", 7)}
  {summed("lines", "%copy.lines")}
  %size.up = add i64 %shared.bytes, 127
  %passes.per.cta = lshr i64 %size.up, 7
  {PART_SUMS if parts else WHOLE_SUMS}
  br label %lane.done
lane.done:
  {new}
  br label %next
done:
  %updates = icmp ne ptr %reduce, null
  %updated = mul i64 %pieces, %elements
  %global.active = select i1 %updates, i64 %updated, i64 %pieces
  %global.work = select i1 %updates, i64 1, i64 %sectors             ; the elements of a copy do not overlap
  %global.extra = select i1 %updates, i64 %sectors, i64 {"%unused" if parts else "0"}
  {count("site", at.REQUESTS, "1")}
  {count("site", at.ACTIVE, "%pieces")}
  {MULTICAST if parts else ""}
  {count("site.global", at.REQUESTS, "1")}
  {count("site.global", at.ACTIVE, "%global.active")}
  {count("site.global", at.WORK, "%global.work")}
  {count("site.global", at.EXTRA, "%global.extra")}
  {count("site.global", at.LINES, "%lines")}
  {count("site.shared", at.REQUESTS, "1")}
  {count("site.shared", at.ACTIVE, "%arrived" if parts else "%pieces")}
  {count("site.shared", at.WORK, "%passes")}
  br label %return
return:
  ret void
}}
""", (PUT, *((CHECK_TARGET,) if parts else ()), CHECK_OFFSET, REPORT_OUTSIDE, COPY, REPORT_ISSUED,
      SILENT["row_loaded"], NO_RECORD, FAULT),
    (CTTZ, *(COUNT_DECLARATIONS if parts else ())))  # fmt: skip


ISSUE, ISSUE_PARTS = issue(parts=False), issue(parts=True)
