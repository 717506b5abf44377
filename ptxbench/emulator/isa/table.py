"""The instruction table: the definition of an entry, and how a line of the manual becomes entries.

One instruction is one decorated function, and the decorator's first argument has the shape of a line in the
manual's Syntax box:

    @instruction("mul.wide.type d:wide, a, b", type=NARROW, section="integer-arithmetic-instructions-mul")
    def mul_wide(e, a, b):
        return e.mul(e.widen(a), e.widen(b))

In the opcode, a name given by keyword (`type`, `space`) means each member of its set, and braces mark optional parts:
`{.ftz}` is a flag, `{.rnd}` with a set `rnd` is a member or None. An opcode is matched token by token on its first
look-up, because all lines together have hundreds of thousands of spellings; a modifier that no line lists is an error,
never ignored.

In the operands, `d` is written, `[a]` is an address, `{d}` and `{a}` are vectors, `d|p` may be two results,
`a.sel` may have a selector (`%r.h1`), `-a` a minus sign, `target` is a label, and all others are read. Each has the
instruction's `type` unless `:u32`, `:wide` (twice the bits) or `:bits` (the bit type of that width) gives another.
One opcode may have several forms, which differ in the number and the shape of the operands.

The function's parameter names select its arguments: `e` (the vocabulary of emit.py), the operands, the
modifiers, and `ops` if it touches memory, control or other lanes. A modifier that can vary must be a parameter, or
be the type of an operand, or be in `ignored` with a reason; else the import fails.

With `carry` "in" or "both" the body may ask for `carry`, a predicate; with "out" or "both" it returns its result and
the new carry as a pair.

`section` is the anchor in https://docs.nvidia.com/cuda/parallel-thread-execution/ (anchors outlive section numbers).
"""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ptxbench.emulator.isa.spelling import Reading, SpellingPart, Tokens, joined, kind, overlap, readings, vocabulary
from ptxbench.emulator.types import TYPES, Type, bits_of, wide

Body = Callable[..., Any]

FlowKind = Literal[
    "",  # it neither ends nor starts a block
    "branch",  # ends a block: bra
    "switch",  # ends a block: brx.idx
    "exit",  # ends a block: exit, ret
    "barrier",  # ends a block: bar.sync waits for other threads of the CTA
    "barrier_reduction",  # starts a block: bar.red runs when all threads have arrived
    "warp_sync",  # starts a block: shfl.sync and others run when the lanes of the member mask have arrived
    "warp_barrier",  # starts a block: bar.warp.sync, the same without a result
    "cluster_wait",  # starts a block: barrier.cluster.wait goes on when the cluster has arrived
    "register_pool",  # starts a block: setmaxnreg runs when the whole warp has arrived and its CTA has the registers
    "aligned",  # starts a block: matrix instructions run when the whole warp has arrived
    "warpgroup",  # a block of its own: wgmma, which uses registers in the register file, not as values of a block
    "enter",  # starts a block: the entry of a function that is called, not inlined
    "call",  # ends a block: a call of such a function
    "returned",  # where such a call returns to
    "return",  # ends a block: the end of such a function
]
"""How an instruction ends or starts a basic block (emulator/flow.py)."""


@dataclass(frozen=True)
class OperandForm:
    """One operand of an entry: `kind` is target, value, address or label."""

    name: str
    kind: str
    type: Type | None
    vector: bool = False
    predicate: str = ""
    """For `d|p`: the name of the second result, an optional predicate."""
    selector: bool = False
    """For `a.sel`: whether parts of the register may be selected; the body's parameter is `a_sel`, "" without."""
    sign: bool = False
    """For `-a`: whether the operand may be negated; the body's parameter is `a_negated`."""


