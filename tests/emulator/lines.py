"""Runs many instructions at once on rows of registers, for comparison with plain Python.

A Line is one instruction on registers of a fixed pool: %h0 to %h2 of 16 bits, %r0 to %r3 of 32, %l0 to %l3 of 64,
%p0 and %p1. It writes %d, or several registers (`%d|%q`, `{%d, %e}`). `expected` takes the sources' bits as whole
numbers without a sign, in source order, and returns the results' bits; bits beyond the width of the result are
cut, so that -1 is all ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import emulator
from ptxbench.toolchain import locate, ptxas

HEADER = ".version 8.7\n.target sm_90\n.address_size 64\n"
POOL = {
    **{f"%h{k}": 16 for k in range(3)},
    **{f"%r{k}": 32 for k in range(4)},
    **{f"%l{k}": 64 for k in range(4)},
    **{f"%p{k}": 1 for k in range(2)},
}
"""The sources and their bits; each has a slot of 8 bytes in a row."""
RESULTS = re.compile(r"%[defgq](?![\w])")
SEED = 20260802
ROWS = 256


@dataclass(frozen=True)
class Line:
    """`results`: the bits of each register that is written, 1 for a predicate."""

    text: str
    results: tuple[int, ...]
    expected: Callable[..., Any]

    @property
    def sources(self) -> list[str]:
        return [name for name in re.findall(r"%\w+", self.text) if name in POOL]


def module(lines: Sequence[Line]) -> str:
    """A kernel that applies each line to the thread's row and stores the results, 8 bytes a slot (16 for 128 bits)."""
    body, stores, slot = [], [], 0
    for number, line in enumerate(lines):
        names = iter(line.results)
        targets = []

        def rename(match: re.Match[str], number: int = number, names: Any = names, targets: Any = targets) -> str:
            targets.append((f"{match[0]}_{number}", next(names)))
            return str(targets[-1][0])

        body.append(RESULTS.sub(rename, line.text) + ("" if line.text.endswith(" }") else ";"))
        for name, bits in targets:
            body.insert(0, f".reg .{'pred' if bits == 1 else f'b{bits}'} {name};")
            at = f"[%to + {8 * slot}]"
            if bits == 1:
                stores.append(f"selp.b32 %word, 1, 0, {name};\n    st.global.b32 {at}, %word;")
            elif bits == 128:
                stores.append(f"mov.b128 {{%low, %high}}, {name};\n    st.global.b64 {at}, %low;")
                stores.append(f"st.global.b64 [%to + {8 * slot + 8}], %high;")
            elif bits == 8:
                stores.append(f"st.global.b8 {at}, {name};")
            else:
                stores.append(f"st.global.b{bits} {at}, {name};")
            slot += 2 if bits == 128 else 1
    loads = []
    for place, (name, bits) in enumerate(POOL.items()):
        at = f"[%from + {8 * place}]"
        if bits == 1:
            loads.append(f"ld.global.b32 %word, {at};\n    setp.ne.b32 {name}, %word, 0;")
        else:
            loads.append(f"ld.global.b{bits} {name}, {at};")
    text = [
        *(f".reg .{'pred' if bits == 1 else f'b{bits}'} {name};" for name, bits in POOL.items()),
        ".reg .b32 %thread, %word;",
        ".reg .b64 %from, %to, %low, %high;",
        "mov.u32 %thread, %tid.x;",
        "ld.param.u64 %from, [sources];",
        "ld.param.u64 %to, [results];",
        f"mad.wide.u32 %from, %thread, {8 * len(POOL)}, %from;",
        f"mad.wide.u32 %to, %thread, {8 * slot}, %to;",
        *loads,
        *body,
        *stores,
        "ret;",
    ]
    return (
        f"{HEADER}.visible .entry lines(.param .u64 sources, .param .u64 results)\n{{\n    "
        + "\n    ".join(text)
        + "\n}\n"
    )


def rows(count: int = ROWS) -> NDArray[np.uint64]:
    """Sources: any bits, few bits, small numbers of either sign, edges of the range; shape (count, len(POOL))."""
    rng = np.random.default_rng(SEED)
    columns = []
    for bits in POOL.values():
        top = 1 << bits
        wild = rng.integers(0, top - 1, count, np.uint64, endpoint=True)
        small = rng.integers(-40, 72, count).astype(np.int64).view(np.uint64)
        edges = rng.choice(np.array([0, 1, top // 2 - 1, top // 2 % top, top - 1], np.uint64), count)
        sparse = np.uint64(1) << rng.integers(0, bits, count).astype(np.uint64)
        chosen = np.choose(rng.integers(0, 5, count), [wild, wild, small, edges, sparse])
        columns.append(chosen & np.uint64(top - 1))
    return np.stack(columns, axis=1)


def disagreements(lines: Sequence[Line]) -> list[str]:
    """The differences from `expected`, the first few rows of each line."""
    inputs = rows()
    slots = sum(2 if bits == 128 else 1 for line in lines for bits in line.results)
    out = np.zeros((len(inputs), slots), np.uint64)
    emulator.run(module(lines), grid=1, block=len(inputs), args=[inputs, out])
    order = list(POOL)
    faults = []
    at = 0
    for line in lines:
        columns = [inputs[:, order.index(name)].tolist() for name in line.sources]
        differing = 0
        for row in range(len(inputs)):
            values = [column[row] for column in columns]
            wanted = line.expected(*values)
            place = at
            for bits, want in zip(line.results, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
                got = int(out[row, place]) | (int(out[row, place + 1]) << 64 if bits == 128 else 0)
                place += 2 if bits == 128 else 1
                if got != int(want) & (1 << bits) - 1:
                    differing += 1
                    if differing <= 3:
                        shown = ", ".join(f"{value:#x}" for value in values)
                        faults.append(f"{line.text} of {shown}: {got:#x}, not {int(want) & (1 << bits) - 1:#x}")
        at += sum(2 if bits == 128 else 1 for bits in line.results)
    return faults


LINES_OF_A_KERNEL = 100


def kernels(lines: Iterable[Line]) -> list[list[Line]]:
    """The lines in groups that make one kernel each."""
    remaining = list(lines)
    return [remaining[start : start + LINES_OF_A_KERNEL] for start in range(0, len(remaining), LINES_OF_A_KERNEL)]


def assemble(lines: Sequence[Line]) -> None:
    """Raises RefusedError where ptxas does not know a line."""
    tool = locate.program("ptxas")
    assert tool is not None, locate.INSTALL
    ptxas.assemble(tool, module(lines), "sm_90")


# ---- numbers


def bits_of(kind: str) -> int:
    return int(kind[1:])


def number(pattern: int, kind: str) -> int:
    """The value of a bit pattern as a `kind`, for example s7; higher bits are cut."""
    width = bits_of(kind)
    pattern &= (1 << width) - 1
    return pattern - (1 << width) if kind[0] == "s" and pattern >> width - 1 else pattern


def clamp(value: int, kind: str) -> int:
    """The nearest number that a `kind` can hold."""
    width = bits_of(kind)
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if kind[0] == "s" else (0, (1 << width) - 1)
    return min(max(value, low), high)


def pieces(pattern: int, kind: str, count: int) -> list[int]:
    """`count` numbers of type `kind` that lie one after the other, the lowest bits first."""
    return [number(pattern >> bits_of(kind) * k, kind) for k in range(count)]


def joined(values: Iterable[int], bits: int) -> int:
    """Patterns of `bits` bits one after the other, the first in the lowest."""
    return sum((value & (1 << bits) - 1) << bits * k for k, value in enumerate(values))
