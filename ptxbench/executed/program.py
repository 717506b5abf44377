"""The linear program: executions of blocks from flow and terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptxbench.executed.flow import Flow, FlowRow
from ptxbench.executed.solver import Solver, Vector
from ptxbench.executed.terms import Term

ANCHOR, WEAK, SHORT = 10.0, 0.03, 1e-4
"""The cost per unit by which a solution misses an anchor, or a weak term; the cost of an instruction."""

CLOSE = 1e-6
"""A relative tolerance: smaller differences are the solver's."""


@dataclass(frozen=True)
class Solution:
    """The likeliest executions by block; `off`: the anchors that they miss."""

    blocks: Vector
    off: tuple[Term, ...]


class MachineProgram:
    """The program of one kernel. Numbers are per warp of the launch, so that large launches are not less exact.

    `anchored`: whether the flow allows the anchors. Ceilings that contradict the anchors are left out.
    """

    def __init__(self, flow: Flow, firm: Sequence[Term], likely: Sequence[Term], ceilings: Sequence[Term]) -> None:
        self.firm, self.likely = firm, likely
        self.scale = float(flow.warps)
        self.sizes = np.array([len(block.operations) for block in flow.graph.blocks], np.float64)
        self.solver = Solver(flow.variables)
        self.solver.add_rows(list(flow.rows()), self.scale)
        anchors, limits = ([FlowRow(term.blocks, term.low, term.high) for term in terms] for terms in (firm, ceilings))
        self.anchored = self.fit([*anchors, *limits]) or self.fit(anchors)

    def fit(self, rows: Sequence[FlowRow]) -> bool:
        """Add rows unless they contradict the others; whether they were added."""
        self.solver.add_rows(rows, self.scale)
        if self.solver.optimum(np.zeros(0)) is not None:
            return True
        self.solver.remove_rows(len(rows))
        return False

    def assume(self, *groups: Sequence[FlowRow]) -> None:
        """Add likely constraints: all groups of rows, or only the first group that contradicts no others.

        A contradicting group, such as for a branch that ptxas merged with another, is left out completely.
        """
        for chosen in ([row for group in groups for row in group], *groups):
            if chosen and self.fit(chosen):
                return

    def ends(self) -> tuple[float, float] | None:
        """The least and most instructions that flow and terms allow; None if they contradict each other."""
        if not self.anchored or (least := self.solver.optimum(self.sizes)) is None:
            return None
        most = self.solver.optimum(-self.sizes)
        return self.instructions(least), np.inf if most is None else self.instructions(most)

    def instructions(self, values: Vector) -> float:
        return float(self.sizes @ values[: len(self.sizes)]) * self.scale

    def solve(self) -> Solution | None:
        """The likeliest counts; None if the flow by itself has no solution. Can be called once, after `ends`."""
        firm = [] if self.anchored else self.firm
        targets = [*self.firm, *self.likely]
        slack = self.solver.columns
        cost = np.zeros(slack + 2 * len(firm) + 2 * len(targets))
        cost[: len(self.sizes)] = SHORT * self.sizes
        rows = []
        misses = []
        for term in firm:
            rows.append(FlowRow({**term.blocks, slack: 1.0}, term.low, np.inf))
            rows.append(FlowRow({**term.blocks, slack + 1: -1.0}, -np.inf, term.high))
            cost[slack : slack + 2] = ANCHOR
            misses.append(slack)
            slack += 2
        for term in targets:
            rows.append(FlowRow({**term.blocks, slack: 1.0, slack + 1: -1.0}, term.target, term.target))
            cost[slack : slack + 2] = WEAK
            slack += 2
        self.solver.add_columns(slack - self.solver.columns)
        self.solver.add_rows(rows, self.scale)
        if (values := self.solver.optimum(cost)) is None:
            return None
        off = [
            term
            for term, at in zip(firm, misses, strict=True)
            if max(values[at], values[at + 1]) * self.scale > CLOSE * max(term.target, 1.0)
        ]
        return Solution(values[: len(self.sizes)] * self.scale, tuple(off))
