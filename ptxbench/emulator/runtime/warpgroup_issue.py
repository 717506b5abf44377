"""Asynchronous products of a warpgroup are checked and counted when a warp issues them, and done when it waits."""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import V32, V64, RuntimeFunction, bump, field, loop, slot, splat
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.warpgroup import (
    APART,
    BASE_OFFSET_AT,
    BASED,
    CAPACITY,
    COLUMNS,
    COMMITTED,
    COUNT_A,
    COUNT_D,
    DESCRIPTOR_A,
    DESCRIPTOR_B,
    FENCED,
    FLAGS,
    GROUP,
    HEAD,
    ISSUED,
    LEFT,
    METADATA,
    METADATA_WORDS,
    NO_GROUP,
    NOT_UNIFORM,
    NUMBERS,
    OPERAND_BYTES,
    ORIGIN,
    OUTSIDE,
    PRODUCT,
    SCALE,
    START_MASK,
    TABLE,
    TAIL,
    UNFENCED,
    UNORDERED,
    UNUSED,
    UNUSED_BITS,
    VECTOR_BYTES,
    WARPS,
    WarpgroupArea,
    entry_at,
    fault,
    group_area,
    name,
    pointers,
    registers_at,
    ring_at,
    whole_warp,
)
from ptxbench.emulator.runtime.warpgroup_results import finish
from ptxbench.emulator.runtime.watch import SILENT


def descriptor(which: str, origin: str) -> str:
    """Lines that check a descriptor: the same in all lanes, no base offset, no unused bit, a start in shared
    memory."""
    return f"""%{which}.first = extractelement {V64} %{which}.all, i64 0
  {splat(f"{which}.splat", "i64", f"%{which}.first")}
  %{which}.differs = icmp ne {V64} %{which}.all, %{which}.splat
  %{which}.mask = bitcast <32 x i1> %{which}.differs to i32
  %{which}.based.bits = lshr i64 %{which}.first, {BASE_OFFSET_AT}
  %{which}.based.field = and i64 %{which}.based.bits, 7
  %{which}.based = icmp ne i64 %{which}.based.field, 0
  %{which}.unused.bits = and i64 %{which}.first, {UNUSED_BITS}
  %{which}.unused = icmp ne i64 %{which}.unused.bits, 0
  %{which}.unit = and i64 %{which}.first, {START_MASK}
  %{which}.start = shl i64 %{which}.unit, 4
  %{which}.place = sub i64 %{which}.start, {origin}
  %{which}.outside = icmp uge i64 %{which}.place, %bytes"""


def refuse(condition: str, reason: int, block: str, after: str) -> str:
    """Lines that end the function with a fault, in the block `block`, if `condition` holds; else `after` begins."""
    return f"""br i1 {condition}, label %{block}, label %{after}
{block}:
  {fault(reason)}
  ret void
{after}:"""


def any_exited() -> str:
    """Lines that set %any.exited: whether all lanes of a warp of the group have exited."""
    lines = [slot("states", at.WARPS, "ptr"), f"%first.warp = and i64 %warp, {-WARPS}"]
    lines.append(f"%first.offset = mul i64 %first.warp, {at.WARP_BYTES}")
    lines.append("%first.state = getelementptr i8, ptr %states, i64 %first.offset")
    for rank in range(WARPS):
        lines.append(
            f"%exited.at{rank} = getelementptr i8, ptr %first.state, i64 {rank * at.WARP_BYTES + at.WARP_EXITED}"
        )
        lines.append(f"%exited{rank} = load i32, ptr %exited.at{rank}")
        lines.append(f"%gone{rank} = icmp eq i32 %exited{rank}, -1")
    lines += ["%gone01 = or i1 %gone0, %gone1", "%gone23 = or i1 %gone2, %gone3"]
    lines.append("%any.exited = or i1 %gone01, %gone23")
    return "\n  ".join(lines)


