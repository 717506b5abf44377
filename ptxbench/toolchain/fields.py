"""The fields of SASS instructions that hold a register or a number: where they are, and how nvdisasm prints them.

An instruction has 128 bits from sm_70 on. Which fields an opcode has is in the tables of `encodings`. Data only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import copysign, isfinite, isnan

from ptxbench.toolchain.cubin import INSTRUCTION_BYTES

OPCODE = 0xFFF
GUARD_LOW = 12
GUARD = 0xF << GUARD_LOW
"""The predicate before the instruction: 3 bits for its number, 7 for none, and one that negates it."""

UNGUARDED = 7 << GUARD_LOW
SCHEDULING = ((1 << 17) - 1) << 105
"""Stall cycles, yield and barriers (`control`), which nvdisasm does not print."""

YIELD = 1 << 109
REUSE = {"a": 1 << 122, "b": 1 << 123, "c": 1 << 124}
"""The bits that keep a register for the next instruction, by their marks in the tables. nvdisasm prints them if the
yield bit is set."""

CONSTANTS = 0x2000
"""An offset in a constant bank above this many words may be printed as a negative number."""

LARGE = 1e9
"""From here on a float has 21 digits."""


def signed(value: int, width: int) -> int:
    return value - (1 << width if value >> width - 1 & 1 else 0)


def signed_hex(number: int) -> str:
    return f"-{-number:#x}" if number < 0 else f"{number:#x}"


def decimal(number: float) -> str:
    if number and not isfinite(number):
        return "+INF " if number > 0 else "-INF "
    if number == 0 and copysign(1, number) < 0:
        return "-0.0 "
    return f"{number:.20e}" if abs(number) >= LARGE else f"{number:.20g}"


def is_decimal(number: float) -> bool:
    """Whether it is printed as `decimal` does; not so infinity, NaN and -0."""
    return isfinite(number) and (number != 0 or copysign(1, number) > 0)


def f32_text(value: int) -> float:
    return float(struct.unpack("<f", value.to_bytes(4, "little"))[0])


def f64_text(value: int) -> float:
    """The double with this upper half."""
    return float(struct.unpack("<d", (value << 32).to_bytes(8, "little"))[0])


def f16_pair(value: int) -> tuple[float, float]:
    low, high = struct.unpack("<2e", value.to_bytes(4, "little"))
    return high, low


def bf16_pair(value: int) -> tuple[float, float]:
    return f32_text(value & 0xFFFF0000), f32_text(value << 16 & 0xFFFFFFFF)


def has_one_bit(value: int) -> bool:
    """Whether it is a power of two, or 0."""
    return value & value - 1 == 0


INTEGER_COMPARISONS = ("F", "LT", "EQ", "LE", "GT", "NE", "GE", "T")
FLOAT_COMPARISONS = (
    "F", "LT", "EQ", "LE", "GT", "NE", "GE", "NUM", "NAN", "LTU", "EQU", "LEU", "GTU", "NEU", "GEU", "T",
)  # fmt: skip
COMBINATIONS = ("AND", "OR", "XOR")


@dataclass(frozen=True)
class Kind:
    """How a field is printed. `plain`: whether a value is printed so; any other value changes the text of the
    opcode, as RZ turns an IMAD into an IMAD.MOV. `canonical`: a plain value."""

    show: Callable[[int], str]
    plain: Callable[[int], bool] = lambda value: True
    canonical: int = 0


KINDS = {
    "R": Kind(lambda value: f"R{value}", lambda value: value != 255),
    "U": Kind(lambda value: f"UR{value}", lambda value: value != 63),
    "V": Kind(lambda value: f"UR{value}", lambda value: value != 255),
    "P": Kind(lambda value: f"P{value}", lambda value: value != 7),
    "I": Kind(lambda value: f"{'!' * (value >> 3)}P{value & 7}", lambda value: value & 7 != 7),
    "G": Kind(lambda value: INTEGER_COMPARISONS[value], lambda value: 0 < value < 7, 1),
    "W": Kind(lambda value: FLOAT_COMPARISONS[value], lambda value: 0 < value < 15, 1),
    "A": Kind(lambda value: COMBINATIONS[value], lambda value: value < len(COMBINATIONS)),
    "X": Kind(lambda value: f"{value:#x}", lambda value: value != 0, 3),
    "S": Kind(lambda value: signed_hex(signed(value, 32)), lambda value: value != 0, 3),
    "Y": Kind(lambda value: f"{value:#x}", lambda value: not has_one_bit(value), 3),
    "Z": Kind(lambda value: signed_hex(signed(value, 32)), lambda value: not has_one_bit(value), 3),
    "F": Kind(lambda value: decimal(f32_text(value)), lambda value: not isnan(f32_text(value))),
    "D": Kind(lambda value: decimal(f64_text(value)), lambda value: not isnan(f64_text(value))),
    "H": Kind(
        lambda value: ", ".join(map(decimal, f16_pair(value))), lambda value: all(map(is_decimal, f16_pair(value)))
    ),
    "B": Kind(
        lambda value: ", ".join(map(decimal, bf16_pair(value))), lambda value: all(map(is_decimal, bf16_pair(value)))
    ),
    "O": Kind(lambda value: signed_hex(signed(value, 24)), lambda value: value != 0, 4),
    "N": Kind(lambda value: f"{value:#x}", lambda value: 0 < value < 1 << 19, 4),
    "C": Kind(lambda value: f"{4 * value:#x}", lambda value: 0 < value < CONSTANTS, 1),
    "L": Kind(lambda value: f"{value:#x}"),
    "M": Kind(lambda value: f"{value:#x}", lambda value: value != 0xFF),
}
"""By their letters in the tables: a register, a uniform register of 6 and one of 8 bits, a predicate, one that may be
negated; comparisons of integers and of floats, and how a predicate is combined with the result; a number, a signed
number, the same two for opcodes that powers of two change; a float, a double, two halves, two bfloat16; an offset of an
address, one in shared memory of an LDGSTS, one in a constant bank; a small number, a mask of predicates.
"""

DISTANCES = "TJK"
"""The letters of the fields that hold the distance to another instruction, in words."""


@dataclass(frozen=True)
class Field:
    """`letter`: of KINDS or DISTANCES; `pieces`: (first bit, width), the lowest bits of the value first."""

    letter: str
    pieces: tuple[tuple[int, int], ...]

    @property
    def low(self) -> int:
        return self.pieces[0][0]

    @property
    def name(self) -> str:
        return f"{self.letter}{self.low}"

    @cached_property
    def width(self) -> int:
        return sum(width for _, width in self.pieces)

    @cached_property
    def mask(self) -> int:
        return sum((1 << width) - 1 << low for low, width in self.pieces)

    def value(self, word: int) -> int:
        value = shift = 0
        for low, width in self.pieces:
            value |= (word >> low & (1 << width) - 1) << shift
            shift += width
        return value

    def put(self, word: int, value: int) -> int:
        """The instruction with this value."""
        word &= ~self.mask
        for low, width in self.pieces:
            word |= (value & (1 << width) - 1) << low
            value >>= width
        return word

    def plain(self, value: int) -> bool:
        return self.letter in DISTANCES or KINDS[self.letter].plain(value)

    @cached_property
    def canonical(self) -> int:
        return 0 if self.letter in DISTANCES else KINDS[self.letter].canonical

    def target(self, value: int, address: int) -> int:
        """Where an instruction at this address leads, if the field holds a distance."""
        return address + INSTRUCTION_BYTES + 4 * signed(value, self.width)

    def show(self, value: int, address: int) -> str:
        """The text of a plain value in an instruction at this address."""
        if self.letter in DISTANCES:
            return signed_hex(self.target(value, address))
        return KINDS[self.letter].show(value)


FIELDS = {
    field.name: field
    for field in (
        *(Field("R", ((low, 8),)) for low in (16, 24, 32, 64)),
        *(Field("U", ((low, 6),)) for low in (16, 24, 32, 64)),
        *(Field("V", ((low, 8),)) for low in (16, 24, 32, 64)),
        *(Field("I", ((low, 4),)) for low in (68, 77, 87)),
        *(Field("P", ((low, 3),)) for low in (68, 77, 81, 84, 87)),
        *(Field(letter, ((32, 32),)) for letter in "XSYZFDHB"),
        Field("G", ((76, 3),)),
        Field("W", ((76, 4),)),
        Field("A", ((74, 2),)),
        Field("O", ((40, 24),)),
        Field("N", ((44, 20),)),
        Field("C", ((40, 14),)),
        *(Field("L", ((low, width),)) for low, width in ((72, 8), (75, 5), (53, 5), (54, 4))),
        Field("M", ((32, 8),)),
        Field("T", ((34, 30),)),
        Field("J", ((34, 48),)),
        Field("K", ((16, 8), (34, 48))),
    )
}
"""By their names in the tables: the letter and the first bit."""
