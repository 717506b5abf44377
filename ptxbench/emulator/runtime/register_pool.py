"""setmaxnreg: the registers of each warp, and the pool of its CTA.

A warp's register file has its state at `offset`: its registers per thread, 0 until it changes them; how often it has
changed them; the number it waits for, 0 if it does not wait. The CTA's header has the pool: the sum of the registers
per thread that warps have given back. (PTX ISA, "setmaxnreg".)
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import CTTZ, RuntimeFunction, slot
from ptxbench.emulator.runtime.faults import FAULT, fault_of_lowest

HELD, CHANGES, WANTED, BYTES = 0, 4, 8, 64
"""Byte offsets of the state, and its bytes."""
WARPGROUP = 4
"""Warps of a warpgroup."""

SOME_THREADS, GROWS, SHRINKS, AHEAD, UNLIKE, UNEQUAL = range(160, 166)
"""Reasons for MISUSED."""
COMPLAINTS = {
    SOME_THREADS: "is not executed by all threads of the warp",
    GROWS: "asks for more registers than the warp has; .dec needs at most as many",
    SHRINKS: "asks for fewer registers than the warp has; .inc needs at least as many",
    AHEAD: "changes the registers again before every warp of the warpgroup has executed the previous setmaxnreg",
    UNLIKE: "asks for another number of registers than another warp of the warpgroup, which must execute the same one",
    UNEQUAL: "exits, but another warp of the warpgroup has not executed as many setmaxnreg as this one",
}


def of_warp(name: str, registers: str, offset: int, field: int) -> str:
    """Lines that load a field of the state of the warp whose register file is `registers` into %NAME."""
    return f"""%{name}.at = getelementptr i8, ptr {registers}, i64 {offset + field}
  %{name} = load i32, ptr %{name}.at"""


def each_warp(register_bytes: int) -> str:
    """The head of a loop over the warps of the warpgroup, from block %start: %k, its register file %other."""
    return f"""{slot("rank", at.WARP)}
  {slot("count", at.WARP_COUNT)}
  {slot("all.registers", at.REGISTERS, "ptr")}
  %first = and i64 %rank, -{WARPGROUP}
  %end.full = add i64 %first, {WARPGROUP}
  %past = icmp ugt i64 %end.full, %count
  %end = select i1 %past, i64 %count, i64 %end.full
  br label %next
next:
  %k = phi i64 [ %first, %start ], [ %k.next, %onward ]
  %over = icmp eq i64 %k, %end
  br i1 %over, label %all.alike, label %look
look:
  %k.next = add i64 %k, 1
  %k.offset = mul i64 %k, {register_bytes}
  %other = getelementptr i8, ptr %all.registers, i64 %k.offset"""


def change(offset: int, initial: int, register_bytes: int) -> RuntimeFunction:
    """`change_registers(env, registers, warp, site, lanes, asked, less)`: give the warp `asked` registers per thread.

    Returns whether the warp continues; else it must try again. `less`: for .dec. `lanes`: those that execute the
    instruction. `initial`: the registers per thread at the start of the kernel.
    """
    text = f"""
