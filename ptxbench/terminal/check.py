"""What `ptxbench check` found, for a terminal: stages, findings, figures beside the pair's, the verdict, a ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ptxbench import units
from ptxbench.check.beside import WORDS
from ptxbench.check.finding_codes import ERROR, UNJUDGED, WARNING
from ptxbench.check.findings import ACCEPTED, NO_VERDICT, PASSED, REJECTED, SKIPPED, WARNED, Finding, Judgement
from ptxbench.check.machine_code import EXECUTED, ends, settled
from ptxbench.check.ranking import TIME, places, time_ratio
from ptxbench.check.stages import CANDIDATE
from ptxbench.discovery import shown
from ptxbench.result import ExecutedReport
from ptxbench.terminal.comparison import simple_table
from ptxbench.terminal.table import WIDEST, headed, paragraphs
from ptxbench.wording.findings import open_counts

MARKS = {
    PASSED: ("✔", "ok", "green"),
    WARNED: ("!", "!", "yellow"),
    REJECTED: ("✘", "x", "bold red"),
    NO_VERDICT: ("?", "?", "yellow"),
    SKIPPED: ("-", "-", "dim"),
    ACCEPTED: ("✔", "ok", "bold green"),
}
"""The mark of each verdict, the same in ASCII, and its style."""

GRAVITIES = {ERROR: REJECTED, WARNING: WARNED, UNJUDGED: NO_VERDICT}

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

DISPENSABLE = ("divergent", "atomics", "wavefronts", "shared_bytes", "spill_bytes", "occupancy")
"""What a narrow terminal goes without, the first first; those that are 0 in every row before the others."""

LANGUAGES = {"ptx": "PTX", "cuda": "CUDA C", None: "not judged"}


@dataclass(frozen=True)
class JudgementReport:
    """One candidate: a line a stage, the findings, the figures, the verdict."""

    judgement: Judgement

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, plain = min(options.max_width, WIDEST), options.ascii_only
        judgement = self.judgement
        yield Text.assemble(
            (str(shown(Path(judgement.file))), "bold cyan"),
            (f"  {LANGUAGES[judgement.language]} against '{judgement.pair}', {judgement.arch}, ", "dim"),
            (f"seed {judgement.seed}", "dim"),
            overflow="fold",
        )
        yield Text()
        yield Constrain(stages(judgement, plain), width)
        yield Text()
        for each in judgement.findings:
            yield Constrain(told(judgement, each, plain), width)
            yield Text()
        if len(judgement.compared) > 1:
            yield Constrain(figures(console, options.update(width=width), judgement), width)
            yield Text()
        reasons = open_counts({name: ExecutedReport(**each) for name, each in judgement.executed.items()})
        yield from (Constrain(Text(each, "dim"), width) for each in reasons)
        if reasons:
            yield Text()
        for note in judgement.notes:
            yield Constrain(Text(f"Note: {note}.".replace("..", "."), "yellow"), width)
        if judgement.notes:
            yield Text()
        yield Constrain(closing(judgement, plain), width)


def stages(judgement: Judgement, plain: bool) -> Table:
    grid = Table.grid(padding=(0, 1))
    for each in judgement.stages:
        mark = MARKS[each.verdict]
        style = "dim" if each.verdict == SKIPPED else ""
        grid.add_row(Text(mark[plain], mark[2]), Text(each.stage, style), Text(each.told, style or "dim"))
    return grid


def told(judgement: Judgement, each: Finding, plain: bool) -> Table:
    """`wrong-result  mine.ptx:48:5`, the message, and what to do."""
    mark = MARKS[GRAVITIES[each.gravity]]
    place = ":".join(str(part) for part in (Path(judgement.file).name, each.line, each.column) if part)
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        Text(mark[plain], mark[2]), Text.assemble((each.code, mark[2]), (f"  {place}" if each.line else "", "cyan"))
    )
    grid.add_row("", Text(each.message))
    grid.add_row("", Text(each.hint, "dim"))
    return grid


def figures(console: Console, options: ConsoleOptions, judgement: Judgement) -> RenderableType:
    """A row a variant, the candidate first; what is 0 everywhere, and what there is no room for, is left out.

    Instructions of the PTX are shown where there is no machine code to count.
    """
    executed = {name: (each["least"], each["most"]) for name, each in judgement.executed.items()}
    compared = {name: {**row, EXECUTED: executed.get(name, (None,))[0]} for name, row in judgement.compared.items()}
    names = [name for name in COLUMNS if any(name in row for row in compared.values())]
    empty = [name for name in names if not any(row.get(name) for row in compared.values())]
    less = "instructions" if EXECUTED not in empty else EXECUTED
    chosen = [name for name in names if name not in (*empty, less)]

    def build(columns: Sequence[str]) -> Table:
        table = simple_table()
        table.add_column("variant", no_wrap=True)
        texts = []
        for name in columns:
            heading, unit = COLUMNS[name]
            if name == EXECUTED:
                prefixed, numbers = units.ranges([executed.get(variant) for variant in compared], unit)
            else:
                prefixed, numbers = units.column([row.get(name) for row in compared.values()], unit)
            table.add_column(headed(heading, prefixed), justify="right", no_wrap=True)
            texts.append(numbers)
        for variant, *cells in zip(compared, *texts, strict=True):
            table.add_row(Text(variant, "bold" if variant == CANDIDATE else ""), *cells)
        return table

    for name in ("", *DISPENSABLE):
        chosen = [each for each in chosen if each != name]
        table = build(chosen)
        if Measurement.get(console, options.update(width=100 * WIDEST), table).maximum <= options.max_width:
            return table
    return table


def closing(judgement: Judgement, plain: bool) -> Table:
    """The final line."""
    mark = MARKS[judgement.verdict]
    return paragraphs([(mark[plain], mark[2], f"{Path(judgement.file).name}: {verdict_words(judgement)}")])


def verdict_words(judgement: Judgement) -> str:
    """`rejected at stage results: wrong-result`, or `accepted`, with what it takes beside the pair's two kernels."""
    decisive = judgement.decisive
    if judgement.verdict == REJECTED and decisive:
        return f"rejected at stage {judgement.ended_at}: {decisive.code}."
    if judgement.verdict == NO_VERDICT and decisive:
        return f"could not be judged at stage {judgement.ended_at}: {decisive.code}."
    beside = [words for other in ("cuda", "ptx") if (words := ratio_words(judgement, other))]
    return " ".join(["accepted.", *beside])


