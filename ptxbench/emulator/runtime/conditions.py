"""Values that may differ between launches: one variable of the generated code, which the host fills.

Numbers that are needed in every lane are stored as vectors, so that reading one costs no more than a constant.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptxbench.emulator.types import LANES

SYMBOL = "conditions"
ALIGNMENT = 64


@dataclass(frozen=True)
class Field:
    """A number in the variable: its offset, its bits, and how many copies there are."""

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
    NAN_F32, NAN_F64, INACTIVE, SHARED_ORIGIN, SHARED_BASE, SHARED_APERTURE, LOCAL_ORIGIN, LOCAL_BASE, LOCAL_APERTURE,
    MODULE_SHIFT, APPROXIMATE, MULTIPROCESSORS, FIRST_MULTIPROCESSOR, WARPS, FIRST_WARP, GRID, GRAPH, DRIVER,
    CLOCK, CLOCK_STEP, TIMER, SHARED_UNIT, MEMORY, REGISTERS, HIGHEST_ELECTED, WORKSPACE, WAITS,
    FUNCTION_SHIFT,
) = FIELDS = fields(
    (32, LANES), (64, LANES), (32, LANES), (32, LANES), (64, LANES), (64, LANES), (32, LANES), (64, LANES), (64, LANES),
    (64, LANES),
    *((64, 1),) * 18,
)  # fmt: skip
"""The NaN that arithmetic returns, in f32 and f64. The bits in which a shuffle from an inactive lane changes the own
value. For shared memory: the kernel's address of its own first byte, the generic address of that byte, and the generic
address of address 0; the same for local memory. The shift of the module's variables and the parameters from their usual
addresses. A seed for results of approximate instructions, 0 for ideal ones. %nsmid, %smid of the first CTA, %nwarpid,
%warpid of the first warp, %gridid, %current_graph_exec, the values of %envreg and %pm, and the bits of cache policies
and of states of mbarriers; the clocks' start, their steps per instruction, and the unit of %total_smem_size. The
initial byte of shared and local memory, and of registers that may be read before they are written. Whether elect.sync
elects the highest lane and not the lowest. A mask for the address of the grid's workspace: -1, or 0 in a launch that is
not cooperative. A seed for the tests of mbarriers that fail although the phase is complete, 0 for none. The shift of
the addresses of functions."""

BYTES = -(-(FIELDS[-1].offset + 8) // ALIGNMENT) * ALIGNMENT
DECLARATION = f"@{SYMBOL} = external global [{BYTES} x i8], align {ALIGNMENT}"
