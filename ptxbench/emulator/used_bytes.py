"""`.pragma "used_bytes_mask"`: which bytes of the next load the kernel uses. (PTX ISA, "Pragma Strings".)

Compilers write it before loads of structures with padding. Here the other bytes have the value of memory that was never
written, and the sanitizer does not check their order, or that they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

NAME = "used_bytes_mask"
PRAGMA = re.compile(rf'"{NAME}\b\s*(?P<number>[^"]*?)\s*"')
NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)")
OCTAL = re.compile(r"[+-]?0\d")
EVERY_BYTE = (1 << 32) - 1
"""A vector load has at most 32 bytes."""


def used_bytes(pragma: str) -> int:
    """The mask in a string of `.pragma`, quotes included; EVERY_BYTE if it is another one. Raises ValueError."""
    match = PRAGMA.fullmatch(pragma)
    if not match:
        return EVERY_BYTE
    number = match["number"]
    if not NUMBER.fullmatch(number):
        raise ValueError(f"expected a number after {NAME}, found '{number}'.")
    return int(number, 8 if OCTAL.match(number) else 0) & EVERY_BYTE


def of_element(mask: int, size: int, k: int) -> int:
    """The part of a mask that is about element `k` of a load; `size`: bytes of an element."""
    return mask >> size * k & (1 << size) - 1


def bit_mask(mask: int, size: int) -> int:
    """The bits of the used bytes of an element of `size` bytes."""
    return sum(0xFF << 8 * byte for byte in range(size) if mask >> byte & 1)


def pieces(mask: int, size: int, k: int) -> Iterator[tuple[int, int]]:
    """The used bytes of element `k` of a load, as aligned accesses: the first byte in the load, and the bytes."""
    used = of_element(mask, size, k)
    if used == (1 << size) - 1:
        yield k * size, size
    elif used:
        yield from pieces(mask, size // 2, 2 * k)
        yield from pieces(mask, size // 2, 2 * k + 1)
