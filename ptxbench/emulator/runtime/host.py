"""`host(kind, mask, env, site, a, b, c, d)`: calls a Python function of the worker from the generated code."""

from __future__ import annotations

from ptxbench.emulator.runtime.context import HOST, UNFINISHED, V64, RuntimeFunction, slot
from ptxbench.emulator.types import LANES

PRINT, ASSERT, ALLOCATE, RELEASE, FINISH = range(5)

HOST_CALL = RuntimeFunction("host", f"""
define internal {V64} @host(i64 %kind, i32 %mask, ptr %env, ptr %site,
                           {V64} %a, {V64} %b, {V64} %c, {V64} %d) noinline {{
  ; The four values of lane i are at [0][i] .. [3][i]; the host stores the lane's result in %result[i].
  %values = alloca [4 x {V64}], align 64
  %result = alloca [{LANES} x i64], align 64
  store {V64} %a, ptr %values
  %at.b = getelementptr {V64}, ptr %values, i64 1
  store {V64} %b, ptr %at.b
  %at.c = getelementptr {V64}, ptr %values, i64 2
  store {V64} %c, ptr %at.c
  %at.d = getelementptr {V64}, ptr %values, i64 3
  store {V64} %d, ptr %at.d
  store {V64} zeroinitializer, ptr %result
  {slot("function", HOST, "ptr")}
  call void %function(i64 %kind, i32 %mask, ptr %site, ptr %values, ptr %result)
  %out = load {V64}, ptr %result
  ret {V64} %out
}}
""")  # fmt: skip

WAIT_FOR_GRID = RuntimeFunction("wait_for_grid", f"""
define internal void @wait_for_grid(ptr %env, i32 %mask) noinline {{
  ; The lanes of %mask wait for the previous launch: the host applies its stores (pending_stores.py).
entry:
  {slot("unfinished", UNFINISHED)}
  %none = icmp eq i64 %unfinished, 0
  %idle = icmp eq i32 %mask, 0
  %nothing = or i1 %none, %idle
  br i1 %nothing, label %done, label %wait
wait:
  store i64 0, ptr %unfinished.at
  {slot("function", HOST, "ptr")}
  call void %function(i64 {FINISH}, i32 %mask, ptr null, ptr null, ptr null)
  br label %done
done:
  ret void
}}
""")  # fmt: skip
