"""The state of a resident CTA: `open_cta` starts one in a slot, `enter_cta` makes it the context's current one.

Each kernel has its own `prepare_warp`; kernels share the other functions.
"""

from __future__ import annotations

from collections.abc import Iterable

from ptxbench.emulator.runtime import cluster_schedule, conditions
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import MASK, V32, RuntimeFunction, loop, multiples, slot, splat
from ptxbench.emulator.runtime.copies import ENTRIES, QUEUE_BYTES
from ptxbench.emulator.runtime.turns import MOST_FAILS
from ptxbench.emulator.runtime.watch import SILENT
from ptxbench.emulator.types import LANES

MEMSET = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"


def enter_cta(clustered: bool) -> RuntimeFunction:
    """`enter_cta(env, slot)`: make the CTA in `slot` the current one."""
    text = f"""
define internal void @enter_cta(ptr %env, i64 %slot) {{
  {slot("register.bytes", at.REGISTER_BYTES)}
  {slot("local.bytes", at.LOCAL_BYTES)}
  %local.stride = shl i64 %local.bytes, {LANES.bit_length() - 1}
  {slot("warp.count", at.WARP_COUNT)}
  %first.warp = mul i64 %slot, %warp.count
  {slot("shared.stride", at.SHARED_STRIDE)}
  {slot("shadow.stride", at.SHADOW_STRIDE)}
  {slot("local.shadow.stride", at.LOCAL_SHADOW_STRIDE)}
  {part("header", at.CTA_HEADERS, at.CTA_STATE, "%slot", at.CTA_BYTES)}
  {part("warps", at.FIRST_WARPS, at.WARPS, "%first.warp", at.WARP_BYTES)}
  {part("registers", at.FIRST_REGISTERS, at.REGISTERS, "%first.warp", "%register.bytes")}
  {part("local", at.FIRST_LOCAL, at.ALL_LOCAL, "%first.warp", "%local.stride")}
  {part("queues", at.FIRST_QUEUES, at.QUEUES, "%first.warp", QUEUE_BYTES)}
  {part("shared", at.FIRST_SHARED, at.SHARED, "%slot", "%shared.stride")}
  ; For a sanitized kernel: the shadows of this CTA's memory, and its times.
  {part("shadow", at.FIRST_SHADOW, at.SHADOW, "%slot", "%shadow.stride")}
  {part("local.shadow", at.FIRST_LOCAL_SHADOW, at.LOCAL_SHADOW, "%slot", "%local.shadow.stride")}
  {recall("started", at.CTA_START, at.TIME_OF_START)}
  {recall("met", at.CTA_BARRIER, at.TIME_OF_BARRIER)}
  {recall("rank", at.CTA_RANK, at.CTA)}
  {slot("grid.x", at.GRID_X)}
  {slot("grid.y", at.GRID_Y)}
  %row = udiv i64 %rank, %grid.x
  %cta.x = urem i64 %rank, %grid.x
  %cta.y = urem i64 %row, %grid.y
  %cta.z = udiv i64 %row, %grid.y
  %p.cta.x = getelementptr i64, ptr %env, i64 {at.CTA_X}
  store i64 %cta.x, ptr %p.cta.x
  %p.cta.y = getelementptr i64, ptr %env, i64 {at.CTA_Y}
  store i64 %cta.y, ptr %p.cta.y
  %p.cta.z = getelementptr i64, ptr %env, i64 {at.CTA_Z}
  store i64 %cta.z, ptr %p.cta.z
  {cluster_schedule.ENTER if clustered else ""}
  call void @cta_entered(ptr %env)
  ret void
}}
"""
    return RuntimeFunction("enter_cta", text, (SILENT["cta_entered"],))


def part(name: str, first: int, current: int, index: str, size: int | str) -> str:
    """Lines that point %name, and the context's slot `current`, to part `index` of the array at slot `first`."""
    return f"""{slot(f"{name}.0", first, "ptr")}
  %{name}.offset = mul i64 {index}, {size}
  %{name} = getelementptr i8, ptr %{name}.0, i64 %{name}.offset
  %p.{name} = getelementptr i64, ptr %env, i64 {current}
  store ptr %{name}, ptr %p.{name}"""


def recall(name: str, offset: int, current: int) -> str:
    """Lines that set %name, and the context's slot `current`, to the value at `offset` in the CTA's header."""
    return f"""%{name}.at = getelementptr i8, ptr %header, i64 {offset}
  %{name} = load i64, ptr %{name}.at
  %p.{name} = getelementptr i64, ptr %env, i64 {current}
  store i64 %{name}, ptr %p.{name}"""


