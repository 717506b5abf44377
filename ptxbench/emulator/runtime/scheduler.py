"""`run_ctas`: runs CTAs on a host thread; the warps of a CTA take turns.

A warp runs until each of its lanes waits or has exited, or until it has used up its turn in a loop, perhaps while it
waits for stores of other threads. CTAs run one after the other. If they may wait for each other (env slot CTA_SLOTS
above 1), a CTA in which every warp only loops yields to the next, until all that fit are resident and take turns.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import cluster_schedule, conditions
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.barriers import CHECK_ALL
from ptxbench.emulator.runtime.context import MASK, V32, RuntimeFunction, multiples, slot, splat
from ptxbench.emulator.runtime.copies import ENTRIES, QUEUE_BYTES
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.trips import CLOSE_ALL, close_all
from ptxbench.emulator.runtime.watch import NOTHING
from ptxbench.emulator.types import LANES

TURN = 65_536
"""Loop iterations that a warp may run in one turn."""
MOST_IDLE = 4096
"""Rounds in which all warps only test mbarriers, after which the launch counts as deadlocked."""
NEEDS: tuple[RuntimeFunction, ...] = (CHECK_ALL, FAULT, NOTHING["cta_opened"], NOTHING["cta_entered"])
DECLARATIONS = (
    "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
    "declare i64 @llvm.smin.i64(i64, i64)",
    "declare i64 @llvm.smax.i64(i64, i64)",
)
DONE, YIELDED, FAULTED, BLOCKED = cluster_schedule.RESULTS


def scheduler(
    register_bytes: int,
    local_bytes: int,
    cleared_bytes: int,
    unwritten: tuple[tuple[int, int], ...],
    zeroed: tuple[tuple[int, int], ...],
    *,
    reverse: bool = False,
    queues: bool = False,
    reserved_bytes: int = 0,
    loops: int = 0,
    clustered: bool = False,
) -> str:
    """`run_ctas(env)`: runs CTAs FIRST_CTA, FIRST_CTA + CTA_STEP, ... below CTA_COUNT; 0, or 1 after a fault.

    With CHUNK above 0: runs of CHUNK neighbouring CTAs, from the counter at NEXT_CHUNK that host threads share.

    `cleared_bytes`: bytes of a thread's local memory that are reset for each CTA; calls clear the rest, its stack.
    `reverse`: the highest warp of a CTA goes first. `unwritten`: (offset, bytes) of the registers that may be read
    before they are written; `zeroed`: of registers that start as zeros. `queues`: warps have queues of asynchronous
    copies. `reserved_bytes`: zeros from the driver at the start of a CTA's shared memory.
    `loops`: how many loops the kernel has. `clustered`: CTAs run in clusters (clusters.py); the numbers at FIRST_CTA,
    CTA_STEP, CTA_COUNT and CHUNK are then those of clusters, and CTA_SLOTS has room for whole ones.
    """
    return "\n".join(
        [
            enter_cta(register_bytes, local_bytes, clustered),
            open_cta(register_bytes, local_bytes, cleared_bytes, unwritten, zeroed, queues, reserved_bytes),
            close_all(loops, register_bytes),
            run_cta(register_bytes, local_bytes, reverse, clustered),
            cluster_schedule.run(reverse) if clustered else RUN_CTAS,
        ]
    )


def enter_cta(register_bytes: int, local_bytes: int, clustered: bool) -> str:
    """`enter_cta(env, slot)`: make the CTA in `slot` the current one."""
    return f"""
