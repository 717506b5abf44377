"""The options of a launch on the emulator, shared by all commands that launch kernels of files."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ptxbench.errors import UsageError

if TYPE_CHECKING:
    from ptxbench.arguments import Parsed
    from ptxbench.execution import ExecLaunch

Command = Callable[..., Any]


@dataclass(frozen=True)
class LaunchFlags:
    """What the command line says about a launch; None or empty for an option that was not given."""

    grid: tuple[str, ...]
    block: tuple[str, ...]
    cluster: tuple[str, ...]
    shared: tuple[int, ...]
    args: tuple[str, ...]
    sanitize: bool
    threads: int | None
    max_loop_iterations: int | None
    seed: int | None

    @property
    def options_used(self) -> tuple[str, ...]:
        """The options that were given."""
        values = {
            "--grid": self.grid,
            "--block": self.block,
            "--cluster": self.cluster,
            "--shared": self.shared,
            "--arg": self.args,
            "--sanitize": self.sanitize,
            "--threads": self.threads,
            "--max-loop-iterations": self.max_loop_iterations,
            "--seed": self.seed is not None,
        }
        return tuple(name for name, value in values.items() if value)

    def arguments(self) -> list[Parsed]:
        """The arguments of the kernel. Raises UsageError for text that cannot be read."""
        from ptxbench.arguments import parse

        return [parse(text) for text in self.args]

    def launches(self, kernels: int = 1) -> list[ExecLaunch]:
        """The launch of each kernel: an option that was given once is for all of them.

        Raises UsageError for an extent that cannot be read, and for an option that was given more often.
        """
        from ptxbench.execution import ExecLaunch

        return [
            ExecLaunch(
                extent(grid or "1", "--grid"),
                extent(block, "--block") if block else None,
                shared or 0,
                self.sanitize,
                self.threads,
                self.max_loop_iterations,
                1 if self.seed is None else self.seed,
                extent(cluster, "--cluster") if cluster else None,
            )
            for grid, block, cluster, shared in zip(
                for_each("--grid", self.grid, kernels),
                for_each("--block", self.block, kernels),
                for_each("--cluster", self.cluster, kernels),
                for_each("--shared", self.shared, kernels),
                strict=True,
            )
        ]


def for_each(option: str, values: Sequence[Any], kernels: int) -> list[Any]:
    """The value of an option for each kernel, None if it was not given. Raises UsageError for a wrong number."""
    if len(values) in (0, 1):
        return [*values, *[None][len(values) :]] * kernels
    if len(values) != kernels:
        most = "once" if kernels == 1 else f"once, or {kernels} times, one value for each kernel"
        raise UsageError(f"{option} is given {len(values)} times. Give it {most}.")
    return list(values)


def extent(text: str, option: str) -> tuple[int, int, int]:
    """`64`, `8,8` or `8,8,2` as three numbers."""
    parts = re.split(r"[,x]", text)
    if not 1 <= len(parts) <= 3 or not all(re.fullmatch(r"0*[1-9]\d{0,17}", part, re.A) for part in parts):
        raise UsageError(f"{option} is '{text}'; write one to three whole numbers of at least 1, such as 64 or 16,16.")
    x, y, z = (*map(int, parts), 1, 1)[:3]
    return x, y, z


def launch_options(command: Command) -> Command:
    """Adds the options OPTIONS; the command gets them as `launch`."""

    @functools.wraps(command)
    def with_launch(**values: Any) -> Any:
        launch = LaunchFlags(**{name: values.pop(name) for name in LaunchFlags.__dataclass_fields__})
        return command(launch=launch, **values)

    for option in reversed(OPTIONS):
        with_launch = option(with_launch)
    return with_launch


OPTIONS = (
    click.option("--grid", multiple=True, metavar="X[,Y[,Z]]", help="CTAs to launch.  [default: 1]"),
    click.option(
        "--block",
        multiple=True,
        metavar="X[,Y[,Z]]",
        help="Threads of a CTA.  [default: what the kernel's .reqntid says, else 32]",
    ),
    click.option(
        "--cluster",
        multiple=True,
        metavar="X[,Y[,Z]]",
        help="CTAs of a cluster.  [default: what the kernel's .reqnctapercluster says, else none]",
    ),
    click.option(
        "--shared",
        multiple=True,
        metavar="BYTES",
        type=click.IntRange(0),
        help="Dynamic shared memory of a CTA.  [default: 0]",
    ),
    click.option(
        "--arg",
        "args",
        multiple=True,
        metavar="ARG",
        help="An argument, in order or by name; repeat. u32=1024 and f32=2.5 are passed by value. "
        "'f32[1024]=random' is an array; instead of random: zeros, iota, a number or FILE.npy. x:f32=2.5 is "
        "for the parameter x, 0:f32=2.5 for the first parameter. '{f32[32]=iota, u32=32}' is a struct by "
        "value, '&{...}' the address of a struct, '&x[16]' the address of an element of x.",
    ),
    click.option("--sanitize", is_flag=True, help="Report all faults, races and uninitialised reads; slower."),
    click.option("--threads", type=click.IntRange(1), metavar="N", help="Host threads.  [default: one per core]"),
    click.option(
        "--max-loop-iterations",
        type=click.IntRange(1),
        metavar="N",
        help="Loop iterations that a warp may run.  [default: 2^27, with --sanitize 2^25, divided by the warps "
        "of a CTA or cluster]",
    ),
    click.option(
        "--seed", type=click.IntRange(0), metavar="N", help="Draw random arrays from this seed.  [default: 1]"
    ),
)
