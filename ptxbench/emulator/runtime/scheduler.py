"""The functions that run a launch on a host thread: `run_cta`, in which the warps of a CTA take turns, and its callers.

A warp runs until each of its lanes waits or has exited, or until it has used up its turn in a loop, perhaps while it
waits for stores of other threads. residents.py says in which order CTAs and clusters run.
"""

from __future__ import annotations

import functools

from ptxbench.emulator.runtime import cluster_schedule
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.barriers import CHECK_ALL
from ptxbench.emulator.runtime.context import RuntimeFunction, slot
from ptxbench.emulator.runtime.copies import QUEUE_BYTES
from ptxbench.emulator.runtime.cta_states import open_cta
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.residents import CLUSTER, CTA, DEADLOCK_OR_YIELD, DONE, FAULTED, run_ctas
from ptxbench.emulator.runtime.trips import CLOSE_ALL
from ptxbench.emulator.runtime.turns import ONE_WARP_FIRST
from ptxbench.emulator.runtime.warpgroup import WARPS
from ptxbench.emulator.types import LANES

TURN = 65_536
"""Loop iterations that a warp may run in one turn."""
MOST_IDLE = 4096
"""Rounds in which all warps only test mbarriers, after which the launch counts as deadlocked."""
MOST_PASSES = 64
"""How often the warps of a warpgroup take turns before others do, while one of them waits for products of another. So
they get far ahead of a warp that copies, and a missing wait for its copies shows."""


@functools.cache
def scheduler(clustered: bool) -> RuntimeFunction:
    """`run_ctas(env)`, the function that the host calls, with the functions that it needs. All kernels share them.
    Only `warp` (dispatch.py) and `prepare_warp` (cta_states.py) differ by kernel; their addresses are in the context.

    With HALVES in the context, the highest warp of a CTA goes first. `clustered`: CTAs run in clusters (clusters.py);
    the numbers at FIRST_CTA, CTA_STEP, CTA_COUNT and CHUNK are then those of clusters, and CTA_SLOTS has room for
    whole ones.
    """
    cta_functions = (open_cta(clustered), run_cta(clustered))
    if not clustered:
        return run_ctas(CTA, *cta_functions)
    return run_ctas(CLUSTER, *cta_functions, cluster_schedule.OPEN_CLUSTER, cluster_schedule.RUN_CLUSTER)


