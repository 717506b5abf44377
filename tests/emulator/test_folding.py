"""The emulator against ptxas on constants: where ptxas computes a result itself, both give the same bits.

Not compared: approximate functions, because ptxas's own library sometimes misses the ideal value, and the payload of
NaN results.
"""

import itertools
import random

import pytest

from tests.emulator.folding import Constants, differences

ROWS = 4
SEED = 20261126
BITS = {"f16": 16, "bf16": 16, "f32": 32, "f64": 64, "pred": 1}
INFINITY = {"f16": 0x7C00, "bf16": 0x7F80, "f32": 0x7F800000, "f64": 0x7FF0000000000000}
NOTABLE = {
    16: (0, 1, 2, 31, 0x7FFF, 0x8000, 0xFFFF),
    32: (0, 1, 2, 31, 32, 33, 0xFF, 0x100, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF),
    64: (0, 1, 1 << 32, (1 << 32) - 1, 1 << 63, (1 << 63) - 1, (1 << 64) - 1),
}
FLOATS = {  # 0, 1 and their neighbours, the least normal number and its, the greatest, infinity
    "f32": (0, 0x3F800000, 0x3F7FFFFF, 0x3F800001, 0x00800000, 0x007FFFFF, 0x00800001, 0x00FFFFFF, 1, 0x3F000000,
            0x33800000, 0x40000000, 0x7F7FFFFF, 0x7F800000),
    "f64": (0, 0x3FF0000000000000, 0x3FEFFFFFFFFFFFFF, 0x0010000000000000, 1, 0x380FFFFFE0000000, 0x380FFFFFF0000000,
            0x380FFFFFEFFFFFFF, 0x3690000000000000, 0x41E0000000000000, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000),
    "f16": (0, 0x3C00, 0x3BFF, 0x0400, 0x03FF, 1, 0x7BFF, 0x7C00),
    "bf16": (0, 0x3F80, 0x3F7F, 0x0080, 0x007F, 1, 0x7F7F, 0x7F80),
}  # fmt: skip


def bits_of(kind):
    return BITS.get(kind) or int(kind.lstrip("bus"))


def draw(drawn, kind):
    """A bit pattern: notable half the time."""
    bits = bits_of(kind)
    if kind in FLOATS and drawn.random() < 0.6:
        return drawn.choice(FLOATS[kind]) | drawn.getrandbits(1) << bits - 1
    if kind in FLOATS or bits not in NOTABLE or drawn.random() < 0.5:
        return drawn.getrandbits(bits)
    return drawn.choice(NOTABLE[bits])


def line(text, result, *sources, rows=ROWS, more=()):
    """`text` is an opcode, or a chain that names its operands."""
    drawn = random.Random(f"{SEED} {text}")
    if "{" not in text:
        text = f"{text} {{d}}, {', '.join(f'{{{place}}}' for place in range(len(sources)))}"
    drawn_rows = [tuple(draw(drawn, kind) for kind in sources) for _ in range(rows)]
    return Constants(text, tuple(map(bits_of, sources)), bits_of(result), [*more, *drawn_rows], INFINITY.get(result))


INTS = ("u16", "s16", "u32", "s32", "u64", "s64")


def arithmetic():
    for kind in INTS:
        for name in ("add", "sub", "mul.lo", "mul.hi", "min", "max"):
            yield line(f"{name}.{kind}", kind, kind, kind)
        yield line(f"mad.lo.{kind}", kind, kind, kind, kind)
        if bits_of(kind) < 64:
            double = f"{kind[0]}{2 * bits_of(kind)}"
            yield line(f"mul.wide.{kind}", double, kind, kind)
            yield line(f"mad.wide.{kind}", double, kind, kind, double)
        if kind[0] == "s":
            yield line(f"neg.{kind}", kind, kind)
            yield line(f"abs.{kind}", kind, kind)
    for name in ("add.sat.s32", "sub.sat.s32"):
        yield line(name, "s32", "s32", "s32")


def by_zero():
    for kind in INTS[2:4]:
        for name in ("div", "rem"):
            yield line(f"{name}.{kind}", kind, kind, kind, rows=0, more=[(7, 0), (0, 0), ((1 << bits_of(kind)) - 7, 0)])


def chains():
    for kind in ("u32", "s32", "u64", "s64"):
        for first, second in itertools.product(("add", "sub"), repeat=2):
            start = f"{first}.cc.{kind} {{t}}, {{0}}, {{1}}; {second}c"
            yield line(f"{start}.{kind} {{d}}, {{2}}, {{3}}", kind, *[kind] * 4, rows=8)
            for third in ("addc", "subc"):
                yield line(f"{start}.cc.{kind} {{u}}, {{2}}, {{3}}; {third}.{kind} {{d}}, {{0}}, {{2}}",
                           kind, *[kind] * 4)  # fmt: skip


