"""`run_ctas`: CTAs one after the other on a host thread, the warps of each in turns."""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import MASK, V32, multiples, slot, splat


def scheduler(
    register_bytes: int, local_bytes: int, zeroed: tuple[tuple[int, int], ...], *, reverse: bool = False
) -> str:
    """`run_ctas(env)`: runs CTAs FIRST_CTA, FIRST_CTA + CTA_STEP, ... below CTA_COUNT; 0, or 1 after a fault.

    Warps run by rank until each waits or has exited; when every lane that lives waits at one barrier, all go on.
    `reverse`: the highest warp goes first.
    `zeroed`: (offset, bytes) of the registers that may be read before they are written.
    """
    zeroes = "\n".join(
        f"  %z{i} = getelementptr i8, ptr %registers, i64 {offset}\n"
        f"  store <{size} x i8> zeroinitializer, ptr %z{i}, align 4"
        for i, (offset, size) in enumerate(zeroed)
    )
    turn = (
        "%rank.up = add i64 %t, 1\n  %warp.rank = sub i64 %warp.count, %rank.up"
        if reverse
        else "%warp.rank = add i64 %t, 0"
    )
    coordinates = ""
    for axis, value in (("x", "%tid.x"), ("y", "%tid.y"), ("z", "%tid.z")):
        coordinates += (
            f"  %at.{axis} = getelementptr i8, ptr %warp, i64 {at.WARP_TID + 128 * 'xyz'.index(axis)}\n"
            f"  store {V32} {value}, ptr %at.{axis}, align 64\n"
        )
    return f"""
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define i64 @run_ctas(ptr %env) {{
entry:
  {slot("first", at.FIRST_CTA)}
  {slot("step", at.CTA_STEP)}
  {slot("count", at.CTA_COUNT)}
  {slot("grid.x", at.GRID_X)}
  {slot("grid.y", at.GRID_Y)}
  {slot("block.x", at.BLOCK_X)}
  {slot("block.y", at.BLOCK_Y)}
  {slot("block.z", at.BLOCK_Z)}
  {slot("warp.count", at.WARP_COUNT)}
  {slot("warps", at.WARPS, "ptr")}
  {slot("all.registers", at.REGISTERS, "ptr")}
  {slot("fuel.per.warp", at.FUEL_PER_WARP)}
  {slot("shared", at.SHARED, "ptr")}
  {slot("shared.bytes", at.SHARED_BYTES)}
  {slot("all.local", at.ALL_LOCAL, "ptr")}
  %block.xy = mul i64 %block.x, %block.y
  %threads = mul i64 %block.xy, %block.z
  %threads.short = trunc i64 %threads to i32
  {splat("threads.all", "i32", "%threads.short")}
  %block.x.short = trunc i64 %block.x to i32
  {splat("block.x.all", "i32", "%block.x.short")}
  %block.y.short = trunc i64 %block.y to i32
  {splat("block.y.all", "i32", "%block.y.short")}
  br label %cta
cta:
  %rank = phi i64 [ %first, %entry ], [ %rank.next, %cta.done ]
  %over = icmp uge i64 %rank, %count
  br i1 %over, label %finished, label %cta.open
cta.open:
  call void @llvm.memset.p0.i64(ptr %shared, i8 {at.POISON}, i64 %shared.bytes, i1 false)
  %p.time = getelementptr i64, ptr %env, i64 {at.TIME}
  %time = load i64, ptr %p.time
  %time.start = add i64 %time, 1
  store i64 %time.start, ptr %p.time
  %p.start = getelementptr i64, ptr %env, i64 {at.TIME_OF_START}
  store i64 %time.start, ptr %p.start
  %p.barrier.time = getelementptr i64, ptr %env, i64 {at.TIME_OF_BARRIER}
  store i64 %time.start, ptr %p.barrier.time
  %row = udiv i64 %rank, %grid.x
  %cta.x = urem i64 %rank, %grid.x
  %cta.y = urem i64 %row, %grid.y
  %cta.z = udiv i64 %row, %grid.y
  %p.cta = getelementptr i64, ptr %env, i64 {at.CTA}
  store i64 %rank, ptr %p.cta
  %p.cta.x = getelementptr i64, ptr %env, i64 {at.CTA_X}
  store i64 %cta.x, ptr %p.cta.x
  %p.cta.y = getelementptr i64, ptr %env, i64 {at.CTA_Y}
  store i64 %cta.y, ptr %p.cta.y
  %p.cta.z = getelementptr i64, ptr %env, i64 {at.CTA_Z}
  store i64 %cta.z, ptr %p.cta.z
  br label %prepare
prepare:
  %w = phi i64 [ 0, %cta.open ], [ %w.next, %prepare.warp ]
  %prepared = icmp eq i64 %w, %warp.count
  br i1 %prepared, label %round, label %prepare.warp
prepare.warp:
  %w.offset = mul i64 %w, {at.WARP_BYTES}
  %warp = getelementptr i8, ptr %warps, i64 %w.offset
  %r.offset = mul i64 %w, {register_bytes}
  %registers = getelementptr i8, ptr %all.registers, i64 %r.offset
{zeroes}
  %l.offset = mul i64 %w, {32 * local_bytes}
  %local = getelementptr i8, ptr %all.local, i64 %l.offset
  call void @llvm.memset.p0.i64(ptr %local, i8 {at.POISON}, i64 {32 * local_bytes}, i1 false)
  %base.wide = shl i64 %w, 5
  %base = trunc i64 %base.wide to i32
  {splat("base.all", "i32", "%base")}
  %thread = add {V32} %base.all, {multiples("i32", 1)}
  %valid = icmp ult {V32} %thread, %threads.all
  %valid.mask = bitcast {MASK} %valid to i32
  %tid.x = urem {V32} %thread, %block.x.all
  %thread.row = udiv {V32} %thread, %block.x.all
  %tid.y = urem {V32} %thread.row, %block.y.all
  %tid.z = udiv {V32} %thread.row, %block.y.all
{coordinates}
  store {V32} zeroinitializer, ptr %warp, align 64
  %at.waiting = getelementptr i8, ptr %warp, i64 {at.WARP_WAITING}
  store i32 0, ptr %at.waiting
  %at.exited = getelementptr i8, ptr %warp, i64 {at.WARP_EXITED}
  store i32 0, ptr %at.exited
  %at.valid = getelementptr i8, ptr %warp, i64 {at.WARP_VALID}
  store i32 %valid.mask, ptr %at.valid
  %at.parked = getelementptr i8, ptr %warp, i64 {at.WARP_PARKED}
  store i32 0, ptr %at.parked
  %at.barrier = getelementptr i8, ptr %warp, i64 {at.WARP_BARRIER}
  store i32 -1, ptr %at.barrier
  %at.fuel = getelementptr i8, ptr %warp, i64 {at.WARP_FUEL}
  store i64 %fuel.per.warp, ptr %at.fuel
  %at.clock = getelementptr i8, ptr %warp, i64 {at.WARP_CLOCK}
  store i64 0, ptr %at.clock
  %at.sync = getelementptr i8, ptr %warp, i64 {at.WARP_SYNC}
  store i64 0, ptr %at.sync
  %w.next = add i64 %w, 1
  br label %prepare
round:
  br label %turn
turn:
  ; %living: warps with lanes that have not exited; %stuck: some lane waits for a warp sync; %barrier: -1 none yet.
  %t = phi i64 [ 0, %round ], [ %t.next, %turn.over ]
  %living = phi i64 [ 0, %round ], [ %living.new, %turn.over ]
  %stuck = phi i1 [ false, %round ], [ %stuck.new, %turn.over ]
  %barrier = phi i32 [ -1, %round ], [ %barrier.new, %turn.over ]
  %mixed = phi i1 [ false, %round ], [ %mixed.new, %turn.over ]
  %round.over = icmp eq i64 %t, %warp.count
  br i1 %round.over, label %judge, label %turn.warp
turn.warp:
  {turn}
  %t.offset = mul i64 %warp.rank, {at.WARP_BYTES}
  %turn.state = getelementptr i8, ptr %warps, i64 %t.offset
  %t.r.offset = mul i64 %warp.rank, {register_bytes}
  %turn.registers = getelementptr i8, ptr %all.registers, i64 %t.r.offset
  %t.l.offset = mul i64 %warp.rank, {32 * local_bytes}
  %turn.local = getelementptr i8, ptr %all.local, i64 %t.l.offset
  %p.local = getelementptr i64, ptr %env, i64 {at.LOCAL}
  store ptr %turn.local, ptr %p.local
  %p.warp = getelementptr i64, ptr %env, i64 {at.WARP}
  store i64 %warp.rank, ptr %p.warp
  %t.fuel.at = getelementptr i8, ptr %turn.state, i64 {at.WARP_FUEL}
  %t.fuel = load i64, ptr %t.fuel.at
  %p.fuel = getelementptr i64, ptr %env, i64 {at.FUEL}
  store i64 %t.fuel, ptr %p.fuel
  %t.sync.at = getelementptr i8, ptr %turn.state, i64 {at.WARP_SYNC}
  %t.sync = load i64, ptr %t.sync.at
  %p.sync = getelementptr i64, ptr %env, i64 {at.TIME_OF_WARP}
  store i64 %t.sync, ptr %p.sync
  call void @warp(ptr %turn.registers, ptr %turn.state, ptr %env)
  %t.fuel.left = load i64, ptr %p.fuel
  store i64 %t.fuel.left, ptr %t.fuel.at
  %p.fault = getelementptr i64, ptr %env, i64 {at.FAULT_KIND}
  %fault = load i64, ptr %p.fault
  %faulted = icmp ne i64 %fault, 0
  br i1 %faulted, label %stop, label %turn.over
turn.over:
  %t.exited.at = getelementptr i8, ptr %turn.state, i64 {at.WARP_EXITED}
  %t.exited = load i32, ptr %t.exited.at
  %t.valid.at = getelementptr i8, ptr %turn.state, i64 {at.WARP_VALID}
  %t.valid = load i32, ptr %t.valid.at
  %t.parked.at = getelementptr i8, ptr %turn.state, i64 {at.WARP_PARKED}
  %t.parked = load i32, ptr %t.parked.at
  %t.barrier.at = getelementptr i8, ptr %turn.state, i64 {at.WARP_BARRIER}
  %t.barrier = load i32, ptr %t.barrier.at
  %lives = icmp ne i32 %t.exited, %t.valid
  %lives.wide = zext i1 %lives to i64
  %living.new = add i64 %living, %lives.wide
  %parked = icmp ne i32 %t.parked, 0
  %stuck.new = or i1 %stuck, %parked
  %fresh = icmp eq i32 %barrier, -1
  %barrier.now = select i1 %fresh, i32 %t.barrier, i32 %barrier
  %barrier.new = select i1 %lives, i32 %barrier.now, i32 %barrier
  %other = icmp ne i32 %t.barrier, %barrier.new
  %differs = and i1 %other, %lives
  %mixed.new = or i1 %mixed, %differs
  %t.next = add i64 %t, 1
  br label %turn
judge:
  %dead = icmp eq i64 %living, 0
  br i1 %dead, label %cta.done, label %barrier.check
barrier.check:
  %blocked = or i1 %stuck, %mixed
  br i1 %blocked, label %deadlock, label %release
deadlock:
  {slot("counters.ptr", at.COUNTERS, "ptr")}
  call void @fault(ptr %env, i64 {at.DEADLOCK}, ptr %counters.ptr, i64 0, i64 0)
  br label %stop
release:
  %p.phases = getelementptr i64, ptr %env, i64 {at.PHASES}
  %phases = load i64, ptr %p.phases
  %phases.more = add i64 %phases, 1
  store i64 %phases.more, ptr %p.phases
  %p.time.released = getelementptr i64, ptr %env, i64 {at.TIME}
  %time.before = load i64, ptr %p.time.released
  %time.released = add i64 %time.before, 1
  store i64 %time.released, ptr %p.time.released
  %p.barrier.released = getelementptr i64, ptr %env, i64 {at.TIME_OF_BARRIER}
  store i64 %time.released, ptr %p.barrier.released
  br label %wake
wake:
  %k = phi i64 [ 0, %release ], [ %k.next, %wake.warp ]
  %awake = icmp eq i64 %k, %warp.count
  br i1 %awake, label %round, label %wake.warp
wake.warp:
  %k.offset = mul i64 %k, {at.WARP_BYTES}
  %k.state = getelementptr i8, ptr %warps, i64 %k.offset
  %k.waiting = getelementptr i8, ptr %k.state, i64 {at.WARP_WAITING}
  store i32 0, ptr %k.waiting
  %k.barrier = getelementptr i8, ptr %k.state, i64 {at.WARP_BARRIER}
  store i32 -1, ptr %k.barrier
  %k.next = add i64 %k, 1
  br label %wake
cta.done:
  %rank.next = add i64 %rank, %step
  br label %cta
finished:
  ret i64 0
stop:
  ret i64 1
}}
"""
