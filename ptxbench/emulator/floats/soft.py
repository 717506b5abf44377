"""a * b + c of f64 in integers, one lane at a time: correct in every rounding, near underflow and overflow too.

For roundings that no CPU instruction has, and for fma on CPUs without it (LLVM would call libm). Scalar IR
with 128-bit integers, for which both x86-64 and AArch64 have instructions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptxbench.emulator.types import F64, LANES

if TYPE_CHECKING:
    from ptxbench.emulator.emit import Emitter, Value

MODES = ("rn", "rz", "rm", "rp", "odd")
"""By number. odd: exact, or the neighbour whose last bit is set; 0 or infinite only if exact."""


def fma(e: Emitter, a: Value, b: Value, c: Value, rounding: str) -> Value:
    e.functions.setdefault("soft_fma", SCALAR)
    e.functions.setdefault("soft_fma_vector", VECTOR)
    e.declarations.add(DECLARATION)
    kind = F64.vector
    arguments = ", ".join(f"{kind} {operand.ir}" for operand in (a, b, c))
    return e.result(f"call {kind} @soft_fma_vector({arguments}, i32 {MODES.index(rounding)})", F64, raw=True)


DECLARATION = "declare i128 @llvm.ctlz.i128(i128, i1)"


def unpack(name: str) -> str:
    """Lines for %name's sign, significand (%name.m) and the weight of its last bit as a power of 2 (%name.e)."""
    return f"""
  %{name}.field = lshr i64 %{name}, 52
  %{name}.biased = and i64 %{name}.field, 2047
  %{name}.fraction = and i64 %{name}, 4503599627370495
  %{name}.normal = icmp ne i64 %{name}.biased, 0
  %{name}.implicit = select i1 %{name}.normal, i64 4503599627370496, i64 0
  %{name}.m = or i64 %{name}.fraction, %{name}.implicit
  %{name}.at.first = icmp ugt i64 %{name}.biased, 1
  %{name}.at = select i1 %{name}.at.first, i64 %{name}.biased, i64 1
  %{name}.e = sub i64 %{name}.at, 1075
  %{name}.special = icmp eq i64 %{name}.biased, 2047
  %{name}.wide = zext i64 %{name}.m to i128"""


def normalise(name: str, significand: str, exponent: str) -> str:
    """Lines for %name.n, the significand whose first bit is bit 125, and %name.ne, its last bit's weight."""
    return f"""
  %{name}.lz = call i128 @llvm.ctlz.i128(i128 {significand}, i1 false)
  %{name}.shift = sub i128 %{name}.lz, 2
  %{name}.none = icmp eq i128 {significand}, 0
  %{name}.by = select i1 %{name}.none, i128 0, i128 %{name}.shift
  %{name}.n = shl i128 {significand}, %{name}.by
  %{name}.by64 = trunc i128 %{name}.by to i64
  %{name}.less = sub i64 {exponent}, %{name}.by64
  %{name}.ne = select i1 %{name}.none, i64 -100000, i64 %{name}.less"""


