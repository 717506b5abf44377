"""Series of runs in words: the steps of each series, their causes, and what a step does not mean."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from ptxbench import units
from ptxbench.verdict.history import HistoryPoint, Series, Shift
from ptxbench.wording.judgement import percent

NOTICE = (
    "A step shows when a value changed. It is not a verdict: lasting noise can look like a step. For a verdict, use "
    "`ptxbench compare` on the two runs, or `ptxbench gate`."
)


def has_changed(series: Series) -> bool:
    """Whether the series should be shown: most counts never change."""
    return not series.key.exact or len(set(series.values)) > 1


def series_size(series: Series) -> str:
    key = series.key
    return units.size_words(dict(key.size), key.cache)


def span(series: Sequence[Series]) -> str:
    """`12 runs, 2026-01-31 to 2026-02-28`, of all series together."""
    days = {point.run.run.id: point.run.run.started[:10] for one_series in series for point in one_series.points}
    first, last = min(days.values()), max(days.values())
    return f"{units.plural(len(days), 'run')}, {first}{f' to {last}' * (first != last)}"


def step_lines(series: Sequence[Series]) -> Iterator[tuple[str, str]]:
    """The date of each step, and in words its change, its run, its cause as far as hashes show, and what to do.

    Metrics of a variant that change at the same run share a line. The lines are in the order of time.
    """
    steps: dict[tuple[str, str, str], list[tuple[Series, Shift]]] = {}
    for one_series in series:
        for shift in one_series.shifts:
            run = shift.points[1].run.run
            variant = f"{one_series.key.pair} {one_series.key.variant} {series_size(one_series)}"
            steps.setdefault((run.started, run.id, variant), []).append((one_series, shift))
    for (started, _, variant), shifts in sorted(steps.items(), key=lambda item: item[0]):
        shift = shifts[0][1]
        before, after = shift.points
        changes = ", ".join(change_words(one_series, shift) for one_series, shift in shifts)
        yield (
            started[:10],
            f"{variant}: {changes}, from run {run_words(after)} on; the run before it is {run_words(before)}. "
            f"{cause_words(shift)}\n"
            f"Next: ptxbench compare {shlex.quote(before.run.run.id)} {shlex.quote(after.run.run.id)}",
        )


def change_words(series: Series, shift: Shift) -> str:
    """`ptx_barriers 64 -> 96`, `ratio +5.1 %`."""
    name = series.key.metric.name
    if series.key.exact:
        return f"{name} {shift.before:,.12g} -> {shift.after:,.12g}"
    return f"{name} {percent(shift.after / shift.before)}"


def run_words(point: HistoryPoint) -> str:
    """`0a1b2c3d (c0ffee, changed)`."""
    commit = point.run.source.commit
    state = f"{str(commit)[:12]}{', changed' * bool(point.run.source.dirty)}" if commit else "commit unknown"
    return f"{point.run.run.id} ({state})"


MOVES = {
    "source": "Its source changed.",
    "toolchain": "The same source was compiled to different machine code.",
    "same": "The machine code is the same.",
    None: "Whether its machine code changed is not known.",
}


def cause_words(shift: Shift) -> str:
    differences = "; ".join(map(str, shift.differences))
    return f"{MOVES[shift.move]}{f' Also: {differences}.' * bool(differences)}"


def footer(unjudged: int) -> Iterator[str]:
    yield NOTICE
    if unjudged:
        values = "value is" if unjudged == 1 else "values are"
        yield f"{unjudged:,} {values} left out: a label of the cell, such as THROTTLED, rules out a verdict."