define internal void @enter_cta(ptr %env, i64 %slot) {{
  {slot("warp.count", at.WARP_COUNT)}
  %first.warp = mul i64 %slot, %warp.count
  {slot("shared.stride", at.SHARED_STRIDE)}
  {slot("shadow.stride", at.SHADOW_STRIDE)}
  {slot("own.stride", at.LOCAL_SHADOW_STRIDE)}
  {part("header", at.CTA_HEADERS, at.CTA_STATE, "%slot", at.CTA_BYTES)}
  {part("warps", at.FIRST_WARPS, at.WARPS, "%first.warp", at.WARP_BYTES)}
  {part("registers", at.FIRST_REGISTERS, at.REGISTERS, "%first.warp", register_bytes)}
  {part("local", at.FIRST_LOCAL, at.ALL_LOCAL, "%first.warp", 32 * local_bytes)}
  {part("queues", at.FIRST_QUEUES, at.QUEUES, "%first.warp", QUEUE_BYTES)}
  {part("shared", at.FIRST_SHARED, at.SHARED, "%slot", "%shared.stride")}
  ; Of a sanitised kernel: the shadows of this CTA's memory, and its times.
  {part("shadow", at.FIRST_SHADOW, at.SHADOW, "%slot", "%shadow.stride")}
  {part("own", at.FIRST_LOCAL_SHADOW, at.LOCAL_SHADOW, "%slot", "%own.stride")}
  {recall("started", at.CTA_START, at.TIME_OF_START)}
  {recall("met", at.CTA_BARRIER, at.TIME_OF_BARRIER)}
  {recall("rank", at.CTA_RANK, at.CTA)}
  {slot("grid.x", at.GRID_X)}
  {slot("grid.y", at.GRID_Y)}
  %row = udiv i64 %rank, %grid.x
  %cta.x = urem i64 %rank, %grid.x
  %cta.y = urem i64 %row, %grid.y
  %cta.z = udiv i64 %row, %grid.y
  %p.cta.x = getelementptr i64, ptr %env, i64 {at.CTA_X}
  store i64 %cta.x, ptr %p.cta.x
  %p.cta.y = getelementptr i64, ptr %env, i64 {at.CTA_Y}
  store i64 %cta.y, ptr %p.cta.y
  %p.cta.z = getelementptr i64, ptr %env, i64 {at.CTA_Z}
  store i64 %cta.z, ptr %p.cta.z
  {cluster_schedule.ENTER if clustered else ""}
  call void @cta_entered(ptr %env)
  ret void
}}
"""


def part(name: str, first: int, current: int, index: str, size: int | str) -> str:
    """Lines that point %name, and the context's slot `current`, to part `index` of the array at slot `first`."""
    return f"""{slot(f"{name}.0", first, "ptr")}
  %{name}.offset = mul i64 {index}, {size}
  %{name} = getelementptr i8, ptr %{name}.0, i64 %{name}.offset
  %p.{name} = getelementptr i64, ptr %env, i64 {current}
  store ptr %{name}, ptr %p.{name}"""


def recall(name: str, offset: int, current: int) -> str:
    """Lines that set %name, and the context's slot `current`, to the value at `offset` in the CTA's header."""
    return f"""%{name}.at = getelementptr i8, ptr %header, i64 {offset}
  %{name} = load i64, ptr %{name}.at
  %p.{name} = getelementptr i64, ptr %env, i64 {current}
  store i64 %{name}, ptr %p.{name}"""


def clear_local(local_bytes: int, cleared_bytes: int) -> str:
    """Lines that fill the first bytes of the local memory of a warp's threads with %memory."""
    if cleared_bytes == local_bytes:
        return f"  call void @llvm.memset.p0.i64(ptr %local, i8 %memory, i64 {32 * local_bytes}, i1 false)"
    return "\n".join(
        f"  %own.{lane} = getelementptr i8, ptr %local, i64 {lane * local_bytes}\n"
        f"  call void @llvm.memset.p0.i64(ptr %own.{lane}, i8 %memory, i64 {cleared_bytes}, i1 false)"
        for lane in range(LANES)
    )


