"""Atomics: one function per (space, operation, type, vector). Lanes act in ascending order."""

from __future__ import annotations

import functools
import re

from ptxbench.emulator.runtime.access import any_of, generic
from ptxbench.emulator.runtime.context import (
    ACTIVE,
    CTPOP,
    CTTZ,
    EXTRA,
    RECORDED,
    REQUESTS,
    V32,
    V64,
    WORK,
    RuntimeFunction,
    bump,
    lane_loop,
    lane_of,
    vector,
)
from ptxbench.emulator.runtime.counting import GROUPS, SECTORS_OF
from ptxbench.emulator.runtime.halves import add_halves, choose_halves
from ptxbench.emulator.runtime.records import UPDATE, planned
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


COUNT_SECTORS = f"""%sectors.lines = call i64 @sectors_of({V64} %a, i32 %mask, ptr %env, ptr %site)
  %sectors = and i64 %sectors.lines, 4294967295
  {bump(EXTRA, "%sectors")}"""
"""Lines that count the distinct 32-byte sectors; an aligned vector of up to 32 bytes is in one sector."""


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


def update(operation: str, kind: Type, *, ftz: bool) -> str:
    """Lines that compute %new from %old, %b and %c, all as bits."""
    if kind.floating:
        return float_add(kind, ftz)
    if "f16" in kind.name:
        function = add_halves(kind) if operation == "add" else choose_halves(operation, kind)
        return f"%new = call i{kind.bits} @{function.name}(i{kind.bits} %old, i{kind.bits} %b)"
    return SCALAR_OPERATIONS[operation].format(t=f"i{kind.bits}", s="s" if kind.signed else "u")


def helpers(operation: str, kind: Type) -> tuple[RuntimeFunction, ...]:
    if "f16" not in kind.name:
        return ()
    return (add_halves(kind) if operation == "add" else choose_halves(operation, kind),)


def float_declarations(kind: Type) -> tuple[str, ...]:
    """The declarations that `update` of a float needs."""
    if not kind.floating:
        return ()
    name, bits = kind.element, kind.bits
    return (f"declare {name} @llvm.fabs.f{bits}({name})", f"declare {name} @llvm.copysign.f{bits}({name}, {name})")


def parallel_update(operation: str, kind: Type) -> str:
    """`update` for CTAs that run in parallel: one atomic instruction of the processor. The old value is not used."""
    name = ("" if operation not in ("min", "max") else "" if kind.signed else "u") + operation
    return f"%was = atomicrmw {name} ptr %target, i{kind.bits} %b monotonic\n  %new = add i{kind.bits} %b, 0"


def returns(kind: Type, count: int) -> str:
    full = vector(kind.bits)
    return full if count == 1 else "{ " + ", ".join([full] * count) + " }"


