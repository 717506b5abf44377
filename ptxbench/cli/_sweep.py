"""The steps of `ptxbench tune`: what is requested, the running sweep, and its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptxbench.backends.base import Backend
from ptxbench.cli._blocks import open_console
from ptxbench.cli._progress import Bar
from ptxbench.cli._saving import OutputFiles
from ptxbench.cli._terminal import say
from ptxbench.device_shape import DeviceShape
from ptxbench.discovery import choose_pair, display_path, find_pairs, load, select
from ptxbench.documents import build
from ptxbench.errors import UsageError
from ptxbench.exit_status import ExitStatus
from ptxbench.exporters.curves import to_json
from ptxbench.metrics import REFERENCE
from ptxbench.pool import GpuPool
from ptxbench.result import (
    BROKEN,
    COMPLETE,
    DEVICE_LOST,
    INTERRUPTED,
    UNSUPPORTED,
    VERIFIED,
    WRONG,
    Cell,
    RunDocument,
)
from ptxbench.run_info import Device
from ptxbench.runner import CellDone, DeviceLost, ResultsSoFar, RunFrame, Step, carry_out, document
from ptxbench.runner.plan import parse_size
from ptxbench.terminal.curve import CurveReport
from ptxbench.tune import Curves, PairSweep, curves, sweep_of
from ptxbench.tune.curve import unbuildable
from ptxbench.tune.notation import parse_knob
from ptxbench.tune.points import EMULATED_SMS, SweepKind
from ptxbench.tune.sweep import in_order
from ptxbench.units import size_words

BOTH_SIDES = (REFERENCE, "ptx")
"""The variants of a sweep by default."""


def requested_sweep(
    backend: Backend, name: str, knobs: Sequence[str], variants: Sequence[str], size: str | None, kernels: Path
) -> PairSweep:
    """The sweep that a command line requests. Raises UsageError and PairError before anything runs."""
    values: dict[str, Sequence[int]] = {}
    for text in knobs:
        knob, settings = parse_knob(text)
        if knob in values:
            raise UsageError(f"--knob {knob} is given twice. Put all its values into one.")
        values[knob] = settings
    kind: SweepKind = "counts" if backend.name == "emulator" else "times"
    return sweep(
        kernels,
        choose_pair(kernels, name),
        kind,
        values=values,
        size=parse_size(size) if size else {},
        variants=variants,
        device=backend.device(),
    )


def sweep(
    kernels: Path,
    name: str,
    kind: SweepKind,
    *,
    values: Mapping[str, Sequence[int]],
    size: Mapping[str, int],
    variants: Sequence[str],
    device: Device,
) -> PairSweep:
    loaded = load(kernels, name, DeviceShape.of(device))
    chosen = set(select([source.variant for source in loaded.sources], variants or BOTH_SIDES, "variant"))
    if kind == "times":
        chosen.add(REFERENCE)  # every time is compared with it
    sources = tuple(source for source in loaded.sources if source.variant in chosen)
    return sweep_of(loaded, sources, kind, values=values, size=size, sms=device.sms or EMULATED_SMS)


def recorded_sweep(path: Path, run: RunDocument, kernels: Path, metric: str | None) -> Curves:
    """A recorded sweep, read from `path`, with its figures computed again by its pair.

    Raises UsageError if `kernels` lacks the pair, and ResultError for a damaged sweep.
    """
    where = f"{path}: run: sweep"
    spec = build(Mapping[str, Any], run.run.sweep, where)
    name = build(str, spec.get("pair"), f"{where}: pair")
    values = build(Mapping[str, Sequence[int]], spec.get("values"), f"{where}: values")
    variants = build(Sequence[str], spec.get("variants"), f"{where}: variants")
    size = build(Mapping[str, int], spec.get("size"), f"{where}: size")
    size = {key: value for key, value in size.items() if key not in values}
    if name not in find_pairs(kernels):
        raise UsageError(
            f"{path} is a sweep of '{name}', a pair that {display_path(kernels)} does not have. Name the folder of the "
            "pair with --kernels."
        )
    kind: SweepKind = "counts" if run.device.is_emulator else "times"
    swept = sweep(kernels, name, kind, values=values, size=size, variants=variants, device=run.device)
    return curves(swept, run.cells, metric)


def perform(
    frame: RunFrame, swept: PairSweep, earlier_cells: Sequence[Cell], pool: GpuPool | None = None
) -> tuple[RunDocument, BaseException | None]:
    """Run the rest of the sweep. `earlier_cells`: valid cells of an interrupted run. Returns the run, and the error
    that ended it early.

    After Ctrl-C or an error, the finished cells are kept.
    """
    cells: list[Cell] = list(earlier_cells) if swept.kind == "counts" else []
    complete_rounds: Sequence[Cell] = tuple(earlier_cells)
    total = sum(len(pair_plan.sizes) for pair_plan in swept.pair_plans())
    status, error, ending, last_step = COMPLETE, None, None, ""
    with Bar() as bar:

        def show_step(step: Step) -> None:
            bar.update(len(cells), total, step_words(step))

        try:
            for event in carry_out(frame.plan, pool, show_step):
                if isinstance(event, Step):
                    last_step = step_words(event)
                    done, total_steps = (len(cells), total) if swept.kind == "counts" else (event.done, event.total)
                    bar.update(done, total_steps, last_step)
                elif isinstance(event, CellDone):
                    cells.append(event.cell)
                    bar.update(len(cells), total, last_step)
                elif isinstance(event, ResultsSoFar) and event.whole:
                    complete_rounds = event.cells
                elif isinstance(event, DeviceLost):
                    status, ending = DEVICE_LOST, f"The device cannot be used any more: {event.reason.rstrip('.')}"
        except KeyboardInterrupt:
            status, ending = INTERRUPTED, "Interrupted"
        except (Exception, SystemExit) as failure:  # raised again once the finished cells are saved
            status, error = INTERRUPTED, failure
    if status != COMPLETE and swept.kind == "times" and not cells:
        cells = list(complete_rounds)  # the complete rounds of every point
    if ending:
        finished = sum(not cell.control for cell in cells)
        say(f"{ending}. {finished} of {total} launches are finished; the same command resumes there.", err=True)
    return document(frame, in_order(swept, cells), status), error


def step_words(step: Step) -> str:
    point = size_words({**(step.size or {}), **step.knobs})
    return f"{step.phase} {step.pair} {step.variant}{f' at {point}' if point else ''}"


def show(sweep_curves: Curves, run: RunDocument, *, as_json: bool, files: OutputFiles) -> None:
    """The curves on stdout, and in the user's files."""
    if as_json:
        say(to_json(sweep_curves, run), nl=False)
    else:
        open_console().print(CurveReport(sweep_curves))
    files.write(sweep_curves, run, report=True)


def exit_status(curves: Curves, status: str) -> ExitStatus:
    """The exit status, by the results of the kernels; points that cannot be built do not count against them."""
    results = [
        result for statuses in curves.statuses.values() for result in statuses if result and not unbuildable(result)
    ]
    kinds = {result.status for result in results}
    if status == INTERRUPTED:
        return ExitStatus.INTERRUPTED
    if kinds & {WRONG, BROKEN}:
        return ExitStatus.WRONG_KERNEL
    if status == DEVICE_LOST or UNSUPPORTED in kinds or VERIFIED not in kinds:
        return ExitStatus.NO_VERDICT
    return ExitStatus.GOOD
