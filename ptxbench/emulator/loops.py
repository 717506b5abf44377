"""The natural loops of a kernel: the back edges to one header make one loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.emulator.dominators import Dominators
from ptxbench.emulator.flow import Block, FlowStep


@dataclass(frozen=True)
class Loop:
    """`header` and `blocks` by number; `line` of its last backward branch."""

    header: int
    blocks: frozenset[int]
    line: int


@dataclass(frozen=True)
class Loops:
    """`irreducible`: the lines of backward branches to a block that is not a header, because lanes can enter the cycle
    elsewhere too. Such cycles are not counted."""

    natural: tuple[Loop, ...] = ()
    irreducible: tuple[int, ...] = ()


def find_loops(blocks: Sequence[Block], steps: Sequence[FlowStep]) -> Loops:
    """The loops of a function, by header number. Routines, which are reached by calls, have their own loops."""
    starts = [0, *(i for i, block in enumerate(blocks) if i and steps[block.first].entry.flow == "enter")]
    # Of two successors, the one that is first in the text is visited first, so that a cycle with several entries mostly
    # has its back edges at the text's backward branches.
    following = [sorted(successor for successor in block.successors if successor < len(blocks)) for block in blocks]
    tree = Dominators(starts, following.__getitem__)
    back: dict[int, list[int]] = {}
    irreducible = []
    for number in tree.order:
        for successor in following[number]:
            if tree.rank[successor] <= tree.rank[number]:
                if tree.dominates(successor, number):
                    back.setdefault(successor, []).append(number)
                else:
                    irreducible.append(steps[blocks[number].last - 1].instruction.line)
    loops = []
    for header, ends in sorted(back.items()):
        line = steps[blocks[max(ends)].last - 1].instruction.line
        loops.append(Loop(header, tree.loop(header, ends), line))
    return Loops(tuple(loops), tuple(sorted(set(irreducible))))
