"""The elements of mma's matrices in each lane, written out from the manual's figures, and kernels that test them.

(PTX ISA, "Matrix Fragments for mma.m8n8k4" and the sections that follow it.) `g` is a lane's group, lane / 4, and `t`
its place there, lane % 4; `i` counts the elements that a lane holds, from the low bits of its first register up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

HEADER = ".version 8.8\n.target sm_90\n.address_size 64\n"
KERNELS: dict[str, str] = {}
"""Every kernel of the matrix tests, by entry name."""


def program(text: str) -> str:
    """Register a kernel, `.visible .entry NAME(...) {...}`, and give the module that holds it."""
    name = re.search(r"\.entry\s+(\w+)", text)[1]
    if KERNELS.setdefault(name, text) != text:
        raise ValueError(f"two kernels are called '{name}'")
    return HEADER + text


Where = Callable[[int, int, int], tuple[int, int]]
"""(i, g, t) -> row and column."""


def pair(t: int, i: int) -> int:
    return 2 * t + i % 2


def pair_c(i: int, g: int, t: int) -> tuple[int, int]:
    return (g if i < 2 else g + 8, pair(t, i))


# shape, bits: elements of A a lane, their places, elements of B a lane, theirs
MULTIPLICANDS: dict[tuple[str, int], tuple[int, Where, int, Where]] = {
    ("m16n8k8", 16): (4, lambda i, g, t: (g if i < 2 else g + 8, pair(t, i)), 2, lambda i, g, t: (pair(t, i), g)),
    ("m16n8k16", 16): (
        8, lambda i, g, t: (g if i in (0, 1, 4, 5) else g + 8, pair(t, i) + (8 if i >= 4 else 0)),
        4, lambda i, g, t: (pair(t, i) + (8 if i >= 2 else 0), g)),
    ("m16n8k4", 32): (2, lambda i, g, t: (g if i == 0 else g + 8, t), 1, lambda i, g, t: (t, g)),
    ("m16n8k8", 32): (
        4, lambda i, g, t: (g if i in (0, 2) else g + 8, t if i in (0, 1) else t + 4),
        2, lambda i, g, t: (t if i == 0 else t + 4, g)),
    ("m8n8k4", 64): (1, lambda i, g, t: (g, t), 1, lambda i, g, t: (t, g)),
    ("m16n8k4", 64): (2, lambda i, g, t: (g if i == 0 else g + 8, t), 1, lambda i, g, t: (t, g)),
    ("m16n8k8", 64): (
        4, lambda i, g, t: (g if i in (0, 2) else g + 8, t if i in (0, 1) else t + 4),
        2, lambda i, g, t: (t if i == 0 else t + 4, g)),
    ("m16n8k16", 64): (
        8, lambda i, g, t: (g, 2 * i + t) if i % 2 == 0 else (g + 8, 2 * i - 2 + t),
        4, lambda i, g, t: (t + 4 * i, g)),
    ("m8n8k16", 8): (4, lambda i, g, t: (g, 4 * t + i), 4, lambda i, g, t: (4 * t + i, g)),
    ("m16n8k16", 8): (
        8, lambda i, g, t: (g if i < 4 else g + 8, 4 * t + i % 4), 4, lambda i, g, t: (4 * t + i, g)),
    ("m16n8k32", 8): (
        16, lambda i, g, t: (g if i < 4 or 8 <= i < 12 else g + 8, 4 * t + i % 4 + (16 if i >= 8 else 0)),
        8, lambda i, g, t: (4 * t + i % 4 + (16 if i >= 4 else 0), g)),
    ("m8n8k32", 4): (8, lambda i, g, t: (g, 8 * t + i), 8, lambda i, g, t: (8 * t + i, g)),
    ("m16n8k32", 4): (
        16, lambda i, g, t: (g if i < 8 else g + 8, 8 * t + i % 8), 8, lambda i, g, t: (8 * t + i, g)),
    ("m16n8k64", 4): (
        32, lambda i, g, t: (g if i < 8 or 16 <= i < 24 else g + 8, 8 * t + i % 8 + (32 if i >= 16 else 0)),
        16, lambda i, g, t: (8 * t + i % 8 + (32 if i >= 8 else 0), g)),
    ("m8n8k128", 1): (32, lambda i, g, t: (g, 32 * t + i), 32, lambda i, g, t: (32 * t + i, g)),
    ("m16n8k128", 1): (
        64, lambda i, g, t: (g if i < 32 else g + 8, 32 * t + i % 32), 32, lambda i, g, t: (32 * t + i, g)),
    ("m16n8k256", 1): (
        128, lambda i, g, t: (g if i < 32 or 64 <= i < 96 else g + 8, 32 * t + i % 32 + (128 if i >= 64 else 0)),
        64, lambda i, g, t: (32 * t + i % 32 + (128 if i >= 32 else 0), g)),
}  # fmt: skip

BITS = {
    "f16": 16, "bf16": 16, "tf32": 32, "f32": 32, "f64": 64, "e4m3": 8, "e5m2": 8, "s8": 8, "u8": 8, "s4": 4, "u4": 4,
    "b1": 1, "s32": 32,
}  # fmt: skip


@dataclass(frozen=True)
class Fragment:
    """`places[lane][i]`: (matrix, row, column); the matrix is 0, except for m8n8k4 of f16."""

    bits: int
    places: tuple[tuple[tuple[int, int, int], ...], ...]

    @property
    def registers(self) -> int:
        return max(1, len(self.places[0]) * self.bits // 32) if self.bits < 64 else len(self.places[0])


def fragment(bits: int, count: int, where: Where) -> Fragment:
    return Fragment(bits, tuple(tuple((0, *where(i, lane // 4, lane % 4)) for i in range(count)) for lane in range(32)))


def quad_fragment(bits: int, count: int, where: Callable[[int, int], tuple[int, int]]) -> Fragment:
    """For mma.m8n8k4 of f16: `where(lane, i)`; lanes 0 to 3 and 16 to 19 work on the first product, and so on."""
    return Fragment(
        bits, tuple(tuple((lane % 16 // 4, *where(lane, i)) for i in range(count)) for lane in range(32))
    )  # fmt: skip


def half(lane: int) -> int:
    return 0 if lane < 16 else 4


QUAD_A = {
    "row": quad_fragment(16, 4, lambda lane, i: (lane % 4 + half(lane), i)),
    "col": quad_fragment(16, 4, lambda lane, i: (i % 4 + half(lane), lane % 4)),
}
QUAD_B = {
    "row": quad_fragment(16, 4, lambda lane, i: (lane % 4, i + half(lane))),
    "col": quad_fragment(16, 4, lambda lane, i: (i, lane % 4 + half(lane))),
}
QUAD_C = {
    "f16": quad_fragment(16, 8, lambda lane, i: (lane % 4 + half(lane), i)),
    "f32": quad_fragment(
        32, 8, lambda lane, i: ((lane & 0b1) + (i & 0b10) + half(lane), (i & 0b100) + (lane & 0b10) + (i & 0b1))
    ),
}


@dataclass(frozen=True)
class Case:
    """An instruction with the fragments of D, A, B and C."""

    opcode: str
    kinds: tuple[str, str, str, str]
    m: int
    n: int
    k: int
    d: Fragment
    a: Fragment
    b: Fragment
    c: Fragment


def case(opcode: str) -> Case:
    """The manual's description of an mma.sync opcode."""
    parts = opcode.split(".")
    shape = next(part for part in parts if part[0] == "m" and part[1].isdigit())
    m, rest = shape[1:].split("n")
    n, k = rest.split("k")
    kinds = tuple(part for part in parts if part in BITS)
    if shape == "m8n8k4" and kinds[1] == "f16":
        layouts = [part for part in parts if part in ("row", "col")]
        fragments = (QUAD_C[kinds[0]], QUAD_A[layouts[0]], QUAD_B[layouts[1]], QUAD_C[kinds[3]])
    else:
        bits = BITS[kinds[1]]
        count_a, a, count_b, b = MULTIPLICANDS[shape, bits]
        count_c = 4 if m == "16" else 2
        fragments = (
            fragment(BITS[kinds[0]], count_c, pair_c), fragment(bits, count_a, a), fragment(bits, count_b, b),
            fragment(BITS[kinds[3]], count_c, pair_c),
        )  # fmt: skip
    return Case(opcode, kinds, int(m), int(n), int(k), *fragments)