SCALAR = f"""
define internal double @soft_fma(double %a.f, double %b.f, double %c.f, i32 %mode) noinline {{
  %a = bitcast double %a.f to i64
  %b = bitcast double %b.f to i64
  %c = bitcast double %c.f to i64
  {unpack("a")}
  {unpack("b")}
  {unpack("c")}
  %ab.special = or i1 %a.special, %b.special
  br i1 %ab.special, label %infinite, label %addend
infinite:  ; an infinity or NaN among the factors: nothing is rounded
  %product.f = fmul double %a.f, %b.f
  %sum.f = fadd double %product.f, %c.f
  ret double %sum.f
addend:
  %sign.ab = xor i64 %a, %b
  %sign.p = and i64 %sign.ab, -9223372036854775808
  %sign.c = and i64 %c, -9223372036854775808
  br i1 %c.special, label %same, label %finite
same:
  ret double %c.f
finite:
  %p = mul i128 %a.wide, %b.wide
  %pe = add i64 %a.e, %b.e
  {normalise("p", "%p", "%pe")}
  {normalise("q", "%c.wide", "%c.e")}
  ; x is the greater of the two, y the other, aligned to x; if y loses bits that are set, its last bit is set
  %later = icmp sgt i64 %q.ne, %p.ne
  %level = icmp eq i64 %q.ne, %p.ne
  %more = icmp ugt i128 %q.n, %p.n
  %level.more = and i1 %level, %more
  %swap = or i1 %later, %level.more
  %x = select i1 %swap, i128 %q.n, i128 %p.n
  %y = select i1 %swap, i128 %p.n, i128 %q.n
  %xe = select i1 %swap, i64 %q.ne, i64 %p.ne
  %ye = select i1 %swap, i64 %p.ne, i64 %q.ne
  %sign = select i1 %swap, i64 %sign.c, i64 %sign.p
  %apart = sub i64 %xe, %ye
  %apart.low.first = icmp sgt i64 %apart, 0
  %apart.low = select i1 %apart.low.first, i64 %apart, i64 0
  %apart.most.first = icmp ult i64 %apart.low, 127
  %apart.most = select i1 %apart.most.first, i64 %apart.low, i64 127
  %apart.wide = zext i64 %apart.most to i128
  %y.short = lshr i128 %y, %apart.wide
  %y.back = shl i128 %y.short, %apart.wide
  %y.lossy = icmp ne i128 %y.back, %y
  %y.lost = zext i1 %y.lossy to i128
  %y.aligned = or i128 %y.short, %y.lost
  %opposed = icmp ne i64 %sign.p, %sign.c
  %added = add i128 %x, %y.aligned
  %subtracted = sub i128 %x, %y.aligned
  %s = select i1 %opposed, i128 %subtracted, i128 %added
  %zero = icmp eq i128 %s, 0
  br i1 %zero, label %nothing, label %round
nothing:  ; the sign of an exact zero sum: IEEE 754, 6.3
  %down = icmp eq i32 %mode, 2
  %other = select i1 %down, i64 -9223372036854775808, i64 0
  %zero.sign = select i1 %opposed, i64 %other, i64 %sign.p
  %zero.f = bitcast i64 %zero.sign to double
  ret double %zero.f
round:  ; the first bit of t is bit 127; then 75 bits are dropped, or more below the normal range
  %s.lz = call i128 @llvm.ctlz.i128(i128 %s, i1 false)
  %t.full = shl i128 %s, %s.lz
  %s.lz64 = trunc i128 %s.lz to i64
  %te = sub i64 %xe, %s.lz64
  %exponent = add i64 %te, 1150
  %under = sub i64 1, %exponent
  %under.low.first = icmp sgt i64 %under, 0
  %under.low = select i1 %under.low.first, i64 %under, i64 0
  %drop.any = add i64 %under.low, 75
  %gone = icmp ugt i64 %drop.any, 127
  %half.gone = icmp eq i64 %drop.any, 128
  %drop.most.first = icmp ult i64 %drop.any, 127
  %drop.most = select i1 %drop.most.first, i64 %drop.any, i64 127
  %drop = zext i64 %drop.most to i128
  %t.half = lshr i128 %t.full, 1
  %t.bit = and i128 %t.full, 1
  %t.sticky = or i128 %t.half, %t.bit
  %t.least = select i1 %half.gone, i128 %t.sticky, i128 1
  %t = select i1 %gone, i128 %t.least, i128 %t.full
  %truncated.wide = lshr i128 %t, %drop
  %truncated.back = shl i128 %truncated.wide, %drop
  %rest = sub i128 %t, %truncated.back
  %drop.less = sub i128 %drop, 1
  %half = shl i128 1, %drop.less
  %truncated = trunc i128 %truncated.wide to i64
  %over = icmp ugt i128 %rest, %half
  %tie = icmp eq i128 %rest, %half
  %last = trunc i64 %truncated to i1
  %tie.up = and i1 %tie, %last
  %nearest = or i1 %over, %tie.up
  %inexact = icmp ne i128 %rest, 0
  %negative = icmp ne i64 %sign, 0
  %positive = xor i1 %negative, true
  %floor = and i1 %inexact, %negative
  %ceiling = and i1 %inexact, %positive
  %is.rn = icmp eq i32 %mode, 0
  %is.rm = icmp eq i32 %mode, 2
  %is.rp = icmp eq i32 %mode, 3
  %is.odd = icmp eq i32 %mode, 4
  %up.rn = and i1 %is.rn, %nearest
  %up.rm = and i1 %is.rm, %floor
  %up.rp = and i1 %is.rp, %ceiling
  %up.directed = or i1 %up.rm, %up.rp
  %up = or i1 %up.rn, %up.directed
  %odd = and i1 %is.odd, %inexact
  %carry = zext i1 %up to i64
  %raised = add i64 %truncated, %carry
  %odd.bit = zext i1 %odd to i64
  %significand = or i64 %raised, %odd.bit
  %exponent.less = sub i64 %exponent, 1
  %exponent.field.first = icmp sgt i64 %exponent.less, 0
  %exponent.field = select i1 %exponent.field.first, i64 %exponent.less, i64 0
  %field = shl i64 %exponent.field, 52
  %pattern = add i64 %field, %significand  ; the leading bit of a normal significand adds 1 to the exponent
  %beyond = icmp uge i64 %pattern, 9218868437227405312
  %out.rm = and i1 %is.rm, %negative
  %out.rp = and i1 %is.rp, %positive
  %out.directed = or i1 %out.rm, %out.rp
  %out = or i1 %is.rn, %out.directed
  %most = select i1 %out, i64 9218868437227405312, i64 9218868437227405311
  %magnitude = select i1 %beyond, i64 %most, i64 %pattern
  %bits = or i64 %magnitude, %sign
  %result = bitcast i64 %bits to double
  ret double %result
}}
"""

VECTOR = f"""
define internal {F64.vector} @soft_fma_vector({F64.vector} %a, {F64.vector} %b, {F64.vector} %c, i32 %mode) noinline {{
entry:
  br label %loop
loop:
  %lane = phi i32 [ 0, %entry ], [ %next, %loop ]
  %before = phi {F64.vector} [ zeroinitializer, %entry ], [ %after, %loop ]
  %x = extractelement {F64.vector} %a, i32 %lane
  %y = extractelement {F64.vector} %b, i32 %lane
  %z = extractelement {F64.vector} %c, i32 %lane
  %one = call double @soft_fma(double %x, double %y, double %z, i32 %mode)
  %after = insertelement {F64.vector} %before, double %one, i32 %lane
  %next = add i32 %lane, 1
  %last = icmp eq i32 %next, {LANES}
  br i1 %last, label %done, label %loop
done:
  ret {F64.vector} %after
}}
"""
