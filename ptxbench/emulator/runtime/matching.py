"""Which lanes of a warp hold the same value."""

from __future__ import annotations

from ptxbench.emulator.runtime.context import CTTZ, MASK, V32, RuntimeFunction, next_group, splat, vector
from ptxbench.emulator.types import LANES


def match_any(bits: int) -> RuntimeFunction:
    """`match_any_BITS(values, mask)`: for each lane of %mask, the mask of the lanes with the same value."""
    full = vector(bits)
    text = f"""
define internal {V32} @match_any_{bits}({full} %values, i32 %mask) noinline {{
entry:
  %lanes = alloca [{LANES} x i{bits}], align 64
  store {full} %values, ptr %lanes
  br label %next
next:
  %rest = phi i32 [ %mask, %entry ], [ %rest.less, %group ]
  %found = phi {V32} [ zeroinitializer, %entry ], [ %found.more, %group ]
{next_group("%values", "%lanes", "value", bits, "group")}
  {splat("members.all", "i32", "%members")}
  %member.lanes = bitcast i32 %members to {MASK}
  %found.more = select {MASK} %member.lanes, {V32} %members.all, {V32} %found
  br label %next
done:
  ret {V32} %found
}}
"""
    return RuntimeFunction(f"match_any_{bits}", text, (), (CTTZ,))
