"""The results of asynchronous products of a warpgroup: computed for all four warps, and delivered to each at its wait.

A product of the four warps is one operation: it is complete when all of them have issued it and it is done. So a warp
that comes to its wait computes its own rows, from the contents of shared memory at that time, and waits until the
others have issued the product too. The first warp that continues computes the rows of those that have not come to their
waits. A warp's registers of D get their values at its own wait. (PTX ISA, "wgmma.mma_async", "wgmma.wait_group".)
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import V32, RuntimeFunction, field, loop, slot
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.warpgroup import (
    COLUMNS,
    COMMITTED,
    COMPUTED,
    COUNT_A,
    COUNT_D,
    DESCRIPTOR_A,
    DESCRIPTOR_B,
    FLAGS,
    GROUP,
    HEAD,
    ISSUED,
    METADATA,
    NUMBERS,
    ORIGIN,
    OVERWRITTEN,
    PRODUCT,
    SCALE,
    SITE,
    TABLE,
    TAIL,
    WARPS,
    WarpgroupArea,
    entry_at,
    fault,
    name,
    pointers,
    registers_at,
    whole_warp,
)
from ptxbench.emulator.runtime.watch import SILENT


def compute(area: WarpgroupArea) -> RuntimeFunction:
    """`NAME(env, registers, places)`: compute the next product of the queue of the current warp (at.WARP).

    The result is in the copies of D's registers.
    """
    text = f"""
define internal void @{name("compute", area)}(ptr %env, ptr %registers, ptr %places) noinline {{
entry:
  %d = alloca [128 x {V32}], align 64
  %a = alloca [512 x i8], align 64
  {pointers(area)}
  {field("area", "computed", COMPUTED)}
  {entry_at("computed", area)}
  {field("item", "site", SITE, "ptr")}
  {field("item", "table", TABLE, "ptr")}
  {field("item", "product", PRODUCT, "ptr")}
  {field("item", "descriptor.a", DESCRIPTOR_A, "i64")}
  {field("item", "descriptor.b", DESCRIPTOR_B, "i64")}
  {field("item", "scale", SCALE)}
  %adds = icmp ne i32 %scale, 0
  {field("table", "count.d", 4 * COUNT_D)}
  {field("table", "count.a", 4 * COUNT_A)}
  %count.d.wide = zext i32 %count.d to i64
  %first.a = add i64 %count.d.wide, {NUMBERS}
  br label %in.next
{loop("in.next", "i", "%count.d.wide", "in", after="in", done="inputs")}
  %i.at = add i64 %i, {NUMBERS}
  {registers_at("in", "i.at")}
  %old = load {V32}, ptr %in.copy, align 64
  %start = select i1 %adds, {V32} %old, {V32} zeroinitializer
  %d.at = getelementptr {V32}, ptr %d, i64 %i
  store {V32} %start, ptr %d.at, align 64
  %i.next = add i64 %i, 1
  br label %in.next
inputs:
  %in.memory = icmp eq i32 %count.a, 0
  br i1 %in.memory, label %go, label %a.next
{loop("a.next", "j", "4", "a.in", after="a.in", before="inputs", done="go")}
  %j.at = add i64 %j, %first.a
  {registers_at("a.in", "j.at")}
  %a.value = load {V32}, ptr %a.in.copy, align 64
  ; Register 2 f + h has row 8 h + lane / 4 and word 4 f + lane % 4; the rows are 32 bytes each.
  %h = and i64 %j, 1
  %f = lshr i64 %j, 1
  %h.offset = mul i64 %h, 256
  %f.offset = mul i64 %f, 16
  %a.offset = add i64 %h.offset, %f.offset
  %a.block = getelementptr i8, ptr %a, i64 %a.offset
  {scattered()}
  %j.next = add i64 %j, 1
  br label %a.next
go:
  %linear = select i1 %in.memory, ptr null, ptr %a
  {"%metadata = getelementptr i8, ptr %item, i64 " + str(METADATA) if area.sparse else ""}
  call void %product(ptr %env, ptr %site, ptr %table, ptr %d, i64 %descriptor.a, i64 %descriptor.b,
                     ptr %linear{", ptr %metadata" * area.sparse})
  br label %out.next
{loop("out.next", "k", "%count.d.wide", "out", after="out", before="go")}
  %k.at = add i64 %k, {NUMBERS}
  {registers_at("out", "k.at")}
  %result.at = getelementptr {V32}, ptr %d, i64 %k
  %result = load {V32}, ptr %result.at, align 64
  store {V32} %result, ptr %out.copy, align 64
  %k.next = add i64 %k, 1
  br label %out.next
done:
  %computed.next = add i32 %computed, 1
  store i32 %computed.next, ptr %computed.at
  ret void
}}
"""
    return RuntimeFunction(name("compute", area), text)


def scattered() -> str:
    """Lines that store %a.value: four lanes' words at each row of %a.block."""
    lines = []
    for row in range(8):
        lanes = ", ".join(f"i32 {4 * row + i}" for i in range(4))
        lines.append(f"%a.row{row} = shufflevector {V32} %a.value, {V32} poison, <4 x i32> <{lanes}>")
        lines.append(f"%a.row{row}.at = getelementptr i8, ptr %a.block, i64 {32 * row}")
        lines.append(f"store <4 x i32> %a.row{row}, ptr %a.row{row}.at, align 16")
    return "\n  ".join(lines)


