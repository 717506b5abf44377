"""How executions flow through a graph: constraints on blocks and edges that hold for any kernel.

A warp whose lanes diverge executes both sides of a branch, each as a part of the warp; after the branch the parts
reconverge. So between such a branch and its reconvergence, an edge may count twice what its block counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ptxbench.executed import dominance
from ptxbench.executed.graph import Graph, MachineBlock
from ptxbench.executed.ptx import PtxLines

INF = float("inf")


@dataclass(frozen=True)
class FlowRow:
    """`low` <= sum of coefficients times variables <= `high`."""

    coefficients: Mapping[int, float]
    low: float
    high: float


@dataclass(frozen=True)
class Flow:
    """The variables of a kernel: the executions of its blocks, then those of its edges."""

    graph: Graph
    lines: PtxLines
    warps: int

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        return tuple((block.index, target) for block in self.graph.blocks for target in block.successors)

    @cached_property
    def calls(self) -> tuple[tuple[int, int], ...]:
        return tuple((block.index, target) for block in self.graph.blocks for target in block.callees)

    @cached_property
    def begun(self) -> list[list[int | None]]:
        """For each block, the PTX lines on which the statements of its instructions begin."""
        return [[self.lines.begin(operation.line) for operation in block.operations] for block in self.graph.blocks]

    @property
    def variables(self) -> int:
        return len(self.graph.blocks) + len(self.edges) + len(self.calls)

    @cached_property
    def diverging_blocks(self) -> frozenset[int]:
        """The blocks at whose end the lanes of a warp may diverge."""
        return frozenset(block.index for block in self.graph.blocks if self.may_diverge(block))

    def may_diverge(self, block: MachineBlock) -> bool:
        """Whether the lanes of a warp may go apart at the end of a block, as far as its line and its counts tell."""
        if not block.conditional or block.how not in ("branches", "table", "synchronizes") or block.uniform:
            return False
        last = block.last
        line = self.lines.begin(last.line)
        if line is None or block.index in self.graph.helper_blocks:
            return True
        statements = self.lines.at(line)
        if ".DIV" in last.opcode:
            return False
        if any(statement.opcode.split(".")[0] in ("bra", "exit", "ret", "brx") for statement in statements):
            return bool(self.lines.counter(line, "ptx_divergent_branches"))
        lanes_on, lanes = (
            self.lines.counter(line, name) for name in ("ptx_thread_instructions_on", "ptx_thread_instructions")
        )
        return not (lanes and any(statement.guard for statement in statements) and lanes_on in (0, lanes))

    @cached_property
    def post_dominators(self) -> list[int]:
        """The post-dominators of each block, itself included, as masks; the last entry is the end."""
        exits = len(self.graph.blocks)
        backwards: list[list[int]] = [[] for _ in range(exits + 1)]
        for source, target in self.edges:
            backwards[target].append(source)
        for block in self.graph.blocks:
            if block.how in ("leaves", "returns") or not block.successors:
                backwards[exits].append(block.index)
        return dominance.dominators(backwards, [exits])

    @cached_property
    def divergent_regions(self) -> tuple[int, int]:
        """(blocks where parts of a warp may run, blocks where they reconverge), as masks."""
        exits, post_dominators = len(self.graph.blocks), self.post_dominators
        apart = joins = 0
        for index in self.diverging_blocks:
            after = post_dominators[index] & ~(1 << index)
            # of its post-dominators, the nearest is post-dominated by all others
            nearest = next(
                (
                    member
                    for member in dominance.members(after)
                    if post_dominators[member] | 1 << index == post_dominators[index]
                ),
                exits,
            )
            seen = 1 << nearest
            pending = list(self.graph.blocks[index].successors)
            while pending:
                block = pending.pop()
                if not seen >> block & 1:
                    seen |= 1 << block
                    pending += [*self.graph.blocks[block].successors, *self.graph.blocks[block].callees]
            apart |= seen & ~(1 << nearest)
            joins |= 1 << nearest
        return apart, joins

    def rows(self) -> Iterator[FlowRow]:
        """All of these constraints."""
        count = len(self.graph.blocks)
        outwards: dict[int, list[int]] = {index: [] for index in range(count)}
        inwards: dict[int, list[int]] = {index: [] for index in range(count)}
        started: dict[int, list[int]] = {index: [] for index in range(count)}
        for number, (source, target) in enumerate(self.edges, count):
            outwards[source].append(number)
            inwards[target].append(number)
        for number, (source, target) in enumerate(self.calls, count + len(self.edges)):
            started[source].append(number)
            inwards[target].append(number)
        apart, joins = self.divergent_regions
        soft = apart | joins
        for block in self.graph.blocks:
            index = block.index
            yield from self.leaving(block, outwards[index], started[index], soft=bool(apart >> index & 1))
            sources = dict.fromkeys(inwards[index], -1.0)
            entered = float(self.warps) if index == 0 else 0.0
            if soft >> index & 1 and index:
                yield FlowRow({index: 1.0, **sources}, -INF, entered)
                for edge in sources:
                    yield FlowRow({edge: 1.0, index: -1.0}, -INF, 0.0)
            else:
                yield FlowRow({index: 1.0, **sources}, entered, entered)
        yield from self.together()

    def leaving(self, block: MachineBlock, edges: list[int], started: list[int], *, soft: bool) -> Iterator[FlowRow]:
        """Constraints on the sum of the edges out of a block."""
        index = block.index
        if block.how == "calls":
            for edge in edges:
                yield FlowRow({edge: 1.0, index: -1.0}, 0.0, 0.0)
            called = FlowRow({index: -1.0, **dict.fromkeys(started, 1.0)}, -INF if block.conditional else 0.0, 0.0)
            if started:
                yield called
            return
        if not edges:
            return
        leaves = block.how in ("leaves", "returns")
        if index in self.diverging_blocks:
            yield FlowRow({index: 1.0, **dict.fromkeys(edges, -1.0)}, -INF, 0.0)
        elif leaves or (block.how == "synchronizes" and soft):
            pass
        else:
            yield FlowRow({index: 1.0, **dict.fromkeys(edges, -1.0)}, 0.0, 0.0)
            return
        for edge in edges:
            yield FlowRow({edge: 1.0, index: -1.0}, -INF, 0.0)

    @cached_property
    def before(self) -> list[int]:
        """The dominators of each block, as masks."""
        roots = [0, *sorted({target for _, target in self.calls})]
        return dominance.dominators([block.successors for block in self.graph.blocks], roots)

    def dominated_by(self, index: int) -> int:
        """The blocks that this block dominates, as a mask."""
        return dominance.dominated(self.before, index)

    @cached_property
    def loops(self) -> Mapping[int, int]:
        return dominance.loops([block.successors for block in self.graph.blocks], self.before)

    def entries(self, index: int, body: frozenset[int]) -> list[int]:
        """The edges into the innermost loop around a block, if the loop has only lines of `body`."""
        around = [(mask.bit_count(), head) for head, mask in self.loops.items() if mask >> index & 1]
        if not around:
            return []
        head = min(around)[1]
        mask = self.loops[head]
        for member in dominance.members(mask):
            if not {*self.begun[member]} - {None} <= body:
                return []
        first = len(self.graph.blocks)
        return [
            number for number, (source, target) in enumerate(self.edges, first)
            if target == head and not mask >> source & 1
        ]  # fmt: skip

    @cached_property
    def together_with(self) -> list[int]:
        """For each block, the first block that always runs together with it."""
        first = list(range(len(self.graph.blocks)))
        for left, right in self.pairs:
            first[right] = first[left]
        return first

    def together(self) -> Iterator[FlowRow]:
        """Two blocks that always run one after the other run equally often, even if lanes diverge between them."""
        for left, right in self.pairs:
            yield FlowRow({left: 1.0, right: -1.0}, 0.0, 0.0)

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Each block with the next one that always runs together with it."""
        successors = [block.successors for block in self.graph.blocks]
        before = self.before
        result = []
        exits, post_dominators = len(successors), self.post_dominators
        inside = [0] * exits
        for head, body in self.loops.items():
            for member in dominance.members(body):
                inside[member] |= 1 << head
        for block in self.graph.blocks:
            index = block.index
            for member in dominance.members(post_dominators[index] & ~(1 << exits)) if before[index] else ():
                if member != index and before[member] >> index & 1 and inside[member] == inside[index]:
                    result.append((index, member))
        return result
