"""The innermost loops of SASS: backward branches without another inside, and what warps execute in them.

If ptxas has unrolled a loop of the PTX, the body has several instructions for one line.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median_low

from ptxbench.listing.explanation.finding import CodePlace, Explanation, VariantContrast, VariantSide, percent, place_of
from ptxbench.listing.text import Listing, opcode
from ptxbench.toolchain.lines import MachineInstruction
from ptxbench.toolchain.sass import MEMORY

NOTICEABLE = 0.01
"""A share of the instructions in loops; smaller differences are not reported."""

WORTH = 0.1
"""A share of the executed machine instructions; loops with a smaller share are not reported."""

BACK = re.compile(r"(?:^|\s)BRA(?:\.\w+)*\s.*?(?P<label>\.L_\w+)$")


@dataclass(frozen=True)
class SassLoop:
    """An innermost loop of SASS, from address `first` to `last`, with executions of all warps.

    `turns`: executions of its first instruction; `executed`: of all. `copies`: rounds of the PTX in one of SASS.
    """

    place: CodePlace | None
    """The line of its backward branch; None if that has no line."""
    first: int
    last: int
    length: int
    """Instructions of a round."""
    turns: float
    executed: float
    copies: int

    def __str__(self) -> str:
        where = str(self.place) if self.place else f"at {self.first:04x}"
        unrolled = f", which ptxas unrolled by {self.copies}" if self.copies > 1 else ""
        return f"{self.length} instructions a round, {self.turns:,.0f} rounds ({where}{unrolled})"


def of_listing(listing: Listing) -> list[SassLoop]:
    """The innermost loops that were repeated, the one with most executed instructions first; none if unknown."""
    result = []
    for first, last in innermost(listing.sass):
        body = listing.sass[first : last + 1]
        counts = [listing.executions(instruction) for instruction in body]
        turns, executed = counts[0], sum(count for count in counts if count is not None)
        if turns:
            line = body[-1].line
            place = None if line is None else place_of(listing, line)
            ends = body[0].address, body[-1].address
            result.append(SassLoop(place, *ends, len(body), turns, executed, copies(body)))
    return sorted(result, key=lambda loop: -loop.executed)


def innermost(sass: Sequence[MachineInstruction]) -> list[tuple[int, int]]:
    """First and last index of each loop without another loop inside."""
    index_of_label = {label: index for index, instruction in enumerate(sass) for label in instruction.labels}
    loops = []
    for index, instruction in enumerate(sass):
        match = BACK.search(instruction.text)
        if match and index_of_label.get(match["label"], len(sass)) <= index:
            loops.append((index_of_label[match["label"]], index))
    return [
        (first, last)
        for first, last in loops
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in loops)
    ]


def copies(body: Sequence[MachineInstruction]) -> int:
    """How many rounds of the PTX a round of SASS contains: how often it has a line, by its accesses to memory."""
    names: dict[int, Counter[str]] = defaultdict(Counter)
    for instruction in body:
        if instruction.line is not None:
            names[instruction.line][opcode(instruction.text).partition(".")[0]] += 1
    accesses = [
        max(n for name, n in names_of_line.items() if MEMORY.match(name))
        for names_of_line in names.values()
        if any(MEMORY.match(name) for name in names_of_line)
    ]
    return median_low(accesses or [max(names_of_line.values()) for names_of_line in names.values()] or [1])


def of_side(side: VariantSide) -> list[SassLoop]:
    """The repeated innermost loops of a variant; none if its executions are not known well enough for a claim."""
    if side.listing is None or side.executed is None or not side.executed.settled:
        return []
    return of_listing(side.listing)


def loops(contrast: VariantContrast) -> Iterator[Explanation]:
    """What warps execute in loops, if that differs; and the loop of each side with most of it."""
    left, right = (of_side(side) for side in contrast)
    if not left or not right:
        return
    before, after = (sum(loop.executed for loop in side) for side in (left, right))
    if abs(before - after) <= NOTICEABLE * max(before, after):
        return
    totals = [side.executed.likely if side.executed else 0 for side in contrast]
    if before < WORTH * totals[0] or after < WORTH * totals[1]:
        return
    (a, b), (first, second) = contrast.names, (left[0], right[0])
    share = f"{percent(abs(after / before - 1))} {'fewer' if after < before else 'more'}"
    same_rounds = len(left) == len(right) and [loop.turns for loop in left] == [loop.turns for loop in right]
    yield Explanation(
        "loops" if same_rounds else "unrolling",
        f"In loops warps execute {share} machine instructions in {b}. The hottest: {a} {first}; {b} {second}.",
        f"In loops warps execute {share} machine instructions in {b} than in {a}.",
        {
            "SASS instructions in loops": contrast.figures((before, after)),
            "instructions a round": contrast.figures((first.length, second.length)),
            "rounds": contrast.figures((first.turns, second.turns)),
            "unrolled by ptxas": contrast.figures((first.copies, second.copies)),
        },
        tuple(loop.place for loop in (first, second) if loop.place is not None),
    )
