"""Functions on the call stacks of a warp's lanes: new memory, copies of parameters, and faults.

The scheduler declares llvm.memset."""

from __future__ import annotations

from ptxbench.emulator.runtime import conditions
from ptxbench.emulator.runtime.context import (
    CTTZ,
    LOCAL,
    LOCAL_BYTES,
    LOCAL_SHADOW,
    V32,
    V64,
    WARP,
    RuntimeFunction,
    next_bit,
    slot,
)
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.types import LANES

MEMMOVE = "declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)"

STACK_FAULT = RuntimeFunction("stack_fault", f"""
define internal void @stack_fault(ptr %env, ptr %site, i32 %lanes, i64 %kind, {V64} %values) noinline {{
  ; Ends the launch if any of %lanes is set, with the value of the lowest.
entry:
  %idle = icmp eq i32 %lanes, 0
  br i1 %idle, label %done, label %stop
stop:
  %lane = call i32 @llvm.cttz.i32(i32 %lanes, i1 true)
  %lane.wide = zext i32 %lane to i64
  %value = extractelement {V64} %values, i32 %lane
  call void @fault(ptr %env, i64 %kind, ptr %site, i64 %lane.wide, i64 %value)
  br label %done
done:
  ret void
}}
""", (FAULT,), (CTTZ,))  # fmt: skip


def each_lane(
    name: str, vectors: tuple[str, ...], setup: str, body: str, declarations: tuple[str, ...]
) -> RuntimeFunction:
    """`name(env, lanes, vectors...)`: `body` for each of the lanes, with %V.one of each vector, its %lane.wide, and the
    results of `setup`."""
    spill = "\n".join(
        f"%{vector}.all = alloca [{LANES} x i32], align 128\n  store {V32} %{vector}, ptr %{vector}.all, align 128"
        for vector in vectors
    )
    load_lane = "\n".join(
        f"%{vector}.p = getelementptr i32, ptr %{vector}.all, i64 %lane.wide\n"
        f"  %{vector}.short = load i32, ptr %{vector}.p\n"
        f"  %{vector}.one = zext i32 %{vector}.short to i64"
        for vector in vectors
    )
    text = f"""
define internal void @{name}(ptr %env, i32 %lanes, {", ".join(f"{V32} %{vector}" for vector in vectors)}) noinline {{
entry:
  {spill}
  {setup}
  br label %next
next:
  %rest = phi i32 [ %lanes, %entry ], [ %rest.less, %lane.on ]
{next_bit("lane", "lane.on")}
  {load_lane}
  {body}
  br label %next
done:
  ret void
}}
"""
    return RuntimeFunction(name, text, (), (CTTZ, *declarations))


LOCAL_MEMORY = f"""{slot("local", LOCAL, "ptr")}
  {slot("stride", LOCAL_BYTES)}"""
LANE_MEMORY = """%lane.memory.offset = mul i64 %lane.wide, %stride
  %lane.memory = getelementptr i8, ptr %local, i64 %lane.memory.offset"""

POISON_LOCAL = each_lane(
    "poison_local",
    ("at", "bytes"),
    f"""{LOCAL_MEMORY}
  %memory.wide = {conditions.MEMORY.load}
  %memory = trunc i64 %memory.wide to i8""",
    f"""{LANE_MEMORY}
  %p = getelementptr i8, ptr %lane.memory, i64 %at.one
  call void @llvm.memset.p0.i64(ptr %p, i8 %memory, i64 %bytes.one, i1 false)""",
    (),
)
COPY_LOCAL = each_lane(
    "copy_local",
    ("to", "from", "bytes"),
    LOCAL_MEMORY,
    f"""{LANE_MEMORY}
  %p = getelementptr i8, ptr %lane.memory, i64 %to.one
  %q = getelementptr i8, ptr %lane.memory, i64 %from.one
  call void @llvm.memmove.p0.p0.i64(ptr %p, ptr %q, i64 %bytes.one, i1 false)""",
    (MEMMOVE,),
)


def shadow_of_local(granule: int) -> tuple[str, str]:
    """Lines that point %lane.shadow to the shadow of a lane's local memory (sanitize.py): once, and for each lane."""
    shift = granule.bit_length() - 1
    return (
        f"""{slot("shadow", LOCAL_SHADOW, "ptr")}
  {slot("stride", LOCAL_BYTES)}
  {slot("warp", WARP)}
  %granules = lshr i64 %stride, {shift}
  %thread.first = shl i64 %warp, 5""",
        """%thread = or i64 %thread.first, %lane.wide
  %lane.shadow.offset = mul i64 %thread, %granules
  %lane.shadow = getelementptr i32, ptr %shadow, i64 %lane.shadow.offset""",
    )


def forget_local(granule: int) -> RuntimeFunction:
    """`forget_local(env, lanes, at, bytes)`: in a sanitized kernel, mark these bytes as never written."""
    setup, shadow_lines = shadow_of_local(granule)
    shift = granule.bit_length() - 1
    body = f"""{shadow_lines}
  %end = add i64 %at.one, %bytes.one
  %first.up = add i64 %at.one, {granule - 1}
  %first = lshr i64 %first.up, {shift}
  %end.up = add i64 %end, {granule - 1}
  %last = lshr i64 %end.up, {shift}
  %count = sub i64 %last, %first
  %count.bytes = shl i64 %count, 2
  %p = getelementptr i32, ptr %lane.shadow, i64 %first
  call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 %count.bytes, i1 false)"""
    return each_lane("forget_local", ("at", "bytes"), setup, body, ())


def copy_shadow(granule: int) -> RuntimeFunction:
    """`copy_shadow(env, lanes, to, from, bytes)`: in a sanitized kernel, copy the shadow of these bytes."""
    setup, shadow_lines = shadow_of_local(granule)
    shift = granule.bit_length() - 1
    body = f"""{shadow_lines}
  %to.granule = lshr i64 %to.one, {shift}
  %from.granule = lshr i64 %from.one, {shift}
  %count = lshr i64 %bytes.one, {shift}
  %count.bytes = shl i64 %count, 2
  %p = getelementptr i32, ptr %lane.shadow, i64 %to.granule
  %q = getelementptr i32, ptr %lane.shadow, i64 %from.granule
  call void @llvm.memmove.p0.p0.i64(ptr %p, ptr %q, i64 %count.bytes, i1 false)"""
    return each_lane("copy_shadow", ("to", "from", "bytes"), setup, body, (MEMMOVE,))
