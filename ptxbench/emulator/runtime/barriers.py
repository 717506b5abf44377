"""The sixteen barriers of a CTA: lanes arrive, and the last arrival releases the waiting lanes.

A CTA's header (context.CTA_STATE) has an entry per barrier: existing lanes that have arrived and a mask of their warps;
the lanes expected, a multiple of the warp size, or EVERYONE; for reductions, the number of true predicates.
If a warp has arrived, its lanes that do not exist, or have exited without arriving, count as arrived. (PTX ISA, "bar,
barrier".)
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import (
    CTPOP,
    CTTZ,
    MASK,
    V32,
    RuntimeFunction,
    end_with,
    field,
    lane_of,
    loop,
    next_bit,
    next_group,
    slot,
    splat,
)
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.watch import SILENT
from ptxbench.emulator.types import LANES

EVERYONE = -1
"""The barrier expects every thread of the CTA that has not exited."""
GOES_ON, WAITS, REDUCES = 0, 16, 32
"""What an arriving lane does; stored with the barrier's number while it waits."""
ALL_TRUE = 1 << 16
"""A flag of a reduction's result: every predicate was true. The lower bits count the true predicates."""

BYTES = f"<{LANES} x i8>"


ENTRY = f"""{slot("header", at.CTA_STATE, "ptr")}
  %id.wide = zext i32 %id to i64
  %entry.offset = mul i64 %id.wide, {at.BARRIER_BYTES}
  %barrier.offset = add i64 %entry.offset, {at.CTA_BARRIERS}
  %barrier = getelementptr i8, ptr %header, i64 %barrier.offset"""

EXPECTED = f"""{field("barrier", "expected", at.BARRIER_EXPECTED)}
  %everyone = icmp eq i32 %expected, {EVERYONE}"""
"""Lines that load the number of lanes that the barrier expects, and set %everyone: whether it is every thread."""

ARRIVED = f"""%arrived.offset = shl i64 %id.wide, 2
  %arrived.from = add i64 %arrived.offset, {at.WARP_ARRIVED}
  %arrived.at = getelementptr i8, ptr %warp, i64 %arrived.from"""
"""Lines that find the lanes of %warp that have arrived at barrier %id.wide in this phase."""

