"""SASS, the machine code, as nvdisasm prints it: how many instructions of which opcode and class."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptxbench.containment import tools
from ptxbench.errors import ToolMissing

SECONDS = 300

INSTRUCTION_BYTES = 16
"""Of every architecture since sm_70."""

MEMORY = re.compile(r"U?(?:LD|ST|ATOM|RED)")
"""Opcodes that access memory, and REDUX, which has no width."""

WIDTH = re.compile(r"U8|S8|U16|S16|64|128|256|B?F(?:16|32)x\d")
"""Modifiers that tell how much one thread moves; 4 bytes without any."""


def disassemble(tool: Path, cubin: bytes) -> str:
    """nvdisasm's JSON for a cubin. Raises ToolMissing if it does not know the file or the option (before CUDA 12.6)."""
    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
        (Path(folder) / "kernel.cubin").write_bytes(cubin)
        try:
            ran = tools.run(tool, ["-json", "kernel.cubin"], Path(folder), SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolMissing(f"nvdisasm does not run: {error}.") from None
    if ran.returncode != 0:
        said = ran.stderr.decode(errors="replace").strip()
        raise ToolMissing(f"nvdisasm cannot read the cubin: {said or ran.returncode}.")
    return ran.stdout.decode(errors="replace")


def counts(document: str, entry: str) -> dict[str, int]:
    """SASS instructions of `entry` by opcode with all its modifiers, the most frequent first.

    Not counted: the endless self-branch that ptxas puts behind the code as a trap, and the NOPs that pad it.
    Raises ValueError if the document is not nvdisasm's or does not hold `entry`.
    """
    _, functions = json.loads(document)
    code = next((each["sass-instructions"] for each in functions if each["function-name"] == entry), None)
    if code is None:
        raise ValueError(f"nvdisasm shows no kernel '{entry}'")
    return by_frequency(Counter(each["opcode"] for each in code[: end(code)]))


def classes(opcodes: Mapping[str, int]) -> dict[str, int]:
    """Such counts of opcodes as `total`, then by class, the most frequent first."""
    found: Counter[str] = Counter()
    for opcode, count in opcodes.items():
        found[class_of(opcode)] += count
    return {"total": found.total(), **by_frequency(found)}


def by_frequency(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def end(code: list[dict[str, Any]]) -> int:
    """How many of the instructions come before the trap and the padding."""
    length = len(code)
    while length and (code[length - 1]["opcode"] == "NOP" or is_trap(code[length - 1], length - 1)):
        length -= 1
    return length


def is_trap(instruction: dict[str, Any], index: int) -> bool:
    """True for an unconditional branch to itself."""
    return (
        instruction["opcode"] == "BRA"
        and "predicate" not in instruction
        and instruction.get("operands") == hex(index * INSTRUCTION_BYTES)
    )


def class_of(opcode: str) -> str:
    """The class of an opcode with its modifiers: the name alone, with what matters to what it costs.

    A memory access keeps its width (`LDG.E.128.CONSTANT` is `LDG.128`), MUFU its function (`MUFU.EX2`).
    """
    name, *modifiers = opcode.split(".")
    if name == "MUFU":
        return ".".join([name, *modifiers[:1]])
    if MEMORY.match(name):
        return ".".join([name, *(each for each in modifiers if WIDTH.fullmatch(each))])
    return name
