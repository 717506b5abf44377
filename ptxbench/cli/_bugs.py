"""`ptxbench check --audit`: how many of the bugs that are planted in kernels `check` catches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ptxbench.cli._files import json_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._selection import pairs_option
from ptxbench.cli._terminal import say

SEED = 1
BUGS = 20


class CheckCommand(click.Command):
    """`check`, and `check --audit`, which takes pairs instead of files and has its own options."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        before_dashes = args[: args.index("--")] if "--" in args else args
        if "--audit" in before_dashes:
            remaining = list(args)
            remaining.remove("--audit")
            return command.make_context(f"{info_name} --audit", remaining, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command("audit")
@click.argument("names", metavar="[PAIR]...", nargs=-1)
@pairs_option("Audit this pair alone, by name or glob; repeat.")
@click.option("--edit", "kinds", metavar="KIND", multiple=True, help="Plant bugs of this kind alone, by name; repeat.")
@click.option(
    "--bugs", type=click.IntRange(1), default=BUGS, metavar="N", help="Bugs to plant in each of the two kernels."
)
@click.option(
    "--seed", type=click.IntRange(0), default=SEED, metavar="N", help="Choose the bugs, data and sizes from this seed."
)
@click.option(
    "--arch",
    metavar="SM",
    help="Judge for this architecture, or for what a pair's PTX needs where that is newer.  [default: sm_90]",
)
@click.option("--jobs", type=click.IntRange(1), default=1, metavar="N", help="Audit this many pairs at a time.")
@kernels_option("Audit the pairs of this folder.")
@json_option("Print every bug as JSON, and nothing else, on stdout.")
def command(
    names: tuple[str, ...],
    pairs: tuple[str, ...],
    kinds: tuple[str, ...],
    bugs: int,
    seed: int,
    arch: str | None,
    jobs: int,
    kernels: Path,
    as_json: bool,
) -> int:
    """Plant single bugs in the kernels of each PAIR, by default of all, and count how many `check` rejects.

    A bug is one change in the PTX or the CUDA C: another comparison, a bound off by one, another lane mask, a dropped
    barrier, a weaker scope, a lost atomic, a narrowed value, swapped operands and others. One that leaves the machine
    code as it was is not counted. Next to it is how many numpy.allclose finds after one launch at the pair's
    largest check size. The bugs that were not caught are listed with file, line and edit. The same seed plants the
    same bugs.

    Exit status: 0 every bug was caught, 2 usage, 3 a bug was not caught, 5 no bug was planted, 130 interrupted.
    """
    from ptxbench.backends import open_backend
    from ptxbench.bugs.audit import TrialOrder, audit, kinds_of
    from ptxbench.bugs.outcome import exit_status
    from ptxbench.cli._progress import Bar
    from ptxbench.exporters.bugs import to_json

    backend = open_backend("emulator", arch)
    order = TrialOrder(kernels, str(arch or backend.device().sm), seed, bugs, kinds_of(kinds))
    outcomes = []
    with Bar() as bar:
        bar.update(0, 1, "judge the kernels without bugs")
        for outcome in audit(order, (*names, *pairs), jobs):
            outcomes.append(outcome)
            bar.update(len(outcomes), len(outcomes) + 1, f"{outcome.file}: {outcome.bug.kind}, {outcome.bug.edit}")
    if as_json:
        say(to_json(order, outcomes), nl=False)
    else:
        from ptxbench.cli._blocks import open_console
        from ptxbench.terminal.bugs import BugTable

        open_console().print(BugTable(order, outcomes))
    return exit_status(outcomes)
