"""The curves of a sweep on a terminal: a picture of each figure, its values, the best. Makes renderables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import RenderResult
from rich.constrain import Constrain
from rich.text import Text

from ptxbench import units
from ptxbench.result import BROKEN, SKIPPED, UNSUPPORTED, WRONG
from ptxbench.terminal.plot import BEST, PLAIN_BEST, pictures
from ptxbench.terminal.tables import DrawnTable, Section, draw, paragraphs
from ptxbench.tune import Curves
from ptxbench.tune.curve import FEWEST_ROUNDS, Best, unbuildable
from ptxbench.tune.panels import PanelLine, panels, value_words
from ptxbench.wording.table import StyledText, Table, numbers

PER_TABLE = 8
"""The most values of the second name that are shown side by side."""

COUNTS_NOTE = "Counts are not times: only a GPU can show which point is the fastest."


@dataclass(frozen=True)
class CurveReport(Section):
    """A sweep: its picture, the table of its main quantity, and the findings in words."""

    curves: Curves

    def parts(self, width: int, plain: bool) -> RenderResult:
        yield self.heading()
        for quantity in self.curves.quantities:
            yield Text()
            yield Text.assemble((quantity.name, "bold"), f"  {quantity.description}")
            yield from pictures(panels(self.curves, quantity), quantity.unit, plain, width)
        yield Text()
        for head, table in tables(self.curves, plain):
            yield Text(head, "bold")
            yield table
            yield Text()
        lines = list(findings(self.curves))
        yield Constrain(paragraphs([(mark, style, text) for mark, style, text in lines]), width)

    def heading(self) -> Text:
        swept = self.curves.swept
        size = "  ".join(f"{name}={value:,}" for name, value in swept.size.items() if name not in swept.values)
        names = " x ".join(f"{name} ({len(values)})" for name, values in swept.values.items())
        text = Text.assemble((swept.loaded.name, "bold cyan"), f"  {names}  ", (size, "dim"))
        for knob in swept.loaded.pair.knobs:
            if knob.name in swept.values and knob.describe:
                text.append(f"\n{knob.name}: {knob.describe}; {knob.default} by default", "dim")
        return text


# ---- the table


def tables(curves: Curves, plain: bool) -> Iterator[tuple[str, DrawnTable]]:
    """The main quantity at every point: one column per variant, or one table per variant and one column per value."""
    quantity = curves.main
    for panel in panels(curves, quantity):
        for first in range(0, len(panel.lines), PER_TABLE):
            lines = panel.lines[first : first + PER_TABLE]
            values = [value.value if value else None for line in lines for value in line.values]
            unit, texts = units.column(values, quantity.unit)
            head = f"{quantity.name}{f' ({unit})' if unit else ''}{f', {panel.title}' if panel.title else ''}"
            over = f"{panel.lines_are}\n" if panel.lines_are != "variant" else ""
            columns = numbers(panel.x_is, *(f"{over}{line.name}" for line in lines))
            count = len(panel.x)
            rows = [
                [value_words(x), *(with_mark(texts[k * count + i], line, i, plain) for k, line in enumerate(lines))]
                for i, x in enumerate(panel.x)
            ]
            yield head, draw(Table(columns, rows))


def with_mark(number: str, line: PanelLine, i: int, plain: bool) -> StyledText:
    """A number with half the width of its interval, and whether it is the best or statistically tied with it."""
    best, tied, value = i == line.best, i in line.tied, line.values[i]
    mark = (PLAIN_BEST if plain else BEST) if best else "~" if tied else " "
    spread = ""
    if value is not None and not value.bare and value.value:
        half = (value.interval.high - value.interval.low) / 2
        spread = f" ±{100 * half / abs(value.value):.1f}%"
    return StyledText(f"{number}{spread} {mark}", "bold green" if best else "green" if tied else "")


# ---- words


Sentence = tuple[str, str, str]
"""A mark, its style, and the words."""


def findings(curves: Curves) -> Iterator[Sentence]:
    """The best of each variant, the points tied with it, and every missing point with its reason."""
    for variant in curves.variants:
        best = curves.best(curves.main, variant)
        if best is not None:
            yield "i", "bold", best_words(curves, variant, best)
            yield from mark_words(curves, variant, best)
    for quantity in curves.quantities:
        for variant in curves.variants:
            if enough := curves.enough(quantity, variant):
                share, first = enough
                text = f"{100 * share:.0f} % of the greatest {quantity.name} from {point_words(curves, first)} on."
                yield "i", "", f"{variant}: {text}"
    yield from problems(curves)
    for labels in sorted({tuple(label) for label in curves.labels.values()}):
        labelled = [i for i, point_labels in curves.labels.items() if tuple(point_labels) == labels]
        yield (
            "!",
            "yellow",
            f"{', '.join(labels)}, so these points have no verdict: {points_in_words(curves, labelled)}.",
        )
    if curves.swept.kind == "counts":
        sweep = curves.swept.loaded.pair.sweep
        cannot = sweep.cannot_know if sweep else ""
        yield "i", "dim", f"{COUNTS_NOTE} {cannot}".rstrip()


def best_words(curves: Curves, variant: str, best: Best) -> str:
    quantity = curves.main
    reading = curves.of(quantity, variant)[best.index]
    assert reading is not None
    word = {"lower": "least", "higher": "greatest"}.get(quantity.better, "")
    text = f"{variant}: the {word} {quantity.name} is {units.si(reading.value, quantity.unit)}"
    if not reading.bare:
        half = (reading.interval.high - reading.interval.low) / 2
        text += f" ± {units.si(half, quantity.unit)}"
    text += f", at {point_words(curves, best.index)}."
    if not best.tied:
        others = len(curves.judged(quantity, variant)) - 1
        every = "Every other point" if others == len(curves.points) - 1 else "Every other point with a verdict"
        return text + (f" {every} is worse." if others else "")
    if reading.rounds and len(reading.rounds) < FEWEST_ROUNDS:
        rounds = "1 round" if len(reading.rounds) == 1 else f"{len(reading.rounds)} rounds"
        return text + f" {rounds} cannot separate two points; use --rounds {FEWEST_ROUNDS} or more."
    if reading.rounds:
        tied = "It is statistically tied with those"
    else:
        tied = "The same" if reading.bare else "Its interval overlaps those"
    return text + f" {tied} at {points_in_words(curves, best.tied, best.index)}."


def mark_words(curves: Curves, variant: str, best: Best) -> Iterator[Sentence]:
    """How the values of the pair itself compare with the best."""
    index, quantity = curves.at_marks(curves.main, variant), curves.main
    readings = curves.of(quantity, variant)
    if index is None or index == best.index or index in best.tied:
        return
    marked, least = readings[index], readings[best.index]
    assert marked
    assert least
    text = f"{variant} at {units.size_words(curves.marks)}, the values of the pair: "
    others = {name: value for name, value in curves.points[index].at.items() if name not in curves.marks}
    text += f"{units.si(marked.value, quantity.unit)}{f' at best, with {units.size_words(others)}' if others else ''}"
    text += f"; {marked.value / least.value:.2f} times the best." if least.value > 0 else "."
    yield "i", "", text


def problems(curves: Curves) -> Iterator[Sentence]:
    """Impossible points, points that cannot be built, and wrong ones; equal reasons together."""
    reasons: dict[tuple[str, str, str], list[int]] = {}
    for i, point in enumerate(curves.points):
        if point.reason:
            kind = "Some launches are not possible" if point.possible else "Not possible"
            reasons.setdefault(("-", "dim", f"{kind}: {point.reason}"), []).append(i)
        for variant in curves.variants:
            result = curves.statuses[variant][i]
            if unbuildable(result):
                assert result is not None
                key = "-", "dim", f"Not possible, {variant}: {result.reason}"
            elif result and result.status in (WRONG, BROKEN):
                key = "x", "bold red", f"{variant} is {result.status}: {result.reason}"
            elif result and result.status in (UNSUPPORTED, SKIPPED):
                key = "?", "yellow", f"{variant} is {result.status}: {result.reason}"
            else:
                continue
            reasons.setdefault(key, []).append(i)
    for (mark, style, text), indices in reasons.items():
        yield mark, style, f"{text} At {points_in_words(curves, indices)}."


MOST_LISTED = 6


def points_in_words(curves: Curves, indices: Sequence[int], already_named: int | None = None) -> str:
    """The points in words, at most MOST_LISTED. All points that share a value are summarised; `already_named`: a point
    that counts as one of them but is not listed."""
    remaining = set(indices)
    if len(remaining | {already_named} - {None}) == len(curves.points):
        return "every point"
    parts = []
    for name, values in curves.swept.values.items():
        for value in values if len(curves.swept.values) > 1 else ():
            with_value = {i for i, point in enumerate(curves.points) if point.at[name] == value}
            if with_value <= remaining | {already_named} and len(with_value) > 1:
                parts.append(f"every point with {name}={value}")
                remaining -= with_value
    parts += [point_words(curves, i) for i in sorted(remaining)]
    more = f" and {len(parts) - MOST_LISTED} more" if len(parts) > MOST_LISTED else ""
    return "; ".join(parts[:MOST_LISTED]) + more


def point_words(curves: Curves, index: int) -> str:
    at: Mapping[str, int] = curves.points[index].at
    return units.size_words(at)
