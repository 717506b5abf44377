"""The out-of-line functions that a translated kernel calls, as LLVM IR: memory, atomics, lanes, the CTA scheduler.

One function per (operation, space, bytes, vector) keeps compilation fast; a site's address selects its counters
and the buffer that it hit last. All lanes are checked before any access, and inactive lanes are never
dereferenced. Counters are those of docs/emulator.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptxbench.emulator.types import LANES, Type

GLOBAL_BASE = 0x7F00_0000_0000
"""Emulated address of the arena's first byte: global and generic addresses of arrays."""
SHARED_WINDOW = 0x0100_0000_0000
"""Generic address of byte 0 of the CTA's shared memory."""

# Kinds of fault, as stored in FAULT_KIND.
OUT_OF_BOUNDS, MISALIGNED, SHARED_OUT_OF_BOUNDS, SHARED_MISALIGNED, DEADLOCK, OUT_OF_FUEL = range(1, 7)

# One thread's context: i64 slots, by index.
(
    DELTA, SHARED, PARAMS, COUNTERS, BUFFERS, BUFFER_COUNT, SHARED_BYTES, WARPS, REGISTERS,
    FAULT_KIND, FAULT_SITE, FAULT_LANE, FAULT_ADDRESS, FAULT_CTA, FAULT_WARP, FUEL, FUEL_PER_WARP,
    GRID_X, GRID_Y, GRID_Z, BLOCK_X, BLOCK_Y, BLOCK_Z, FIRST_CTA, CTA_STEP, CTA_COUNT,
    CTA, CTA_X, CTA_Y, CTA_Z, WARP, WARP_COUNT, PHASES, ENV_SLOTS,
) = range(34)  # fmt: skip

# One warp's state: byte offsets.
WARP_PC, WARP_WAITING, WARP_EXITED, WARP_VALID, WARP_PARKED, WARP_BARRIER, WARP_FUEL = 0, 128, 132, 136, 140, 144, 152
WARP_TID = 192
WARP_BYTES = 576

# One memory site: i64 slots, by index. The last two remember the buffer last hit.
REQUESTS, ACTIVE, WORK, EXTRA, CACHED_LOW, CACHED_SPAN, SITE_SLOTS = range(7)

ALL = -1
V32, V64, MASK = f"<{LANES} x i32>", f"<{LANES} x i64>", f"<{LANES} x i1>"


def vector(bits: int) -> str:
    return f"<{LANES} x i{bits}>"


def splat(name: str, kind: str, value: str) -> str:
    """Lines that put the scalar `value` into every lane of %name."""
    full = f"<{LANES} x {kind}>"
    return (
        f"%{name}.first = insertelement {full} poison, {kind} {value}, i64 0\n"
        f"%{name} = shufflevector {full} %{name}.first, {full} poison, {V32} zeroinitializer\n"
    )


def multiples(kind: str, step: int) -> str:
    """A constant vector: lane i holds i * step."""
    return "<" + ", ".join(f"{kind} {i * step}" for i in range(LANES)) + ">"


def slot(name: str, index: int, kind: str = "i64") -> str:
    """Lines that load slot `index` of the context into %name."""
    return f"%{name}.at = getelementptr i64, ptr %env, i64 {index}\n%{name} = load {kind}, ptr %{name}.at\n"


def bump(index: int, amount: str) -> str:
    """Lines that add the i64 `amount` to slot `index` of the site."""
    return (
        f"%c{index}.at = getelementptr i64, ptr %site, i64 {index}\n%c{index} = load i64, ptr %c{index}.at\n"
        f"%c{index}.new = add i64 %c{index}, {amount}\nstore i64 %c{index}.new, ptr %c{index}.at\n"
    )


@dataclass(frozen=True)
class Function:
    """An out-of-line function: its name, LLVM text, and the declarations and functions that it needs."""

    name: str
    text: str
    needs: tuple[Function, ...] = ()
    declarations: tuple[str, ...] = ()


CTPOP = "declare i32 @llvm.ctpop.i32(i32)"
CTTZ = "declare i32 @llvm.cttz.i32(i32, i1)"

FAULT = Function("fault", f"""
define internal void @fault(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %address) noinline cold {{
  ; The first fault is kept; with the fuel gone, the warp stops at its next loop head or at its end.
  {slot("old", FAULT_KIND)}
  %first = icmp eq i64 %old, 0
  br i1 %first, label %keep, label %done
keep:
  %site.int = ptrtoint ptr %site to i64
  {slot("counters", COUNTERS)}
  %site.offset = sub i64 %site.int, %counters
  {slot("warp", WARP)}
  {slot("cta", CTA)}
  store i64 %kind, ptr %old.at
  %p1 = getelementptr i64, ptr %env, i64 {FAULT_SITE}
  store i64 %site.offset, ptr %p1
  %p2 = getelementptr i64, ptr %env, i64 {FAULT_LANE}
  store i64 %lane, ptr %p2
  %p3 = getelementptr i64, ptr %env, i64 {FAULT_ADDRESS}
  store i64 %address, ptr %p3
  %p4 = getelementptr i64, ptr %env, i64 {FAULT_CTA}
  store i64 %cta, ptr %p4
  %p5 = getelementptr i64, ptr %env, i64 {FAULT_WARP}
  store i64 %warp, ptr %p5
  %p6 = getelementptr i64, ptr %env, i64 {FUEL}
  store i64 0, ptr %p6
  br label %done
done:
  ret void
}}
""")  # fmt: skip

