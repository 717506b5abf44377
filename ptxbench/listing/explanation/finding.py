"""A finding, and its input: two variants, with everything known about each. Data only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from ptxbench.listing.text import Listing
from ptxbench.result import BuildReport
from ptxbench.units import si

BRIEF = 76
"""Columns of a finding's brief form, which is one line below a table, after a mark."""


class CodePlace(NamedTuple):
    """A line that a finding is about: of the written file, and of the PTX."""

    variant: str
    file: str
    line: int | None
    """The line of `file`; None for PTX that NVRTC made from no line of it."""
    ptx_line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else f"line {self.ptx_line} of the PTX of {self.file}"


@dataclass(frozen=True)
class Explanation:
    """One difference: its kind, a sentence or two, and its numbers.

    `brief`: the sentence in at most BRIEF columns. `figures`: by name, and then by variant. `places`: the lines named.
    """

    kind: str
    text: str
    brief: str = ""
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    places: tuple[CodePlace, ...] = ()

    @property
    def line(self) -> str:
        """The text for one line: the brief form, or the text if it is short enough."""
        return self.brief or self.text


SETTLED = 1.04
"""The greatest ratio of a range's end to its start on which a claim may be based."""


class ExecutedRange(NamedTuple):
    """Machine instructions that warps executed: the least and the greatest possible number, and the likeliest.

    All are None if there is no number. `by_opcode`: the likeliest number of each opcode, if known.
    """

    least: int | None
    most: int | None
    fit: int | None
    by_opcode: Mapping[str, float] = {}

    @property
    def settled(self) -> bool:
        """Whether the range is narrow enough for a claim."""
        least, most = self.ends
        return 0 < most <= SETTLED * least

    @property
    def ends(self) -> tuple[int, int]:
        """The least and the greatest number; 0 if there is no number."""
        return self.least or 0, self.most or 0

    @property
    def likely(self) -> int:
        return self.fit or 0

    def __str__(self) -> str:
        """`14,048`, `21 k to 23 k`."""
        least, most = (si(end) for end in self.ends)
        return least if self.least == self.most else f"{least} to {most}"


@dataclass(frozen=True)
class VariantSide:
    """One variant, by a run's report and counters, or by its listing as well.

    `occupancy`: theoretical, of the explained launch. `shared_bytes`: of a CTA of that launch, static and dynamic.
    `counts`: the emulator's counters of a launch.
    """

    name: str
    report: BuildReport
    opcodes: Mapping[str, int]
    """How often each opcode of SASS occurs in the code; empty if it was not disassembled."""
    occupancy: float | None = None
    counts: Mapping[str, float] | None = None
    listing: Listing | None = None
    executed: ExecutedRange | None = None
    """None if it was not derived, as in older runs."""
    shared_bytes: int | None = None

    @cached_property
    def names(self) -> Counter[str]:
        """How often each opcode occurs, counted without modifiers."""
        result: Counter[str] = Counter()
        for opcode, count in self.opcodes.items():
            result[opcode.partition(".")[0]] += count
        return result

    @property
    def instructions(self) -> int:
        """The number of SASS instructions."""
        return sum(self.opcodes.values())

    def sum(self, *names: str) -> float | None:
        """The sum of these counters; None if they were not counted."""
        return None if self.counts is None else sum(self.counts.get(name, 0) for name in names)

    @cached_property
    def lines(self) -> Mapping[CodePlace, Counter[str]]:
        """The counters of each line of the file, which may be several lines of the PTX, as for an unrolled loop.

        Its place names the first of these. Empty if lines were not counted.
        """
        counted = (self.listing.counted if self.listing else None) or {}
        places: dict[int | tuple[int], CodePlace] = {}
        result: dict[CodePlace, Counter[str]] = {}
        for ptx_line, counts in sorted(counted.items()):
            place = self.place(ptx_line)
            first = places.setdefault(place.line or (ptx_line,), place)
            result.setdefault(first, Counter()).update(counts)
        return result

    def place(self, ptx_line: int) -> CodePlace:
        """Where a line of the PTX comes from."""
        assert self.listing is not None
        return place_of(self.listing, ptx_line)


def place_of(listing: Listing, ptx_line: int) -> CodePlace:
    """Where a line of the PTX comes from."""
    line = ptx_line if listing.language == "ptx" else listing.origin.get(ptx_line)
    return CodePlace(listing.variant, listing.path.name, line, ptx_line)


class VariantContrast(NamedTuple):
    """Two variants; the right one is explained relative to the left."""

    left: VariantSide
    right: VariantSide

    @property
    def names(self) -> tuple[str, str]:
        return self.left.name, self.right.name

    def both(self, value: Callable[[VariantSide], float]) -> tuple[float, float]:
        return value(self.left), value(self.right)

    def sums(self, *names: str) -> tuple[float, float] | None:
        """The sum of these counters on either side; None if one was not counted."""
        left, right = self.left.sum(*names), self.right.sum(*names)
        return None if left is None or right is None else (left, right)

    def figures(self, values: tuple[float, float]) -> dict[str, float]:
        return dict(zip(self.names, values, strict=True))


Analysis = Callable[[VariantContrast], Iterator[Explanation]]
"""Finds differences of one kind; finds nothing if it lacks data."""


def relation(before: float, after: float) -> str:
    """The end of a sentence: `: 46 % fewer.`, `: 3.5 times as many.`; only a full stop if one of them is 0."""
    if not before or not after or before == after:
        return "."
    share = after / before
    if share >= 2:
        return f": {share:.3g} times as many."
    return f": {percent(abs(share - 1))} {'fewer' if share < 1 else 'more'}."


def percent(share: float) -> str:
    """`12 %`, `3.1 %`, `0.02 %`: two digits, never rounded to 0; never 100 for less than all."""
    if 0.995 <= share < 1:
        return f"{int(share * 1000) / 10:g} %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
