"""The results of `ptxbench exec` for a terminal: arrays, counts, executed lines, findings. Prints nothing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.table import Table as RichTable
from rich.text import Text

from ptxbench import kernel_names, units
from ptxbench.emulator.findings import SanitizerFinding
from ptxbench.exec_program import ExecProgram
from ptxbench.execution import CLEAN, FAULT, FINDING, UNSUPPORTED, ExecOutcome, Output, SkippedKernel
from ptxbench.metrics import BY_NAME
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import WIDEST, DrawnTable, Section, draw, symbol
from ptxbench.wording.cells import trimmed
from ptxbench.wording.machine import sentence
from ptxbench.wording.table import Mark, StyledText, Table, numbers, texts

LANES = 32
MARKS = {
    CLEAN: Mark("✔", "ok", "green"),
    FINDING: Mark("✘", "x", "bold red"),
    FAULT: Mark("✘", "x", "bold red"),
    UNSUPPORTED: Mark("?", "?", "yellow"),
}

AROUND = 2
"""PTX lines shown on each side of a line with an error."""

QUOTED = 3
"""The most locations that are quoted for one error."""

LONGEST_ROW = 500
"""The most characters of a line of source text that are shown."""


@dataclass(frozen=True)
class Report:
    """One launch. `lines`: how many executed lines to show, None for all. `in_file_order`: instead of most executed
    first."""

    outcome: ExecOutcome
    lines: int | None
    in_file_order: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        options = options.update(width=min(options.max_width, WIDEST))
        width = options.max_width
        outcome = self.outcome
        yield heading(outcome)
        yield Text()
        if outcome.error:
            yield from constrained(width, fault(outcome, options.ascii_only))
            return
        yield from constrained(width, findings(outcome, options.ascii_only))
        yield from constrained(width, notes(outcome))
        yield from constrained(width, order_reason(outcome))
        if outcome.printed:
            yield title("printed")
            yield Text(outcome.printed.rstrip("\n"))
            yield Text()
        yield from constrained(width, arrays(outcome))
        yield from constrained(width, [counters(outcome.counters), Text()])
        if outcome.executed is not None:
            yield from constrained(width, [Text(sentence(outcome.executed)), Text()])
        if self.lines != 0 and outcome.by_line:
            yield from constrained(width, [lines_table(outcome, self.lines, self.in_file_order), Text()])


def constrained(width: int, parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    return (Constrain(part, width) for part in parts)


def title(text: str) -> Text:
    return Text(text, style="bold")


def heading(outcome: ExecOutcome) -> Text:
    """The kernel, its file, and how it was launched."""
    compiler = outcome.program.compiler
    return Text.assemble(
        (kernel_names.short(outcome.function.name), "bold cyan"),
        "  ",
        outcome.program.path.name,
        (f"  {outcome.program.arch}, {launch_words(outcome)}", "dim"),
        (f"\ncompiled by {compiler}" if compiler else "", "dim"),
        overflow="fold",
    )


def launch_words(outcome: ExecOutcome) -> str:
    """`grid 64, block 16 x 16`, with the cluster and the dynamic shared memory if there are any."""
    grid, block = (" x ".join(map(str, trimmed(extent))) for extent in (outcome.launch.grid, outcome.block))
    words = f"grid {grid}, block {block}"
    if outcome.launch.cluster:
        words += f", cluster {' x '.join(map(str, trimmed(outcome.launch.cluster)))}"
    if outcome.launch.shared_bytes:
        words += f", {outcome.launch.shared_bytes:,} bytes of dynamic shared memory"
    return words


# ---- errors


def fault(outcome: ExecOutcome, plain: bool) -> Iterator[RenderableType]:
    """Why the kernel was stopped or could not run, and the lines that the message names."""
    assert outcome.error is not None
    yield problem(outcome.status, f"{type(outcome.error).__name__}: {outcome.error}", plain)
    yield Text()
    yield from excerpts(outcome.program, str(outcome.error))
    yield from notes(outcome)


def findings(outcome: ExecOutcome, plain: bool) -> Iterator[RenderableType]:
    """The sanitizer's findings, each with its line; if there are none and every check was made, a note that says so.

    Those of one kind at the same lines of CUDA C, as in an unrolled loop, are shown once."""
    if not outcome.launch.sanitize:
        return
    if not outcome.findings and not outcome.unchecked:
        yield Text.assemble((symbol(MARKS[CLEAN], plain), "green"), " The sanitizer found nothing for this input.")
        yield Text()
    for finding, *others in at_the_same_lines(outcome.findings):
        yield problem(FINDING, f"{finding.kind}: {finding.message}", plain)
        lines = sorted({int(match["ptx"]) for other in others if (match := PLACE.search(other.message))})
        if lines:
            ptx_lines = units.enumeration([str(line) for line in lines])
            yield Prose(f"  The same at PTX line{'s' * (len(lines) > 1)} {ptx_lines}.")
        yield from excerpts(outcome.program, finding.message, most=1)


PLACE = re.compile(r"(?P<place>[^\s:]+:\d+) \(PTX line (?P<ptx>\d+)\)")
"""A line of CUDA C in a message, with its line of PTX."""


def at_the_same_lines(findings: Sequence[SanitizerFinding]) -> Iterable[list[SanitizerFinding]]:
    """The findings, those of one kind that name the same lines of CUDA C together."""
    groups: dict[object, list[SanitizerFinding]] = {}
    for finding in findings:
        places = tuple(match["place"] for match in PLACE.finditer(finding.message))
        groups.setdefault((finding.kind, places or finding), []).append(finding)
    return groups.values()


def notes(outcome: ExecOutcome) -> Iterator[RenderableType]:
    """What the reader must know to interpret the result: first the checks that were not made."""
    if outcome.unchecked:
        start = "No finding, but n" if outcome.launch.sanitize and outcome.status == CLEAN else "N"
        yield Prose(f"{start}ot every check was made:", "yellow")
    for note in outcome.unchecked:
        yield Prose(f"- {note}.", "yellow")
    for note in outcome.notes:
        if note not in outcome.unchecked:
            yield Prose(f"Note: {note}.", "yellow")
    if outcome.notes:
        yield Text()


def missing_checks(outcomes: Sequence[ExecOutcome]) -> Iterator[RenderableType]:
    """The checks that were not made of a folder's kernels, each with the kernels."""
    kernels: dict[str, list[str]] = {}
    for outcome in outcomes:
        for note in outcome.unchecked:
            kernels.setdefault(note, []).append(kernel_names.short(outcome.function.name))
    if kernels:
        yield Text("Not every check was made:", style="yellow")
    for note, names in kernels.items():
        yield Prose(f"- {', '.join(names)}: {note}.", "yellow")
    if kernels:
        yield Text()