RESOLVE_GLOBAL = Function("resolve_global", f"""
define internal i32 @resolve_global({V64} %a, i32 %mask, i64 %size, ptr %env, ptr %site) noinline cold {{
  ; The lanes of %mask whose %size bytes lie aligned within one buffer; the others fault.
entry:
  %lanes = alloca [{LANES} x i64], align 64
  store {V64} %a, ptr %lanes
  {slot("buffers", BUFFERS, "ptr")}
  {slot("count", BUFFER_COUNT)}
  %low = sub i64 %size, 1
  br label %next
next:
  %rest = phi i32 [ %mask, %entry ], [ %rest.less, %bad ], [ %rest.less, %found ]
  %good = phi i32 [ 0, %entry ], [ %good, %bad ], [ %good.more, %found ]
  %over = icmp eq i32 %rest, 0
  br i1 %over, label %done, label %lane
lane:
  %number = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %bit = shl i32 1, %number
  %rest.less = xor i32 %rest, %bit
  %number.wide = zext i32 %number to i64
  %address.at = getelementptr i64, ptr %lanes, i64 %number.wide
  %address = load i64, ptr %address.at
  %end = add i64 %address, %size
  %ragged = and i64 %address, %low
  %odd = icmp ne i64 %ragged, 0
  br label %search
search:
  %i = phi i64 [ 0, %lane ], [ %i.next, %miss ]
  %none = icmp eq i64 %i, %count
  br i1 %none, label %bad, label %look
look:
  %entry.index = shl i64 %i, 1
  %lo.at = getelementptr i64, ptr %buffers, i64 %entry.index
  %lo = load i64, ptr %lo.at
  %hi.at = getelementptr i64, ptr %lo.at, i64 1
  %hi = load i64, ptr %hi.at
  %after = icmp uge i64 %address, %lo
  %before = icmp ule i64 %end, %hi
  %inside = and i1 %after, %before
  br i1 %inside, label %hit, label %miss
miss:
  %i.next = add i64 %i, 1
  br label %search
hit:
  br i1 %odd, label %bad, label %found
bad:
  %kind = phi i64 [ {OUT_OF_BOUNDS}, %search ], [ {MISALIGNED}, %hit ]
  call void @fault(ptr %env, i64 %kind, ptr %site, i64 %number.wide, i64 %address)
  br label %next
found:
  %good.more = or i32 %good, %bit
  %cache.low = getelementptr i64, ptr %site, i64 {CACHED_LOW}
  store i64 %lo, ptr %cache.low
  %length = sub i64 %hi, %lo
  %span = sub i64 %length, %size
  %cache.span = getelementptr i64, ptr %site, i64 {CACHED_SPAN}
  store i64 %span, ptr %cache.span
  br label %next
done:
  ret i32 %good
}}
""", (FAULT,), (CTTZ,))  # fmt: skip

RESOLVE_SHARED = Function("resolve_shared", f"""
define internal i32 @resolve_shared({V32} %a, i32 %mask, i32 %size, ptr %env, ptr %site) noinline cold {{
  ; The lanes of %mask whose %size bytes lie aligned within the CTA's shared memory; the others fault.
entry:
  %lanes = alloca [{LANES} x i32], align 64
  store {V32} %a, ptr %lanes
  {slot("bytes", SHARED_BYTES)}
  %size.wide = zext i32 %size to i64
  %low = sub i32 %size, 1
  br label %next
next:
  %rest = phi i32 [ %mask, %entry ], [ %rest.less, %bad ], [ %rest.less, %found ]
  %good = phi i32 [ 0, %entry ], [ %good, %bad ], [ %good.more, %found ]
  %over = icmp eq i32 %rest, 0
  br i1 %over, label %done, label %lane
lane:
  %number = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %bit = shl i32 1, %number
  %rest.less = xor i32 %rest, %bit
  %number.wide = zext i32 %number to i64
  %address.at = getelementptr i32, ptr %lanes, i64 %number.wide
  %address = load i32, ptr %address.at
  %address.wide = zext i32 %address to i64
  %end = add i64 %address.wide, %size.wide
  %outside = icmp ugt i64 %end, %bytes
  br i1 %outside, label %bad, label %inside
inside:
  %ragged = and i32 %address, %low
  %odd = icmp ne i32 %ragged, 0
  br i1 %odd, label %bad, label %found
bad:
  %kind = phi i64 [ {SHARED_OUT_OF_BOUNDS}, %lane ], [ {SHARED_MISALIGNED}, %inside ]
  call void @fault(ptr %env, i64 %kind, ptr %site, i64 %number.wide, i64 %address.wide)
  br label %next
found:
  %good.more = or i32 %good, %bit
  br label %next
done:
  ret i32 %good
}}
""", (FAULT,), (CTTZ,))  # fmt: skip

