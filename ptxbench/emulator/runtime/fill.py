"""st.bulk: fills shared memory with zeros, at once. Each lane fills bytes of its own, in units of 8."""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.bulk_checks import CHECK_OFFSET, count, lists
from ptxbench.emulator.runtime.context import CTTZ, NEXT_LANE, V32, V64, RuntimeFunction, lane_of, splat
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.types import LANES

UNIT, MOST_BYTES = 8, 1 << 24
BAD_FILL = 86
"""The reason for MISUSED."""
COMPLAINTS = {BAD_FILL: f"fills a number of bytes that is not a multiple of {UNIT}, or more than {MOST_BYTES:,}"}


def fill(watch: str) -> RuntimeFunction:
    """`fill_shared(addresses, sizes, mask, env, site)`: each lane stores zeros to its bytes.

    `watch`: the function that watches a store of UNIT bytes, or "" for a kernel that is not sanitized.
    """
    arguments = f"({V32} %units, i32 %lanes, ptr %env, ptr %site, {V64} zeroinitializer)"
    watched = f"\n  call void @{watch}{arguments}" if watch else ""
    text = f"""
define internal void @fill_shared({V32} %a, {V32} %sizes, i32 %asked, ptr %env, ptr %site) noinline {{
entry:
  {lists(("shared.address", "i32", "%a"), ("size", "i32", "%sizes"))}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %return, label %next
next:
  %rest = phi i32 [ %asked, %entry ], [ %rest.less, %skip ]
  %good = phi i32 [ 0, %entry ], [ %good.new, %skip ]
  %units.all = phi i64 [ 0, %entry ], [ %units.new, %skip ]
  %passes = phi i64 [ 0, %entry ], [ %passes.new, %skip ]
{NEXT_LANE}
  {lane_of("shared.address", "i32")}
  {lane_of("size", "i32")}
  %size.wide = zext i32 %size to i64
  %shared.wide = zext i32 %shared.address to i64
  %ragged = and i32 %size, {UNIT - 1}
  %odd = icmp ne i32 %ragged, 0
  %much = icmp ugt i32 %size, {MOST_BYTES}
  %wrong = or i1 %odd, %much
  br i1 %wrong, label %bad, label %look
bad:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 {BAD_FILL})
  br label %skip
look:
  %nothing = icmp eq i32 %size, 0
  br i1 %nothing, label %skip, label %check
check:
  %fine = call i1 @bulk_check_offset(ptr %env, ptr %site, ptr %site, i64 %number.wide, i32 %shared.address,
                                     i64 %shared.wide, i64 %size.wide, i64 {UNIT})
  br i1 %fine, label %take, label %skip
take:
  br label %skip
skip:
  %used = phi i64 [ 0, %bad ], [ 0, %look ], [ 0, %check ], [ %size.wide, %take ]
  %lane.bit = phi i32 [ 0, %bad ], [ 0, %look ], [ 0, %check ], [ %bit, %take ]
  %good.new = or i32 %good, %lane.bit
  %lane.units = lshr i64 %used, {UNIT.bit_length() - 1}
  %units.new = add i64 %units.all, %lane.units
  %used.up = add i64 %used, 127
  %lane.passes = lshr i64 %used.up, 7
  %passes.new = add i64 %passes, %lane.passes
  br label %next
done:
  {count("site", at.REQUESTS, "1")}
  {count("site", at.ACTIVE, "%units.all")}
  {count("site", at.WORK, "%passes")}
  %base.at = getelementptr i64, ptr %env, i64 {at.SHARED}
  %base = load i64, ptr %base.at
  {splat("base.all", "i64", "%base")}
  br label %unit
unit:
  ; The next unit of each lane that has one, so that the lanes' stores are watched as those of one instruction.
  %offset = phi i32 [ 0, %done ], [ %offset.next, %store ]
  {splat("offset.all", "i32", "%offset")}
  %more = icmp ugt {V32} %sizes, %offset.all
  %more.bits = bitcast <{LANES} x i1> %more to i32
  %lanes = and i32 %more.bits, %good
  %none = icmp eq i32 %lanes, 0
  br i1 %none, label %return, label %store
store:
  %units = add {V32} %a, %offset.all{watched}
  %units.wide = zext {V32} %units to {V64}
  %hosts = add {V64} %units.wide, %base.all
  %pointers = inttoptr {V64} %hosts to <{LANES} x ptr>
  %mask = bitcast i32 %lanes to <{LANES} x i1>
  call void @llvm.masked.scatter.v{LANES}i64.v{LANES}p0({V64} zeroinitializer, <{LANES} x ptr> %pointers, i32 {UNIT},
                                                        <{LANES} x i1> %mask)
  %offset.next = add i32 %offset, {UNIT}
  br label %unit
return:
  ret void
}}
"""
    scatter = f"declare void @llvm.masked.scatter.v{LANES}i64.v{LANES}p0({V64}, <{LANES} x ptr>, i32, <{LANES} x i1>)"
    return RuntimeFunction("fill_shared", text, (CHECK_OFFSET, FAULT), (CTTZ, scatter))
