"""CUDA C, PTX and SASS side by side, and two SASS listings compared, for a terminal. Prints nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from textwrap import fill
from typing import Literal, NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.syntax import Syntax
from rich.text import Text

from ptxbench import kernel_names
from ptxbench.languages import title
from ptxbench.listing.difference import DIFFERS, EQUAL, MOVED, AlignedInstruction, Difference
from ptxbench.listing.explanation import ExplainedPair, explain
from ptxbench.listing.text import Listing, ListingRow, in_machine_order, in_source_order, without_other_code
from ptxbench.terminal.lexers import PTX, SASS, SOURCES
from ptxbench.terminal.tables import WIDEST
from ptxbench.toolchain import control
from ptxbench.toolchain.lines import MachineInstruction
from ptxbench.units import size_words
from ptxbench.wording.machine import OTHER_MACHINE_CODE, execution, executions

View = Literal["auto", "side by side", "ptx", "sass"]

THREE_COLUMNS = 140
"""Columns from which lines of the source, of PTX and of SASS fit side by side."""

GAP = 2
OPCODES = 6
"""The most opcodes that are named if two listings differ in many."""

MARKS = {EQUAL: ("=", "dim"), MOVED: ("~", "yellow"), DIFFERS: ("!", "bold red")}


def in_colours(syntax: Syntax, lines: Sequence[str]) -> list[Text]:
    """These lines of one text, with their colours."""
    return [line.copy() for line in highlighted(syntax, "\n".join(lines))[: len(lines)]]


@lru_cache(maxsize=16)
def highlighted(syntax: Syntax, text: str) -> tuple[Text, ...]:
    """The lines of a text in colours. Cached, because the same lines are needed at two widths, and by several views."""
    return tuple(syntax.highlight(text).split("\n", allow_blank=True))


def source_lines(lines: Sequence[str], language: str) -> list[Text]:
    """Lines of a compiled language in colours."""
    return in_colours(SOURCES[language], [line.expandtabs(4) for line in lines])


def ptx_lines(lines: Sequence[str], *, squeezed: bool) -> list[Text]:
    """Lines of PTX in colours; `squeezed`: without the alignment of operands, so that less is cut off."""
    shown = [line.expandtabs(4).rstrip() for line in lines]
    return in_colours(PTX, [re.sub(r"(?<=\S) {2,}(?!//)", " ", line) if squeezed else line for line in shown])


def sass_lines(code: Sequence[MachineInstruction | None]) -> list[Text]:
    """Instructions in colours, each after its labels; an empty line for None."""
    return in_colours(
        SASS,
        [
            "" if instruction is None else " ".join([*(f"{label}:" for label in instruction.labels), instruction.text])
            for instruction in code
        ],
    )


# ---- columns of fixed width


class ListingColumn(NamedTuple):
    """One column: its heading, and its cell on each row."""

    title: str
    cells: Sequence[Text]
    right: bool = False

    @property
    def natural(self) -> int:
        return max([len(self.title), *(cell.cell_len for cell in self.cells)])

    @property
    def fixed(self) -> bool:
        """True for a column of numbers, which is never cut."""
        return self.right


def widths(columns: Sequence[ListingColumn], room: int) -> list[int]:
    """The width of each column: what it needs if that fits, else equal parts of what the narrower ones leave."""
    room -= GAP * (len(columns) - 1)
    result = [column.natural if column.fixed else 0 for column in columns]
    texts = sorted((i for i, column in enumerate(columns) if not column.fixed), key=lambda i: columns[i].natural)
    remaining = room - sum(result)
    for done, i in enumerate(texts):
        result[i] = max(1, min(columns[i].natural, remaining // (len(texts) - done)))
        remaining -= result[i]
    return result


def whole_width(columns: Sequence[ListingColumn]) -> int:
    """The width at which no text of these columns is cut."""
    return sum(column.natural for column in columns) + GAP * (len(columns) - 1)


def cut_notice(columns: Sequence[ListingColumn], room: int, needed: int) -> Iterator[Text]:
    """How many rows are cut, and the width at which none is; nothing if none is cut."""
    fitting = list(zip(columns, widths(columns, room), strict=True))
    rows = len(columns[0].cells)
    if cut := sum(any(column.cells[i].cell_len > width for column, width in fitting) for i in range(rows)):
        lines = "1 row ends" if cut == 1 else f"{cut:,} rows end"
        text = f"{lines} in …, cut to {room} columns: COLUMNS={needed} shows all of it."
        yield Text(fill(text, max(min(room, WIDEST), 20)), "dim")


def rows_of(columns: Sequence[ListingColumn], room: int) -> Iterator[Text]:
    """The heading and the rows; text that is too long ends in an ellipsis, and no row is longer than `room`."""
    column_widths = widths(columns, room)
    heads = [Text(column.title, "bold") for column in columns]
    for cells in [heads, *zip(*(column.cells for column in columns), strict=True)]:
        row = Text(no_wrap=True, overflow="ellipsis")
        for i, (cell, column, width) in enumerate(zip(cells, columns, column_widths, strict=True)):
            if i:
                row.append(" " * GAP)
            fitted = fit(cell, width)
            padding = " " * (width - fitted.cell_len)
            row.append_text(Text(padding) + fitted if column.right else fitted)
            if not column.right:
                row.append(padding)
        row.rstrip()
        yield row


def fit(cell: Text, width: int) -> Text:
    """`cell` in at most `width` columns; if it is cut, it ends in an ellipsis."""
    fitted = cell.copy()
    if cell.cell_len > width:
        fitted.truncate(max(width - 1, 0))
        fitted.rstrip()
        fitted.append("…" if width else "", "dim")
    return fitted


def numbers(title: str, values: Sequence[int | None], style: str = "dim", form: str = "") -> ListingColumn:
    """A column of whole numbers, blank for None."""
    cells = [Text("" if value is None else format(value, form), style) for value in values]
    return ListingColumn(title, cells, right=True)


def texts(title: str, lines: Mapping[int, Text], wanted: Sequence[int | None]) -> ListingColumn:
    return ListingColumn(title, [Text() if line is None else lines.get(line, Text()) for line in wanted])


def source_text(row: ListingRow, lines: Mapping[int, Text]) -> Text:
    """The line of the source on a row, or which lines are omitted there."""
    if row.omitted:
        return Text("… lines {}-{}: no instructions".format(*row.omitted), "dim")
    return Text() if row.source is None else lines.get(row.source, Text())


# ---- one listing


@dataclass(frozen=True)
class ListingView:
    """One variant. `view`: auto shows as many of the three texts as fit.

    `counts`: with how often each line was executed, if that was counted.
    """

    listing: Listing
    view: View = "auto"
    counts: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield heading(self.listing)
        if self.listing.report.compiler:
            yield Text(f"compiled by {self.listing.report.compiler}", "dim")
        if not self.listing.same_code:
            yield Text(OTHER_MACHINE_CODE, style="yellow")
        yield Text()
        room = options.max_width
        columns = self.columns(room)
        yield from rows_of(columns, room)
        yield from cut_notice(columns, room, self.whole_width(columns, room))
        if self.counts and self.listing.machine is not None:
            yield Text()
            width = max(min(options.max_width, WIDEST), 20)
            for sentence in executions(self.listing, self.listing.machine):
                yield Text(fill(sentence, width, break_on_hyphens=False))

    def columns(self, room: int) -> list[ListingColumn]:
        three = self.view == "side by side" or (room >= THREE_COLUMNS and self.view != "ptx")
        if self.view == "sass":
            rows = in_machine_order(self.listing)
            ptx = self.ptx(rows, squeezed=room < THREE_COLUMNS) if three or not self.listing.source else []
            return [*self.sass(rows), *ptx, *self.source(rows)]
        with_ptx = three or self.view == "ptx" or not self.listing.source
        rows = in_source_order(self.listing, with_ptx=with_ptx, with_sass=self.view != "ptx")
        rows = without_other_code(rows, self.listing.source_of_ptx)
        return [
            *self.source(rows),
            *(self.ptx(rows, squeezed=room < THREE_COLUMNS) if with_ptx else []),
            *(self.sass(rows) if self.view != "ptx" else []),
        ]

    def whole_width(self, columns: Sequence[ListingColumn], room: int) -> int:
        """The width at which nothing is cut. `columns`: those at width `room`; a wider terminal may have one
        column more."""
        needed = whole_width(columns)
        if needed < THREE_COLUMNS or room >= THREE_COLUMNS:
            return needed
        return max(THREE_COLUMNS, whole_width(self.columns(THREE_COLUMNS)))

    def source(self, rows: Sequence[ListingRow]) -> list[ListingColumn]:
        """What was compiled; nothing for hand-written PTX."""
        if not self.listing.source:
            return []
        wanted = [row.source for row in rows]
        lines = dict(enumerate(source_lines(self.listing.source, self.listing.language), 1))
        return [
            *self.executed(self.listing.executed_source, wanted),
            numbers("", wanted),
            ListingColumn(title(self.listing.language), [source_text(row, lines) for row in rows]),
        ]

    def ptx(self, rows: Sequence[ListingRow], *, squeezed: bool) -> list[ListingColumn]:
        wanted = [row.ptx for row in rows]
        lines = dict(enumerate(ptx_lines(self.listing.ptx, squeezed=squeezed), 1))
        return [*self.executed(self.listing.executed, wanted), numbers("", wanted), texts("PTX", lines, wanted)]

    def executed(self, counts: Mapping[int, int] | None, wanted: Sequence[int | None]) -> list[ListingColumn]:
        """How often warps executed each line; nothing if it was not run, or if SASS instructions have it."""
        if counts is None or not self.counts or self.view == "sass":
            return []
        return [numbers("executed", [None if line is None else counts.get(line) for line in wanted], "yellow", ",")]

    def executions(self, code: Sequence[MachineInstruction | None]) -> list[ListingColumn]:
        """How often warps executed each SASS instruction; nothing if unknown."""
        machine = self.listing.machine
        if not self.counts or machine is None or machine.fit is None:
            return []
        counts = [None if instruction is None else self.listing.executions(instruction) for instruction in code]
        return [
            ListingColumn(
                "executed", [Text(execution(count, machine.settled), "yellow") for count in counts], right=True
            )
        ]

    def sass(self, rows: Sequence[ListingRow]) -> list[ListingColumn]:
        code = [None if row.sass is None else self.listing.sass[row.sass] for row in rows]
        live = [numbers("live", [None if instruction is None else instruction.live for instruction in code], "yellow")]
        controls = [
            Text("" if instruction is None or instruction.control is None else control.text(instruction.control))
            for instruction in code
        ]
        return [
            *self.executions(code),
            *(live if any(instruction.live is not None for instruction in self.listing.sass) else []),
            *([ListingColumn(control.HEADING, controls, right=True)] if any(map(len, controls)) else []),
            numbers("", [None if instruction is None else instruction.address for instruction in code], form="04x"),
            ListingColumn("SASS", sass_lines(code)),
        ]


def heading(listing: Listing) -> Text:
    """`cuda  triad.cu  sm_90, 42 SASS instructions, 22 registers`; for a name that has the file, the kernel."""
    name = kernel_names.short(listing.entry) if listing.path.name in listing.variant else listing.path.name
    text = f"  {listing.arch}, {len(listing.sass):,} SASS instructions, {listing.report.registers} registers"
    return Text.assemble((listing.variant, "bold cyan"), "  ", name, (text, "dim"), overflow="fold")


# ---- two listings


@dataclass(frozen=True)
class DifferenceView:
    """Two SASS listings side by side, and their comparison in words."""

    difference: Difference

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        difference, width = self.difference, min(options.max_width, WIDEST)
        yield heading(difference.left)
        yield heading(difference.right)
        yield Text()
        aligned = columns(difference)
        yield from rows_of(aligned, options.max_width)
        yield from cut_notice(aligned, options.max_width, whole_width(aligned))
        yield Text()
        for sentence in sentences(difference):
            yield Text(fill(sentence, max(width, 20), break_on_hyphens=False), style="bold")
        yield legend()


def columns(difference: Difference) -> list[ListingColumn]:
    """Address and instruction of either side, with the marks between them."""
    rows = list(difference.rows())
    left, right = (difference.left, [a for a, _ in rows]), (difference.right, [b for _, b in rows])
    return [
        *side(*left),
        ListingColumn("", [mark(a) for a, _ in rows]),
        ListingColumn("", [mark(b) for _, b in rows]),
        *side(*right),
    ]


def side(listing: Listing, aligned_instructions: Sequence[AlignedInstruction | None]) -> list[ListingColumn]:
    code = [None if instruction is None else listing.sass[instruction.number] for instruction in aligned_instructions]
    texts = sass_lines(code)
    for instruction, text in zip(aligned_instructions, texts, strict=True):
        if instruction is not None and instruction.kind == EQUAL:
            text.stylize("dim")  # differences stand out
    return [
        numbers("", [None if instruction is None else instruction.address for instruction in code], form="04x"),
        ListingColumn(listing.variant, texts),
    ]


def mark(aligned_instruction: AlignedInstruction | None) -> Text:
    return Text() if aligned_instruction is None else Text(*MARKS[aligned_instruction.kind])


def sentences(difference: Difference) -> Iterator[str]:
    """The comparison in words."""
    a, b = difference.left.variant, difference.right.variant
    if difference.same_code:
        yield "Same machine code, to the bit."
    equal, moved = len(difference.equal), len(difference.moved)
    yield (
        f"Similarity {100 * difference.similarity:.1f} %: {equal:,} equal, {moved:,} moved, "
        f"{difference.only_left:,} in {a} alone, {difference.only_right:,} in {b} alone."
    )
    if difference.same_mix:
        yield "Same instruction mix: every opcode as often on both sides."
    else:
        most = list(difference.opcodes.items())[:OPCODES]
        text = ", ".join(f"{name} {left:,}/{right:,}" for name, (left, right) in most)
        more = len(difference.opcodes) - len(most)
        yield f"Opcodes that differ, {a}/{b}: {text}{f', and {more} more' if more else ''}."


def legend() -> Text:
    marks = {EQUAL: "equal", MOVED: "moved", DIFFERS: "without a partner"}
    text = ", ".join(f"{MARKS[kind][0]} {words}" for kind, words in marks.items())
    return Text(f"{text}; registers and labels aside.", style="dim")


@dataclass(frozen=True)
class Findings:
    """The findings of each comparison, in sentences, at most WIDEST columns wide."""

    cases: Sequence[ExplainedPair]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(min(options.max_width, WIDEST), 20)
        for case in self.cases:
            a, b = case.names
            yield Text(f"{b} against {a}", style="bold")
            for finding in explain(case):
                yield Text(bullet(finding.text, width))
            for variant, reason in case.uncounted.items():
                yield Text(bullet(f"{variant} was not counted: {reason}", width), style="yellow")
        if size := next((case.size for case in self.cases if not case.difference.same_code and case.counted), None):
            text = f"The emulator counted PTX at {size_words(size)}; executions of SASS are derived from that."
            yield Text(fill(text, width), style="dim")


def bullet(text: str, width: int) -> str:
    return fill(text, width, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
