"""How an opcode may be spelled: which of its modifiers may change places, and which lines of the table it is.

ptxas reads an opcode as a name and a bag of modifiers. The name comes first, and some names have several words:
`mul.wide`, `cp.async.bulk`. The modifiers behind it may stand in any order, except that those of one kind keep theirs:
the first type of a conversion is that of its result. What is here was found out by asking ptxas.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

NAMES = frozenset((
    "mul.lo", "mul.hi", "mul.wide", "mad.lo", "mad.hi", "mad.wide", "madc.lo", "madc.hi", "mul24.lo", "mul24.hi",
    "mad24.lo", "mad24.hi", "dp2a.lo", "dp2a.hi", "div.full", "shf.l", "shf.r", "cvt.pack", "cvta.to",
    "createpolicy.cvt", "createpolicy.fractional", "createpolicy.range", "brx.idx", "bar.cta", "bar.cta.arrive",
    "bar.cta.red", "bar.arrive", "bar.red", "bar.warp", "barrier.cta", "barrier.cta.arrive", "barrier.cta.red",
    "barrier.arrive", "barrier.red", "membar.proxy", "fence.proxy", "setmaxnreg.inc", "setmaxnreg.dec", "cp.async",
    "cp.async.commit_group", "cp.async.wait_group", "cp.async.wait_all", "cp.async.mbarrier.arrive",
    "cp.async.bulk", "cp.async.bulk.commit_group", "cp.async.bulk.wait_group", "cp.async.bulk.prefetch",
    "cp.reduce.async.bulk",
    "mbarrier.init", "mbarrier.inval", "mbarrier.arrive", "mbarrier.arrive.expect_tx", "mbarrier.arrive_drop",
    "mbarrier.arrive_drop.expect_tx", "mbarrier.expect_tx", "mbarrier.complete_tx", "mbarrier.test_wait",
    "mbarrier.test_wait.parity", "mbarrier.try_wait", "mbarrier.try_wait.parity", "mbarrier.pending_count",
    "wmma.load.a", "wmma.load.b", "wmma.load.c", "wmma.store.d", "wmma.mma",
))  # fmt: skip
"""The names of more than one word; of several that fit an opcode, the longest is its name."""
MOST_WORDS = max(name.count(".") + 1 for name in NAMES)

KINDS = {
    "type": re.compile(r"(?:[busf]\d+|bf16|tf32|u?e\dm\d|s2f6)(?:x\d+)?|pred"),
    "space": re.compile(r"(?:global|shared|local|const|param)(?:::\w+)?"),
    "layout": re.compile(r"row|col"),
    "priority": re.compile(r"L2::evict_\w+"),
    "bits": re.compile(r"xor|and|popc"),
}
"""The kinds of modifiers of which one opcode may have several, whose order then counts."""

Tokens = tuple[str, ...]


@dataclass(frozen=True)
class SpellingPart:
    """One place of an opcode: what may be there, as (tokens, the value that the body gets)."""

    name: str
    choices: tuple[tuple[Tokens, Any], ...]

    @property
    def vocabulary(self) -> frozenset[str]:
        return frozenset(itertools.chain.from_iterable(choice for choice, _ in self.choices))


Reading = tuple[tuple[Tokens, Any], ...]
"""What an opcode says at each part of a line: one of the part's choices."""


@functools.cache
def kind(token: str) -> str:
    """The kind of a modifier; "" where opcodes have one of it at most."""
    return next((name for name, pattern in KINDS.items() if pattern.fullmatch(token)), "")


def words(tokens: Sequence[str]) -> int:
    """How many tokens of an opcode are its name."""
    counts = range(min(MOST_WORDS, len(tokens)), 1, -1)
    return next((count for count in counts if ".".join(tokens[:count]) in NAMES), 1)


def readings(parts: Sequence[SpellingPart], tokens: Tokens) -> Iterator[Reading]:
    """Each way to read an opcode as the line that has these parts; there should be one at most."""
    count = words(tokens)
    for reading in read(parts, tokens[:count], tokens[count:]):
        if words(tuple(itertools.chain.from_iterable(choice for choice, _ in reading))) == count:
            yield reading  # else the line's name has words that the program has among the modifiers


def read(parts: Sequence[SpellingPart], name: Tokens, modifiers: Tokens) -> Iterator[Reading]:
    """The same with what is left of the name and of the modifiers."""
    if not parts:
        if not name and not modifiers:
            yield ()
        return
    for choice, value in parts[0].choices:
        left = without(choice, name, modifiers)
        if left is not None:
            for rest in read(parts[1:], *left):
                yield ((choice, value), *rest)


def without(choice: Tokens, name: Tokens, modifiers: Tokens) -> tuple[Tokens, Tokens] | None:
    """Name and modifiers when the tokens of `choice` have been taken from them; None where they are not to be had."""
    for token in choice:
        if name:
            if name[0] != token:
                return None
            name = name[1:]
        else:
            same = kind(token)
            rivals = (
                i for i, modifier in enumerate(modifiers) if modifier == token or (same and kind(modifier) == same)
            )
            at = next(rivals, None)
            if at is None or modifiers[at] != token:
                return None
            modifiers = modifiers[:at] + modifiers[at + 1 :]
    return name, modifiers


def joined(choices: Iterable[Tokens]) -> str:
    """The opcode that choices make, in the order of the line."""
    return ".".join(itertools.chain.from_iterable(choices))


def overlap(one: Sequence[SpellingPart], other: Sequence[SpellingPart]) -> bool:
    """Whether some opcode can be read as both lines."""
    common = vocabulary(one) & vocabulary(other)
    places = [[choice for choice, _ in part.choices if common.issuperset(choice)] for part in one]
    if not all(any(common.issuperset(choice) for choice, _ in part.choices) for part in other):
        return False
    opcodes = (tuple(itertools.chain.from_iterable(choices)) for choices in itertools.product(*places))
    return any(True for tokens in opcodes for _ in readings(other, tokens))


def vocabulary(parts: Sequence[SpellingPart]) -> frozenset[str]:
    return frozenset().union(*(part.vocabulary for part in parts))
