"""Runs many instructions in one kernel, each on its own columns of bit patterns: compiled once, checked by ptxas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import emulator
from ptxbench.toolchain import locate, ptxas

BLOCK = 128
REGISTERS = {"f16": "b16", "bf16": "b16", "f16x2": "b32", "bf16x2": "b32"}


@dataclass(frozen=True)
class Case:
    """An opcode, the types of its result and of its sources (register types: b16, f32, ...), and their columns."""

    opcode: str
    result: str
    kinds: Sequence[str]
    columns: Sequence[NDArray[np.uint64]]

    @property
    def rows(self) -> int:
        return len(self.columns[0])


def bits(kind: str) -> int:
    return int(kind[1:])


def vectors(kinds: Sequence[str], names: Sequence[str]) -> str:
    """`%a, %b`; kinds within `{` and `}` make one operand."""
    operands: list[str] = []
    inside = False
    for kind, name in zip(kinds, names, strict=True):
        if inside:
            operands[-1] += f", {name}"
        else:
            operands.append(("{" if kind[0] == "{" else "") + name)
        inside = (inside or kind[0] == "{") and kind[-1] != "}"
        if kind[-1] == "}":
            operands[-1] += "}"
    return ", ".join(operands)


def module(cases: Sequence[Case], rows: int, target: str, version: str) -> str:
    declared, body, column = [], [], 0
    for number, case in enumerate(cases):
        names = [f"%a{number}_{place}" for place in range(len(case.kinds))]
        for kind, name in zip(case.kinds, names, strict=True):
            plain = kind.strip("{}")
            at = f"[%from + {8 * rows * column}]"
            column += 1
            if plain == "pred":
                declared.append(f".reg .pred {name};")
                body.append(f"ld.global.b32 %word, {at};\n    setp.ne.b32 {name}, %word, 0;")
            else:
                declared.append(f".reg .{plain} {name};")
                body.append(f"ld.global.b{bits(plain)} {name}, {at};")
        target_name, at = f"%d{number}", f"[%to + {8 * rows * number}]"
        declared.append(f".reg .{case.result} {target_name};")
        body.append(f"{case.opcode} {target_name}, {vectors(case.kinds, names)};")
        if case.result == "pred":
            body.append(f"selp.b32 %word, 1, 0, {target_name};\n    st.global.b32 {at}, %word;")
        else:
            body.append(f"st.global.b{bits(case.result)} {at}, {target_name};")
    text = "\n    ".join([*declared, *body])
    return f"""
.version {version}
.target {target}
.address_size 64
.visible .entry batch(.param .u64 sources, .param .u64 results)
{{
    .reg .b32 %thread, %block, %word;
    .reg .u64 %from, %to;
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    mad.lo.u32 %thread, %block, {BLOCK}, %thread;
    ld.param.u64 %from, [sources];
    ld.param.u64 %to, [results];
    mad.wide.u32 %from, %thread, 8, %from;
    mad.wide.u32 %to, %thread, 8, %to;
    {text}
    ret;
}}
"""


def whole_blocks(cases: Sequence[Case]) -> int:
    """The rows of the longest case, up to whole blocks."""
    return -(-max(case.rows for case in cases) // BLOCK) * BLOCK


def execute(
    cases: Sequence[Case], target: str = "sm_80", version: str = "8.8", **options: Any
) -> list[NDArray[np.uint64]]:
    """The bit patterns of each case's results. ptxas must accept the kernel. `options`: of the launch."""
    rows = whole_blocks(cases)
    text = module(cases, rows, target, version)
    tool = locate.program("ptxas")
    assert tool is not None, locate.INSTALL
    ptxas.assemble(tool, text, target)
    columns = [column for case in cases for column in case.columns]
    sources = np.zeros((len(columns), rows), np.uint64)
    for place, column in enumerate(columns):
        sources[place, : len(column)] = column
    results = np.zeros((len(cases), rows), np.uint64)
    emulator.run(text, grid=rows // BLOCK, block=BLOCK, args=[sources, results], **options)
    return [results[place, : case.rows] for place, case in enumerate(cases)]
