"""What the text of a kernel says before it is translated, in whatever mode."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.emulator.dependences import dependent_cycles, functions_in_loops
from ptxbench.emulator.flow import CARRY, Block, FlowStep, blocks, order_reason, schedule_obstacle, unused_atomics
from ptxbench.emulator.inline import InlinedProgram, link
from ptxbench.emulator.isa import Entry
from ptxbench.emulator.loops import Loops, find_loops
from ptxbench.emulator.merging import mergeable
from ptxbench.emulator.provenance import Source, mixed_pointers
from ptxbench.emulator.resolve import resolve
from ptxbench.emulator.syntax import Function, Module
from ptxbench.emulator.types import PRED


@dataclass(frozen=True, eq=False)
class Analysis:
    """The kernel with the functions that it calls, and what other modules find in it. Not to be changed."""

    program: InlinedProgram
    steps: Sequence[FlowStep]
    entries: frozenset[Entry]
    blocks: Sequence[Block]
    cycles: Sequence[int]
    loops: Loops
    functions_in_loops: frozenset[int]
    mergeable: frozenset[int]
    unused_atomics: frozenset[int]
    order_reason: str | None
    schedule_obstacle: str | None
    mixed_pointers: Sequence[Source]


@functools.lru_cache(maxsize=4)
def analyse(module: Module, kernel: Function) -> Analysis:
    """The analysis of `kernel`; kept, because a judgement translates a kernel in several modes.

    Raises PtxSyntaxError and UnsupportedInstruction.
    """
    program = link(module, kernel)
    steps = resolve(program.function, module)
    program.function.registers[CARRY] = PRED
    parts = blocks(program.function, steps)
    return Analysis(
        program=program,
        steps=steps,
        entries=frozenset(step.entry for step in steps),
        blocks=parts,
        cycles=dependent_cycles(steps, parts),
        loops=find_loops(parts, steps),
        functions_in_loops=functions_in_loops(steps, parts),
        mergeable=mergeable(steps, parts),
        unused_atomics=unused_atomics(steps),
        order_reason=order_reason(steps),
        schedule_obstacle=schedule_obstacle(steps),
        mixed_pointers=mixed_pointers(steps),
    )
