"""What one launch may find otherwise than another: one variable of the generated code, which the host fills.

Numbers that the code wants in every lane are stored as vectors, so that reading one costs no more than a constant.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptxbench.emulator.types import LANES

SYMBOL = "conditions"
ALIGNMENT = 64


@dataclass(frozen=True)
class Field:
    """Where a number lies in the variable, its bits, and how often it is there."""

    offset: int
    bits: int
    lanes: int

    @property
    def type(self) -> str:
        return f"i{self.bits}" if self.lanes == 1 else f"<{self.lanes} x i{self.bits}>"

    @property
    def address(self) -> str:
        """An LLVM constant."""
        return f"getelementptr (i8, ptr @{SYMBOL}, i64 {self.offset})"

    @property
    def load(self) -> str:
        """The right side of a load."""
        align = self.bits // 8 if self.lanes == 1 else ALIGNMENT
        return f"load {self.type}, ptr {self.address}, align {align}"


def fields(*shapes: tuple[int, int]) -> list[Field]:
    placed, offset = [], 0
    for bits, lanes in shapes:
        placed.append(Field(offset, bits, lanes))
        offset += bits // 8 * lanes
    return placed


(
    NAN_F32, NAN_F64, SHARED_ORIGIN, SHARED_BASE, SHARED_APERTURE, LOCAL_ORIGIN, LOCAL_BASE, LOCAL_APERTURE,
    MODULE_SHIFT, APPROXIMATE, MULTIPROCESSORS, FIRST_MULTIPROCESSOR, WARPS, FIRST_WARP, GRID, GRAPH, DRIVER,
    CLOCK, CLOCK_STEP, TIMER, SHARED_UNIT, MEMORY, REGISTERS,
) = FIELDS = fields(
    (32, LANES), (64, LANES), (32, LANES), (64, LANES), (64, LANES), (32, LANES), (64, LANES), (64, LANES), (64, LANES),
    *((64, 1),) * 14,
)  # fmt: skip
"""The NaN that arithmetic gives, in f32 and f64. The address that the kernel knows its own first byte of shared memory
by, the generic one of that byte, and the generic one of address 0; the same of local memory. How far the module's
variables and the parameters lie from where they lie else. A seed for results of approximate instructions, 0 for the
ideal ones. %nsmid, %smid of the first CTA, %nwarpid, %warpid of the first warp, %gridid, %current_graph_exec, what
%envreg and %pm hold; what the clocks start at, how far an instruction takes them, and the unit of %total_smem_size.
The byte that shared and local memory start with, and that of registers which may be read before they are written."""

BYTES = -(-(FIELDS[-1].offset + 8) // ALIGNMENT) * ALIGNMENT
DEFINITION = f"@{SYMBOL} = dso_local global [{BYTES} x i8] zeroinitializer, align {ALIGNMENT}"
