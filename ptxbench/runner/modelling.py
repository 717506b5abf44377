"""The model of a cell that was executed on the emulator: floors of a GPU that is not present."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ptxbench.model.cell import dram_bytes, of_cell
from ptxbench.model.executions import Executions, executions
from ptxbench.pair import Launch, Pair
from ptxbench.result import Cell, Model, code_key
from ptxbench.runner.candidate import VariantRun
from ptxbench.toolchain.lines import with_lines


def model_of(cell: Cell, candidates: Sequence[VariantRun], pair: Pair, gpu: str) -> Model:
    """The claims of the model of `gpu`, a name of specifications.MODELS, for a cell and its candidates at its size.

    Variants with the same machine code share one set of floors: those of the narrowest interval.
    """
    executions_of = {run.source.variant: executed_by(run, cell, run.launch(pair, cell.size)) for run in candidates}
    narrowest: dict[str, Executions] = {}
    for name, executed in executions_of.items():
        code = code_key(name, cell.variants[name].build)
        if isinstance(executed, Executions) and (code not in narrowest or executed.width < narrowest[code].width):
            narrowest[code] = executed
    return of_cell(
        cell,
        gpu,
        {
            name: narrowest.get(code_key(name, cell.variants[name].build), executed)
            for name, executed in executions_of.items()
        },
    )


def executed_by(candidate: VariantRun, cell: Cell, launch: Launch) -> Executions | str:
    """The executions of a candidate in its launch, or why they are unknown."""
    build = candidate.build
    executed = candidate.executed(launch) if candidate.alive else None
    if executed is None or build is None:
        return f"it is {candidate.status}"
    if executed.least is None or executed.most is None:
        return executed.reason or "not known"
    return executions(
        with_lines(build).instructions,
        executed.by_instruction,
        (executed.least, executed.most),
        candidate.by_line or {},
        candidate.wide_wavefronts or {},
        arch=build.arch,
        ctas=launch.launches * math.prod(launch.grid_xyz),
        dram_bytes=dram_bytes(cell),
    )
