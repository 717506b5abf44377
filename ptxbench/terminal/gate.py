"""A gate for a terminal. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import RenderResult
from rich.constrain import Constrain
from rich.text import Text

from ptxbench.terminal.comparison import STYLES
from ptxbench.terminal.tables import DrawnTable, Section, draw, paragraphs
from ptxbench.units import size_words
from ptxbench.verdict.gate import Gate, JudgedRow
from ptxbench.verdict.verdicts import WAIVED
from ptxbench.wording.gating import change_words, footer, header, steps, total, values
from ptxbench.wording.judgement import interval_words
from ptxbench.wording.remedies import waivers
from ptxbench.wording.table import StyledText, Table, numbers, texts

OUTCOMES = {"FAIL": "bold red", "warn": "yellow", "pass": "green"}

MOST_ROWS = 40
"""The most rows that a terminal shows; files have them all."""

MOST_WAIVERS = 4
"""The most waivers that a terminal shows."""


@dataclass(frozen=True)
class GateTable(Section):
    """The result of a gate: the rows that do not pass, what to do about each, and the exit status."""

    gate: Gate

    def parts(self, width: int, plain: bool) -> RenderResult:
        yield Constrain(Text("\n".join(header(self.gate))), width)
        yield Text()
        rows = numbered(self.gate)
        if rows:
            yield Constrain(table(rows[:MOST_ROWS]), width)
            if len(rows) > MOST_ROWS:
                yield Text(f"and {len(rows) - MOST_ROWS:,} more; -o FILE.md has them all", "dim")
            yield Text()
        next_steps = steps(self.gate)
        if next_steps:
            lines = [(f"{step.outcome} {step.verdict}".rstrip(), OUTCOMES[step.outcome], f"{step.words}\nNext: "
                      f"{step.remedy}") for step in next_steps]  # fmt: skip
            yield Constrain(paragraphs(lines), width)
            yield Text()
        yield from self.waivers()
        outcome = "FAIL" if self.gate.exit_status else "warn" if self.gate.warning else "pass"
        yield Constrain(Text(total(self.gate), OUTCOMES[outcome]), width)
        yield Constrain(Text("\n".join(footer(self.gate)), "dim"), width)

    def waivers(self) -> RenderResult:
        """Temporary entries for the file of the rules, ready to paste."""
        blocks = list(waivers(self.gate.failing, self.gate.config))
        if not blocks:
            return
        yield Text(f"To waive it for a while, in {self.gate.config.file}, with the reason:\n", "dim")
        yield Text("\n\n".join(blocks[:MOST_WAIVERS]))
        if len(blocks) > MOST_WAIVERS:
            yield Text(f"\nand {len(blocks) - MOST_WAIVERS:,} more; -o FILE.md has them all", "dim")
        yield Text()


def numbered(gate: Gate) -> list[JudgedRow]:
    """The rows that do not pass, or are waived, and have numbers to show."""
    rows = [judged for judged in gate.rows if judged.outcome != "pass" or judged.row.verdict == WAIVED]
    return [judged for judged in rows if None not in (judged.row.base, judged.row.head) and shows(judged)]


def shows(judged: JudgedRow) -> bool:
    """Whether the numbers mean anything: not if they may not be compared."""
    return judged.row.verdict != "NOT-COMPARABLE"


def table(rows: Sequence[JudgedRow]) -> DrawnTable:
    """One line per row; a variant's rows with the same verdict are together."""
    wide = any(interval_words(judged.row) for judged in rows)
    columns = [*texts("gate", "verdict"), *texts("variant", "metric", width="fold"),
               *numbers("base", "head", "change", *["interval"] * wide)]  # fmt: skip
    entries = []
    for _, group in groupby(rows, key=entry_key):
        first, *others = group
        row = first.row
        lines = [
            [judged.row.metric, *values(judged), change_words(judged.row), *[interval_words(judged.row)] * wide]
            for judged in (first, *others)
        ]
        entries.append(
            [
                StyledText(first.outcome, OUTCOMES[first.outcome]),
                StyledText(row.verdict, STYLES.get(row.verdict, "")),
                StyledText(f"{row.pair} {row.variant}", below=size_words(row.size, row.cache)),
                *("\n".join(column) for column in zip(*lines, strict=True)),
            ]
        )
    return draw(Table(columns, entries))


def entry_key(judged: JudgedRow) -> tuple[object, ...]:
    """The common properties of the rows that share an entry of the table."""
    row = judged.row
    return judged.outcome, row.verdict, row.pair, row.variant, row.size