RELEASE = RuntimeFunction("release_barrier", f"""
define internal void @release_barrier(ptr %env, i32 %id) noinline {{
  ; The lanes that wait at barrier %id continue; those of a reduction get its result.
entry:
  {ENTRY}
  {field("barrier", "trues", at.BARRIER_TRUES)}
  {field("barrier", "asked", at.BARRIER_ASKED)}
  {EXPECTED}
  %all = icmp eq i32 %trues, %asked
  %flag = select i1 %all, i32 {ALL_TRUE}, i32 0
  %answer = or i32 %trues, %flag
  {splat("answer.all", "i32", "%answer")}
  store <8 x i32> zeroinitializer, ptr %barrier, align 4
  %open.at = getelementptr i8, ptr %header, i64 {at.CTA_OPEN}
  %open = load i32, ptr %open.at
  %bit = shl i32 1, %id
  %open.less = xor i32 %open, %bit
  store i32 %open.less, ptr %open.at
  {slot("phases", at.PHASES)}
  %phases.more = add i64 %phases, 1
  store i64 %phases.more, ptr %phases.at
  {slot("warps", at.WARPS, "ptr")}
  {slot("count", at.WARP_COUNT)}
  %id.byte = trunc i32 %id to i8
  {splat("waits.all", "i8", "%id.waits")}
  br label %next
{loop("next", "k", "%count", "look", after="next.end")}
  %k.offset = mul i64 %k, {at.WARP_BYTES}
  %warp = getelementptr i8, ptr %warps, i64 %k.offset
  {ARRIVED}
  store i32 0, ptr %arrived.at
  %waiting.at = getelementptr i8, ptr %warp, i64 {at.WARP_WAITING}
  %waiting = load i32, ptr %waiting.at
  %idle = icmp eq i32 %waiting, 0
  br i1 %idle, label %next.end, label %wake
wake:
  %lane.barriers.at = getelementptr i8, ptr %warp, i64 {at.WARP_BARRIERS}
  %lane.barriers = load {BYTES}, ptr %lane.barriers.at
  %number = and {BYTES} %lane.barriers, splat (i8 15)
  %here = icmp eq {BYTES} %number, %waits.all
  %here.mask = bitcast {MASK} %here to i32
  %freed = and i32 %here.mask, %waiting
  %still.waiting = xor i32 %waiting, %freed
  store i32 %still.waiting, ptr %waiting.at
  br i1 %everyone, label %freed.all, label %freed.some
freed.some:
  call void @barrier_left(ptr %env, i32 %id, i64 %k, i32 %freed)
  br label %freed.all
freed.all:
  %kind = icmp uge {BYTES} %lane.barriers, splat (i8 {REDUCES})
  %kind.mask = bitcast {MASK} %kind to i32
  %answered = and i32 %freed, %kind.mask
  %none = icmp eq i32 %answered, 0
  br i1 %none, label %next.end, label %answer.lanes
answer.lanes:
  %passed.at = getelementptr i8, ptr %warp, i64 {at.WARP_PASSED}
  %passed = load i32, ptr %passed.at
  %passed.more = or i32 %passed, %answered
  store i32 %passed.more, ptr %passed.at
  %answers.at = getelementptr i8, ptr %warp, i64 {at.WARP_ANSWERS}
  %answers = load {V32}, ptr %answers.at
  %answered.lanes = bitcast i32 %answered to {MASK}
  %answers.new = select {MASK} %answered.lanes, {V32} %answer.all, {V32} %answers
  store {V32} %answers.new, ptr %answers.at
  br label %next.end
next.end:
  %k.next = add i64 %k, 1
  br label %next
done:
  call void @barrier_met(ptr %env, i32 %id, i1 %everyone)
  ret void
}}
""".replace("%id.waits", "%id.byte"), (SILENT["barrier_left"], SILENT["barrier_met"]))  # fmt: skip

CHECK = RuntimeFunction("check_barrier", f"""
define internal void @check_barrier(ptr %env, i32 %id) noinline {{
  ; Releases barrier %id if all lanes that it expects have arrived.
entry:
  {ENTRY}
  {field("barrier", "lanes", at.BARRIER_LANES)}
  {field("barrier", "arrived.warps", at.BARRIER_WARPS)}
  {EXPECTED}
  br i1 %everyone, label %all, label %some
all:
  {slot("threads", at.THREADS, "i32")}
  %exited.at = getelementptr i8, ptr %header, i64 {at.CTA_EXITED}
  %exited = load i32, ptr %exited.at
  %living = sub i32 %threads, %exited
  %all.here = icmp uge i32 %lanes, %living
  br i1 %all.here, label %complete, label %done
some:
  %warp.count = call i32 @llvm.ctpop.i32(i32 %arrived.warps)
  %most = shl i32 %warp.count, 5
  %possible = icmp uge i32 %most, %expected
  br i1 %possible, label %count, label %done
count:
  {slot("warps", at.WARPS, "ptr")}
  br label %next
next:
  %rest = phi i32 [ %arrived.warps, %count ], [ %rest.less, %add ]
  %total = phi i32 [ %lanes, %count ], [ %total.more, %add ]
{next_bit("k", "add", done="judge")}
  %k.offset = mul i64 %k.wide, {at.WARP_BYTES}
  %warp = getelementptr i8, ptr %warps, i64 %k.offset
  %valid.at = getelementptr i8, ptr %warp, i64 {at.WARP_VALID}
  %valid = load i32, ptr %valid.at
  %gone.at = getelementptr i8, ptr %warp, i64 {at.WARP_EXITED}
  %gone = load i32, ptr %gone.at
  %present = xor i32 %valid, %gone
  {ARRIVED}
  %arrived = load i32, ptr %arrived.at
  %counted = or i32 %present, %arrived
  %present.count = call i32 @llvm.ctpop.i32(i32 %counted)
  %absent = sub i32 {LANES}, %present.count
  %total.more = add i32 %total, %absent
  br label %next
judge:
  %enough = icmp uge i32 %total, %expected
  {end_with("call void @release_barrier(ptr %env, i32 %id)", "%enough", "complete")}
}}
""", (RELEASE,), (CTPOP, CTTZ))  # fmt: skip

