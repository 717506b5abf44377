"""Integer, logic, comparison and move instructions on random bits, against Python's whole numbers.

Written from the manual's Semantics boxes, with numbers of any length and lists of bits, and nothing of the emulator's.
"""

import itertools
import operator
from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from tests.emulator.lines import SEED, Line, assemble, bits_of, clamp, disagreements, joined, kernels, number, pieces

REGISTERS = {16: "h", 32: "r", 64: "l"}
COMPARE = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "lo": operator.lt, "ls": operator.le, "hi": operator.gt, "hs": operator.ge,
}  # fmt: skip
BOOLEAN = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}
WORDS = ("u32", "s32")


def names(*kinds):
    """Operands from the pool for sources of these types: %r0, %r1, %l0."""
    used = dict.fromkeys(REGISTERS, 0)
    registers = []
    for kind in kinds:
        registers.append(f"%{REGISTERS[bits_of(kind)]}{used[bits_of(kind)]}")
        used[bits_of(kind)] += 1
    return ", ".join(registers)


def line(opcode, result, kinds, function):
    """`opcode` on sources of `kinds`; `function` takes signed numbers and returns one of any size."""
    return Line(
        f"{opcode} %d, {names(*kinds)}",
        (bits_of(result),),
        lambda *patterns: function(*(number(pattern, kind) for pattern, kind in zip(patterns, kinds, strict=True))),
    )


def same(opcode, kind, function, count):
    """Sources and result of one type."""
    return line(f"{opcode}.{kind}", kind, [kind] * count, function)


INTS = ("u16", "u32", "u64", "s16", "s32", "s64")


def twice(kind):
    return f"{kind[0]}{2 * bits_of(kind)}"


def high(kind):
    return lambda a, b, c=0: (a * b >> bits_of(kind)) + c


def quotient(a, b):
    if b == 0:
        return -1
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def remainder(a, b):
    return -1 if b == 0 else a - b * quotient(a, b)


def arithmetic():
    for kind in INTS:
        yield same("add", kind, lambda a, b: a + b, 2)
        yield same("sub", kind, lambda a, b: a - b, 2)
        yield same("mul.lo", kind, lambda a, b: a * b, 2)
        yield same("mul.hi", kind, high(kind), 2)
        yield same("mad.lo", kind, lambda a, b, c: a * b + c, 3)
        yield same("mad.hi", kind, high(kind), 3)
        yield same("sad", kind, lambda a, b, c: c + abs(a - b), 3)
        yield same("div", kind, quotient, 2)
        yield same("rem", kind, remainder, 2)
        yield same("min", kind, min, 2)
        yield same("max", kind, max, 2)
        if kind[0] == "s":
            yield same("neg", kind, lambda a: -a, 1)
            yield same("abs", kind, abs, 1)
        if bits_of(kind) < 64:
            yield line(f"mul.wide.{kind}", twice(kind), [kind, kind], lambda a, b: a * b)
            yield line(f"mad.wide.{kind}", twice(kind), [kind, kind, twice(kind)], lambda a, b, c: a * b + c)
    yield same("add.sat", "s32", lambda a, b: clamp(a + b, "s32"), 2)
    yield same("sub.sat", "s32", lambda a, b: clamp(a - b, "s32"), 2)
    yield same("mad.hi.sat", "s32", lambda a, b, c: clamp(high("s32")(a, b, c), "s32"), 3)


def low24(value, kind):
    return number(value, f"{kind[0]}24")


def arithmetic24():
    for kind in WORDS:
        for half, shift in (("lo", 0), ("hi", 16)):
            yield same(f"mul24.{half}", kind,
                       lambda a, b, kind=kind, shift=shift: low24(a, kind) * low24(b, kind) >> shift, 2)  # fmt: skip
            yield same(f"mad24.{half}", kind,
                       lambda a, b, c, kind=kind, shift=shift: (low24(a, kind) * low24(b, kind) >> shift) + c,
                       3)  # fmt: skip
    yield same("mad24.hi.sat", "s32", lambda a, b, c: clamp((low24(a, "s32") * low24(b, "s32") >> 16) + c, "s32"), 3)


def packed(function, kind):
    """Two halves at once."""
    return lambda a, b: joined(
        [function(x, y) for x, y in zip(pieces(a, kind, 2), pieces(b, kind, 2), strict=True)], bits_of(kind)
    )