FIELDS = [(1 << 63 | 0x123456789ABCDEF0, start, length) for start in (0, 31, 64, 256) for length in (1, 64, 255, 257)]


def bit_fields():
    for kind in INTS[2:]:
        width = bits_of(kind)
        fields = [(a & (1 << width) - 1, start, length) for a, start, length in FIELDS]
        yield line(f"bfe.{kind}", kind, kind, "u32", "u32", more=fields)
        yield line(f"bfind.{kind}", "u32", kind)
        yield line(f"bfind.shiftamt.{kind}", "u32", kind)
        yield line(f"shr.{kind}", kind, kind, "u32")
        if kind[0] == "u":
            yield line(f"bfi.b{width}", kind, kind, kind, "u32", "u32",
                       more=[(a, a ^ (1 << width) - 1, *field) for a, *field in fields])  # fmt: skip
            yield line(f"shl.b{width}", kind, kind, "u32")
            yield line(f"brev.b{width}", kind, kind)
            for name in ("popc", "clz"):
                yield line(f"{name}.b{width}", "u32", kind)
    for mode, kind in itertools.product(("clamp", "wrap"), ("u32", "s32")):
        yield line(f"szext.{mode}.{kind}", kind, kind, "u32")
    for side, mode in itertools.product("lr", ("clamp", "wrap")):
        yield line(f"shf.{side}.{mode}.b32", "b32", "b32", "b32", "b32")
    yield line("prmt.b32", "b32", "b32", "b32", "b32")
    for mode in ("f4e", "b4e", "rc8", "ecl", "ecr", "rc16"):
        yield line(f"prmt.b32.{mode}", "b32", "b32", "b32", "b32")
    for table in ("0x96", "0x1b", "0xe8"):
        yield line(f"lop3.b32 {{d}}, {{0}}, {{1}}, {{2}}, {table}", "b32", "b32", "b32", "b32")


EDGE = [(0x00800000, 0x3F7FFFFF), (0x00800000, 0x3F7FFFFE), (0x80800001, 0x3F7FFFFE), (0x20000000, 0x1FFFFFFF)]


def floats():
    for ftz, sat in itertools.product(("", ".ftz"), ("", ".sat")):
        for name in ("add", "sub", "mul"):
            yield line(f"{name}{ftz}{sat}.f32", "f32", "f32", "f32", rows=8, more=EDGE if name == "mul" else ())
        yield line(f"cvt.rn{ftz}{sat}.f32.f64", "f32", "f64", rows=12)
        yield line(f"cvt{ftz}{sat}.f64.f32", "f64", "f32")
        for whole in ("rni", "rzi", "rmi", "rpi"):
            yield line(f"cvt.{whole}{ftz}{sat}.f32.f32", "f32", "f32")
    for name in ("add", "sub", "mul", "min", "max"):
        yield line(f"{name}.f64", "f64", "f64", "f64", rows=8)
    for name, ftz in itertools.product(("min", "max"), ("", ".ftz")):
        yield line(f"{name}{ftz}.f32", "f32", "f32", "f32", rows=8)
    yield line("copysign.f32", "f32", "f32", "f32")
    yield line("copysign.f64", "f64", "f64", "f64")
    for name in ("eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"):
        yield line(f"setp.{name}.f32", "pred", "f32", "f32")
        yield line(f"setp.{name}.ftz.f32", "pred", "f32", "f32")
        yield line(f"setp.{name}.f64", "pred", "f64", "f64")


def conversions():
    kinds = ("u16", "s16", "u32", "s32", "u64", "s64")
    for to, source in itertools.product(kinds, repeat=2):
        yield line(f"cvt.{to}.{source}", to, source)
    for kind, whole in itertools.product(kinds, ("rni", "rzi", "rmi", "rpi")):
        yield line(f"cvt.{whole}.{kind}.f32", kind, "f32")
        yield line(f"cvt.{whole}.{kind}.f64", kind, "f64")
    for kind in kinds:
        yield line(f"cvt.rn.f32.{kind}", "f32", kind)
    yield line("cvt.rn.f16.f32", "f16", "f32", rows=8)
    yield line("cvt.rn.bf16.f32", "bf16", "f32", rows=8)
    yield line("cvt.f32.f16", "f32", "f16")
    yield line("cvt.f32.bf16", "f32", "bf16")


@pytest.mark.parametrize("lines", [arithmetic, by_zero, chains, bit_fields, floats, conversions])
def test_constants_give_the_bits_that_ptxas_folds(lines):
    chosen = list(lines())
    faults, folded = differences(chosen)
    assert faults == []
    assert sum(folded.values()) > len(chosen), "ptxas folds next to nothing: does the test still read its machine code?"
