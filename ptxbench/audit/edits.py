"""Edits of a kernel, and the ways to make any kernel worse, each with the metrics that must show it.

An edit keeps the result right, so the gate must find it by its counters. Added code is in its own block before the
first instruction, which every thread executes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ptxbench.audit.kernel import EditedKernel, Span, Statement, registers
from ptxbench.result import BuildReport
from ptxbench.toolchain.comments import without_comments
from ptxbench.verdict.rules import narrowed

ELEMENT_BYTES = {"b8": 1, "u8": 1, "s8": 1, "b16": 2, "u16": 2, "s16": 2, "b64": 8, "u64": 8, "s64": 8, "f64": 8}
"""Types with elements of another size than 4 bytes."""

MOST_ELEMENTS = 8
"""The most elements of a vector."""

FEWEST_REGISTERS = 24
"""ptxas 13.5 uses so many if it needs them, whatever `.maxnreg` says: 8 to 24 gave the same code."""

STATIC_SHARED_BYTES = 48 << 10
"""The most shared memory that a kernel can declare."""

MORE_WORK = 0.1
"""The added instructions as a share of those that a warp executes: five times what the gate allows."""

ROUND = 10
"""Instructions in a round of `chain`."""


@dataclass(frozen=True)
class KernelFigures:
    """Facts about the original kernel: registers per thread, static shared bytes per CTA, instructions per warp."""

    registers: int = 64
    shared_bytes: int = 0
    instructions: float = 1000.0


def other_code(base: BuildReport, head: BuildReport) -> bool:
    """Whether ptxas made different machine code."""
    return base.sass_sha256 != head.sass_sha256


@dataclass(frozen=True)
class Edit:
    """One way to edit a kernel."""

    name: str
    """The change, in a few words."""
    expected: tuple[str, ...]
    """Metrics that must fail; none for a neutral edit."""
    texts: Callable[[Any, KernelFigures], Iterator[str]]
    """For an EditedKernel or a CudaText: the texts with the edit, from the mildest form to the harshest; none if
    it does not apply."""
    undone: str = "ptxas makes the same machine code from it."
    """The reason to report if no text shows in the machine code."""
    shows: Callable[[BuildReport, BuildReport], bool] = other_code
    """Whether the builds, before and after, show the edit; a text that does not is skipped."""

    @property
    def neutral(self) -> bool:
        return not self.expected

    def applies(self, kernel: Any) -> bool:
        return next(self.texts(kernel, KernelFigures()), None) is not None


class Edited(Protocol):
    """A kernel in a text: an EditedKernel or a CudaText."""

    @property
    def text(self) -> str: ...


EditedText = TypeVar("EditedText", bound=Edited)


def one_text(edit: Callable[[EditedText], str | None]) -> Callable[[EditedText, KernelFigures], Iterator[str]]:
    """An edit that has one way, if it applies at all and changes anything."""

    def texts(kernel: EditedText, figures: KernelFigures) -> Iterator[str]:
        text = edit(kernel)
        if text is not None and text != kernel.text:
            yield text

    return texts


# ---- accesses


def memory(kernel: EditedKernel, opcode: str) -> list[Statement]:
    """Loads ("ld.global") or stores of a state space, except those that order memory for other threads."""
    ordered = ("volatile", "relaxed", "acquire", "release", "mmio")
    return [
        instruction
        for instruction in kernel.instructions
        if (words := instruction.parts[1].split("."))[:2] == opcode.split(".") and not set(ordered) & set(words)
    ]


def volatile(opcode: str, *, vector: str = "") -> str:
    """`ld.global.nc.L1::no_allocate.v4.f32` as an access that no compiler merges or removes."""
    kind, space, *_, element = opcode.split(".")
    return ".".join(filter(None, [kind, "volatile", space, vector, element]))


def split(opcode: str) -> Callable[[EditedKernel, KernelFigures], Iterator[str]]:
    """Every vector access as accesses of one element each; volatile ones if ptxas merges the plain ones again."""

    def texts(kernel: EditedKernel, figures: KernelFigures) -> Iterator[str]:
        vectors = [access for access in memory(kernel, opcode) if vector_of(access)]
        if not vectors:
            return
        for keep in (True, False):
            yield kernel.with_changes({access.span: elements(access, keep_hints=keep) for access in vectors})

    return texts


def vector_of(statement: Statement) -> str:
    """`v2`, `v4` or `v8`; empty for an access of one element."""
    return next((word for word in statement.parts[1].split(".") if word in ("v2", "v4", "v8")), "")


def elements(statement: Statement, *, keep_hints: bool) -> str:
    """A vector access as one access for each element."""
    guard, opcode, operands = statement.parts
    element = opcode.split(".")[-1]
    opcode_of_one = opcode.replace(f".{vector_of(statement)}", "") if keep_hints else volatile(opcode)
    stores = opcode.startswith("st")
    address, vector = (operands[0], operands[1]) if stores else (operands[1], operands[0])
    hints = operands[2:] if keep_hints else []
    lines = []
    for i, part in enumerate(vector.strip("{} ").split(",")):
        if part.strip() == "_":
            continue
        element_address = f"{address[:-1]} + {i * ELEMENT_BYTES.get(element, 4)}]"
        operands_of_one = [element_address, part.strip()] if stores else [part.strip(), element_address]
        lines.append(f"{guard}{opcode_of_one} {', '.join([*operands_of_one, *hints])};")
    return "\n    ".join(lines)


def repeated(kernel: EditedKernel) -> str | None:
    """Every global load twice; both values are combined, because ptxas removes even a volatile load if nothing uses
    it."""
    changes: dict[Span, str] = {}
    types: set[str] = set()
    for access in memory(kernel, "ld.global"):
        assert access.instruction
        guard, opcode, (target, address, *_) = access.parts
        parts = target.strip("{} ").replace(" ", "").split(",")
        targets, sources = registers(access.instruction.operands[0]), registers(access.instruction.operands[1:])
        if targets & sources or len(targets) < len(parts):
            continue  # the first load would overwrite the address, or an element is not used
        bits = 8 * kernel.function.registers[targets.pop()].bytes
        types.add(f"    .reg .b{bits} %audit_{bits}_<{MOST_ELEMENTS}>;")
        second_values = [f"%audit_{bits}_{i}" for i in range(len(parts))]
        vector = "{" + ", ".join(second_values) + "}" if target.startswith("{") else second_values[0]
        combined = [
            f"{guard}or.b{bits} {part}, {part}, {other};" for part, other in zip(parts, second_values, strict=True)
        ]
        second = f"{guard}{volatile(opcode, vector=vector_of(access))} {vector}, {address};"
        changes[access.span] = "\n    ".join([access.text, second, *combined])
    if types:
        changes[kernel.body, kernel.body] = "\n" + "\n".join(sorted(types))
    return kernel.with_changes(changes)


def without_nc(kernel: EditedKernel) -> str | None:
    """Every load through the read-only path as a plain load."""
    loads = [access for access in memory(kernel, "ld.global") if ".nc" in access.parts[1]]
    return kernel.with_changes({load.span: load.text.replace(".nc", "", 1) for load in loads})


# ---- registers, shared and local memory


def with_most_registers(kernel: EditedKernel, count: int) -> str | None:
    """The kernel with `.maxnreg` instead of `.minnctapersm`; None if it has a `.maxnreg`, or uses setmaxnreg."""
    redistributed = any(instruction.parts[1].startswith("setmaxnreg.") for instruction in kernel.instructions)
    if redistributed or ".maxnreg" in kernel.function.directives:
        return None
    code, brace = without_comments(kernel.text), kernel.body - 1
    start = code.rindex(".entry", 0, brace)
    changes: dict[Span, str] = {(brace, brace): f".maxnreg {count}\n"}
    if match := re.compile(r"\.minnctapersm\s+\d+").search(code, start, brace):
        changes[match.span()] = ""
    return kernel.with_changes(changes)


def few_registers(kernel: EditedKernel, figures: KernelFigures) -> Iterator[str]:
    """`.maxnreg` below the kernel's registers, in the steps of eight of ptxas."""
    for count in range((figures.registers - 1) // 8 * 8, FEWEST_REGISTERS - 1, -8):
        if (text := with_most_registers(kernel, count)) is not None:
            yield text


def spills(base: BuildReport, head: BuildReport) -> bool:
    return (head.spill_store_bytes or 0) > (base.spill_store_bytes or 0)


def fewer_warps(base: BuildReport, head: BuildReport) -> bool:
    """Whether fewer warps fit an SM, but one CTA does: a kernel that cannot run is not slower, but broken."""
    return 0.0 < (head.occupancy or 0.0) < (base.occupancy or 0.0)


def unused_shared_memory(kernel: EditedKernel, figures: KernelFigures) -> Iterator[str]:
    """As much static shared memory as possible; the kernel writes one word of it."""
    if (size := (STATIC_SHARED_BYTES - figures.shared_bytes) // 16 * 16 - 16) > 0:
        yield kernel.inserted(
            f"    .shared .align 16 .b8 audit_shared[{size}];\n"
            "    st.volatile.shared.u32 [audit_shared], 0;"
        )  # fmt: skip


def through_local(kernel: EditedKernel) -> str | None:
    """A number stored in local memory and loaded again, at an address that ptxas cannot predict."""
    return kernel.inserted(
        "    .local .align 4 .b8 audit_local[128];\n"
        "    .reg .u32 %audit_lane, %audit_value, %audit_to, %audit_from, %audit_one;\n"
        "    .reg .pred %audit_other;\n"
        "    mov.u32 %audit_lane, %laneid;\n"
        "    mov.u32 %audit_one, %lanemask_eq;\n"
        "    popc.b32 %audit_one, %audit_one;\n"
        "    mov.u32 %audit_to, audit_local;\n"
        "    mad.lo.u32 %audit_from, %audit_lane, 4, %audit_to;\n"
        "    mul.lo.u32 %audit_lane, %audit_lane, %audit_one;\n"
        "    mad.lo.u32 %audit_to, %audit_lane, 4, %audit_to;\n"
        "    st.local.u32 [%audit_to], %audit_lane;\n"
        "    ld.local.u32 %audit_value, [%audit_from];\n"
        "    setp.ne.u32 %audit_other, %audit_value, %audit_lane;\n"
        "    @%audit_other trap;"
    )


# ---- instructions


def chain(rounds: int, label: str) -> str:
    """A loop of multiply-adds that each depend on the one before, and whose result is used.

    x becomes x / 2 + 1, which is never negative; ptxas cannot know that. Three of a round's ROUND instructions count
    rounds.
    """
    return "\n".join(
        [
            "    mov.u32 %audit_rounds, %tid.x;",
            "    cvt.rn.f32.u32 %audit_x, %audit_rounds;",
            f"    mov.u32 %audit_rounds, {rounds};",
            f"{label}:",
            '    .pragma "nounroll";',
            *["    fma.rn.f32 %audit_x, %audit_x, 0f3f000000, 0f3f800000;"] * (ROUND - 3),
            "    sub.u32 %audit_rounds, %audit_rounds, 1;",
            "    setp.ne.u32 %audit_more, %audit_rounds, 0;",
            f"    @%audit_more bra {label};",
            "    setp.lt.f32 %audit_negative, %audit_x, 0f00000000;",
            "    @%audit_negative trap;",
        ]
    )


CHAIN_REGISTERS = (
    "    .reg .u32 %audit_rounds;\n    .reg .f32 %audit_x;\n    .reg .pred %audit_more, %audit_negative;\n"
)


def extra_instructions(kernel: EditedKernel, figures: KernelFigures) -> Iterator[str]:
    """A dependent chain of MORE_WORK of the instructions."""
    rounds = max(1, round(MORE_WORK * figures.instructions / ROUND))
    yield kernel.inserted(CHAIN_REGISTERS + chain(rounds, "AUDIT_ROUND"))


def divergent_lanes(kernel: EditedKernel) -> str | None:
    """A short chain for only the odd lanes of a warp."""
    return kernel.inserted(
        CHAIN_REGISTERS + "    .reg .u32 %audit_lane;\n"
        "    .reg .pred %audit_even;\n"
        "    mov.u32 %audit_lane, %laneid;\n"
        "    and.b32 %audit_lane, %audit_lane, 1;\n"
        "    setp.eq.u32 %audit_even, %audit_lane, 0;\n"
        "    @%audit_even bra AUDIT_JOINED;\n" + chain(2, "AUDIT_ROUND") + "\nAUDIT_JOINED:"
    )


def second_barrier(kernel: EditedKernel) -> str | None:
    """The first barrier of the CTA twice; if the kernel has none, one at its start."""
    barriers = [
        instruction
        for instruction in kernel.instructions
        if instruction.parts[1] in ("bar.sync", "barrier.sync", "barrier.sync.aligned")
    ]
    if barriers:
        return kernel.with_changes({barriers[0].span: f"{barriers[0].text}\n    {barriers[0].text}"})
    return kernel.inserted("    bar.sync 0;")


WORSE = (
    Edit("vector loads split", ("sass.width", "ptx_global_load_sectors"), split("ld.global"), shows=narrowed,
         undone="ptxas joins the loads again."),
    Edit("vector stores split", ("sass.width", "ptx_global_store_sectors", "ptx_global_store_requests"),
         split("st.global"), shows=narrowed,
         undone="ptxas joins the stores again."),
    Edit("shared vector loads split", ("sass.width", "ptx_shared_load_requests"), split("ld.shared"), shows=narrowed,
         undone="ptxas joins the loads again."),
    Edit("loads repeated", ("ptx_global_load_sectors", "ptx_global_load_requests", "ptx_direct_loads"),
         one_text(repeated)),
    Edit("no .nc", ("sass.nc",), one_text(without_nc)),
    Edit("registers spilled", ("spills", "stack", "sass.local"), few_registers, shows=spills,
         undone="no .maxnreg makes it spill: the fewest registers of ptxas, or those of setmaxnreg, are enough."),
    Edit("a round trip through local memory", ("stack", "sass.local", "ptx_local_load_bytes", "ptx_local_store_bytes"),
         one_text(through_local)),
    Edit("unused shared memory", ("occupancy",), unused_shared_memory, shows=fewer_warps,
         undone="something else limits how many warps fit an SM."),
    Edit("an extra barrier", ("ptx_barriers",), one_text(second_barrier)),
    Edit("a dependent chain", ("ptx_warp_instructions", "ptx_weighted_instructions"), extra_instructions),
    Edit("diverging lanes", ("ptx_divergent_branches",), one_text(divergent_lanes)),
)  # fmt: skip
"""Edits for any kernel with the code that they change."""
