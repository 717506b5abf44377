"""Which shared accesses ptxas may merge with a neighbour into one of 8 or 16 bytes per lane."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

from ptxbench.emulator.flow import Block, FlowStep
from ptxbench.emulator.syntax import Address, Register, Symbol

WIDEST = 16
"""Bytes of the widest access."""


def mergeable(steps: Sequence[FlowStep], blocks: Sequence[Block]) -> frozenset[int]:
    """The indices of steps with a step of the same kind and base in their block, less than WIDEST bytes away."""
    indices: set[int] = set()
    for block in blocks:
        groups: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        for index in range(block.first, block.last):
            root, *words = steps[index].entry.words
            if root not in ("ld", "st") or not any(word.startswith("shared") for word in words):
                continue
            for operand in steps[index].instruction.operands:
                if isinstance(operand, Address) and isinstance(operand.base, Register | Symbol):
                    start = operand.base.offset if isinstance(operand.base, Symbol) else 0
                    groups[root, operand.base.name].append((start + operand.offset, index))
        for accesses in groups.values():
            accesses.sort()
            for (first_offset, first), (second_offset, second) in itertools.pairwise(accesses):
                if 0 < second_offset - first_offset < WIDEST:
                    indices |= {first, second}
    return frozenset(indices)