def open_cta(
    register_bytes: int,
    local_bytes: int,
    cleared_bytes: int,
    unwritten: tuple[tuple[int, int], ...],
    zeroed: tuple[tuple[int, int], ...],
    queues: bool,
    reserved_bytes: int,
) -> str:
    """`open_cta(env, slot, rank)`: start CTA `rank` in `slot`."""
    zeroes = "\n".join(
        f"  %z{i} = getelementptr i8, ptr %registers, i64 {offset}\n"
        + (
            f"  store <{size} x i8> zeroinitializer, ptr %z{i}, align 4"
            if size <= 64
            else f"  call void @llvm.memset.p0.i64(ptr %z{i}, i8 0, i64 {size}, i1 false)"
        )
        for i, (offset, size) in enumerate(zeroed)
    )
    zeroes += "".join(
        f"\n  %u{i} = getelementptr i8, ptr %registers, i64 {offset}\n"
        f"  call void @llvm.memset.p0.i64(ptr %u{i}, i8 %unwritten, i64 {size}, i1 false)"
        for i, (offset, size) in enumerate(unwritten)
    )
    if queues:
        zeroes += f"""
  %q.offset = mul i64 %w, {QUEUE_BYTES}
  {slot("queues", at.QUEUES, "ptr")}
  %queue = getelementptr i8, ptr %queues, i64 %q.offset
  call void @llvm.memset.p0.i64(ptr %queue, i8 0, i64 {ENTRIES}, i1 false)"""
    coordinates = ""
    for axis, value in (("x", "%tid.x"), ("y", "%tid.y"), ("z", "%tid.z")):
        coordinates += (
            f"  %at.{axis} = getelementptr i8, ptr %warp, i64 {at.WARP_TID + 128 * 'xyz'.index(axis)}\n"
            f"  store {V32} {value}, ptr %at.{axis}, align 64\n"
        )
    return f"""
define internal void @open_cta(ptr %env, i64 %slot, i64 %rank) {{
entry:
  {slot("headers", at.CTA_HEADERS, "ptr")}
  %h.offset = mul i64 %slot, {at.CTA_BYTES}
  %header = getelementptr i8, ptr %headers, i64 %h.offset
  call void @llvm.memset.p0.i64(ptr %header, i8 0, i64 {at.CTA_BYTES}, i1 false)
  %p.rank = getelementptr i8, ptr %header, i64 {at.CTA_RANK}
  store i64 %rank, ptr %p.rank
  %p.live = getelementptr i8, ptr %header, i64 {at.CTA_LIVE}
  store i64 1, ptr %p.live
  {slot("time", at.TIME)}
  %time.start = add i64 %time, 1
  store i64 %time.start, ptr %time.at
  %p.start = getelementptr i8, ptr %header, i64 {at.CTA_START}
  store i64 %time.start, ptr %p.start
  %p.barrier.time = getelementptr i8, ptr %header, i64 {at.CTA_BARRIER}
  store i64 %time.start, ptr %p.barrier.time
  call void @enter_cta(ptr %env, i64 %slot)
  call void @cta_opened(ptr %env)
  {slot("block.x", at.BLOCK_X)}
  {slot("block.y", at.BLOCK_Y)}
  {slot("threads", at.THREADS)}
  {slot("warp.count", at.WARP_COUNT)}
  {slot("warps", at.WARPS, "ptr")}
  {slot("all.registers", at.REGISTERS, "ptr")}
  {slot("fuel.per.warp", at.FUEL_PER_WARP)}
  {slot("shared", at.SHARED, "ptr")}
  {slot("shared.bytes", at.SHARED_BYTES)}
  {slot("all.local", at.ALL_LOCAL, "ptr")}
  %threads.short = trunc i64 %threads to i32
  {splat("threads.all", "i32", "%threads.short")}
  %block.x.short = trunc i64 %block.x to i32
  {splat("block.x.all", "i32", "%block.x.short")}
  %block.y.short = trunc i64 %block.y to i32
  {splat("block.y.all", "i32", "%block.y.short")}
  %memory.wide = {conditions.MEMORY.load}
  %memory = trunc i64 %memory.wide to i8
  %unwritten.wide = {conditions.REGISTERS.load}
  %unwritten = trunc i64 %unwritten.wide to i8
  call void @llvm.memset.p0.i64(ptr %shared, i8 %memory, i64 %shared.bytes, i1 false)
  call void @llvm.memset.p0.i64(ptr %shared, i8 0, i64 {reserved_bytes}, i1 false)
  br label %prepare
prepare:
  %w = phi i64 [ 0, %entry ], [ %w.next, %reset ]
  %prepared = icmp eq i64 %w, %warp.count
  br i1 %prepared, label %done, label %prepare.warp
prepare.warp:
  %w.offset = mul i64 %w, {at.WARP_BYTES}
  %warp = getelementptr i8, ptr %warps, i64 %w.offset
  %r.offset = mul i64 %w, {register_bytes}
  %registers = getelementptr i8, ptr %all.registers, i64 %r.offset
{zeroes}
  %l.offset = mul i64 %w, {32 * local_bytes}
  %local = getelementptr i8, ptr %all.local, i64 %l.offset
{clear_local(local_bytes, cleared_bytes)}
  %at.valid = getelementptr i8, ptr %warp, i64 {at.WARP_VALID}
  %valid.known = load i32, ptr %at.valid
  %known = icmp ne i32 %valid.known, 0
  br i1 %known, label %reset, label %place
place:
  ; The first CTA in this slot: its threads' coordinates are those of all that follow.
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
  br label %reset
reset:
  %valid.lanes = phi i32 [ %valid.known, %prepare.warp ], [ %valid.mask, %place ]
  store <48 x i32> zeroinitializer, ptr %warp, align 64
  store i32 %valid.lanes, ptr %at.valid
  %at.fuel = getelementptr i8, ptr %warp, i64 {at.WARP_FUEL}
  store i64 %fuel.per.warp, ptr %at.fuel
  %w.next = add i64 %w, 1
  br label %prepare
done:
  ret void
}}
"""


