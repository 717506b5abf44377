"""A comparison in words that all outputs share: head line, values, reasons with what to do, totals."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, expm1

from ptxbench import cycles, units
from ptxbench.cycles import CLOCK_DEPENDENT, LOCK
from ptxbench.languages import title
from ptxbench.metrics import BY_NAME
from ptxbench.result import FEW_BLOCKS, LAUNCH_BOUND, ORACLE_WEAK, THROTTLED, RunDocument
from ptxbench.verdict import (
    BROKEN,
    BROKEN_BOTH,
    FIXED,
    INCONCLUSIVE,
    MISSING,
    NEW,
    NO_REGRESSION,
    NOT_COMPARABLE,
    SAME_CODE,
    Comparison,
    Mode,
    Row,
    comparable,
)
from ptxbench.verdict.comparable import ComparedKind, ConditionDifference
from ptxbench.verdict.run_control import UNTRUSTED
from ptxbench.verdict.verdicts import NOT_DETERMINISTIC, OTHER_COUNTS

KINDS: dict[ComparedKind, str] = {
    "ratio": "ratios", "time": "times", "tools": "counts of the tools", "emulator": "counts of the emulator",
}  # fmt: skip
CONSEQUENCES = {comparable.ADVISORY: " (verdicts are advice)", comparable.TOOLCHAIN: " (may be why)"}

MOST_NAMED = 4
"""The most rows with one reason that are named; the others are counted."""

REASONS = {
    "few_rounds": "too few rounds in a run",
    "wide_interval": "the interval is too wide",
    "controls_spread": "rows of unchanged code moved by more than the budget: these runs cannot measure it",
    "under_floor": "slower by less than the clock can resolve",
    THROTTLED: "the GPU throttled",
    LAUNCH_BOUND: "the time is that of a launch, not of the kernel",
    FEW_BLOCKS: "a round ended before it had enough blocks",
    ORACLE_WEAK: "the pair's reference and tolerance accept a wrong result",
    NOT_DETERMINISTIC: "two runs of the same source with the same tools found different counts",
    OTHER_COUNTS: "the code is the same, but other counts are saved: another version of ptxbench, or an edited file",
    CLOCK_DEPENDENT: f"times and clock cycles disagree; {LOCK} for both runs",
    **UNTRUSTED,
}


def header(comparison: Comparison) -> Iterator[str]:
    """Both runs, and their differences."""
    for name, run in (("base", comparison.base), ("head", comparison.head)):
        yield f"{name}  {describe(run)}"
    if comparison.differences:
        differences = (
            f"{difference}{consequence(difference, comparison.mode)}" for difference in comparison.differences
        )
        yield f"They differ in {'; '.join(differences)}."


def consequence(difference: ConditionDifference, mode: Mode) -> str:
    """The effect of a difference on the rows: ` (NOT-COMPARABLE: counts of the tools)`; "" if there is none."""
    kinds: tuple[ComparedKind, ...] = ("tools", "emulator") if mode == "counters" else (mode,)
    effects = {kind: getattr(difference.condition, kind) for kind in kinds}
    not_comparable = [KINDS[kind] for kind, effect in effects.items() if effect == comparable.DIFFERS]
    if not_comparable:
        language = difference.condition.language
        of_language = f" of {title(language)}" if mode == "counters" and language else ""
        return f" (NOT-COMPARABLE: {' and '.join(not_comparable)}{of_language})"
    return next((CONSEQUENCES[effect] for effect in effects.values() if effect in CONSEQUENCES), "")


def describe(run: RunDocument) -> str:
    """`0a1b2c3d  2026-01-31T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee, changed`."""
    commit = run.source.commit
    state = [str(commit)[:12] + (", changed" if run.source.dirty else "")] if commit else []
    ended = [] if run.run.status in ("complete", None) else [run.run.status]
    return "  ".join([run.run.id, run.run.started, run.device.name, *state, *ended])


def values(row: Row) -> tuple[str, str]:
    """Both values, in one unit, which only the second one shows."""
    metric = BY_NAME.get(row.metric)
    if metric and metric.counted_by and metric.unit in ("", "B"):
        base, head = (units.ABSENT if value is None else f"{value:,.12g}" for value in (row.base, row.head))
        return base, head
    unit, (base, head) = units.column([row.base, row.head], metric.unit if metric else "")
    return base, head if unit in ("", "×") else f"{head} {unit}"


def percent(change: float, decimals: int = 1) -> str:
    """`+9.4 %` for a ratio of head to base."""
    return f"{signed(change, decimals)} %"


def signed(change: float, decimals: int = 1) -> str:
    """`+9.4`; +0.0 if it rounds to 0."""
    return f"{round(100 * (change - 1), decimals) + 0.0:+.{decimals}f}"


def change_words(row: Row) -> str:
    """`+9.4 %`; for a count two digits, such as `+0.0065 %`, and if the base is 0 the added number."""
    if row.change and row.base_rounds:
        return percent(row.change.value)
    if row.change:
        share = 100 * (row.change.value - 1)
        return f"{share:+.0f} %" if abs(share) >= 10 else f"{share:+.2g} %"
    if row.base == 0 and row.head:
        return f"+{row.head:,.0f}"
    return units.ABSENT


def interval_words(row: Row) -> str:
    """`+8.1 .. +10.7 %`; "" for a change without a width."""
    if row.change is None or row.change.low == row.change.high:
        return ""
    return f"{signed(row.change.low)} .. {percent(row.change.high)}"


def deserves_attention(row: Row, comparison: Comparison) -> bool:
    """Whether a row is listed and not only counted: its code or counts differ, or its verdict needs an explanation."""
    only_counted = (SAME_CODE, NOT_COMPARABLE, *([NO_REGRESSION] if comparison.mode == "counters" else []))
    return row.verdict not in only_counted or row.reason == OTHER_COUNTS


def remarks(comparison: Comparison) -> list[tuple[str, str]]:
    """Verdict and reason of every row that the numbers do not explain, grouped by reason."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in comparison.rows:
        if (why := reason(row)) is not None:
            groups.setdefault((row.verdict, why), []).append(row)
    return [(verdict, f"{describe_rows(rows, comparison)}{why}") for (verdict, why), rows in groups.items()]


