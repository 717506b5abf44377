"""Which blocks of a graph always run before or after others: dominators, and the loops of a graph.

Sets of blocks are bit masks: a kernel has at most some hundred blocks, and Python's integers are fast.
"""

from __future__ import annotations

from collections.abc import Sequence

from ptxbench.emulator.dominators import reverse_postorder


def dominators(successors: Sequence[Sequence[int]], roots: Sequence[int]) -> list[int]:
    """For each node, its dominators as a mask: they are on every path from a root to it; 0 if it is unreachable."""
    count = len(successors)
    predecessors = reversed_edges(successors)
    order = reverse_postorder(roots, successors.__getitem__)
    everything = (1 << count) - 1
    masks = [everything] * count
    for root in roots:
        masks[root] = 1 << root
    changed = True
    while changed:
        changed = False
        for node in order:
            if node in roots:
                continue
            mask = everything
            for predecessor in predecessors[node]:
                mask &= masks[predecessor]
            mask |= 1 << node
            if mask != masks[node]:
                masks[node], changed = mask, True
    reached = set(order)
    return [masks[node] if node in reached else 0 for node in range(count)]


def reversed_edges(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    result: list[list[int]] = [[] for _ in successors]
    for source, targets in enumerate(successors):
        for target in targets:
            result[target].append(source)
    return result


def loops(successors: Sequence[Sequence[int]], dominating: Sequence[int]) -> dict[int, int]:
    """The natural loops: the mask of each loop's blocks, by its first block."""
    predecessors = reversed_edges(successors)
    result: dict[int, int] = {}
    for source, targets in enumerate(successors):
        for head in targets:
            if not dominating[source] >> head & 1:
                continue
            body = result.get(head, 1 << head)
            pending = [source]
            while pending:
                node = pending.pop()
                if not body >> node & 1:
                    body |= 1 << node
                    pending += predecessors[node]
            result[head] = body
    return result


def members(mask: int) -> list[int]:
    """The indices of the set bits of a mask."""
    return [index for index, bit in enumerate(reversed(bin(mask))) if bit == "1"]


def dominated(dominating: Sequence[int], node: int) -> int:
    """The mask of the nodes that `node` dominates."""
    result = 0
    for inner, mask in enumerate(dominating):
        if mask >> node & 1:
            result |= 1 << inner
    return result
