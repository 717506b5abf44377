"""A run on the page: its summary and tables as rows of text, ready for the templates."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp

from ptxbench import units
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.model.scores import ScoredClaim
from ptxbench.report import charts, roofs
from ptxbench.report.chips import Chip, chip, tally
from ptxbench.report.provenance import provenance
from ptxbench.result import BITS_DIFFER, COMPLETE, VERIFIED, Cell, RunDocument, VariantResult
from ptxbench.runner import noise
from ptxbench.stats import Interval
from ptxbench.wording.cells import conditions, default_columns, metric_columns, says_something, with_spread
from ptxbench.wording.findings import closing, compilers, problems, remarks
from ptxbench.wording.limits import limits_words
from ptxbench.wording.model import model_lines
from ptxbench.wording.table import Column


@dataclass(frozen=True)
class SummaryRow:
    """A variant of a cell against the reference."""

    pair: str
    size: str
    variant: str
    status: str
    check: str
    chip: Chip | None
    figures: tuple[str, ...]


@dataclass(frozen=True)
class CellView:
    """A cell with all its variants, one row each."""

    caption: str
    details: str
    labels: tuple[str, ...]
    headings: tuple[Column, ...]
    rows: tuple[tuple[str, str, str, tuple[str, ...]], ...]
    """Variant, status, check, figures."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RunView:
    """One run."""

    run: RunDocument
    number: int
    scored: Sequence[ScoredClaim] = ()
    """Claims of the models of all runs on the page that one of these runs measured."""

    @cached_property
    def cells(self) -> list[Cell]:
        return [cell for cell in self.run.cells if not cell.control]

    @cached_property
    def noise(self) -> Interval | None:
        return noise(self.run.cells)

    @cached_property
    def timed(self) -> bool:
        return any(cell.rounds for cell in self.cells)

    @cached_property
    def chart(self) -> charts.Chart | None:
        return charts.chart(self.cells, self.noise)

    @cached_property
    def roofline(self) -> roofs.Roofline | None:
        return roofs.roofline_of(self.cells)

    @property
    def name(self) -> str:
        return self.run.device.name

    @property
    def warnings(self) -> Iterator[str]:
        """Sentences that the reader should see first."""
        name = f"Run {self.run.run.id}"
        if self.run.run.status != COMPLETE:
            yield f"{name} is not complete ({self.run.run.status}): what was finished is shown."
        if self.run.run.assembler == "driver":
            yield f"{name} was assembled by the GPU's driver: the machine code of the listings is that of ptxas."

    @property
    def statuses(self) -> Mapping[str, int]:
        return Counter(result.status for cell in self.cells for result in cell.variants.values())

    @property
    def pairs(self) -> int:
        return len({cell.pair for cell in self.cells})

    @property
    def headings(self) -> tuple[tuple[str, str], ...]:
        """Heading and unit of the figures in the summary."""
        if self.timed:
            return TIMED_SUMMARY
        return ((self.instructions, "/ cuda"), *COUNTED_SUMMARY)

    @cached_property
    def machine(self) -> bool:
        """Whether executed machine instructions are compared, not those of PTX."""
        return charts.of_machine(self.cells)

    @property
    def instructions(self) -> str:
        """What is compared, as a heading."""
        return "SASS executed" if self.machine else "PTX instr."

    @cached_property
    def summary(self) -> list[SummaryRow]:
        return [
            summary_row(cell, variant, result, self.noise, timed=self.timed)
            for cell in self.cells
            for variant, result in cell.variants.items()
            if variant != REFERENCE
        ]

    @cached_property
    def tally(self) -> list[tuple[Chip, int]]:
        """How many hand-written PTX rows have each verdict against the best CUDA C; other rows are not counted."""
        return tally(self.cells, self.noise)

    @property
    def noise_words(self) -> str | None:
        if self.noise is None:
            return None
        low, high = (100 * (exp(end) - 1) for end in (self.noise.low, self.noise.high))
        return f"Noise floor: one kernel against itself differs by {low:+.2f} to {high:+.2f} %."

    @property
    def limits(self) -> list[str]:
        return sorted({limits_words(cell.limits) for cell in self.cells if cell.limits})

    def several(self, pair: str) -> bool:
        """Whether the run has several sizes of the pair."""
        return sum(cell.pair == pair for cell in self.cells) > 1

    def tables(self, pair: str) -> list[CellView]:
        return [table(cell, self.scored) for cell in self.cells if cell.pair == pair]

    def finding_lines(self, pair: str) -> list[str]:
        """The finding of a pair's cells, in words."""
        return closing([cell for cell in self.cells if cell.pair == pair], self.noise)

    @cached_property
    def provenance(self) -> list[tuple[str, str]]:
        return list(provenance(self.run))

    @property
    def command(self) -> str | None:
        """The command that repeats the run with its seed; None if its command was not recorded."""
        argv = [str(word) for word in self.run.run.argv or ()]
        seed = self.run.run.seed
        if argv and seed is not None and not any(word.split("=")[0] == "--seed" for word in argv):
            argv += ["--seed", str(seed)]
        return f"ptxbench {shlex.join(argv)}" if argv else None