GROUPS = Function("groups", f"""
define internal i64 @groups({V32} %keys, i32 %mask) noinline {{
  ; Distinct keys among the lanes of %mask, and in the upper half the most lanes that share one.
entry:
  %lanes = alloca [{LANES} x i32], align 64
  store {V32} %keys, ptr %lanes
  br label %next
next:
  %rest = phi i32 [ %mask, %entry ], [ %rest.less, %group ]
  %count = phi i64 [ 0, %entry ], [ %count.more, %group ]
  %most = phi i32 [ 0, %entry ], [ %most.new, %group ]
  %over = icmp eq i32 %rest, 0
  br i1 %over, label %done, label %group
group:
  %number = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %number.wide = zext i32 %number to i64
  %key.at = getelementptr i32, ptr %lanes, i64 %number.wide
  %key = load i32, ptr %key.at
  {splat("key.all", "i32", "%key")}
  %equal = icmp eq {V32} %keys, %key.all
  %equal.mask = bitcast {MASK} %equal to i32
  %members = and i32 %equal.mask, %rest
  %rest.less = xor i32 %rest, %members
  %size = call i32 @llvm.ctpop.i32(i32 %members)
  %larger = icmp ugt i32 %size, %most
  %most.new = select i1 %larger, i32 %size, i32 %most
  %count.more = add i64 %count, 1
  br label %next
done:
  %most.wide = zext i32 %most to i64
  %most.high = shl i64 %most.wide, 32
  %both = or i64 %most.high, %count
  ret i64 %both
}}
""", (), (CTTZ, CTPOP))  # fmt: skip

WAVEFRONTS = Function("wavefronts", f"""
define internal i64 @wavefronts({V32} %units, i32 %mask, i32 %slots) noinline {{
  ; Passes of a shared-memory request, and in the upper half those beyond the ideal one a group. %slots lanes make
  ; a group; two lanes conflict when their units differ but fall into one slot (docs/emulator.md).
entry:
  %lanes = alloca [{LANES} x i32], align 64
  %seen = alloca [{LANES} x i8], align 64
  store {V32} %units, ptr %lanes
  %slot.mask = sub i32 %slots, 1
  {splat("slot.all", "i32", "%slot.mask")}
  %slot.of = and {V32} %units, %slot.all
  %slot.bit = shl {V32} splat (i32 1), %slot.of
  %short = sub i32 32, %slots
  %group.first = lshr i32 -1, %short
  br label %group
group:
  %start = phi i32 [ 0, %entry ], [ %start.next, %close ]
  %passes = phi i64 [ 0, %entry ], [ %passes.new, %close ]
  %ideal = phi i64 [ 0, %entry ], [ %ideal.new, %close ]
  %end = icmp uge i32 %start, 32
  br i1 %end, label %done, label %open
open:
  %group.mask = shl i32 %group.first, %start
  %members = and i32 %mask, %group.mask
  %empty = icmp eq i32 %members, 0
  br i1 %empty, label %close, label %distinct
distinct:
  %members.vector = bitcast i32 %members to {MASK}
  %bits = select {MASK} %members.vector, {V32} %slot.bit, {V32} zeroinitializer
  %used = call i32 @llvm.vector.reduce.or.v{LANES}i32({V32} %bits)
  %used.count = call i32 @llvm.ctpop.i32(i32 %used)
  %member.count = call i32 @llvm.ctpop.i32(i32 %members)
  %free = icmp eq i32 %used.count, %member.count
  br i1 %free, label %close, label %count
count:
  store [{LANES} x i8] zeroinitializer, ptr %seen
  br label %next
next:
  %rest = phi i32 [ %members, %count ], [ %rest.less, %unit ]
  %most = phi i8 [ 0, %count ], [ %most.new, %unit ]
  %over = icmp eq i32 %rest, 0
  br i1 %over, label %close, label %unit
unit:
  %number = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %number.wide = zext i32 %number to i64
  %key.at = getelementptr i32, ptr %lanes, i64 %number.wide
  %key = load i32, ptr %key.at
  {splat("key.all", "i32", "%key")}
  %equal = icmp eq {V32} %units, %key.all
  %equal.mask = bitcast {MASK} %equal to i32
  %sharing = and i32 %equal.mask, %rest
  %rest.less = xor i32 %rest, %sharing
  %slot = and i32 %key, %slot.mask
  %slot.wide = zext i32 %slot to i64
  %seen.at = getelementptr i8, ptr %seen, i64 %slot.wide
  %seen.old = load i8, ptr %seen.at
  %seen.new = add i8 %seen.old, 1
  store i8 %seen.new, ptr %seen.at
  %larger = icmp ugt i8 %seen.new, %most
  %most.new = select i1 %larger, i8 %seen.new, i8 %most
  br label %next
close:
  %more = phi i8 [ 0, %open ], [ 1, %distinct ], [ %most, %next ]
  %one = phi i64 [ 0, %open ], [ 1, %distinct ], [ 1, %next ]
  %more.wide = zext i8 %more to i64
  %passes.new = add i64 %passes, %more.wide
  %ideal.new = add i64 %ideal, %one
  %start.next = add i32 %start, %slots
  br label %group
done:
  %conflicts = sub i64 %passes, %ideal
  %conflicts.high = shl i64 %conflicts, 32
  %both = or i64 %conflicts.high, %passes
  ret i64 %both
}}
""", (), (CTTZ, CTPOP, f"declare i32 @llvm.vector.reduce.or.v{LANES}i32({V32})"))  # fmt: skip

