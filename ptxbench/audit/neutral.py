"""Edits of a kernel that mean nothing, of which the gate must not speak."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ptxbench.audit.edits import Edit, Known, once, with_most_registers
from ptxbench.audit.kernel import COMMENT, EditedKernel, Span, Statement, registers
from ptxbench.emulator.syntax import Special
from ptxbench.result import BuildReport

MOVABLE = frozenset(
    ("mov", "add", "sub", "mul", "mad", "fma", "min", "max", "abs", "neg", "and", "or", "xor", "not", "shl", "shr",
     "lop3", "prmt", "bfe", "bfi", "cvt", "cvta", "setp", "selp", "dp4a")
)  # fmt: skip
"""Opcodes that touch nothing but their operands, unless a modifier says otherwise: no memory, flow, or other lanes."""

TIME = re.compile(r"%(?:clock|globaltimer|pm\d)")
DECLARED = re.compile(r"%[\w$]+")


def commented(kernel: EditedKernel) -> str | None:
    """Other comments, and blank lines between the instructions."""
    bare = COMMENT.sub("", kernel.text)
    return bare.replace(";\n", ";    // a remark\n\n")


def renamed_registers(kernel: EditedKernel) -> str | None:
    """Every register with another name; None where one declaration makes many, whose names are not all written."""
    lines = [each for each in kernel.declarations if each.text.startswith(".reg")]
    if any("<" in each.text for each in lines):
        return None
    names = dict.fromkeys(name for each in lines for name in DECLARED.findall(each.text))
    return kernel.renamed({name: f"%audit_{i}" for i, name in enumerate(names)})


def renamed_labels(kernel: EditedKernel) -> str | None:
    """Every label with another name."""
    return kernel.renamed({name: f"AUDIT_{i}" for i, name in enumerate(kernel.function.labels)})


def declared_backwards(kernel: EditedKernel) -> str | None:
    """The declarations of registers in the opposite order, and the names in each of them too."""
    lines = [each for each in kernel.declarations if each.text.startswith(".reg")]
    if any("<" in each.text for each in lines):
        return None
    return kernel.with_changes(
        {line.span: backwards(other) for line, other in zip(lines, reversed(lines), strict=True)}
    )


def backwards(declaration: Statement) -> str:
    kind = declaration.text.split("%")[0].strip()
    return f"{kind} {', '.join(reversed(DECLARED.findall(declaration.text)))};"


def reordered(kernel: EditedKernel) -> str | None:
    """Neighbours that have nothing to do with each other, the other way round.

    Not multiply-adds of a kernel that is held to a number of registers: ptxas 13.5 makes sgemm_tiled spill 16 bytes if
    they change places, and the gate is right to say so.
    """
    held = {".maxnreg", ".minnctapersm"} & set(kernel.function.directives)
    changes: dict[Span, str] = {}
    before: Statement | None = None
    for each in kernel.statements:
        stays = held and each.instruction and each.instruction.opcode.startswith("fma.")
        if before and not stays and independent(before, each):
            changes |= {before.span: each.text, each.span: before.text}
            before = None
        else:
            before = None if stays else each
    return kernel.with_changes(changes)


def independent(one: Statement, other: Statement) -> bool:
    """Whether two neighbours may change places: they share no register, and nothing else knows their order."""
    if not (one.instruction and other.instruction and movable(one) and movable(other)):
        return False
    return not registers(one.instruction) & registers(other.instruction)


def movable(statement: Statement) -> bool:
    assert statement.instruction
    root, *modifiers = statement.parts[1].split(".")
    times = any(isinstance(each, Special) and TIME.match(each.name) for each in statement.instruction.operands)
    return root in MOVABLE and "cc" not in modifiers and not times


def enough_registers(kernel: EditedKernel, known: Known) -> Iterator[str]:
    """`.maxnreg` of what the kernel takes, and of a few more: ptxas needs not find again what it found without."""
    if ".minnctapersm" in kernel.function.directives:  # which says how many already
        return
    for count in range(-(-known.registers // 8) * 8, min(known.registers + 24, 256), 8):
        yield from filter(None, [with_most_registers(kernel, count)])


def as_many_registers(base: BuildReport, head: BuildReport) -> bool:
    """And about as many instructions: ptxas may unroll less under another limit, which is no neutral edit."""
    same = (head.registers, head.spill_store_bytes) == (base.registers, base.spill_store_bytes)
    total = base.sass.get("total", 0)
    return same and abs(head.sass.get("total", 0) - total) <= total // 50


def anything(base: BuildReport, head: BuildReport) -> bool:
    return True


NEUTRAL = (
    Edit("other comments", (), once(commented), shows=anything),
    Edit("registers renamed", (), once(renamed_registers), shows=anything),
    Edit("labels renamed", (), once(renamed_labels), shows=anything),
    Edit("declared backwards", (), once(declared_backwards), shows=anything),
    Edit("neighbours exchanged", (), once(reordered), shows=anything),
    Edit("registers enough", (), enough_registers, shows=as_many_registers,
         undone="with any .maxnreg it takes another number of registers, or of instructions."),
)  # fmt: skip
"""Each of them must pass."""
