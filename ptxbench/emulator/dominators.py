"""Dominators and natural loops of a graph of basic blocks.

A block dominates another if it is on every path from a start to it. A back edge goes to a block that dominates its
source: the header of a loop.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

Successors = Callable[[int], Sequence[int]]

ROOT = -1
"""The virtual block that dominates every start."""


def reverse_postorder(starts: Sequence[int], successors: Successors) -> list[int]:
    """The reachable blocks, each before its successors except at the ends of loops."""
    seen: set[int] = set()
    postorder = []
    for start in reversed(starts):
        if start in seen:
            continue
        seen.add(start)
        stack = [(start, iter(successors(start)))]
        while stack:
            block, unvisited = stack[-1]
            following = next((successor for successor in unvisited if successor not in seen), None)
            if following is None:
                postorder.append(block)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(successors(following))))
    return postorder[::-1]


class Dominators:
    """The immediate dominator of each reachable block. `order`: the blocks in reverse postorder; `rank`: their places.

    Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm".
    """

    def __init__(self, starts: Sequence[int], successors: Successors) -> None:
        self.order = reverse_postorder(starts, successors)
        self.rank = {block: number for number, block in enumerate(self.order)}
        self.predecessors: dict[int, list[int]] = {block: [] for block in self.order}
        for block in self.order:
            for successor in successors(block):
                self.predecessors[successor].append(block)
        self.immediate = dict.fromkeys(starts, ROOT)
        changed = True
        while changed:
            changed = False
            for block in self.order:
                if block in starts:
                    continue
                processed = [predecessor for predecessor in self.predecessors[block] if predecessor in self.immediate]
                nearest = processed[0]
                for predecessor in processed[1:]:
                    nearest = self.common(nearest, predecessor)
                if self.immediate.get(block) != nearest:
                    self.immediate[block], changed = nearest, True

    def common(self, first: int, second: int) -> int:
        """The nearest block that dominates both."""
        while first != second:
            if ROOT in (first, second):
                return ROOT
            if self.rank[first] > self.rank[second]:
                first = self.immediate[first]
            else:
                second = self.immediate[second]
        return first

    def dominates(self, dominator: int, block: int) -> bool:
        while block != ROOT and self.rank[block] > self.rank[dominator]:
            block = self.immediate[block]
        return dominator == block

    def loop(self, header: int, sources: Iterable[int], most: int = sys.maxsize) -> frozenset[int]:
        """The blocks of the loop with back edges from `sources` to `header`: all that reach a source before the header.

        If the loop has more than `most` blocks, the result is not complete, but also has more than `most` blocks.
        """
        inside, pending = {header}, list(sources)
        while pending and len(inside) <= most:
            if (block := pending.pop()) not in inside:
                inside.add(block)
                pending += self.predecessors[block]
        return frozenset(inside)
