"""`ptxbench gate --confirm`: measures the failing and INCONCLUSIVE rows again, in their own run, which is saved."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptxbench.cli._terminal import say
from ptxbench.errors import PtxbenchError, ToolMissing, UsageError

if TYPE_CHECKING:
    from ptxbench.result import Cell, RunDocument
    from ptxbench.runner import PairPlan, RunFrame
    from ptxbench.verdict.gate import Gate

BRING_BACK = "Restore the kernels of that run, or gate a new run."


def confirm(first: Gate, kernels: Path, results: Path) -> Gate | None:
    """The gate of the head and one more run of its failing or INCONCLUSIVE rows; None if that was interrupted.

    Cells that were confirmed before are not measured again. Raises UsageError if the head was made with other kernels
    or tools, and the errors of making and saving a run.
    """
    from ptxbench.result import INTERRUPTED
    from ptxbench.verdict.confirmation import cell_key, doubtful, judge_together

    head = first.head
    if head.run.confirms is not None:
        raise UsageError(f"Run {head.run.id} is a confirmation of {head.run.confirms}. Gate that run.")
    if head.run.sweep is not None:
        raise cannot_confirm(head, "it is a sweep of `ptxbench tune`, not a run of the pairs.")
    if not head.run.id.isalnum():
        raise cannot_confirm(head, "its id cannot be part of a file name.")
    doubtful_cells = doubtful(first)
    if not doubtful_cells:
        say("Nothing to confirm: no row fails by a number, is wrong or is undecided.", err=True)
        return first
    earlier = confirmations(head, results)
    confirmed = {cell_key(cell) for run in earlier for cell in run.cells}
    remaining = [cell for cell in doubtful_cells if cell_key(cell) not in confirmed]
    runs = list(earlier)
    if remaining:
        rerun = run_again(first, remaining, kernels, results)
        if rerun.run.status == INTERRUPTED:
            return None
        runs.append(rerun)
    return judge_together(first, runs)


def confirmations(head: RunDocument, results: Path) -> list[RunDocument]:
    """The runs that confirmed `head` before, the oldest first."""
    from ptxbench.saved_runs import read_run

    paths = results.rglob(f"*.confirms-{head.run.id}.json")
    return [read_run(path) for path in sorted(paths, key=lambda path: path.name)]


def run_again(first: Gate, cells: Sequence[Cell], kernels: Path, results: Path) -> RunDocument:
    """A run of these cells, saved next to the head; its name says which run it confirms, and `latest` ignores it."""
    from ptxbench.cli.run import perform
    from ptxbench.output_files import require_writable
    from ptxbench.result import INTERRUPTED, save
    from ptxbench.runner import document

    head = first.head
    frame = make_frame(first, cells, kernels, results)
    folder = results / frame.folder
    require_writable(folder, "Name another folder with --results.")
    done = perform(frame, (), quiet=True)
    run = document(frame, done.cells, done.status)
    run = dataclasses.replace(run, run=dataclasses.replace(run.run, confirms=head.run.id))
    if done.error:
        raise done.error
    if done.status != INTERRUPTED:
        require_same(head, run)
        say(f"Saved {save(run, folder)}", err=True)
    return run


def make_frame(first: Gate, cells: Sequence[Cell], kernels: Path, results: Path) -> RunFrame:
    """The run of these cells with the head's settings. Raises UsageError if kernels, tools or device have changed."""
    from ptxbench.backends import open_backend
    from ptxbench.calibration.record import calibrated
    from ptxbench.result import COMPLETE, WARM
    from ptxbench.runner import RunFrame, RunPlan, document
    from ptxbench.verdict.confirmation import obstacles
    from ptxbench.verdict.verdicts import LEAST_ROUNDS

    head = first.head
    seed, arch = head.run.seed, cells[0].arch
    try:
        backend = open_backend("emulator" if head.device.is_emulator else "gpu", arch)
        pair_plans = [pair_plan_of(cell, kernels) for cell in cells]
    except ToolMissing:
        raise cannot_confirm(
            head, "it was timed, and no GPU is available here (ptxbench doctor). Confirm it elsewhere."
        ) from None
    except PtxbenchError as error:
        raise cannot_confirm(head, str(error)) from None
    plan = RunPlan(
        pair_plans=merged_plans(pair_plans),
        backend=backend,
        arch=arch,
        kernels=kernels,
        assembler="driver" if head.run.assembler == "driver" else "toolkit",
        cache="warm" if cells[0].cache == WARM else "cold",
        seed=seed if isinstance(seed, int) else 1,
        rounds=max(LEAST_ROUNDS, *(len({timed_round.round for timed_round in cell.rounds}) for cell in cells)),
        argv=tuple(sys.argv[1:]),
    )
    frame = RunFrame(plan, backend.device())
    frame = dataclasses.replace(frame, plan=calibrated(plan, results / frame.folder))
    if differences := obstacles(head, document(frame, [], COMPLETE), first):
        raise cannot_confirm(
            head,
            f"{'; '.join(map(str, differences))}. Confirm it on the machine that made it, or gate a run made here.",
        )
    return frame


