"""Matrix instructions as data: element formats, and which lane holds what.

Fragments follow the figures of the manual (PTX ISA, "Matrix Fragments for mma.m16n8k16" and its neighbours). The
manual leaves the lanes of a wmma fragment open; here they are those of mma.sync, with repetition in f16 operands that
have more registers than elements. tensor_models.py has the arithmetic.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from ptxbench.emulator.types import LANES

Place = tuple[int, int, int]
"""Matrix (0 except for the four of m8n8k4), row, column."""
Fragment = tuple[tuple[Place, ...], ...]
"""The place of each element, by element (in the order of the registers, from their low bits up) and by lane."""


@dataclass(frozen=True)
class ElementFormat:
    """A binary floating-point format; `least` is the exponent of its smallest normal number."""

    name: str
    bits: int
    fraction: int
    least: int
    infinity: bool = True
    """False: the greatest exponent is also used by numbers, and only all ones is NaN (e4m3)."""
    nan: bool = True
    """False: even all ones is a number."""
    padding: int = 0
    """The bits below an element in a byte."""


FORMATS = {
    element_format.name: element_format
    for element_format in (
        ElementFormat("f16", 16, 10, -14),
        ElementFormat("bf16", 16, 7, -126),
        ElementFormat("tf32", 19, 10, -126),
        ElementFormat("f32", 32, 23, -126),
        ElementFormat("e4m3", 8, 3, -6, infinity=False),
        ElementFormat("e5m2", 8, 2, -14),
        ElementFormat("e3m2", 6, 2, -2, infinity=False, nan=False),
        ElementFormat("e2m3", 6, 3, 0, infinity=False, nan=False),
        ElementFormat("e2m1", 4, 1, 0, infinity=False, nan=False, padding=2),
    )
}
"""By name. The low 13 bits of a register with tf32 are not used; they are dropped."""
INTEGER_BITS = {"s8": 8, "u8": 8, "s4": 4, "u4": 4, "b1": 1}
WORD = 32


def element_bits(name: str) -> int:
    """Bits that an element takes in a register or in memory; formats of 4 and 6 bits take a byte."""
    if name == "f64":
        return 64
    if name in ("f32", "tf32", "s32"):
        return 32
    return INTEGER_BITS.get(name) or max(8, FORMATS[name].bits)


def in_units(name: str, depth: int) -> tuple[int, int]:
    """Rows of `depth` elements as moved and shuffled: their number of elements, and bits of each; for b1, of words."""
    return (depth // WORD, WORD) if name == "b1" else (depth, element_bits(name))


# ---- fragments


def a_fragment(rows: int, depth: int, bits: int) -> Fragment:
    """A, rows x depth, with elements of `bits`: four lanes hold one register of a row each."""
    per_register = max(1, WORD // bits)
    return tuple(
        tuple(
            (0, 8 * high + lane // 4, 4 * per_register * k_block + per_register * (lane % 4) + e)
            for lane in range(LANES)
        )
        for k_block in range(depth // (4 * per_register))
        for high in range(rows // 8)
        for e in range(per_register)
    )


def b_fragment(depth: int, columns: int, bits: int) -> Fragment:
    """B, depth x columns: four lanes hold one register of a column each."""
    per_register = max(1, WORD // bits)
    return tuple(
        tuple(
            (0, 4 * per_register * k_block + per_register * (lane % 4) + e, 8 * right + lane // 4)
            for lane in range(LANES)
        )
        for right in range(columns // 8)
        for k_block in range(depth // (4 * per_register))
        for e in range(per_register)
    )


def c_fragment(rows: int, columns: int) -> Fragment:
    """C and D: a lane holds two neighbours of each 8 x 8 block."""
    return tuple(
        tuple((0, 8 * high + lane // 4, 8 * right + 2 * (lane % 4) + i) for lane in range(LANES))
        for right in range(columns // 8)
        for high in range(rows // 8)
        for i in range(2)
    )


def quad_pair(lane: int) -> int:
    """Which of the four products of m8n8k4 a lane takes part in."""
    return lane % 16 // 4


def low_lane(lane: int) -> int:
    """0 to 3 in the lower half of the warp, 4 to 7 in the upper."""
    return lane % 4 + 4 * (lane // 16)


def quad_a_fragment(layout: str) -> Fragment:
    """A of mma.m8n8k4, four elements per lane."""
    if layout == "row":
        return tuple(tuple((quad_pair(lane), low_lane(lane), i) for lane in range(LANES)) for i in range(4))
    return tuple(tuple((quad_pair(lane), i + 4 * (lane // 16), lane % 4) for lane in range(LANES)) for i in range(4))


def quad_b_fragment(layout: str) -> Fragment:
    """B of mma.m8n8k4: its columns as A's rows."""
    mirrored = quad_a_fragment("row" if layout == "col" else "col")
    return tuple(tuple((pair, k, column) for pair, column, k in lanes) for lanes in mirrored)


