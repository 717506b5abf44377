"""Functions that end a warp's turn, or the launch."""

from __future__ import annotations

from ptxbench.emulator.runtime import conditions
from ptxbench.emulator.runtime.context import (
    ANNOUNCED,
    BY_TURNS,
    CTA,
    CTTZ,
    FUEL,
    HURRY,
    MASK,
    TESTED,
    TRAPPED,
    V32,
    WARP_FAILS,
    WARP_TESTED,
    WARP_TESTS,
    RuntimeFunction,
    end_with,
    slot,
)
from ptxbench.emulator.runtime.faults import FAULT, fault_of_lowest

POLL_COST = 63
"""Plus one for the iteration: a warp polls 1,024 times in a turn. It is not subtracted from the warp's fuel."""

ONE_WARP_FIRST = 1 << 62
"""In the context at BY_TURNS: a CTA gives way when a warp that may have announced anything waits or has ended."""

END_TURN = RuntimeFunction("end_turn", f"""
define internal void @end_turn(ptr %env, i32 %mask) noinline {{
  ; The warp's fuel is not charged for the rest of the turn: HURRY has the number of iterations.
entry:
  %idle = icmp eq i32 %mask, 0
  br i1 %idle, label %done, label %end
end:
  {slot("fuel", FUEL)}
  %over = icmp sle i64 %fuel, 0
  br i1 %over, label %done, label %give
give:
  {slot("hurry", HURRY)}
  %given = add i64 %hurry, %fuel
  store i64 %given, ptr %hurry.at
  store i64 0, ptr %fuel.at
  br label %done
done:
  ret void
}}
""")  # fmt: skip

GIVE_WAY = RuntimeFunction("give_way", f"""
define internal void @give_way(ptr %env, i32 %mask, i64 %goes.on.rank) noinline {{
  ; %mask stored a value that other threads may wait for, or will swap one that they may change first. If CTAs take
  ; turns, the turn ends here, so that they see the value before the next store, or change it before the swap. CTAs of
  ; odd rank continue: otherwise all CTAs would have stored before any of them looks, and none would have to wait.
  ; Before %mask announces an update, CTAs of even rank continue, since the one of rank 0 has the last turn of a round:
  ; so its update is the last one, but not its announcement. With ONE_WARP_FIRST all continue until the warp waits.
entry:
  {slot("by.turns", BY_TURNS)}
  %one.warp = icmp eq i64 %by.turns, {ONE_WARP_FIRST}
  %some = icmp ne i32 %mask, 0
  %announces = and i1 %one.warp, %some
  br i1 %announces, label %announce, label %turn
announce:
  %announced.at = getelementptr i64, ptr %env, i64 {ANNOUNCED}
  store i64 1, ptr %announced.at
  ret void
turn:
  {slot("cta", CTA)}
  %other = xor i64 %cta, %goes.on.rank
  %gives.way = and i64 %other, %by.turns
  %goes.on = icmp eq i64 %gives.way, 0
  {end_with("call void @end_turn(ptr %env, i32 %mask)", "%goes.on", "end", unless=True)}
}}
""", (END_TURN,))  # fmt: skip

TEST_FAILED = RuntimeFunction("test_failed", f"""
define internal void @test_failed(ptr %env, ptr %warp, {V32} %addresses, i32 %mask) noinline {{
  ; %mask found the phases of its mbarriers incomplete: other warps run now, so that the phases can complete.
entry:
  %idle = icmp eq i32 %mask, 0
  br i1 %idle, label %done, label %end
end:
  %tested = getelementptr i64, ptr %env, i64 {TESTED}
  store i64 1, ptr %tested
  %all.at = getelementptr i8, ptr %warp, i64 {WARP_TESTED}
  %before = load {V32}, ptr %all.at, align 64
  %marked = add {V32} %addresses, splat (i32 1)
  %failed = bitcast i32 %mask to {MASK}
  %now = select {MASK} %failed, {V32} %marked, {V32} %before
  store {V32} %now, ptr %all.at, align 64
  call void @end_turn(ptr %env, i32 %mask)
  br label %done
done:
  ret void
}}
""", (END_TURN,))  # fmt: skip

MOST_FAILS = 256
"""The tests of a warp that fail in a launch whose waits vary. A deadlock is found only in a round without any."""

TESTING = RuntimeFunction("testing", f"""
define internal i32 @testing(ptr %env, ptr %warp, i32 %mask) noinline {{
  ; The lanes of %mask that test their mbarriers now: all, or in a launch whose waits vary, half of the times none. Then
  ; the test fails whatever the phase, and the warp's turn ends.
entry:
  %seed = {conditions.WAITS.load}
  %usual = icmp eq i64 %seed, 0
  br i1 %usual, label %test, label %draw
draw:
  %left.at = getelementptr i8, ptr %warp, i64 {WARP_FAILS}
  %left = load i64, ptr %left.at
  %may.fail = icmp ne i64 %left, 0
  %state.at = getelementptr i8, ptr %warp, i64 {WARP_TESTS}
  %state = load i64, ptr %state.at
  %product = mul i64 %state, 6364136223846793005
  %drawn = add i64 %product, %seed
  store i64 %drawn, ptr %state.at
  %half = icmp slt i64 %drawn, 0
  %fails = and i1 %half, %may.fail
  br i1 %fails, label %fail, label %test
fail:
  %left.after = sub i64 %left, 1
  store i64 %left.after, ptr %left.at
  call void @end_turn(ptr %env, i32 %mask)
  ret i32 0
test:
  ret i32 %mask
}}
""", (END_TURN,))  # fmt: skip

POLL = RuntimeFunction("poll", f"""
define internal void @poll(ptr %env, i32 %mask) noinline {{
  ; A load that may wait for the store of another thread takes as much of the turn as {POLL_COST} loop iterations.
entry:
  %idle = icmp eq i32 %mask, 0
  br i1 %idle, label %done, label %look
look:
  {slot("fuel", FUEL)}
  %room = icmp sgt i64 %fuel, {POLL_COST}
  br i1 %room, label %take, label %done
take:
  %less = sub i64 %fuel, {POLL_COST}
  store i64 %less, ptr %fuel.at
  {slot("hurry", HURRY)}
  %more = add i64 %hurry, {POLL_COST}
  store i64 %more, ptr %hurry.at
  br label %done
done:
  ret void
}}
""")  # fmt: skip

TRAP = RuntimeFunction("trap", f"""
define internal void @trap(ptr %env, ptr %site, i32 %mask) noinline cold {{
entry:
  %idle = icmp eq i32 %mask, 0
  br i1 %idle, label %done, label %stop
stop:
  {fault_of_lowest("%mask", TRAPPED, 0)}
  br label %done
done:
  ret void
}}
""", (FAULT,), (CTTZ,))  # fmt: skip
