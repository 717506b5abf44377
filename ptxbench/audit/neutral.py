"""Neutral edits of a kernel, which must not fail the gate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ptxbench.audit.edits import Edit, KernelFigures, one_text, with_most_registers
from ptxbench.audit.kernel import EditedKernel, Span, Statement, registers
from ptxbench.emulator.syntax import Special
from ptxbench.result import BuildReport
from ptxbench.toolchain.comments import COMMENT

MOVABLE = frozenset(
    ("mov", "add", "sub", "mul", "mad", "fma", "min", "max", "abs", "neg", "and", "or", "xor", "not", "shl", "shr",
     "lop3", "prmt", "bfe", "bfi", "cvt", "cvta", "setp", "selp", "dp4a")
)  # fmt: skip
"""Opcodes that use only their operands, unless a modifier says otherwise: no memory, control flow, or other lanes."""

TIME = re.compile(r"%(?:clock|globaltimer|pm\d)")
DECLARED = re.compile(r"%[\w$]+")


def commented(kernel: EditedKernel) -> str | None:
    """Other comments, and blank lines between the instructions."""
    bare = COMMENT.sub("", kernel.text)
    return bare.replace(";\n", ";    // a remark\n\n")


def renamed_registers(kernel: EditedKernel) -> str | None:
    """Every register with another name; None if a declaration such as `%r<9>` makes registers whose names are not
    written."""
    lines = [declaration for declaration in kernel.declarations if declaration.text.startswith(".reg")]
    if any("<" in line.text for line in lines):
        return None
    names = dict.fromkeys(name for line in lines for name in DECLARED.findall(line.text))
    return kernel.renamed({name: f"%audit_{i}" for i, name in enumerate(names)})


def renamed_labels(kernel: EditedKernel) -> str | None:
    """Every label with another name."""
    return kernel.renamed({name: f"AUDIT_{i}" for i, name in enumerate(kernel.function.labels)})


def declared_backwards(kernel: EditedKernel) -> str | None:
    """The declarations of registers in reverse order, and the names in each of them too."""
    lines = [declaration for declaration in kernel.declarations if declaration.text.startswith(".reg")]
    if any("<" in line.text for line in lines):
        return None
    return kernel.with_changes(
        {line.span: reversed_declaration(other) for line, other in zip(lines, reversed(lines), strict=True)}
    )


def reversed_declaration(declaration: Statement) -> str:
    kind = declaration.text.split("%")[0].strip()
    return f"{kind} {', '.join(reversed(DECLARED.findall(declaration.text)))};"


def reordered(kernel: EditedKernel) -> str | None:
    """Independent neighbouring instructions exchanged.

    Not multiply-adds of a kernel with limited registers: ptxas 13.5 makes sgemm_tiled spill 16 bytes if
    they are exchanged, and the gate is right to report that.
    """
    limits_registers = {".maxnreg", ".minnctapersm"} & set(kernel.function.directives)
    changes: dict[Span, str] = {}
    before: Statement | None = None
    for statement in kernel.statements:
        stays = limits_registers and statement.instruction and statement.instruction.opcode.startswith("fma.")
        if before and not stays and independent(before, statement):
            changes |= {before.span: statement.text, statement.span: before.text}
            before = None
        else:
            before = None if stays else statement
    return kernel.with_changes(changes)


def independent(statement: Statement, other: Statement) -> bool:
    """Whether two neighbours can be exchanged: they share no register, and nothing else depends on their order."""
    if not (statement.instruction and other.instruction and movable(statement) and movable(other)):
        return False
    return not registers(statement.instruction) & registers(other.instruction)


def movable(statement: Statement) -> bool:
    assert statement.instruction
    root, *modifiers = statement.parts[1].split(".")
    reads_time = any(
        isinstance(operand, Special) and TIME.match(operand.name) for operand in statement.instruction.operands
    )
    return root in MOVABLE and "cc" not in modifiers and not reads_time


def enough_registers(kernel: EditedKernel, figures: KernelFigures) -> Iterator[str]:
    """A `.maxnreg` of the kernel's registers, and a few more: ptxas may not find the same code under a limit."""
    if ".minnctapersm" in kernel.function.directives:  # which already limits them
        return
    for count in range(-(-figures.registers // 8) * 8, min(figures.registers + 24, 256), 8):
        yield from filter(None, [with_most_registers(kernel, count)])


def as_many_registers(base: BuildReport, head: BuildReport) -> bool:
    """Whether both have the same registers and about as many instructions: under another limit ptxas may unroll less,
    and then the edit is not neutral."""
    same_registers = (head.registers, head.spill_store_bytes) == (base.registers, base.spill_store_bytes)
    total = base.sass.get("total", 0)
    return same_registers and abs(head.sass.get("total", 0) - total) <= total // 50


def any_change(base: BuildReport, head: BuildReport) -> bool:
    return True


NEUTRAL = (
    Edit("other comments", (), one_text(commented), shows=any_change),
    Edit("registers renamed", (), one_text(renamed_registers), shows=any_change),
    Edit("labels renamed", (), one_text(renamed_labels), shows=any_change),
    Edit("reversed declarations", (), one_text(declared_backwards), shows=any_change),
    Edit("neighbours exchanged", (), one_text(reordered), shows=any_change),
    Edit("sufficient .maxnreg", (), enough_registers, shows=as_many_registers,
         undone="every .maxnreg changes its number of registers or instructions."),
)  # fmt: skip
"""The neutral edits; each must pass."""
