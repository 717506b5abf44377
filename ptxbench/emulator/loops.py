"""The natural loops of a kernel.

A back edge goes to a block that dominates its start: the loop's header. The loop is the header and all blocks that
reach the back edge without passing the header; back edges to one header make one loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    order = reverse_postorder(blocks, starts)
    place = {number: i for i, number in enumerate(order)}
    before: list[list[int]] = [[] for _ in blocks]
    for number in order:
        for successor in blocks[number].successors:
            if successor < len(blocks):
                before[successor].append(number)
    above = dominators(order, place, before, frozenset(starts))
    back: dict[int, list[int]] = {}
    irreducible = []
    for number in order:
        for successor in blocks[number].successors:
            if successor < len(blocks) and place[successor] <= place[number]:
                if dominates(successor, number, above, place):
                    back.setdefault(successor, []).append(number)
                else:
                    irreducible.append(steps[blocks[number].last - 1].instruction.line)
    loops = []
    for header, ends in sorted(back.items()):
        inside, left = {header}, list(ends)
        while left:
            if (number := left.pop()) not in inside:
                inside.add(number)
                left += before[number]
        line = steps[blocks[max(ends)].last - 1].instruction.line
        loops.append(Loop(header, frozenset(inside), line))
    return Loops(tuple(loops), tuple(sorted(set(irreducible))))


def reverse_postorder(blocks: Sequence[Block], starts: Sequence[int]) -> list[int]:
    """The reachable blocks, each before its successors except at the ends of loops.

    Of two successors, the one that is first in the text is visited first, so that a cycle with several entries mostly
    has its back edges at the text's backward branches.
    """
    seen: set[int] = set()
    postorder = []
    for start in reversed(starts):
        if start in seen:
            continue
        seen.add(start)
        stack = [(start, iter(sorted(blocks[start].successors)))]
        while stack:
            number, rest = stack[-1]
            following = next(
                (successor for successor in rest if successor < len(blocks) and successor not in seen), None
            )
            if following is None:
                postorder.append(number)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(blocks[following].successors))))
    return postorder[::-1]


NOTHING = -1
"""The virtual block that dominates every start."""


def dominators(
    order: Sequence[int], place: dict[int, int], before: Sequence[Sequence[int]], starts: frozenset[int]
) -> dict[int, int]:
    """The immediate dominator of each block. (Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm".)"""
    above = dict.fromkeys(starts, NOTHING)
    changed = True
    while changed:
        changed = False
        for number in order:
            if number in starts:
                continue
            known = [predecessor for predecessor in before[number] if predecessor in above]
            nearest = known[0]
            for predecessor in known[1:]:
                nearest = common(nearest, predecessor, above, place)
            if above.get(number) != nearest:
                above[number], changed = nearest, True
    return above


def common(a: int, b: int, above: dict[int, int], place: dict[int, int]) -> int:
    """The nearest block that dominates both."""
    while a != b:
        if NOTHING in (a, b):
            return NOTHING
        if place[a] > place[b]:
            a = above[a]
        else:
            b = above[b]
    return a


def dominates(a: int, b: int, above: dict[int, int], place: dict[int, int]) -> bool:
    while b != NOTHING and place[b] > place[a]:
        b = above[b]
    return a == b