def quad_c_fragment(kind: str) -> Fragment:
    """C and D of mma.m8n8k4, eight elements per lane; f32 and f16 have different layouts."""
    if kind == "f16":
        return tuple(tuple((quad_pair(lane), low_lane(lane), i) for lane in range(LANES)) for i in range(8))
    return tuple(
        tuple(
            (quad_pair(lane), (lane & 1) + (i & 2) + 4 * (lane // 16), (i & 4) + (lane & 2) + (i & 1))
            for lane in range(LANES)
        )
        for i in range(8)
    )


def shape(text: str) -> tuple[int, int, int]:
    """m, n, k of "m16n8k16"."""
    match = re.fullmatch(r"m(\d+)n(\d+)k(\d+)", text)
    assert match is not None, text
    m, n, k = map(int, match.groups())
    return m, n, k


def repeated(fragment: Fragment) -> Fragment:
    """The sixteen elements per lane of wmma's A and B in f16, whatever their shape."""
    return fragment * (16 // len(fragment))


@dataclass(frozen=True)
class Tile:
    """A matrix of wmma in memory: `layout` says whether its rows or its columns are contiguous.

    It is accessed in pieces of 16 bytes, one per lane, or of 8 if a row is that short: row by row, or, if `down`, the
    first pieces of all rows before the second, as ldmatrix does. Elements below a byte are 32-bit words; `stride_bits`
    is then the size of the unit of a stride.
    """

    name: str
    fragment: Fragment
    rows: int
    columns: int
    bits: int
    stride_bits: int
    layout: str
    down: bool = False

    @property
    def row_elements(self) -> int:
        """Elements, or words, that are contiguous."""
        return self.columns if self.layout == "row" else self.rows

    @property
    def row_bytes(self) -> int:
        return self.row_elements * self.bits // 8

    @property
    def majors(self) -> int:
        """Rows, or columns, that are a stride apart."""
        return self.rows if self.layout == "row" else self.columns

    @property
    def piece_bytes(self) -> int:
        return min(16, self.row_bytes)

    @property
    def requests(self) -> list[list[tuple[int, int]]]:
        """For each request, its lanes' pieces: the row (or column), and the byte in it.

        The last lane has the first piece. PTX does not say which lane has which piece. If each lane had the pieces
        that it probably reads itself, in order, the sanitizer would not find that nothing orders these accesses.
        """
        pieces = [(major, byte) for major in range(self.majors) for byte in range(0, self.row_bytes, self.piece_bytes)]
        if self.down:
            pieces.sort(key=lambda piece: piece[1])
        return [pieces[i : i + LANES][::-1] for i in range(0, len(pieces), LANES)]

    @property
    def registers(self) -> int:
        return len(self.fragment) * self.bits // max(WORD, self.bits)

    def element_indices(self) -> list[int]:
        """For each element in the registers (by register, lane and bit), its index among the elements of the requests,
        in the same order."""
        word = max(WORD, self.bits)
        per_word, words = word // self.bits, 8 * self.piece_bytes // word
        pieces = [len(request) for request in self.requests]
        numbers = []
        for register in range(self.registers):
            for lane in range(LANES):
                for e in range(per_word):
                    _, row, column = self.fragment[per_word * register + e][lane]
                    major, minor = (row, column) if self.layout == "row" else (column, row)
                    piece, bit = divmod(minor * self.bits, 8 * self.piece_bytes)
                    along = major * (self.row_bytes // self.piece_bytes) + piece
                    number = piece * self.majors + major if self.down else along
                    request, piece_in_request = divmod(number, LANES)
                    vector = request * words + bit // word
                    last = pieces[request] - 1
                    numbers.append((vector * LANES + last - piece_in_request) * per_word + bit % word // self.bits)
        return numbers

    @functools.cached_property
    def gather(self) -> tuple[int, ...]:
        return tuple(self.element_indices())

    @functools.cached_property
    def scatter(self) -> tuple[int, ...]:
        """The inverse: for each element of the requests' words, its index in the registers; 0 for lanes without one."""
        size = len(self.requests) * self.piece_bytes * 8 * LANES // self.bits
        numbers = [0] * size
        for register_number, element_index in enumerate(self.element_indices()):
            numbers[element_index] = register_number
        return tuple(numbers)
