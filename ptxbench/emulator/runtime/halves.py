"""Sum, minimum and maximum of f16 and bf16 numbers, in integers and f32, without a library for conversions."""

from __future__ import annotations

from collections.abc import Callable

from ptxbench.emulator.runtime.context import RuntimeFunction
from ptxbench.emulator.types import Type

WIDEN_F16 = RuntimeFunction("widen_f16", """
define internal float @widen_f16(i16 %h) noinline {
  %wide = zext i16 %h to i32
  %magnitude = and i32 %wide, 32767
  %sign = and i32 %wide, 32768
  %sign.high = shl i32 %sign, 16
  %moved = shl i32 %magnitude, 13
  %small = bitcast i32 %moved to float
  %scaled = fmul float %small, 0x46F0000000000000
  %finite = bitcast float %scaled to i32
  %special = icmp uge i32 %magnitude, 31744
  %all.ones = or i32 %moved, 2139095040
  %bits = select i1 %special, i32 %all.ones, i32 %finite
  %signed = or i32 %bits, %sign.high
  %result = bitcast i32 %signed to float
  ret float %result
}
""")  # fmt: skip

NARROW_F16 = RuntimeFunction("narrow_f16", """
define internal i16 @narrow_f16(float %f) noinline {
  ; To nearest even. Below 2^-14 adding 1/2 leaves multiples of 2^-24 in the low bits.
  %bits = bitcast float %f to i32
  %magnitude = and i32 %bits, 2147483647
  %sign.far = lshr i32 %bits, 16
  %sign = and i32 %sign.far, 32768
  %absolute = bitcast i32 %magnitude to float
  %shifted = fadd float %absolute, 5.000000e-01
  %shifted.bits = bitcast float %shifted to i32
  %tiny = sub i32 %shifted.bits, 1056964608
  %last.far = lshr i32 %magnitude, 13
  %last = and i32 %last.far, 1
  %half = add i32 %magnitude, 4095
  %rounded = add i32 %half, %last
  %rebased = sub i32 %rounded, 939524096
  %normal = lshr i32 %rebased, 13
  %large = icmp uge i32 %rounded, 1199570944
  %capped = select i1 %large, i32 31744, i32 %normal
  %below = icmp ult i32 %magnitude, 947912704
  %chosen = select i1 %below, i32 %tiny, i32 %capped
  %signed = or i32 %chosen, %sign
  %nan = icmp ugt i32 %magnitude, 2139095040
  %result = select i1 %nan, i32 32767, i32 %signed
  %short = trunc i32 %result to i16
  ret i16 %short
}
""")  # fmt: skip

WIDEN_BF16 = RuntimeFunction("widen_bf16", """
define internal float @widen_bf16(i16 %h) noinline {
  %wide = zext i16 %h to i32
  %bits = shl i32 %wide, 16
  %result = bitcast i32 %bits to float
  ret float %result
}
""")  # fmt: skip

NARROW_BF16 = RuntimeFunction("narrow_bf16", """
define internal i16 @narrow_bf16(float %f) noinline {
  %bits = bitcast float %f to i32
  %magnitude = and i32 %bits, 2147483647
  %last.far = lshr i32 %bits, 16
  %last = and i32 %last.far, 1
  %half = add i32 %bits, 32767
  %rounded = add i32 %half, %last
  %high = lshr i32 %rounded, 16
  %nan = icmp ugt i32 %magnitude, 2139095040
  %result = select i1 %nan, i32 32767, i32 %high
  %short = trunc i32 %result to i16
  ret i16 %short
}
""")  # fmt: skip

CONVERSIONS = {"f16": (WIDEN_F16, NARROW_F16), "bf16": (WIDEN_BF16, NARROW_BF16)}


def add_halves(kind: Type) -> RuntimeFunction:
    """`add_TYPE(a, b)`; packed types element by element.

    The f32 sum is rounded a second time without effect: 24 bits are at least twice 11 plus two. (Figueroa, "When is
    double rounding innocuous?", 1995.)
    """
    name = kind.name.removesuffix("x2")
    widen, narrow = CONVERSIONS[name]

    def element(n: int) -> str:
        return f"""%x{n} = call float @{widen.name}(i16 %a{n})
  %y{n} = call float @{widen.name}(i16 %b{n})
  %sum{n} = fadd float %x{n}, %y{n}
  %r{n} = call i16 @{narrow.name}(float %sum{n})"""

    return by_element(f"add_{kind}", kind, element, (widen, narrow))


def choose_halves(operation: str, kind: Type) -> RuntimeFunction:
    """`min_TYPE(a, b)` or max: a number wins over NaN, -0 is less than +0, two NaNs give the canonical one."""
    infinity = 0x7C00 if kind.name.startswith("f16") else 0x7F80

    def element(n: int) -> str:
        lines = []
        for v in (f"a{n}", f"b{n}"):
            lines.append(f"""%{v}.sign = ashr i16 %{v}, 15
  %{v}.flip = or i16 %{v}.sign, -32768
  %{v}.key = xor i16 %{v}, %{v}.flip
  %{v}.abs = and i16 %{v}, 32767
  %{v}.nan = icmp ugt i16 %{v}.abs, {infinity}""")
        lines.append(f"""%less{n} = icmp {"ult" if operation == "min" else "ugt"} i16 %a{n}.key, %b{n}.key
  %best{n} = select i1 %less{n}, i16 %a{n}, i16 %b{n}
  %no.b{n} = select i1 %b{n}.nan, i16 %a{n}, i16 %best{n}
  %no.a{n} = select i1 %a{n}.nan, i16 %b{n}, i16 %no.b{n}
  %both{n} = and i1 %a{n}.nan, %b{n}.nan
  %r{n} = select i1 %both{n}, i16 32767, i16 %no.a{n}""")
        return "\n  ".join(lines)

    return by_element(f"{operation}_{kind}", kind, element, ())


def by_element(
    name: str, kind: Type, element: Callable[[int], str], needs: tuple[RuntimeFunction, ...]
) -> RuntimeFunction:
    """A function on one number or on a pair; `element(n)` computes %rN from %aN and %bN."""
    if kind.bits == 16:
        text = f"""
define internal i16 @{name}(i16 %a0, i16 %b0) noinline {{
  {element(0)}
  ret i16 %r0
}}
"""
        return RuntimeFunction(name, text, needs)
    text = f"""
define internal i32 @{name}(i32 %a, i32 %b) noinline {{
  %a0 = trunc i32 %a to i16
  %b0 = trunc i32 %b to i16
  %a.high = lshr i32 %a, 16
  %b.high = lshr i32 %b, 16
  %a1 = trunc i32 %a.high to i16
  %b1 = trunc i32 %b.high to i16
  {element(0)}
  {element(1)}
  %low = zext i16 %r0 to i32
  %up = zext i16 %r1 to i32
  %high = shl i32 %up, 16
  %both = or i32 %high, %low
  ret i32 %both
}}
"""
    return RuntimeFunction(name, text, needs)
