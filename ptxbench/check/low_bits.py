"""The lowest bits of an array's address, which are 0 on every GPU: a test of an alignment does not depend on where the
array is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ptxbench.emulator.syntax import Instruction, Vector

KNOWN_BITS = 8
"""Memory from cudaMalloc starts at a multiple of at least 256. (CUDA C++ Programming Guide, "Device Memory
Accesses".)"""

SHIFTED = ">>"
"""The start of a root that says by how many bits an address was shifted right, up to KNOWN_BITS."""

INTEGERS = ("b", "u", "s")
KEEPING = ("add", "sub", "mul", "mad", "and", "or", "xor", "not", "neg", "shl", "mov", "selp", "cvta", "cvt", "ld")
"""Instructions of integers whose lowest bits depend only on the lowest bits of their operands."""


class LowBits(NamedTuple):
    """Which bits of its operands the lowest bits of a result depend on: those `shift` places higher, or those of a
    `mask`."""

    shift: int = 0
    mask: int | None = None

    def roots(self, used: frozenset[str], aligned: frozenset[str]) -> frozenset[str]:
        """The roots of the result. `used`: those of the operands; `aligned`: arrays, which start at such addresses."""
        if used.isdisjoint(aligned):
            return used
        before = max((int(root.removeprefix(SHIFTED)) for root in used if root.startswith(SHIFTED)), default=0)
        if self.mask is not None and self.mask << before < 1 << KNOWN_BITS:
            return frozenset(root for root in used - aligned if not root.startswith(SHIFTED))
        shift = min(before + self.shift, KNOWN_BITS)
        return used | {f"{SHIFTED}{shift}"} if shift else used


KEPT = LowBits()
MOVED = LowBits(KNOWN_BITS)


def low_bits(instruction: Instruction, sources: Sequence[int | None]) -> LowBits:
    """Of an instruction that computes. `sources`: the values of its operands after the first, as far as they are
    constant."""
    root, *modifiers = instruction.opcode.split(".")
    of_integers = all(word.startswith(INTEGERS) for word in modifiers[-2 if root == "cvt" else -1 :])
    if not modifiers or not of_integers or any(isinstance(operand, Vector) for operand in instruction.operands):
        return MOVED
    numbers = [number for number in sources if number is not None]
    if root == "and" and numbers and min(numbers) >= 0:
        return LowBits(mask=min(numbers))
    if root == "shr":
        return LowBits(min(numbers[-1], KNOWN_BITS)) if numbers else MOVED
    return KEPT if root in KEEPING and not {"hi", "sat"}.intersection(modifiers) else MOVED