@dataclass(frozen=True, eq=False)  # TABLE has each entry once
class Entry:
    """One instruction with its modifiers."""

    opcode: str
    """With its modifiers in the manual's order, whatever their order in the program."""
    operands: tuple[OperandForm, ...]
    body: Body
    arguments: Mapping[str, Any]
    """The modifiers that are parameters of the body."""
    asks: frozenset[str]
    """The names of the body's parameters."""
    section: str
    chapter: str
    counted: str
    """The class in `ptx_warp_instructions_CLASS`."""
    flow: FlowKind
    carry: str = ""
    """Whether it reads (in), writes (out) or does both (both) to the carry bit CC.CF of each lane."""

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the operands."""
        return tuple(form.name for form in self.operands)

    @functools.cached_property
    def words(self) -> tuple[str, ...]:
        """The parts of the opcode."""
        return tuple(self.opcode.split("."))

    @functools.cached_property
    def is_relaxed(self) -> bool:
        """Whether it does not order other accesses to memory."""
        return "relaxed" in self.words

    @functools.cached_property
    def computes(self) -> bool:
        """Whether it only computes values from values."""
        return "e" in self.asks and not (self.flow or self.asks & {"ops", "count"})

    @functools.cached_property
    def computations(self) -> dict[Any, Any]:
        """The functions on memory that compute its result, by all that they depend on (Emitter.compute)."""
        return {}

    @functools.cached_property
    def spaces(self) -> tuple[str, ...]:
        """The state spaces that its modifiers name; empty if its addresses are generic."""
        return tuple(word.partition("::")[0] for word in self.words[1:] if kind(word) == "space")


@dataclass(frozen=True)
class Pattern:
    """One line of the manual with the function that implements it."""

    syntax: str
    parts: tuple[SpellingPart, ...]
    operands: str
    body: Body
    asks: frozenset[str]
    section: str
    chapter: str
    counted: str
    flow: FlowKind
    carry: str

    @functools.cached_property
    def vocabulary(self) -> frozenset[str]:
        return vocabulary(self.parts)

    def readings(self, tokens: Tokens) -> Iterator[Reading]:
        """Each way to match an opcode with this line; there should be at most one."""
        return readings(self.parts, tokens) if self.vocabulary.issuperset(tokens) else iter(())

    def entry(self, reading: Reading) -> Entry:
        opcode = joined(choice for choice, _ in reading)
        modifiers = {part.name: value for part, (_, value) in zip(self.parts, reading, strict=True) if part.name}
        type_name = str(modifiers.get("type") or opcode.rsplit(".", 1)[-1])
        return Entry(
            opcode,
            tuple(read_operands(self.operands, opcode, modifiers)),
            self.body,
            {
                name: TYPES.get(value, value) if isinstance(value, str) else value
                for name, value in modifiers.items()
                if name in self.asks
            },
            self.asks,
            self.section,
            self.chapter,
            self.counted.replace("TYPE", type_name),
            self.flow,
            self.carry,
        )

    def shape(self) -> tuple[tuple[str, bool], ...]:
        """Kind and vector of each operand: the forms of one opcode differ in it."""
        return tuple((form.kind, form.vector) for form in read_operands(self.operands, "", {}))

    def spellings(self) -> Iterator[str]:
        """Every spelling; if there are more than MOST_SPELLINGS, those that differ from the first in one place."""
        places = [[choice for choice, _ in part.choices] for part in self.parts]
        if math.prod(map(len, places)) <= MOST_SPELLINGS:
            yield from (joined(choices) for choices in itertools.product(*places))
            return
        first = [choices[0] for choices in places]
        yield joined(first)
        for i, choices in enumerate(places):
            for choice in choices[1:]:
                yield joined((*first[:i], choice, *first[i + 1 :]))

    def nearest(self, tokens: Sequence[str]) -> str:
        """The spelling of this line that is most similar to `tokens`."""
        chosen: list[str] = []
        known = {token for part in self.parts for choice, _ in part.choices for token in choice}
        unknown = [token for token in tokens if token not in known]
        for part in self.parts:
            present = [choice for choice, _ in part.choices if choice and all(token in tokens for token in choice)]
            if present:
                chosen += present[0]
            elif any(not choice for choice, _ in part.choices):
                similar = max((choice for choice, _ in part.choices), key=lambda choice: likeness(choice, unknown))
                chosen += similar if likeness(similar, unknown) >= MISSPELT else ()
            else:
                similar = max((choice for choice, _ in part.choices), key=lambda choice: likeness(choice, tokens))
                chosen += similar if likeness(similar, tokens) >= SIMILAR else part.choices[0][0]
        return ".".join(chosen)


SIMILAR = 0.6
"""The least likeness of tokens that are spellings of one another, such as `b33` and `b32`."""
MISSPELT = 0.8
"""The least likeness of a token to a modifier that may be absent, such as `globl` and `global`."""


def likeness(choice: tuple[str, ...], tokens: Sequence[str]) -> float:
    """The similarity of two lists of tokens, from 0 to 1."""
    if not choice:
        return 0.0
    return max((difflib.SequenceMatcher(None, choice[-1], token).ratio() for token in tokens), default=0.0)


MOST_SPELLINGS = 256


class InstructionTable(Mapping[str, list[Entry]]):
    """The entries by opcode, matched on first look-up and cached.

    `in` and `[]` know every spelling; iteration uses `Pattern.spellings`.
    """

    def __init__(self) -> None:
        self.patterns: dict[str, list[Pattern]] = {}
        """The lines by the first token of their opcodes."""
        self.entries: dict[str, list[Entry]] = {}

    def add(self, pattern: Pattern) -> None:
        for choice, _ in pattern.parts[0].choices:
            self.patterns.setdefault(choice[0], []).append(pattern)

    def __getitem__(self, opcode: str) -> list[Entry]:
        if opcode not in self.entries:
            tokens = tuple(opcode.split("."))
            self.entries[opcode] = [
                line.entry(reading)
                for line in self.patterns.get(tokens[0], ())
                for reading in itertools.islice(line.readings(tokens), 1)
            ]
        if not self.entries[opcode]:
            raise KeyError(opcode)
        return self.entries[opcode]

    def __iter__(self) -> Iterator[str]:
        lines = dict.fromkeys(itertools.chain(*self.patterns.values()))
        return iter(dict.fromkeys(itertools.chain.from_iterable(line.spellings() for line in lines)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def nearest(self, opcode: str) -> list[str]:
        """Up to three spellings similar to `opcode`; first those that only have more modifiers, such as a rounding."""
        tokens = opcode.split(".")
        if tokens[0] in self.patterns:
            close = dict.fromkeys(line.nearest(tokens) for line in self.patterns[tokens[0]])
            similar = difflib.get_close_matches(opcode, close, n=len(close), cutoff=0.0)
            return sorted(similar, key=lambda spelling: bool(Counter(tokens) - Counter(spelling.split("."))))[:3]
        return difflib.get_close_matches(opcode, self, n=3, cutoff=0.6)

    def ambiguities(self) -> list[str]:
        """Pairs of lines that match one opcode with one shape of operands; a test requires that there are none."""
        result = []
        for lines in self.patterns.values():
            for first, second in itertools.combinations(lines, 2):
                if first.shape() == second.shape() and overlap(first.parts, second.parts):
                    result.append(f"'{first.syntax}' and '{second.syntax}'")
        return result


TABLE = InstructionTable()


class Chapter:
    """The entries of one chapter of the manual; a call returns the decorator."""

    def __init__(self, title: str, counted: str) -> None:
        """`counted`: the class of its instructions."""
        self.title = title
        self.counted = counted

    def __call__(
        self,
        syntax: str,
        *,
        section: str,
        counted: str = "",
        flow: FlowKind = "",
        carry: str = "",
        ignored: Mapping[str, str] | None = None,
        **sets: Iterable[str],
    ) -> Callable[[Body], Body]:
        """Add the line `syntax` to TABLE. `ignored`: modifier -> why the emulator may pass over it."""
        opcode, _, operands = syntax.partition(" ")
        parts = tuple(read_opcode(opcode, {name: tuple(choices) for name, choices in sets.items()}))

        def register(body: Body) -> Body:
            code = inspect.unwrap(body).__code__  # inspect.signature would take 15 ms for all lines
            asks = frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
            require_used_modifiers(syntax, parts, asks, ignored or {})
            TABLE.add(
                Pattern(
                    syntax,
                    parts,
                    operands,
                    body,
                    asks,
                    section,
                    self.title,
                    counted or self.counted,
                    flow,
                    carry,
                )
            )
            return body

        return register


def require_used_modifiers(
    syntax: str, parts: Iterable[SpellingPart], asks: frozenset[str], ignored: Mapping[str, str]
) -> None:
    """No modifier may be ignored silently: each is a parameter, types the operands, or is ignored with a reason."""
    for part in parts:
        if len(part.choices) > 1 and part.name not in asks and part.name != "type" and part.name not in ignored:
            raise ValueError(f"'{syntax}' neither asks for '{part.name}' nor gives a reason to ignore it")


def read_opcode(text: str, sets: Mapping[str, tuple[str, ...]]) -> Iterator[SpellingPart]:
    """`add{.sat}.type` with type=(u32, s32): add; nothing or sat; u32 or s32."""
    for brace, name in re.findall(r"(\{?)\.?((?:[^.{}:]|::)+)\}?", text):
        if name in sets:
            absent = (((), None),) if brace else ()
            yield SpellingPart(name, (*absent, *((tuple(member.split(".")), member) for member in sets[name])))
        elif brace:
            yield SpellingPart(name, (((), False), ((name,), True)))
        else:
            yield SpellingPart("", (((name,), None),))


def read_operands(text: str, opcode: str, modifiers: Mapping[str, Any]) -> Iterator[OperandForm]:
    """`d:wide, a, [b], {c}, d|p, target`."""
    last = opcode.rsplit(".", 1)[-1]
    default = TYPES.get(str(modifiers.get("type")), TYPES.get(last))
    for part in filter(None, text.split(", ")):
        head, _, explicit = part.partition(":")
        sign, selector = head[0] == "-", head.endswith(".sel")
        name, _, predicate = head.strip("[]{}-").removesuffix(".sel").partition("|")
        kind = "address" if head[0] == "[" else "label" if name == "target" else "target" if name == "d" else "value"
        yield OperandForm(name, kind, operand_type(explicit, default), head[0] == "{", predicate, selector, sign)


def operand_type(explicit: str, default: Type | None) -> Type | None:
    if explicit and explicit not in ("wide", "bits"):
        return TYPES[explicit]
    if default is None or not explicit:
        return default
    return wide(default) if explicit == "wide" else bits_of(default)