def issue(area: WarpgroupArea, register_bytes: int) -> RuntimeFunction:
    """`NAME(env, site, registers, places, active, a, b, scale, table, product, origin)`: check and queue a product.

    In a kernel with sparse products, four words of metadata of each lane's rows follow.
    """
    words = [f"%m{i}" for i in range(METADATA_WORDS)] if area.sparse else []
    more_parameters = "".join(f", {V32} {word}" for word in words)
    metadata_stores = "".join(
        f"""
  %p.{word[1:]} = getelementptr i8, ptr %item, i64 {METADATA + VECTOR_BYTES * i}
  store {V32} {word}, ptr %p.{word[1:]}, align 64"""
        for i, word in enumerate(words)
    )
    text = f"""
define internal void @{name("issue", area)}(ptr %env, ptr %site, ptr %registers, ptr %places, i32 %active,
    {V64} %a.all, {V64} %b.all, i32 %scale, ptr %table, ptr %product, i64 %origin{more_parameters}) noinline {{
entry:
  {whole_warp()}
go:
  {pointers(area)}
  {slot("warp", at.WARP)}
  {slot("warps", at.WARP_COUNT)}
  %last.warp = or i64 %warp, {WARPS - 1}
  %grouped = icmp ult i64 %last.warp, %warps
  br i1 %grouped, label %operands, label %alone
alone:
  {fault(NO_GROUP)}
  ret void
operands:
  {slot("bytes", at.SHARED_BYTES)}
  {descriptor("b", "%origin")}
  {field("table", "count.a", 4 * COUNT_A)}
  %in.memory = icmp eq i32 %count.a, 0
  %a.origin = select i1 %in.memory, i64 %origin, i64 0
  {descriptor("a", "%a.origin")}
  %scale.none = icmp eq i32 %scale, 0
  %scale.all = icmp eq i32 %scale, -1
  %scale.uniform = or i1 %scale.none, %scale.all
  %differing = or i32 %a.mask, %b.mask
  %same = icmp eq i32 %differing, 0
  %uniform = and i1 %same, %scale.uniform
  br i1 %uniform, label %based, label %not.uniform
not.uniform:
  {fault(NOT_UNIFORM)}
  ret void
based:
  %any.based = or i1 %a.based, %b.based
  {refuse("%any.based", BASED, "is.based", "described")}
  %any.unused = or i1 %a.unused, %b.unused
  {refuse("%any.unused", UNUSED, "is.unused", "inside")}
  %a.out = and i1 %a.outside, %in.memory
  %any.out = or i1 %a.out, %b.outside
  {refuse("%any.out", OUTSIDE, "is.outside", "fenced")}
  {field("area", "fence.seen", FENCED)}
  %unfenced = icmp eq i32 %fence.seen, 0
  {refuse("%unfenced", UNFENCED, "is.unfenced", "compare")}
  ; Other warps of the group that have issued this product must have issued the same one.
  {field("area", "issued", ISSUED, "i64")}
  %number = add i64 %issued, 1
  store i64 %number, ptr %issued.at
  {group_area(register_bytes)}
  {ring_at("number", area)}
  {field("ring", "ring.number", 0, "i64")}
  {field("ring", "ring.a", 8, "i64")}
  {field("ring", "ring.b", 16, "i64")}
  {field("ring", "ring.site", 24, "i64")}
  %site.int = ptrtoint ptr %site to i64
  %adds = and i32 %scale, 1
  %adds.wide = zext i32 %adds to i64
  %identity = or i64 %site.int, %adds.wide
  %newer = icmp ult i64 %ring.number, %number
  br i1 %newer, label %note, label %check
note:
  ; No other warp of the group has issued it yet: none may have exited.
  {any_exited()}
  {refuse("%any.exited", LEFT, "is.left", "note.first")}
  store i64 %number, ptr %ring.number.at
  store i64 %a.first, ptr %ring.a.at
  store i64 %b.first, ptr %ring.b.at
  store i64 %identity, ptr %ring.site.at
  br label %registers.in
check:
  %comparable = icmp eq i64 %ring.number, %number
  %a.same = icmp eq i64 %ring.a, %a.first
  %b.same = icmp eq i64 %ring.b, %b.first
  %site.same = icmp eq i64 %ring.site, %identity
  %ab.same = and i1 %a.same, %b.same
  %all.same = and i1 %ab.same, %site.same
  %not.recorded = xor i1 %comparable, true
  %agreed = or i1 %all.same, %not.recorded
  br i1 %agreed, label %registers.in, label %apart
apart:
  {fault(APART)}
  ret void
registers.in:
  ; The registers must be as at the fence. D is compared only if it is added, and no earlier product computes it.
  {field("table", "count.d", 4 * COUNT_D)}
  %count = add i32 %count.d, %count.a
  %count.wide = zext i32 %count to i64
  %count.d.wide = zext i32 %count.d to i64
  br label %next
{loop("next", "i", "%count.wide", "look", after="ordered", before="registers.in", done="check.room")}
  %i.at = add i64 %i, {NUMBERS}
  {registers_at("r", "i.at")}
  %is.d = icmp ult i64 %i, %count.d.wide
  %pending = load i32, ptr %r.count
  %busy = icmp ne i32 %pending, 0
  %unread = or i1 %busy, %scale.none
  %skip = and i1 %is.d, %unread
  %now = load {V32}, ptr %r.register, align 64
  %then = load {V32}, ptr %r.copy, align 64
  %moved = icmp ne {V32} %now, %then
  %moved.mask = bitcast <32 x i1> %moved to i32
  %still = icmp eq i32 %moved.mask, 0
  %fine = or i1 %skip, %still
  br i1 %fine, label %ordered, label %unordered
unordered:
  {fault(UNORDERED)}
  ret void
ordered:
  %i.next = add i64 %i, 1
  br label %next
check.room:
  {field("area", "head", HEAD)}
  {field("area", "tail", TAIL)}
  %pending.products = sub i32 %tail, %head
  %full = icmp eq i32 %pending.products, {CAPACITY}
  br i1 %full, label %make.room, label %put
make.room:
  call void @{name("finish", area)}(ptr %env, ptr %registers, ptr %places)
  br label %put
put:
  {entry_at("tail", area)}
  store ptr %site, ptr %item
  %p.table = getelementptr i8, ptr %item, i64 {TABLE}
  store ptr %table, ptr %p.table
  %p.product = getelementptr i8, ptr %item, i64 {PRODUCT}
  store ptr %product, ptr %p.product
  %p.a = getelementptr i8, ptr %item, i64 {DESCRIPTOR_A}
  store i64 %a.first, ptr %p.a
  %p.b = getelementptr i8, ptr %item, i64 {DESCRIPTOR_B}
  store i64 %b.first, ptr %p.b
  %p.scale = getelementptr i8, ptr %item, i64 {SCALE}
  store i32 %scale, ptr %p.scale
  {field("area", "committed", COMMITTED)}
  %p.group = getelementptr i8, ptr %item, i64 {GROUP}
  store i32 %committed, ptr %p.group
  %p.origin = getelementptr i8, ptr %item, i64 {ORIGIN}
  store i64 %origin, ptr %p.origin
  %tail.next = add i32 %tail, 1
  store i32 %tail.next, ptr %tail.at{metadata_stores}
  {field("table", "columns", 4 * COLUMNS)}
  {field("table", "flags", 4 * FLAGS)}
  call void @product_issued(ptr %env, ptr %site, i64 %a.first, i64 %b.first, i32 %columns, i32 %flags, i1 %in.memory,
                            i64 %origin)
  br label %mark.next
{loop("mark.next", "k", "%count.wide", "mark", after="mark.on", before="put", done="count.up")}
  %k.at = add i64 %k, {NUMBERS}
  {registers_at("m", "k.at")}
  %uses = load i32, ptr %m.count
  %uses.more = add i32 %uses, 1
  store i32 %uses.more, ptr %m.count
  %written = icmp ult i64 %k, %count.d.wide
  br i1 %written, label %poison, label %mark.on
poison:
  store {V32} splat (i32 -1), ptr %m.register, align 64
  br label %mark.on
mark.on:
  %k.next = add i64 %k, 1
  br label %mark.next
count.up:
  %leads = icmp eq i64 %in.group, 0
  br i1 %leads, label %once, label %done
once:
  {bump(at.REQUESTS, "1")}
  {field("table", "operand.bytes", 4 * OPERAND_BYTES)}
  %operand.bytes.wide = zext i32 %operand.bytes to i64
  {bump(at.ACTIVE, "%operand.bytes.wide")}
  br label %done
done:
  ret void
}}
"""
    return RuntimeFunction(name("issue", area), text, (finish(area), FAULT, SILENT["product_issued"]))
