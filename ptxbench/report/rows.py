"""A listing as the rows of a table: CUDA C, PTX and SASS side by side. Text and spans; knows no HTML.

A row has lines that belong together: lines of PTX and the SASS that was made of them. Lines without SASS that have the
same line of the source share one row. So neighbours in a row are partners, and the page needs no other links.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from ptxbench.languages import is_compiled
from ptxbench.listing.difference import normal
from ptxbench.listing.text import Listing, in_source_order

FEWEST_ELIDED = 2
"""The fewest rows that a sentence replaces because they equal those of another variant."""

FEWEST_REPEATED, LONGEST_PERIOD = 6, 64
"""The fewest repeated rows that a sentence replaces, as in an unrolled loop; the longest period of a repetition."""

REUSE = re.compile(r"\.reuse\b")
"""A hint about the register file, on most operands of a matrix product. It is left out, to save a hundredth of a
page."""

TALL = 6
"""The fewest rows for which the line that spans them stays visible while they are scrolled."""


@dataclass(frozen=True)
class LineGroup:
    """Lines of the CUDA C, of the PTX and of the SASS that belong together; counts from 1, of SASS from 0."""

    source: tuple[int, ...] = ()
    ptx: tuple[int, ...] = ()
    sass: tuple[int, ...] = ()


@dataclass(frozen=True)
class PageCell:
    """Text of `lines` lines that spans `rows`. `skip`: the gap between its number and that of the next line."""

    text: str
    lines: int
    skip: int = 0
    rows: int = 1

    @property
    def tall(self) -> bool:
        return bool(self.text) and self.rows >= TALL  # an empty cell stays empty, and without a number


@dataclass(frozen=True)
class PageRow:
    """The cells that begin on one row: CUDA C, if the listing has any, PTX and SASS.

    `elided`: how many rows are omitted here. They are equal to those of the listing that this one is compared with, or
    repeat the last `period` rows above.
    """

    cells: tuple[PageCell, ...] = ()
    elided: int = 0
    period: int = 0


def rows(listing: Listing, base: Listing | None = None) -> list[PageRow]:
    """The rows of a listing, without rows that repeat those above them in other registers.

    With `base`, also without runs of rows that are the same there, apart from registers.
    """
    groups = units(listing)
    forms = [form(listing, unit) for unit in groups]
    gaps: dict[int, PageRow] = {}
    if base is not None:
        matcher = SequenceMatcher(None, [form(base, unit) for unit in units(base)], forms, autojunk=False)
        gaps = {
            block.b: PageRow(elided=block.size)
            for block in matcher.get_matching_blocks()
            if block.size >= FEWEST_ELIDED
        }
    page_rows: list[PageRow] = []
    writer = Writer(listing)
    index = 0
    for start, gap in [*sorted(gaps.items()), (len(groups), PageRow())]:
        for first, repeated in repeats(forms[index:start]):
            page_rows += writer.rows(groups[index : index + first])
            if repeated.elided:
                page_rows.append(repeated)
            index += first + repeated.elided
        if gap.elided:
            page_rows.append(gap)
        index = start + gap.elided
    return page_rows


def repeats(forms: Sequence[tuple[object, ...]]) -> Iterator[tuple[int, PageRow]]:
    """How many rows to write, and then how many to omit because they repeat the last ones; and so on until the end."""
    start = index = 0
    while index < len(forms):
        size, period = longest_repeat(forms, index)
        if size:
            yield index + period - start, PageRow(elided=size, period=period)
            start = index = index + period + size
        else:
            index += 1
    yield len(forms) - start, PageRow()


def longest_repeat(forms: Sequence[tuple[object, ...]], start: int) -> tuple[int, int]:
    """How many rows repeat those from `start` on, and the period of the repetition; (0, 0) for too few."""
    best = (0, 0)
    for period in range(1, min(LONGEST_PERIOD, len(forms) - start - 1) + 1):
        pairs = zip(forms[start:], forms[start + period :], strict=False)
        equal_rows = next((i for i, (row, other) in enumerate(pairs) if row != other), len(forms) - start - period)
        complete = equal_rows - equal_rows % period
        if complete >= FEWEST_REPEATED and complete > best[0]:
            best = (complete, period)
    return best


def units(listing: Listing) -> list[LineGroup]:
    """The listing in the order of its file, without a compiler's declarations, which have no partners."""
    groups = grouped(listing)
    return [unit for unit in groups if unit.source or unit.sass] if is_compiled(listing.language) else groups


