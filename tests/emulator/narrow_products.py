"""Products with metadata and scales: a kernel of many, and where the manual puts their elements and operands.

(PTX ISA, "Matrix fragments for multiply-accumulate operation with sparse matrix A", "Block Scaling for mma.sync".) `g`
is a lane's group, lane / 4, and `t` its place there, lane % 4.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptxbench import emulator

CODES = {"f16": 16, "bf16": 16, "tf32": 32, "f32": 32, "s32": 32, "e4m3": 8, "e5m2": 8, "e3m2": 6, "e2m3": 6,
         "e2m1": 4, "s8": 8, "u8": 8, "s4": 4, "u4": 4}  # fmt: skip
"""Bits of an element's code."""
WORDS = 20
"""Words that a lane has in memory for each product: A, B, C, metadata, scales of A and B, from these places."""
A_AT, B_AT, C_AT, METADATA_AT, SCALE_A_AT, SCALE_B_AT = 0, 4, 8, 12, 13, 14
INDEX_BITS = 2


@dataclass(frozen=True)
class Product:
    """An opcode with its selectors: of the metadata, and (byte, thread) of the scales of A and B."""

    opcode: str
    selector: int = 0
    of_a: tuple[int, int] = (0, 0)
    of_b: tuple[int, int] = (0, 0)

    @property
    def k(self) -> int:
        return int(self.opcode.partition("m16n8k")[2].partition(".")[0])

    @functools.cached_property
    def kinds(self) -> list[str]:
        """Types of d, a, b and c."""
        return [part for part in self.opcode.split(".") if part in CODES]

    @property
    def bits(self) -> int:
        return self.container(self.kinds[1])

    def container(self, kind: str) -> int:
        """Bits of an element of A or B in a register: a byte for floats of 4 and 6 bits, but four with mxf4."""
        if "kind::mxf4" in self.opcode:
            return 4
        return max(8, CODES[kind]) if kind.startswith("e") else CODES[kind]

    @property
    def sparse(self) -> bool:
        return ".sp" in self.opcode

    @property
    def unit(self) -> int:
        """Elements of A for one index."""
        return 2 if self.bits == 4 else 1

    @property
    def terms(self) -> int:
        return self.k // 2 if self.sparse else self.k

    @property
    def scales(self) -> int:
        """Scales of a row."""
        if "block_scale" not in self.opcode:
            return 0
        size = re.search(r"scale_vec::(\d)X", self.opcode)
        return int(size[1]) if size else 2 if "kind::mxf4." in self.opcode else 1

    @property
    def halves(self) -> bool:
        """Whether D and C have two elements in a register."""
        return self.kinds[0] == "f16"

    @property
    def registers(self) -> tuple[int, int, int, int]:
        """Registers of d, a, b and c."""
        of_d = 2 if self.halves else 4
        return of_d, self.terms * self.bits // 64, self.k * self.bits // 128, of_d

    def text(self, number: int) -> str:
        """The instruction, on the registers of its number."""
        groups = [
            "{" + ", ".join(f"%{name}{number}_{i}" for i in range(count)) + "}"
            for name, count in zip("dabc", self.registers, strict=True)
        ]
        if self.sparse:
            groups += [f"%m{number}", str(self.selector)]
        if self.scales:
            for name, chosen in (("s", self.of_a), ("t", self.of_b)):
                groups += [f"%{name}{number}", f"{{{chosen[0]}, {chosen[1]}}}"]
        return f"{self.opcode} {', '.join(groups)};"


