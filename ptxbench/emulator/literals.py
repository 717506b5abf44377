"""Floats as LLVM writes them."""

from __future__ import annotations

import struct


def pattern(value: float, bits: int) -> int:
    """The bit pattern of a Python float as a float of `bits` bits; infinity if it is too large."""
    if bits == 64:
        return int.from_bytes(struct.pack("<d", value), "little")
    try:
        return int.from_bytes(struct.pack("<f" if bits == 32 else "<e", value), "little")
    except OverflowError:
        return int.from_bytes(struct.pack("<f", float("inf") if value > 0 else float("-inf")), "little")


def float_literal(bits: int, width: int) -> str:
    """An LLVM float constant with exactly these bits: f32 is written as the f64 of the same value."""
    if width == 64:
        return f"0x{bits:016X}"
    if width == 16:
        return f"0xH{bits:04X}"
    sign, exponent, fraction = bits >> 31, bits >> 23 & 0xFF, bits & 0x7FFFFF
    if exponent == 0xFF:  # struct would quiet a signalling NaN; keep the payload by hand
        return f"0x{sign << 63 | 0x7FF << 52 | fraction << 29:016X}"
    return f"0x{int.from_bytes(struct.pack('<d', struct.unpack('<f', struct.pack('<I', bits))[0]), 'little'):016X}"