def order_reason(outcome: ExecOutcome) -> Iterator[RenderableType]:
    """A note that the result may differ if CTAs run in another order, as they do on a GPU."""
    if outcome.order_reason:
        reason = outcome.order_reason
        yield Prose(f"The CTAs ran one after the other, by rank, because their order matters: {reason}.")
        yield Text()


def problem(status: str, text: str, plain: bool) -> RichTable:
    """A mark and a paragraph."""
    mark = MARKS[status]
    grid = RichTable.grid(padding=(0, 1))
    grid.add_row(Text(symbol(mark, plain), mark.style), Prose(text))
    return grid


def excerpts(program: ExecProgram, message: str, most: int = QUOTED) -> Iterator[RenderableType]:
    """The text around the first lines that the message names. For CUDA C also the line of PTX."""
    if program.language == "ptx":
        matches = re.finditer(r"(?::|\bline )(?P<line>\d+)\b(?=[:,]|$)", message)
        locations: list[tuple[str, int, int | None]] = [
            (program.path.name, int(match["line"]), None) for match in matches
        ]
    else:
        matches = re.finditer(r"(?P<file>[^\s:]+)(?::(?P<line>\d+))?(?: \(PTX line (?P<ptx>\d+)\)|:)", message)
        locations = [(match["file"], int(match["line"] or 0), int(match["ptx"] or 0) or None) for match in matches]
        locations = [location for location in locations if any(location[1:])]
    for file, line, in_ptx in list(dict.fromkeys(locations))[:most]:
        rows = rows_of(program, file)
        if 0 < line < len(rows):
            yield from excerpt(rows, line)
        if in_ptx is not None and in_ptx < len(program.text):
            yield Prose(f"PTX {in_ptx} | {' '.join(program.text[in_ptx].split())}", "dim")
        yield Text()