def halves():
    for name, function in (("add", operator.add), ("min", min), ("max", max)):
        for kind in ("u16x2", "s16x2"):
            yield line(f"{name}.{kind}", "u32", ["u32", "u32"], packed(function, kind[:3]))
    for name, function in (("min", min), ("max", max)):
        for relu in ("relu.{}", "{}.relu"):
            yield line(f"{name}.{relu.format('s32')}", "s32", ["s32", "s32"], lambda a, b, f=function: max(f(a, b), 0))
            yield line(f"{name}.{relu.format('s16x2')}", "u32", ["u32", "u32"],
                       packed(lambda a, b, f=function: max(f(a, b), 0), "s16"))  # fmt: skip


def highest(width, signed, shift):
    def function(a):
        a = ~a if signed and a < 0 else a
        place = a.bit_length() - 1
        return place if place < 0 or not shift else width - 1 - place

    return function


def nth_set(mask, base, offset):
    base &= 31
    if offset == 0:
        return base if mask >> base & 1 else -1
    places = range(base, 32) if offset > 0 else range(base, -1, -1)
    set_bits = [place for place in places if mask >> place & 1]
    return set_bits[abs(offset) - 1] if abs(offset) <= len(set_bits) else -1


def extract(width, signed):
    """The manual's loop: bit i is a[start + i], beyond the field or the top its sign bit.

    The manual takes 8 bits of start and length. So does ptxas's code for 32 bits; that for 64 takes them all.
    """

    def function(a, start, length):
        start, length = (operand & 255 if width == 32 else operand for operand in (start, length))
        sign = 0 if not signed or length == 0 else a >> min(start + length - 1, width - 1) & 1
        return sum((a >> start + i & 1 if i < length and start + i < width else sign) << i for i in range(width))

    return function


def insert(width):
    def function(a, b, start, length):
        start, length = (operand & 255 if width == 32 else operand for operand in (start, length))
        for i in range(min(length, width)):
            if start + i < width:
                b = b & ~(1 << start + i) | (a >> i & 1) << start + i
        return b

    return function


def extend(mode, kind):
    def function(a, b):
        count = 32 if b > 31 and mode == "clamp" else b & 31
        return number(a, f"{kind[0]}{count}") if count else 0

    return function


def mask(mode):
    def function(a, b):
        if mode == "clamp" and a > 31:
            return 0
        count = 32 if mode == "clamp" and b > 31 else b & 31
        return ((1 << count) - 1) << (a & 31)

    return function


def reverse(width):
    return lambda a: int(f"{a:0{width}b}"[::-1], 2)


def bit_fields():
    for width in (32, 64):
        b, u, s = (f"{kind}{width}" for kind in "bus")
        yield line(f"popc.{b}", "u32", [b], lambda a: a.bit_count())
        yield line(f"clz.{b}", "u32", [b], lambda a, width=width: width - a.bit_length())
        yield line(f"brev.{b}", b, [b], reverse(width))
        for kind in (u, s):
            for shift in ("", ".shiftamt"):
                yield line(f"bfind{shift}.{kind}", "u32", [kind], highest(width, kind[0] == "s", bool(shift)))
            yield line(f"bfe.{kind}", kind, [u, "u32", "u32"], extract(width, kind[0] == "s"))
        yield line(f"bfi.{b}", b, [b, b, "u32", "u32"], insert(width))
    yield line("fns.b32", "b32", ["b32", "u32", "s32"], nth_set)
    for mode in ("clamp", "wrap"):
        for kind in WORDS:
            yield line(f"szext.{mode}.{kind}", kind, ["u32", "u32"], extend(mode, kind))
        yield line(f"bmsk.{mode}.b32", "b32", ["u32", "u32"], mask(mode))


def dot(first, second, start=0):
    """The sum of the products of the numbers in a (type `first`) with the numbers in b from number `start` on."""
    count = 32 // bits_of(first)

    def function(a, b, c):
        chosen = pieces(b, second, 4)[start : start + count]
        return c + sum(x * y for x, y in zip(pieces(a, first, count), chosen, strict=True))

    return function


def dot_products():
    for first, second in itertools.product("us", repeat=2):
        yield line(f"dp4a.{first}32.{second}32", "u32", ["u32"] * 3, dot(f"{first}8", f"{second}8"))
        for half, start in (("lo", 0), ("hi", 2)):
            yield line(f"dp2a.{half}.{first}32.{second}32", "u32", ["u32"] * 3,
                       dot(f"{first}16", f"{second}8", start))  # fmt: skip


SHOW_CARRY = "addc.u32 %f, 0, 0"


