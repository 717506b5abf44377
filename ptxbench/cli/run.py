"""`ptxbench run`: builds, verifies and measures pairs."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ptxbench.cli._dask import dask_option, dask_pool
from ptxbench.cli._device import (
    arch_option,
    assembler_option,
    backend_option,
    cache_of,
    cache_option,
    model_option,
    open_backend,
    rounds_option,
    seed_option,
    timeout_option,
)
from ptxbench.cli._files import json_option, outputs_option, results_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._selection import columns_option, reference_option, require_row, variants_option
from ptxbench.cli._terminal import say
from ptxbench.errors import UsageError

if TYPE_CHECKING:
    from ptxbench.dask_pool import DaskPool
    from ptxbench.metrics import Metric
    from ptxbench.runner import PairPlan, RunFrame, RunOutcome, RunPlan


@click.command("run", short_help="Build, verify and measure pairs.")
@click.argument("pairs", metavar="[PAIR]...", nargs=-1)
@variants_option(
    "Only this variant, by name or glob; repeat. By default all but those that `ptxbench list` marks with a star."
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="N=V,..",
    help="Run at this size, such as n=65536 or rows=3,columns=257, or at `all` bench sizes; repeat. By "
    "default all sizes on a GPU, the first one on the emulator.",
)
@click.option(
    "--all-sizes",
    is_flag=True,
    help="The same as --size all. The emulator skips sizes that take too long, and reports them; --size "
    "N=V,.. runs one of them.",
)
@backend_option()
@arch_option()
@assembler_option
@cache_option()
@model_option()
@kernels_option("Take the pairs of this folder only: it holds pairs/, cuda/ and ptx/. Its pair files are executed.")
@columns_option(
    "Show these metrics, such as time,sass. sass.OPCODE, such as sass.LDG or sass.LDG.128, counts the "
    "machine instructions of one opcode. A part of a name, such as ptx_shared, prints the names with it. By default "
    "the most important metrics; those that a narrow terminal has no room for are named below the tables.",
)
@reference_option(
    "Compare the hand-written PTX with this row in the sentences below the tables. By default the best CUDA C of "
    "each size: the fastest, or without times the one that executes the fewest machine instructions. The findings of "
    "--json compare with this row too, by default with cuda. The columns `... / cuda` do not change.",
)
@rounds_option("Number of new processes to measure in; more give a narrower interval. GPU only.")
@dask_option("cells, or with GPUs the pairs,")
@timeout_option(
    "Abort a kernel after this time without progress in its build or on the GPU. It is marked broken and "
    "the run continues. GPU only."
)
@json_option("Print the run document with its findings, and nothing else, on stdout.")
@outputs_option("Write the results to FILE too, in the format of its suffix: .json, .csv or .md; repeat.")
@results_option("Save the run below this folder.")
@click.option("--no-save", is_flag=True, help="Do not save the run.")
@seed_option("the data, and the order of samples,")
def command(
    pairs: tuple[str, ...],
    variants: tuple[str, ...],
    sizes: tuple[str, ...],
    all_sizes: bool,
    backend: Literal["auto", "gpu", "emulator"],
    arch: str | None,
    assembler: Literal["toolkit", "driver"],
    cache: Literal["cold", "warm"],
    model: str | None,
    kernels: Path,
    columns: str | None,
    reference: str | None,
    as_json: bool,
    outputs: tuple[Path, ...],
    results: Path,
    no_save: bool,
    seed: int,
    rounds: int,
    dask: str | None,
    timeout: float,
) -> int:
    """Build, verify and measure PAIRs, by name or glob, or every pair.

    A time is shown only where both kernels agree with the float64 reference. Without a GPU the emulator verifies
    and counts; there are no times then. `ptxbench view` prints a saved run again.

    Exit status: 0 all verified, 2 usage, 4 a wrong or broken kernel, 5 nothing could be verified, the GPU failed, or
    an instruction that the emulator does not support, 130 interrupted.
    """
    from ptxbench.calibration.record import calibrated
    from ptxbench.cli._saving import OutputFiles, save_somewhere
    from ptxbench.exporters import run_exporters
    from ptxbench.exporters.listing import findings_of_run
    from ptxbench.metrics import REFERENCE, choose_columns
    from ptxbench.output_files import require_writable
    from ptxbench.result import to_json
    from ptxbench.runner import ALL, RunFrame, document

    if all_sizes:
        sizes = (*sizes, ALL)
    metrics = choose_columns(columns)
    files = OutputFiles(outputs, run_exporters(reference))
    with dask_pool(dask, [kernels]) as pool:
        model, model_arch = model_and_arch(model, backend, arch, pool)
        plan = make_plan(
            pairs=pairs,
            variants=variants,
            sizes=sizes,
            backend_name=backend,
            arch=arch,
            assembler=assembler,
            kernels=kernels,
            seed=seed,
            model_arch=model_arch,
            pool=pool,
        )
        require_row(reference, {source.variant for pair_plan in plan.pair_plans for source in pair_plan.sources})
        cache = cache_of(cache, emulated=plan.backend.name == "emulator")
        plan = dataclasses.replace(plan, rounds=rounds, timeout=timeout, model=model, cache=cache)
        frame = RunFrame(plan, plan.backend.device())
        frame = dataclasses.replace(frame, plan=calibrated(plan, results / frame.folder))
        folder = None if no_save else results / frame.folder
        # before the work, so that a run is not lost at its end
        if folder:
            require_writable(folder, "Name another folder with --results, or use --no-save.")
        outcome = perform(frame, metrics, reference, pool, quiet=as_json)
    run = document(frame.on(outcome.gpus), outcome.cells, outcome.status)
    printed = False
    try:
        if as_json and (outcome.cells or not outcome.error):
            say(to_json(run, findings=findings_of_run(run, reference or REFERENCE)), nl=False)
            printed = True
    finally:  # also if stdout cannot be written to
        failures = [
            save_somewhere(run, folder, printed=printed) if folder and outcome.cells else None,
            files.try_write(run),
            outcome.error,
        ]
    for failure in filter(None, failures):
        raise failure
    return outcome.exit_status


def model_and_arch(
    model: str | None, backend: str, arch: str | None, pool: DaskPool | None = None
) -> tuple[str | None, str | None]:
    """The GPU to model and its architecture, or that of --arch; no model if a GPU measures.

    Raises UsageError if --arch names another architecture than the model's.
    """
    from ptxbench import backends
    from ptxbench.specifications import MODELS

    if model is None:
        return None, arch
    opened = pool.open_backend(backend) if pool else backends.open_backend(backend)
    if opened.name != "emulator":
        say("--model is ignored: a GPU is available, and its times are measured.", err=True)
        return None, arch
    model_arch = MODELS[model][0]
    if arch is not None and arch.rstrip("af") != model_arch:
        raise UsageError(f"--model {model} is a GPU of {model_arch}, found --arch {arch}. Leave out --arch.")
    return model, arch or model_arch


def make_plan(
    pairs: Sequence[str],
    variants: Sequence[str],
    sizes: Sequence[str],
    backend_name: str,
    arch: str | None,
    assembler: Literal["toolkit", "driver"],
    kernels: Path,
    seed: int,
    model_arch: str | None = None,
    pool: DaskPool | None = None,
) -> RunPlan:
    """The plan that the command line requests. `model_arch`: the architecture of --model. `pool`: of --dask.

    Without `arch` a pair whose PTX exists for some targets only is built for one of them.
    Raises UsageError, PairError and ToolMissing before anything runs.
    """
    from ptxbench.device_shape import DeviceShape
    from ptxbench.runner import RunPlan, plan_pairs

    backend = (pool.open_backend if pool else open_backend)(backend_name, arch or model_arch)
    emulated = backend.name == "emulator"
    if assembler == "driver" and emulated:
        raise UsageError("The emulator has no driver to assemble PTX. Leave out --assembler, or use --backend gpu.")
    device = backend.device()
    pair_plans, skipped = plan_pairs(kernels, pairs, variants, sizes, emulated=emulated, device=DeviceShape.of(device))
    run_arch = arch or model_arch or device.sm
    if arch is None:
        any_gpu = emulated and model_arch is None
        pair_plans = tuple(pair_plan.for_architecture(run_arch, any_gpu=any_gpu) for pair_plan in pair_plans)
    if skipped:
        say(f"Skipped, no such variant or size: {', '.join(skipped)}.", err=True)
    warn_too_large(pair_plans)
    return RunPlan(
        pair_plans=pair_plans,
        backend=backend,
        arch=run_arch,
        kernels=kernels,
        assembler=assembler,
        seed=seed,
        argv=tuple(sys.argv[1:]),
    )


def warn_too_large(pair_plans: Sequence[PairPlan]) -> None:
    """Name on stderr the bench sizes that the emulator skips, and how to run one anyway."""
    from ptxbench.runner.plan import MOST_BYTES, MOST_FLOPS

    if not any(pair_plan.too_large for pair_plan in pair_plans):
        return
    say(
        f"Skipped on the emulator: more than {MOST_BYTES >> 20} MiB or {MOST_FLOPS // 10**9} Gflop is too slow. "
        "Run one of them with --size:",
        err=True,
    )
    for pair_plan in pair_plans:
        if pair_plan.too_large:
            sizes = "  ".join(
                ",".join(f"{name}={value}" for name, value in size.items()) for size in pair_plan.too_large
            )
            say(f"  {pair_plan.loaded.name}  {sizes}", err=True)


def perform(
    frame: RunFrame,
    metrics: Sequence[Metric],
    reference: str | None = None,
    pool: DaskPool | None = None,
    *,
    quiet: bool,
) -> RunOutcome:
    """Run the plan and print each block as soon as its cell is finished; `quiet` prints nothing on stdout.

    After Ctrl-C or an error, the finished cells are kept.
    """
    from ptxbench.cli._blocks import Blocks
    from ptxbench.cli._progress import Bar
    from ptxbench.result import INTERRUPTED
    from ptxbench.runner import CellDone, RunOutcome, Step, carry_out

    outcome = RunOutcome()
    blocks = Blocks(metrics, reference, quiet=quiet)
    with Bar() as bar:
        try:
            for event in carry_out(frame.plan, pool, bar.show):
                outcome.add(event)
                if isinstance(event, Step):
                    bar.show(event)
                elif isinstance(event, CellDone):
                    with bar.paused():
                        blocks.add(event)
        except KeyboardInterrupt:
            outcome.interrupt()
        except (Exception, SystemExit) as error:  # raised again once the finished cells are saved
            outcome.interrupt(error)
    outcome.finish()
    blocks.finish(frame.on(outcome.gpus).timed_on)
    if outcome.lost or (outcome.status == INTERRUPTED and not outcome.error):
        ending = f"The device cannot be used any more: {outcome.lost}" if outcome.lost else "Interrupted"
        finished = sum(not cell.control for cell in outcome.cells)
        planned = sum(len(pair_plan.sizes) for pair_plan in frame.plan.pair_plans)
        say(f"{ending.rstrip('.')}. {finished} of {planned} cells are finished.", err=True)
    return outcome
