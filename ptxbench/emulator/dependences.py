"""How long dependences delay a warp, per block, with round latencies: a model to compare versions of one kernel.

In a basic block, an instruction issues when its sources are ready, in any order that the PTX allows: no load before
an earlier store to the same memory (unless it is `.nc`), nothing across a barrier or a fence. A block ends when its
last instruction has issued; operations still in flight, such as a load for a loop's next iteration, are waited for
where they are used. So the order of independent instructions does not matter, as with ptxas; a longer chain, a load
issued later and a wait right after a copy do matter.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ptxbench.emulator.flow import Block, FlowStep
from ptxbench.emulator.syntax import Immediate

PLAIN = 4
GLOBAL, SHARED, CONSTANT = 500, 30, 10
LATENCIES = {"special": 20, "convert": 10, "f64": 8, "matrix": 30, "warp": 25}
"""Cycles until a result is ready, by instruction class (PLAIN for others). Round numbers for sm_80 and sm_90."""

ISSUE = {"matrix": 8, "special": 4}
"""Cycles that an instruction occupies its unit; 1 for others."""

LOADED = {"global": GLOBAL, "shared": SHARED, "local": SHARED, "param": CONSTANT, "const": CONSTANT}
FENCES = {"cta": 20, "cluster": 200, "gpu": GLOBAL, "gl": GLOBAL, "sys": 2 * GLOBAL}
DIVISION = 100
"""Latency in cycles of full-precision divisions and roots, and of remainders."""

BARRIER = 20
MOST_GROUPS = 8
"""How many groups of asynchronous copies are distinguished."""


@dataclass
class InFlight:
    """Operations in flight when a block begins: cycles until each register, and each group of copies, is ready."""

    ready: dict[str, int] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)
    """Cycles until each committed group of asynchronous copies is ready, the oldest first."""
    copies: int = 0
    """Cycles until the copies since the last commit are ready."""


class Timing(NamedTuple):
    """How the model treats an opcode."""

    kind: str
    """load, store, barrier, fence, sleep, copy, commit, wait or nothing special."""
    space: str
    latency: int
    issue: int
    unordered: bool
    """For a load: it need not wait for earlier stores."""


def timing(step: FlowStep) -> Timing:
    return timing_of(step.entry.opcode, step.entry.counted)


@functools.lru_cache(maxsize=4096)
def timing_of(opcode: str, counted: str) -> Timing:
    """The timing of an opcode whose instructions are of the class `counted`."""
    root, *modifiers = opcode.split(".")
    words = {modifier.partition("::")[0] for modifier in modifiers}
    space = next((word for word in LOADED if word in words), "global")
    kind, latency = "", LATENCIES.get(counted, PLAIN)
    if root in ("ld", "ldu", "ldmatrix", "atom"):
        kind, latency = "load", SHARED if root == "ldmatrix" else LOADED[space]
        space = "shared" if root == "ldmatrix" else space
    elif root in ("st", "red", "stmatrix"):
        kind = "store"
    elif root in ("bar", "barrier"):
        kind, latency = "barrier", BARRIER
    elif root in ("membar", "fence"):
        kind, latency = "fence", max((FENCES[fence] for fence in FENCES if fence in words), default=BARRIER)
    elif root == "nanosleep":
        kind = "sleep"
    elif root == "cp" and "async" in words:
        waits = {"wait_group", "wait_all"} & words
        kind = "wait" if waits else "commit" if "commit_group" in words else "copy"
        latency = GLOBAL
    elif (root in ("div", "rem") and "approx" not in words) or (
        {"rn", "rz", "rm", "rp"} & words and root in ("rcp", "sqrt")
    ):
        latency = DIVISION
    issue = 1 if kind == "load" else ISSUE.get(counted, 1)
    return Timing(kind, space, latency, issue, "nc" in words or space in ("param", "const"))


def number_of(step: FlowStep) -> int | None:
    """The last operand of an instruction if that is a number: the groups that a wait leaves, or a time to sleep."""
    last = step.instruction.operands[-1] if step.instruction.operands else None
    return int(last.value) if isinstance(last, Immediate) else None


def dependent_cycles(steps: Sequence[FlowStep], blocks: Sequence[Block]) -> list[int]:
    """For each step, by how many cycles it makes one execution of its block longer."""
    before = predecessors(blocks)
    after: dict[int, InFlight] = {}
    cycles = [0] * len(steps)
    for _ in range(2):  # the second pass starts a loop with the state at its own end
        for number, block in enumerate(blocks):
            visited = [predecessor for predecessor in before[number] if predecessor in after]
            state = after[visited[-1]] if visited else InFlight()
            after[number] = walk(steps[block.first : block.last], state, cycles, block.first)
    return cycles


def predecessors(blocks: Sequence[Block]) -> list[list[int]]:
    """For each block, the numbers of its predecessors; the end of a loop comes last."""
    result: list[list[int]] = [[] for _ in blocks]
    for number, block in enumerate(blocks):
        for successor in block.successors:
            if successor < len(blocks):
                result[successor].append(number)
    return result


def walk(steps: Sequence[FlowStep], state: InFlight, cycles: list[int], first: int) -> InFlight:
    """Simulate a block: add each step's cost to `cycles`; returns the operations in flight at its end."""
    ready, groups, copies = dict(state.ready), list(state.groups), state.copies
    stored: dict[str, int] = {}
    ordered = issued = length = busy = 0
    for index, step in enumerate(steps, first):
        kind, space, latency, units, unordered = timing(step)
        busy += units
        issue = ordered
        for name in step.reads:
            if name in ready and ready[name] > issue:
                issue = ready[name]
        if kind == "load" and not unordered:
            issue = max(issue, stored.get(space, 0))
        elif kind == "store":
            stored[space] = max(issue, stored.get(space, 0))
        elif kind == "copy":
            copies = max(copies, issue + latency)
        elif kind == "commit":
            groups, copies = [*groups, copies][-MOST_GROUPS:], 0
        elif kind == "wait":
            left = number_of(step)
            awaited = [*groups, copies] if left is None else groups[: len(groups) - left]
            issue = ordered = max([issue, issued, *awaited])
        elif kind in ("barrier", "fence"):
            issue = ordered = max(issue, issued) + latency
        elif kind == "sleep":
            issue = ordered = max(issue, issued) + (number_of(step) or latency)
        for name in step.writes:
            ready[name] = issue + latency
        issued = max(issued, issue)
        longer = max(length, issued, busy)
        cycles[index] = longer - length
        length = longer
    left_over = {name: at - length for name, at in ready.items() if at > length}
    return InFlight(left_over, [max(0, at - length) for at in groups], max(0, copies - length))


def functions_in_loops(steps: Sequence[FlowStep], blocks: Sequence[Block]) -> frozenset[int]:
    """The indices of steps inside loops that are approximate functions, divisions or roots."""
    looped: set[int] = set()
    for number, block in enumerate(blocks):
        for successor in block.successors:
            if successor <= number:
                looped.update(range(successor, number + 1))
    return frozenset(
        index
        for number in looped
        for index in range(blocks[number].first, blocks[number].last)
        if steps[index].entry.counted == "special" or timing(steps[index]).latency == DIVISION
    )