def word(name, width, a, b, carry):
    """One instruction of a chain: the word and its carry. A subtraction adds the complement."""
    total = a + (~b & (1 << width) - 1 if name == "sub" else b) + carry
    return total & (1 << width) - 1, total >> width


def two_words(first, second, width, last=True):
    """Two instructions: their words, and the carry of the last, or of the first."""

    def function(a, b, c, d):
        low, carried = word(first, width, a, b, first == "sub")
        high, left = word(second, width, c, d, carried)
        return low, high, left if last else carried

    return function


def product_and_sum(kind, half, carry=0):
    """Half of a product plus c plus a carry: the word, and the carry of the addition."""
    width = bits_of(kind)

    def function(a, b, c):
        product = number(a, kind) * number(b, kind) >> (width if half == "hi" else 0)
        total = (product & (1 << width) - 1) + c + carry
        return total & (1 << width) - 1, total >> width

    return function


def carry_chains():
    """The first instruction sets the carry that the second uses; a third shows the carry after that."""
    for kind in ("u32", "s32", "u64", "s64"):
        width = bits_of(kind)
        a, b, c, d = (f"%{REGISTERS[width]}{k}" for k in range(4))
        for first, second, cc in itertools.product(("add", "sub"), ("add", "sub"), (".cc", "")):
            yield Line(f"{first}.cc.{kind} %d, {a}, {b};\n    {second}c{cc}.{kind} %e, {c}, {d};\n    {SHOW_CARRY}",
                       (width, width, 32), two_words(first, second, width, last=bool(cc)))  # fmt: skip
        for half in ("lo", "hi"):
            yield Line(f"mad.{half}.cc.{kind} %d, {a}, {b}, {c};\n    {SHOW_CARRY}", (width, 32),
                       product_and_sum(kind, half))  # fmt: skip
            for carry in (0, 1):
                start = f"add.cc.u32 %d, {0xFFFFFFFF if carry else 0}, 1"
                for cc in (".cc", ""):

                    def function(a, b, c, kind=kind, half=half, carry=carry, cc=cc):
                        word, carried = product_and_sum(kind, half, carry)(a, b, c)
                        return 1 - carry, word, carried if cc else carry

                    yield Line(f"{start};\n    madc.{half}{cc}.{kind} %e, {a}, {b}, {c};\n    {SHOW_CARRY}",
                               (32, width, 32), function)  # fmt: skip


def by_table(a, b, c, table):
    return sum((table >> ((a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1)) & 1) << i for i in range(32))


MODES = {  # the bytes of the result, lowest first, by the low two bits of c
    "f4e": lambda c: [c, c + 1, c + 2, c + 3],
    "b4e": lambda c: [c, (c - 1) % 8, (c - 2) % 8, (c - 3) % 8],
    "rc8": lambda c: [c] * 4,
    "ecl": lambda c: [max(c, k) for k in range(4)],
    "ecr": lambda c: [min(c, k) for k in range(4)],
    "rc16": lambda c: [c % 2 * 2, c % 2 * 2 + 1] * 2,
}


def permuted(a, b, control):
    both = a | b << 32
    result = []
    for k in range(4):
        nibble = control >> 4 * k & 15
        byte = both >> (nibble & 7) * 8 & 255
        result.append((255 if byte >> 7 else 0) if nibble & 8 else byte)
    return joined(result, 8)


def shifts():
    for width in (16, 32, 64):
        b, u, s = (f"{kind}{width}" for kind in "bus")
        yield Line(f"shl.{b} %d, %{REGISTERS[width]}0, %r3", (width,), lambda a, n: 0 if n > 64 else a << n)
        for kind in (b, u, s):
            yield Line(f"shr.{kind} %d, %{REGISTERS[width]}0, %r3", (width,),
                       lambda a, n, kind=kind: number(a, kind) >> n)  # fmt: skip
        for name in ("and", "or", "xor"):
            yield line(f"{name}.{b}", b, [b, b], BOOLEAN[name])
        yield line(f"not.{b}", b, [b], operator.inv)
        yield line(f"cnot.{b}", b, [b], operator.not_)
    for mode, taken in (("clamp", lambda n: min(n, 32)), ("wrap", lambda n: n & 31)):
        yield line(f"shf.l.{mode}.b32", "b32", ["u32"] * 3, lambda a, b, n, f=taken: (b << 32 | a) << f(n) >> 32)
        yield line(f"shf.r.{mode}.b32", "b32", ["u32"] * 3, lambda a, b, n, f=taken: (b << 32 | a) >> f(n))


