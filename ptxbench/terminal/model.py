"""How far floors lie below measured times, and how often their claims were right, for a terminal. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from ptxbench import pipes
from ptxbench.floors import HIGHER, LOWER, NO_CLAIM, WORDS
from ptxbench.model.points import ModelPoint
from ptxbench.model.scores import (
    CLAIMS,
    DISTANCES,
    FACTOR,
    MEASURED,
    OUTCOMES,
    SILENT,
    Scored,
    by_distance,
    confusion,
    of_points,
    refutable,
    spreads,
)
from ptxbench.terminal.comparison import simple_table
from ptxbench.terminal.table import WIDEST
from ptxbench.units import fixed

SAYS = {LOWER: "lower floor", HIGHER: "higher floor", NO_CLAIM: "no claim"}
TIMES = dict(zip(MEASURED, ("less", "within 2 %", "more"), strict=True))


@dataclass(frozen=True)
class ModelAudit:
    """Every published point, what the points come to, and the claims of saved runs that a GPU measured."""

    points: Sequence[ModelPoint]
    measured: Sequence[Scored]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        claims = of_points(self.points)
        sections = (
            ("Published times over the highest floor", point_table(self.points)),
            ("The same by the highest floor", spread_table(self.points)),
            (f"Each later kernel of a series against each earlier one, {len(claims)} pairs", confusion_table(claims)),
            ("The same by how far the measured times are apart", distance_table(claims)),
            (f"Slower by {1 / FACTOR:.2f}, does a published time refute the rate?", rate_table(self.points)),
        )
        for title, table in sections:
            yield Text(title, "bold")
            yield Text()
            yield Constrain(table, width)
            yield Text()
        count = f"{len(self.measured)} claim{'' if len(self.measured) == 1 else 's'}"
        yield Text(f"Saved runs: {count} of a model that a GPU measured", "bold")
        if self.measured:
            yield Text()
            yield confusion_table(self.measured)
            yield Text()
            yield claim_table(self.measured)


def numeric(*headings: str) -> Table:
    """A table whose columns but the first are numbers."""
    table = simple_table()
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    return table


def point_table(points: Sequence[ModelPoint]) -> Table:
    table = simple_table()
    for heading in ("kernel", "repository", "GPU"):
        table.add_column(heading, no_wrap=True)
    for heading in ("measured ms", "floor ms", "over"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("highest floor", no_wrap=True)
    for each in points:
        floor = each.highest
        table.add_row(
            each.name,
            each.repository.split("/")[0],
            each.gpu,
            fixed(1e3 * each.seconds, 3),
            fixed(1e3 * floor.seconds, 3),
            fixed(each.over_floor, 2),
            WORDS[floor.resource],
        )
    return table


def spread_table(points: Sequence[ModelPoint]) -> Table:
    table = numeric("highest floor", "points", "least", "median", "most")
    for each in spreads(points):
        table.add_row(each.resource, str(each.points), *(fixed(x, 2) for x in (each.least, each.median, each.most)))
    return table


def confusion_table(scored: Sequence[Scored]) -> Table:
    """Rows: the three sentences; columns: the measured time against the other side's."""
    found = confusion(scored)
    table = numeric("sentence", *(f"measured {TIMES[name]}" for name in MEASURED))
    for claim in CLAIMS:
        table.add_row(SAYS[claim], *(str(found[claim, name]) for name in MEASURED))
    return table


def distance_table(scored: Sequence[Scored]) -> Table:
    found = by_distance(scored)
    table = numeric("times apart", *("no claim" if name == SILENT else name for name in OUTCOMES))
    for distance, _ in DISTANCES:
        table.add_row(distance, *(str(found[distance, name]) for name in OUTCOMES))
    return table


def rate_table(points: Sequence[ModelPoint]) -> Table:
    """By architecture and resource: how near a point comes, and whether that refutes a slower rate."""
    table = simple_table()
    for heading in ("architecture", "resource"):
        table.add_column(heading, no_wrap=True)
    table.add_column("least over floor", justify="right", no_wrap=True)
    for heading in ("refuted", "state of the rate"):
        table.add_column(heading, no_wrap=True)
    order = list(WORDS)
    found = refutable(points)
    for arch, resource in sorted(found, key=lambda key: (key[0], order.index(key[1]))):
        least = found[arch, resource]
        refuted = "yes" if least < 1 / FACTOR else "no"
        table.add_row(arch, WORDS[resource], fixed(least, 2), refuted, state(arch, resource))
    return table


def state(arch: str, resource: str) -> str:
    """Where the rate of a resource is from."""
    name = pipes.TENSOR if resource == "tensor" else resource
    found = (pipes.rates(arch) or {}).get(name)
    return found.state if found else pipes.PUBLISHED


def claim_table(scored: Sequence[Scored]) -> Table:
    table = simple_table()
    for heading in ("kernel", "claim", "measured", "outcome"):
        table.add_column(heading, overflow="fold")
    for each in scored:
        outcome = "no claim" if each.outcome == SILENT else each.outcome
        table.add_row(each.name, str(each.claim), TIMES[each.measured], outcome)
    return table
