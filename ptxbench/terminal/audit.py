"""How often the gate is wrong, for a terminal. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import RenderResult
from rich.constrain import Constrain
from rich.text import Text

from ptxbench.audit.audit import Audit
from ptxbench.audit.outcome import AuditOutcome
from ptxbench.audit.tally import RateTarget, TallyLine
from ptxbench.terminal.tables import DrawnTable, Section, draw, paragraphs
from ptxbench.units import ABSENT
from ptxbench.wording.judgement import MOST_NAMED
from ptxbench.wording.table import StyledText, Table, numbers, texts

MET, NOT_MET, IN_PART, SHOWN = "met", "NOT MET", "met *", "as it is"
STYLES = {MET: "green", IN_PART: "green", NOT_MET: "bold red", SHOWN: "dim"}

LEGEND = (
    "alarms: suites in which a kernel of equal speed is REGRESSED. at most: the true share, with 95 % confidence. "
    "unsure: kernels of equal speed for which the data give no verdict. miss: suites in which the one kernel that was "
    "slowed by this much is not REGRESSED; below the budget that is by design, and at the budget it is half of them. "
    "All in per cent. *: only alarms have a target here; the other columns are for information."
)
ASSUMED = "The noise is simulated, not measured: this tests the rule, not a GPU."


@dataclass(frozen=True)
class AuditTable(Section):
    """The parts of an audit, one after the other, each with its targets."""

    audit: Audit

    def parts(self, width: int, plain: bool) -> RenderResult:
        audit = self.audit
        if audit.synthetic is not None:
            yield Constrain(Text(f"Seeded suites: {audit.suites:,} of each noise, seed {audit.seed}. {ASSUMED}"), width)
            yield Text()
            yield from rates(audit.synthetic, width)
        for device, lines in audit.stored or ():
            runs = len(device.runs)
            text = (
                f"Stored runs of {device}. {runs} independent runs make {runs * (runs - 1)} suites: every two of them, "
                f"both ways. {runs // 2} of these share no run; the bound is computed from them."
            )
            yield Constrain(Text(text), width)
            yield Text()
            yield from rates(lines, width)
        if audit.outcomes is not None:
            yield from mutants(audit.outcomes, width)
        yield Text(total(audit), "bold" if audit.exit_status == 0 else "bold red")


def rates(lines: Sequence[TallyLine], width: int) -> RenderResult:
    """A table for each condition, the legend, and the targets."""
    for _, group in groupby(lines, key=condition):
        of_condition = list(group)
        yield Text(condition(of_condition[0]), "bold")
        yield rate_table(of_condition)
        yield Text()
    yield Constrain(Text(LEGEND, "dim"), width)
    yield Text()
    yield target_table(lines)
    yield Text()


def condition(line: TallyLine) -> str:
    """`time: 24 kernels, one of them changed, budget 15 %`."""
    changed = "one of them changed" if line.controls else "all changed"
    return f"{line.mode}: {line.kernels} kernels, {changed}, budget {100 * line.budget:g} %"


def rate_table(lines: Sequence[TallyLine]) -> DrawnTable:
    misses = [f"{'' if i else 'miss'}\n{100 * slowdown:g} %" for i, slowdown in enumerate(lines[0].missed)]
    columns = [*texts("\nnoise", width="fold"), *numbers("\nrounds", "\nalarms", "at\nmost", "\nunsure", *misses),
               *texts("\ntargets")]  # fmt: skip
    rows = []
    for line in lines:
        demanded = MET if len(line.targets) > 1 else IN_PART
        word = SHOWN if line.holds is None else demanded if line.holds else NOT_MET
        shares = (
            line.alarms.share,
            line.apart.most,
            line.inconclusive.share,
            *(rate.share for rate in line.missed.values()),
        )
        rows.append([line.noise, str(line.rounds), *map(percent, shares), StyledText(word, STYLES[word])])
    return draw(Table(columns, rows), gap=0)  # only the gap of the box: twelve columns in 80


def percent(share: float | None) -> str:
    """`0.3`, `99.7`, `100`."""
    return ABSENT if share is None else "100" if share == 1 else f"{100 * share:.1f}"


def target_table(lines: Sequence[TallyLine]) -> DrawnTable:
    """One row per target of each condition, with its worst line; targets that do not apply come last."""
    columns = [*texts("target", "of", "is"), *numbers("at most", "worst"), *texts("there", width="fold")]
    rows = []
    for target, line in worst(lines):
        word = MET if target.holds else NOT_MET
        rows.append(
            [
                StyledText(word, STYLES[word]),
                f"{line.mode}, controls" if line.controls else line.mode,
                target.name,
                f"{100 * target.most:g} %",
                f"{percent(target.rate.share)} %",
                f"{line.noise}, {line.rounds} rounds" if target.rate.events else "everywhere",
            ]
        )
    return draw(Table(columns, rows))


def worst(lines: Sequence[TallyLine]) -> Iterator[tuple[RateTarget, TallyLine]]:
    """For each condition and each name of a target, the one with the greatest share, and its line."""
    worst_of: dict[tuple[str, str], tuple[RateTarget, TallyLine]] = {}
    for line in lines:
        for target in line.targets:
            key = condition(line), target.name
            if key not in worst_of or (target.rate.share or 0) > (worst_of[key][0].rate.share or 0):
                worst_of[key] = target, line
    yield from worst_of.values()


# ---- mutants


def mutants(outcomes: Sequence[AuditOutcome], width: int) -> RenderResult:
    """One row per edit, over all kernels; then wrong outcomes, and why some were not judged."""
    yield Text("counters: every kernel, edited once" if outcomes else "counters: no kernel has an edit", "bold")
    yield edit_table(outcomes)
    yield Text()
    lines = [*wrong(outcomes), *skipped(outcomes)]
    if lines:
        yield Constrain(paragraphs(lines), width)
        yield Text()


def edit_table(outcomes: Sequence[AuditOutcome]) -> DrawnTable:
    """For each edit: in how many kernels the gate judged it right, and by which counters."""
    columns = [*texts("edit", width="fold"), *numbers("kernels"), *texts("outcome"),
               *texts("by these counters", width="fold")]  # fmt: skip
    rows = []
    edits = dict.fromkeys((outcome.neutral, outcome.edit) for outcome in outcomes)
    for neutral, edit in sorted(edits, key=lambda key: key[0]):
        of_edit = [outcome for outcome in outcomes if (outcome.neutral, outcome.edit) == (neutral, edit)]
        judged = [outcome for outcome in of_edit if outcome.skipped is None]
        correct = [outcome for outcome in judged if outcome.holds]
        word = "let pass" if neutral else "caught"
        words = (
            f"{len(correct)} of {len(judged)} {word}"
            if correct != judged
            else f"all {word}"
            if judged
            else "none judged"
        )
        if len(judged) < len(of_edit):
            words += f", {len(of_edit) - len(judged)} skipped"
        style = "bold red" if correct != judged else "green" if judged else "dim"
        counters = dict.fromkeys(metric for outcome in correct for metric in outcome.expected)
        rows.append([edit, str(len(judged)), StyledText(words, style), ", ".join(counters) or ABSENT])
    return draw(Table(columns, rows))


def wrong(outcomes: Sequence[AuditOutcome]) -> Iterator[tuple[str, str, str]]:
    """Mark, style and words of each wrong outcome."""
    for outcome in outcomes:
        if outcome.skipped or outcome.holds:
            continue
        failed = ", ".join(outcome.failing) or "nothing"
        text = f"{outcome.pair} {outcome.variant}, {outcome.edit}: the gate failed {failed}"
        if outcome.neutral:
            why = f" {outcome.reason}" if outcome.reason else ""
            yield "FALSE ALARM", "bold red", f"{text} (exit status {outcome.exit_status}).{why}"
        else:
            lacking = ", ".join(metric for metric in outcome.expected if metric not in outcome.failing)
            text += f", and not {lacking}" * bool(lacking)
            yield "MISSED", "bold red", f"{text} (exit status {outcome.exit_status})."


def skipped(outcomes: Sequence[AuditOutcome]) -> Iterator[tuple[str, str, str]]:
    """Mark, style and words of the edits that were not judged: grouped by kernel and reason, else by edit."""
    kernels: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.skipped:
            kernels.setdefault((f"{outcome.pair} {outcome.variant}", outcome.skipped), []).append(outcome.edit)
    edits: dict[tuple[str, str], list[str]] = {}
    for (kernel, why), of_kernel in kernels.items():
        if len(of_kernel) > 1:
            yield "skipped", "dim", f"{kernel}, {len(of_kernel)} edits: {why}"
        else:
            edits.setdefault((of_kernel[0], why), []).append(kernel)
    for (edit, why), names in edits.items():
        more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
        yield "skipped", "dim", f"{edit}, {', '.join(names[:MOST_NAMED])}{more}: {why}"


def total(audit: Audit) -> str:
    """`Audit: 9 targets met, 210 of 210 edits judged correctly (exit status 0).`"""
    parts = []
    if audit.lines:
        targets = [target.holds for line in audit.lines for target in line.targets]
        parts.append(f"{sum(targets)} of {len(targets)} targets met")
    if audit.outcomes is not None:
        judged = audit.judged
        parts.append(f"{sum(outcome.holds for outcome in judged)} of {len(judged)} edits judged correctly")
    return f"Audit: {', '.join(parts)} (exit status {audit.exit_status})."