def rows_of(program: ExecProgram, file: str) -> list[str]:
    """The lines of the program's file, or of a header of it, counted from 1; empty if it is not known. Of a long line
    only the beginning, because a program may write all of a kernel as one."""
    if program.language == "ptx":
        rows = program.text
    elif (text := program.source_text(file)) is None:
        return []
    else:
        rows = ["", *text.removesuffix("\n").split("\n")]
    return [row if len(row) <= LONGEST_ROW else f"{row[:LONGEST_ROW]}…" for row in rows]


def excerpt(rows: Sequence[str], number: int) -> Iterator[RichTable]:
    """A line with a mark, and the lines around it."""
    last = min(number + AROUND, len(rows) - 1)
    digits = len(str(last))
    for line in range(max(number - AROUND, 1), last + 1):
        is_named = line == number
        grid = RichTable.grid()
        margin = Text(f"{'>' if is_named else ' '} {line:{digits}} | ", "bold red" if is_named else "dim")
        grid.add_row(margin, Prose(rows[line].expandtabs(4), "" if is_named else "dim"))
        yield grid


# ---- arrays


def arrays(outcome: ExecOutcome) -> Iterator[RenderableType]:
    """The arrays that the kernel changed, and the names of the others."""
    if outcome.outputs:
        yield outputs_table(outcome.outputs)
    unchanged = [array.name for array in outcome.arrays if not array.changed]
    if unchanged:
        word = "unchanged" if outcome.outputs else "No array was changed"
        yield Prose(f"{word}: {', '.join(unchanged)}", "" if not outcome.outputs else "dim")
    if outcome.arrays:
        yield Text()


def outputs_table(outputs: Sequence[Output]) -> DrawnTable:
    rows = []
    for output in outputs:
        summary = output.summary()
        shape = ",".join(map(str, output.array.shape))
        rows.append(
            [
                output.name,
                f"{output.type.name}[{shape}]",
                *(number(summary[name]) for name in ("min", "max", "mean")),
                StyledText(number(summary["nan"]), "red" if summary["nan"] else ""),
                " ".join(map(number, summary["first"])),
            ]
        )
    columns = [*texts("changed", "holds"), *numbers("min", "max", "mean", "NaN"), *texts("first values", width="fold")]
    return draw(Table(columns, rows))


def number(value: Any) -> str:
    """`-0.5`, `1,024`, `nan`; "-" if there is no value."""
    if value is None:
        return units.ABSENT
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


# ---- counts


def counters(counts: Mapping[str, float]) -> DrawnTable:
    """The nonzero counters, and what each means."""
    rows = [[amount(name, count), name, StyledText(meaning(name), "dim")] for name, count in counts.items() if count]
    return draw(Table([*numbers("count"), *texts("of", "means", width="fold")], rows))


def meaning(name: str) -> str:
    """What a counter counts."""
    return BY_NAME[name].description if name in BY_NAME else ""


def amount(name: str, value: float) -> str:
    """`8,192`; `97.5 %`; `4.00` for a ratio."""
    if name in BY_NAME and BY_NAME[name].unit == "%":
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if float(value).is_integer() and not name.endswith("_per_request") else f"{value:,.2f}"


# ---- lines


def lines_table(outcome: ExecOutcome, most: int | None, in_file_order: bool) -> DrawnTable:
    """The executed lines of the file, with how often warps executed each, the active lanes, and what it cost.

    A line of CUDA C has the counts of all PTX lines that were made from it.
    """
    program = outcome.program
    cuda = program.language == "cuda"
    counts_by_line = by_source_line(outcome)
    hottest = sorted(counts_by_line, key=lambda location: (-executed(counts_by_line[location]), location))[:most]
    order = sorted(hottest) if in_file_order else hottest
    omitted = len(counts_by_line) - len(order)
    sources = {file: rows_of(program, file or program.path.name) for file in {file for file, _ in order}}
    rows = []
    for file, line in order:
        counts, source = counts_by_line[file, line], sources[file]
        rows.append(
            [
                f"{file}:{line}" if file else str(line) if line else units.ABSENT,
                f"{executed(counts):,}",
                f"{100 * share(counts):.0f} %",
                " ".join(source[line].split("//")[0].split()) if line < len(source) else "",
                StyledText(cost(counts), "yellow"),
            ]
        )
    columns = [
        *numbers("line", "PTX executed" if cuda else "executed", "lanes"),
        *texts("CUDA C" if cuda else "PTX", width="fold"),
        *texts("cost"),
    ]
    return draw(Table(columns, rows, [f"{omitted:,} more executed lines; --lines all shows them."] if omitted else []))