def kernel(
    products: Sequence[Product], name: str = "products", more: str = "", lines: Mapping[int, str] | None = None
) -> str:
    """CTA b computes the b-th set of operands by each product. `lines` replace instructions, `more` comes before."""
    declared, body = [], []
    for number, product in enumerate(products):
        result = "f32" if product.kinds[0] == "f32" else "b32"
        of_f32 = [f"%{letter}{number}_{i}" for letter in "cd" for i in range(4)]
        others = [f"%{letter}{number}_{i}" for letter in "ab" for i in range(4)]
        singles = [f"%{letter}{number}" for letter in "mst"]
        declared += [f".reg .{result} {', '.join(of_f32)};", f".reg .b32 {', '.join((*others, *singles))};"]
        for place, names in ((A_AT, others[:4]), (B_AT, others[4:]), (C_AT, of_f32[:4]), (METADATA_AT, singles)):
            for i, register in enumerate(names):
                at = 4 * (WORDS * number + place + i)
                body.append(f"ld.global.b32 {register}, [%from + {at}];")
        body.append(more)
        body.append((lines or {}).get(number) or product.text(number))
        stored = 2 if product.halves else 4
        body += [f"st.global.b32 [%to + {4 * (4 * number + i)}], %d{number}_{i};" for i in range(stored)]
    text = "\n    ".join([*declared, *body])
    return f""".visible .entry {name}(.param .u64 given, .param .u64 found)
{{
    .reg .u32 %lane, %block;
    .reg .b16 %h<4>;
    .reg .pred %p;
    .reg .u64 %from, %to;
    mov.u32 %lane, %tid.x;
    mov.u32 %block, %ctaid.x;
    mad.lo.u32 %lane, %block, 32, %lane;
    ld.param.u64 %from, [given];
    ld.param.u64 %to, [found];
    mad.wide.u32 %from, %lane, {4 * WORDS * len(products)}, %from;
    mad.wide.u32 %to, %lane, {4 * 4 * len(products)}, %to;
    {text}
    ret;
}}
"""


def header(arch: str) -> str:
    return f".version 9.1\n.target {arch}{'a' if arch == 'sm_120' else ''}\n.address_size 64\n"


# ---- where elements are


