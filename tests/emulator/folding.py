"""Constant folding by ptxas: it computes many instructions on constants itself, and the cubin shows the result.

A kernel of many lines is assembled. Each line has constants for sources; 32 bits of its result are xored with a
word that is loaded, and stored. Where ptxas has folded the line, the machine code has the result as the immediate
operand of that LOP3. The other lines are left out: only a GPU computes what ptxas does not fold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptxbench import emulator
from ptxbench.toolchain import lines, locate, ptxas

REGISTERS = {1: "pred", 16: "b16", 32: "b32", 64: "b64"}


@dataclass(frozen=True)
class Constants:
    """`text`: instructions that read {0}, {1}, ... and write {d}; `kinds`: bits of the sources; `bits`: of the result.

    `rows`: the sources' bit patterns. A chain of several instructions may use registers {t} and {u}, like {d}.
    `infinity`: of a floating result; one NaN is then as good as another.
    """

    text: str
    kinds: tuple[int, ...]
    bits: int
    rows: Sequence[tuple[int, ...]]
    infinity: int | None = None

    def same(self, a: int, b: int) -> bool:
        if self.infinity is None:
            return a == b
        sign = (1 << self.bits - 1) - 1
        return a == b or (a & sign > self.infinity and b & sign > self.infinity)


def module(lines: Sequence[Constants]) -> tuple[str, list[tuple[Constants, tuple[int, ...], int]]]:
    """The kernel, and the meaning of each word that it stores: the line, its sources, and which word of the result."""
    declared: list[str] = []
    body: list[str] = []
    words: list[tuple[Constants, tuple[int, ...], int]] = []
    for line in lines:
        for row in line.rows:
            number = len(words)
            names = {}
            for place, (bits, value) in enumerate(zip(line.kinds, row, strict=True)):
                names[str(place)] = f"%s{number}_{place}"
                declared.append(f".reg .{REGISTERS[bits]} {names[str(place)]};")
                body.append(
                    f"setp.ne.u32 {names[str(place)]}, {value}, 0;" if bits == 1
                    else f"mov.b{bits} {names[str(place)]}, {value:#x};"
                )  # fmt: skip
            for target in "dtu":
                names[target] = f"%{target}{number}"
                if f"{{{target}}}" in line.text:
                    declared.append(f".reg .{REGISTERS[line.bits]} {names[target]};")
            text = re.sub(r"\{(\w)\}", lambda match, names=names: names[match[1]], line.text)
            body.append(text if text.endswith("}") else f"{text};")
            result = names["d"]
            parts = [f"%w{number}_{place}" for place in range(2 if line.bits == 64 else 1)]
            declared.append(f".reg .b32 {', '.join(parts)};")
            if line.bits == 64:
                body.append(f"mov.b64 {{{', '.join(parts)}}}, {result};")
            elif line.bits == 1:
                body.append(f"selp.b32 {parts[0]}, 1, 0, {result};")
            else:
                body.append(f"{'cvt.u32.u16' if line.bits == 16 else 'mov.b32'} {parts[0]}, {result};")
            for place, part in enumerate(parts):
                body.append(f"xor.b32 {part}, {part}, %key;\n    st.global.b32 [%to + {4 * len(words)}], {part};")
                words.append((line, row, place))
    text = "\n    ".join([*declared, *body])
    return f"""
.version 8.7
.target sm_90
.address_size 64
.visible .entry folding(.param .u64 results)
{{
    .reg .b32 %key;
    .reg .b64 %to;
    ld.param.u64 %to, [results];
    ld.global.b32 %key, [%to];
    {text}
    ret;
}}
""", words  # fmt: skip


def folded(text: str) -> dict[int, int]:
    """{number of the word: the constant that ptxas has computed for it}."""
    assembler, disassembler = locate.program("ptxas"), locate.program("nvdisasm")
    assert assembler is not None, locate.INSTALL
    assert disassembler is not None, locate.INSTALL
    cubin, _ = ptxas.assemble(assembler, text, "sm_90")
    constant_in: dict[str, int | None] = {}
    constants: dict[int, int] = {}
    for instruction in lines.instructions(lines.printed(disassembler, cubin, ()), "folding"):
        opcode, _, rest = re.sub(r"^@!?\w+ ", "", instruction.text).partition(" ")
        operands = rest.replace(".reuse", "").split(", ")
        if opcode == "LDG.E":
            key = operands[0]
            constant_in[key] = 0
        elif opcode == "STG.E":
            offset = re.search(r"\+(0x[0-9a-f]+)\]", operands[0])
            value = constant_in.get(operands[1])
            if value is not None:
                constants[int(offset[1], 16) // 4 if offset else 0] = value
        else:
            constant_in[operands[0]] = immediate(opcode, operands, key) if opcode == "LOP3.LUT" else None
    return constants


def immediate(opcode: str, operands: Sequence[str], key: str) -> int | None:
    """The constant with which a LOP3 xors the key; None for any other."""
    _, a, b, c, table, *_ = operands
    if table == "0x33" and b == key:
        return 0xFFFFFFFF
    if table == "0x3c" and a == key and c == "RZ" and re.fullmatch(r"-?0x[0-9a-f]+", b):
        return int(b, 16) & 0xFFFFFFFF
    return None


def emulated(text: str, words: int) -> Any:
    results = np.zeros(words, np.uint32)
    emulator.run(text, grid=1, block=1, args=[results])
    return results


def differences(lines: Sequence[Constants]) -> tuple[list[str], dict[str, int]]:
    """The lines where emulator and ptxas differ; and how many results of each line ptxas has folded."""
    text, words = module(lines)
    constants = folded(text)
    results = [int(word) for word in emulated(text, len(words))]
    disagreements, counts = [], {line.text: 0 for line in lines}
    for number, (line, row, place) in enumerate(words):
        numbers = [number, number + 1] if line.bits == 64 else [number]
        if place or not all(number in constants for number in numbers):
            continue
        counts[line.text] += 1
        ours, theirs = (
            sum(source[number] << 32 * i for i, number in enumerate(numbers)) for source in (results, constants)
        )
        if not line.same(ours, theirs):
            sources = ", ".join(f"{value:#x}" for value in row)
            disagreements.append(f"{line.text} of {sources}: {ours:#x}, ptxas {theirs:#x}")
    return disagreements, counts
