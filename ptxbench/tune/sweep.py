"""A sweep as a run: its plan, what makes two sweeps the same, and how one resumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptxbench.documents import read_text
from ptxbench.errors import ResultError
from ptxbench.result import INTERRUPTED, Cell, RunDocument, from_json
from ptxbench.run_info import Toolchain
from ptxbench.runner import RunFrame, RunPlan
from ptxbench.toolchain.source_hash import files_hash
from ptxbench.tune.points import PairSweep

SAVED = "*.sweep.json"


@dataclass(frozen=True)
class InterruptedSweep:
    """The results of an interrupted sweep: its file, and its cells."""

    path: Path
    run: RunDocument

    @property
    def rounds(self) -> int:
        """Rounds that every cell has."""
        numbers = {contrast.round for cell in self.run.cells for contrast in cell.rounds}
        return max(numbers, default=-1) + 1


def spec_of(swept: PairSweep) -> dict[str, Any]:
    """The sweep in the run document; two with one spec, on one device with one set of tools, are the same."""
    files = sorted({swept.loaded.path, *(path for source in swept.sources for path in source.files)})
    return {
        "pair": swept.loaded.name,
        "values": {name: list(values) for name, values in swept.values.items()},
        "size": dict(swept.size),
        "variants": [source.variant for source in swept.sources],
        "files_sha256": files_hash(files, swept.sources),
    }


def finished_before(frame: RunFrame, folder: Path, tools: Toolchain) -> InterruptedSweep | None:
    """The newest run of the same sweep in `folder`, if it was interrupted; None if there is nothing to resume.

    `tools`: the `toolchain` that a run document would have now.
    """
    same_sweeps = [
        before for path in sorted(folder.glob(SAVED)) if (before := read(path)) and is_same(before.run, frame, tools)
    ]
    continued = {before.run.run.continues for before in same_sweeps}  # names order only by the second
    last = [before for before in same_sweeps if before.run.run.id not in continued][-1:]
    return next((before for before in last if before.run.run.status == INTERRUPTED and before.run.cells), None)


def read(path: Path) -> InterruptedSweep | None:
    """A saved sweep; None for a file that cannot be read."""
    try:
        return InterruptedSweep(path, from_json(read_text(path), str(path)))
    except ResultError:
        return None


def is_same(run: RunDocument, frame: RunFrame, tools: Toolchain) -> bool:
    plan = frame.plan
    return (
        run.run.sweep == dict(plan.sweep)
        and run.run.seed == plan.seed
        and run.run.assembler == plan.assembler
        and all(
            getattr(run.device, key) == getattr(frame.device, key)
            for key in ("kind", "name", "uuid_hash", "sm", "driver")
        )
        and run.toolchain == tools
        and {(cell.arch, cell.cache) for cell in run.cells} <= {(plan.arch, plan.cache)}
    )


def plan_of(plan: RunPlan, swept: PairSweep, before: InterruptedSweep | None) -> RunPlan:
    """The plan without finished work: on a GPU complete rounds, without one cells."""
    plan = replace(plan, pair_plans=swept.pair_plans())
    if before is None:
        return plan
    plan = replace(plan, continues=before.run.run.id)
    if swept.kind == "times":
        return replace(plan, begun=tuple(before.run.cells), first_round=min(before.rounds, plan.rounds))
    done = {launch_key(cell) for cell in before.run.cells}
    pair_plans = []
    for pair_plan in plan.pair_plans:
        sizes = tuple(
            size for size in pair_plan.sizes if (tuple(pair_plan.knobs.items()), tuple(size.items())) not in done
        )
        if sizes:
            pair_plans.append(replace(pair_plan, sizes=sizes))
    return replace(plan, pair_plans=tuple(pair_plans))


LaunchKey = tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]
"""The knobs and the size of a launch."""


def launch_key(cell: Cell) -> LaunchKey:
    return tuple(cell.knobs.items()), tuple(cell.size.items())


def in_order(swept: PairSweep, cells: Sequence[Cell]) -> list[Cell]:
    """The cells in the order of the points, the control first."""
    order = {
        (tuple(pair_plan.knobs.items()), tuple(size.items())): (i, k)
        for i, pair_plan in enumerate(swept.pair_plans())
        for k, size in enumerate(pair_plan.sizes)
    }
    return sorted(cells, key=lambda cell: (-1, 0) if cell.control else order.get(launch_key(cell), (len(order), 0)))
