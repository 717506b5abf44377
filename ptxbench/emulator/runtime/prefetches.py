"""If a kernel is sanitized: checks whether prefetched bytes are in a buffer."""

from __future__ import annotations

from ptxbench.emulator.runtime.context import GLOBAL_BASE, MASK, V64, RuntimeFunction
from ptxbench.emulator.runtime.faults import RESOLVE_GLOBAL

CHECK = RuntimeFunction(
    "check_prefetch",
    f"""
define internal void @check_prefetch({V64} %a, i32 %asked, ptr %env, ptr %site) noinline {{
  ; The lanes whose byte is in no buffer of global memory; windows of other memory lie below it.
  %in.global = icmp uge {V64} %a, splat (i64 {GLOBAL_BASE})
  %in.global.mask = bitcast {MASK} %in.global to i32
  %mask = and i32 %in.global.mask, %asked
  %good = call i32 @resolve_global({V64} %a, i32 %mask, i64 1, ptr %env, ptr %site)
  ret void
}}
""",
    (RESOLVE_GLOBAL,),
)
