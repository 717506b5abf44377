"""Two SASS listings compared: what they have in common if registers and the order of instructions are ignored.

Data and alignment only, as in text.py.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from itertools import zip_longest
from typing import NamedTuple

from ptxbench.listing.text import Listing

REGISTER = re.compile(r"\b(U?R|U?P|B|SB)\d+\b")


def normal(text: str) -> str:
    """An instruction without the parts that register allocation and code layout decide."""
    text = re.sub(r"\.reuse\b", "", text)
    return re.sub(r"\.L_\w+", "LABEL", REGISTER.sub(r"\1", text))


def count_differences(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Keys with different counts in `a` and in `b`; the greatest difference first."""
    changes = {
        name: (a.get(name, 0), b.get(name, 0)) for name in a.keys() | b.keys() if a.get(name, 0) != b.get(name, 0)
    }
    return dict(sorted(changes.items(), key=lambda item: (-abs(item[1][0] - item[1][1]), item[0])))


EQUAL, MOVED, DIFFERS = "equal", "moved", "differs"


class AlignedInstruction(NamedTuple):
    """One instruction of a comparison: its side, its index, and its partner on the other side."""

    number: int
    kind: str
    partner: int | None = None


@dataclass(frozen=True)
class Difference:
    """Two SASS listings, instruction by instruction, by `normal`.

    `equal`: pairs of indices in the same order on both sides; `moved`: pairs of the remaining instructions that
    are equal but at other places. All others differ.
    """

    left: Listing
    right: Listing
    equal: tuple[tuple[int, int], ...]
    moved: tuple[tuple[int, int], ...]

    @property
    def only_left(self) -> int:
        return len(self.left.sass) - len(self.equal) - len(self.moved)

    @property
    def only_right(self) -> int:
        return len(self.right.sass) - len(self.equal) - len(self.moved)

    @property
    def similarity(self) -> float:
        """The share of the instructions of both sides that have a partner; 1 if both are empty."""
        total = len(self.left.sass) + len(self.right.sass)
        return 2 * (len(self.equal) + len(self.moved)) / total if total else 1.0

    @property
    def same_code(self) -> bool:
        """Whether both are the same machine code, bit by bit."""
        left, right = self.left.report.sass_sha256, self.right.report.sass_sha256
        return left is not None and left == right

    @cached_property
    def opcodes(self) -> dict[str, tuple[int, int]]:
        """Opcodes that do not occur equally often on both sides, with both counts; the greatest difference first."""
        return count_differences(self.left.opcodes, self.right.opcodes)

    @property
    def same_mix(self) -> bool:
        """Whether both have the same opcodes, each as often."""
        return not self.opcodes

    def rows(self) -> Iterator[tuple[AlignedInstruction | None, AlignedInstruction | None]]:
        """Both sides in order, with equal instructions on one row."""
        partner_of_left = dict(self.moved)
        partner_of_right = {b: a for a, b in self.moved}

        def side(index: int, partners: Mapping[int, int]) -> AlignedInstruction:
            return AlignedInstruction(index, MOVED if index in partners else DIFFERS, partners.get(index))

        a = b = 0
        for next_a, next_b in (*self.equal, (len(self.left.sass), len(self.right.sass))):
            lefts = [side(index, partner_of_left) for index in range(a, next_a)]
            rights = [side(index, partner_of_right) for index in range(b, next_b)]
            yield from zip_longest(lefts, rights)
            if next_a < len(self.left.sass):
                yield AlignedInstruction(next_a, EQUAL, next_b), AlignedInstruction(next_b, EQUAL, next_a)
            a, b = next_a + 1, next_b + 1


def compare(left: Listing, right: Listing) -> Difference:
    """Align two SASS listings, ignoring registers and the scheduler's order."""
    a, b = ([normal(instruction.text) for instruction in side.sass] for side in (left, right))
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    equal = [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]
    paired_a, paired_b = {i for i, _ in equal}, {j for _, j in equal}
    waiting: dict[str, list[int]] = defaultdict(list)
    for j in range(len(b) - 1, -1, -1):
        if j not in paired_b:
            waiting[b[j]].append(j)
    moved = [(i, waiting[text].pop()) for i, text in enumerate(a) if i not in paired_a and waiting[text]]
    return Difference(left, right, tuple(equal), tuple(moved))
