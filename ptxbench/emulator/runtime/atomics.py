"""Atomics: one function per (space, operation, type). Lanes act in ascending order."""

from __future__ import annotations

from ptxbench.emulator.runtime.access import generic
from ptxbench.emulator.runtime.context import (
    ACTIVE,
    CTPOP,
    CTTZ,
    REQUESTS,
    V32,
    V64,
    WORK,
    Function,
    bump,
    vector,
)
from ptxbench.emulator.runtime.counting import GROUPS
from ptxbench.emulator.runtime.spaces import Space
from ptxbench.emulator.types import Type

SCALAR_OPERATIONS = {
    "add": "%new = add {t} %old, %b",
    "and": "%new = and {t} %old, %b",
    "or": "%new = or {t} %old, %b",
    "xor": "%new = xor {t} %old, %b",
    "exch": "%new = add {t} %b, 0",
    "min": "%less = icmp {s}lt {t} %old, %b\n  %new = select i1 %less, {t} %old, {t} %b",
    "max": "%less = icmp {s}gt {t} %old, %b\n  %new = select i1 %less, {t} %old, {t} %b",
    "inc": "%wrap = icmp uge {t} %old, %b\n  %more = add {t} %old, 1\n  %new = select i1 %wrap, {t} 0, {t} %more",
    "dec": "%zero = icmp eq {t} %old, 0\n  %big = icmp ugt {t} %old, %b\n  %wrap = or i1 %zero, %big\n"
    "  %less = sub {t} %old, 1\n  %new = select i1 %wrap, {t} %b, {t} %less",
    "cas": "%same = icmp eq {t} %old, %b\n  %new = select i1 %same, {t} %c, {t} %old",
}
"""The new value of an integer atomic from %old, %b and %c. (PTX ISA, "atom".)"""


def float_add(kind: Type, ftz: bool) -> str:
    """Lines for a float atomic add; on global memory f32 flushes subnormals, on shared it does not."""
    name, width = kind.element, kind.bits
    nan = (1 << width - 1) - 1

    def flushed(source: str) -> str:
        return (
            f"%{source}.abs = call {name} @llvm.fabs.f{width}({name} %{source})\n"
            f"  %{source}.tiny = fcmp olt {name} %{source}.abs, {2.0**-126:.17e}\n"
            f"  %{source}.zero = call {name} @llvm.copysign.f{width}({name} 0.0, {name} %{source})\n"
            f"  %{source}.flushed = select i1 %{source}.tiny, {name} %{source}.zero, {name} %{source}"
        )

    x, y, total = ("x.flushed", "y.flushed", "sum.flushed") if ftz else ("x", "y", "sum")
    return f"""%x = bitcast i{width} %old to {name}
  %y = bitcast i{width} %b to {name}
  {flushed("x") if ftz else ""}
  {flushed("y") if ftz else ""}
  %sum = fadd {name} %{x}, %{y}
  {flushed("sum") if ftz else ""}
  %sum.nan = fcmp uno {name} %{total}, %{total}
  %sum.bits = bitcast {name} %{total} to i{width}
  %new = select i1 %sum.nan, i{width} {nan}, i{width} %sum.bits"""


def atomic(space: Space, operation: str, kind: Type) -> Function:
    """`atomic_SPACE_OPERATION_TYPE(addresses, mask, env, site, b, c)`: the old values; lanes act in ascending order."""
    size, t = kind.bytes, f"i{kind.bits}"
    full = vector(kind.bits)
    address, element = space.vector, space.element
    name = f"atomic_{space.name}_{operation}_{kind}"
    if kind.floating:
        body = float_add(kind, ftz=space.name == "global" and kind.bits == 32)
    else:
        body = SCALAR_OPERATIONS[operation].format(t=t, s="s" if kind.signed else "u")
    shifted = f"lshr {address} %a, splat ({element} {size.bit_length() - 1})"
    key = f"%key = {shifted}" if element == "i32" else f"%key.wide = {shifted}\n  %key = trunc {V64} %key.wide to {V32}"
    text = f"""
define internal {full} @{name}({address} %a, i32 %asked, ptr %env, ptr %site, {full} %b.all, {full} %c.all) noinline {{
entry:
  %addresses = alloca {V64}, align 64
  %olds = alloca {full}, align 64
  %bs = alloca {full}, align 64
  %cs = alloca {full}, align 64
  store {full} zeroinitializer, ptr %olds
  store {full} %b.all, ptr %bs
  store {full} %c.all, ptr %cs
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %nothing, label %check
nothing:
  ret {full} zeroinitializer
check:
  {space.check(size)}
  br i1 %doubtful, label %slow, label %go
slow:
  %resolved = call i32 @resolve_{space.name}({address} %a, i32 %asked, {element} {size}, ptr %env, ptr %site)
  %lost = icmp eq i32 %resolved, 0
  br i1 %lost, label %nothing, label %go
go:
  %mask = phi i32 [ %asked, %check ], [ %resolved, %slow ]
  {bump(REQUESTS, "1")}
  %lanes = call i32 @llvm.ctpop.i32(i32 %mask)
  %lanes.wide = zext i32 %lanes to i64
  {bump(ACTIVE, "%lanes.wide")}
  {key}
  %grouped = call i64 @groups({V32} %key, i32 %mask)
  %serial = lshr i64 %grouped, 32
  {bump(WORK, "%serial")}
  {space.host}
  store {V64} %host, ptr %addresses
  br label %next
next:
  %rest = phi i32 [ %mask, %go ], [ %rest.less, %lane ]
  %over = icmp eq i32 %rest, 0
  br i1 %over, label %done, label %lane
lane:
  %number = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %bit = shl i32 1, %number
  %rest.less = xor i32 %rest, %bit
  %number.wide = zext i32 %number to i64
  %address.at = getelementptr ptr, ptr %addresses, i64 %number.wide
  %address = load ptr, ptr %address.at
  %old = load {t}, ptr %address
  %b.at = getelementptr {t}, ptr %bs, i64 %number.wide
  %b = load {t}, ptr %b.at
  %c.at = getelementptr {t}, ptr %cs, i64 %number.wide
  %c = load {t}, ptr %c.at
  {body}
  store {t} %new, ptr %address
  %old.at = getelementptr {t}, ptr %olds, i64 %number.wide
  store {t} %old, ptr %old.at
  br label %next
done:
  %result = load {full}, ptr %olds
  ret {full} %result
}}
"""
    declarations = [CTTZ, CTPOP]
    if kind.floating:
        declarations += [
            f"declare {kind.element} @llvm.fabs.f{kind.bits}({kind.element})",
            f"declare {kind.element} @llvm.copysign.f{kind.bits}({kind.element}, {kind.element})",
        ]
    return Function(name, text, (*space.needs, GROUPS), tuple(declarations))


def atomic_generic(operation: str, kind: Type) -> Function:
    full = vector(kind.bits)

    def combine(results: list[str]) -> str:
        return f"""%either = or {full} {results[0]}, {results[1]}
  %all = or {full} %either, {results[2]}
  ret {full} %all"""

    return generic(
        lambda space, call: f"call {full} {call}, {full} %b, {full} %c)",
        lambda space: atomic(space, operation, kind),
        f"atomic_generic_{operation}_{kind}",
        full,
        f", {full} %b, {full} %c",
        combine,
    )