PERMUTE = Function("permute", f"""
define internal {V32} @permute({V32} %a, {V32} %from) noinline {{
  ; Lane i of the result is lane %from[i] of %a.
  %lanes = alloca [{LANES} x i32], align 64
  store {V32} %a, ptr %lanes
  %from.wide = zext {V32} %from to {V64}
  %at = getelementptr i32, ptr %lanes, {V64} %from.wide
  %b = call {V32} @llvm.masked.gather.v{LANES}i32.v{LANES}p0(<{LANES} x ptr> %at, i32 4, {MASK} splat (i1 true), {V32} poison)
  ret {V32} %b
}}
""", (), (f"declare {V32} @llvm.masked.gather.v{LANES}i32.v{LANES}p0(<{LANES} x ptr>, i32, {MASK}, {V32})",))  # fmt: skip


def load(space: str, element_bytes: int, count: int) -> Function:
    """`load_SPACE_BYTES_COUNT(addresses, mask, env, site)`: `count` vectors of bits; inactive lanes give 0."""
    element = f"i{8 * element_bytes}"
    full = vector(8 * element_bytes)
    returns = full if count == 1 else "{ " + ", ".join([full] * count) + " }"
    wide_vector = f"<{LANES * count} x {element}>"
    gather = f"llvm.masked.gather.v{LANES}{element}.v{LANES}p0"
    together = [f"%all = load {wide_vector}, ptr %first, align {element_bytes}"]
    each = []
    for k in range(count):
        lanes = ", ".join(f"i32 {count * i + k}" for i in range(LANES))
        together.append(f"%t{k} = shufflevector {wide_vector} %all, {wide_vector} poison, {V32} <{lanes}>")
        each.append(f"%q{k} = getelementptr i8, <{LANES} x ptr> %pointers, i64 {k * element_bytes}")
        each.append(
            f"%g{k} = call {full} @{gather}(<{LANES} x ptr> %q{k}, i32 {element_bytes}, {MASK} %active, {full} zeroinitializer)"
        )

    def pack(prefix: str) -> str:
        if count == 1:
            return f"ret {full} %{prefix}0"
        lines, whole = [], "poison"
        for k in range(count):
            lines.append(f"%{prefix}.s{k} = insertvalue {returns} {whole}, {full} %{prefix}{k}, {k}")
            whole = f"%{prefix}.s{k}"
        return "\n".join([*lines, f"ret {returns} {whole}"])

    text = access(
        f"load_{space}_{element_bytes}_{count}",
        returns,
        space,
        element_bytes * count,
        together="\n".join([*together, pack("t")]),
        each="\n".join([*each, pack("g")]),
        nothing=f"ret {returns} zeroinitializer",
    )
    gather_declaration = f"declare {full} @{gather}(<{LANES} x ptr>, i32, {MASK}, {full})"
    return Function(f"load_{space}_{element_bytes}_{count}", text, needs(space), (gather_declaration, CTPOP))


def store(space: str, element_bytes: int, count: int) -> Function:
    """`store_SPACE_BYTES_COUNT(addresses, mask, env, site, v0, ...)`; where lanes overlap, the highest lane wins."""
    element = f"i{8 * element_bytes}"
    full = vector(8 * element_bytes)
    scatter = f"llvm.masked.scatter.v{LANES}{element}.v{LANES}p0"
    together, width, parts = [], LANES, [f"%v{k}" for k in range(count)]
    while len(parts) > 1:  # concatenate by halves, then bring the elements of a lane together
        paired = []
        for a, b in zip(parts[::2], parts[1::2], strict=True):
            name = f"{a}.j{width}"
            order = ", ".join(f"i32 {i}" for i in range(2 * width))
            kind = f"<{width} x {element}>"
            together.append(f"{name} = shufflevector {kind} {a}, {kind} {b}, <{2 * width} x i32> <{order}>")
            paired.append(name)
        parts, width = paired, 2 * width
    if count > 1:
        order = ", ".join(f"i32 {LANES * k + i}" for i in range(LANES) for k in range(count))
        kind = f"<{width} x {element}>"
        together.append(f"%all = shufflevector {kind} {parts[0]}, {kind} poison, <{width} x i32> <{order}>")
        parts = ["%all"]
    together.append(f"store <{width} x {element}> {parts[0]}, ptr %first, align {element_bytes}")
    each = []
    for k in range(count):
        each.append(f"%q{k} = getelementptr i8, <{LANES} x ptr> %pointers, i64 {k * element_bytes}")
        each.append(f"call void @{scatter}({full} %v{k}, <{LANES} x ptr> %q{k}, i32 {element_bytes}, {MASK} %active)")
    text = access(
        f"store_{space}_{element_bytes}_{count}",
        "void",
        space,
        element_bytes * count,
        together="\n".join([*together, "ret void"]),
        each="\n".join([*each, "ret void"]),
        nothing="ret void",
        values="".join(f", {full} %v{k}" for k in range(count)),
    )
    scatter_declaration = f"declare void @{scatter}({full}, <{LANES} x ptr>, i32, {MASK})"
    return Function(f"store_{space}_{element_bytes}_{count}", text, needs(space), (scatter_declaration, CTPOP))