def tables():
    for table in (0x00, 0x1A, 0x40, 0x80, 0x96, 0xD8, 0xFE, 0xFF):
        yield Line(f"lop3.b32 %d, %r0, %r1, %r2, {table}", (32,), lambda a, b, c, t=table: by_table(a, b, c, t))
        for name in ("and", "or"):
            for place, results in (("%d|%q", (32, 1)), ("_|%q", (1,))):

                def function(a, b, c, q, table=table, name=name, results=results):
                    value = by_table(a, b, c, table)
                    return (value, BOOLEAN[name](value != 0, bool(q)))[-len(results) :]

                yield Line(f"lop3.{name}.b32 {place}, %r0, %r1, %r2, {table}, %p0", results, function)
    yield Line("lop3.and.b32 %d|%q, %r0, %r1, %r2, 0x80, !%p0", (32, 1),
               lambda a, b, c, q: (a & b & c, (a & b & c) != 0 and not q))  # fmt: skip


def permutations():
    yield Line("prmt.b32 %d, %r0, %r1, %r2", (32,), permuted)
    for mode, places in MODES.items():
        yield Line(f"prmt.b32.{mode} %d, %r0, %r1, %r2", (32,),
                   lambda a, b, c, places=places: joined([(a | b << 32) >> 8 * k & 255 for k in places(c & 3)],
                                                         8))  # fmt: skip


def comparisons():
    for width in (16, 32, 64):
        for kind, known in (("b", ("eq", "ne")), ("s", tuple(COMPARE)[:6]), ("u", tuple(COMPARE))):
            full = f"{kind}{width}"
            for name in known:
                compared = lambda a, b, name=name, full=full: COMPARE[name](number(a, full), number(b, full))  # noqa: E731
                yield Line(f"setp.{name}.{full} %d|%e, {names(full, full)}", (1, 1),
                           lambda a, b, f=compared: (f(a, b), not f(a, b)))  # fmt: skip
                for dtype, yes in (("u32", -1), ("s32", -1), ("f32", 0x3F800000)):
                    yield Line(f"set.{name}.{dtype}.{full} %d, {names(full, full)}", (32,),
                               lambda a, b, f=compared, yes=yes: yes if f(a, b) else 0)  # fmt: skip
                for join, function in BOOLEAN.items():
                    yield Line(f"setp.{name}.{join}.{full} %d|%e, {names(full, full)}, %p0", (1, 1),
                               lambda a, b, c, f=compared, g=function: (
                                   g(f(a, b), bool(c)), g(not f(a, b), bool(c))))  # fmt: skip
                    yield Line(f"set.{name}.{join}.f32.{full} %d, {names(full, full)}, !%p1", (32,),
                               lambda a, b, c, f=compared, g=function: (
                                   0x3F800000 if g(f(a, b), not c) else 0))  # fmt: skip


def selections():
    for width in (16, 32, 64):
        for kind in "bus" if width == 16 else "busf":
            full = f"{kind}{width}"
            a, b = names(f"b{width}", f"b{width}").split(", ")
            yield Line(f"selp.{full} %d, {a}, {b}, %p0", (width,), lambda a, b, c: a if c else b)
            yield Line(f"slct.{full}.s32 %d, {a}, {b}, %r3", (width,), lambda a, b, c: b if c >> 31 else a)
            yield Line(f"slct.{full}.f32 %d, {a}, {b}, %r3", (width,),
                       lambda a, b, c: a if c == 1 << 31 or c <= 0x7F800000 else b)  # fmt: skip
            yield Line(f"slct.ftz.{full}.f32 %d, {a}, {b}, %r3", (width,),
                       lambda a, b, c: a if c <= 0x7F800000 or 1 << 31 <= c < 0x80800000 else b)  # fmt: skip


def split(bits, count):
    return lambda a: tuple(a >> bits * k & (1 << bits) - 1 for k in range(count))


