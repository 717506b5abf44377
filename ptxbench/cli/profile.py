"""`ptxbench profile`: one launch of one variant under Nsight Compute, next to the emulator's counts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._device import arch_option, seed_option
from ptxbench.cli._files import json_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._terminal import say
from ptxbench.errors import ResultError, UsageError

if TYPE_CHECKING:
    from ptxbench.profiling.launch import ProfiledVariant
    from ptxbench.profiling.ncu import ProfileTarget
    from ptxbench.profiling.table import ProfiledLaunch


@click.command("profile", short_help="Count one launch by Nsight Compute and by the emulator.")
@click.argument("pair", metavar="PAIR")
@click.option("--variant", default="ptx", metavar="NAME", help="Profile this variant.")
@click.option("--size", metavar="N=V,..", help="Launch at this size.  [default: the first bench size]")
@arch_option()
@kernels_option("Take the pair from this folder: it holds pairs/, cuda/ and ptx/. Its pair file is executed.")
@seed_option("the data")
@click.option(
    "--read",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Read the counts that the printed command wrote, and print them next to the emulator's.",
)
@click.option("--run", "run_here", is_flag=True, help="Run the command here, on a GPU with ncu, and read its counts.")
@click.option("--launch", is_flag=True, help="Only launch the variant once on the GPU: the process that ncu profiles.")
@json_option("Print the counts as JSON, and nothing else, on stdout.")
def command(
    pair: str,
    variant: str,
    size: str | None,
    arch: str | None,
    kernels: Path,
    seed: int,
    read: Path | None,
    run_here: bool,
    launch: bool,
    as_json: bool,
) -> None:
    """Print the command with which Nsight Compute (ncu) counts a single launch of a variant of PAIR.

    Run that command on a machine with a GPU, with the same version of ptxbench. It writes a CSV file. --read prints
    its counts next to those of the emulator, and needs no GPU. Add sections or metrics to the command as you like.

    Exit status: 0 good, 2 usage, no GPU, or a file that is not of this launch, 4 a kernel that cannot be built or
    fails, 5 ncu is not installed or cannot count.
    """
    from ptxbench import architecture
    from ptxbench.profiling import ncu

    if sum([read is not None, run_here, launch]) > 1:
        raise UsageError("--read, --run and --launch exclude each other. Choose one.")
    if as_json and not (read or run_here):
        raise UsageError("--json prints counts. Add --read FILE or --run.")
    if arch:
        architecture.require(arch)
    profiled = variant_of(pair, variant, size, kernels, seed)
    if launch:
        profiled.launch_on_gpu(arch)
        return
    target = target_of(profiled, arch, kernels)
    if run_here:
        show(profiled, ncu.profile(ncu.find(), target), arch, as_json=as_json)
    elif read:
        show(profiled, launch_in(read, profiled), arch, as_json=as_json)
    else:
        log = Path(f"{target.pair}-{target.variant}.csv")
        say(shlex.join(ncu.command(ncu.PROGRAM, target, log, ["ptxbench"])))
        say(f"\nIt writes {log}. Then print both counts: ptxbench {shlex.join(reading_command(target, log))}", err=True)


def variant_of(pair: str, variant: str, size: str | None, kernels: Path, seed: int) -> ProfiledVariant:
    """The variant that the command line names. Raises UsageError if it names several, or none."""
    from ptxbench.discovery import choose_pair
    from ptxbench.profiling.launch import ProfiledVariant
    from ptxbench.runner import plan_pairs

    name = choose_pair(kernels, pair)
    pair_plans, _ = plan_pairs(kernels, [name], [variant], [size] if size else [])
    (plan,) = pair_plans
    if len(plan.sources) > 1 or len(plan.sizes) > 1:
        choices = [source.variant for source in plan.sources] if len(plan.sources) > 1 else ["several sizes"]
        raise UsageError(f"One launch is profiled, found {', '.join(choices)}. Name one variant and one size.")
    profiled = ProfiledVariant(plan, plan.sources[0], plan.sizes[0], seed)
    if (launches := profiled.launch.launches) > 1:
        raise UsageError(f"{name} is a chain of {launches} launches; profiles of a chain are not available.")
    return profiled


def target_of(profiled: ProfiledVariant, arch: str | None, kernels: Path) -> ProfileTarget:
    from ptxbench.discovery import default_kernels
    from ptxbench.profiling.ncu import ProfileTarget

    return ProfileTarget(
        None if kernels == default_kernels() else kernels,
        profiled.pair_plan.loaded.name,
        profiled.source.variant,
        profiled.source.entry,
        tuple(profiled.size.items()),
        arch,
        profiled.seed,
    )


def reading_command(target: ProfileTarget, log: Path) -> list[str]:
    """The words of the command that reads the counts."""
    return [*target.words[:-1], "--read", str(log)]


def launch_in(path: Path, profiled: ProfiledVariant) -> ProfiledLaunch:
    """The launch of the variant in a file of Nsight Compute. Raises ResultError if the file does not have it."""
    from ptxbench.documents import read_text
    from ptxbench.profiling.table import read

    launches = read(read_text(path))
    if not launches:
        raise ResultError(f"{path} has no table of ncu: expected the file of --log-file, or the output of ncu --csv.")
    matching = [launch for launch in launches if launch.kernel in (profiled.source.entry, None)]
    if not matching:
        kernels = ", ".join(sorted({launch.kernel for launch in launches if launch.kernel}))
        raise ResultError(f"{path} has no launch of '{profiled.source.entry}'; it has {kernels}.")
    expected = profiled.launch
    for name, actual, wanted in (
        ("grid", matching[0].grid, expected.grid_xyz),
        ("block", matching[0].block, expected.block_xyz),
    ):
        if actual is not None and actual != wanted:
            raise ResultError(
                f"{path} has a launch with {name} {actual}: expected {wanted}. Name its --size and --variant."
            )
    return matching[0]


def show(profiled: ProfiledVariant, measured: ProfiledLaunch, arch: str | None, *, as_json: bool) -> None:
    """Print both counts. The emulator counts for the architecture of the GPU, which the table names."""
    from ptxbench.cli._blocks import open_console
    from ptxbench.cli._progress import Bar
    from ptxbench.profiling.counters import agreements
    from ptxbench.terminal.profile import ProfileReport

    counted_arch = arch or measured.arch
    if arch is None and counted_arch is not None:
        counted_arch = profiled.pair_plan.loaded.arch(counted_arch, any_gpu=False)
    if counted_arch is None:
        raise UsageError("The file does not name the GPU's architecture. Add --arch, such as --arch sm_90.")
    name, variant = profiled.pair_plan.loaded.name, profiled.source.variant
    with Bar() as bar:
        bar.update(0, 1, f"count {name} {variant} on the emulator")
        emulated, bounds = profiled.counts(counted_arch)
    compared = agreements(name, variant, profiled.size, emulated, measured.counts, bounds)
    if not compared:
        raise ResultError("The file has no counter that the emulator counts too. Use the command that profile prints.")
    if as_json:
        from ptxbench.exporters.profile import to_json

        say(to_json(counted_arch, compared), nl=False)
    else:
        open_console().print(ProfileReport(counted_arch, compared))
