"""The operations of random programs: opcodes with the classes of their operands, and pieces of several instructions.

A class is the letter of a register's name: r 32 bits, d 64, h 16, f and e floats of 32 and 64, p a predicate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Op:
    """An opcode, the classes of its results, and of its sources; "n" is a number, and its choices follow."""

    opcode: str
    results: str
    sources: str
    numbers: tuple[int, ...] = ()


def integer_ops() -> Iterator[Op]:
    for (bits, c), sign in itertools.product(((16, "h"), (32, "r"), (64, "d")), "us"):
        kind = f"{sign}{bits}"
        for name in ("add", "sub", "mul.lo", "mul.hi", "min", "max", "div", "rem"):
            yield Op(f"{name}.{kind}", c, 2 * c)
        for name in ("mad.lo", "mad.hi", "sad"):
            yield Op(f"{name}.{kind}", c, 3 * c)
        if sign == "s":
            yield from (Op(f"{name}.{kind}", c, c) for name in ("neg", "abs"))
        if bits < 64:
            wide = {"h": "r", "r": "d"}[c]
            yield Op(f"mul.wide.{kind}", wide, 2 * c)
            yield Op(f"mad.wide.{kind}", wide, 2 * c + wide)
        if bits > 16:
            yield from (Op(f"bfind{shift}.{kind}", "r", c) for shift in ("", ".shiftamt"))
            yield Op(f"bfe.{kind}", c, c + "rr")
    for name in ("add.sat.s32", "sub.sat.s32", "add.u16x2", "add.s16x2", "min.u16x2", "max.s16x2", "min.s16x2"):
        yield Op(name, "r", "rr")
    for name, sign in itertools.product(("mul24.lo", "mul24.hi"), "us"):
        yield Op(f"{name}.{sign}32", "r", "rr")
        yield Op(f"{name.replace('mul', 'mad')}.{sign}32", "r", "rrr")
    yield from (Op(name, "r", "rrr") for name in ("mad.hi.sat.s32", "mad24.hi.sat.s32"))
    for name, sign_a, sign_b in itertools.product(("dp4a", "dp2a.lo", "dp2a.hi"), "us", "us"):
        yield Op(f"{name}.{sign_a}32.{sign_b}32", "r", "rrr")


def bit_ops() -> Iterator[Op]:
    for name, (kind, c) in itertools.product(("and", "or", "xor"), (("b16", "h"), ("b32", "r"), ("b64", "d"))):
        yield Op(f"{name}.{kind}", c, 2 * c)
    yield from (Op(f"{name}.pred", "p", "pp") for name in ("and", "or", "xor"))
    yield Op("not.pred", "p", "p")
    for bits, c in ((16, "h"), (32, "r"), (64, "d")):
        yield from (Op(f"{name}.b{bits}", c, c) for name in ("not", "cnot"))
        yield Op(f"shl.b{bits}", c, c + "r")
        yield from (Op(f"shr.{sign}{bits}", c, c + "r") for sign in "bus")
        if bits > 16:
            yield from (Op(f"{name}.b{bits}", "r", c) for name in ("popc", "clz"))
            yield Op(f"brev.b{bits}", c, c)
            yield Op(f"bfi.b{bits}", c, 2 * c + "rr")
    yield from (Op(f"shf.{way}.{mode}.b32", "r", "rrr") for way in "lr" for mode in ("clamp", "wrap"))
    yield from (Op(f"szext.{mode}.{kind}", "r", "rr") for mode in ("clamp", "wrap") for kind in ("u32", "s32"))
    yield from (Op(f"bmsk.{mode}.b32", "r", "rr") for mode in ("clamp", "wrap"))
    yield from (Op(f"prmt.b32{mode}", "r", "rrr") for mode in ("", ".f4e", ".b4e", ".rc8", ".ecl", ".ecr", ".rc16"))
    yield Op("lop3.b32", "r", "rrrn", (0xE8, 0x96, 0xCA, 0x1B, 0x80, 0xFE))
    yield Op("fns.b32", "r", "rnr", (5, 0, 31))
    yield from (Op("mov.b64", "d", "{rr}"), Op("mov.b64", "{rr}", "d"), Op("mov.b32", "r", "{hh}"))
    yield from (Op("mov.b32", "{hh}", "r"), Op("mov.b64", "d", "{hhhh}"), Op("mov.b32", "r", "f"))
    yield from (Op("mov.b32", "f", "r"), Op("mov.b64", "e", "d"), Op("mov.b64", "d", "e"))


def compare_ops() -> Iterator[Op]:
    integers = [(f"{sign}{bits}", c) for bits, c in ((16, "h"), (32, "r"), (64, "d")) for sign in "us"]
    floats = [("f32", "f"), ("f64", "e"), ("f16", "h"), ("bf16", "h")]
    signed = ("eq", "ne", "lt", "le", "gt", "ge")
    unordered = (*signed, "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan")
    for (kind, c), name in [*itertools.product(integers, signed), *itertools.product(floats, unordered)]:
        yield Op(f"setp.{name}.{kind}", "p", 2 * c)
        if c in "rf":
            yield Op(f"setp.{name}.{kind}", "p|p", 2 * c)
            yield from (Op(f"setp.{name}.{join}.{kind}", "p", 2 * c + "p") for join in ("and", "or", "xor"))
            yield from (Op(f"set.{name}.{to}.{kind}", w, 2 * c) for to, w in (("u32", "r"), ("s32", "r"), ("f32", "f")))
    yield from (Op(f"setp.{name}.ftz.f32", "p", "ff") for name in unordered)
    yield from (Op(f"setp.{name}.u32", "p", "rr") for name in ("lo", "ls", "hi", "hs"))
    for kind, c in (*integers, ("b32", "r"), ("f32", "f"), ("f64", "e")):
        yield Op(f"selp.{kind}", c, 2 * c + "p")
        if kind[1:] != "16":
            yield from (Op(f"slct.{kind}.{by}", c, 2 * c + w) for by, w in (("s32", "r"), ("f32", "f")))
    for name in ("finite", "infinite", "number", "notanumber", "normal", "subnormal"):
        yield from (Op(f"testp.{name}.{kind}", "p", c) for kind, c in (("f32", "f"), ("f64", "e")))


def float_ops() -> Iterator[Op]:
    roundings = ("rn", "rz", "rm", "rp")
    arithmetic = [("add", 2), ("sub", 2), ("mul", 2), ("fma", 3)]
    for (name, count), rounding in itertools.product([*arithmetic, ("div", 2), ("rcp", 1), ("sqrt", 1)], roundings):
        for ftz, sat in itertools.product(("", ".ftz"), ("", ".sat")):
            if not sat or name in ("add", "sub", "mul", "fma"):
                yield Op(f"{name}.{rounding}{ftz}{sat}.f32", "f", count * "f")
        yield Op(f"{name}.{rounding}.f64", "e", count * "e")
    for name, ftz in itertools.product(("min", "max"), ("", ".ftz")):
        yield from (Op(f"{name}{ftz}{how}.f32", "f", "ff") for how in ("", ".NaN", ".NaN.xorsign.abs", ".xorsign.abs"))
        yield Op(f"{name}{ftz}.f16", "h", "hh")
        yield Op(f"{name}{ftz}.NaN.f16x2", "r", "rr")
    for name in ("min", "max"):
        yield from (Op(f"{name}.f64", "e", "ee"), Op(f"{name}.bf16", "h", "hh"), Op(f"{name}.NaN.bf16x2", "r", "rr"))
    for name in ("neg", "abs"):
        yield from (Op(f"{name}.f32", "f", "f"), Op(f"{name}.ftz.f32", "f", "f"), Op(f"{name}.f64", "e", "e"))
        yield from (Op(f"{name}.f16", "h", "h"), Op(f"{name}.bf16", "h", "h"), Op(f"{name}.f16x2", "r", "r"))
    yield from (Op("copysign.f32", "f", "ff"), Op("copysign.f64", "e", "ee"))
    for (name, count), how in itertools.product(arithmetic, ("", ".ftz", ".sat", ".ftz.sat")):
        yield Op(f"{name}.rn{how}.f16", "h", count * "h")
        yield Op(f"{name}.rn{how}.f16x2", "r", count * "r")
    for name, count in arithmetic:
        yield from (Op(f"{name}.rn.bf16", "h", count * "h"), Op(f"{name}.rn.bf16x2", "r", count * "r"))
    yield from (Op(f"fma.rn.relu.{kind}", c, 3 * c) for kind, c in (("f16", "h"), ("bf16x2", "r")))
    for name in ("rcp", "sqrt", "rsqrt", "ex2", "lg2"):
        yield from (Op(f"{name}.approx{ftz}.f32", "f", "f") for ftz in ("", ".ftz"))


def convert_ops() -> Iterator[Op]:
    place = {"8": "r", "16": "h", "32": "r", "64": "d"}
    integers = [(f"{sign}{bits}", c) for bits, c in place.items() for sign in "us"]
    for (to, c), (source, w) in itertools.product(integers, integers):
        if to != source:
            yield Op(f"cvt.{to}.{source}", c, w)
            if CLAMPED[to][0] > CLAMPED[source][0] or CLAMPED[to][1] < CLAMPED[source][1]:
                yield Op(f"cvt.sat.{to}.{source}", c, w)
    floats = [("f32", "f"), ("f64", "e"), ("f16", "h")]
    for (kind, c), (integer, w), rounding in itertools.product(floats, integers, "nzmp"):
        yield Op(f"cvt.r{rounding}.{kind}.{integer}", c, w)
        yield Op(f"cvt.r{rounding}i.{integer}.{kind}", w, c)
    for rounding in "nzmp":
        yield from (Op(f"cvt.r{rounding}{more}.f32.f64", "f", "e") for more in ("", ".ftz", ".sat"))
        yield from (Op(f"cvt.r{rounding}i{more}.f32.f32", "f", "f") for more in ("", ".ftz", ".sat"))
        yield Op(f"cvt.r{rounding}i.f64.f64", "e", "e")
        yield Op(f"cvt.r{rounding}i.ftz.s32.f32", "r", "f")
        yield from (Op(f"cvt.r{rounding}.f16.{kind}", "h", c) for kind, c in (("f32", "f"), ("f64", "e")))
        yield from (Op(f"cvt.r{rounding}.bf16.{kind}", "h", c) for kind, c in (("f64", "e"), ("u32", "r")))
        yield Op(f"cvt.r{rounding}i.f16.f16", "h", "h")
    for rounding in ("rn", "rz"):
        yield Op(f"cvt.{rounding}.bf16.f32", "h", "f")
        yield from (Op(f"cvt.{rounding}{more}.{kind}.f32", "r", "ff")
                    for kind in ("f16x2", "bf16x2") for more in ("", ".relu"))  # fmt: skip
    yield from (Op(name, "f", "h") for name in ("cvt.f32.f16", "cvt.f32.bf16", "cvt.ftz.f32.f16"))
    yield from (Op("cvt.f64.f16", "e", "h"), Op("cvt.f64.f32", "e", "f"), Op("cvt.ftz.f64.f32", "e", "f"))
    yield from (Op("cvt.sat.f32.f32", "f", "f"), Op("cvt.rna.tf32.f32", "r", "f"))
    yield from (Op(f"cvt.pack.sat.{to}.s32", "r", "rr") for to in ("s16", "u16"))
    yield from (Op(f"cvt.pack.sat.{to}.s32.b32", "r", "rrr") for to in ("s8", "u8"))


CLAMPED = {
    f"{sign}{bits}": ((-(1 << bits - 1), (1 << bits - 1) - 1) if sign == "s" else (0, (1 << bits) - 1))
    for bits in (8, 16, 32, 64)
    for sign in "us"
}
OPS = {
    "integer": tuple(integer_ops()), "bits": tuple(bit_ops()), "compare": tuple(compare_ops()),
    "float": tuple(float_ops()), "convert": tuple(convert_ops()),
}  # fmt: skip

CHAINS = (
    "add.cc.u32 {r0}, {r1}, {r2}; addc.cc.u32 {r1}, {r2}, {r0}; addc.u32 {r2}, {r0}, 0;",
    "sub.cc.u32 {r0}, {r1}, {r2}; subc.cc.u32 {r1}, {r2}, {r0}; subc.u32 {r2}, {r0}, 0;",
    "add.cc.u64 {d0}, {d1}, {d2}; addc.cc.u64 {d1}, {d2}, {d0}; addc.u64 {d2}, {d0}, 0;",
    "sub.cc.s64 {d0}, {d1}, {d2}; subc.cc.s64 {d1}, {d2}, {d0}; subc.s64 {d2}, {d0}, 0;",
    "sub.cc.u32 {r0}, {r1}, {r2}; addc.cc.u32 {r1}, {r2}, {r0}; subc.u32 {r2}, {r0}, 0;",
    "add.cc.s64 {d0}, {d1}, {d2}; subc.cc.u64 {d1}, {d2}, {d0}; addc.u64 {d2}, {d0}, 0;",
    "mad.lo.cc.u32 {r0}, {r1}, {r2}, {r0}; madc.hi.cc.u32 {r1}, {r2}, {r0}, {r1}; addc.u32 {r2}, {r0}, 0;",
    "mad.hi.cc.s32 {r0}, {r1}, {r2}, {r0}; madc.lo.cc.u32 {r1}, {r2}, {r0}, {r1}; madc.hi.u32 {r2}, {r0}, {r1}, {r2};",
)
"""There is one carry flag; an instruction in between could leave it undefined."""

PRIVATE = (
    *(f"st.{{space}}.{kind} [{{at}}], {{{c}0}};" for kind, c in (
        ("u8", "r"), ("b16", "h"), ("b32", "r"), ("b64", "d"), ("f32", "f"), ("f64", "e"))),
    *(f"ld.{{space}}.{kind} {{{c}0}}, [{{at}}];" for kind, c in (
        ("u8", "r"), ("s8", "r"), ("s8", "h"), ("u16", "r"), ("s16", "r"), ("b32", "r"), ("u32", "d"), ("s32", "d"),
        ("b64", "d"), ("f32", "f"), ("f64", "e"))),
    "st.{space}.v2.b32 [{at}], {{{r0}, {r1}}};", "ld.{space}.v2.b32 {{{r0}, {r1}}}, [{at}];",
    "st.{space}.v4.b16 [{at}], {{{h0}, {h1}, {h2}, {h3}}};", "ld.{space}.v2.b16 {{{h0}, {h1}}}, [{at}];",
)  # fmt: skip
"""On the thread's own memory of a state space; `at` is a multiple of 8."""

