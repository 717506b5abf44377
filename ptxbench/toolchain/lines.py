"""The PTX line of each SASS instruction, and the number of live registers there, as nvdisasm reports them.

The timed cubin of hand-written PTX has no line information; another with it is made only for reading, and `same_code`
says whether both have the same machine code. The parser reads the notes of ptxas and nvdisasm 13.5.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from ptxbench import cache
from ptxbench.errors import ToolMissing
from ptxbench.languages import TILE
from ptxbench.toolchain import LINE_INFORMATION, Build, assembled, instruction_texts, line_table, locate, ptxas, sha256
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain.control import ControlBits, codes
from ptxbench.toolchain.sass import TARGET, opcode, output

PTX_LINES = ("-gp",)
LIVE_REGISTERS = ("-plr", "-lrm", "count")
"""nvdisasm ignores -gp together with these, so two runs are needed for both."""

INSTRUCTION = re.compile(r"\s+/\*(?P<address>[0-9a-f]{4,})\*/\s+(?P<text>[^;]*?)\s*;\s*(?:// \|(?P<live>.*))?$")
LABEL = re.compile(r"(?P<name>\.L_\w+|\$[\w$.]+):")
"""A label of the code, or of a function after it."""

LINE = re.compile(r"\s*//## File \"\.nv_debug_ptx_txt[^\"]*\", line (?P<line>\d+)")

FAR = frozenset(("BRX", "BRXU", "CALL", "JMP", "JMX", "JMXU", "LEPC", "RET"))
"""Instructions whose targets nvdisasm prints only for a whole cubin: in tables, in other functions."""

KNOWN_FLOW = frozenset(
    ("sm_75", "sm_80", "sm_86", "sm_87", "sm_88", "sm_89", "sm_90", "sm_100", "sm_103", "sm_110", "sm_120", "sm_121")
)
"""Architectures without control instructions other than those of TARGET and FAR and those without a target. (CUDA
Binary Utilities 13, instruction set reference.)"""


@dataclass(frozen=True)
class MachineInstruction:
    """A SASS instruction. `line`: of the PTX; `live`: general registers; each is None if nvdisasm does not report
    it."""

    address: int
    text: str
    labels: tuple[str, ...] = ()
    """The labels before it."""
    line: int | None = None
    live: int | None = None
    control: ControlBits | None = None
    """None if it was not requested."""


@dataclass(frozen=True)
class Annotated:
    """The SASS of one kernel with its lines. `same_code`: whether it is the machine code of its build."""

    instructions: tuple[MachineInstruction, ...]
    same_code: bool


def annotate(build: Build, *, live_registers: bool = False, controls: bool = False) -> Annotated:
    """The SASS of a build, from the same PTX assembled with line information.

    `live_registers`: with live registers; `controls`: with control codes.
    Raises ToolMissing without ptxas or nvdisasm.
    """
    cubin, identity = with_line_information(build)
    disassembler = require("nvdisasm")
    code = tuple(instructions(printed(disassembler, cubin, PTX_LINES), build.entry))
    if live_registers:
        live = {
            instruction.address: instruction.live
            for instruction in instructions(printed(disassembler, cubin, LIVE_REGISTERS), build.entry)
        }
        code = tuple(dataclasses.replace(instruction, live=live.get(instruction.address)) for instruction in code)
    if controls:
        control_of = codes(elf.code(elf.read(cubin), build.entry) or b"")
        code = tuple(
            dataclasses.replace(instruction, control=control_of.get(instruction.address)) for instruction in code
        )
    return Annotated(code, identity == build.report.sass_sha256)


def with_lines(build: Build) -> Annotated:
    """The SASS of a build without live registers and control codes, from the same texts as its counts of opcodes.

    That saves a start of nvdisasm, which takes ten times as long as ptxas takes for a small kernel. Labels are named
    after their addresses, and only what an instruction names has one. An operand that the driver fills in is printed
    as it is in the code. Code with targets that nvdisasm prints only for a whole cubin is annotated.
    """
    cubin, identity = with_line_information(build)
    disassembler = require("nvdisasm")
    image = elf.read(cubin)
    if build.arch.rstrip("af") not in KNOWN_FLOW:
        return annotate(build)
    texts = instruction_texts(disassembler, elf.code(image, build.entry) or b"", build.arch)
    try:
        code = labelled(texts, line_table.rows(image, build.entry), elf.relocated(image, build.entry))
    except ValueError:
        return annotate(build)
    return Annotated(code, identity == build.report.sass_sha256)


def with_line_information(build: Build) -> tuple[bytes, str | None]:
    """A cubin of the build with line information, and the identity of its machine code.

    The cubin of a tile kernel always has it, and that of PTX with `.loc` or of a judgement; any other build is
    assembled again. Raises ToolMissing without ptxas.
    """
    if build.cubin is not None and (build.language == TILE.name or line_table.is_in(elf.read(build.cubin))):
        return build.cubin, build.report.sass_sha256
    cubin, messages = assembled(require("ptxas"), build.ptx, build.arch, LINE_INFORMATION)
    resources = ptxas.resources(messages, build.entry)
    assert resources is not None  # toolchain.build found the entry
    return cubin, elf.identity(elf.read(cubin), build.entry, resources.registers, resources.shared_bytes)


def labelled(texts: Sequence[str], rows: Mapping[int, int], relocated: Set[int]) -> tuple[MachineInstruction, ...]:
    """Instructions with the labels that their targets need; `rows`: the line that begins at an address.

    Raises ValueError if the texts do not say where an instruction leads.
    """
    matches = [TARGET.fullmatch(text) for text in texts]
    targets = {int(match["address"], 16) for match in matches if match}
    result = []
    line = None
    for number, (text, match) in enumerate(zip(texts, matches, strict=True)):
        address = elf.INSTRUCTION_BYTES * number
        if opcode(text).split(".")[0] in FAR or (match and address in relocated):
            raise ValueError(f"{text} leads to another function, or by a table")
        line = rows.get(address, line)
        labels = (label(address),) if address in targets else ()
        shown = f"{match['before']}{label(int(match['address'], 16))}" if match else text
        result.append(MachineInstruction(address, shown, labels, line))
    return tuple(result)


def label(address: int) -> str:
    return f".L_{address:x}"


def require(name: str) -> Path:
    """The tool of that name. Raises ToolMissing if it is not installed."""
    if tool := locate.program(name):
        return tool
    raise ToolMissing(f"{name}, which listings of machine code need, is not installed: {locate.INSTALL}.")


def printed(tool: Path, cubin: bytes, options: tuple[str, ...]) -> str:
    """nvdisasm's output for the code with these options, from the cache if it was printed before."""

    def make() -> bytes:
        return output(tool, ["-c", *options], cubin, "cubin")

    key = ("sass text", locate.version(tool), *options, "of", sha256(cubin))
    return cache.remember(key, make).decode(errors="replace")


