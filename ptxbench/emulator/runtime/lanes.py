"""Functions over all lanes of a vector: permutation, and division, which must not trap in any lane."""

from __future__ import annotations

from ptxbench.emulator.runtime.context import MASK, V32, V64, RuntimeFunction
from ptxbench.emulator.types import LANES, Type

GATHER = f"llvm.masked.gather.v{LANES}i32.v{LANES}p0"
PERMUTE = RuntimeFunction("permute", f"""
define internal {V32} @permute({V32} %a, {V32} %from) noinline {{
  ; Lane i of the result is lane %from[i] of %a.
  %lanes = alloca [{LANES} x i32], align 64
  store {V32} %a, ptr %lanes
  %from.wide = zext {V32} %from to {V64}
  %at = getelementptr i32, ptr %lanes, {V64} %from.wide
  %b = call {V32} @{GATHER}(<{LANES} x ptr> %at, i32 4, {MASK} splat (i1 true), {V32} poison)
  ret {V32} %b
}}
""", (), (f"declare {V32} @{GATHER}(<{LANES} x ptr>, i32, {MASK}, {V32})",))  # fmt: skip


def divide(kind: Type) -> RuntimeFunction:
    """`divide_TYPE(a, b)`: quotients and remainders. x / 0 and x rem 0 are all ones; the least value over -1 is itself,
    remainder 0. Divisors are made safe in every lane, because a division in an inactive lane would trap too."""
    full, sign = kind.vector, "s" if kind.signed else "u"
    overflow = f"%by.zero = icmp eq {full} %b, zeroinitializer"
    if kind.signed:
        least = -(1 << kind.bits - 1)
        overflow += f"""
  %least = icmp eq {full} %a, splat ({kind.element} {least})
  %minus = icmp eq {full} %b, splat ({kind.element} -1)
  %wraps = and {MASK} %least, %minus
  %unsafe = or {MASK} %by.zero, %wraps"""
    else:
        overflow += f"\n  %unsafe = or {MASK} %by.zero, zeroinitializer"
    text = f"""
define internal {{ {full}, {full} }} @divide_{kind}({full} %a, {full} %b) noinline {{
  {overflow}
  %safe = select {MASK} %unsafe, {full} splat ({kind.element} 1), {full} %b
  %q = {sign}div {full} %a, %safe
  %product = mul {full} %q, %safe
  %r = sub {full} %a, %product
  %quotient = select {MASK} %by.zero, {full} splat ({kind.element} -1), {full} %q
  %remainder = select {MASK} %by.zero, {full} splat ({kind.element} -1), {full} %r
  %first = insertvalue {{ {full}, {full} }} poison, {full} %quotient, 0
  %both = insertvalue {{ {full}, {full} }} %first, {full} %remainder, 1
  ret {{ {full}, {full} }} %both
}}
"""
    return RuntimeFunction(f"divide_{kind}", text)
