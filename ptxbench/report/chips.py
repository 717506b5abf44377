"""Verdicts as chips: of a row against the cuda row, and of all hand-written PTX against the best CUDA C as tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptxbench.metrics import BY_NAME
from ptxbench.report import charts
from ptxbench.result import VERIFIED, Cell
from ptxbench.rival import (
    EXECUTED,
    OTHER_GEOMETRY,
    TIME,
    Rival,
    bounds,
    code_of,
    metric_of,
    other_geometry,
    rival_of,
    verdict,
    verified_rows,
)
from ptxbench.stats import Interval
from ptxbench.wording.findings import SAME_CODE, SAME_MIX, code_relation

SIGNS = {
    "faster": "▼",
    "slower": "▲",
    "same": "=",
    "unsure": "?",
    "fewer": "▼",
    "more": "▲",
    "as-many": "=",
    "same-code": "≡",
}
"""The sign of each class, shown with the words, for readers who do not see the colour."""


@dataclass(frozen=True)
class Chip:
    """A verdict, or how two variants' machine code relates: its class, sign and word."""

    style: str
    word: str

    @property
    def sign(self) -> str:
        return SIGNS.get(self.style, "")


def chip(cell: Cell, variant: str, noise: Interval | None) -> Chip | None:
    """The verdict of a timed variant against the cuda row; for others how their machine code relates to it."""
    rival = charts.AXIS_RIVAL
    result, reference = cell.variants[variant], cell.variants.get(rival.name)
    if reference is None or result.status != VERIFIED or reference.status != VERIFIED:
        return None
    if other_geometry(cell, variant, rival.name):
        return Chip("other", OTHER_GEOMETRY)
    relation = code_relation(result, reference)
    if relation == SAME_CODE:
        return Chip("same-code", "same code")
    if BY_NAME["ratio"].of(cell, variant) is not None:
        return timed_chip(cell, variant, rival, noise)
    if result.build is None or result.build.sass_sha256 is None:
        return None
    return Chip("same-mix", "same mix") if relation == SAME_MIX else Chip("other", "other code")


def timed_chip(cell: Cell, variant: str, rival: Rival, noise: Interval | None) -> Chip:
    word = verdict(cell, variant, rival, noise).split(":")[0]
    style = charts.style_of(word)
    return Chip(style, word if style != "unsure" or word == "INCONCLUSIVE" else "no verdict")


def tally(cells: Sequence[Cell], noise: Interval | None) -> list[tuple[Chip, int]]:
    """How many hand-written PTX rows have each verdict against the best CUDA C of their cell."""
    counts = Counter(chip for cell in cells for chip in rival_chips(cell, noise))
    return sorted(counts.items(), key=lambda item: list(SIGNS).index(item[0].style))


def rival_chips(cell: Cell, noise: Interval | None) -> Iterator[Chip]:
    """The verdict of each hand-written PTX of a cell; none without a verified CUDA C, or without times and counts."""
    rival, metric = rival_of(cell), metric_of(cell)
    for name in verified_rows(cell, "ptx") if rival else ():
        assert rival
        if other_geometry(cell, name, rival.name):
            yield Chip("unsure", OTHER_GEOMETRY)
        elif code_of(cell, name) == code_of(cell, rival.name) is not None:
            yield Chip("same-code", "same code")
        elif metric == TIME:
            yield timed_chip(cell, name, rival, noise)
        elif metric and rival.leader.metric == metric:
            yield counted_chip(cell, name, rival, metric)


def counted_chip(cell: Cell, name: str, rival: Rival, metric: str) -> Chip:
    """Fewer, more or as many executed instructions; `not known` if the ranges overlap, or one has no number."""
    noun = "SASS executed" if metric == EXECUTED else "PTX instr."
    if BY_NAME[metric].of(cell, name) is None:
        return Chip("unsure", f"{noun} not known")
    counts, rival_counts = bounds(cell, name, metric), bounds(cell, rival.name, metric)
    if counts[1] < rival_counts[0]:
        return Chip("fewer", f"fewer {noun}")
    if counts[0] > rival_counts[1]:
        return Chip("more", f"more {noun}")
    equal = counts == rival_counts and counts[0] == counts[1]
    return Chip("as-many", f"as many {noun}") if equal else Chip("unsure", f"{noun} not known")
