"""The elements of vector loads and stores, as vectors of lanes and in the order of memory.

A lane's elements are neighbours in memory: the bytes of `ld.v2` are x0 y0 x1 y1 ..., in vectors of lanes x0 x1 ... and
y0 y1 ... Both are vectors of LANES elements; those in the order of memory are called interleaved.
"""

from __future__ import annotations

from collections.abc import Sequence

from ptxbench.emulator.runtime.context import vector
from ptxbench.emulator.types import LANES

REGISTER_BYTES = 64


def piece_width(element_bytes: int) -> int:
    """Elements of a vector that fits a register of today's processors. LLVM reorders the elements of longer vectors
    with several times as many instructions."""
    return min(LANES, REGISTER_BYTES // element_bytes)


def deinterleaved(pieces: list[str], count: int, element: str, prefix: str) -> tuple[list[str], list[str]]:
    """Lines that sort the elements of `pieces`, vectors in the order of memory, and the results: for each k below
    `count`, a vector of the elements k, `count` + k, 2 `count` + k ..."""
    lines: list[str] = []
    width = LANES * count // len(pieces)
    kind = f"<{width} x {element}>"
    parts, step = {0: pieces}, 1
    while step < count:  # every second element of the parts
        finer = {}
        for first, part in parts.items():
            for odd in (0, 1):
                order = ", ".join(f"i32 {2 * i + odd}" for i in range(width))
                names = [f"%{prefix}{first + step * odd}.by{2 * step}.{j}" for j in range(len(part) // 2)]
                finer[first + step * odd] = names
                for name, a, b in zip(names, part[::2], part[1::2], strict=True):
                    lines.append(f"{name} = shufflevector {kind} {a}, {kind} {b}, <{width} x i32> <{order}>")
        parts, step = finer, 2 * step
    results = []
    for k in range(count):
        joins, joined = concatenated(parts[k], width, element)
        lines += joins
        results.append(joined)
    return lines, results


def interleaved(values: Sequence[str], element_bytes: int, prefix: str) -> tuple[list[str], list[str]]:
    """The reverse: lines that put element i of every vector one after the other, then those of i + 1, and the results,
    vectors in the order of memory."""
    element, width = f"i{8 * element_bytes}", piece_width(element_bytes)
    kind, full = f"<{width} x {element}>", vector(8 * element_bytes)
    lines: list[str] = []
    if len(values) == 1:
        names = [f"%{prefix}.{i}" for i in range(LANES // width)]
        for i, name in enumerate(names):
            order = ", ".join(f"i32 {i * width + j}" for j in range(width))
            lines.append(f"{name} = shufflevector {full} {values[0]}, {full} poison, <{width} x i32> <{order}>")
        return lines, names
    (even, first), (odd, second) = (interleaved(values[i::2], element_bytes, f"{prefix}.{i}") for i in (0, 1))
    results = []
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        for half in (0, 1):
            start = half * width // 2
            order = ", ".join(f"i32 {start + j}, i32 {width + start + j}" for j in range(width // 2))
            results.append(f"%{prefix}.m{2 * i + half}")
            lines.append(f"{results[-1]} = shufflevector {kind} {a}, {kind} {b}, <{width} x i32> <{order}>")
    return [*even, *odd, *lines], results


def in_pieces(values: Sequence[str], element_bytes: int, prefix: str) -> tuple[list[str], list[str]]:
    """Lines that cut interleaved vectors into pieces, and the pieces in the order of memory."""
    lines: list[str] = []
    pieces: list[str] = []
    for number, value in enumerate(values):
        cuts, parts = interleaved([value], element_bytes, f"{prefix}{number}")
        lines += cuts
        pieces += parts
    return lines, pieces


def joined_pieces(pieces: Sequence[str], count: int, element: str) -> tuple[list[str], list[str]]:
    """The reverse: lines that join pieces, and the `count` interleaved vectors."""
    lines: list[str] = []
    results = []
    per_vector = len(pieces) // count
    for first in range(0, len(pieces), per_vector):
        joins, joined = concatenated(pieces[first : first + per_vector], LANES // per_vector, element)
        lines += joins
        results.append(joined)
    return lines, results


def concatenated(parts: Sequence[str], width: int, element: str) -> tuple[list[str], str]:
    """Lines that join vectors of `width` elements, a power of two of them, and the name of the result."""
    lines, joined = [], list(parts)
    while len(joined) > 1:
        kind, order = f"<{width} x {element}>", ", ".join(f"i32 {i}" for i in range(2 * width))
        pairs = list(zip(joined[::2], joined[1::2], strict=True))
        joined = [f"{a}.j{width}" for a, _ in pairs]
        for name, (a, b) in zip(joined, pairs, strict=True):
            lines.append(f"{name} = shufflevector {kind} {a}, {kind} {b}, <{2 * width} x i32> <{order}>")
        width *= 2
    return lines, joined[0]
