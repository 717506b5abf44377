"""The results of `ptxbench check` for a terminal: stages, findings, figures, the verdict, a ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.table import Table as RichTable
from rich.text import Text

from ptxbench import units
from ptxbench.check.comparison import WORDS
from ptxbench.check.finding_codes import ERROR, UNJUDGED, WARNING
from ptxbench.check.findings import ACCEPTED, NO_VERDICT, PASSED, REJECTED, SKIPPED, WARNED, Finding, Judgement
from ptxbench.check.machine_code import EXECUTED, ends, settled
from ptxbench.check.ranking import TIME, places, time_ratio
from ptxbench.check.stages import CANDIDATE
from ptxbench.discovery import display_path
from ptxbench.languages import title
from ptxbench.result import ExecutedReport
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import WIDEST, DrawnTable, Section, draw, paragraphs, symbol
from ptxbench.wording.findings import open_counts
from ptxbench.wording.table import Column, Mark, StyledText, Table, numbers, texts

MARKS = {
    PASSED: Mark("✔", "ok", "green"),
    WARNED: Mark("!", "!", "yellow"),
    REJECTED: Mark("✘", "x", "bold red"),
    NO_VERDICT: Mark("?", "?", "yellow"),
    SKIPPED: Mark("-", "-", "dim"),
    ACCEPTED: Mark("✔", "ok", "bold green"),
}

SEVERITIES = {ERROR: REJECTED, WARNING: WARNED, UNJUDGED: NO_VERDICT}

COLUMNS = {
    "registers": ("regs", ""),
    "spill_bytes": ("spills", "B"),
    "shared_bytes": ("shared", "B"),
    "sass": ("SASS", ""),
    "occupancy": ("occup.", "%"),
    EXECUTED: ("SASS executed", ""),
    "instructions": ("PTX instr.", ""),
    "sectors": ("sectors", ""),
    "wavefronts": ("wavefronts", ""),
    "atomics": ("atomics", ""),
    "divergent": ("divergent", ""),
}
"""By figure, its heading and its unit."""


@dataclass(frozen=True)
class JudgementReport(Section):
    """One candidate: one line per stage, the findings, the figures, the verdict."""

    judgement: Judgement

    def parts(self, width: int, plain: bool) -> RenderResult:
        judgement = self.judgement
        language = title(judgement.language) if judgement.language else "not judged"
        yield Text.assemble(
            (str(display_path(Path(judgement.file))), "bold cyan"),
            (f"  {language} against '{judgement.pair}', {judgement.arch}, ", "dim"),
            (f"seed {judgement.seed}", "dim"),
            overflow="fold",
        )
        yield Text()
        yield Constrain(stages(judgement, plain), width)
        yield Text()
        for finding in judgement.findings:
            yield Constrain(finding_table(judgement, finding, plain), width)
            yield Text()
        if len(judgement.compared) > 1:
            yield Constrain(figures(judgement), width)
            yield Text()
        reasons = open_counts({name: ExecutedReport(**report) for name, report in judgement.executed.items()})
        yield from (Constrain(Prose(reason, "dim"), width) for reason in reasons)
        if reasons:
            yield Text()
        for note in judgement.notes:
            yield Constrain(Prose(f"Note: {note}.".replace("..", "."), "yellow"), width)
        if judgement.notes:
            yield Text()
        yield Constrain(closing(judgement, plain), width)


def stages(judgement: Judgement, plain: bool) -> RichTable:
    grid = RichTable.grid(padding=(0, 1))
    for stage in judgement.stages:
        mark = MARKS[stage.verdict]
        style = "dim" if stage.verdict == SKIPPED else ""
        grid.add_row(
            Text(symbol(mark, plain), mark.style), Text(stage.stage, style), Prose(stage.detail, style or "dim")
        )
    return grid


def finding_table(judgement: Judgement, finding: Finding, plain: bool) -> RichTable:
    """`wrong-result  mine.ptx:48:5`, the message, and what to do."""
    mark = MARKS[SEVERITIES[finding.severity]]
    location = ":".join(str(part) for part in (Path(judgement.file).name, finding.line, finding.column) if part)
    grid = RichTable.grid(padding=(0, 1))
    grid.add_row(
        Text(symbol(mark, plain), mark.style),
        Text.assemble((finding.code, mark.style), (f"  {location}" if finding.line else "", "cyan")),
    )
    grid.add_row("", Prose(finding.message))
    grid.add_row("", Prose(finding.hint, "dim"))
    return grid


def figures(judgement: Judgement) -> DrawnTable:
    """One row per variant, the candidate first; columns that are 0 everywhere are left out.

    Instructions of the PTX are shown if there is no machine code to count.
    """
    executed = {name: (report["least"], report["most"]) for name, report in judgement.executed.items()}
    compared = {name: {**row, EXECUTED: executed.get(name, (None,))[0]} for name, row in judgement.compared.items()}
    names = [name for name in COLUMNS if any(name in row for row in compared.values())]
    empty = [name for name in names if not any(row.get(name) for row in compared.values())]
    redundant = "instructions" if EXECUTED not in empty else EXECUTED
    columns, cells = [Column("variant")], []
    for name in names:
        if name in (*empty, redundant):
            continue
        heading, unit = COLUMNS[name]
        if name == EXECUTED:
            prefixed, figures = units.ranges([executed.get(variant) for variant in compared], unit)
        else:
            prefixed, figures = units.column([row.get(name) for row in compared.values()], unit)
        columns.append(Column(heading, prefixed, right=True))
        cells.append(figures)
    variants = [StyledText(variant, "bold" if variant == CANDIDATE else "") for variant in compared]
    return draw(Table(columns, [*zip(variants, *cells, strict=True)]))


def closing(judgement: Judgement, plain: bool) -> RichTable:
    """The final line."""
    mark = MARKS[judgement.verdict]
    return paragraphs([(symbol(mark, plain), mark.style, f"{Path(judgement.file).name}: {verdict_words(judgement)}")])


def verdict_words(judgement: Judgement) -> str:
    """`rejected at stage results: wrong-result`, or `accepted`, with a comparison with the pair's two kernels."""
    decisive = judgement.decisive
    if judgement.verdict == REJECTED and decisive:
        return f"rejected at stage {judgement.ended_at}: {decisive.code}."
    if judgement.verdict == NO_VERDICT and decisive:
        return f"could not be judged at stage {judgement.ended_at}: {decisive.code}."
    comparisons = [words for other in ("cuda", "ptx") if (words := ratio_words(judgement, other))]
    return " ".join(["accepted.", *comparisons])


