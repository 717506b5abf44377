"""Ways to make a PTX kernel worse that instruction counts hardly show.

Added code is the same for every kernel, so a few kernels are enough: `FEW`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ptxbench.audit.edits import Edit, memory, one_text, vector_of, volatile
from ptxbench.audit.kernel import EditedKernel, Span

FEW = ("triad", "transpose", "rmsnorm")
"""The kernels that get code before their first instruction."""


@dataclass(frozen=True)
class Addition:
    """Instructions before a kernel's first one: their registers, and the PTX."""

    registers: str
    code: str

    def edit(self, kernel: EditedKernel) -> str | None:
        if kernel.function.name not in FEW:
            return None
        return kernel.inserted(f"    {self.registers}\n    {self.code}")


TRAP = "@%audit_wrong trap;"
"""A use of the result, without which ptxas would remove its computation. The condition is never true, which ptxas
cannot know."""

DIVISION = Addition(
    ".reg .u32 %audit_t; .reg .f32 %audit_x, %audit_y; .reg .pred %audit_wrong;",
    "mov.u32 %audit_t, %tid.x; cvt.rn.f32.u32 %audit_x, %audit_t; add.rn.f32 %audit_y, %audit_x, 0f3f800000;\n"
    f"    div.rn.f32 %audit_x, %audit_x, %audit_y; setp.gt.f32 %audit_wrong, %audit_x, 0f40000000; {TRAP}",
)
APPROXIMATION = Addition(
    ".reg .u32 %audit_t; .reg .f32 %audit_x; .reg .pred %audit_wrong;",
    "mov.u32 %audit_t, %laneid; add.u32 %audit_t, %audit_t, 1; cvt.rn.f32.u32 %audit_x, %audit_t;\n"
    f"    rcp.approx.ftz.f32 %audit_x, %audit_x; setp.gt.f32 %audit_wrong, %audit_x, 0f40000000; {TRAP}",
)
DOUBLE = Addition(
    ".reg .u32 %audit_t; .reg .f64 %audit_x; .reg .pred %audit_wrong;",
    "mov.u32 %audit_t, %laneid; cvt.rn.f64.u32 %audit_x, %audit_t;\n"
    "    fma.rn.f64 %audit_x, %audit_x, %audit_x, %audit_x;\n"
    f"    setp.lt.f64 %audit_wrong, %audit_x, 0d0000000000000000; {TRAP}",
)
SHUFFLE = Addition(
    ".reg .u32 %audit_t, %audit_x, %audit_mask; .reg .pred %audit_wrong;",
    "mov.u32 %audit_t, %laneid; activemask.b32 %audit_mask;\n"
    "    shfl.sync.bfly.b32 %audit_x, %audit_t, 0, 31, %audit_mask;\n"
    f"    setp.ne.u32 %audit_wrong, %audit_x, %audit_t; {TRAP}",
)
ROUND_TRIP = Addition(
    ".shared .align 4 .b8 audit_shared[4096]; .reg .u32 %audit_t, %audit_at, %audit_x; .reg .pred %audit_wrong;",
    "mov.u32 %audit_t, %tid.x; and.b32 %audit_t, %audit_t, 31; mov.u32 %audit_at, audit_shared;\n"
    "    mad.lo.u32 %audit_at, %audit_t, 4, %audit_at; st.volatile.shared.u32 [%audit_at], %audit_t;\n"
    f"    ld.volatile.shared.u32 %audit_x, [%audit_at]; setp.ne.u32 %audit_wrong, %audit_x, %audit_t; {TRAP}",
)
FENCE = Addition("", "membar.sys;")
SLEEP = Addition("", "nanosleep.u32 1000;")


# ---- accesses


def as_volatile(kernel: EditedKernel) -> str | None:
    """Global loads as volatile ones, with the same width."""
    if kernel.function.name not in FEW:
        return None
    return reloaded(kernel, lambda opcode, vector: volatile(opcode, vector=vector))


def as_generic(kernel: EditedKernel) -> str | None:
    """Global loads as generic ones."""
    if kernel.function.name not in FEW:
        return None
    return reloaded(kernel, lambda opcode, vector: ".".join(filter(None, ["ld", vector, opcode.split(".")[-1]])))


def as_acquire(kernel: EditedKernel) -> str | None:
    """Loads that later accesses of the thread must not pass; they cannot be vectors."""
    if kernel.function.name != "rmsnorm" or any(vector_of(access) for access in memory(kernel, "ld.global")):
        return None
    return reloaded(kernel, lambda opcode, vector: f"ld.acquire.gpu.global.{opcode.split('.')[-1]}")


def reloaded(kernel: EditedKernel, opcode_of: Callable[[str, str], str]) -> str | None:
    """Each global load with the opcode that `opcode_of` makes from its opcode and its vector; without hints."""
    changes: dict[Span, str] = {}
    for access in memory(kernel, "ld.global"):
        guard, opcode, (target, address, *_) = access.parts
        changes[access.span] = f"{guard}{opcode_of(opcode, vector_of(access))} {target}, {address};"
    return kernel.with_changes(changes) if changes else None


def replaced(pattern: str, new: str) -> Callable[[EditedKernel], str | None]:
    """A replacement in each instruction that matches the pattern."""

    def edit(kernel: EditedKernel) -> str | None:
        changes = {
            instruction.span: text
            for instruction in kernel.instructions
            if (text := re.sub(pattern, new, instruction.text)) != instruction.text
        }
        return kernel.with_changes(changes) if changes else None

    return edit


