"""Problems of a gate that belong to no row: an incomplete run, a missing baseline, rules that match nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from ptxbench.errors import UsageError, suggestion
from ptxbench.exit_status import ExitStatus
from ptxbench.result import COMPLETE, RunDocument
from ptxbench.verdict.baseline import baseline_path, refusals, set_command
from ptxbench.verdict.comparison import is_timed
from ptxbench.verdict.config import GateConfig
from ptxbench.verdict.rows import CellMatch, Mode


@dataclass(frozen=True)
class Problem:
    """A problem that belongs to no row and prevents a verdict."""

    text: str
    remedy: str
    exit_status: ExitStatus = ExitStatus.NO_VERDICT


def require_toolchain(head: RunDocument, config: GateConfig) -> None:
    for tool, wanted in config.toolchain.items():
        if (version := head.toolchain.versions.get(tool)) != wanted:
            raise UsageError(
                f"The run was built with {tool} {version or '(unknown version)'}; the config requires {wanted}. "
                f"Install that version, or change 'toolchain' and set a new baseline."
            )


def run_problems(
    head: RunDocument, base: RunDocument | None, config: GateConfig, modes: Sequence[Mode]
) -> Iterator[Problem]:
    """A run that ended early, modes that cannot be judged, and a missing baseline."""
    if (status := head.run.status) != COMPLETE:
        yield Problem(f"The run is incomplete: its status is {status}.", "Run it again.")
    first = ExitStatus.NO_VERDICT if config.first_run == "fail" else ExitStatus.GOOD
    if base is None:
        yield Problem(
            f"There is no baseline: {baseline_path(head, config.baselines)} does not exist. Only limits and "
            "verification are judged.",
            to_set(head, config),
            first,
        )
    for mode in modes:
        if mode == "counters":
            continue
        if not is_timed(head):
            yield Problem(
                f"The {mode} gate was requested, but the run has no times.",
                "Run on a GPU, or use --mode counters.",
            )
        elif base and not is_timed(base):
            yield Problem(
                f"The baseline has no times: the {mode} is compared with limits only.",
                to_set(head, config),
                first,
            )


def to_set(head: RunDocument, config: GateConfig) -> str:
    """The command that makes the run the baseline, or why it cannot be one."""
    if why := refusals(head):
        return f"This run cannot be the baseline. {' '.join(why)}"
    return set_command(head.run.id, config.baselines)


def unmatched_rules(config: GateConfig, matches: Sequence[CellMatch]) -> Iterator[Problem]:
    """Rules that match no kernel of either run. Without a report, a misspelt rule would go unnoticed."""
    kernels = {(match.either.pair, variant) for match in matches for variant in match.variants}
    pairs = sorted({pair for pair, _ in kernels})
    for rules in config.pairs:
        if kernels and not any(rules.covers(*kernel) for kernel in kernels):
            rule = f"'{rules.match}'" if rules.variant == "*" else f"'{rules.match}', variant '{rules.variant}',"
            yield Problem(
                f"The {config.heading('pair')} {rule} matches no kernel of either run.",
                f"Correct its name in {config.file}, or remove it.{suggestion(rules.match, pairs)}",
                ExitStatus.GOOD,
            )


def not_measured(
    judged_modes: Set[Mode], head: RunDocument, base: RunDocument | None, config: GateConfig
) -> Iterator[Problem]:
    """Requested modes that judged no row although both runs have times.

    `judged_modes`: the modes that judged at least one row.
    """
    for mode in config.modes or ():
        if mode != "counters" and mode not in judged_modes and base and is_timed(base) and is_timed(head):
            yield Problem(f"The {mode} gate was requested, but it judged no row.", "See the other findings.")


def nothing_judged(head: RunDocument, base: RunDocument | None, config: GateConfig) -> str:
    if not head.cells:
        return "The run is empty. Check which pairs its command selects."
    if base is None:
        return f"Set a baseline, or set limits in {config.file}."
    return "See the other findings."