def clear_local(local_bytes: int, cleared_bytes: int) -> str:
    """Lines that fill the first bytes of the local memory of a warp's threads with %memory."""
    if cleared_bytes == local_bytes:
        return f"  call void @llvm.memset.p0.i64(ptr %local, i8 %memory, i64 {32 * local_bytes}, i1 false)"
    return "\n".join(
        f"  %local.{lane} = getelementptr i8, ptr %local, i64 {lane * local_bytes}\n"
        f"  call void @llvm.memset.p0.i64(ptr %local.{lane}, i8 %memory, i64 {cleared_bytes}, i1 false)"
        for lane in range(LANES)
    )


def joined(extents: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same bytes as (offset, bytes) of parts that do not touch each other."""
    parts: list[tuple[int, int]] = []
    for offset, size in sorted(extents):
        if parts and sum(parts[-1]) == offset:
            parts[-1] = parts[-1][0], parts[-1][1] + size
        else:
            parts.append((offset, size))
    return tuple(parts)


def prepare_warp(
    local_bytes: int,
    cleared_bytes: int,
    unwritten: tuple[tuple[int, int], ...],
    zeroed: tuple[tuple[int, int], ...],
    queues: bool,
) -> str:
    """`prepare_warp(env, w, registers, local)`: the first contents of the registers and the local memory of warp `w`.

    `cleared_bytes`: bytes of a thread's local memory that are reset for each CTA; calls clear the rest, its stack.
    `unwritten`: (offset, bytes) of the registers that may be read before they are written; `zeroed`: of registers that
    start as zeros. `queues`: warps have queues of asynchronous copies.
    """
    zeroes = "\n".join(
        f"  %z{i} = getelementptr i8, ptr %registers, i64 {offset}\n"
        + (
            f"  store <{size} x i8> zeroinitializer, ptr %z{i}, align 4"
            if size in (4, 8, 16, 32, 64)
            else f"  call void @llvm.memset.p0.i64(ptr %z{i}, i8 0, i64 {size}, i1 false)"
        )
        for i, (offset, size) in enumerate(zeroed)
    )
    zeroes += "".join(
        f"\n  %u{i} = getelementptr i8, ptr %registers, i64 {offset}\n"
        f"  call void @llvm.memset.p0.i64(ptr %u{i}, i8 %unwritten, i64 {size}, i1 false)"
        for i, (offset, size) in enumerate(unwritten)
    )
    if queues:
        zeroes += f"""
  %q.offset = mul i64 %w, {QUEUE_BYTES}
  {slot("queues", at.QUEUES, "ptr")}
  %queue = getelementptr i8, ptr %queues, i64 %q.offset
  call void @llvm.memset.p0.i64(ptr %queue, i8 0, i64 {ENTRIES}, i1 false)"""
    return f"""
define void @prepare_warp(ptr %env, i64 %w, ptr %registers, ptr %local) {{
  %memory.wide = {conditions.MEMORY.load}
  %memory = trunc i64 %memory.wide to i8
  %unwritten.wide = {conditions.REGISTERS.load}
  %unwritten = trunc i64 %unwritten.wide to i8
{zeroes}
{clear_local(local_bytes, cleared_bytes)}
  ret void
}}
"""


def open_cta(clustered: bool) -> RuntimeFunction:
    """`open_cta(env, slot, rank)`: start CTA `rank` in `slot`."""
    coordinates = ""
    for axis, value in (("x", "%tid.x"), ("y", "%tid.y"), ("z", "%tid.z")):
        coordinates += (
            f"  %at.{axis} = getelementptr i8, ptr %warp, i64 {at.WARP_TID + 128 * 'xyz'.index(axis)}\n"
            f"  store {V32} {value}, ptr %at.{axis}, align 64\n"
        )
    text = f"""
define internal void @open_cta(ptr %env, i64 %slot, i64 %rank) {{
entry:
  {slot("headers", at.CTA_HEADERS, "ptr")}
  %h.offset = mul i64 %slot, {at.CTA_BYTES}
  %header = getelementptr i8, ptr %headers, i64 %h.offset
  call void @llvm.memset.p0.i64(ptr %header, i8 0, i64 {at.CTA_BYTES}, i1 false)
  %p.rank = getelementptr i8, ptr %header, i64 {at.CTA_RANK}
  store i64 %rank, ptr %p.rank
  %p.live = getelementptr i8, ptr %header, i64 {at.CTA_LIVE}
  store i64 1, ptr %p.live
  {slot("time", at.TIME)}
  %time.start = add i64 %time, 1
  store i64 %time.start, ptr %time.at
  %p.start = getelementptr i8, ptr %header, i64 {at.CTA_START}
  store i64 %time.start, ptr %p.start
  %p.barrier.time = getelementptr i8, ptr %header, i64 {at.CTA_BARRIER}
  store i64 %time.start, ptr %p.barrier.time
  call void @enter_cta(ptr %env, i64 %slot)
  call void @cta_opened(ptr %env)
  {slot("block.x", at.BLOCK_X)}
  {slot("block.y", at.BLOCK_Y)}
  {slot("threads", at.THREADS)}
  {slot("warp.count", at.WARP_COUNT)}
  {slot("warps", at.WARPS, "ptr")}
  {slot("all.registers", at.REGISTERS, "ptr")}
  {slot("fuel.per.warp", at.FUEL_PER_WARP)}
  {slot("shared", at.SHARED, "ptr")}
  {slot("shared.bytes", at.SHARED_BYTES)}
  {slot("all.local", at.ALL_LOCAL, "ptr")}
  {slot("reserved.bytes", at.RESERVED_INSIDE)}
  {slot("register.bytes", at.REGISTER_BYTES)}
  {slot("local.bytes", at.LOCAL_BYTES)}
  {slot("prepare.function", at.PREPARE_WARP, "ptr")}
  %local.stride = shl i64 %local.bytes, {LANES.bit_length() - 1}
  %threads.short = trunc i64 %threads to i32
  {splat("threads.all", "i32", "%threads.short")}
  %block.x.short = trunc i64 %block.x to i32
  {splat("block.x.all", "i32", "%block.x.short")}
  %block.y.short = trunc i64 %block.y to i32
  {splat("block.y.all", "i32", "%block.y.short")}
  %memory.wide = {conditions.MEMORY.load}
  %memory = trunc i64 %memory.wide to i8
  call void @llvm.memset.p0.i64(ptr %shared, i8 %memory, i64 %shared.bytes, i1 false)
  call void @llvm.memset.p0.i64(ptr %shared, i8 0, i64 %reserved.bytes, i1 false)
  br label %prepare
{loop("prepare", "w", "%warp.count", "prepare.warp", after="reset")}
  %w.offset = mul i64 %w, {at.WARP_BYTES}
  %warp = getelementptr i8, ptr %warps, i64 %w.offset
  %r.offset = mul i64 %w, %register.bytes
  %registers = getelementptr i8, ptr %all.registers, i64 %r.offset
  %l.offset = mul i64 %w, %local.stride
  %local = getelementptr i8, ptr %all.local, i64 %l.offset
  call void %prepare.function(ptr %env, i64 %w, ptr %registers, ptr %local)
  %at.valid = getelementptr i8, ptr %warp, i64 {at.WARP_VALID}
  %valid.before = load i32, ptr %at.valid
  %is.prepared = icmp ne i32 %valid.before, 0
  br i1 %is.prepared, label %reset, label %set.threads
set.threads:
  ; The first CTA in this slot: all later ones have the same coordinates of threads.
  %base.wide = shl i64 %w, 5
  %base = trunc i64 %base.wide to i32
  {splat("base.all", "i32", "%base")}
  %thread = add {V32} %base.all, {multiples("i32", 1)}
  %valid = icmp ult {V32} %thread, %threads.all
  %valid.mask = bitcast {MASK} %valid to i32
  %tid.x = urem {V32} %thread, %block.x.all
  %thread.row = udiv {V32} %thread, %block.x.all
  %tid.y = urem {V32} %thread.row, %block.y.all
  %tid.z = udiv {V32} %thread.row, %block.y.all
{coordinates}
  br label %reset
reset:
  %valid.lanes = phi i32 [ %valid.before, %prepare.warp ], [ %valid.mask, %set.threads ]
  store <48 x i32> zeroinitializer, ptr %warp, align 64
  %at.arrived = getelementptr i8, ptr %warp, i64 {at.WARP_ARRIVED}
  store <16 x i32> zeroinitializer, ptr %at.arrived, align 64
  store i32 %valid.lanes, ptr %at.valid
  %at.fuel = getelementptr i8, ptr %warp, i64 {at.WARP_FUEL}
  store i64 %fuel.per.warp, ptr %at.fuel
  %at.tests = getelementptr i8, ptr %warp, i64 {at.WARP_TESTS}
  %before.warp = mul i64 %rank, 31
  %tests = add i64 %before.warp, %w
  store i64 %tests, ptr %at.tests
  %at.fails = getelementptr i8, ptr %warp, i64 {at.WARP_FAILS}
  store i64 {MOST_FAILS}, ptr %at.fails
  %w.next = add i64 %w, 1
  br label %prepare
done:
  ret void
}}
"""
    return RuntimeFunction("open_cta", text, (enter_cta(clustered), SILENT["cta_opened"]), (MEMSET,))
