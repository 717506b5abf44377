"""Which way warps went at branches: constraints on edges of the machine code from the lanes at PTX branches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ptxbench.executed import dominance
from ptxbench.executed.flow import Flow, FlowRow
from ptxbench.executed.graph import MachineBlock
from ptxbench.executed.paths import Paths

CONDITIONS = ("BRA", "EXIT")


def rows(flow: Flow, paths: Paths) -> Iterator[FlowRow]:
    """The edges of each branch that occurs once in the machine code and in the PTX, and at which no warp diverges."""
    blocks_of_line: dict[int, list[MachineBlock]] = defaultdict(list)
    for block in flow.graph.blocks:
        line = flow.lines.begin(block.last.line)
        if line is not None and block.conditional and block.last.name in CONDITIONS:
            blocks_of_line[line].append(block)
    for line, blocks in blocks_of_line.items():
        ways = flow.lines.ways(line)
        if len(blocks) != 1 or ways is None or line not in paths.branches:
            continue
        block = blocks[0]
        sides = paths.sides(line)
        if sides is None or not block.successors:
            continue
        taken_lines, not_taken_lines = sides
        next_block = block.successors[-1]
        target_block = block.successors[0] if block.last.name == "BRA" and len(block.successors) == 2 else None
        same_sense = votes(flow, next_block, not_taken_lines, target_block, taken_lines)
        opposite_sense = votes(flow, next_block, taken_lines, target_block, not_taken_lines)
        if ways[0] == ways[1]:
            same_sense, opposite_sense = 1, 0
        if (same_sense > 0) == (opposite_sense > 0):
            continue
        next_count, target_count = (ways[1], ways[0]) if same_sense else (ways[0], ways[1])
        edges = {target: number for number, (source, target) in enumerate(flow.edges, len(flow.graph.blocks))
                 if source == block.index}  # fmt: skip
        yield FlowRow({block.index: 1.0}, float(sum(ways)), float(sum(ways)))
        yield FlowRow({edges[next_block]: 1.0}, float(next_count), float(next_count))
        if target_block is not None:
            yield FlowRow({edges[target_block]: 1.0}, float(target_count), float(target_count))


def votes(flow: Flow, block: int, lines: frozenset[int], other_block: int | None, other_lines: frozenset[int]) -> int:
    """How many instructions on the side of `block` have one of `lines`, plus the same for the other side.

    The two sides of a machine branch are compared with the lines of the two sides of the PTX branch.
    """
    total = 0
    for start, lines_of_side, opposite in ((block, lines, other_block), (other_block, other_lines, block)):
        if start is None:
            continue
        opposite_side = 0 if opposite is None else flow.dominated_by(opposite)
        for index in dominance.members(flow.dominated_by(start) & ~opposite_side):
            total += sum(line in lines_of_side for line in flow.begun[index])
    return total
