"""Counts a warp's trips in each loop, in the bins of layout.py.

Each warp has an i64 for each loop, among its registers from TRIPS_AT on: the trips of the current entry, or 0.
"""

from __future__ import annotations

from ptxbench.emulator.layout import BINS, EXACT_TRIPS, RESIDUES
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import RuntimeFunction, slot

CLOSE_ENTRY = RuntimeFunction(
    "close_entry",
    f"""
define internal void @close_entry(ptr %registers, ptr %env, i64 %loop, i32 %lanes) noinline {{
  ; If %lanes has any lane, the warp's last entry into the loop has ended.
entry:
  {slot("trips.first", at.TRIPS_AT)}
  %all = getelementptr i8, ptr %registers, i64 %trips.first
  %trips.at = getelementptr i64, ptr %all, i64 %loop
  %trips = load i64, ptr %trips.at
  %outside = icmp eq i64 %trips, 0
  %no.lane = icmp eq i32 %lanes, 0
  %none = or i1 %outside, %no.lane
  br i1 %none, label %done, label %some
some:
  store i64 0, ptr %trips.at
  {slot("bins.all", at.TRIPS, "ptr")}
  %bins.offset = mul i64 %loop, {8 * BINS}
  %bins = getelementptr i8, ptr %bins.all, i64 %bins.offset
  %few = icmp ult i64 %trips, {EXACT_TRIPS}
  %residue = and i64 %trips, {RESIDUES - 1}
  %pair = shl i64 %residue, 1
  %bin.many = add i64 %pair, {EXACT_TRIPS}
  %bin = select i1 %few, i64 %trips, i64 %bin.many
  %count.at = getelementptr i64, ptr %bins, i64 %bin
  %count = load i64, ptr %count.at
  %count.more = add i64 %count, 1
  store i64 %count.more, ptr %count.at
  br i1 %few, label %done, label %many
many:
  %sum.at = getelementptr i64, ptr %count.at, i64 1
  %sum = load i64, ptr %sum.at
  %sum.more = add i64 %sum, %trips
  store i64 %sum.more, ptr %sum.at
  br label %done
done:
  ret void
}}
""",
)
CLOSE_ALL = RuntimeFunction(
    "close_all",
    f"""
define internal void @close_all(ptr %env) {{
  ; The current CTA has ended, and so have the loop entries of its warps.
entry:
  {slot("loops", at.LOOPS)}
  {slot("warp.count", at.WARP_COUNT)}
  {slot("registers", at.REGISTERS, "ptr")}
  {slot("register.bytes", at.REGISTER_BYTES)}
  %none = icmp eq i64 %loops, 0
  br i1 %none, label %done, label %warp
warp:
  %w = phi i64 [ 0, %entry ], [ %w.next, %next ]
  %over = icmp uge i64 %w, %warp.count
  br i1 %over, label %done, label %of.warp
of.warp:
  %offset = mul i64 %w, %register.bytes
  %warp.registers = getelementptr i8, ptr %registers, i64 %offset
  br label %loop
loop:
  %l = phi i64 [ 0, %of.warp ], [ %l.next, %loop ]
  call void @close_entry(ptr %warp.registers, ptr %env, i64 %l, i32 -1)
  %l.next = add i64 %l, 1
  %more = icmp ult i64 %l.next, %loops
  br i1 %more, label %loop, label %next
next:
  %w.next = add i64 %w, 1
  br label %warp
done:
  ret void
}}
""",
    (CLOSE_ENTRY,),
)
