"""The result of a gate in words that all outputs share: verdict, values, reason, and what to do next."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, log

from ptxbench import units
from ptxbench.exit_status import ExitStatus
from ptxbench.metrics import BY_NAME
from ptxbench.verdict import (
    BROKEN,
    BROKEN_BOTH,
    INCONCLUSIVE,
    MISSING,
    NOT_COMPARABLE,
    REFERENCE_CHANGED,
    REGRESSED,
    Row,
)
from ptxbench.verdict.comparable import run_differences
from ptxbench.verdict.gate import Gate, JudgedRow
from ptxbench.verdict.limits import MAX_RATIO, MIN_SPEEDUP
from ptxbench.verdict.rules import RULES
from ptxbench.verdict.verdicts import CHANGED, GATE_ORDER, NOT_MEASURABLE, OTHER_COUNTS, WAIVED
from ptxbench.wording import judgement
from ptxbench.wording.judgement import MOST_NAMED, REASONS, consequence, describe, percent
from ptxbench.wording.remedies import location, next_step

MEANINGS = {
    ExitStatus.GOOD: "passed",
    ExitStatus.REGRESSION: "a regression",
    ExitStatus.WRONG_KERNEL: "a wrong or broken kernel",
    ExitStatus.NO_VERDICT: "no verdict",
}


@dataclass(frozen=True)
class GateRow:
    """Rows with one cause, or a problem of the whole run: what is wrong, and what to do next."""

    outcome: str
    verdict: str
    words: str
    remedy: str
    location: tuple[str, int] | None = None
    """The file of the kernel and the line to look at."""
    rows: Sequence[JudgedRow] = ()


def total(gate: Gate) -> str:
    """`Gate: a regression (exit status 3). 2 rows fail, 1 warns, 1,053 pass.`"""
    passing = len(gate.rows) - len(gate.failing) - len(gate.warning)
    fail, warn = len(gate.failing), len(gate.warning)
    parts = [f"{fail:,} {'row fails' if fail == 1 else 'rows fail'}"] if fail else []
    parts += [f"{warn:,} {'row warns' if warn == 1 else 'rows warn'}"] if warn else []
    parts += [f"{passing:,} {'row passes' if passing == 1 else 'rows pass'}"]
    return f"Gate: {MEANINGS[gate.exit_status]} (exit status {gate.exit_status}). {', '.join(parts)}."


def header(gate: Gate) -> Iterator[str]:
    """Both runs, and their differences."""
    if gate.base:
        yield f"base  {describe(gate.base)}"
    yield f"head  {describe(gate.head)}"
    for run in gate.confirmed_by:
        cells = [f"{cell.pair} {units.size_words(cell.size, cell.cache)}" for cell in run.cells if not cell.control]
        more = f" and {len(cells) - MOST_NAMED:,} more" if len(cells) > MOST_NAMED else ""
        yield f"with  {describe(run)}: once more {', '.join(cells[:MOST_NAMED])}{more}"
    if gate.base and (differences := run_differences(gate.base, gate.head)):
        lines = [f"{difference}{next(filter(None, (consequence(difference, mode) for mode in gate.modes)), '')}"
                for difference in differences]  # fmt: skip
        yield f"They differ in {'; '.join(lines)}."


def footer(gate: Gate) -> Iterator[str]:
    """How many rows have each verdict, by what they were judged, and unneeded waivers."""
    yield f"{', '.join(f'{count:,} {verdict}' for verdict, count in gate.counts.items()) or 'No rows'}."
    config = gate.config
    rules = {
        "ratio": f"ratio, budget {100 * config.budget:g} %",
        "time": f"time, budget {100 * config.time_budget:g} %",
        "counters": "counters, exact",
    }
    yield f"Gated: {'; '.join(rules[mode] for mode in gate.modes)}. A {config.heading('pair')} may have other limits."
    for waiver in gate.unused:
        yield f"The waiver of '{waiver.pair}' ({waiver.metric}) covers nothing: remove it."


def values(judged: JudgedRow) -> tuple[str, str]:
    """Base, or the limit, and head."""
    row = judged.row
    if row.metric in BY_NAME:
        return judgement.values(row)
    if row.metric in (MAX_RATIO, MIN_SPEEDUP):
        return tuple(units.ABSENT if value is None else f"{value:.3f}" for value in (row.base, row.head))  # type: ignore[return-value]
    if judged.limit:  # max_registers: in the notation of registers
        return judgement.values(dataclasses.replace(row, metric=row.metric.partition("_")[2]))
    base, head = (units.ABSENT if value is None else f"{value:,.12g}" for value in (row.base, row.head))
    return base, head


def change_words(row: Row) -> str:
    if row.change and row.metric in (MAX_RATIO, MIN_SPEEDUP):
        return percent(row.change.value)
    return judgement.change_words(row)


def steps(gate: Gate) -> list[GateRow]:
    """Everything that does not simply pass, the worst first: what it is and what to do next."""
    result = [
        GateRow("FAIL" if problem.exit_status else "warn", "", problem.text, problem.remedy)
        for problem in gate.problems
    ]
    groups: dict[tuple[str, str, str, str], list[JudgedRow]] = {}
    failed = {row_key(judged.row) for judged in gate.failing if judged.row.verdict == REGRESSED}
    waived = [judged for judged in gate.rows if judged.row.verdict == WAIVED]
    for judged in (*gate.failing, *gate.warning, *waived):
        if judged.warns and judged.row.verdict in (REGRESSED, CHANGED) and row_key(judged.row) in failed:
            continue  # the failure of its variant says the same
        group = judged.outcome, judged.row.verdict, why(judged), next_step(judged, gate)
        groups.setdefault(group, []).append(judged)
    worst_first = sorted(
        groups.items(), key=lambda item: (GATE_ORDER.index(item[0][1]), -max(map(change_size, item[1])))
    )
    for (outcome, verdict, reason, remedy), rows in worst_first:
        counted = [judged.row.metric for judged in rows if verdict == REGRESSED and judged.row.metric in RULES]
        happened = "".join(f"{words}; " for words in dict.fromkeys(RULES[metric].words for metric in counted))
        most_changed = sorted(rows, key=change_size, reverse=True)  # a change from 0 points at new code
        code_location = next(filter(None, (location(judged.row, gate.head) for judged in most_changed)), None)
        result.append(
            GateRow(outcome, verdict, f"{describe_rows(rows)}: {happened}{reason}", remedy, code_location, rows)
        )
    return sorted(result, key=lambda step: ("FAIL", "warn", "pass").index(step.outcome))


def change_size(judged: JudgedRow) -> float:
    """How far a row moved, as a logarithm; changes from 0 count most, rows without numbers least."""
    row = judged.row
    if row.change is None or row.change.value <= 0:
        return inf if row.verdict == REGRESSED else 0.0
    return abs(log(row.change.value))


def row_key(row: Row) -> tuple[object, ...]:
    return row.pair, row.variant, tuple(row.size.items()), row.arch, row.cache


def describe_rows(rows: Sequence[JudgedRow]) -> str:
    """`triad ptx n=64 (spills, registers), scan ptx n=64`, and how many more."""
    metrics: dict[str, list[str]] = {}
    for judged in rows:
        row = judged.row
        metrics.setdefault(f"{row.pair} {row.variant} {units.size_words(row.size, row.cache)}", []).append(row.metric)
    first = rows[0].row
    with_metrics = first.verdict in (REGRESSED, WAIVED, INCONCLUSIVE) or first.reason in ("not_measured", OTHER_COUNTS)
    names = [f"{name} ({', '.join(row_metrics)})" if with_metrics else name for name, row_metrics in metrics.items()]
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def why(judged: JudgedRow) -> str:
    """The reason, as the end of a sentence."""
    row = judged.row
    if row.verdict in (INCONCLUSIVE, NOT_MEASURABLE) or row.reason == OTHER_COUNTS:
        return f"{REASONS[row.reason or '']}."
    if row.verdict == REFERENCE_CHANGED:
        return f"the CUDA side got better and its code changed ({row.moves}); the PTX side's did not."
    if row.verdict == CHANGED:
        return f"accesses changed: {row.detail}. No count shows what that costs."
    if row.verdict in (BROKEN, BROKEN_BOTH, NOT_COMPARABLE, WAIVED):
        return row.detail or "no reason was recorded."
    if row.verdict == MISSING:
        return row.detail or "is in the baseline but not in this run."
    cause = "beyond its limit" if judged.limit else f"code moved ({row.moves})" if str(row.moves) else "worse"
    return f"{cause}; {', '.join(judged.explanation)}." if judged.explanation else f"{cause}."