def atomics_of_zero(space: str) -> Callable[[EditedKernel], str | None]:
    """Each atomic addition repeated with 0."""

    def edit(kernel: EditedKernel) -> str | None:
        changes: dict[Span, str] = {}
        for instruction in kernel.instructions:
            guard, opcode, operands = instruction.parts
            match = re.fullmatch(rf"(?:red|atom)\.{space}\.add\.(u32|s32|f32)", opcode)
            if match:
                zero = "0f00000000" if match[1] == "f32" else "0"
                address = operands[-2]
                changes[instruction.span] = (
                    f"{guard}red.{space}.add.{match[1]} {address}, {zero};\n    {instruction.text}"
                )
        return kernel.with_changes(changes) if changes else None

    return edit


# ---- asynchronous copies and matrices


def wait_after_each_copy(kernel: EditedKernel) -> str | None:
    """A wait for each asynchronous copy right after its start."""
    changes = {
        instruction.span: f"{instruction.text}\n    cp.async.wait_group 0;"
        for instruction in kernel.instructions
        if instruction.parts[1] == "cp.async.commit_group"
    }
    return kernel.with_changes(changes) if changes else None


def halved_copies(kernel: EditedKernel) -> str | None:
    """Each copy of 16 bytes as two of 8, also those that may copy nothing."""
    changes: dict[Span, str] = {}
    for instruction in kernel.instructions:
        guard, opcode, operands = instruction.parts
        if opcode == "cp.async.cg.shared.global" and operands[2:3] == ["16"] and len(operands) in (3, 4):
            target, source, _, *size = operands
            half = ", %audit_half" if size else ""  # for copies that may copy nothing
            pairs = [(target, source), (eight_bytes_further(target), eight_bytes_further(source))]
            copies = [f"{guard}cp.async.ca.shared.global {to}, {from_}, 8{half};" for to, from_ in pairs]
            changes[instruction.span] = "\n    ".join(
                [*(f"shr.u32 %audit_half, {number}, 1;" for number in size), *copies]
            )
    if not changes:
        return None
    changes[kernel.body, kernel.body] = "\n    .reg .u32 %audit_half;"
    return kernel.with_changes(changes)


def eight_bytes_further(address: str) -> str:
    """The address eight bytes further: `[%x + 24]` for `[%x + 16]`."""
    base, _, offset = address.strip("[]").partition("+")
    return f"[{base.strip()} + {int(offset or 0) + 8}]"


def halved_products(kernel: EditedKernel) -> str | None:
    """Each matrix product of 16 x 8 x 16 halves as two of 16 x 8 x 8."""
    changes: dict[Span, str] = {}
    for instruction in kernel.instructions:
        guard, opcode, operands = instruction.parts
        if opcode == "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32":
            d, a, b, c = operands
            a_parts, b_parts = (part.strip("{} ").replace(" ", "").split(",") for part in (a, b))
            half = opcode.replace("k16", "k8")
            changes[instruction.span] = (
                f"{guard}{half} {d}, {{{', '.join(a_parts[:2])}}}, {{{b_parts[0]}}}, {c};\n"
                f"    {guard}{half} {d}, {{{', '.join(a_parts[2:])}}}, {{{b_parts[1]}}}, {d};"
            )
    return kernel.with_changes(changes) if changes else None


FENCES = ("ptx_fences", "ptx_cluster_fences", "ptx_gpu_fences", "ptx_sys_fences", "ptx_sequential_fences")
SCOPES = ("ptx_cluster_accesses", "ptx_gpu_accesses", "ptx_sys_accesses")
SHARED = tuple(f"ptx_shared_{kind}_{part}" for kind in ("store", "load") for part in ("requests", "wavefronts"))


def atomics(space: str) -> tuple[str, ...]:
    return tuple(f"ptx_atomic_{space}_{part}" for part in ("requests", "lanes", "serial"))


COSTS = (
    Edit("an extra division", ("ptx_divisions", "sass.call"), one_text(DIVISION.edit)),
    Edit("an extra approximation", ("ptx_warp_instructions_special",), one_text(APPROXIMATION.edit)),
    Edit("subnormal numbers kept", ("ptx_subnormal_approximations",), one_text(replaced(r"(\.approx)\.ftz", r"\1"))),
    Edit("double precision", ("ptx_warp_instructions_f64", "ptx_float_conversions"), one_text(DOUBLE.edit)),
    Edit("an extra shuffle", ("ptx_warp_instructions_warp",), one_text(SHUFFLE.edit)),
    Edit("a round trip through shared memory", SHARED, one_text(ROUND_TRIP.edit)),
    Edit("a system fence", FENCES, one_text(FENCE.edit)),
    Edit("a wider scope", ("ptx_sys_accesses",), one_text(replaced(r"^((?:@!?%\w+\s+)?(?:ld|st|atom|red)\S*)\.gpu\.",
                                                               r"\1.sys."))),
    Edit("volatile loads", ("ptx_strong_accesses", *SCOPES), one_text(as_volatile)),
    Edit("loads that acquire", ("ptx_ordering_accesses", "ptx_strong_accesses"), one_text(as_acquire)),
    Edit("generic loads", ("ptx_generic_accesses",), one_text(as_generic)),
    Edit("an atomic of 0, global", atomics("global"), one_text(atomics_of_zero("global"))),
    Edit("an atomic of 0, shared", atomics("shared"), one_text(atomics_of_zero("shared"))),
    Edit("sleeps", ("ptx_sleeps", "ptx_sleep_ns", "ptx_dependent_cycles"), one_text(SLEEP.edit)),
    Edit("immediate waits for copies", ("ptx_full_waits", "ptx_dependent_cycles"), one_text(wait_after_each_copy)),
    Edit("copies of half the size", ("ptx_async_requests",), one_text(halved_copies)),
    Edit("products of half the size", ("ptx_mma_operations",), one_text(halved_products)),
)  # fmt: skip
"""Edits for kernels with the code that they change, or for FEW if they add code."""