def needs(space: str) -> tuple[Function, ...]:
    return (RESOLVE_GLOBAL, GROUPS) if space == "global" else (RESOLVE_SHARED, WAVEFRONTS)


def access(
    name: str, returns: str, space: str, size: int, *, together: str, each: str, nothing: str, values: str = ""
) -> str:
    """The frame of a load or store of `size` bytes a lane: checks, counters, then one of two ways to the bytes.

    `together`: all 32 lanes are active and consecutive, %first points to lane 0's bytes. `each`: %pointers, one a
    lane, under %active.
    """
    address = V64 if space == "global" else V32
    element = "i64" if space == "global" else "i32"
    check = check_global(size) if space == "global" else check_shared(size)
    count = count_sectors() if space == "global" else count_wavefronts(size)
    base = slot("base", DELTA) if space == "global" else slot("base", SHARED)
    if space == "global":
        pointers = "%host = add " + V64 + " %a, %base.all"
        first = "%a.first.host = add i64 %a.first, %base"
    else:
        pointers = f"%a.wide = zext {V32} %a to {V64}\n%host = add {V64} %a.wide, %base.all"
        first = "%a.first.wide = zext i32 %a.first to i64\n%a.first.host = add i64 %a.first.wide, %base"
    return f"""
define internal {returns} @{name}({address} %a, i32 %asked, ptr %env, ptr %site{values}) noinline {{
entry:
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %nothing, label %check
nothing:
  {nothing}
check:
  {check}
  br i1 %doubtful, label %slow, label %go
slow:
  %resolved = call i32 @resolve_{space}({address} %a, i32 %asked, {element} {size}, ptr %env, ptr %site)
  %lost = icmp eq i32 %resolved, 0
  br i1 %lost, label %nothing, label %go
go:
  %mask = phi i32 [ %asked, %check ], [ %resolved, %slow ]
  %active = bitcast i32 %mask to {MASK}
  %full = icmp eq i32 %mask, {ALL}
  %a.first = extractelement {address} %a, i64 0
  {splat("first.all", element, "%a.first")}
  %expected = add {address} %first.all, {multiples(element, size)}
  %consecutive = icmp eq {address} %a, %expected
  %consecutive.mask = bitcast {MASK} %consecutive to i32
  %in.order = icmp eq i32 %consecutive.mask, {ALL}
  %smooth = and i1 %in.order, %full
  {bump(REQUESTS, "1")}
  %lanes = call i32 @llvm.ctpop.i32(i32 %mask)
  %lanes.wide = zext i32 %lanes to i64
  {bump(ACTIVE, "%lanes.wide")}
  {base}
  {count}
  br i1 %smooth, label %together, label %each
together:
  {first}
  %first = inttoptr i64 %a.first.host to ptr
  {together}
each:
  {splat("base.all", "i64", "%base")}
  {pointers}
  %pointers = inttoptr {V64} %host to <{LANES} x ptr>
  {each}
}}
"""


def check_global(size: int) -> str:
    """Lines that set %doubtful unless every active lane lies aligned in the buffer that this site hit last."""
    return f"""%low.at = getelementptr i64, ptr %site, i64 {CACHED_LOW}
  %low = load i64, ptr %low.at
  %span.at = getelementptr i64, ptr %site, i64 {CACHED_SPAN}
  %span = load i64, ptr %span.at
  {splat("low.all", "i64", "%low")}
  {splat("span.all", "i64", "%span")}
  %offset = sub {V64} %a, %low.all
  %outside = icmp ugt {V64} %offset, %span.all
  %ragged = and {V64} %a, splat (i64 {size - 1})
  %misaligned = icmp ne {V64} %ragged, zeroinitializer
  {doubtful()}"""


def check_shared(size: int) -> str:
    return f"""{slot("bytes", SHARED_BYTES)}
  %bytes.short = trunc i64 %bytes to i32
  %short = icmp ult i32 %bytes.short, {size}
  %room = sub i32 %bytes.short, {size - 1}
  %limit = select i1 %short, i32 0, i32 %room
  {splat("limit.all", "i32", "%limit")}
  %outside = icmp uge {V32} %a, %limit.all
  %ragged = and {V32} %a, splat (i32 {size - 1})
  %misaligned = icmp ne {V32} %ragged, zeroinitializer
  {doubtful()}"""


def doubtful() -> str:
    return f"""%bad = or {MASK} %outside, %misaligned
  %bad.mask = bitcast {MASK} %bad to i32
  %bad.active = and i32 %bad.mask, %asked
  %doubtful = icmp ne i32 %bad.active, 0"""


