"""The control codes of SASS: what the hardware waits for before an instruction, and for how long after it.

From sm_70 on, bits 105 to 125 of the 128 of an instruction: stall cycles (4 bits), yield (1), write barrier (3), read
barrier (3), barriers to wait for (6), registers to reuse (4). The layout is that of Z. Jia et al., "Dissecting the
NVIDIA Volta GPU architecture via microbenchmarking" (2018), section 2. `nvdisasm -hex` prints the same bits. There is
no table of encodings here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ptxbench.toolchain.cubin import INSTRUCTION_BYTES

FIRST_BIT = 105 - 64
"""The first bit, in the upper half of the instruction."""

NO_BARRIER = 7
BARRIERS = 6


@dataclass(frozen=True)
class ControlBits:
    """The control code of one instruction.

    `stall`: cycles before the warp issues its next instruction. `yield_bit`: the bit as it is. `write`: the barrier
    that it frees when its result is ready; `read`: when its operands are read; None without one. `waits`: the barriers
    that must be free first. `reuse`: which of the four operand slots keep their register, lowest bit first.
    """

    stall: int
    yield_bit: int
    write: int | None
    read: int | None
    waits: tuple[int, ...]
    reuse: int


def decode(high: int) -> ControlBits:
    """The control code in the upper 64 bits of an instruction."""
    bits = high >> FIRST_BIT

    def field(low: int, width: int) -> int:
        return bits >> low & (1 << width) - 1

    def barrier(low: int) -> int | None:
        number = field(low, 3)
        return None if number == NO_BARRIER else number

    waits = tuple(number for number in range(BARRIERS) if field(11, BARRIERS) >> number & 1)
    return ControlBits(field(0, 4), field(4, 1), barrier(5), barrier(8), waits, field(17, 4))


def codes(code: bytes) -> dict[int, ControlBits]:
    """The control code of each instruction of machine code, by its address."""
    return {
        number * INSTRUCTION_BYTES: decode(high) for number, (_, high) in enumerate(struct.iter_unpack("<QQ", code))
    }


def text(control: ControlBits) -> str:
    """`01---- - 2 1  4`: barriers waited for, read barrier, write barrier, yield bit, stall."""
    waits = "".join(str(number) if number in control.waits else "-" for number in range(BARRIERS))
    read, write = ("-" if number is None else str(number) for number in (control.read, control.write))
    return f"{waits} {read} {write} {control.yield_bit} {control.stall:2}"


HEADING = "wait   r w y st"
"""The heading of a column of these texts."""
