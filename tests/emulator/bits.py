"""Bit patterns of PTX's types: how the rows write values, and how a result is shown."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

INF = math.inf
NAN = math.nan
"""Expected: PTX's canonical NaN of the result's type. As a source: the same bits."""

CANONICAL_NAN = {"f32": 0x7FFFFFFF, "f64": 0x7FFFFFFFFFFFFFFF}
FORMATS = {"f32": "<f", "f64": "<d"}


@dataclass(frozen=True)
class Bits:
    """A register's bits, whatever its type."""

    value: int
    width: int


@dataclass(frozen=True)
class Imm:
    """An immediate operand."""

    text: str


def b32(value: int) -> Bits:
    return Bits(value, 32)


def b64(value: int) -> Bits:
    return Bits(value, 64)


def width(kind: str) -> int:
    """Bits of a PTX type such as s32; a predicate has 1."""
    return 1 if kind == "pred" else int(kind[1:])


def encode(value: object, kind: str) -> int:
    """The bit pattern of `value` as a `kind`; ValueError if it is not exactly representable."""
    if isinstance(value, Bits):
        if value.width != max(16, width(kind)):  # 8-bit operands are in 16-bit registers
            raise ValueError(f"{value} as {kind}")
        return value.value
    if kind in FORMATS:
        if math.isnan(value):
            return CANONICAL_NAN[kind]
        packed = struct.pack(FORMATS[kind], value)
        if struct.unpack(FORMATS[kind], packed)[0] != value:
            raise ValueError(f"{value} is no {kind}; write its bits")
        return int.from_bytes(packed, "little")
    if not isinstance(value, int) or not -(1 << width(kind) - 1) <= value < 1 << width(kind):
        raise ValueError(f"{value} is no {kind}")
    return value & (1 << width(kind)) - 1


def show(pattern: int, kind: str) -> str:
    """A bit pattern as people read it: 0x3f800000 (1.0)."""
    if kind == "pred":
        return str(bool(pattern))
    text = f"0x{pattern:0{max(1, width(kind) // 4)}x}"
    if kind in FORMATS:
        size = width(kind) // 8
        return f"{text} ({struct.unpack(FORMATS[kind], pattern.to_bytes(size, 'little'))[0]!r})"
    signed = pattern - (1 << width(kind)) if kind[0] == "s" and pattern >> width(kind) - 1 else pattern
    return f"{text} ({signed})"
