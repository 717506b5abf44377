"""The product of a warp's 16 rows of A with B, which matrix descriptors locate in shared memory.

A descriptor has, in units of 16 bytes, the start (bits 0 to 13), the leading and the stride offset (from bits 16 and
32), and the swizzle (bits 62 and 63: none, 128, 64 or 32 bytes). An operand has 32 bytes of k. With k together, eight
rows of 16 bytes, or of the swizzle's width, are a block, and blocks are a stride apart; without a swizzle the second 16
bytes are a leading offset away. With rows together, for elements of 16 bits, the same holds the other way round.
(PTX ISA, "Matrix Descriptor Format" and "Strides" of wgmma.)
"""

from __future__ import annotations

import functools

from ptxbench.emulator import tensor
from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.conditions import SHARED_ORIGIN
from ptxbench.emulator.runtime.context import V32, V64, RuntimeFunction, field, slot, splat
from ptxbench.emulator.runtime.dot_products import STEP, dot_product
from ptxbench.emulator.runtime.elements import SPECIAL, decoded
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.product import Multiply
from ptxbench.emulator.runtime.sparse import choose
from ptxbench.emulator.runtime.warpgroup import (
    COLUMNS,
    FLAGS,
    NARROW,
    NEGATIVE_A,
    NEGATIVE_B,
    OUTSIDE,
    TRANSPOSED_A,
    TRANSPOSED_B,
    fault,
)
from ptxbench.emulator.types import LANES, S32

K_BYTES = 32
NARROW_MODE = 3
"""The mode of a swizzle of 32 bytes."""
ROWS = 16
"""Rows of A, and of D, that a warp has."""


def element_bytes(kind: str) -> int:
    """Bytes of an element; bits are moved in words."""
    return 4 if kind == "b1" else tensor.element_bits(kind) // 8