def places_a(bits: int, terms: int) -> list[tuple[int, int, int]]:
    """(lane, element, row, column) of A's registers: a register of row g, of row g + 8, then the next columns."""
    per = 32 // bits
    return [
        (lane, per * register + e, lane // 4 + 8 * (register % 2), 4 * per * (register // 2) + per * (lane % 4) + e)
        for lane in range(32)
        for register in range(terms * bits // 64)
        for e in range(per)
    ]


def places_b(bits: int, k: int) -> list[tuple[int, int, int]]:
    """(lane, element, row, column) of B's registers: column g, and `per` rows from per t on, then the next rows."""
    per = 32 // bits
    return [
        (lane, per * register + e, 4 * per * register + per * (lane % 4) + e, lane // 4)
        for lane in range(32)
        for register in range(k * bits // 128)
        for e in range(per)
    ]


PLACES_D = [(lane, i, lane // 4 + 8 * (i // 2), 2 * (lane % 4) + i % 2) for lane in range(32) for i in range(4)]


def metadata_places(product: Product) -> list[tuple[int, int, int, int, int]]:
    """(lane, low bit, row, first index, indices) of the metadata: the figures of the layouts, by shape and type."""
    f, places = product.selector, []
    for g in range(8):
        if product.bits >= 16:
            count = product.terms * (2 if product.bits == 32 else 1)  # indices of two bits in a row
            lanes = [4 * g + f] if count == 8 else [4 * g + 2 * f, 4 * g + 2 * f + 1]
            for part, lane in enumerate(lanes):
                places += [(lane, 0, g, 8 * part, 8), (lane, 16, g + 8, 8 * part, 8)]
        else:
            first = 4 * g + 2 * f
            places += [(first, 0, g, 0, 16), (first + 1, 0, g + 8, 0, 16)]
            if product.terms // product.unit == 32:
                places += [(first + 2, 0, g, 16, 16), (first + 3, 0, g + 8, 16, 16)]
    return places


def scale_lanes(product: Product) -> tuple[list[int], list[int]]:
    """The lanes with the scales of each row, and of each column."""
    rows = [4 * (row % 8) + 2 * product.of_a[1] + row // 8 for row in range(16)]
    return rows, [4 * column + product.of_b[1] for column in range(8)]


# ---- operands


def packed(words: Any, places: Sequence[tuple[int, ...]], codes: Any, bits: int, first: int) -> None:
    per = 32 // bits
    for lane, element, row, column in places:
        words[lane, first + element // per] |= np.uint32(int(codes[row, column]) << bits * (element % per) & 0xFFFFFFFF)


def contained(codes: Any, kind: str, bits: int, draw: np.random.Generator) -> Any:
    """Codes as they are in their container: e2m1 in the middle of a byte; the other bits are arbitrary."""
    size = CODES[kind]
    if size >= bits:
        return codes
    low = 2 if size == 4 else 0
    noise = draw.integers(0, 1 << bits, codes.shape) & ~(((1 << size) - 1) << low)
    return codes << low | noise


@dataclass(frozen=True)
class Operands:
    """Codes of A as kept (16 x terms), B (k x 8), C; indices of A (16 x indices of two bits); scales by row, column."""

    a: Any
    b: Any
    c: Any
    indices: Any
    scale_a: Any
    scale_b: Any


def words_of(product: Product, operands: Operands, draw: np.random.Generator) -> Any:
    """A warp's operands in memory, shape (32, WORDS); what no lane should look at is arbitrary."""
    words = draw.integers(0, 1 << 32, (32, WORDS), dtype=np.uint32)
    words[:, :METADATA_AT] = 0
    bits = product.bits
    packed(words, places_a(bits, product.terms), contained(operands.a, product.kinds[1], bits, draw), bits, A_AT)
    packed(words, places_b(bits, product.k), contained(operands.b, product.kinds[2], bits, draw), bits, B_AT)
    packed(words, PLACES_D, operands.c, 16 if product.halves else 32, C_AT)
    if product.sparse:
        for lane, *_ in metadata_places(product):
            words[lane, METADATA_AT] = 0
        for lane, low, row, first, count in metadata_places(product):
            for i in range(count):
                shift = low + INDEX_BITS * i
                words[lane, METADATA_AT] |= np.uint32(int(operands.indices[row, first + i]) << shift)
    if product.scales:
        for at, lanes, chosen, of in zip((SCALE_A_AT, SCALE_B_AT), scale_lanes(product), (product.of_a, product.of_b),
                                         (operands.scale_a, operands.scale_b), strict=True):  # fmt: skip
            for scaled_row, lane in enumerate(lanes):
                for i in range(product.scales):
                    shift = 8 * (chosen[0] + i)
                    words[lane, at] &= np.uint32(0xFFFFFFFF ^ 0xFF << shift)
                    words[lane, at] |= np.uint32(int(of[scaled_row, i]) << shift)
    return words


def run(text: str, products: Sequence[Product], words: Any, arch: str, **options: Any) -> tuple[list[Any], Any]:
    """D of each product as codes, shape (CTAs, 16, 8); `words`: shape (CTAs, 32, products, WORDS)."""
    out = np.zeros((len(words), 32, len(products), 4), np.uint32)
    execution = emulator.run(
        header(arch) + text, grid=len(words), block=32, args=[np.ascontiguousarray(words), out], arch=arch, **options
    )
    results = []
    for number, product in enumerate(products):
        codes = np.zeros((len(words), 16, 8), np.int64)
        for lane, i, row, column in PLACES_D:
            word = out[:, lane, number, i // 2 if product.halves else i].astype(np.int64)
            codes[:, row, column] = word >> 16 * (i % 2) & 0xFFFF if product.halves else word
        results.append(codes)
    return results, execution


# ---- drawn at random


def indices(product: Product, draw: np.random.Generator) -> Any:
    """Valid indices of two bits, (16, indices); without ordered_metadata, in either order."""
    runs = product.terms // product.unit
    if not product.sparse:
        return np.zeros((16, 0), int)
    if product.bits == 32:
        return np.where(draw.random((16, runs, 1)) < 0.5, [[[0, 1]]], [[[2, 3]]]).reshape(16, -1)
    pairs = np.array([[0, 1], [0, 2], [1, 2], [0, 3], [1, 3], [2, 3]])[draw.integers(0, 6, (16, runs // 2))]
    if "ordered" not in product.opcode:
        pairs = np.where(draw.random((16, runs // 2, 1)) < 0.5, pairs, pairs[:, :, ::-1])
    return pairs.reshape(16, -1)


def kept(product: Product, selected: Any) -> Any:
    """For each element that A keeps, (16, terms), its k."""
    if not product.sparse:
        return np.broadcast_to(np.arange(product.k), (16, product.k))
    if product.bits == 32:
        return 2 * np.arange(product.terms) + selected[:, ::2] // 2
    chunk = np.repeat(np.arange(product.terms // product.unit // 2), 2)
    runs = 4 * chunk + selected
    return (runs[:, :, None] * product.unit + np.arange(product.unit)).reshape(16, -1)
