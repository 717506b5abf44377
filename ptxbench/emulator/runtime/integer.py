"""Integer functions that are too long to inline: the upper half of a 64-bit product."""

from __future__ import annotations

from ptxbench.emulator.runtime.context import MASK, V64, RuntimeFunction
from ptxbench.emulator.types import Type


def multiply_high(kind: Type) -> RuntimeFunction:
    """`multiply_high_TYPE(a, b)`: the upper 64 bits of the 128-bit products, from four products of halves.

    A signed product is the unsigned one minus b if a < 0, and minus a if b < 0. (Warren, "Hacker's Delight", 8-3.)
    """
    low = "splat (i64 4294967295)"
    correct = "%high = or {v} %unsigned, zeroinitializer"
    if kind.signed:
        correct = """%a.negative = icmp slt {v} %a, zeroinitializer
  %b.negative = icmp slt {v} %b, zeroinitializer
  %a.part = select {mask} %a.negative, {v} %b, {v} zeroinitializer
  %b.part = select {mask} %b.negative, {v} %a, {v} zeroinitializer
  %less = sub {v} %unsigned, %a.part
  %high = sub {v} %less, %b.part"""
    correct = correct.format(v=V64, mask=MASK)
    return RuntimeFunction(f"multiply_high_{kind}", f"""
define internal {V64} @multiply_high_{kind}({V64} %a, {V64} %b) noinline {{
  %a0 = and {V64} %a, {low}
  %a1 = lshr {V64} %a, splat (i64 32)
  %b0 = and {V64} %b, {low}
  %b1 = lshr {V64} %b, splat (i64 32)
  %p00 = mul {V64} %a0, %b0
  %p10 = mul {V64} %a1, %b0
  %p01 = mul {V64} %a0, %b1
  %p11 = mul {V64} %a1, %b1
  %p00.high = lshr {V64} %p00, splat (i64 32)
  %p10.low = and {V64} %p10, {low}
  %p10.high = lshr {V64} %p10, splat (i64 32)
  %middle = add {V64} %p00.high, %p10.low
  %middle.all = add {V64} %middle, %p01
  %middle.high = lshr {V64} %middle.all, splat (i64 32)
  %upper = add {V64} %p11, %p10.high
  %unsigned = add {V64} %upper, %middle.high
  {correct}
  ret {V64} %high
}}
""")  # fmt: skip
