"""How far floors are below measured times, and how often their claims were right, for a terminal. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderResult
from rich.constrain import Constrain
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
    ScoredClaim,
    by_distance,
    confusion,
    of_points,
    refutable,
    spreads,
)
from ptxbench.terminal.tables import DrawnTable, Section, draw
from ptxbench.units import fixed, plural
from ptxbench.wording.table import Column, Table, numbers, texts

SAYS = {LOWER: "lower floor", HIGHER: "higher floor", NO_CLAIM: "no claim"}
TIMES = dict(zip(MEASURED, ("less", "within 2 %", "more"), strict=True))


@dataclass(frozen=True)
class ModelAudit(Section):
    """Every published point, the summary of the points, and the claims of saved runs that a GPU measured."""

    points: Sequence[ModelPoint]
    measured: Sequence[ScoredClaim]

    def parts(self, width: int, plain: bool) -> RenderResult:
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
        yield Text(f"Saved runs: {plural(len(self.measured), 'claim')} of a model that a GPU measured", "bold")
        if self.measured:
            yield Text()
            yield confusion_table(self.measured)
            yield Text()
            yield claim_table(self.measured)


def counted(name: str, *headings: str) -> list[Column]:
    """Columns; all except the first are numbers."""
    return [*texts(name), *numbers(*headings)]


def point_table(points: Sequence[ModelPoint]) -> DrawnTable:
    columns = [*texts("kernel", "repository", "GPU"), *numbers("measured ms", "floor ms", "over"),
               *texts("highest floor")]  # fmt: skip
    rows = [
        [
            point.name,
            point.repository.split("/")[0],
            point.gpu,
            fixed(1e3 * point.seconds, 3),
            fixed(1e3 * point.highest.seconds, 3),
            fixed(point.over_floor, 2),
            WORDS[point.highest.resource],
        ]
        for point in points
    ]
    return draw(Table(columns, rows))


def spread_table(points: Sequence[ModelPoint]) -> DrawnTable:
    columns = counted("highest floor", "points", "least", "median", "most")
    rows = [
        [spread.resource, str(spread.points), *(fixed(x, 2) for x in (spread.least, spread.median, spread.most))]
        for spread in spreads(points)
    ]
    return draw(Table(columns, rows))


def confusion_table(scored: Sequence[ScoredClaim]) -> DrawnTable:
    """Rows: the three sentences; columns: the measured time compared with the other side's."""
    counts = confusion(scored)
    columns = counted("sentence", *(f"measured {TIMES[name]}" for name in MEASURED))
    return draw(Table(columns, [[SAYS[claim], *(str(counts[claim, name]) for name in MEASURED)] for claim in CLAIMS]))


def distance_table(scored: Sequence[ScoredClaim]) -> DrawnTable:
    counts = by_distance(scored)
    columns = counted("times apart", *("no claim" if name == SILENT else name for name in OUTCOMES))
    return draw(Table(columns, [[distance, *(str(counts[distance, name]) for name in OUTCOMES)]
                                for distance, _ in DISTANCES]))  # fmt: skip


def rate_table(points: Sequence[ModelPoint]) -> DrawnTable:
    """By architecture and resource: the smallest ratio of a point, and whether that refutes a slower rate."""
    order = list(WORDS)
    nearest = refutable(points)
    rows = []
    for arch, resource in sorted(nearest, key=lambda key: (key[0], order.index(key[1]))):
        least = nearest[arch, resource]
        rows.append(
            [arch, WORDS[resource], fixed(least, 2), "yes" if least < 1 / FACTOR else "no", state(arch, resource)]
        )
    columns = [*texts("architecture", "resource"), *numbers("least over floor"), *texts("refuted", "state of the rate")]
    return draw(Table(columns, rows))


def state(arch: str, resource: str) -> str:
    """The source of a resource's rate."""
    name = pipes.TENSOR if resource == "tensor" else resource
    rate = (pipes.rates(arch) or {}).get(name)
    return rate.state if rate else pipes.PUBLISHED


def claim_table(scored: Sequence[ScoredClaim]) -> DrawnTable:
    rows = [
        [score.name, str(score.claim), TIMES[score.measured], "no claim" if score.outcome == SILENT else score.outcome]
        for score in scored
    ]
    return draw(Table(texts("kernel", "claim", "measured", "outcome", width="fold"), rows))