def grouped(listing: Listing) -> list[LineGroup]:
    """The rows of a listing, in the order of its source, as groups of lines that belong together."""
    result: list[LineGroup] = []
    source: tuple[int, ...] = ()
    for row in in_source_order(listing):
        if row.source is not None:
            source = (row.source,)
        new = LineGroup(source, () if row.ptx is None else (row.ptx,), () if row.sass is None else (row.sass,))
        before = result[-1] if result else None
        if before and continues(listing, before, new):
            result[-1] = replace(
                before,
                source=before.source if before.source == new.source else before.source + new.source,
                ptx=before.ptx + new.ptx,
                sass=before.sass + new.sass,
            )
        else:
            result.append(new)
    return result


def continues(listing: Listing, before: LineGroup, new: LineGroup) -> bool:
    """Whether `new` belongs to the row of `before`: it has the same partners, or neither has any."""
    if before.source != new.source:
        return not (before.ptx or before.sass or new.ptx or new.sass)
    if not new.ptx and new.sass:
        line = listing.sass[new.sass[0]].line
        last = listing.sass[before.sass[-1]].line if before.sass else None
        return bool(before.sass) and line == last
    return bool(before.ptx) and not before.sass and not new.sass


def form(listing: Listing, unit: LineGroup) -> tuple[object, ...]:
    """A key that is equal for equal rows of two listings."""
    return (
        tuple(listing.source[line - 1] for line in unit.source),
        tuple(re.sub(r"(%[a-z_]+|__BB\d+_)\d+", r"\1", squeezed(listing.ptx[line - 1])) for line in unit.ptx),
        tuple(normal(listing.sass[index].text) for index in unit.sass),
    )


class Writer:
    """Writes units as rows, and tracks which line or instruction would be next."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.next_source = self.next_ptx = 1
        self.next_sass: int | None = None

    def rows(self, run: Sequence[LineGroup]) -> Iterator[PageRow]:
        """Rows of units without a gap between them; those of one line of the source share its cell."""
        for index, unit in enumerate(run):
            cells = [self.ptx(unit), PageCell("\n".join(map(self.instruction, unit.sass)), len(unit.sass))]
            if is_compiled(self.listing.language) and (index == 0 or run[index - 1].source != unit.source):
                span = next((i for i, later in enumerate(run[index:]) if later.source != unit.source), len(run) - index)
                cells.insert(0, self.source(unit, span))
            yield PageRow(tuple(cells))

    def source(self, unit: LineGroup, span: int) -> PageCell:
        text = "\n".join(indented(self.listing.source[line - 1]) for line in unit.source)
        if not text:  # a single blank line: an empty cell has no number, so the next one must skip it
            return PageCell("", 0, rows=span)
        skip = unit.source[0] - self.next_source
        self.next_source = unit.source[-1] + 1
        return PageCell(text, len(unit.source), skip, span)

    def ptx(self, unit: LineGroup) -> PageCell:
        """Lines that a compiler wrote have no numbers, because no file has them."""
        text = "\n".join(squeezed(self.listing.ptx[line - 1]) for line in unit.ptx)
        if is_compiled(self.listing.language) or not text:
            return PageCell(text, 1)
        skip = unit.ptx[0] - self.next_ptx
        self.next_ptx = unit.ptx[-1] + 1
        return PageCell(text, len(unit.ptx), skip)

    def instruction(self, index: int) -> str:
        """An instruction, after its address in the machine code if it does not follow the one before."""
        text = "" if index == self.next_sass else str(index)
        self.next_sass = index + 1
        instruction = self.listing.sass[index]
        labels = "".join(f"{label}: " for label in instruction.labels)
        return f"{text}\t{labels}{tight(REUSE.sub('', instruction.text))}"


# ---- text without alignment


def indented(line: str) -> str:
    """A line of CUDA C, four blanks of its indentation as one tab."""
    line = line.rstrip()
    text = line.lstrip(" ")
    depth = len(line) - len(text)
    return "\t" * (depth // 4) + " " * (depth % 4) + text


def squeezed(line: str) -> str:
    """A line of PTX without the blanks that align its operands; comments and strings are unchanged."""
    code, mark, comment = line.partition("//")
    if '"' in line:
        return line.strip()
    code = tight(" ".join(code.split()))
    return " ".join(filter(None, [code, mark + comment.rstrip()]))


def tight(code: str) -> str:
    """Operands without the blanks between them."""
    return code.replace(", ", ",")