ARRIVE_GROUP = RuntimeFunction("arrive_group", f"""
define internal void @arrive_group(ptr %env, ptr %warp, i32 %lanes.in, i32 %id, i32 %count, i32 %predicates,
                                   i32 %kind) noinline {{
  ; The lanes of %lanes.in arrive at barrier %id, below 16, which expects %count lanes. %kind: GOES_ON, WAITS, REDUCES.
entry:
  %none = icmp eq i32 %lanes.in, 0
  br i1 %none, label %done, label %come
come:
  {slot("header", at.CTA_STATE, "ptr")}
  {slot("rank", at.WARP, "i32")}
  %entry.index = mul i32 %id, {at.BARRIER_BYTES}
  %entry.from = add i32 %entry.index, {at.CTA_BARRIERS}
  %entry.wide = zext i32 %entry.from to i64
  %barrier = getelementptr i8, ptr %header, i64 %entry.wide
  {field("barrier", "lanes", at.BARRIER_LANES)}
  %more = call i32 @llvm.ctpop.i32(i32 %lanes.in)
  %lanes.new = add i32 %lanes, %more
  store i32 %lanes.new, ptr %lanes.at
  {field("barrier", "warps", at.BARRIER_WARPS)}
  %warp.bit = shl i32 1, %rank
  %warps.new = or i32 %warps, %warp.bit
  store i32 %warps.new, ptr %warps.at
  %id.wide = zext i32 %id to i64
  {ARRIVED}
  %arrived = load i32, ptr %arrived.at
  %arrived.new = or i32 %arrived, %lanes.in
  store i32 %arrived.new, ptr %arrived.at
  %expected.at = getelementptr i8, ptr %barrier, i64 {at.BARRIER_EXPECTED}
  store i32 %count, ptr %expected.at
  call void @barrier_arrived(ptr %env, i32 %id, i32 %lanes.in, i32 %count)
  {field("barrier", "trues", at.BARRIER_TRUES)}
  %true.lanes = and i32 %predicates, %lanes.in
  %true.count = call i32 @llvm.ctpop.i32(i32 %true.lanes)
  %trues.new = add i32 %trues, %true.count
  store i32 %trues.new, ptr %trues.at
  {field("barrier", "asked", at.BARRIER_ASKED)}
  %reduces = icmp eq i32 %kind, {REDUCES}
  %asking = select i1 %reduces, i32 %more, i32 0
  %asked.new = add i32 %asked, %asking
  store i32 %asked.new, ptr %asked.at
  %open.at = getelementptr i8, ptr %header, i64 {at.CTA_OPEN}
  %open = load i32, ptr %open.at
  %open.bit = shl i32 1, %id
  %open.new = or i32 %open, %open.bit
  store i32 %open.new, ptr %open.at
  %passing = icmp eq i32 %kind, {GOES_ON}
  br i1 %passing, label %parked, label %park
park:
  %waiting.at = getelementptr i8, ptr %warp, i64 {at.WARP_WAITING}
  %waiting = load i32, ptr %waiting.at
  %waiting.new = or i32 %waiting, %lanes.in
  store i32 %waiting.new, ptr %waiting.at
  %mark = or i32 %id, %kind
  %mark.byte = trunc i32 %mark to i8
  {splat("mark.all", "i8", "%mark.byte")}
  %lane.barriers.at = getelementptr i8, ptr %warp, i64 {at.WARP_BARRIERS}
  %lane.barriers = load {BYTES}, ptr %lane.barriers.at
  %member.lanes = bitcast i32 %lanes.in to {MASK}
  %lane.barriers.new = select {MASK} %member.lanes, {BYTES} %mark.all, {BYTES} %lane.barriers
  store {BYTES} %lane.barriers.new, ptr %lane.barriers.at
  br label %parked
parked:
  call void @check_barrier(ptr %env, i32 %id)
  br label %done
done:
  ret void
}}
""", (CHECK, SILENT["barrier_arrived"]), (CTPOP,))  # fmt: skip