define internal i1 @change_registers(ptr %env, ptr %registers, ptr %warp, ptr %site, i32 %lanes, i32 %asked,
                                     i1 %less) noinline {{
entry:
  %none = icmp eq i32 %lanes, 0
  br i1 %none, label %passed, label %some
some:
  %valid.at = getelementptr i8, ptr %warp, i64 {at.WARP_VALID}
  %valid = load i32, ptr %valid.at
  %some.lanes = icmp ne i32 %lanes, %valid
  br i1 %some.lanes, label %wrong, label %whole
whole:
  {of_warp("registers.stored", "%registers", offset, HELD)}
  {of_warp("changes", "%registers", offset, CHANGES)}
  {of_warp("wanted", "%registers", offset, WANTED)}
  %unchanged = icmp eq i32 %registers.stored, 0
  %register.count = select i1 %unchanged, i32 {initial}, i32 %registers.stored
  %asks.more = icmp ugt i32 %asked, %register.count
  %grows = and i1 %asks.more, %less
  br i1 %grows, label %wrong, label %not.up
not.up:
  %asks.fewer = icmp ult i32 %asked, %register.count
  %more = xor i1 %less, true
  %shrinks = and i1 %asks.fewer, %more
  br i1 %shrinks, label %wrong, label %start
start:
  {each_warp(register_bytes)}
  {of_warp("other.register.count", "%other", offset, HELD)}
  {of_warp("other.changes", "%other", offset, CHANGES)}
  %other.is.behind = icmp ult i32 %other.changes, %changes
  br i1 %other.is.behind, label %wrong, label %not.behind
not.behind:
  %later = icmp ugt i32 %other.changes, %changes
  %differs = icmp ne i32 %other.register.count, %asked
  %other.count.differs = and i1 %later, %differs
  br i1 %other.count.differs, label %wrong, label %onward
onward:
  br label %next
all.alike:
  {slot("header", at.CTA_STATE, "ptr")}
  %pool.at = getelementptr i8, ptr %header, i64 {at.CTA_POOL}
  %pool = load i32, ptr %pool.at
  %need = sub i32 %asked, %register.count
  %lacking = icmp sgt i32 %need, %pool
  br i1 %lacking, label %wait, label %take
wait:
  store i32 %asked, ptr %wanted.at
  ret i1 false
take:
  %pool.less = sub i32 %pool, %need
  store i32 %pool.less, ptr %pool.at
  store i32 %asked, ptr %registers.stored.at
  %changes.more = add i32 %changes, 1
  store i32 %changes.more, ptr %changes.at
  store i32 0, ptr %wanted.at
  br label %passed
wrong:
  %reason = phi i64 [ {SOME_THREADS}, %some ], [ {GROWS}, %whole ], [ {SHRINKS}, %not.up ], [ {AHEAD}, %look ],
                 [ {UNLIKE}, %not.behind ]
  {fault_of_lowest("%lanes", at.MISUSED, "%reason")}
  br label %passed
passed:
  ret i1 true
}}
"""
    return RuntimeFunction("change_registers", text, (FAULT,), (CTTZ,))


def leave(offset: int, register_bytes: int) -> RuntimeFunction:
    """`leave_warpgroup(env, registers, warp, site, lanes)`: lanes have exited. The last warp of a warpgroup to exit
    must have executed as many setmaxnreg as the others."""
    text = f"""
define internal void @leave_warpgroup(ptr %env, ptr %registers, ptr %warp, ptr %site, i32 %lanes) noinline {{
entry:
  {all_exited("this", "%warp")}
  br i1 %this.gone, label %start, label %all.alike
start:
  {of_warp("changes", "%registers", offset, CHANGES)}
  {slot("warps", at.WARPS, "ptr")}
  {each_warp(register_bytes)}
  {of_warp("other.changes", "%other", offset, CHANGES)}
  %w.offset = mul i64 %k, {at.WARP_BYTES}
  %other.warp = getelementptr i8, ptr %warps, i64 %w.offset
  {all_exited("other", "%other.warp")}
  %differs = icmp ne i32 %other.changes, %changes
  %unequal = and i1 %differs, %other.gone
  br i1 %unequal, label %wrong, label %onward
onward:
  br label %next
wrong:
  {fault_of_lowest("%lanes", at.MISUSED, UNEQUAL)}
  br label %all.alike
all.alike:
  ret void
}}
"""
    return RuntimeFunction("leave_warpgroup", text, (FAULT,), (CTTZ,))


def all_exited(name: str, warp: str) -> str:
    """Lines that set %NAME.gone if all lanes of `warp` have exited."""
    return f"""%{name}.exited.at = getelementptr i8, ptr {warp}, i64 {at.WARP_EXITED}
  %{name}.exited = load i32, ptr %{name}.exited.at
  %{name}.valid.at = getelementptr i8, ptr {warp}, i64 {at.WARP_VALID}
  %{name}.valid = load i32, ptr %{name}.valid.at
  %{name}.gone = icmp eq i32 %{name}.exited, %{name}.valid"""