@functools.cache
def operand(kind: str, lift: int, origin_inside: bool, k_bytes: int = K_BYTES) -> RuntimeFunction:
    """`NAME(env, site, out, rows, descriptor, transposed, negative, linear)`: the elements of each lane's row, decoded.

    They go to `out` in the layout of runtime/matrix.py. `linear`: rows of 32 bytes in memory, instead of a descriptor,
    or null. `origin_inside`: addresses count from the start of the CTA's memory. `k_bytes`: bytes of a row; twice as
    many for the B of a sparse A. Returns whether any element is infinite or NaN.
    """
    size = element_bytes(kind)
    double = k_bytes > K_BYTES
    name = f"wgmma_operand_{kind}_{lift}" + "_reserved" * origin_inside + "_double" * double
    e = Emitter()
    word = f"<{LANES} x i{8 * size}>"
    raw = Value("%raw", S32)
    sign = {"f16": 0x8000, "bf16": 0x8000, "tf32": 1 << 31, "e4m3": 0x80, "e5m2": 0x80}.get(kind, 0)
    extend = "sext" if kind == "s8" else "zext"
    widened = f"%wide = {extend} {word} %taken to {V32}" if size < 4 else f"%wide = or {V32} %taken, zeroinitializer"
    planes = decoded(e, raw, kind, lift)
    stores = []
    for plane, value in enumerate(planes):
        stores.append(f"%p{plane} = getelementptr i8, ptr %k.out, i64 {128 * plane}")
        stores.append(f"store {value.type.vector} {value.ir}, ptr %p{plane}, align 64")
    most = f"%most.next = or {V32} %most, zeroinitializer"
    if len(planes) > 1:
        most = f"%most.next = call {V32} @llvm.smax.v{LANES}i32({V32} %most, {V32} {planes[1].ir})"
        e.declarations.add(f"declare {V32} @llvm.smax.v{LANES}i32({V32}, {V32})")
    narrow = f"""%narrow.swizzle = icmp eq i32 %mode, {NARROW_MODE}
  %not.transposed = xor i1 %transposed, true
  %unknown = and i1 %narrow.swizzle, %not.transposed
  br i1 %unknown, label %refuse, label %inside
refuse:
  {fault(NARROW)}
  br label %done
inside:"""
    gather = f"llvm.masked.gather.v{LANES}i{8 * size}.v{LANES}p0"
    origin = f"{V32} zeroinitializer" if origin_inside else f"{V32} %origin"
    text = f"""
define internal i1 @{name}(ptr %env, ptr %site, ptr %out, {V32} %rows, i64 %descriptor, i1 %transposed, i1 %negative,
                           ptr %linear) noinline {{
entry:
  %origin = {SHARED_ORIGIN.load}
  {slot("shared", at.SHARED)}
  {slot("shared.bytes", at.SHARED_BYTES)}
  %start.unit = and i64 %descriptor, 16383
  %start.wide = shl i64 %start.unit, 4
  %start = trunc i64 %start.wide to i32
  %leading.bits = lshr i64 %descriptor, 16
  %leading.unit = and i64 %leading.bits, 16383
  %leading.wide = shl i64 %leading.unit, 4
  %leading = trunc i64 %leading.wide to i32
  %stride.bits = lshr i64 %descriptor, 32
  %stride.unit = and i64 %stride.bits, 16383
  %stride.wide = shl i64 %stride.unit, 4
  %stride = trunc i64 %stride.wide to i32
  %mode.wide = lshr i64 %descriptor, 62
  %mode = trunc i64 %mode.wide to i32
  %plain = icmp eq i32 %mode, 0
  %swizzled.width = lshr i32 256, %mode
  %width = select i1 %plain, i32 16, i32 %swizzled.width
  %swizzle.bits = sub i32 %width, 16
  %in.registers = icmp ne ptr %linear, null
  %swizzle = select i1 %in.registers, i32 0, i32 %swizzle.bits
  ; What a row adds to the address: with k together, with rows together, of a linear matrix.
  {splat("width.all", "i32", "%width")}
  {splat("stride.all", "i32", "%stride")}
  %row.in = and {V32} %rows, splat (i32 7)
  %row.out = lshr {V32} %rows, splat (i32 3)
  %row.in.bytes = mul {V32} %row.in, %width.all
  %row.out.bytes = mul {V32} %row.out, %stride.all
  %row.k = add {V32} %row.in.bytes, %row.out.bytes
  %shift.swizzled = sub i32 7, %mode
  %shift = select i1 %plain, i32 3, i32 %shift.swizzled
  %group.stride = select i1 %plain, i32 %stride, i32 %leading
  %row.ones = shl i32 1, %shift
  %row.mask = sub i32 %row.ones, 1
  {splat("shift.all", "i32", "%shift")}
  {splat("group.stride.all", "i32", "%group.stride")}
  {splat("row.mask.all", "i32", "%row.mask")}
  %group = lshr {V32} %rows, %shift.all
  %group.bytes = mul {V32} %group, %group.stride.all
  %row.in.group = and {V32} %rows, %row.mask.all
  %row.in.group.bytes = shl {V32} %row.in.group, splat (i32 1)
  %row.m = add {V32} %group.bytes, %row.in.group.bytes
  %row.described = select i1 %transposed, {V32} %row.m, {V32} %row.k
  %row.linear = shl {V32} %rows, splat (i32 5)
  %row.part = select i1 %in.registers, {V32} %row.linear, {V32} %row.described
  %start.used = select i1 %in.registers, i32 0, i32 %start
  {splat("start.all", "i32", "%start.used")}
  %row.start = add {V32} %row.part, %start.all
  %origin.used = select i1 %in.registers, {V32} zeroinitializer, {origin}
  %linear.int = ptrtoint ptr %linear to i64
  %base = select i1 %in.registers, i64 %linear.int, i64 %shared
  {splat("base.all", "i64", "%base")}
  %limit.bytes = select i1 %in.registers, i64 512, i64 %shared.bytes
  %short = icmp ult i64 %limit.bytes, {size}
  %room.wide = sub i64 %limit.bytes, {size - 1}
  %room = trunc i64 %room.wide to i32
  %limit = select i1 %short, i32 0, i32 %room
  {splat("limit.all", "i32", "%limit")}
  {splat("swizzle.all", "i32", "%swizzle")}
  %k.far = select i1 %plain, i32 %leading, i32 %stride
  %flip = select i1 %negative, i32 {sign - (1 << 32) if sign >> 31 else sign}, i32 0
  {splat("flip.all", "i32", "%flip")}
  br label %next
next:
  %k = phi i32 [ 0, %entry ], [ %k.next, %taken.in ]
  %most = phi {V32} [ zeroinitializer, %entry ], [ %most.next, %taken.in ]
  %bad = phi i1 [ false, %entry ], [ %bad.next, %taken.in ]
  %byte = mul i32 %k, {size}
  %byte.in = and i32 %byte, 15
  %byte.out = lshr i32 %byte, 4
  %byte.far = mul i32 %byte.out, %leading
  %k.plain = add i32 %byte.in, %byte.far
  %spread = xor i1 %in.registers, true
  %k.spread = and i1 %plain, %spread
  %k.k = select i1 %k.spread, i32 %k.plain, i32 %byte
  %k.in = and i32 %k, 7
  %k.out.index = lshr i32 %k, 3
  %k.in.bytes = mul i32 %k.in, %width
  %k.out.bytes = mul i32 %k.out.index, %k.far
  %k.m = add i32 %k.in.bytes, %k.out.bytes
  %k.part = select i1 %transposed, i32 %k.m, i32 %k.k
  {splat("k.all", "i32", "%k.part")}
  %sum = add {V32} %row.start, %k.all
  %above = lshr {V32} %sum, splat (i32 3)
  %pattern = and {V32} %above, %swizzle.all
  %address = xor {V32} %sum, %pattern
  %offset = sub {V32} %address, %origin.used
  %outside = icmp uge {V32} %offset, %limit.all
  %outside.mask = bitcast <{LANES} x i1> %outside to i32
  %some.outside = icmp ne i32 %outside.mask, 0
  %bad.next = or i1 %bad, %some.outside
  br i1 %some.outside, label %taken.none, label %taken.all
taken.all:
  %offset.wide = zext {V32} %offset to {V64}
  %host = add {V64} %offset.wide, %base.all
  %pointers = inttoptr {V64} %host to <{LANES} x ptr>
  %found = call {word} @{gather}(<{LANES} x ptr> %pointers, i32 {size}, <{LANES} x i1> splat (i1 true),
                                 {word} zeroinitializer)
  br label %taken.in
taken.none:
  br label %taken.in
taken.in:
  %taken = phi {word} [ %found, %taken.all ], [ zeroinitializer, %taken.none ]
  {widened}
  %raw = xor {V32} %wide, %flip.all
  {chr(10).join(e.lines)}
  %k.wide = zext i32 %k to i64
  %k.offset = mul i64 %k.wide, {STEP}
  %k.out = getelementptr i8, ptr %out, i64 %k.offset
  {chr(10).join(stores)}
  {most}
  %k.next = add i32 %k, 1
  %more = icmp ult i32 %k.next, {k_bytes // size}
  br i1 %more, label %next, label %end
end:
  {narrow if double else ""}
  br i1 %bad.next, label %report, label %done
report:
  {fault(OUTSIDE)}
  br label %done
done:
  %special.lanes = icmp sge {V32} %most.next, splat (i32 {SPECIAL})
  %special.mask = bitcast <{LANES} x i1> %special.lanes to i32
  %special = icmp ne i32 %special.mask, 0
  ret i1 %special
}}
"""
    declared = f"declare {word} @{gather}(<{LANES} x ptr>, i32, <{LANES} x i1>, {word})"
    return RuntimeFunction(name, text, (FAULT,), (declared, *sorted(e.declarations)))


