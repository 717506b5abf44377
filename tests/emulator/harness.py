"""Runs one instruction on rows of operands: a PTX kernel per opcode, one row a thread, results compared by bits.

The operand types of an opcode are repeated here, because the table itself is under test.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import emulator
from tests.emulator.bits import Imm, encode, show, width

HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"
SLOT = 8
"""Bytes of one operand or result in memory, whatever its type."""
BLOCK = 256

KERNELS: dict[str, str] = {}
"""Every kernel that the tests write or generate, by entry name; test_ptxas.py assembles them all."""


def program(text: str) -> str:
    """Register a kernel written by hand, `.visible .entry NAME(...) {...}`, and give the module that holds it."""
    name = re.search(r"\.entry\s+(\w+)", text)[1]
    if KERNELS.setdefault(name, text) != text:
        raise ValueError(f"two kernels are called '{name}'")
    return HEADER + text


def types(opcode: str, count: int, results: int = 1) -> tuple[list[str], list[str]]:
    """The types of an opcode's results and of its `count` sources."""
    parts = opcode.split(".")
    root, last = parts[0], parts[-1]
    result, sources = last, [last] * count
    if root == "setp":
        result = "pred"
        if parts[2] in ("and", "or", "xor"):
            sources[-1] = "pred"
    elif root == "selp":
        sources[-1] = "pred"
    elif root in ("shl", "shr"):
        sources[1] = "u32"
    elif root in ("popc", "clz"):
        result = "u32"
    elif root == "cvt":
        result = parts[-2]
    elif root in ("mul", "mad") and parts[1] == "wide":
        result = f"{last[0]}{2 * width(last)}"
        sources[2:] = [result] * (count - 2)
    return [result, *["pred"] * (results - 1)], sources


NARROW = {"bf16": 16, "bf16x2": 32, "tf32": 32, "f32x2": 64, "e2m1x2": 8, **dict.fromkeys(
    ("e4m3x2", "e5m2x2", "e2m3x2", "e3m2x2", "s2f6x2", "ue8m0x2"), 16
)}  # fmt: skip
"""Types that no register is declared with: how many bits hold them."""


def register(kind: str, *, result: bool = False, exact: bool = False) -> str:
    """The register type for an operand: 8-bit ones live in wider registers, unless it must be of that type exactly."""
    if kind in NARROW:
        return f"b{NARROW[kind]}"
    if exact:
        return kind
    if kind[1:] == "8":
        return "b32" if result else "b16"
    return kind


def kernel(opcode: str, sources: Sequence[str | Imm], results: Sequence[str]) -> str:
    """The entry that applies `opcode` to the thread's row. Immediates are written into the text."""
    immediates = "".join("_" + re.sub(r"\W", "_", source.text) for source in sources if isinstance(source, Imm))
    name = "row_" + re.sub(r"\W", "_", opcode) + immediates + "_q" * (len(results) - 1)
    declared, loads, operands, stores = [], [], [], []
    places = 0
    for origin in sources:
        if isinstance(origin, Imm):
            operands.append(origin.text)
            continue
        place, places = places, places + 1
        declared.append(f".reg .{register(origin)} %a{place};")
        operands.append(f"%a{place}")
        if origin == "pred":
            loads.append(f"ld.global.b32 %word, [%from + {SLOT * place}];\n    setp.ne.b32 %a{place}, %word, 0;")
        else:
            loads.append(f"ld.global.b{width(register(origin))} %a{place}, [%from + {SLOT * place}];")
    for place, kind in enumerate(results):
        declared.append(f".reg .{register(kind, result=True)} %d{place};")
        if kind == "pred":
            stores.append(f"selp.b32 %word, 1, 0, %d{place};\n    st.global.b32 [%to + {SLOT * place}], %word;")
        else:
            stores.append(f"st.global.b{width(register(kind, result=True))} [%to + {SLOT * place}], %d{place};")
    targets = "|".join(f"%d{place}" for place in range(len(results)))
    lines = [
        *declared,
        ".reg .b32 %thread, %block, %word, %rows;",
        ".reg .u64 %from, %to;",
        ".reg .pred %past;",
        "mov.u32 %thread, %tid.x;",
        "mov.u32 %block, %ctaid.x;",
        f"mad.lo.u32 %thread, %block, {BLOCK}, %thread;",
        "ld.param.u32 %rows, [rows];",
        "setp.ge.u32 %past, %thread, %rows;",
        "@%past exit;",
        "ld.param.u64 %from, [sources];",
        "ld.param.u64 %to, [results];",
        f"mad.wide.u32 %from, %thread, {SLOT * max(places, 1)}, %from;",
        f"mad.wide.u32 %to, %thread, {SLOT * len(results)}, %to;",
        *loads,
        f"{opcode} {', '.join([targets, *operands])};",
        *stores,
        "ret;",
    ]
    parameters = ".param .u64 sources, .param .u64 results, .param .u32 rows"
    text = f".visible .entry {name}({parameters})\n{{\n    " + "\n    ".join(lines) + "\n}\n"
    return program(text)


