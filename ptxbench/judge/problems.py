"""What of a gate is no row's: a run that says too little, a baseline that is not there, rules that hold for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from ptxbench.errors import UsageError, suggestion
from ptxbench.exit_status import ExitStatus
from ptxbench.judge.comparison import is_timed
from ptxbench.judge.config import GateConfig
from ptxbench.judge.rows import Match, Mode
from ptxbench.result import COMPLETE, Run


@dataclass(frozen=True)
class Problem:
    """Something that is no row's and stands in the way of a verdict."""

    text: str
    remedy: str
    exit_status: ExitStatus = ExitStatus.NO_VERDICT


def require_toolchain(head: Run, config: GateConfig) -> None:
    for tool, wanted in config.toolchain.items():
        if (found := head.toolchain.versions.get(tool)) != wanted:
            raise UsageError(
                f"The run was built with {tool} {found or 'of an unknown version'}; the config insists on {wanted}. "
                f"Install that one, or change 'toolchain' and set the baseline anew."
            )


def standing_in_the_way(head: Run, base: Run | None, config: GateConfig, modes: Sequence[Mode]) -> Iterator[Problem]:
    """A run that ended early, modes that cannot be judged, and a baseline that is not there."""
    if (status := head.run.status) != COMPLETE:
        yield Problem(f"The run is not whole: its status is {status}.", "Run it again.")
    first = ExitStatus.NO_VERDICT if config.first_run == "fail" else ExitStatus.GOOD
    if base is None:
        yield Problem(
            "There is no baseline: only limits and verification are judged.",
            f"ptxbench baseline set {head.run.id} --reason TEXT",
            first,
        )
    for mode in modes:
        if mode == "counters":
            continue
        if not is_timed(head):
            yield Problem(
                f"The {mode} gate is asked for, and the run has no times.",
                "Run on a GPU, or ask for --mode counters.",
            )
        elif base and not is_timed(base):
            yield Problem(
                f"The baseline has no times: the {mode} is held against limits alone.",
                f"ptxbench baseline set {head.run.id} --reason TEXT",
                first,
            )


def idle_rules(config: GateConfig, matches: Sequence[Match]) -> Iterator[Problem]:
    """Rules of pairs that neither run has: one that is misspelt would limit nothing, and nobody would notice."""
    places = {(match.either.pair, variant) for match in matches for variant in match.variants}
    pairs = sorted({pair for pair, _ in places})
    for rules in config.pairs:
        if places and not any(rules.covers(*place) for place in places):
            named = f"'{rules.match}'" if rules.variant == "*" else f"'{rules.match}', variant '{rules.variant}',"
            yield Problem(
                f"The [[pair]] {named} limits nothing: neither run has such a kernel.",
                f"Mend its name in ptxbench.toml, or take it out.{suggestion(rules.match, pairs)}",
                ExitStatus.GOOD,
            )


def not_measured(given: Set[Mode], head: Run, base: Run | None, config: GateConfig) -> Iterator[Problem]:
    """Modes of times that the config names, that both runs have times for, and by which nothing was judged.

    `given`: the modes by which something was.
    """
    for mode in config.modes or ():
        if mode != "counters" and mode not in given and base and is_timed(base) and is_timed(head):
            yield Problem(f"Nothing was judged by the {mode} gate, which is asked for.", "The other findings say why.")


def nothing_judged(head: Run, base: Run | None) -> str:
    if not head.cells:
        return "The run is empty. Check which pairs it was asked to run."
    if base is None:
        return "Set a baseline, or give limits in ptxbench.toml."
    return "The other findings say why."