def run_cta(register_bytes: int, local_bytes: int, reverse: bool, clustered: bool) -> str:
    """`run_cta(env)`: rounds of turns of the current CTA, until it has ended or faulted, or after a round in which
    every running warp only looped; if CTAs take turns, after any round. In a cluster also if all wait for it."""
    stuck = cluster_schedule.stuck(BLOCKED, YIELDED) if clustered else "stuck:\n  br label %deadlock"
    wake = "call void @wake_cluster(ptr %env)" if clustered else ""
    rank = "%rank = add i64 %t, 0"
    if reverse:
        rank = "%rank.up = add i64 %t, 1\n  %rank = sub i64 %warp.count, %rank.up"
    return f"""
define internal i64 @run_cta(ptr %env) {{
entry:
  {slot("warp.count", at.WARP_COUNT)}
  {slot("warps", at.WARPS, "ptr")}
  {slot("all.registers", at.REGISTERS, "ptr")}
  {slot("all.local", at.ALL_LOCAL, "ptr")}
  {slot("queues", at.QUEUES, "ptr")}
  %p.queue = getelementptr i64, ptr %env, i64 {at.QUEUE}
  %p.tested = getelementptr i64, ptr %env, i64 {at.TESTED}
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
  %round.over = icmp eq i64 %t, %warp.count
  br i1 %round.over, label %judge, label %look
look:
  {rank}
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
  %away.1 = or i32 %waiting, %exited
  %away = or i32 %away.1, %parked
  %ready = icmp ne i32 %away, %valid
  br i1 %ready, label %run, label %over
run:
  %r.offset = mul i64 %rank, {register_bytes}
  %registers = getelementptr i8, ptr %all.registers, i64 %r.offset
  %l.offset = mul i64 %rank, {32 * local_bytes}
  %local = getelementptr i8, ptr %all.local, i64 %l.offset
  store ptr %local, ptr %p.local
  %q.offset = mul i64 %rank, {QUEUE_BYTES}
  %queue = getelementptr i8, ptr %queues, i64 %q.offset
  store ptr %queue, ptr %p.queue
  store i64 0, ptr %p.tested
  store i64 %rank, ptr %p.warp
  %fuel.at = getelementptr i8, ptr %state, i64 {at.WARP_FUEL}
  %fuel = load i64, ptr %fuel.at
  %given = call i64 @llvm.smin.i64(i64 %fuel, i64 {TURN})
  store i64 %given, ptr %p.fuel
  store i64 0, ptr %p.hurry
  %sync.at = getelementptr i8, ptr %state, i64 {at.WARP_SYNC}
  %sync = load i64, ptr %sync.at
  store i64 %sync, ptr %p.sync
  call void @warp(ptr %registers, ptr %state, ptr %env)
  %fault = load i64, ptr %p.fault
  %faulted = icmp ne i64 %fault, 0
  br i1 %faulted, label %stop, label %account
account:
  %left.raw = load i64, ptr %p.fuel
  %left = call i64 @llvm.smax.i64(i64 %left.raw, i64 0)
  %hurry = load i64, ptr %p.hurry
  %spent.all = sub i64 %given, %left
  %spent = sub i64 %spent.all, %hurry
  %fuel.left = sub i64 %fuel, %spent
  store i64 %fuel.left, ptr %fuel.at
  %waiting.now = load i32, ptr %waiting.at
  %exited.now = load i32, ptr %exited.at
  %parked.now = load i32, ptr %parked.at
  %away.2 = or i32 %waiting.now, %exited.now
  %away.now = or i32 %away.2, %parked.now
  %loops = icmp ne i32 %away.now, %valid
  %dry = icmp sle i64 %fuel.left, 0
  %exhausted = and i1 %dry, %loops
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
  %t.next = add i64 %t, 1
  br label %turn
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
  {slot("by.turns", at.BY_TURNS)}
  %stays = icmp eq i64 %by.turns, 0
  %again = and i1 %moved, %stays
  br i1 %again, label %round, label %yield
{stuck}
deadlock:
  {slot("counters.ptr", at.COUNTERS, "ptr")}
  call void @fault(ptr %env, i64 {at.DEADLOCK}, ptr %counters.ptr, i64 0, i64 0)
  br label %stop
yield:
  ret i64 {YIELDED}
ended:
  call void @{CLOSE_ALL}(ptr %env)
  ret i64 {DONE}
stop:
  ret i64 {FAULTED}
}}
"""