def signature(sources: Sequence[Any], kinds: Sequence[str]) -> tuple[str | Imm, ...]:
    """The inputs that shape the kernel: the immediates, and the types of the other sources."""
    return tuple(source if isinstance(source, Imm) else kind for source, kind in zip(sources, kinds, strict=True))


@functools.cache
def module(opcode: str, sources: tuple[str | Imm, ...], results: tuple[str, ...]) -> str:
    return kernel(opcode, sources, results)


def execute(
    opcode: str, sources: Sequence[NDArray[np.uint64] | Imm], results: Sequence[str], kinds: Sequence[str]
) -> list[NDArray[np.uint64]]:
    """Bit patterns of the results, one array each, for bit patterns of the sources, one array each."""
    arrays = [source for source in sources if not isinstance(source, Imm)]
    rows = len(arrays[0])
    text = module(opcode, signature(sources, kinds), tuple(results))
    data = np.stack(arrays, axis=1).astype(np.uint64)
    out = np.zeros((rows, len(results)), np.uint64)
    emulator.run(text, grid=-(-rows // BLOCK), block=BLOCK, args=[np.ascontiguousarray(data), out, np.uint32(rows)])
    return [out[:, place].copy() for place in range(len(results))]


Row = tuple[str, tuple[Any, ...], Any]


def by_opcode(rows: Sequence[Row]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows that share a kernel: one opcode, the same immediates, the same number of results."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        opcode, sources, expected = row
        immediates = tuple(source for source in sources if isinstance(source, Imm))
        groups.setdefault((opcode, immediates, isinstance(expected, tuple)), []).append(row)
    return groups


def prepare(rows: Sequence[Row]) -> tuple[str, list[Any], list[str], list[str]]:
    """Opcode, sources (arrays or immediates), types of results and sources of rows that share a kernel.

    The kernel is registered, so that test_ptxas.py finds it without running it.
    """
    opcode, first, expected = rows[0]
    results, kinds = types(opcode, len(first), len(expected) if isinstance(expected, tuple) else 1)
    columns = []
    for place, kind in enumerate(kinds):
        values = [sources[place] for _, sources, _ in rows]
        if isinstance(values[0], Imm):
            columns.append(values[0])
        else:
            columns.append(np.array([encode(value, kind) for value in values], np.uint64))
    module(opcode, signature(columns, kinds), tuple(results))
    return opcode, columns, results, kinds


def differences(rows: Sequence[Row]) -> list[str]:
    """Run rows that share a kernel; one line for each row with unexpected bits."""
    opcode, columns, results, kinds = prepare(rows)
    actual = execute(opcode, columns, results, kinds)
    faults = []
    for i, (_, sources, expected) in enumerate(rows):
        wanted = expected if isinstance(expected, tuple) else (expected,)
        for kind, value, got in zip(results, wanted, actual, strict=True):
            bits = encode(value, kind)
            if register(kind, result=True) != kind:  # a register wider than the result holds it extended
                bits = bits | (0xFFFFFF00 if kind[0] == "s" and bits >> 7 else 0)
            if int(got[i]) != bits:
                faults.append(f"{opcode} {sources}: {show(int(got[i]), kind)}, not {show(bits, kind)}")
    return faults
