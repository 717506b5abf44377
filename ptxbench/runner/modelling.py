"""The model of a cell that was executed on the emulator: floors of a GPU that is not there."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ptxbench import executed
from ptxbench.model.cell import dram_bytes, of_cell
from ptxbench.model.executions import Executions, executions
from ptxbench.pair import Launch
from ptxbench.result import Cell, Model
from ptxbench.runner.candidate import Candidate
from ptxbench.toolchain.lines import annotate

WARP = 32


def model_of(cell: Cell, candidates: Sequence[Candidate], launch: Launch, gpu: str) -> Model | None:
    """What the model of `gpu`, a name of specifications.MODELS, says of a cell and its candidates at its size."""
    return of_cell(cell, gpu, {each.source.variant: executed_by(each, cell, launch) for each in candidates})


def executed_by(candidate: Candidate, cell: Cell, launch: Launch) -> Executions | str:
    """What a candidate executed in the cell's launch, or why that is not known."""
    build = candidate.build
    if not candidate.alive or build is None or candidate.by_line is None:
        return f"it is {candidate.status}"
    ctas, threads = math.prod(launch.grid_xyz), math.prod(launch.block_xyz)
    counted = executed.Counted(candidate.by_line, ctas * -(-threads // WARP), candidate.loops or {})
    found = executed.of_build(build, counted)
    if found.least is None or found.most is None:
        return found.reason or "not known"
    return executions(
        annotate(build).instructions,
        found.by_instruction,
        (found.least, found.most),
        candidate.by_line,
        arch=build.arch,
        ctas=ctas,
        dram_bytes=dram_bytes(cell),
    )
