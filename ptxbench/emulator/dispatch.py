"""The function that runs a warp: which lanes continue next.

`dispatch` takes the lowest program counter among the lanes that can run, and jumps to its block with the mask of the
lanes there. This order reconverges diverged lanes.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context
from ptxbench.emulator.runtime.context import MASK, V32, RuntimeFunction
from ptxbench.emulator.types import LANES

NOWHERE = 0x7FFFFFFF
"""The program counter of a lane that has exited."""
MOST_BRANCHES, BRANCHES = 512, 64
"""The most blocks that one switch branches to; above it, the number of blocks of each second-level switch."""
PATIENCE = 4096
"""How many blocks lanes may run while other lanes of their warp are ready."""


ODD_LANES = sum(1 << lane for lane in range(LANES) if lane.bit_count() % 2)
"""Lanes whose number has an odd number of ones: lanes at a distance of a power of two are in different halves."""


def choose_block(count: int) -> str:
    """LLVM lines that branch to block %block of `count`.

    In two steps if there are many blocks: LLVM's time grows with the square of the branches at one place.
    """

    def cases(numbers: range) -> str:
        return " ".join(f"i32 {number}, label %b{number}" for number in numbers)

    if count <= MOST_BRANCHES:
        return f"switch i32 %block, label %done [ {cases(range(count))} ]"
    firsts = range(0, count, BRANCHES)
    groups = " ".join(f"i32 {k}, label %group{k}" for k in range(len(firsts)))
    lines = [f"%group = udiv i32 %block, {BRANCHES}", f"switch i32 %group, label %done [ {groups} ]"]
    for k, first in enumerate(firsts):
        group_cases = cases(range(first, min(first + BRANCHES, count)))
        lines += [f"group{k}:", f"switch i32 %block, label %done [ {group_cases} ]"]
    return "\n  ".join(lines)


UMIN = f"llvm.vector.reduce.umin.v{LANES}i32"
CHOOSE_LANES = RuntimeFunction("choose_lanes", f"""
define internal i64 @choose_lanes(ptr %warp, i32 %candidates, ptr %patience, i32 %half.lanes) noinline {{
  ; Which lanes continue, and in the upper half of the result, their block. Lanes of the mask %half.lanes, if there are
  ; any, go before others.
entry:
  %served = getelementptr i8, ptr %warp, i64 {context.WARP_SERVED}
  %pcs = load {V32}, ptr %warp, align 64
  ; Usually all lanes are at one block. This test is quicker than to find the lowest program counter.
  %pc.first = extractelement {V32} %pcs, i64 0
  {context.splat("pc.all", "i32", "%pc.first")}
  %at.other.block = icmp ne {V32} %pcs, %pc.all
  %at.other.block.mask = bitcast {MASK} %at.other.block to i32
  %diverged.mask = or i32 %at.other.block.mask, %half.lanes
  %converged = icmp eq i32 %diverged.mask, 0
  br i1 %converged, label %go, label %choose
choose:
  %served.now = load i32, ptr %served
  %unserved.mask = xor i32 %served.now, -1
  %unserved = and i32 %candidates, %unserved.mask
  %all.served = icmp eq i32 %unserved, 0
  %eligible = select i1 %all.served, i32 %candidates, i32 %unserved
  %half = and i32 %eligible, %half.lanes
  %any.half = icmp ne i32 %half, 0
  %first = select i1 %any.half, i32 %half, i32 %eligible
  %half.only = select i1 %any.half, i32 %half.lanes, i32 -1
  %pool = and i32 %candidates, %half.only
  %eligible.vector = bitcast i32 %first to {MASK}
  %masked = select {MASK} %eligible.vector, {V32} %pcs, {V32} splat (i32 {NOWHERE})
  %lowest = call i32 @{UMIN}({V32} %masked)
  {context.splat("lowest.all", "i32", "%lowest")}
  %at.lowest = icmp eq {V32} %pcs, %lowest.all
  %at.lowest.mask = bitcast {MASK} %at.lowest to i32
  %chosen = and i32 %at.lowest.mask, %pool
  %is.all = icmp eq i32 %chosen, %candidates
  br i1 %is.all, label %go, label %leaves.others
leaves.others:
  ; Lanes at the lowest program counter may be waiting for the others, which then get as long a turn.
  %patience.now = load i32, ptr %patience
  %patience.less = sub i32 %patience.now, 1
  store i32 %patience.less, ptr %patience
  %out.of.patience = icmp eq i32 %patience.less, 0
  br i1 %out.of.patience, label %pass, label %go
pass:
  store i32 {PATIENCE}, ptr %patience
  %served.before = select i1 %all.served, i32 0, i32 %served.now
  %served.more = or i32 %served.before, %chosen
  store i32 %served.more, ptr %served
  br label %choose
go:
  %lanes = phi i32 [ %candidates, %entry ], [ %chosen, %choose ], [ %chosen, %leaves.others ]
  %block = phi i32 [ %pc.first, %entry ], [ %lowest, %choose ], [ %lowest, %leaves.others ]
  %lanes.wide = zext i32 %lanes to i64
  %block.wide = zext i32 %block to i64
  %block.high = shl i64 %block.wide, 32
  %both = or i64 %block.high, %lanes.wide
  ret i64 %both
}}
""", declarations=(f"declare i32 @{UMIN}({V32})",))  # fmt: skip


def warp_function(body: str, blocks: int, pointers: str = "") -> str:
    """`warp(registers, warp, env)`: run one warp until every lane waits or has exited.

    With HALVES in the context, one half of the lanes runs as far as it can before the other half starts. `pointers`:
    lines that make room on the stack.
    """
    return f"""
define void @warp(ptr %registers, ptr %warp, ptr %env) noinline {{
entry:
  {pointers}
  %mask = alloca i32, align 4
  %runnable = alloca i32, align 4
  %patience = alloca i32, align 4
  store i32 {PATIENCE}, ptr %patience
  {context.slot("counters", context.COUNTERS, "ptr")}
  {context.slot("params", context.PARAMS, "ptr")}
  {context.slot("halves", context.HALVES)}
  %in.halves = icmp ne i64 %halves, 0
  %half.lanes = select i1 %in.halves, i32 {ODD_LANES}, i32 0
  %waiting.at = getelementptr i8, ptr %warp, i64 {context.WARP_WAITING}
  %waiting = load i32, ptr %waiting.at
  %exited.at = getelementptr i8, ptr %warp, i64 {context.WARP_EXITED}
  %exited = load i32, ptr %exited.at
  %parked.at = getelementptr i8, ptr %warp, i64 {context.WARP_PARKED}
  %parked = load i32, ptr %parked.at
  %valid.at = getelementptr i8, ptr %warp, i64 {context.WARP_VALID}
  %valid = load i32, ptr %valid.at
  %waiting.or.exited = or i32 %waiting, %exited
  %not.ready = or i32 %waiting.or.exited, %parked
  %ready.mask = xor i32 %not.ready, -1
  %ready = and i32 %valid, %ready.mask
  store i32 %ready, ptr %runnable
  br label %dispatch
dispatch:
  %candidates = load i32, ptr %runnable
  %none = icmp eq i32 %candidates, 0
  br i1 %none, label %done, label %choose
choose:
  %choice = call i64 @choose_lanes(ptr %warp, i32 %candidates, ptr %patience, i32 %half.lanes)
  %chosen = trunc i64 %choice to i32
  store i32 %chosen, ptr %mask
  %block.high = lshr i64 %choice, 32
  %block = trunc i64 %block.high to i32
  {choose_block(blocks)}
done:
  ret void
  {body}
}}
"""