def named(opcode: str) -> str:
    return opcode.replace(".", "_").replace("::", "_")


def kernel(case: Case) -> str:
    """An entry in which CTA b computes product b: registers from A, B and C, and D's to D, lane by lane."""
    declared, loads, groups = [], [], []
    for name, operand_fragment in (("d", case.d), ("a", case.a), ("b", case.b), ("c", case.c)):
        width = (
            "b64"
            if operand_fragment.bits == 64
            else "f32"
            if name in "dc" and case.kinds["dabc".index(name)] == "f32"
            else "b32"
        )
        names = [f"%{name}{i}" for i in range(operand_fragment.registers)]
        declared.append(f".reg .{width} {', '.join(names)};".replace("b64", "f64"))
        groups.append("{" + ", ".join(names) + "}")
        size = 8 if operand_fragment.bits == 64 else 4
        loads.append(f"mad.wide.u32 %{name}_at, %lane, {size * operand_fragment.registers}, %{name}_at;")
        for i, register in enumerate(names):
            if name != "d":
                loads.append(f"ld.global.b{8 * size} {register}, [%{name}_at + {size * i}];")
    size = 8 if case.d.bits == 64 else 4
    stores = [f"st.global.b{8 * size} [%d_at + {size * i}], %d{i};" for i in range(case.d.registers)]
    lines = [
        *declared,
        ".reg .u32 %lane, %block;",
        ".reg .u64 %d_at, %a_at, %b_at, %c_at;",
        *(f"ld.param.u64 %{name}_at, [{name}];" for name in "dabc"),
        "mov.u32 %lane, %tid.x;",
        "mov.u32 %block, %ctaid.x;",
        "mad.lo.u32 %lane, %block, 32, %lane;",
        *loads,
        f"{case.opcode} {', '.join(groups)};",
        *stores,
        "ret;",
    ]
    parameters = ", ".join(f".param .u64 {name}" for name in "dabc")
    return program(f".visible .entry {named(case.opcode)}({parameters})\n{{\n    " + "\n    ".join(lines) + "\n}\n")