@functools.cache
def atomic(space: Space, operation: str, kind: Type, count: int = 1, *, parallel: bool = False) -> RuntimeFunction:
    """`atomic_SPACE_OPERATION_TYPE_COUNT(addresses, mask, env, site, b0, ..., c)`: the old values.

    `parallel`: other host threads may update the same bytes at the same time; updates are recorded (records.py).
    """
    size, t = kind.bytes, f"i{kind.bits}"
    full = vector(kind.bits)
    address, element = space.vector, space.element
    name = f"atomic_{space.name}_{operation}_{kind}_{count}" + "_parallel" * parallel
    shifted = f"lshr {address} %a, splat ({element} {(size * count).bit_length() - 1})"
    key = f"%key = {shifted}" if element == "i32" else f"%key.wide = {shifted}\n  %key = trunc {V64} %key.wide to {V32}"
    body = update(operation, kind, ftz=space.name == "global" and kind.name == "f32")
    if parallel:
        body = parallel_update(operation, kind)
    allocations, steps, results = [], [], []
    for k in range(count):
        allocations.append(f"%olds{k} = alloca {full}, align 64\n  %bs{k} = alloca {full}, align 64")
        allocations.append(f"store {full} zeroinitializer, ptr %olds{k}\n  store {full} %b{k}, ptr %bs{k}")
        read = "" if parallel else f"%old = load {t}, ptr %target\n  "
        write = (
            ""
            if parallel
            else f"""
  store {t} %new, ptr %target
  %old.at = getelementptr {t}, ptr %olds{k}, i64 %number.wide
  store {t} %old, ptr %old.at"""
        )
        step = f"""%target = getelementptr {t}, ptr %address, i64 {k}
  {read}%b.at = getelementptr {t}, ptr %bs{k}, i64 %number.wide
  %b = load {t}, ptr %b.at
  {body}{write}"""
        shared = rf"%(?!address\b|number\.wide\b|c\b|olds{k}\b|bs{k}\b)([A-Za-z][\w.]*)"
        steps.append(re.sub(shared, rf"%\1.{k}", step))
        results.append(f"%result{k} = load {full}, ptr %olds{k}")
    packed = "%result0"
    if count > 1:
        packed = "poison"
        for k in range(count):
            results.append(f"%whole{k} = insertvalue {returns(kind, count)} {packed}, {full} %result{k}, {k}")
            packed = f"%whole{k}"
    record = f"""%recorded.at = getelementptr i64, ptr %site, i64 {RECORDED}
  %recorded = load i64, ptr %recorded.at
  %unrecorded = icmp eq i64 %recorded, 0
  br i1 %unrecorded, label %onward, label %record
record:
  call void @record_lanes_{UPDATE}({V64} %a, i32 %mask, i32 {size * count}, ptr %env, ptr %site)
  br label %onward
onward:"""
    lines = "\n  ".join
    text = f"""
define internal {returns(kind, count)} @{name}({address} %a, i32 %asked, ptr %env, ptr %site
                                             {parameters(kind, count)}) noinline {{
entry:
  %addresses = alloca {V64}, align 64
  %cs = alloca {full}, align 64
  store {full} %c.all, ptr %cs
  {lines(allocations)}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %nothing, label %check
nothing:
  ret {returns(kind, count)} zeroinitializer
check:
  {space.check(size * count)}
  br i1 %needs.resolve, label %slow, label %go
slow:
  %resolved = call i32 @resolve_{space.name}({address} %a, i32 %asked, {element} {size * count}, ptr %env, ptr %site)
  %none.good = icmp eq i32 %resolved, 0
  br i1 %none.good, label %nothing, label %go
go:
  %mask = phi i32 [ %asked, %check ], [ %resolved, %slow ]
  {record if parallel else "br label %onward" + chr(10) + "onward:"}
  {bump(REQUESTS, "1")}
  %lanes = call i32 @llvm.ctpop.i32(i32 %mask)
  %lanes.wide = zext i32 %lanes to i64
  {bump(ACTIVE, "%lanes.wide")}
  {key}
  %grouped = call i64 @groups({V32} %key, i32 %mask)
  %serial = lshr i64 %grouped, 32
  {bump(WORK, "%serial")}
  {COUNT_SECTORS if space.name == "global" else ""}
  {space.host}
  store {V64} %host, ptr %addresses
{lane_loop("%mask", before="onward")}
  {lane_of("address", "ptr", "%addresses")}
  {lane_of("c", t, "%cs")}
  {lines(steps)}
  br label %next
done:
  {lines(results)}
  ret {returns(kind, count)} {packed}
}}
"""
    declarations = (CTTZ, CTPOP, *float_declarations(kind))
    needs = (*space.needs, GROUPS, *helpers(operation, kind))
    needs += (SECTORS_OF,) if space.name == "global" else ()
    needs += planned(UPDATE, size * count)[:1] if parallel else ()
    return RuntimeFunction(name, text, needs, declarations)


def parameters(kind: Type, count: int) -> str:
    """The declarations of b0, b1, ... and c."""
    full = vector(kind.bits)
    return "".join(f", {full} %b{k}" for k in range(count)) + f", {full} %c.all"


@functools.cache
def atomic_generic(
    operation: str, kind: Type, count: int = 1, *, parallel: bool = False, clustered: bool = False
) -> RuntimeFunction:
    """`atomic` for generic addresses."""
    full, result_type = vector(kind.bits), returns(kind, count)

    def combine(results: list[str]) -> str:
        if count == 1:
            return "\n  ".join([*any_of(full, results, "all"), f"ret {full} %all"])
        lines, packed = [], "poison"
        for k in range(count):
            for i, result in enumerate(results):
                lines.append(f"%p{k}.{i} = extractvalue {result_type} {result}, {k}")
            lines += any_of(full, [f"%p{k}.{i}" for i in range(len(results))], f"all{k}")
            lines.append(f"%built{k} = insertvalue {result_type} {packed}, {full} %all{k}, {k}")
            packed = f"%built{k}"
        return "\n  ".join([*lines, f"ret {result_type} {packed}"])

    return generic(
        lambda space, call: f"call {result_type} {call}{parameters(kind, count)})",
        lambda space: atomic(space, operation, kind, count, parallel=parallel and space.name == "global"),
        f"atomic_generic_{operation}_{kind}_{count}" + "_parallel" * parallel,
        result_type,
        parameters(kind, count),
        combine,
        clustered,
    )
