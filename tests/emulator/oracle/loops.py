"""Loops by the definition, instruction by instruction, and how often each warp goes around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ptxbench.emulator.syntax import Instruction, Symbol
from tests.emulator.oracle.counters import LANES
from tests.emulator.oracle.step import Step


def ways(steps: Sequence[Step]) -> list[list[int]]:
    """The instructions that may follow each."""
    successors = []
    for at, step in enumerate(steps):
        instruction = step.instruction
        root = step.root
        to: list[int] = []
        if root in ("bra", "brx"):
            to = targets(instruction, step)
        if root not in ("bra", "brx", "ret", "exit") or instruction.guard is not None:
            to.append(at + 1)
        successors.append([step for step in to if step < len(steps)])
    return successors


def targets(instruction: Instruction, step: Step) -> list[int]:
    named = instruction.operands[-1]
    assert isinstance(named, Symbol)
    names = [named.name] if step.root == "bra" else step.function.branch_targets[named.name]
    return [step.function.labels[name] for name in names]


def reached(starts: Sequence[int], edges: Sequence[Sequence[int]], without: int) -> set[int]:
    seen: set[int] = set()
    left = list(starts)
    while left:
        at = left.pop()
        if at != without and at not in seen:
            seen.add(at)
            left += edges[at]
    return seen


Loops = dict[int, tuple[set[int], int]]


def loops(steps: Sequence[Step]) -> Loops:
    """{header: the loop's instructions, and the last of its branches back to the header}."""
    edges = ways(steps)
    back: list[list[int]] = [[] for _ in steps]
    for at in reached([0], edges, -1):
        for to in edges[at]:
            back[to].append(at)
    by_header = {}
    for header in range(len(steps)):
        if len(back[header]) + (header == 0) < 2:  # one way in, and one back
            continue
        around = reached([0], edges, header)
        ends = [at for at in back[header] if at not in around]
        if ends:
            by_header[header] = ({header} | reached(ends, back, header), max(ends))
    return by_header


class Trips:
    """`entries`: by the line of a loop's last branch back, how many entries of warps made how many trips."""

    def __init__(self, steps: Sequence[Step], by_header: Loops, threads: int) -> None:
        self.steps, self.by_header = steps, by_header
        self.last = np.full(threads, -1)
        self.under_way = {header: np.zeros(threads // LANES, np.int64) for header in self.by_header}
        self.entries: dict[int, Counter[int]] = {}

    def count(self, step: int, threads: Any) -> None:
        """These threads, in ascending order, execute the instruction with this number."""
        if step in self.by_header:
            inside, _ = self.by_header[step]
            fresh = ~np.isin(self.last[threads], list(inside))
            self.close(step, np.unique(threads[fresh] // LANES))
            self.under_way[step][threads // LANES] += 1  # once for each warp
        if self.by_header:
            self.last[threads] = step

    def close(self, header: int, warps: Any) -> None:
        under_way = self.under_way[header]
        line = self.steps[self.by_header[header][1]].line
        for trips in under_way[warps].tolist():
            if trips:
                self.entries.setdefault(line, Counter())[trips] += 1
        under_way[warps] = 0

    def close_all(self) -> None:
        for header, under_way in self.under_way.items():
            self.close(header, np.arange(under_way.size))