def reason(row: Row) -> str | None:
    """Why the verdict is what it is, and what to do; None if the numbers say it."""
    if row.verdict == INCONCLUSIVE and row.reason == CLOCK_DEPENDENT and row.change and row.change_in_cycles:
        in_time, in_cycles = percent(row.change.value), percent(row.change_in_cycles.value)
        return f": {REASONS[CLOCK_DEPENDENT]}. It is {in_time} in time and {in_cycles} in cycles."
    if row.verdict == INCONCLUSIVE:
        return f": {REASONS[row.reason or '']}.{next_step(row)}"
    if row.verdict == FIXED:
        return f": before, {row.detail}"
    if row.verdict == NOT_COMPARABLE:
        return f": {row.detail}."
    if row.verdict in (BROKEN, BROKEN_BOTH):
        return f": {row.detail}"
    if row.verdict in (NEW, MISSING):
        return f": {row.detail}" if row.detail else "."
    if (row.verdict == NO_REGRESSION and row.reason) or row.reason == OTHER_COUNTS:
        return f": {REASONS[row.reason]}."
    return None


def next_step(row: Row) -> str:
    """How many rounds would decide it."""
    if row.reason == "few_rounds":
        return f" Run both again with --rounds {row.rounds_needed} or more."
    if row.reason == "wide_interval":
        if row.rounds_needed is None:
            return " It is close to the budget, so more rounds help little."
        needed = row.rounds_needed
        return f" About {needed} rounds in each run would decide it (run --rounds {needed}); they have {rounds(row)}."
    return ""


def rounds(row: Row) -> str:
    before, after = len(row.base_rounds), len(row.head_rounds)
    return str(before) if before == after else f"{before} and {after}"


def describe_rows(rows: list[Row], comparison: Comparison) -> str:
    """`triad ptx n=64, triad ptx n=65`, and how many more."""
    names = list(dict.fromkeys(row_name(row, comparison) for row in rows))
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def row_name(row: Row, comparison: Comparison) -> str:
    """`triad ptx n=64`, with the metric for a count that only one run has."""
    name = f"{row.pair} {row.variant} {units.size_words(row.size, row.cache)}"
    counted = comparison.mode == "counters" and row.reason == "not_measured"
    return f"{name} {row.metric}" if counted else name


def total(comparison: Comparison) -> str:
    """`54 rows of ratio: 3 REGRESSED, 42 NO-REGRESSION, 9 SAME-CODE.`"""
    text = ", ".join(f"{count:,} {verdict}" for verdict, count in comparison.counts.items())
    count = len(comparison.rows)
    return f"{count:,} row{'' if count == 1 else 's'} of {comparison.mode}: {text}."


def clock_unknown(comparison: Comparison) -> str:
    """`base`, `head`, `base and head`: the runs with an unknown clock."""
    in_cycles = cycles.by_block if comparison.mode == "time" else cycles.by_kernel
    names = []
    for name, run in (("base", comparison.base), ("head", comparison.head)):
        timed = [timed_round for cell in run.cells if not cell.control for timed_round in cell.rounds]
        names += [name] if timed and not in_cycles(timed) else []
    return " and ".join(names)


def footer(comparison: Comparison) -> Iterator[str]:
    """The rule of the judgement, and the changes of unchanged code."""
    if comparison.mode == "counters":
        yield "Counts are compared exactly."
        other = sum(row.verdict == SAME_CODE and row.base != row.head and row.reason is None for row in comparison.rows)
        if other:
            rows = "row of unchanged code has" if other == 1 else "rows of unchanged code have"
            yield f"{other:,} {rows} different counts: the tools count differently."
        return
    rule = comparison.rule
    yield f"Budget {100 * rule.budget:g} %; intervals between one-sided {100 * rule.level:g} % bounds over rounds."
    yield f"If no code changed, the probability of any regression is at most {100 * rule.alpha:g} %."
    if unknown := clock_unknown(comparison):
        yield f"The SM clock of {unknown} is unknown, so verdicts go by time alone."
    controls = comparison.controls
    if controls:
        off = ", which is subtracted from the others" if comparison.mode == "time" else ""
        yield (
            f"{controls.count:,} rows of unchanged code moved by {percent(exp(controls.shift), 2)}{off}, 95 % of "
            f"them within {100 * expm1(controls.spread):.2f} % of that."
        )
    if mean := comparison.geometric_mean:
        yield f"Geometric mean of head over base: {mean:.3f}. No verdict depends on it."
