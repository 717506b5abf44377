"""`host(kind, mask, env, site, a, b, c, d)`: leaves the generated code for a Python function of the worker."""

from __future__ import annotations

from ptxbench.emulator.runtime.context import HOST, V32, V64, Function, slot
from ptxbench.emulator.types import LANES

PRINT, ASSERT = 0, 1

HOST_CALL = Function("host", f"""
define internal {V32} @host(i64 %kind, i32 %mask, ptr %env, ptr %site,
                           {V64} %a, {V64} %b, {V64} %c, {V64} %d) noinline {{
  ; The four values of lane i lie at [0][i] .. [3][i]; what the host gives for it comes back in the low half of [0][i].
  %values = alloca [4 x {V64}], align 64
  %result = alloca [{LANES} x i32], align 64
  store {V64} %a, ptr %values
  %at.b = getelementptr {V64}, ptr %values, i64 1
  store {V64} %b, ptr %at.b
  %at.c = getelementptr {V64}, ptr %values, i64 2
  store {V64} %c, ptr %at.c
  %at.d = getelementptr {V64}, ptr %values, i64 3
  store {V64} %d, ptr %at.d
  store {V32} zeroinitializer, ptr %result
  {slot("function", HOST, "ptr")}
  call void %function(i64 %kind, i32 %mask, ptr %site, ptr %values, ptr %result)
  %out = load {V32}, ptr %result
  ret {V32} %out
}}
""")  # fmt: skip
