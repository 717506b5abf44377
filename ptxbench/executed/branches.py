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
        taken, on = sides
        fall = block.successors[-1]
        goes = block.successors[0] if block.last.name == "BRA" and len(block.successors) == 2 else None
        agree = votes(flow, fall, on, goes, taken)
        differ = votes(flow, fall, taken, goes, on)
        if ways[0] == ways[1]:
            agree, differ = 1, 0
        if (agree > 0) == (differ > 0):
            continue
        along, past = (ways[1], ways[0]) if agree else (ways[0], ways[1])
        edges = {target: number for number, (source, target) in enumerate(flow.edges, len(flow.graph.blocks))
                 if source == block.index}  # fmt: skip
        yield FlowRow({block.index: 1.0}, float(sum(ways)), float(sum(ways)))
        yield FlowRow({edges[fall]: 1.0}, float(along), float(along))
        if goes is not None:
            yield FlowRow({edges[goes]: 1.0}, float(past), float(past))


def votes(flow: Flow, one: int, lines: frozenset[int], other: int | None, others: frozenset[int]) -> int:
    """How many instructions on each side of a branch have lines from the same side of the PTX branch."""
    total = 0
    for start, wanted, opposite in ((one, lines, other), (other, others, one)):
        if start is None:
            continue
        other_side = 0 if opposite is None else flow.dominated_by(opposite)
        for index in dominance.members(flow.dominated_by(start) & ~other_side):
            total += sum(line in wanted for line in flow.begun[index])
    return total