def moves():
    yield Line("mov.b32 %d, {%h0, %h1}", (32,), lambda *parts: joined(parts, 16))
    yield Line("mov.b64 %d, {%r0, %r1}", (64,), lambda *parts: joined(parts, 32))
    yield Line("mov.b64 %d, {%h0, %h1, %h2, %h0}", (64,), lambda *parts: joined(parts, 16))
    yield Line("mov.b128 %d, {%l0, %l1}", (128,), lambda *parts: joined(parts, 64))
    yield Line("mov.b128 %d, {%r0, %r1, %r2, %r3}", (128,), lambda *parts: joined(parts, 32))
    yield Line("mov.b32 {%d, %e}, %r0", (16, 16), split(16, 2))
    yield Line("mov.b32 {_, %e}, %r0", (16,), lambda a: a >> 16)
    yield Line("mov.b64 {%d, %e}, %l0", (32, 32), split(32, 2))
    yield Line("mov.b64 {%d, %e, %f, %g}, %l0", (16, 16, 16, 16), split(16, 4))
    yield Line("mov.b16 {%d, %e}, %h0", (8, 8), split(8, 2))
    yield Line("mov.b32 {%d, %e, %f, %g}, %r0", (8, 8, 8, 8), split(8, 4))
    yield Line("{ .reg .b8 %low, %upper; mov.b16 {%low, %upper}, %h0; mov.b16 %d, {%upper, %low}; }", (16,),
               lambda a: a >> 8 | a << 8)  # fmt: skip
    yield Line("{ .reg .b128 %long, %copy; mov.b128 %long, {%l0, %l1}; mov.b128 %copy, %long; "
               "mov.b128 {%d, %e, %f, %g}, %copy; }", (32,) * 4,
               lambda a, b: split(32, 4)(a | b << 64))  # fmt: skip
    yield Line("mov.v2.b64 {%d, %e}, {%l0, %l1}", (64, 64), lambda a, b: (a, b))
    yield Line("mov.v4.u32 {%d, %e, %f, %g}, {%r3, %r2, %r1, %r0}", (32,) * 4, lambda *parts: parts)
    yield Line("mov.pred %d, !%p0", (1,), operator.not_)
    yield Line("mov.b32 %d, {%h0, 5}", (32,), lambda a: a | 5 << 16)


EXAMPLES = [
    ("fns.b32 %d, 0xaaaaaaaa, 3, 1",                3),             # the manual's own
    ("fns.b32 %d, 0xaaaaaaaa, 3, -1",               3),
    ("fns.b32 %d, 0xaaaaaaaa, 2, 1",                3),
    ("fns.b32 %d, 0xaaaaaaaa, 2, -1",               1),
    ("fns.b32 %d, 0x80000001, 0, 2",                31),
    ("fns.b32 %d, 0x80000001, 31, -2",              0),
    ("fns.b32 %d, 0x80000001, 1, -2",               -1),            # only one set bit from there down
    ("fns.b32 %d, 0, 5, 1",                         -1),
    ("fns.b32 %d, -1, 5, -2147483648",              -1),            # |offset| has 32 bits
    ("fns.b32 %d, 0x20, 5, 0",                      5),             # offset 0: the base bit itself
    ("fns.b32 %d, 0x40, 5, 0",                      -1),
    ("szext.wrap.u32 %d, 0xffffffff, 0",            0),             # the manual's own
    ("szext.clamp.s32 %d, 0x80, 8",                 -128),
    ("szext.clamp.s32 %d, 0x12345678, 32",          0x12345678),
    ("szext.wrap.s32 %d, 0x12345678, 32",           0),
    ("szext.clamp.s32 %d, 1, 1",                    -1),
    ("bmsk.wrap.b32 %d, 1, 2",                      6),             # the manual's own
    ("bmsk.clamp.b32 %d, 32, 1",                    0),
    ("bmsk.wrap.b32 %d, 32, 1",                     1),
    ("bmsk.clamp.b32 %d, 4, 32",                    0xFFFFFFF0),
    ("bmsk.wrap.b32 %d, 4, 32",                     0),
    ("bmsk.clamp.b32 %d, 31, 31",                   0x80000000),
    ("bfe.u32 %d, 0x12345678, 8, 8",                0x56),
    ("bfe.s32 %d, 0x12348678, 8, 8",                0xFFFFFF86),
    ("bfe.s32 %d, 0x80000000, 28, 8",               0xFFFFFFF8),    # past the top: the top bit is the sign
    ("bfe.s32 %d, 0x80000000, 200, 4",              -1),
    ("bfe.u32 %d, 0x80000000, 200, 4",              0),
    ("bfe.s32 %d, -1, 0, 0",                        0),             # no bits
    ("bfe.s32 %d, -2, 0, 255",                      -2),
    ("bfi.b32 %d, 0xff, 0, 8, 4",                   0xF00),
    ("bfi.b32 %d, 0, -1, 28, 8",                    0x0FFFFFFF),
    ("bfi.b32 %d, 0, 0x1234, 32, 4",                0x1234),        # past the top: b
    ("bfi.b32 %d, 0, 0x1234, 0, 0",                 0x1234),
    ("bfind.u32 %d, 0",                             -1),
    ("bfind.shiftamt.u32 %d, 0",                    -1),
    ("bfind.s32 %d, -1",                            -1),
    ("bfind.s32 %d, -5",                            2),             # ...1011: the highest 0
    ("bfind.shiftamt.s32 %d, 1",                    31),
    ("add.sat.s32 %d, 0x7fffffff, 1",               0x7FFFFFFF),
    ("sub.sat.s32 %d, 0x80000000, 1",               0x80000000),
    ("mad.hi.sat.s32 %d, 0x7fffffff, 0x7fffffff, 0x7fffffff", 0x7FFFFFFF),
    ("mul24.lo.s32 %d, 0x00ffffff, 5",              -5),            # 24 bits, all set: -1
    ("mul24.lo.u32 %d, 0xff000003, 5",              15),            # the upper byte does not count
    ("mul24.hi.u32 %d, 0x00ffffff, 0x00ffffff",     0xFFFFFE00),
    ("sad.u32 %d, 1, 0xffffffff, 1",                0xFFFFFFFF),
    ("sad.s32 %d, 1, 0xffffffff, 1",                3),
    ("dp4a.s32.s32 %d, 0x80808080, 0x80808080, 1",  65537),
    ("dp4a.u32.s32 %d, 0xffffffff, 0xffffffff, 0",  -1020),
    ("dp2a.hi.u32.u32 %d, 0x00030002, 0x05040000, 1", 24),
    ("prmt.b32.b4e %d, 0x33221100, 0x77665544, 1",  0x66770011),
    ("min.s32.relu %d, -3, 5",                      0),
]  # fmt: skip
"""Operands at which the definitions have special cases."""


