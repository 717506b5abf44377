"""Series of runs for a terminal: a line of bars each, and the runs at which they step. Prints nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from ptxbench import units
from ptxbench.judge.history import HistoryPoint, Series, Shift
from ptxbench.terminal.comparison import simple_table
from ptxbench.terminal.table import WIDEST, paragraphs
from ptxbench.wording.judgement import percent
from ptxbench.wording.sparkline import sparkline

LONGEST, SHORTEST = 40, 10
"""Characters of a line of bars."""

NOTICE = (
    "A step dates a shift and judges nothing: noise that lasts looks like one too. `ptxbench compare` of the two runs, "
    "or `ptxbench gate`, judges."
)


@dataclass(frozen=True)
class HistoryTable:
    """Every series, by device, with its steps in words; `quiet`: of exact ones only those that ever changed."""

    series: Sequence[Series]
    unjudged: int
    quiet: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, plain = min(options.max_width, WIDEST), options.ascii_only
        for device, group in groupby(self.series, key=lambda each: each.place.device):
            every = list(group)
            shown = [each for each in every if moved(each) or not self.quiet]
            yield Text(f"{device}  {span(every)}", "bold")
            yield Text()
            if shown:
                yield Constrain(table(shown, bars_width(width), plain), width)
                yield Text()
            if still := len(every) - len(shown):
                words = "count is" if still == 1 else "counts are"
                yield Constrain(
                    Text(f"{still:,} {words} the same in every run; name a PAIR to see them.", "dim"), width
                )
                yield Text()
            told = [(mark, "", words) for mark, words in steps(shown)]
            if told:
                yield Constrain(paragraphs(told), width)
                yield Text()
        yield Constrain(Text("\n".join(footer(self.unjudged)), "dim"), width)


def moved(series: Series) -> bool:
    """Whether there is something to see: counts that never changed are the rule."""
    return not series.place.exact or len(set(series.values)) > 1


def bars_width(width: int) -> int:
    """What a table leaves: names, and three numbers with a unit."""
    return max(SHORTEST, min(LONGEST, width - 56))


def table(series: Sequence[Series], room: int, plain: bool) -> Table:
    """Two lines a series: variant, bars, numbers; size, which metric of how many runs. A variant is named once."""
    made = simple_table()
    made.add_column("variant", overflow="fold")
    made.add_column("history", overflow="fold")
    for heading in ("first", "median", "last"):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_column("")
    named = ""
    for each in series:
        place = each.place
        variant, size = f"{place.pair} {place.variant}\n", size_words(each)
        again, named = named == variant + size, variant + size
        unit, numbers = units.column([each.values[0], each.median, each.values[-1]], place.metric.unit)
        count = f"{len(each.points):,} run{'s' * (len(each.points) != 1)}"
        made.add_row(
            Text("") if again else Text.assemble(variant, (size, "dim")),
            Text.assemble(
                f"{sparkline(condensed(each.values, room), plain)}\n", (f"{place.metric.name}, {count}", "dim")
            ),
            *numbers,
            unit,
        )
    return made


def condensed(values: Sequence[float], room: int) -> list[float]:
    """At most `room` values: the medians of as many stretches, of one length but for rounding."""
    if len(values) <= room:
        return list(values)
    ends = [round(i * len(values) / room) for i in range(room + 1)]
    return [median(values[start:end]) for start, end in pairwise(ends)]


def size_words(series: Series) -> str:
    place = series.place
    return units.size_words(dict(place.size), place.cache)


def span(series: Sequence[Series]) -> str:
    """`12 runs, 2026-01-31 to 2026-02-28`, of all series together."""
    runs = {point.run.run["id"]: str(point.run.run["started"])[:10] for each in series for point in each.points}
    first, last = min(runs.values()), max(runs.values())
    return f"{len(runs):,} run{'s' * (len(runs) != 1)}, {first}{f' to {last}' * (first != last)}"


def steps(series: Sequence[Series]) -> Iterator[tuple[str, str]]:
    """A variant and what of it stepped at one run, why as far as hashes tell, and how to look closer; in time's order.

    The metrics of a variant that step at one run are told together.
    """
    found: dict[tuple[str, str, str], list[tuple[Series, Shift]]] = {}
    for each in series:
        for shift in each.shifts:
            run = shift.points[1].run.run
            where = f"{each.place.pair} {each.place.variant} {size_words(each)}"
            found.setdefault((str(run["started"]), str(run["id"]), where), []).append((each, shift))
    for (started, _, where), shifts in sorted(found.items(), key=lambda item: item[0]):
        shift = shifts[0][1]
        before, after = shift.points
        told = ", ".join(change_words(each, shift) for each, shift in shifts)
        yield (
            started[:10],
            (
                f"{where}: {told}, from run {named(after)} on; the one before is {named(before)}. {cause(shift)}\n"
                f"Next: ptxbench compare {shlex.quote(before.run.run['id'])} {shlex.quote(after.run.run['id'])}"
            ),
        )


def change_words(series: Series, shift: Shift) -> str:
    """`ptx_barriers 64 -> 96`, `ratio +5.1 %`."""
    name = series.place.metric.name
    if series.place.exact:
        return f"{name} {shift.before:,.12g} -> {shift.after:,.12g}"
    return f"{name} {percent(shift.after / shift.before)}"


def named(point: HistoryPoint) -> str:
    """`0a1b2c3d (c0ffee, changed)`."""
    commit = point.run.source.get("commit")
    state = f"{str(commit)[:12]}{', changed' * bool(point.run.source.get('dirty'))}" if commit else "no commit known"
    return f"{point.run.run['id']} ({state})"


MOVES = {
    "source": "Its source changed.",
    "toolchain": "The same source became other code.",
    "same": "It is the same machine code.",
    None: "How its code changed is not known.",
}


def cause(shift: Shift) -> str:
    differences = "; ".join(map(str, shift.differences))
    return f"{MOVES[shift.move]}{f' Also: {differences}.' * bool(differences)}"


def footer(unjudged: int) -> Iterator[str]:
    yield NOTICE
    if unjudged:
        words = "value is" if unjudged == 1 else "values are"
        yield f"{unjudged:,} {words} left out: a label of the cell, such as THROTTLED, says that nobody judges them."