def run_cta(clustered: bool) -> RuntimeFunction:
    """`run_cta(env)`: rounds of turns of the current CTA's warps.

    They end when the CTA has ended or faulted, or after a round in which every running warp only looped; if CTAs take
    turns, after each round, or with ONE_WARP_FIRST as soon as a warp that may have announced anything waits or has
    ended. In a cluster they also end if all warps wait for the cluster.
    """
    stuck = cluster_schedule.STUCK if clustered else "stuck:\n  br label %deadlock"
    wake = "call void @wake_cluster(ptr %env)" if clustered else ""
    text = f"""
define internal i64 @run_cta(ptr %env) {{
entry:
  {slot("register.bytes", at.REGISTER_BYTES)}
  {slot("local.bytes", at.LOCAL_BYTES)}
  %local.stride = shl i64 %local.bytes, {LANES.bit_length() - 1}
  {slot("warp.count", at.WARP_COUNT)}
  {slot("warp.function", at.RUN_WARP, "ptr")}
  {slot("halves", at.HALVES)}
  %backwards = icmp ne i64 %halves, 0
  {slot("by.turns", at.BY_TURNS)}
  %one.warp = icmp eq i64 %by.turns, {ONE_WARP_FIRST}
  %usual = icmp eq i64 %by.turns, 0
  %stays = or i1 %usual, %one.warp
  %announced.at = getelementptr i64, ptr %env, i64 {at.ANNOUNCED}
  {slot("warps", at.WARPS, "ptr")}
  {slot("all.registers", at.REGISTERS, "ptr")}
  {slot("all.local", at.ALL_LOCAL, "ptr")}
  {slot("queues", at.QUEUES, "ptr")}
  %p.queue = getelementptr i64, ptr %env, i64 {at.QUEUE}
  %p.tested = getelementptr i64, ptr %env, i64 {at.TESTED}
  %p.blocked = getelementptr i64, ptr %env, i64 {at.BLOCKED}
  store i64 0, ptr %p.blocked
  %header.at = getelementptr i64, ptr %env, i64 {at.CTA_STATE}
  %header = load ptr, ptr %header.at
  %idle.at = getelementptr i8, ptr %header, i64 {at.CTA_IDLE}
  %p.local = getelementptr i64, ptr %env, i64 {at.LOCAL}
  %p.warp = getelementptr i64, ptr %env, i64 {at.WARP}
  %p.fuel = getelementptr i64, ptr %env, i64 {at.FUEL}
  %p.hurry = getelementptr i64, ptr %env, i64 {at.HURRY}
  %p.fault = getelementptr i64, ptr %env, i64 {at.FAULT_KIND}
  %p.sync = getelementptr i64, ptr %env, i64 {at.TIME_OF_WARP}
  br label %round
round:
  %fresh = phi i1 [ true, %entry ], [ false, %onward ]
  call void @check_barriers(ptr %env)
  {wake}
  br label %turn
turn:
  ; %living: some lane has not exited. %ran: a warp had a turn. %moved: one ended it by waiting or exiting.
  ; %busy: one ended it with something else than a test of an mbarrier.
  %t = phi i64 [ 0, %round ], [ %t.next, %over ]
  %living = phi i1 [ false, %round ], [ %living.new, %over ]
  %ran = phi i1 [ false, %round ], [ %ran.new, %over ]
  %moved = phi i1 [ false, %round ], [ %moved.new, %over ]
  %busy = phi i1 [ false, %round ], [ %busy.new, %over ]
  %passes = phi i64 [ 0, %round ], [ %passes.new, %over ]
  %round.over = icmp eq i64 %t, %warp.count
  br i1 %round.over, label %judge, label %look
look:
  %rank.up = add i64 %t, 1
  %rank.down = sub i64 %warp.count, %rank.up
  %rank = select i1 %backwards, i64 %rank.down, i64 %t
  %t.offset = mul i64 %rank, {at.WARP_BYTES}
  %state = getelementptr i8, ptr %warps, i64 %t.offset
  %waiting.at = getelementptr i8, ptr %state, i64 {at.WARP_WAITING}
  %exited.at = getelementptr i8, ptr %state, i64 {at.WARP_EXITED}
  %valid.at = getelementptr i8, ptr %state, i64 {at.WARP_VALID}
  %parked.at = getelementptr i8, ptr %state, i64 {at.WARP_PARKED}
  %valid = load i32, ptr %valid.at
  %waiting = load i32, ptr %waiting.at
  %exited = load i32, ptr %exited.at
  %parked = load i32, ptr %parked.at
  %not.ready.1 = or i32 %waiting, %exited
  %not.ready = or i32 %not.ready.1, %parked
  %ready = icmp ne i32 %not.ready, %valid
  br i1 %ready, label %run, label %over
run:
  %r.offset = mul i64 %rank, %register.bytes
  %registers = getelementptr i8, ptr %all.registers, i64 %r.offset
  %l.offset = mul i64 %rank, %local.stride
  %local = getelementptr i8, ptr %all.local, i64 %l.offset
  store ptr %local, ptr %p.local
  %q.offset = mul i64 %rank, {QUEUE_BYTES}
  %queue = getelementptr i8, ptr %queues, i64 %q.offset
  store ptr %queue, ptr %p.queue
  store i64 0, ptr %p.tested
  store i64 0, ptr %announced.at
  store i64 %rank, ptr %p.warp
  %fuel.at = getelementptr i8, ptr %state, i64 {at.WARP_FUEL}
  %fuel = load i64, ptr %fuel.at
  %given = call i64 @llvm.smin.i64(i64 %fuel, i64 {TURN})
  store i64 %given, ptr %p.fuel
  store i64 0, ptr %p.hurry
  %sync.at = getelementptr i8, ptr %state, i64 {at.WARP_SYNC}
  %sync = load i64, ptr %sync.at
  store i64 %sync, ptr %p.sync
  call void %warp.function(ptr %registers, ptr %state, ptr %env)
  %fault = load i64, ptr %p.fault
  %faulted = icmp ne i64 %fault, 0
  br i1 %faulted, label %stop, label %account
account:
  %turn.left.raw = load i64, ptr %p.fuel
  %turn.left = call i64 @llvm.smax.i64(i64 %turn.left.raw, i64 0)
  %hurry = load i64, ptr %p.hurry
  %spent.all = sub i64 %given, %turn.left
  %spent = sub i64 %spent.all, %hurry
  %fuel.left = sub i64 %fuel, %spent
  store i64 %fuel.left, ptr %fuel.at
  %waiting.now = load i32, ptr %waiting.at
  %exited.now = load i32, ptr %exited.at
  %parked.now = load i32, ptr %parked.at
  %not.ready.2 = or i32 %waiting.now, %exited.now
  %not.ready.now = or i32 %not.ready.2, %parked.now
  %loops = icmp ne i32 %not.ready.now, %valid
  %out.of.fuel = icmp sle i64 %fuel.left, 0
  %exhausted = and i1 %out.of.fuel, %loops
  br i1 %exhausted, label %empty, label %over
empty:
  {slot("block", at.YIELDED_AT)}
  {slot("counters", at.COUNTERS, "ptr")}
  %block.slot = shl i64 %block, 1
  %site = getelementptr i64, ptr %counters, i64 %block.slot
  call void @fault(ptr %env, i64 {at.OUT_OF_FUEL}, ptr %site, i64 0, i64 0)
  br label %stop
over:
  %turned = phi i1 [ false, %look ], [ true, %account ]
  %looping = phi i1 [ true, %look ], [ %loops, %account ]
  %exited.last = load i32, ptr %exited.at
  %lives = icmp ne i32 %exited.last, %valid
  %living.new = or i1 %living, %lives
  %ran.new = or i1 %ran, %turned
  %tested = load i64, ptr %p.tested
  %untested = icmp eq i64 %tested, 0
  %works = and i1 %turned, %untested
  %busy.new = or i1 %busy, %works
  %settled = xor i1 %looping, true
  %moved.new = or i1 %moved, %settled
  %in.group = and i64 %rank, {WARPS - 1}
  %last.in.group = select i1 %backwards, i64 0, i64 {WARPS - 1}
  %group.over = icmp eq i64 %in.group, %last.in.group
  %blocked = load i64, ptr %p.blocked
  %some.blocked = icmp ne i64 %blocked, 0
  %may.repeat = icmp ult i64 %passes, {MOST_PASSES}
  %blocked.over = and i1 %some.blocked, %group.over
  %again = and i1 %blocked.over, %may.repeat
  %blocked.new = select i1 %group.over, i64 0, i64 %blocked
  store i64 %blocked.new, ptr %p.blocked
  %passes.more = add i64 %passes, 1
  %passes.same = select i1 %group.over, i64 0, i64 %passes
  %passes.new = select i1 %again, i64 %passes.more, i64 %passes.same
  %step = select i1 %again, i64 {1 - WARPS}, i64 1
  %t.next = add i64 %t, %step
  %announced = load i64, ptr %announced.at
  %is.announced = icmp ne i64 %announced, 0
  %stopped = and i1 %turned, %settled
  %gives.way = and i1 %stopped, %is.announced
  br i1 %gives.way, label %yield, label %turn
judge:
  br i1 %living, label %alive, label %ended
alive:
  br i1 %ran, label %progress, label %stuck
progress:
  %idle = load i32, ptr %idle.at
  %idle.more = add i32 %idle, 1
  %active = or i1 %moved, %busy
  %idle.new = select i1 %active, i32 0, i32 %idle.more
  store i32 %idle.new, ptr %idle.at
  %forever = icmp ugt i32 %idle.new, {MOST_IDLE}
  br i1 %forever, label %deadlock, label %onward
onward:
  %another.round = and i1 %moved, %stays
  br i1 %another.round, label %round, label %yield
{stuck}
{DEADLOCK_OR_YIELD}
ended:
  call void @{CLOSE_ALL.name}(ptr %env)
  ret i64 {DONE}
stop:
  ret i64 {FAULTED}
}}
"""
    return RuntimeFunction(
        "run_cta",
        text,
        (CHECK_ALL, FAULT, CLOSE_ALL),
        ("declare i64 @llvm.smin.i64(i64, i64)", "declare i64 @llvm.smax.i64(i64, i64)"),
    )
