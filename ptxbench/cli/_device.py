"""The options that say where kernels run and how they are built, shared by all commands that have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import click

from ptxbench.backends import BACKENDS
from ptxbench.cli._terminal import say

if TYPE_CHECKING:
    from ptxbench.backends.base import Backend

Option = Callable[[Callable[..., Any]], Callable[..., Any]]

MOST = 1_000_000
"""The most seconds or GiB that an option takes: 12 days. The system's calls overflow far above."""


class BoundedFloat(click.FloatRange):
    """A number of seconds or GiB. Without the check of MOST, a range of click accepts inf and nan."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not number <= MOST:
            self.fail(f"expected a number of at most {MOST:,}, found {number:g}.", param, ctx)
        return number


def backend_option(
    help: str = "Where to run: gpu verifies and times, emulator verifies and counts; auto uses a GPU if there is one.",
) -> Option:
    """--backend auto, gpu or emulator."""
    return click.option("--backend", type=click.Choice(["auto", *BACKENDS]), default="auto", help=help)


def arch_option() -> Option:
    """--arch SM; a GPU has its own architecture."""
    return click.option(
        "--arch",
        metavar="SM",
        help="Build for this architecture, such as sm_80.  [default: the GPU's, else sm_90; for a pair whose PTX "
        "exists for some targets only, one of them]",
    )


assembler_option: Option = click.option(
    "--assembler",
    type=click.Choice(["toolkit", "driver"]),
    default="toolkit",
    help="What assembles both PTX texts: ptxas, or on a GPU the driver.",
)
"""--assembler toolkit or driver."""


def cache_option() -> Option:
    """--cache cold or warm."""
    return click.option(
        "--cache",
        type=click.Choice(["cold", "warm"]),
        default="cold",
        help="What a timed launch finds in the L2 cache. cold: none of its data. warm: what a launch of the same "
        "kernel on the same data left there. Warm times are never compared with cold ones. GPU only.",
    )


def cache_of(cache: Literal["cold", "warm"], *, emulated: bool) -> Literal["cold", "warm"]:
    """The cache mode of a run; on the emulator, whose counts do not depend on it, always cold."""
    if cache == "warm" and emulated:
        say("--cache warm is ignored: the emulator counts and does not time.", err=True)
        return "cold"
    return cache


def model_option() -> Option:
    """--model GPU, as `model`."""
    from ptxbench.specifications import MODELS

    return click.option(
        "--model",
        type=click.Choice(list(MODELS), case_sensitive=False),
        metavar="GPU",
        help=f"On the emulator, build for this GPU ({', '.join(MODELS)}) and add its floors: the least time that its "
        "issue slots, pipes, shared memory, L1 and DRAM need for what the kernel executes. The floors are a model, not "
        "times (docs/model.md).",
    )


def timeout_option(help: str, usual: float = 60.0) -> Option:
    """--timeout SECONDS, as `timeout`."""
    return click.option(
        "--timeout", type=BoundedFloat(min=0, min_open=True), default=usual, metavar="SECONDS", help=help
    )


def rounds_option(help: str, usual: int | None = 5) -> Option:
    """--rounds N, as `rounds`."""
    return click.option("--rounds", type=click.IntRange(1), default=usual, metavar="N", help=help)


def seed_option(drawn: str) -> Option:
    """--seed N, as `seed`."""
    return click.option(
        "--seed", type=click.IntRange(0, 2**63 - 1), default=1, metavar="N", help=f"Draw {drawn} from this seed."
    )


memory_option: Option = click.option(
    "--memory", type=BoundedFloat(min=1), default=6.0, metavar="GIB",
    help="Limit the address space of each process of a judgement.",
)  # fmt: skip
"""--memory GIB, as `memory`."""


def open_backend(name: str, arch: str | None) -> Backend:
    """The backend of `--backend`; if a GPU is present but cannot be used, stderr says why."""
    from ptxbench import backends

    return backends.open_backend(name, arch, lambda sentence: say(sentence, err=True))