ARRIVE = RuntimeFunction("arrive_at_barrier", f"""
define internal void @arrive_at_barrier(ptr %env, ptr %warp, ptr %site, i32 %arriving, {V32} %ids, {V32} %counts,
                                        i32 %predicates, i32 %kind) noinline {{
  ; The lanes of %arriving arrive at the barriers in %ids.
entry:
  %ids.list = alloca [{LANES} x i32], align 64
  %counts.list = alloca [{LANES} x i32], align 64
  store {V32} %ids, ptr %ids.list
  store {V32} %counts, ptr %counts.list
  br label %next
next:
  %rest = phi i32 [ %arriving, %entry ], [ %rest.less, %in.range ], [ %rest.less, %wrong ]
{next_group("%ids", "%ids.list", "id", 32, "group")}
  {lane_of("count", "i32", "%counts.list")}
  %beyond = icmp ugt i32 %id, 15
  br i1 %beyond, label %wrong, label %in.range
wrong:
  %id.long = zext i32 %id to i64
  call void @fault(ptr %env, i64 {at.NO_BARRIER}, ptr %site, i64 %number.wide, i64 %id.long)
  br label %next
in.range:
  call void @arrive_group(ptr %env, ptr %warp, i32 %members, i32 %id, i32 %count, i32 %predicates, i32 %kind)
  br label %next
done:
  ret void
}}
""", (ARRIVE_GROUP, FAULT), (CTTZ,))  # fmt: skip

CHECK_ALL = RuntimeFunction("check_barriers", f"""
define internal void @check_barriers(ptr %env) noinline {{
  ; Threads have exited: release the barriers that waited only for them.
entry:
  {slot("header", at.CTA_STATE, "ptr")}
  %open.at = getelementptr i8, ptr %header, i64 {at.CTA_OPEN}
  %open = load i32, ptr %open.at
  br label %next
next:
  %rest = phi i32 [ %open, %entry ], [ %rest.less, %one ]
{next_bit("id", "one")}
  call void @check_barrier(ptr %env, i32 %id)
  br label %next
done:
  ret void
}}
""", (CHECK,), (CTTZ,))  # fmt: skip

LEAVE = RuntimeFunction("leave", f"""
define internal i32 @leave(ptr %env, ptr %warp, i32 %lanes) noinline {{
  ; %lanes exit. Returns the lanes that wait for lanes of their warp: they must test again whether all have arrived.
  %exited.at = getelementptr i8, ptr %warp, i64 {at.WARP_EXITED}
  %exited = load i32, ptr %exited.at
  %exited.new = or i32 %exited, %lanes
  store i32 %exited.new, ptr %exited.at
  {slot("header", at.CTA_STATE, "ptr")}
  %count.at = getelementptr i8, ptr %header, i64 {at.CTA_EXITED}
  %count = load i32, ptr %count.at
  %more = call i32 @llvm.ctpop.i32(i32 %lanes)
  %count.new = add i32 %count, %more
  store i32 %count.new, ptr %count.at
  %parked.at = getelementptr i8, ptr %warp, i64 {at.WARP_PARKED}
  %parked = load i32, ptr %parked.at
  store i32 0, ptr %parked.at
  %meeting.at = getelementptr i8, ptr %warp, i64 {at.WARP_MEETING}
  store i32 0, ptr %meeting.at
  ret i32 %parked
}}
""", (), (CTPOP,))  # fmt: skip