def ratio_words(judgement: Judgement, other: str) -> str:
    """`Beside cuda 0.912 × the time.`, or of the counts where there is no time; not of a range that is too wide."""
    ratios = judgement.ratios.get(other, {})
    if TIME in ratios:
        return f"Beside {other} {units.si(ratios[TIME], '×')} the time."
    sure = settled(judgement.executed.get(CANDIDATE)) and settled(judgement.executed.get(other))
    known = {name: ends(ratios.get(name)) for name in WORDS if name != EXECUTED or sure}
    parts = [f"{units.ranges([each], '×')[1][0]} × the {WORDS[name]}" for name, each in known.items() if each]
    return f"Beside {other} {', '.join(parts)}." if parts else ""


@dataclass(frozen=True)
class Ranking:
    """Several candidates, the best first."""

    judgements: Sequence[Judgement]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only
        timed = any(time_ratio(each) is not None for each in self.judgements)
        table = simple_table()
        table.add_column("", justify="right", no_wrap=True)
        table.add_column("candidate", overflow="fold")
        table.add_column("verdict", no_wrap=True)
        if timed:
            table.add_column(headed("time", "× cuda"), justify="right", no_wrap=True)
        for heading in (headed("sectors", "× cuda"), headed("SASS executed", "× cuda"), "regs"):
            table.add_column(heading, justify="right", no_wrap=True)
        found = places(self.judgements)
        for place, each in zip(found, self.judgements, strict=True):
            mark, ratios = MARKS[each.verdict], each.ratios.get("cuda", {})
            decisive = each.decisive
            ended = f"{each.ended_at}: {decisive.code}" if decisive else "accepted"
            own = each.compared.get(CANDIDATE, {})
            accepted = each.verdict == ACCEPTED
            cells = units.ranges([ends(ratios.get(name)) if accepted else None for name in WORDS], "×")[1]
            tied = "=" if place and found.count(place) > 1 else ""
            table.add_row(
                f"{place}{tied}" if place else "-" if accepted else "",
                Text(str(shown(Path(each.file)))),
                Text(f"{mark[plain]} {ended}", mark[2]),
                *([units.fixed(time_ratio(each), 3)] if timed else []),
                *cells,
                units.fixed(own.get("registers") if accepted else None, 0),
            )
        yield Constrain(table, min(options.max_width, WIDEST))
        sentences = list(unranked(self.judgements, found))
        if sentences:
            yield Text()
        for sentence in sentences:
            yield Constrain(Text(sentence, "dim"), min(options.max_width, WIDEST))


def unranked(judgements: Sequence[Judgement], found: Sequence[int | None]) -> Iterator[str]:
    """Which accepted candidates are not ranked against others, and why."""
    pairs = [(place, Path(each.file).name) for place, each in zip(found, judgements, strict=True)
             if each.verdict == ACCEPTED]  # fmt: skip
    for place in dict.fromkeys(place for place, _ in pairs if place and found.count(place) > 1):
        names = ", ".join(name for each, name in pairs if each == place)
        yield f"{place}=: no count tells {names} apart."
    if names := ", ".join(name for place, name in pairs if place is None):
        yield f"-: {names}: no place, since the machine instructions executed are not known within 4 %."
