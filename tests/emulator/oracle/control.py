"""Branches, ends and barriers. (PTX ISA, "Control Flow", "Parallel Synchronization": bar, membar, fence.)

The threads' program counters are already at the next instruction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptxbench.emulator.syntax import Symbol
from tests.emulator.oracle.counters import LANES
from tests.emulator.oracle.step import Action, Step, rule

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

ENDED = -1
"""Where `exit` leads."""


@rule("bra", counted="control")
def bra(step: Step) -> Action | None:
    step.take("uni")
    (label,) = step.operands
    assert isinstance(label, Symbol)
    target = step.function.labels[label.name]
    step.moves, step.targets = True, (target,)
    return lambda threads: threads.leave_at(target)


@rule("brx", counted="control")
def brx(step: Step) -> Action | None:
    step.need("idx")
    step.take("uni")
    index, table = step.operands
    assert isinstance(table, Symbol)
    places = np.array([step.function.labels[name] for name in step.function.branch_targets[table.name]])
    step.moves = True

    def act(threads: Threads) -> None:
        to = threads.spread(places[threads.read(index, "u32")])
        threads.leave_at(to)
        if threads.counters is not None:
            warp = threads.all_here() // LANES
            _, ways = np.unique(np.unique(np.stack([warp, to]), axis=1)[0], return_counts=True)
            threads.counters.branch(step.line, len(ways), int((ways > 1).sum()))

    return act


@rule("ret", "exit", counted="control")
def leave(step: Step) -> Action | None:
    step.take("uni")
    step.moves, step.targets = True, (ENDED,)

    def act(threads: Threads) -> None:
        threads.alive[slice(None) if threads.here is None else threads.here] = False

    return act


@rule("bar", "barrier", counted="barrier")
def bar(step: Step) -> Action | None:
    step.take("cta")
    if step.words[:1] == ["warp"]:
        return None
    step.take("aligned")
    step.moves = True
    reduces = step.take("red")
    if not reduces:
        step.need("sync")
        name, *count = step.operands
        source = None
    else:
        step.need("popc", "and", "or")
        step.need("u32", "pred")
        name, *count, source = step.operands[1:]

    def act(threads: Threads) -> None:
        here = threads.all_here()
        threads.waiting[here] = True
        threads.barrier[here] = threads.read(name, "u32")
        threads.expected[here] = threads.read(count[0], "u32") if count else 0
        if source is not None:
            threads.votes.append((step, here.copy(), threads.spread(threads.read(source, "pred")).copy()))
        if threads.counters is not None:
            threads.counters.add(step.line, ptx_barriers=int(np.unique(here // LANES).size))

    return act


@rule("bar", counted="warp")
def bar_warp(step: Step) -> Action | None:
    """Absent lanes of a warp are not waited for: in these tests they cannot be behind."""
    step.need("warp")
    step.need("sync")
    step.members = step.operands[0]
    return lambda threads: None


@rule("fence", "membar", "nanosleep", "griddepcontrol", "pmevent", counted="control")
def nothing(step: Step) -> Action | None:
    step.words.clear()
    return lambda threads: None