def instructions(text: str, entry: str) -> list[MachineInstruction]:
    """The instructions of `entry` in nvdisasm's output, without the trap and the padding after its code."""
    result: list[MachineInstruction] = []
    labels: list[str] = []
    line = None
    for row in section(text, entry):
        if match := LINE.match(row):
            line = int(match["line"])
        elif match := LABEL.match(row):
            labels.append(match["name"])
        elif match := INSTRUCTION.match(row):
            live = count(match["live"]) if match["live"] is not None else None
            code = re.sub(r"`\(([^)]*)\)", r"\1", " ".join(match["text"].split()))
            result.append(MachineInstruction(int(match["address"], 16), code, tuple(labels), line, live))
            labels = []
    while result and is_padding(result[-1]):
        result.pop()
    return result


def section(text: str, entry: str) -> Iterator[str]:
    """The rows of the code of `entry`."""
    inside = False
    for row in text.splitlines():
        if row.startswith("//-----"):
            inside = False
        if inside:
            yield row
        if row.split("//")[0].strip() == f".text.{entry}:":
            inside = True


def count(columns: str) -> int:
    """The number of live general registers, in the first column; blank means 0."""
    first = columns.split("|")[0].strip()
    return int(first) if first.isdigit() else 0


def is_padding(instruction: MachineInstruction) -> bool:
    """Whether it is a NOP, or an unconditional branch to itself, which is a trap."""
    return instruction.text == "NOP" or any(instruction.text == f"BRA {label}" for label in instruction.labels)