RUN_CTAS = f"""
define i64 @run_ctas(ptr %env) {{
entry:
  {slot("first", at.FIRST_CTA)}
  {slot("step", at.CTA_STEP)}
  {slot("count", at.CTA_COUNT)}
  {slot("chunk", at.CHUNK)}
  {slot("claims", at.NEXT_CHUNK, "ptr")}
  {slot("slots", at.CTA_SLOTS)}
  {slot("headers", at.CTA_HEADERS, "ptr")}
  {slot("by.turns", at.BY_TURNS)}
  %backwards = icmp ne i64 %by.turns, 0
  %alone = icmp eq i64 %chunk, 0
  %first.end = select i1 %alone, i64 %count, i64 0
  br label %start
start:
  ; The next CTA, in the lowest free slot. %high: the slots from there on are free.
  %next.old = phi i64 [ %first, %entry ], [ %next.after, %started ], [ %next, %pass.over ]
  %end.old = phi i64 [ %first.end, %entry ], [ %end, %started ], [ %end, %pass.over ]
  %high = phi i64 [ 0, %entry ], [ %high.after, %started ], [ %high, %pass.over ]
  %live = phi i64 [ 0, %entry ], [ %live.after, %started ], [ %live.pass, %pass.over ]
  %spent = icmp uge i64 %next.old, %end.old
  %others = xor i1 %alone, true
  %claims.one = and i1 %spent, %others
  br i1 %claims.one, label %claim, label %claimed
claim:
  ; Host threads share the CTAs: the next run of neighbours, which may lie behind the last CTA.
  %taken = atomicrmw add ptr %claims, i64 %chunk monotonic
  %claim.end = add i64 %taken, %chunk
  %claim.past = icmp ugt i64 %claim.end, %count
  %claim.last = select i1 %claim.past, i64 %count, i64 %claim.end
  br label %claimed
claimed:
  %next = phi i64 [ %next.old, %start ], [ %taken, %claim ]
  %end = phi i64 [ %end.old, %start ], [ %claim.last, %claim ]
  %none.left = icmp uge i64 %next, %end
  %full = icmp uge i64 %live, %slots
  %wait = or i1 %none.left, %full
  br i1 %wait, label %pass, label %search
search:
  %s = phi i64 [ 0, %claimed ], [ %s.next, %search.next ]
  %beyond = icmp uge i64 %s, %high
  br i1 %beyond, label %open, label %search.look
search.look:
  %s.offset = mul i64 %s, {at.CTA_BYTES}
  %s.header = getelementptr i8, ptr %headers, i64 %s.offset
  %s.live.at = getelementptr i8, ptr %s.header, i64 {at.CTA_LIVE}
  %s.live = load i64, ptr %s.live.at
  %s.free = icmp eq i64 %s.live, 0
  br i1 %s.free, label %open, label %search.next
search.next:
  %s.next = add i64 %s, 1
  br label %search
open:
  call void @open_cta(ptr %env, i64 %s, i64 %next)
  %first.run = call i64 @run_cta(ptr %env)
  %first.fault = icmp eq i64 %first.run, {FAULTED}
  br i1 %first.fault, label %stop, label %started
started:
  %stays = icmp eq i64 %first.run, {YIELDED}
  %stays.wide = zext i1 %stays to i64
  %o.offset = mul i64 %s, {at.CTA_BYTES}
  %o.header = getelementptr i8, ptr %headers, i64 %o.offset
  %o.live.at = getelementptr i8, ptr %o.header, i64 {at.CTA_LIVE}
  store i64 %stays.wide, ptr %o.live.at
  %live.after = add i64 %live, %stays.wide
  %s.end = add i64 %s, %stays.wide
  %higher = icmp ugt i64 %s.end, %high
  %high.after = select i1 %higher, i64 %s.end, i64 %high
  %next.after = add i64 %next, %step
  br label %start
pass:
  %idle = icmp eq i64 %live, 0
  br i1 %idle, label %finished, label %pass.next
pass.next:
  %p = phi i64 [ 0, %pass ], [ %p.next, %pass.skip ]
  %live.pass = phi i64 [ %live, %pass ], [ %live.less, %pass.skip ]
  %p.over = icmp uge i64 %p, %high
  br i1 %p.over, label %pass.over, label %pass.look
pass.look:
  ; By turns the last goes first: in the other order each would find what those before it have just written.
  %p.down.1 = add i64 %p, 1
  %p.down = sub i64 %high, %p.down.1
  %p.slot = select i1 %backwards, i64 %p.down, i64 %p
  %p.offset = mul i64 %p.slot, {at.CTA_BYTES}
  %p.header = getelementptr i8, ptr %headers, i64 %p.offset
  %p.live.at = getelementptr i8, ptr %p.header, i64 {at.CTA_LIVE}
  %p.live = load i64, ptr %p.live.at
  %p.free = icmp eq i64 %p.live, 0
  br i1 %p.free, label %pass.skip, label %pass.run
pass.run:
  call void @enter_cta(ptr %env, i64 %p.slot)
  %again = call i64 @run_cta(ptr %env)
  %again.fault = icmp eq i64 %again, {FAULTED}
  br i1 %again.fault, label %stop, label %pass.ran
pass.ran:
  %remains = icmp eq i64 %again, {YIELDED}
  %remains.wide = zext i1 %remains to i64
  store i64 %remains.wide, ptr %p.live.at
  br label %pass.skip
pass.skip:
  %kept = phi i64 [ 1, %pass.look ], [ %remains.wide, %pass.ran ]
  %ended = sub i64 1, %kept
  %live.less = sub i64 %live.pass, %ended
  %p.next = add i64 %p, 1
  br label %pass.next
pass.over:
  br label %start
finished:
  ret i64 0
stop:
  ret i64 1
}}
"""
