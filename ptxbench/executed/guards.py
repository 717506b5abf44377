"""Guards that are known to be false: an earlier branch has tested the same comparison of the same registers.

ptxas peels the first trip of a loop under such a guard, for the case that the loop's own test fails immediately. After
the branch around the loop, the guard is always false.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ptxbench.executed import dominance
from ptxbench.executed.graph import Graph, Operation

REGISTER = re.compile(r"\b(U?)R(\d+)\b")
PREDICATE = re.compile(r"\bU?P\d+\b")
COMPARES = re.compile(r"U?[IFDH]SETP")
WRITES_NONE = re.compile(
    r"ST|RED|BAR|BRA|EXIT|BSSY|BSYNC|CALL|RET|MEMBAR|CCTL|NOP|WARPSYNC|DEPBAR|LDGDEPBAR|LDGSTS|ERRBAR"
)
PAIRS = re.compile(r"\.(?:64|WIDE|F64)\b|^D[A-Z]+|^CS2R|^IMAD\.WIDE")
FOURS = re.compile(r"\.128\b|^[A-Z]MMA|^[A-Z]GMMA|^LDSM|^MATCH|^TEX|^TLD")

At = tuple[int, int]
"""A block, and the index of an operation in it."""


@dataclass(frozen=True)
class Guards:
    """What is known about the guards of a kernel."""

    graph: Graph

    def never(self, index: int, position: int, guard: str) -> bool:
        """Whether the guard of an operation is false whenever a warp reaches it."""
        defined = self.definition((index, position), guard)
        if guard.startswith("!") or defined is None:
            return False
        return any(
            self.same(defined, self.definition((source, len(self.graph.blocks[source].operations) - 1), tested))
            for source, tested in self.passed(index)
        )

    def passed(self, index: int) -> Iterator[tuple[int, str]]:
        """The branches, passed on every path to a block, that would leave the path if their guard were true."""
        for source in dominance.members(self.before[index] & ~(1 << index)):
            block = self.graph.blocks[source]
            if block.last.guard is None or block.last.guard.startswith("!") or block.how not in ("branches", "leaves"):
                continue
            if PREDICATE.search(block.last.operands):
                continue
            following = block.successors[-1]
            only_entry = [block.index for block in self.graph.blocks if following in block.successors] == [source]
            if (
                only_entry
                and self.before[index] >> following & 1
                and (len(block.successors) == 1 or block.successors[0] != following)
            ):
                yield source, block.last.guard

    @cached_property
    def before(self) -> list[int]:
        return dominance.dominators([block.successors for block in self.graph.blocks], [0])

    def definition(self, at: At, predicate: str) -> At | None:
        """The comparison that set a predicate, if no other instruction can have set it since."""
        index, end = at
        while True:
            operations = self.graph.blocks[index].operations
            for position in range(end - 1, -1, -1):
                if predicate in set_by(operations[position]):
                    plain = operations[position].guard is None and COMPARES.match(operations[position].name)
                    return (index, position) if plain else None
            sources = [block.index for block in self.graph.blocks if index in block.successors]
            nearest = self.above(index)
            if nearest is None or self.set_between(nearest, index, predicate, sources):
                return None
            index, end = nearest, len(self.graph.blocks[nearest].operations)

    def above(self, index: int) -> int | None:
        """The immediate dominator of a block."""
        others = self.before[index] & ~(1 << index)
        return next((member for member in dominance.members(others) if self.before[member] == others), None)

    def between(self, first: int, last: int) -> list[int]:
        """The blocks on the paths between two blocks; the ends are included only if a path returns to them."""
        forth, back = self.reached(first), self.reaching(last)
        return dominance.members(forth & back)

    def reached(self, index: int) -> int:
        result, pending = 0, list(self.graph.blocks[index].successors)
        while pending:
            block = pending.pop()
            if not result >> block & 1:
                result |= 1 << block
                pending += self.graph.blocks[block].successors
        return result

    def reaching(self, index: int) -> int:
        result, pending = 0, [index]
        while pending:
            target = pending.pop()
            for block in self.graph.blocks:
                if target in block.successors and not result >> block.index & 1:
                    result |= 1 << block.index
                    pending.append(block.index)
        return result

    def set_between(self, first: int, last: int, predicate: str, sources: list[int]) -> bool:
        if sources == [first]:
            return False
        return any(
            predicate in set_by(operation) for index in self.between(first, last)
            for operation in self.graph.blocks[index].operations if index != first
        )  # fmt: skip

    def same(self, newer: At, older: At | None) -> bool:
        """Whether two comparisons compare the same values."""
        if older is None:
            return False
        new_comparison, old_comparison = (
            self.graph.blocks[index].operations[position] for index, position in (newer, older)
        )
        if new_comparison.opcode != old_comparison.opcode or compared(new_comparison) != compared(old_comparison):
            return False
        if PREDICATE.search(compared(new_comparison)):
            return False
        used = {(bank, int(number)) for bank, number in REGISTER.findall(compared(new_comparison))}
        return not any(used & written(operation) for operation in self.passing(older, newer))

    def passing(self, first: At, last: At) -> Iterator[Operation]:
        """The operations that may run between two; all of a block if a path may return to it."""
        (start, begin), (stop, end) = first, last
        blocks = self.graph.blocks
        if start == stop and begin < end and not self.reached(start) >> start & 1:
            yield from blocks[start].operations[begin + 1 : end]
            return
        inner = self.between(start, stop)
        for index in inner:
            if index not in (start, stop):
                yield from blocks[index].operations
        yield from blocks[start].operations[0 if start in inner and self.reached(start) >> start & 1 else begin + 1 :]
        yield from blocks[stop].operations[: None if self.reached(stop) >> stop & 1 else end]


def compared(operation: Operation) -> str:
    """The operands of a comparison, without the two results."""
    return ",".join(operation.operands.replace(".reuse", "").split(",")[2:])


def set_by(operation: Operation) -> set[str]:
    """The predicates that an instruction may set."""
    if operation.name == "R2P":
        return {f"P{number}" for number in range(7)}
    if WRITES_NONE.match(operation.name):
        return set()
    return {name for part in operation.operands.split(",")[:3] if "!" not in part for name in PREDICATE.findall(part)}


def written(operation: Operation) -> set[tuple[str, int]]:
    """The registers that an instruction may write: bank and number."""
    if WRITES_NONE.match(operation.name) or COMPARES.match(operation.name) or operation.name == "PLOP3":
        return set()
    parts = operation.operands.split(",")
    first = next((part for part in parts if not PREDICATE.search(part) and "PT" not in part), "")
    match = REGISTER.search(first)  # not RZ, which stores nothing
    if match is None:
        return set()
    count = 4 if FOURS.search(operation.opcode) else 2 if PAIRS.search(operation.opcode) else 1
    return {(match[1], int(match[2]) + step) for step in range(count)}
