"""`ptxbench tune PAIR`: a sweep over the pair's knobs, and its curves."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click

from ptxbench.cli._dask import dask_option, dask_pool
from ptxbench.cli._device import (
    arch_option,
    assembler_option,
    backend_option,
    cache_of,
    cache_option,
    open_backend,
    rounds_option,
    seed_option,
    timeout_option,
)
from ptxbench.cli._files import json_option, outputs_option, results_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._selection import variants_option
from ptxbench.cli._terminal import say
from ptxbench.errors import UsageError


@click.command("tune", short_help="Sweep the knobs of a pair and draw the curves.")
@click.argument("pair", metavar="PAIR")
@click.option(
    "--knob",
    "knobs",
    multiple=True,
    metavar="NAME=VALUES",
    help="Sweep a knob or a dimension: values and ranges, such as 0,4,8..64 or 4096..65536*2 or 32..1024+32; "
    "repeat for a second one.  [default: what the pair declares]",
)
@variants_option("Sweep these variants, by name or glob; repeat.  [default: cuda and ptx]")
@click.option("--size", "size", metavar="N=V,..", help="Fixed dimensions of every point, such as n=65536.")
@click.option(
    "--metric",
    metavar="NAME",
    help="The metric that decides the best point: a figure of the pair or a metric.  [default: the pair's "
    "first figure, else time on a GPU, ptx_warp_instructions without one]",
)
@backend_option()
@arch_option()
@assembler_option
@cache_option()
@kernels_option("Take the pair from this folder: it holds pairs/, cuda/ and ptx/. Its pair file is executed.")
@rounds_option("How often to visit every point. GPU only.")
@dask_option("points")
@timeout_option("Abort a kernel after this time without progress. GPU only.")
@click.option("--no-resume", is_flag=True, help="Start again, even if the same sweep was interrupted.")
@json_option("Print points, values and the best point as JSON, and nothing else.")
@outputs_option("Write the curves to FILE, in the format of its suffix: .svg or .json; repeat.")
@results_option("Save the sweep below this folder, and look there for an interrupted one.")
@click.option("--no-save", is_flag=True, help="Do not save the sweep.")
@seed_option("the data, and the order of points,")
def command(
    pair: str,
    knobs: tuple[str, ...],
    variants: tuple[str, ...],
    size: str | None,
    metric: str | None,
    backend: Literal["auto", "gpu", "emulator"],
    arch: str | None,
    assembler: Literal["toolkit", "driver"],
    cache: Literal["cold", "warm"],
    kernels: Path,
    rounds: int,
    dask: str | None,
    timeout: float,
    no_resume: bool,
    as_json: bool,
    outputs: tuple[Path, ...],
    results: Path,
    no_save: bool,
    seed: int,
) -> int:
    """Sweep the knobs of PAIR and draw the curves.

    Every point is built and verified. On a GPU it is then timed, and each round visits all points in another order;
    on the emulator it is counted. Ctrl-C saves what is done; the same command resumes. `ptxbench view` draws a saved
    sweep again.

    Exit status: 0 all verified, 2 usage, 4 a wrong or broken kernel, 5 nothing could be verified or the GPU failed,
    130 interrupted.
    """
    from ptxbench.calibration.record import calibrated
    from ptxbench.cli._saving import OutputFiles, save_somewhere
    from ptxbench.cli._sweep import exit_status, perform, requested_sweep, show
    from ptxbench.exporters.curves import EXPORTERS
    from ptxbench.output_files import require_writable
    from ptxbench.result import COMPLETE
    from ptxbench.runner import RunFrame, RunPlan, document
    from ptxbench.tune import curves, finished_before, plan_of, spec_of
    from ptxbench.tune.curve import choose_quantities

    files = OutputFiles(outputs, EXPORTERS)
    used_backend = open_backend(counting_backend(dask, backend), arch)
    swept = requested_sweep(used_backend, pair, knobs, variants, size, kernels)
    if assembler == "driver" and swept.kind == "counts":
        raise UsageError("The emulator has no driver to assemble PTX. Leave out --assembler, or use --backend gpu.")
    choose_quantities(swept, metric)  # an unknown name is reported before the work
    plan = RunPlan(
        (),
        used_backend,
        arch or swept.loaded.arch(used_backend.device().sm, any_gpu=swept.kind == "counts"),
        kernels,
        assembler=assembler,
        cache=cache_of(cache, emulated=swept.kind == "counts"),
        seed=seed,
        rounds=rounds,
        timeout=timeout,
        argv=tuple(sys.argv[1:]),
        sweep=spec_of(swept),
    )
    frame = RunFrame(plan, used_backend.device())
    frame = replace(frame, plan=calibrated(plan, results / frame.folder))
    folder = None if no_save else results / frame.folder
    if folder:
        require_writable(folder, "Name another folder with --results, or use --no-save.")
    interrupted = None
    if folder and not no_resume:
        interrupted = finished_before(frame, folder, document(frame, (), "").toolchain)
    frame = replace(frame, plan=plan_of(frame.plan, swept, interrupted))
    if interrupted:
        say(f"Resuming the interrupted sweep {interrupted.path}; use --no-resume to start again.", err=True)
    with dask_pool(dask, [kernels]) as pool:
        run, error = perform(frame, swept, interrupted.run.cells if interrupted else (), pool)
    try:
        sweep_curves = curves(swept, run.cells, metric)
        if run.cells or run.run.status == COMPLETE:
            show(sweep_curves, run, as_json=as_json, files=files)
    finally:  # also if a figure of the pair fails, or stdout cannot be written to
        failure = save_somewhere(run, folder, printed=False) if folder and run.cells else None
    for failed in filter(None, (failure, error)):
        raise failed
    return exit_status(sweep_curves, run.run.status)


def counting_backend(address: str | None, backend: str) -> str:
    """The value of --backend. With --dask it is the emulator, because points are then counted and not timed.

    Raises UsageError for --backend gpu.
    """
    if address is None:
        return backend
    if backend == "gpu":
        raise UsageError(
            "--dask counts on the emulator: the times of a sweep are compared with each other, so one GPU must "
            "measure them all. Leave out --dask, or leave out --backend gpu."
        )
    return "emulator"