def count_sectors() -> str:
    """Lines that count the distinct 32-byte sectors; an aligned access of up to 32 bytes touches one a lane."""
    before = ", ".join(f"i32 {max(0, i - 1)}" for i in range(LANES))
    return f"""%sector.wide = lshr {V64} %a, splat (i64 5)
  %sector = trunc {V64} %sector.wide to {V32}
  %before = shufflevector {V32} %sector, {V32} poison, {V32} <{before}>
  %rising = icmp uge {V32} %sector, %before
  %rising.mask = bitcast {MASK} %rising to i32
  %sorted = icmp eq i32 %rising.mask, {ALL}
  %easy = and i1 %sorted, %full
  br i1 %easy, label %steps, label %search
steps:
  %new = icmp ne {V32} %sector, %before
  %new.mask = bitcast {MASK} %new to i32
  %new.count = call i32 @llvm.ctpop.i32(i32 %new.mask)
  %new.more = add i32 %new.count, 1
  %new.wide = zext i32 %new.more to i64
  br label %counted
search:
  %grouped = call i64 @groups({V32} %sector, i32 %mask)
  %grouped.count = and i64 %grouped, 4294967295
  br label %counted
counted:
  %sectors = phi i64 [ %new.wide, %steps ], [ %grouped.count, %search ]
  {bump(WORK, "%sectors")}"""