WARP = (
    *(f"shfl.sync.{mode}.b32 {{r0}}|{{p0}}, {{r1}}, {b}, {c}, %mask;"
      for mode, b, c in itertools.product(("up", "down", "bfly", "idx"), ("3", "{r2}"), ("31", "0", "0x181f", "{r3}"))),
    *(f"vote.sync.{mode}.pred {{p0}}, {{p1}}, %mask;" for mode in ("all", "any", "uni")),
    "vote.sync.ballot.b32 {r0}, {p0}, %mask;", "activemask.b32 {r0};",
    "match.any.sync.b32 {r0}, {r1}, %mask;", "match.all.sync.b64 {r0}|{p0}, {d0}, %mask;",
    *(f"redux.sync.{name}.{kind} {{r0}}, {{r1}}, %mask;" for name in ("add", "min", "max") for kind in ("u32", "s32")),
    *(f"redux.sync.{name}.b32 {{r0}}, {{r1}}, %mask;" for name in ("and", "or", "xor")),
)  # fmt: skip
"""For the whole warp."""

EXCHANGES = (
    "st.shared.b32 [%tile], {r0}; bar.sync 0; ld.shared.b32 {r1}, [{other}]; bar.sync 0;",
    "st.shared.b64 [%tile], {d0}; barrier.sync 1; ld.shared.v2.b32 {{{r0}, {r1}}}, [{other}]; bar.sync 0;",
    "st.b32 [%generic_tile], {r0}; bar.sync 0; ld.shared.s8 {r1}, [{other}]; bar.sync 0;",
    "bar.red.popc.u32 {r0}, 0, {p0};", "bar.red.and.pred {p0}, 0, {p1};", "bar.red.or.pred {p0}, 0, !{p1};",
)  # fmt: skip
"""For the whole CTA; `other` is another thread's word of shared memory."""
