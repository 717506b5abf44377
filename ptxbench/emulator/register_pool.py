"""setmaxnreg: how many registers a kernel starts with, and the code that changes them.

ptxas determines the number when it compiles; if it cannot, it drops every setmaxnreg of the kernel. The rules here were
determined by experiments with ptxas.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ptxbench import architecture
from ptxbench.emulator.layout import Translation
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runtime import register_pool
from ptxbench.emulator.syntax import Immediate, Instruction
from ptxbench.emulator.types import LANES

if TYPE_CHECKING:
    from ptxbench.emulator.flow import FlowStep
    from ptxbench.emulator.registers import KernelState

NAME = "setmaxnreg"
STEP = 8
"""Registers are given out in multiples of this many per thread."""
LEAST, MOST = 24, 256
MOST_COMPILED = 255
"""The most registers per thread that ptxas uses."""
PARTITIONS, PARTITION_REGISTERS = 4, 16384
"""Parts of an SM, each with its own register file; the warps of a CTA are spread over them."""


def most_resident(arch: str) -> tuple[int, int]:
    """The most CTAs and the most warps of an SM, of an architecture that has setmaxnreg."""
    return (24, 48) if architecture.number(arch) >= 120 else (32, 64)


def limit_of(directives: Mapping[str, tuple[int, ...]], arch: str) -> int | None:
    """The most registers per thread of a kernel with setmaxnreg by its directives; None if ptxas cannot tell."""
    if fixed := directives.get(".maxnreg"):
        return min(MOST_COMPILED, max(LEAST, fixed[0]))
    threads = directives.get(".reqntid") or directives.get(".maxntid")
    if not threads:
        return None
    warps = -(-math.prod(threads) // LANES)
    most_ctas, most_warps = most_resident(arch)
    ctas = directives.get(".minnctapersm", (0,))[0]
    if not 0 < ctas <= most_ctas or ctas * warps > most_warps:
        if 2 * warps <= most_warps:
            return None
        ctas = 1  # not even two fit
    return min(MOST_COMPILED, PARTITION_REGISTERS // (LANES * -(-ctas * warps // PARTITIONS)) // STEP * STEP)


def registers_at_entry(limit: int, changes: Sequence[Instruction]) -> int:
    """Registers per thread with which a kernel with the setmaxnreg `changes` starts.

    The program has no more than the largest .inc asks for; a launch rounds up to multiples of STEP.
    """
    increases = [number(change) for change in changes if "inc" in change.opcode.split(".")]
    return -(-min(limit, max(increases, default=MOST)) // STEP) * STEP


def number(instruction: Instruction) -> int:
    """The registers that a setmaxnreg asks for. Raises PtxSyntaxError if ptxas refuses them."""
    operand = instruction.operands[0] if instruction.operands else None
    if not isinstance(operand, Immediate):
        raise syntax_error(instruction.line, f"expected a number of registers for {NAME}, found a register.")
    if operand.value not in range(LEAST, MOST + 1, STEP):
        raise syntax_error(
            instruction.line, f"expected a multiple of {STEP} from {LEAST} to {MOST} registers, found {operand.value}."
        )
    return int(operand.value)


@functools.lru_cache(maxsize=64)
def dropped_note(translation: Translation) -> tuple[str, ...]:
    """A sentence if ptxas drops the kernel's setmaxnreg."""
    first = next((step for step in translation.steps if step.opcode.startswith(NAME)), None)
    if first is None or translation.pool:
        return ()
    return (
        f"line {first.line}: {NAME} has no effect: the kernel has neither .maxnreg nor a valid .minnctapersm with "
        ".maxntid or .reqntid, so that ptxas drops it unless it gets -maxrregcount",
    )


@dataclass(frozen=True)
class RegisterPool:
    """A kernel's use of setmaxnreg: the offset of its state in a warp's register file, and registers per thread at
    entry."""

    offset: int
    initial: int

    @property
    def zeroed(self) -> tuple[int, int]:
        """Offset and bytes of the state, which is zero at first."""
        return self.offset, register_pool.BYTES

    def change(self, kernel: KernelState, step: FlowStep, lanes: str) -> str:
        """Code of a setmaxnreg that `lanes` execute. Returns whether the warp now has its registers (i1 name)."""
        ops = kernel.ops
        function = ops.function(register_pool.change(self.offset, self.initial, kernel.register_bytes))
        less = str("dec" in step.entry.opcode.split(".")).lower()
        return kernel.e.op(
            f"call i1 @{function}(ptr %env, ptr %registers, ptr %warp, ptr {ops.site('registers')}, i32 {lanes}, "
            f"i32 {number(step.instruction)}, i1 {less})"
        )

    def leave(self, kernel: KernelState, lanes: str) -> None:
        """Code at the exit of `lanes`."""
        function = kernel.ops.function(register_pool.leave(self.offset, kernel.register_bytes))
        kernel.e.line(
            f"call void @{function}(ptr %env, ptr %registers, ptr %warp, ptr {kernel.ops.site('registers')}, "
            f"i32 {lanes})"
        )


def lay_out(kernel: KernelState, arch: str) -> RegisterPool | None:
    """The pool of a kernel, behind its registers; None without a setmaxnreg that has an effect."""
    changes = [step.instruction for step in kernel.steps if step.entry.opcode.startswith(NAME)]
    for change in changes:
        number(change)  # also where it has no effect
    limit = limit_of(kernel.function.directives, arch)
    return RegisterPool(kernel.register_bytes, registers_at_entry(limit, changes)) if changes and limit else None