def count_wavefronts(size: int) -> str:
    """Lines that count the passes of a shared request and those beyond the ideal."""
    slots = min(32, 128 // size)
    shift = max(2, size.bit_length() - 1)
    return f"""br i1 %smooth, label %counted, label %search
search:
  %unit = lshr {V32} %a, splat (i32 {shift})
  %passes.both = call i64 @wavefronts({V32} %unit, i32 %mask, i32 {slots})
  br label %counted
counted:
  %waves = phi i64 [ {32 // slots}, %go ], [ %passes.both, %search ]
  %passes = and i64 %waves, 4294967295
  %conflicts = lshr i64 %waves, 32
  {bump(WORK, "%passes")}
  {bump(EXTRA, "%conflicts")}"""


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


def atomic(space: str, operation: str, kind: Type) -> Function:
    """`atomic_SPACE_OPERATION_TYPE(addresses, mask, env, site, b, c)`: the old values; lanes act in ascending order."""
    size, t = kind.bytes, f"i{kind.bits}"
    full = vector(kind.bits)
    address = V64 if space == "global" else V32
    element = "i64" if space == "global" else "i32"
    name = f"atomic_{space}_{operation}_{kind}"
    if kind.floating:
        body = float_add(kind, ftz=space == "global" and kind.bits == 32)
    else:
        body = SCALAR_OPERATIONS[operation].format(t=t, s="s" if kind.signed else "u")
    key = "%a.shifted = lshr " + address + f" %a, splat ({element} {size.bit_length() - 1})\n  "
    key += (
        f"%key = trunc {V64} %a.shifted to {V32}"
        if space == "global"
        else f"%key = add {V32} %a.shifted, zeroinitializer"
    )
    host = "%host.int = add i64 %address, %base"
    if space == "shared":
        host = "%address.wide = zext i32 %address to i64\n  %host.int = add i64 %address.wide, %base"
    text = f"""
define internal {full} @{name}({address} %a, i32 %asked, ptr %env, ptr %site, {full} %b.all, {full} %c.all) noinline {{
entry:
  %addresses = alloca {address}, align 64
  %olds = alloca {full}, align 64
  %bs = alloca {full}, align 64
  %cs = alloca {full}, align 64
  store {address} %a, ptr %addresses
  store {full} zeroinitializer, ptr %olds
  store {full} %b.all, ptr %bs
  store {full} %c.all, ptr %cs
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %nothing, label %check
nothing:
  ret {full} zeroinitializer
check:
  {check_global(size) if space == "global" else check_shared(size)}
  br i1 %doubtful, label %slow, label %go
slow:
  %resolved = call i32 @resolve_{space}({address} %a, i32 %asked, {element} {size}, ptr %env, ptr %site)
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
  {slot("base", DELTA) if space == "global" else slot("base", SHARED)}
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
  %address.at = getelementptr {element}, ptr %addresses, i64 %number.wide
  %address = load {element}, ptr %address.at
  {host}
  %host = inttoptr i64 %host.int to ptr
  %old = load {t}, ptr %host
  %b.at = getelementptr {t}, ptr %bs, i64 %number.wide
  %b = load {t}, ptr %b.at
  %c.at = getelementptr {t}, ptr %cs, i64 %number.wide
  %c = load {t}, ptr %c.at
  {body}
  store {t} %new, ptr %host
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
    return Function(name, text, (*needs(space), GROUPS), tuple(declarations))


def divide(kind: Type) -> Function:
    """`divide_TYPE(a, b)`: quotients and remainders. x / 0 is all ones and x rem 0 is x; the least value over -1 is
    itself, remainder 0. Divisors are made safe in every lane: a trap in an inactive one would be a trap."""
    full, sign = kind.vector, "s" if kind.signed else "u"
    overflow = f"%hard = icmp eq {full} %b, zeroinitializer"
    if kind.signed:
        least = -(1 << kind.bits - 1)
        overflow += f"""
  %least = icmp eq {full} %a, splat ({kind.element} {least})
  %minus = icmp eq {full} %b, splat ({kind.element} -1)
  %wraps = and {MASK} %least, %minus
  %unsafe = or {MASK} %hard, %wraps"""
    else:
        overflow += f"\n  %unsafe = or {MASK} %hard, zeroinitializer"
    text = f"""
define internal {{ {full}, {full} }} @divide_{kind}({full} %a, {full} %b) noinline {{
  {overflow}
  %safe = select {MASK} %unsafe, {full} splat ({kind.element} 1), {full} %b
  %q = {sign}div {full} %a, %safe
  %product = mul {full} %q, %safe
  %r = sub {full} %a, %product
  %quotient = select {MASK} %hard, {full} splat ({kind.element} -1), {full} %q
  %remainder = select {MASK} %hard, {full} %a, {full} %r
  %first = insertvalue {{ {full}, {full} }} poison, {full} %quotient, 0
  %both = insertvalue {{ {full}, {full} }} %first, {full} %remainder, 1
  ret {{ {full}, {full} }} %both
}}
"""
    return Function(f"divide_{kind}", text)


def scheduler(register_bytes: int, zeroed: tuple[tuple[int, int], ...]) -> str:
    """`run_ctas(env)`: runs CTAs FIRST_CTA, FIRST_CTA + CTA_STEP, ... below CTA_COUNT; 0, or 1 after a fault.

    Warps run by rank until each waits or has exited; when every lane that lives waits at one barrier, all go on.
    `zeroed`: (offset, bytes) of the registers that may be read before they are written.
    """
    zeroes = "\n".join(
        f"  %z{i} = getelementptr i8, ptr %registers, i64 {offset}\n  store <{size} x i8> zeroinitializer, ptr %z{i}, align 4"
        for i, (offset, size) in enumerate(zeroed)
    )
    coordinates = ""
    for axis, value in (("x", "%tid.x"), ("y", "%tid.y"), ("z", "%tid.z")):
        coordinates += (
            f"  %at.{axis} = getelementptr i8, ptr %warp, i64 {WARP_TID + 128 * 'xyz'.index(axis)}\n"
            f"  store {V32} {value}, ptr %at.{axis}, align 64\n"
        )
    return f"""
define i64 @run_ctas(ptr %env) {{
entry:
  {slot("first", FIRST_CTA)}
  {slot("step", CTA_STEP)}
  {slot("count", CTA_COUNT)}
  {slot("grid.x", GRID_X)}
  {slot("grid.y", GRID_Y)}
  {slot("block.x", BLOCK_X)}
  {slot("block.y", BLOCK_Y)}
  {slot("block.z", BLOCK_Z)}
  {slot("warp.count", WARP_COUNT)}
  {slot("warps", WARPS, "ptr")}
  {slot("all.registers", REGISTERS, "ptr")}
  {slot("fuel.per.warp", FUEL_PER_WARP)}
  %block.xy = mul i64 %block.x, %block.y
  %threads = mul i64 %block.xy, %block.z
  %threads.short = trunc i64 %threads to i32
  {splat("threads.all", "i32", "%threads.short")}
  %block.x.short = trunc i64 %block.x to i32
  {splat("block.x.all", "i32", "%block.x.short")}
  %block.y.short = trunc i64 %block.y to i32
  {splat("block.y.all", "i32", "%block.y.short")}
  br label %cta
cta:
  %rank = phi i64 [ %first, %entry ], [ %rank.next, %cta.done ]
  %over = icmp uge i64 %rank, %count
  br i1 %over, label %finished, label %cta.open
cta.open:
  %row = udiv i64 %rank, %grid.x
  %cta.x = urem i64 %rank, %grid.x
  %cta.y = urem i64 %row, %grid.y
  %cta.z = udiv i64 %row, %grid.y
  %p.cta = getelementptr i64, ptr %env, i64 {CTA}
  store i64 %rank, ptr %p.cta
  %p.cta.x = getelementptr i64, ptr %env, i64 {CTA_X}
  store i64 %cta.x, ptr %p.cta.x
  %p.cta.y = getelementptr i64, ptr %env, i64 {CTA_Y}
  store i64 %cta.y, ptr %p.cta.y
  %p.cta.z = getelementptr i64, ptr %env, i64 {CTA_Z}
  store i64 %cta.z, ptr %p.cta.z
  br label %prepare
prepare:
  %w = phi i64 [ 0, %cta.open ], [ %w.next, %prepare.warp ]
  %prepared = icmp eq i64 %w, %warp.count
  br i1 %prepared, label %round, label %prepare.warp
prepare.warp:
  %w.offset = mul i64 %w, {WARP_BYTES}
  %warp = getelementptr i8, ptr %warps, i64 %w.offset
  %r.offset = mul i64 %w, {register_bytes}
  %registers = getelementptr i8, ptr %all.registers, i64 %r.offset
{zeroes}
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
  store {V32} zeroinitializer, ptr %warp, align 64
  %at.waiting = getelementptr i8, ptr %warp, i64 {WARP_WAITING}
  store i32 0, ptr %at.waiting
  %at.exited = getelementptr i8, ptr %warp, i64 {WARP_EXITED}
  store i32 0, ptr %at.exited
  %at.valid = getelementptr i8, ptr %warp, i64 {WARP_VALID}
  store i32 %valid.mask, ptr %at.valid
  %at.parked = getelementptr i8, ptr %warp, i64 {WARP_PARKED}
  store i32 0, ptr %at.parked
  %at.barrier = getelementptr i8, ptr %warp, i64 {WARP_BARRIER}
  store i32 -1, ptr %at.barrier
  %at.fuel = getelementptr i8, ptr %warp, i64 {WARP_FUEL}
  store i64 %fuel.per.warp, ptr %at.fuel
  %w.next = add i64 %w, 1
  br label %prepare
round:
  br label %turn
turn:
  ; %living: warps with lanes that have not exited; %stuck: some lane waits for a warp sync; %barrier: -1 none yet.
  %t = phi i64 [ 0, %round ], [ %t.next, %turn.over ]
  %living = phi i64 [ 0, %round ], [ %living.new, %turn.over ]
  %stuck = phi i1 [ false, %round ], [ %stuck.new, %turn.over ]
  %barrier = phi i32 [ -1, %round ], [ %barrier.new, %turn.over ]
  %mixed = phi i1 [ false, %round ], [ %mixed.new, %turn.over ]
  %round.over = icmp eq i64 %t, %warp.count
  br i1 %round.over, label %judge, label %turn.warp
turn.warp:
  %t.offset = mul i64 %t, {WARP_BYTES}
  %turn.state = getelementptr i8, ptr %warps, i64 %t.offset
  %t.r.offset = mul i64 %t, {register_bytes}
  %turn.registers = getelementptr i8, ptr %all.registers, i64 %t.r.offset
  %p.warp = getelementptr i64, ptr %env, i64 {WARP}
  store i64 %t, ptr %p.warp
  %t.fuel.at = getelementptr i8, ptr %turn.state, i64 {WARP_FUEL}
  %t.fuel = load i64, ptr %t.fuel.at
  %p.fuel = getelementptr i64, ptr %env, i64 {FUEL}
  store i64 %t.fuel, ptr %p.fuel
  call void @warp(ptr %turn.registers, ptr %turn.state, ptr %env)
  %t.fuel.left = load i64, ptr %p.fuel
  store i64 %t.fuel.left, ptr %t.fuel.at
  %p.fault = getelementptr i64, ptr %env, i64 {FAULT_KIND}
  %fault = load i64, ptr %p.fault
  %faulted = icmp ne i64 %fault, 0
  br i1 %faulted, label %stop, label %turn.over
turn.over:
  %t.exited.at = getelementptr i8, ptr %turn.state, i64 {WARP_EXITED}
  %t.exited = load i32, ptr %t.exited.at
  %t.valid.at = getelementptr i8, ptr %turn.state, i64 {WARP_VALID}
  %t.valid = load i32, ptr %t.valid.at
  %t.parked.at = getelementptr i8, ptr %turn.state, i64 {WARP_PARKED}
  %t.parked = load i32, ptr %t.parked.at
  %t.barrier.at = getelementptr i8, ptr %turn.state, i64 {WARP_BARRIER}
  %t.barrier = load i32, ptr %t.barrier.at
  %lives = icmp ne i32 %t.exited, %t.valid
  %lives.wide = zext i1 %lives to i64
  %living.new = add i64 %living, %lives.wide
  %parked = icmp ne i32 %t.parked, 0
  %stuck.new = or i1 %stuck, %parked
  %fresh = icmp eq i32 %barrier, -1
  %barrier.now = select i1 %fresh, i32 %t.barrier, i32 %barrier
  %barrier.new = select i1 %lives, i32 %barrier.now, i32 %barrier
  %other = icmp ne i32 %t.barrier, %barrier.new
  %differs = and i1 %other, %lives
  %mixed.new = or i1 %mixed, %differs
  %t.next = add i64 %t, 1
  br label %turn
judge:
  %dead = icmp eq i64 %living, 0
  br i1 %dead, label %cta.done, label %barrier.check
barrier.check:
  %blocked = or i1 %stuck, %mixed
  br i1 %blocked, label %deadlock, label %release
deadlock:
  {slot("counters.ptr", COUNTERS, "ptr")}
  call void @fault(ptr %env, i64 {DEADLOCK}, ptr %counters.ptr, i64 0, i64 0)
  br label %stop
release:
  %p.phases = getelementptr i64, ptr %env, i64 {PHASES}
  %phases = load i64, ptr %p.phases
  %phases.more = add i64 %phases, 1
  store i64 %phases.more, ptr %p.phases
  br label %wake
wake:
  %k = phi i64 [ 0, %release ], [ %k.next, %wake.warp ]
  %awake = icmp eq i64 %k, %warp.count
  br i1 %awake, label %round, label %wake.warp
wake.warp:
  %k.offset = mul i64 %k, {WARP_BYTES}
  %k.state = getelementptr i8, ptr %warps, i64 %k.offset
  %k.waiting = getelementptr i8, ptr %k.state, i64 {WARP_WAITING}
  store i32 0, ptr %k.waiting
  %k.barrier = getelementptr i8, ptr %k.state, i64 {WARP_BARRIER}
  store i32 -1, ptr %k.barrier
  %k.next = add i64 %k, 1
  br label %wake
cta.done:
  %rank.next = add i64 %rank, %step
  br label %cta
finished:
  ret i64 0
stop:
  ret i64 1
}}
"""