def ratio_words(judgement: Judgement, other: str) -> str:
    """`Compared with cuda: 0.912 × the time.`, or the counts if there is no time, if their range is narrow."""
    ratios = judgement.ratios.get(other, {})
    if TIME in ratios:
        return f"Compared with {other}: {units.si(ratios[TIME], '×')} the time."
    are_settled = settled(judgement.executed.get(CANDIDATE)) and settled(judgement.executed.get(other))
    ratio_ranges = {name: ends(ratios.get(name)) for name in WORDS if name != EXECUTED or are_settled}
    parts = [f"{units.ranges([ratio], '×')[1][0]} × the {WORDS[name]}" for name, ratio in ratio_ranges.items() if ratio]
    return f"Compared with {other}: {', '.join(parts)}." if parts else ""


@dataclass(frozen=True)
class Ranking:
    """Several candidates, the best first."""

    judgements: Sequence[Judgement]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only
        timed = any(time_ratio(judgement) is not None for judgement in self.judgements)
        ranks = places(self.judgements)
        columns = [*numbers(""), *texts("candidate", width="fold"), *texts("verdict")]
        columns += [Column("time", "× cuda", right=True)] if timed else []
        columns += [Column(heading, "× cuda", right=True) for heading in ("sectors", "SASS executed")]
        columns += numbers("regs")
        rows = [self.row(judgement, rank, ranks, timed) for judgement, rank in zip(self.judgements, ranks, strict=True)]
        table = draw(Table(columns, rows), plain=plain)
        yield Constrain(table, min(options.max_width, WIDEST))
        sentences = list(unranked(self.judgements, ranks))
        if sentences:
            yield Text()
        for sentence in sentences:
            yield Constrain(Prose(sentence, "dim"), min(options.max_width, WIDEST))

    @staticmethod
    def row(judgement: Judgement, rank: int | None, ranks: Sequence[int | None], timed: bool) -> list[str]:
        mark, ratios = MARKS[judgement.verdict], judgement.ratios.get("cuda", {})
        decisive = judgement.decisive
        figures = judgement.compared.get(CANDIDATE, {})
        accepted = judgement.verdict == ACCEPTED
        tied = "=" if rank and ranks.count(rank) > 1 else ""
        return [
            f"{rank}{tied}" if rank else "-" if accepted else "",
            str(display_path(Path(judgement.file))),
            StyledText(f"{judgement.ended_at}: {decisive.code}" if decisive else "accepted", mark.style, mark=mark),
            *([units.fixed(time_ratio(judgement), 3)] if timed else []),
            *units.ranges([ends(ratios.get(name)) if accepted else None for name in WORDS], "×")[1],
            units.fixed(figures.get("registers") if accepted else None, 0),
        ]


def unranked(judgements: Sequence[Judgement], ranks: Sequence[int | None]) -> Iterator[str]:
    """Accepted candidates that are not ranked against others, and why."""
    pairs = [(rank, Path(judgement.file).name) for rank, judgement in zip(ranks, judgements, strict=True)
             if judgement.verdict == ACCEPTED]  # fmt: skip
    for rank in dict.fromkeys(rank for rank, _ in pairs if rank and ranks.count(rank) > 1):
        names = ", ".join(name for other, name in pairs if other == rank)
        yield f"{rank}=: the counts of {names} do not differ."
    if names := ", ".join(name for rank, name in pairs if rank is None):
        yield f"-: {names}: not ranked, because the executed machine instructions are not known within 4 %."