def deliver(area: WarpgroupArea) -> RuntimeFunction:
    """`NAME(env, registers, places)`: the first product of the queue, which is computed, is complete for its warp.

    Registers that no other pending product fills get their values. The registers of A must be as at the issue.
    """
    text = f"""
define internal void @{name("deliver", area)}(ptr %env, ptr %registers, ptr %places) noinline {{
entry:
  {pointers(area)}
  {field("area", "head", HEAD)}
  {entry_at("head", area)}
  {field("item", "site", SITE, "ptr")}
  {field("item", "table", TABLE, "ptr")}
  {field("item", "descriptor.a", DESCRIPTOR_A, "i64")}
  {field("item", "descriptor.b", DESCRIPTOR_B, "i64")}
  {field("item", "origin", ORIGIN, "i64")}
  {field("table", "count.d", 4 * COUNT_D)}
  {field("table", "count.a", 4 * COUNT_A)}
  {field("table", "columns", 4 * COLUMNS)}
  {field("table", "flags", 4 * FLAGS)}
  %count.d.wide = zext i32 %count.d to i64
  %count.a.wide = zext i32 %count.a to i64
  %first.a = add i64 %count.d.wide, {NUMBERS}
  %in.memory = icmp eq i32 %count.a, 0
  br label %free.next
{loop("free.next", "j", "%count.a.wide", "free", after="free.on", done="read")}
  %j.at = add i64 %j, %first.a
  {registers_at("a", "j.at")}
  %then = load {V32}, ptr %a.copy, align 64
  %now = load {V32}, ptr %a.register, align 64
  %differs = icmp ne {V32} %then, %now
  %changed = call i1 @llvm.vector.reduce.or.v32i1(<32 x i1> %differs)
  br i1 %changed, label %overwritten, label %free.on
overwritten:
  {fault(OVERWRITTEN)}
  br label %free.on
free.on:
  %uses = load i32, ptr %a.count
  %uses.less = sub i32 %uses, 1
  store i32 %uses.less, ptr %a.count
  %j.next = add i64 %j, 1
  br label %free.next
read:
  call void @product_done(ptr %env, ptr %site, i64 %descriptor.a, i64 %descriptor.b, i32 %columns, i32 %flags,
                          i1 %in.memory, i64 %origin)
  br label %out.next
{loop("out.next", "k", "%count.d.wide", "out", after="out.on", before="read")}
  %k.at = add i64 %k, {NUMBERS}
  {registers_at("out", "k.at")}
  %pending = load i32, ptr %out.count
  %pending.less = sub i32 %pending, 1
  store i32 %pending.less, ptr %out.count
  %last = icmp eq i32 %pending.less, 0
  br i1 %last, label %fill, label %out.on
fill:
  %result = load {V32}, ptr %out.copy, align 64
  store {V32} %result, ptr %out.register, align 64
  br label %out.on
out.on:
  %k.next = add i64 %k, 1
  br label %out.next
done:
  %head.next = add i32 %head, 1
  store i32 %head.next, ptr %head.at
  ret void
}}
"""
    any_lane = "declare i1 @llvm.vector.reduce.or.v32i1(<32 x i1>)"
    return RuntimeFunction(name("deliver", area), text, (FAULT, SILENT["product_done"]), (any_lane,))


