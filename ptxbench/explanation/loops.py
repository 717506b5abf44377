"""The loops that warps spend their instructions in: how long a round is in SASS, and how many rounds they take.

Nobody executes SASS here. Its loops are those of its backward branches, and each says by its line which loop of the PTX
it is; how often warps go round that, the emulator counted. Where ptxas has unrolled a loop, the body holds several
instructions of one line of the PTX, and a round of it stands for as many rounds of the PTX. Rounds that an unrolled
loop leaves over, which ptxas puts into a second one, are counted as if they were of the first.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median_low

from ptxbench.explanation.finding import Contrast, Finding, Place, Side, percent
from ptxbench.listing import opcode
from ptxbench.toolchain.lines import Instruction
from ptxbench.toolchain.sass import MEMORY

NOTICEABLE = 0.01
"""Of the instructions in loops, a difference below this is not told."""

WORTH = 0.1
"""Of the PTX instructions that warps execute, so many in loops make these worth telling."""

BACK = re.compile(r"(?:^|\s)BRA(?:\.\w+)*\s.*?(?P<label>\.L_\w+)$")


@dataclass(frozen=True)
class Loop:
    """A loop of SASS. `rounds`: of the PTX, summed over warps; `copies`: rounds of the PTX in one of SASS."""

    place: Place
    length: int
    """Instructions of a round."""
    rounds: int
    copies: int

    @property
    def turns(self) -> float:
        """Rounds of SASS."""
        return self.rounds / self.copies

    @property
    def executed(self) -> float:
        """SASS instructions that warps execute in it, if they go through all of it."""
        return self.length * self.turns

    def __str__(self) -> str:
        unrolled = f", which ptxas unrolled by {self.copies}" if self.copies > 1 else ""
        return f"{self.length} instructions a round, {self.turns:,.0f} rounds ({self.place}{unrolled})"


def of_side(side: Side) -> list[Loop]:
    """The innermost loops that warps went round, the one of most instructions first; none where nobody counted."""
    listing = side.listing
    if listing is None or listing.executed is None:
        return []
    found: dict[int, Loop] = {}
    for first, last in innermost(listing.sass):
        body = listing.sass[first : last + 1]
        line = body[-1].line
        rounds = listing.executed.get(line, 0) if line else 0
        if line and rounds:
            loop = Loop(side.place(line), len(body), rounds, copies(body))
            # of an unrolled loop and the one for what it leaves, the first
            if line not in found or loop.copies > found[line].copies:
                found[line] = loop
    return sorted(found.values(), key=lambda loop: -loop.executed)


def innermost(sass: Sequence[Instruction]) -> list[tuple[int, int]]:
    """First and last index of each loop that has no other in it."""
    at = {label: index for index, each in enumerate(sass) for label in each.labels}
    loops = []
    for index, each in enumerate(sass):
        match = BACK.search(each.text)
        if match and at.get(match["label"], len(sass)) <= index:
            loops.append((at[match["label"]], index))
    return [
        (first, last)
        for first, last in loops
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in loops)
    ]


def copies(body: Sequence[Instruction]) -> int:
    """How many rounds of the PTX a round of SASS holds: how often a line of it is there, by its accesses to memory."""
    names: dict[int, Counter[str]] = defaultdict(Counter)
    for each in body:
        if each.line is not None:
            names[each.line][opcode(each.text).partition(".")[0]] += 1
    accesses = [
        max(n for name, n in found.items() if MEMORY.match(name))
        for found in names.values()
        if any(MEMORY.match(name) for name in found)
    ]
    return median_low(accesses or [max(found.values()) for found in names.values()] or [1])


def loops(contrast: Contrast) -> Iterator[Finding]:
    """What warps execute in loops, where that is unlike; and the loop of each side that most of it is in."""
    left, right = (of_side(side) for side in contrast)
    if not left or not right:
        return
    before, after = (sum(loop.executed for loop in found) for found in (left, right))
    if abs(before - after) <= NOTICEABLE * max(before, after):
        return
    whole = contrast.sums("ptx_warp_instructions")
    if whole is None or before < WORTH * whole[0] or after < WORTH * whole[1]:
        return
    (a, b), (first, second) = contrast.names, (left[0], right[0])
    share = f"{percent(abs(after / before - 1))} {'fewer' if after < before else 'more'}"
    same = len(left) == len(right) and [each.turns for each in left] == [each.turns for each in right]
    yield Finding(
        "loops" if same else "unrolling",
        f"In loops warps execute {share} SASS instructions in {b}, counted by rounds and their length. "
        f"The hottest: {a} {first}; {b} {second}.",
        f"In loops warps execute {share} SASS instructions in {b} than in {a}.",
        {
            "SASS instructions in loops": contrast.figures((before, after)),
            "instructions a round": contrast.figures((first.length, second.length)),
            "rounds": contrast.figures((first.turns, second.turns)),
            "unrolled by ptxas": contrast.figures((first.copies, second.copies)),
        },
        (first.place, second.place),
    )