def examples():
    for text, result in EXAMPLES:
        yield Line(text, (32,), lambda result=result: result)


FAMILIES = {
    "examples": examples,
    "arithmetic": arithmetic, "arithmetic of 24 bits": arithmetic24, "two halves at once": halves,
    "bit fields": bit_fields, "dot products": dot_products, "carry chains": carry_chains, "shifts and logic": shifts,
    "lop3": tables, "prmt": permutations, "comparisons": comparisons, "selections": selections, "moves": moves,
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_integer_instructions_agree_with_integers_of_unlimited_size(family):
    assert [fault for lines in kernels(FAMILIES[family]()) for fault in disagreements(lines)] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_ptxas_accepts_the_integer_instructions_that_are_compared(family):
    for lines in kernels(FAMILIES[family]()):
        assemble(lines)


DIVISION = """
typedef unsigned long long u64;
extern "C" __global__ void divide(const u64* x, u64* quotient)
{
    const u64* own = x + 4 * threadIdx.x;
    const unsigned __int128 a = (unsigned __int128)own[1] << 64 | own[0], b = (unsigned __int128)own[3] << 64 | own[2];
    const unsigned __int128 q = a / b, r = a % b;
    quotient[4 * threadIdx.x] = (u64)q;
    quotient[4 * threadIdx.x + 1] = (u64)(q >> 64);
    quotient[4 * threadIdx.x + 2] = (u64)r;
    quotient[4 * threadIdx.x + 3] = (u64)(r >> 64);
}
"""


def test_integers_of_128_bits_are_divided():
    """The PTX of NVRTC for this mixes sub.cc and addc in one chain."""
    ptx = toolchain.compiled(DIVISION.encode(), Path("divide.cu"), "sm_90", ("--device-int128",)).ptx
    rng = np.random.default_rng(SEED)
    rows = [(1 << 80, 1 << 29)]
    for a_bits, b_bits in itertools.product((20, 64, 100, 128), (3, 40, 64, 65, 128)):
        a, b = (int.from_bytes(rng.bytes(16), "little") >> 128 - bits for bits in (a_bits, b_bits))
        rows.append((a, b | 1))
    words = np.array([[n >> shift & (1 << 64) - 1 for n in row for shift in (0, 64)] for row in rows], np.uint64)
    results = np.zeros_like(words)
    emulator.run(ptx, grid=1, block=len(rows), args=[words, results])
    quotients = [(int(a) | int(b) << 64, int(c) | int(d) << 64) for a, b, c, d in results]
    assert quotients == [divmod(a, b) for a, b in rows]