def finish(area: WarpgroupArea) -> RuntimeFunction:
    """`NAME(env, registers, places)`: the first product of the queue is computed, if it is not yet, and delivered."""
    text = f"""
define internal void @{name("finish", area)}(ptr %env, ptr %registers, ptr %places) noinline {{
entry:
  {pointers(area)}
  {field("area", "head", HEAD)}
  {field("area", "computed", COMPUTED)}
  %is.computed = icmp ne i32 %head, %computed
  br i1 %is.computed, label %done, label %go
go:
  call void @{name("compute", area)}(ptr %env, ptr %registers, ptr %places)
  br label %done
done:
  call void @{name("deliver", area)}(ptr %env, ptr %registers, ptr %places)
  ret void
}}
"""
    return RuntimeFunction(name("finish", area), text, (compute(area), deliver(area)))


def due(area: WarpgroupArea) -> RuntimeFunction:
    """`i32 NAME(registers, keep)`: the end, in the warp's queue, of the products of all but the last `keep` groups."""
    text = f"""
define internal i32 @{name("due", area)}(ptr %registers, i32 %keep) noinline {{
entry:
  {pointers(area)}
  {field("area", "committed", COMMITTED)}
  {field("area", "head", HEAD)}
  {field("area", "tail", TAIL)}
  br label %next
next:
  %index = phi i32 [ %head, %entry ], [ %index.next, %more ]
  %empty = icmp eq i32 %index, %tail
  br i1 %empty, label %done, label %look
look:
  {entry_at("index", area)}
  {field("item", "group", GROUP)}
  %group.end = add i32 %group, %keep
  %is.due = icmp slt i32 %group.end, %committed
  br i1 %is.due, label %more, label %done
more:
  %index.next = add i32 %index, 1
  br label %next
done:
  ret i32 %index
}}
"""
    return RuntimeFunction(name("due", area), text)


def due_product(area: WarpgroupArea) -> str:
    """Lines for the last product that a wait is for: its end in the warp's queue, %end, and its number in the group,
    %number; whether there is none, %none."""
    return f"""{pointers(area)}
  %end = call i32 @{name("due", area)}(ptr %registers, i32 %keep)
  {field("area", "head", HEAD)}
  {field("area", "tail", TAIL)}
  {field("area", "issued", ISSUED, "i64")}
  %none = icmp eq i32 %end, %head
  %later = sub i32 %tail, %end
  %later.wide = zext i32 %later to i64
  %number = sub i64 %issued, %later.wide"""


def other_area(area: WarpgroupArea, register_bytes: int) -> str:
    """Lines for the warp of the group with the rank %RANK: its number in the CTA, %other; its registers and its area,
    %other.registers and %other.area."""
    return f"""%other = add i64 %first.warp, %rank
  %distance = sub i64 %other, %warp
  %other.offset = mul i64 %distance, {register_bytes}
  %other.registers = getelementptr i8, ptr %registers, i64 %other.offset
  %other.area = getelementptr i8, ptr %other.registers, i64 {area.base}"""