def cannot_confirm(head: RunDocument, why: str) -> UsageError:
    return UsageError(f"Cannot confirm run {head.run.id}: {why}")


def pair_plan_of(cell: Cell, kernels: Path) -> PairPlan:
    """The plan of a cell: its pair with its variants at its size. Raises UsageError if their files have changed."""
    from ptxbench.discovery import display_path, find_pairs, load, select
    from ptxbench.result import LIBRARY
    from ptxbench.runner import PairPlan
    from ptxbench.toolchain.source_hash import has_headers, hash_of_source

    select(find_pairs(kernels), [cell.pair])
    loaded = load(kernels, cell.pair)
    if set(loaded.pair.bench_sizes[0]) != set(cell.size):
        raise UsageError(f"the sizes of {cell.pair} have changed. {BRING_BACK}")
    sources = {source.variant: source for source in loaded.sources}
    for variant, result in cell.variants.items():
        if result.language == LIBRARY:
            continue  # not judged, so not confirmed
        if variant not in sources:
            raise UsageError(f"{cell.pair} has no variant '{variant}' any more. {BRING_BACK}")
        source = sources[variant].on(cell.arch)
        if result.build and result.build.source_sha256 != hash_of_source(source):
            or_header = " or a header that it includes" if has_headers(source) else ""
            raise UsageError(f"{display_path(source.path)}{or_header} has changed since the build. {BRING_BACK}")
    chosen = tuple(source for name, source in sources.items() if name in cell.variants)
    return PairPlan(loaded, chosen, (cell.size,), arch=cell.arch)


def merged_plans(pair_plans: Sequence[PairPlan]) -> tuple[PairPlan, ...]:
    """One plan per pair, with all its variants and sizes."""
    by_pair: dict[str, PairPlan] = {}
    for pair_plan in pair_plans:
        merged = by_pair.setdefault(pair_plan.loaded.name, pair_plan)
        if merged is not pair_plan:
            sources = tuple(dict.fromkeys((*merged.sources, *pair_plan.sources)))
            by_pair[pair_plan.loaded.name] = dataclasses.replace(
                merged, sources=sources, sizes=(*merged.sizes, *pair_plan.sizes)
            )
    return tuple(by_pair.values())


def require_same(head: RunDocument, rerun: RunDocument) -> None:
    """Raise UsageError if a cell that ran again differs from the head's."""
    from ptxbench.verdict.confirmation import cell_key, changes

    cells = {cell_key(cell): cell for cell in head.cells}
    for cell in rerun.cells:
        before = cells.get(cell_key(cell))
        if before and (changed := changes(before, cell)):
            raise cannot_confirm(head, f"{cell.pair} has changed: {'; '.join(changed)}. {BRING_BACK}")
