"""How an opcode may be spelled: which of its modifiers may change places, and which table lines match it.

ptxas reads an opcode as a name and a set of modifiers. The name comes first, and some names have several words:
`mul.wide`, `cp.async.bulk`. The modifiers after it may be in any order, except that modifiers of one kind keep theirs:
the first type of a conversion is its result type. These rules were determined by experiments with ptxas.
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
    "mad24.lo", "mad24.hi", "clmad.lo", "clmad.hi", "dp2a.lo", "dp2a.hi", "div.full", "shf.l", "shf.r", "cvt.pack",
    "cvta.to",
    "createpolicy.cvt", "createpolicy.fractional", "createpolicy.range", "brx.idx", "bar.cta", "bar.cta.arrive",
    "bar.cta.red", "bar.arrive", "bar.red", "bar.warp", "barrier.cta", "barrier.cta.arrive", "barrier.cta.red",
    "barrier.arrive", "barrier.red", "membar.proxy", "fence.proxy", "setmaxnreg.inc", "setmaxnreg.dec", "cp.async",
    "cp.async.commit_group", "cp.async.wait_group", "cp.async.wait_all", "cp.async.mbarrier.arrive",
    "cp.async.bulk", "cp.async.bulk.commit_group", "cp.async.bulk.wait_group", "cp.async.bulk.prefetch",
    "cp.reduce.async.bulk", "cp.async.bulk.tensor", "cp.async.bulk.prefetch.tensor", "cp.reduce.async.bulk.tensor",
    "barrier.cluster.arrive", "barrier.cluster.wait", "st.async", "red.async", "clusterlaunchcontrol.try_cancel.async",
    "clusterlaunchcontrol.query_cancel",
    "mbarrier.init", "mbarrier.inval", "mbarrier.arrive", "mbarrier.arrive.expect_tx", "mbarrier.arrive_drop",
    "mbarrier.arrive_drop.expect_tx", "mbarrier.expect_tx", "mbarrier.complete_tx", "mbarrier.test_wait",
    "mbarrier.test_wait.parity", "mbarrier.try_wait", "mbarrier.try_wait.parity", "mbarrier.pending_count",
    "wmma.load.a", "wmma.load.b", "wmma.load.c", "wmma.store.d", "wmma.mma",
    "wgmma.mma_async", "wgmma.fence", "wgmma.commit_group", "wgmma.wait_group",
    "tensormap.replace", "tensormap.cp_fenceproxy", "st.bulk",
))  # fmt: skip
"""The names of more than one word; if several fit an opcode, the longest is its name."""
MOST_WORDS = max(name.count(".") + 1 for name in NAMES)

KINDS = {
    "type": re.compile(r"(?:[busf](?!1024)\d+|bf16|tf32|u?e\dm\d|s2f6)(?:x\d+)?(?:_p\d+)?|pred"),
    "space": re.compile(r"(?:global|shared|local|const|param)(?:::\w+)?"),
    "layout": re.compile(r"row|col"),
    "priority": re.compile(r"L2::evict_\w+"),
    "bits": re.compile(r"xor|and|popc"),
}
"""The kinds of modifiers that an opcode may have several of; their order then matters."""

Tokens = tuple[str, ...]


@dataclass(frozen=True)
class SpellingPart:
    """One position of an opcode: its choices, as (tokens, the value that the body gets)."""

    name: str
    choices: tuple[tuple[Tokens, Any], ...]

    @property
    def vocabulary(self) -> frozenset[str]:
        return frozenset(itertools.chain.from_iterable(choice for choice, _ in self.choices))


Reading = tuple[tuple[Tokens, Any], ...]
"""An opcode's choice at each part of a line."""


@functools.cache
def kind(token: str) -> str:
    """The kind of a modifier; "" if opcodes have at most one of it."""
    return next((name for name, pattern in KINDS.items() if pattern.fullmatch(token)), "")


def words(tokens: Sequence[str]) -> int:
    """How many of an opcode's tokens form its name."""
    counts = range(min(MOST_WORDS, len(tokens)), 1, -1)
    return next((count for count in counts if ".".join(tokens[:count]) in NAMES), 1)


def readings(parts: Sequence[SpellingPart], tokens: Tokens) -> Iterator[Reading]:
    """Each way to read an opcode as the line that has these parts; there should be one at most."""
    count = words(tokens)
    for reading in read(parts, tokens[:count], tokens[count:]):
        if words(tuple(itertools.chain.from_iterable(choice for choice, _ in reading))) == count:
            yield reading  # else the line's name has words that are modifiers in the program


def read(parts: Sequence[SpellingPart], name: Tokens, modifiers: Tokens) -> Iterator[Reading]:
    """`readings` for the rest of the name and of the modifiers."""
    if not parts:
        if not name and not modifiers:
            yield ()
        return
    for choice, value in parts[0].choices:
        remaining = without(choice, name, modifiers)
        if remaining is not None:
            for rest in read(parts[1:], *remaining):
                yield ((choice, value), *rest)


def without(choice: Tokens, name: Tokens, modifiers: Tokens) -> tuple[Tokens, Tokens] | None:
    """Name and modifiers without the tokens of `choice`; None if one of the tokens is not where it must be."""
    for token in choice:
        if name:
            if name[0] != token:
                return None
            name = name[1:]
        else:
            kind_of_token = kind(token)
            rivals = (
                i
                for i, modifier in enumerate(modifiers)
                if modifier == token or (kind_of_token and kind(modifier) == kind_of_token)
            )
            index = next(rivals, None)
            if index is None or modifiers[index] != token:
                return None
            modifiers = modifiers[:index] + modifiers[index + 1 :]
    return name, modifiers


def joined(choices: Iterable[Tokens]) -> str:
    """The opcode of these choices, in the order of the line."""
    return ".".join(itertools.chain.from_iterable(choices))


def overlap(first: Sequence[SpellingPart], second: Sequence[SpellingPart]) -> bool:
    """Whether some opcode can be read as both lines."""
    common = vocabulary(first) & vocabulary(second)
    places = [[choice for choice, _ in part.choices if common.issuperset(choice)] for part in first]
    if not all(any(common.issuperset(choice) for choice, _ in part.choices) for part in second):
        return False
    opcodes = (tuple(itertools.chain.from_iterable(choices)) for choices in itertools.product(*places))
    return any(True for tokens in opcodes for _ in readings(second, tokens))


def vocabulary(parts: Sequence[SpellingPart]) -> frozenset[str]:
    return frozenset().union(*(part.vocabulary for part in parts))