TIMED_SUMMARY = (
    ("time", ""),
    ("time / cuda", "×"),
    ("of limit", "%"),
    ("SASS", "cuda → this"),
    ("regs", "cuda → this"),
)
COUNTED_SUMMARY = (
    ("sectors", "/ cuda"), ("conflicts", "cuda → this"), ("SASS", "cuda → this"), ("regs", "cuda → this"),
)  # fmt: skip
"""Heading and unit of the figures in a summary of times; in one of counts, after the executed instructions."""


def summary_row(cell: Cell, variant: str, result: VariantResult, noise: Interval | None, *, timed: bool) -> SummaryRow:
    figures: tuple[str, ...] = (change(cell, variant, "sass"), change(cell, variant, "registers"))
    if timed:
        share = BY_NAME["share"].of(cell, variant)
        ratio = with_spread(BY_NAME["ratio"], cell, ratio_texts(cell))[list(cell.variants).index(variant)]
        figures = (
            units.si(BY_NAME["time"].of(cell, variant), "s"),
            ratio,
            units.fixed(share and 100 * share, 0),
            *figures,
        )
    else:
        shares = [charts.relative(cell, variant, metric) for metric in charts.counted([cell]).values()]
        ran = [units.fixed(share if result.status == VERIFIED else None, 3) for share in shares]
        figures = (*ran, change(cell, variant, "ptx_shared_conflicts"), *figures)
    return SummaryRow(
        cell.pair, units.size_words(cell.point, cell.cache), variant, result.status, check(result),
        chip(cell, variant, noise), figures,
    )  # fmt: skip


def ratio_texts(cell: Cell) -> list[str]:
    return units.column([BY_NAME["ratio"].of(cell, name) for name in cell.variants], "×")[1]


def change(cell: Cell, variant: str, metric: str) -> str:
    """`88 → 24`: the numbers of the reference and of the variant; one if they are equal, or the reference has none."""
    values = [BY_NAME[metric].of(cell, name) for name in (REFERENCE, variant) if name in cell.variants]
    if all(value is None for value in values):
        return units.ABSENT
    texts = [units.si(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else " → ".join(texts)


def check(result: VariantResult) -> str:
    """`exact`, `1.2e-07`, or the status."""
    if result.status == VERIFIED and result.check:
        return "exact" if result.check.max_error == 0 else units.error(result.check.max_error)
    return result.status


def table(cell: Cell, scored: Sequence[ScoredClaim] = ()) -> CellView:
    """All variants of a cell with the columns that a terminal would show."""
    columns = [metric for metric in default_columns(cell) if says_something(metric, cell)]
    headings, figures = metric_columns(cell, columns)
    rows = [
        (name, result.status, check(result), row)
        for (name, result), row in zip(cell.variants.items(), figures, strict=True)
    ]
    return CellView(
        "  ".join(f"{name} = {value:,}" for name, value in cell.point.items()),
        conditions(cell, " × "),
        tuple(label for label in cell.labels if not label.startswith(BITS_DIFFER)),
        tuple(headings),
        tuple(rows),
        (*map(str, problems(cell)), *remarks(cell), *compilers(cell), *model_lines(cell, scored)),
    )