def ready(area: WarpgroupArea, register_bytes: int) -> RuntimeFunction:
    """`i1 NAME(env, registers, places, active, keep)`: the warp comes to a wait, or comes back to it.

    Its own rows are computed. Returns whether all warps of the group have issued the products.
    """
    text = f"""
define internal i1 @{name("ready", area)}(ptr %env, ptr %registers, ptr %places, i32 %active, i32 %keep) noinline {{
entry:
  %whole = icmp eq i32 %active, -1
  br i1 %whole, label %some, label %done
some:
  {due_product(area)}
  {slot("warp", at.WARP)}
  %first.warp = and i64 %warp, {-WARPS}
  br i1 %none, label %done, label %own
own:
  call void @{name("advance", area)}(ptr %env, ptr %registers, ptr %places, i32 %end)
  br label %next
{loop("next", "rank", str(WARPS), "look", after="on", before="own")}
  {other_area(area, register_bytes)}
  {field("other.area", "other.issued", ISSUED, "i64")}
  %behind = icmp ult i64 %other.issued, %number
  br i1 %behind, label %missing, label %on
on:
  %rank.next = add i64 %rank, 1
  br label %next
missing:
  {slot("wrong", at.FAULT_KIND)}
  %fails = icmp ne i64 %wrong, 0
  ret i1 %fails
done:
  ret i1 true
}}
"""
    return RuntimeFunction(name("ready", area), text, (due(area), advance(area)))


def advance(area: WarpgroupArea) -> RuntimeFunction:
    """`NAME(env, registers, places, end)`: compute the products of the current warp's queue up to `end`."""
    text = f"""
define internal void @{name("advance", area)}(ptr %env, ptr %registers, ptr %places, i32 %end) noinline {{
entry:
  {pointers(area)}
  br label %next
next:
  {field("area", "computed", COMPUTED)}
  {slot("wrong", at.FAULT_KIND)}
  %left = sub i32 %end, %computed
  %some = icmp sgt i32 %left, 0
  %fine = icmp eq i64 %wrong, 0
  %goes.on = and i1 %some, %fine
  br i1 %goes.on, label %compute, label %done
compute:
  call void @{name("compute", area)}(ptr %env, ptr %registers, ptr %places)
  br label %next
done:
  ret void
}}
"""
    return RuntimeFunction(name("advance", area), text, (compute(area),))


def wait(area: WarpgroupArea, register_bytes: int) -> RuntimeFunction:
    """`NAME(env, site, registers, places, active, keep)`: complete the products of all but the last `keep` groups.

    They are computed for the warps of the group that have not come to their waits.
    """
    text = f"""
define internal void @{name("wait", area)}(ptr %env, ptr %site, ptr %registers, ptr %places, i32 %active,
                                           i32 %keep) noinline {{
entry:
  {whole_warp()}
go:
  {due_product(area)}
  {slot("warp", at.WARP)}
  %first.warp = and i64 %warp, {-WARPS}
  br i1 %none, label %done, label %next
{loop("next", "rank", str(WARPS), "look", after="on", before="go", done="computed")}
  {other_area(area, register_bytes)}
  {field("other.area", "other.issued", ISSUED, "i64")}
  {field("other.area", "other.tail", TAIL)}
  %other.later.wide = sub i64 %other.issued, %number
  %other.later = trunc i64 %other.later.wide to i32
  %other.end = sub i32 %other.tail, %other.later
  store i64 %other, ptr %warp.at
  call void @{name("advance", area)}(ptr %env, ptr %other.registers, ptr %places, i32 %other.end)
  br label %on
on:
  %rank.next = add i64 %rank, 1
  br label %next
computed:
  store i64 %warp, ptr %warp.at
  br label %deliver.next
deliver.next:
  {slot("failed", at.FAULT_KIND)}
  %correct = icmp eq i64 %failed, 0
  %head.now = load i32, ptr %head.at
  %more = icmp ne i32 %head.now, %end
  %goes.on = and i1 %correct, %more
  br i1 %goes.on, label %deliver, label %done
deliver:
  call void @{name("deliver", area)}(ptr %env, ptr %registers, ptr %places)
  br label %deliver.next
done:
  ret void
}}
"""
    return RuntimeFunction(name("wait", area), text, (advance(area), deliver(area), due(area), FAULT))