def constants(numbers: list[int]) -> str:
    """A constant vector of one number per lane."""
    return "<" + ", ".join(f"i32 {number}" for number in numbers) + ">"


def product(multiply: Multiply, origin_inside: bool, with_metadata: bool) -> RuntimeFunction:
    """`NAME(env, site, table, d, a, b, linear)`: add A B to the registers at `d`; `a` and `b` are descriptors.

    `with_metadata`: a pointer to the metadata of a sparse A follows, in the order of sparse.word_names.
    """
    kind_d, kind_a, kind_b, _ = multiply.types
    dot, lift = dot_product(multiply, hardware_fma=True)
    depth = K_BYTES // element_bytes(kind_a)
    b_depth = 2 * depth if multiply.sparse else depth
    rows = operand(kind_a, lift, origin_inside)
    columns = operand(kind_b, 0, origin_inside, K_BYTES * b_depth // depth)
    name = f"wg{multiply.name}" + "_reserved" * origin_inside + "_metadata" * with_metadata
    needs = [rows, columns, dot.first, dot.following]
    e = Emitter()
    packed = kind_d == "f16"
    addend = Value("%given", S32)
    source = "%columns"
    if multiply.sparse:
        choose_function = choose(multiply, 2 if multiply.model else 1)
        needs.append(choose_function)
        words = multiply.sparse.words(multiply.terms)
        first = e.op(f"mul i64 %half.wide, {words}")
        given_words = []
        for i in range(words):
            index = e.op(f"add i64 {first}, {i}")
            pointer = e.op(f"getelementptr {V32}, ptr %metadata, i64 {index}")
            given_words.append(f"{V32} {e.op(f'load {V32}, ptr {pointer}, align 64')}")
        e.line(f"call void @{choose_function.name}(ptr %columns, ptr %chosen, {', '.join(given_words)})")
        source = "%chosen"
    total = dot.apply(e, "%rows.at", source, addend, "%special" if multiply.model else "")
    unpack = f"%given = or {V32} %d.register, zeroinitializer"
    pack = f"%result = or {V32} {total.ir}, zeroinitializer"
    if packed:
        unpack = f"""%half.shift = mul i32 %second, 16
  {splat("shift.all", "i32", "%half.shift")}
  %shifted = lshr {V32} %d.register, %shift.all
  %given = and {V32} %shifted, splat (i32 65535)"""
        pack = f"""%low = and {V32} {total.ir}, splat (i32 65535)
  %shifted.half = shl {V32} %low, %shift.all
  %half.mask = shl {V32} splat (i32 65535), %shift.all
  %other.half.mask = xor {V32} %half.mask, splat (i32 -1)
  %other.half = and {V32} %d.register, %other.half.mask
  %result = or {V32} %other.half, %shifted.half"""
    text = f"""
define internal void @{name}(ptr %env, ptr %site, ptr %table, ptr %d, i64 %a, i64 %b, ptr %linear{
        ", ptr %metadata" * with_metadata
    }) noinline {{
entry:
  %rows = alloca [{2 * depth * STEP} x i8], align 64
  %columns = alloca [{b_depth * STEP} x i8], align 64
  {f"%chosen = alloca [{depth * STEP} x i8], align 64" if multiply.sparse else ""}
  %specials = alloca [2 x i1]
  {slot("warp", at.WARP)}
  %in.group.wide = and i64 %warp, 3
  %in.group = trunc i64 %in.group.wide to i32
  %first.described = mul i32 %in.group, {ROWS}
  %in.registers = icmp ne ptr %linear, null
  %first.row = select i1 %in.registers, i32 0, i32 %first.described
  {splat("first.all", "i32", "%first.row")}
  {field("table", "count", 4 * COLUMNS)}
  {field("table", "flags", 4 * FLAGS)}
  {flag("transposed.a", TRANSPOSED_A)}
  {flag("transposed.b", TRANSPOSED_B)}
  {flag("negative.a", NEGATIVE_A)}
  {flag("negative.b", NEGATIVE_B)}
  br label %row.next
row.next:
  %high = phi i32 [ 0, %entry ], [ %high.next, %row.next ]
  %high.rows = mul i32 %high, 8
  {splat("high.all", "i32", "%high.rows")}
  %from.first = add {V32} %first.all, %high.all
  %row = add {V32} %from.first, {constants([lane // 4 for lane in range(LANES)])}
  %high.wide = zext i32 %high to i64
  %high.offset = mul i64 %high.wide, {depth * STEP}
  %row.out = getelementptr i8, ptr %rows, i64 %high.offset
  %special.row = call i1 @{rows.name}(ptr %env, ptr %site, ptr %row.out, {V32} %row, i64 %a, i1 %transposed.a,
                                      i1 %negative.a, ptr %linear)
  %special.at = getelementptr i1, ptr %specials, i64 %high.wide
  store i1 %special.row, ptr %special.at
  %high.next = add i32 %high, 1
  %high.more = icmp ult i32 %high.next, 2
  br i1 %high.more, label %row.next, label %column.next
column.next:
  ; %column numbers the columns of a lane: two of each eight.
  %column = phi i32 [ 0, %row.next ], [ %column.more, %column.done ]
  %right = lshr i32 %column, 1
  %second = and i32 %column, 1
  %right.columns = mul i32 %right, 8
  %first.column = add i32 %right.columns, %second
  {splat("column.all", "i32", "%first.column")}
  %columns.of = add {V32} %column.all, {constants([2 * (lane % 4) for lane in range(LANES)])}
  %special.column = call i1 @{columns.name}(ptr %env, ptr %site, ptr %columns, {V32} %columns.of, i64 %b,
                                            i1 %transposed.b, i1 %negative.b, ptr null)
  br label %result.next
result.next:
  %half = phi i32 [ 0, %column.next ], [ %half.next, %result.next ]
  %half.wide = zext i32 %half to i64
  %rows.offset = mul i64 %half.wide, {depth * STEP}
  %rows.at = getelementptr i8, ptr %rows, i64 %rows.offset
  %special.of = getelementptr i1, ptr %specials, i64 %half.wide
  %special.half = load i1, ptr %special.of
  %special = or i1 %special.half, %special.column
  %block = mul i32 %right, {2 if packed else 4}
  %down = mul i32 %half, {1 if packed else 2}
  %block.down = add i32 %block, %down
  %index = add i32 %block.down, {"0" if packed else "%second"}
  %index.wide = zext i32 %index to i64
  %d.at = getelementptr {V32}, ptr %d, i64 %index.wide
  %d.register = load {V32}, ptr %d.at, align 64
  {unpack}
  {chr(10).join(e.lines)}
  {pack}
  store {V32} %result, ptr %d.at, align 64
  %half.next = add i32 %half, 1
  %half.more = icmp ult i32 %half.next, 2
  br i1 %half.more, label %result.next, label %column.done
column.done:
  %column.more = add i32 %column, 1
  %quarter = lshr i32 %count, 2
  %columns.more = icmp ult i32 %column.more, %quarter
  br i1 %columns.more, label %column.next, label %done
done:
  ret void
}}
"""
    return RuntimeFunction(name, text, tuple(needs), tuple(sorted(e.declarations)))


def flag(name: str, bit: int) -> str:
    return f"%{name}.bit = and i32 %flags, {bit}\n  %{name} = icmp ne i32 %{name}.bit, 0"
