"""Functions that code without vectors calls instead of several lines: LLVM needs less time for shorter code
(vector_calls.py)."""

from __future__ import annotations

from ptxbench.emulator.runtime import context, kinds
from ptxbench.emulator.runtime.context import CTTZ, MASK, V32, RuntimeFunction, field, slot, splat
from ptxbench.emulator.runtime.sanitize import FINDING

SET_PC = RuntimeFunction("set_pc", f"""
define internal void @set_pc(ptr %warp, i32 %lanes, i32 %block) noinline {{
  ; The next block of %lanes is %block.
  {splat("block.all", "i32", "%block")}
  %old = load {V32}, ptr %warp, align 64
  %chosen = bitcast i32 %lanes to {MASK}
  %new = select {MASK} %chosen, {V32} %block.all, {V32} %old
  store {V32} %new, ptr %warp, align 64
  ret void
}}
""")  # fmt: skip

GO = RuntimeFunction("go", """
define internal i1 @go(ptr %warp, ptr %runnable, i32 %lanes, i32 %block) noinline {
  ; Whether %lanes can continue at %block now, because no other lane can run. Else %block is their next block.
  %ready = load i32, ptr %runnable
  %alone = icmp eq i32 %lanes, %ready
  br i1 %alone, label %done, label %others
others:
  call void @set_pc(ptr %warp, i32 %lanes, i32 %block)
  br label %done
done:
  ret i1 %alone
}
""", (SET_PC,))  # fmt: skip

BRANCH = RuntimeFunction("branch", """
define internal i32 @branch(
  ptr %warp, ptr %runnable, ptr %divergent, i32 %lanes, i32 %taken, i32 %target, i32 %next
) noinline {
  ; Of %lanes, %taken branch to %target and the others to %next. Returns the block that runs now; -1: none.
  %not.taken = xor i32 %lanes, %taken
  %all = icmp eq i32 %not.taken, 0
  %none = icmp eq i32 %taken, 0
  %uniform = or i1 %all, %none
  br i1 %uniform, label %converged, label %diverge
converged:
  %block = select i1 %all, i32 %target, i32 %next
  %alone = call i1 @go(ptr %warp, ptr %runnable, i32 %lanes, i32 %block)
  %block.now = select i1 %alone, i32 %block, i32 -1
  ret i32 %block.now
diverge:
  %old = load i64, ptr %divergent
  %new = add i64 %old, 1
  store i64 %new, ptr %divergent
  call void @set_pc(ptr %warp, i32 %not.taken, i32 %next)
  call void @set_pc(ptr %warp, i32 %taken, i32 %target)
  ret i32 -1
}
""", (SET_PC, GO))  # fmt: skip

MEET = RuntimeFunction("meet", f"""
define internal i32 @meet(
  ptr %warp, ptr %mask, ptr %runnable, i32 %members, i32 %lanes, i32 %active, i32 %block
) noinline {{
  ; Of %lanes, %active wait at %block for all %members that have not exited. If all of these are there, returns the
  ; lanes that continue; else 0, and the other lanes of %lanes continue at the next block.
  {field("warp", "exited", context.WARP_EXITED)}
  {field("warp", "parked", context.WARP_PARKED)}
  {field("warp", "valid", context.WARP_VALID)}
  %pcs = load {V32}, ptr %warp, align 64
  {splat("block.all", "i32", "%block")}
  %at.block = icmp eq {V32} %pcs, %block.all
  %at.block.mask = bitcast {MASK} %at.block to i32
  %some = icmp ne i32 %active, 0
  %expected = select i1 %some, i32 %members, i32 0
  %parked.at.block = and i32 %parked, %at.block.mask
  %waiting = and i32 %parked.at.block, %expected
  %arrived = or i32 %active, %waiting
  %living = xor i32 %valid, %exited
  %expected.living = and i32 %expected, %living
  %not.arrived = xor i32 %arrived, -1
  %missing = and i32 %expected.living, %not.arrived
  %ready = load i32, ptr %runnable
  %incomplete = icmp ne i32 %missing, 0
  br i1 %incomplete, label %park, label %complete
park:
  %parked.more = or i32 %parked, %active
  store i32 %parked.more, ptr %parked.at
  %inactive = xor i32 %active, -1
  %ready.less = and i32 %ready, %inactive
  store i32 %ready.less, ptr %runnable
  %next = add i32 %block, 1
  call void @set_pc(ptr %warp, i32 %lanes, i32 %next)
  call void @set_pc(ptr %warp, i32 %active, i32 %block)
  ret i32 0
complete:
  %parked.less = xor i32 %parked, %waiting
  store i32 %parked.less, ptr %parked.at
  %ready.more = or i32 %ready, %waiting
  store i32 %ready.more, ptr %runnable
  %continuing = or i32 %lanes, %waiting
  store i32 %continuing, ptr %mask
  ret i32 %continuing
}}
""", (SET_PC,))  # fmt: skip

WRITE_PREDICATE = RuntimeFunction("write_predicate", """
define internal void @write_predicate(ptr %at, i32 %lanes, i32 %new) noinline {
  ; A predicate gets the bits %new in these lanes.
  %old = load i32, ptr %at
  %differs = xor i32 %new, %old
  %changed = and i32 %differs, %lanes
  %merged = xor i32 %changed, %old
  store i32 %merged, ptr %at
  ret void
}
""")  # fmt: skip

FINDING_IN = RuntimeFunction("finding_in", """
define internal void @finding_in(ptr %env, i64 %kind, ptr %site, i32 %lanes) noinline {
  ; A finding of the lowest of %lanes, if there are any.
  %none = icmp eq i32 %lanes, 0
  br i1 %none, label %done, label %found
found:
  %lane = call i32 @llvm.cttz.i32(i32 %lanes, i1 true)
  %lane.wide = zext i32 %lane to i64
  call void @finding(ptr %env, i64 %kind, ptr %site, i64 %lane.wide, i64 0, i64 0)
  br label %done
done:
  ret void
}
""", (FINDING,), (CTTZ,))  # fmt: skip

CHECK_WRITTEN = RuntimeFunction("check_written", f"""
define internal void @check_written(ptr %env, ptr %written.at, i64 %site.slot, i32 %lanes) noinline {{
  ; A finding, if any of the lanes is not in the mask of those that have written a register.
  {slot("counters", context.COUNTERS, "ptr")}
  %site = getelementptr i64, ptr %counters, i64 %site.slot
  %written = load i32, ptr %written.at
  %missing = xor i32 %written, -1
  %wrong = and i32 %missing, %lanes
  call void @finding_in(ptr %env, i64 {kinds.UNINITIALISED_REGISTER}, ptr %site, i32 %wrong)
  ret void
}}
""", (FINDING_IN,))  # fmt: skip

NOTE_WRITTEN = RuntimeFunction("note_written", """
define internal void @note_written(ptr %written.at, i32 %lanes) noinline {
  ; These lanes have written a register.
  %old = load i32, ptr %written.at
  %new = or i32 %old, %lanes
  store i32 %new, ptr %written.at
  ret void
}
""")  # fmt: skip
