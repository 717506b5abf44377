"""The linear program: executions of blocks from flow and terms. Solved by HiGHS, through scipy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

from ptxbench.executed.flow import Flow, FlowRow
from ptxbench.executed.terms import Term

ANCHOR, WEAK, SHORT = 10.0, 0.03, 1e-4
"""The cost per unit by which a solution misses an anchor, or a weak term; the cost of an instruction."""

CLOSE = 1e-6
"""A relative tolerance: smaller differences are the solver's."""

Vector = NDArray[np.float64]
Sums = tuple[Mapping[int, float], float, float]
"""Coefficients by variable, their sum, and the sign of both."""


@dataclass(frozen=True)
class Solution:
    """The likeliest executions by block; `off`: the anchors that they miss."""

    blocks: Vector
    off: tuple[Term, ...]


class MachineProgram:
    """The program of one kernel. Numbers are per warp of the launch, so that large launches are not less exact."""

    def __init__(self, flow: Flow, firm: Sequence[Term], likely: Sequence[Term], ceilings: Sequence[Term]) -> None:
        self.flow = flow
        self.firm, self.likely, self.ceilings = firm, likely, ceilings
        self.scale = float(flow.warps)
        self.sizes = np.array([len(block.operations) for block in flow.graph.blocks], np.float64)
        self.rows = list(flow.rows())

    def assume(self, *groups: Sequence[FlowRow]) -> None:
        """Add likely constraints: each group of rows, or only its first row if not all fit, unless it contradicts
        others.

        A contradicting group, such as for a branch that ptxas merged with another, is left out completely.
        """
        for chosen in ([row for group in groups for row in group], *map(list, groups)):
            if chosen and self.fits(chosen):
                self.rows += chosen
                return

    @cached_property
    def bounds(self) -> list[FlowRow]:
        """The rows of anchors and ceilings; without the ceilings if they contradict the anchors."""
        anchors = [FlowRow(term.blocks, term.low, term.high) for term in self.firm]
        ceilings = [FlowRow(ceiling.blocks, ceiling.low, ceiling.high) for ceiling in self.ceilings]
        for chosen in ([*anchors, *ceilings], anchors):
            if self.optimum(np.zeros(self.flow.variables), [*self.rows, *chosen]) is not None:
                return chosen
        return []

    def fits(self, rows: Sequence[FlowRow]) -> bool:
        return self.optimum(np.zeros(self.flow.variables), [*self.rows, *self.bounds, *rows]) is not None

    def solve(self) -> Solution | None:
        """The likeliest counts; None if the flow by itself has no solution."""
        columns = self.flow.variables
        rows = [*self.rows, *self.bounds]
        firm = [] if self.bounds else self.firm
        targets = [*self.firm, *self.likely]
        cost = np.zeros(columns + 2 * len(firm) + 2 * len(targets))
        cost[: len(self.sizes)] = SHORT * self.sizes
        slack = columns
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
        values = self.optimum(cost, rows)
        if values is None:
            return None
        off = [
            term
            for term, at in zip(firm, misses, strict=True)
            if max(values[at], values[at + 1]) * self.scale > CLOSE * max(term.target, 1.0)
        ]
        return Solution(values[: len(self.sizes)] * self.scale, tuple(off))

    def ends(self) -> tuple[float, float] | None:
        """The least and most instructions that flow and terms allow; None if they contradict each other."""
        if self.firm and not self.bounds:
            return None
        cost = np.zeros(self.flow.variables)
        cost[: len(self.sizes)] = self.sizes
        ends: list[float] = []
        for sign in (1.0, -1.0):
            values = self.optimum(sign * cost, [*self.rows, *self.bounds])
            if values is None:
                return None if sign > 0 else (ends[0], np.inf)
            ends.append(float(cost @ values) * self.scale)
        return ends[0], ends[1]

    def optimum(self, cost: Vector, rows: Sequence[FlowRow]) -> Vector | None:
        """The non-negative variables of least cost under these rows."""
        equal, below = [], []
        for row in rows:
            if row.low == row.high:
                equal.append((row.coefficients, row.low, 1.0))
                continue
            if row.high < np.inf:
                below.append((row.coefficients, row.high, 1.0))
            if row.low > -np.inf:
                below.append((row.coefficients, -row.low, -1.0))
        fixed, fixed_to = self.matrix(equal, len(cost))
        bounded, bound = self.matrix(below, len(cost))
        result = linprog(cost, A_ub=bounded, b_ub=bound, A_eq=fixed, b_eq=fixed_to, bounds=(0, None), method="highs")
        best: Vector | None = result.x if result.status == 0 else None
        return best

    def matrix(self, rows: Sequence[Sums], columns: int) -> tuple[Any, Vector]:
        """Rows as a sparse matrix, and their sums, per warp."""
        lengths = [len(coefficients) for coefficients, _, _ in rows]
        starts = np.concatenate([[0], np.cumsum(lengths)]) if rows else np.zeros(1)
        indices = [index for coefficients, _, _ in rows for index in coefficients]
        data = [value * sign for coefficients, _, sign in rows for value in coefficients.values()]
        values: Vector = np.array([value for _, value, _ in rows], np.float64) / self.scale
        return csr_array((data, indices, starts), shape=(len(rows), columns)), values