def by_source_line(outcome: ExecOutcome) -> Mapping[tuple[str, int], Mapping[str, int]]:
    """The counts by header ("" for the program's own file) and line, 0 for code without a line."""
    program = outcome.program
    if program.places is None:
        return {("", line): counts for line, counts in outcome.by_line.items()}
    result: dict[tuple[str, int], Counter[str]] = {}
    for ptx_line, counts in outcome.by_line.items():
        file, line = program.places.get(ptx_line, ("", 0))
        result.setdefault(("" if file == program.path.name else file, line), Counter()).update(counts)
    return result


def executed(counts: Mapping[str, int]) -> int:
    return counts.get("ptx_warp_instructions", 0)


def share(counts: Mapping[str, int]) -> float:
    """The share of the warps' lanes at this line that were active: at the line, and with a true guard.

    For a branch all lanes at the line: its guard decides where they go.
    """
    on = "ptx_thread_instructions" if "ptx_branches" in counts else "ptx_thread_instructions_on"
    return counts.get(on, 0) / (LANES * executed(counts)) if executed(counts) else math.nan


def cost(counts: Mapping[str, int]) -> str:
    """The extra cost of a line: `4 sectors`, `31 conflicts`, `12 divergent`, `32 serial`."""
    lines = []
    for kind in ("load", "store"):
        if requests := counts.get(f"ptx_global_{kind}_requests"):
            average = counts.get(f"ptx_global_{kind}_sectors", 0) / requests
            lines.append(f"{average:.3g} sectors each")
        if conflicts := counts.get(f"ptx_shared_{kind}_conflicts"):
            lines.append(f"{conflicts:,} conflicts")
    for space in ("global", "shared", "cluster"):
        if requests := counts.get(f"ptx_atomic_{space}_requests"):
            lines.append(f"{counts.get(f'ptx_atomic_{space}_serial', 0) / requests:.3g} in turn each")
    if divergent := counts.get("ptx_divergent_branches"):
        lines.append(f"{divergent:,} divergent")
    return ", ".join(lines)


# ---- a folder


@dataclass(frozen=True)
class FolderReport(Section):
    """The kernels of a folder, one per row; then the errors, and what was not launched."""

    outcomes: Sequence[ExecOutcome]
    skipped: Sequence[SkippedKernel]

    def parts(self, width: int, plain: bool) -> RenderResult:
        if self.outcomes:
            yield Constrain(self.table(plain), width)
            yield Text()
        for outcome in self.outcomes:
            if outcome.error:
                yield Constrain(
                    problem(outcome.status, f"{type(outcome.error).__name__}: {outcome.error}", plain), width
                )
            yield from constrained(width, findings(outcome, plain) if outcome.findings else [])
        yield from constrained(width, missing_checks(self.outcomes))
        for kernel in self.skipped:
            if kernel.status:
                yield Constrain(problem(kernel.status, kernel.reason, plain), width)
        not_launched = [kernel for kernel in self.skipped if not kernel.status]
        if not_launched:
            yield Text("Not launched:")
            grid = RichTable.grid(padding=(0, 1))
            for kernel in not_launched:
                grid.add_row(Text("-", "dim"), Prose(f"{kernel.path.name}: {kernel.reason}"))
            yield Constrain(grid, width)

    def table(self, plain: bool) -> DrawnTable:
        columns = [*texts("file", "kernel", "status"), *numbers("PTX instr.", "sectors", "conflicts"),
                   *texts("changed", width="fold")]  # fmt: skip
        rows = [
            [
                outcome.program.path.name,
                kernel_names.short(outcome.function.name),
                StyledText(outcome.status, MARKS[outcome.status].style, mark=MARKS[outcome.status]),
                *(totalled(outcome, names) for names in COLUMNS),
                ", ".join(output.name for output in outcome.outputs),
            ]
            for outcome in self.outcomes
        ]
        return draw(Table(columns, rows), plain=plain)


COLUMNS = (
    ("ptx_warp_instructions",),
    ("ptx_global_load_sectors", "ptx_global_store_sectors"),
    ("ptx_shared_load_conflicts", "ptx_shared_store_conflicts"),
)


def totalled(outcome: ExecOutcome, names: Sequence[str]) -> str:
    """The sum of these counters; "-" for a kernel that was stopped."""
    if outcome.error:
        return units.ABSENT
    return f"{sum(outcome.counters.get(name, 0) for name in names):,.0f}"
