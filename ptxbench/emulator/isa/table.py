"""The instruction table: what an entry is, and how a line of the manual becomes entries.

One instruction is one decorated function, and the decorator's first argument has the shape of a line in the
manual's Syntax box:

    @instruction("mul.wide.type d:wide, a, b", type=NARROW, section="integer-arithmetic-instructions-mul")
    def mul_wide(e, a, b):
        return e.mul(e.widen(a), e.widen(b))

In the opcode, a name given by keyword (`type`, `space`) stands for each member of its set, and braces mark what
may be absent: `{.ftz}` is a flag, `{.rnd}` with a set `rnd` is a member or None. Every spelling becomes a key of
TABLE, so that a modifier the table does not list is an error, never ignored.

In the operands, `d` is written, `[a]` is an address, `{d}` and `{a}` are vectors, `d|p` may be two results,
`target` is a label, and the rest are read. Each is of the instruction's `type` unless `:u32`, `:wide` (twice the
bits) or `:bits` (the bit type of that width) says otherwise. One opcode may have several forms, told apart by the
number and the shape of the operands.

The function asks by parameter name for what it needs: `e` (the vocabulary of emit.py), the operands, the
modifiers, and `machine` if it touches memory, control or other lanes. A modifier that can vary must be asked for,
or type the operands, or stand in `ignored` with its reason; else the import fails.

With `carry` "in" or "both" the body may ask for `carry`, a predicate; with "out" or "both" it returns its result and
the new carry as a pair.

`section` is the anchor in https://docs.nvidia.com/cuda/parallel-thread-execution/ (anchors outlive section numbers).
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ptxbench.emulator.types import TYPES, Type, bits_of, wide

Body = Callable[..., Any]


@dataclass(frozen=True)
class OperandForm:
    """One operand of an entry: `kind` is target, value, address or label."""

    name: str
    kind: str
    type: Type | None
    vector: bool = False
    predicate: str = ""
    """Of `d|p`: the name of the second result, a predicate that need not be taken."""


@dataclass(frozen=True)
class Entry:
    """One spelling of one instruction."""

    opcode: str
    operands: tuple[OperandForm, ...]
    body: Body
    arguments: Mapping[str, Any]
    """The modifiers that the body asks for."""
    asks: frozenset[str]
    section: str
    chapter: str
    counted: str
    """The class in `ptx_warp_instructions_CLASS`."""
    flow: str
    """How it ends or starts a block: "" (it does not), branch, exit, barrier or sync."""
    carry: str = ""
    """Whether it reads (in), writes (out) or does both (both) to the carry bit CC.CF of each lane."""


TABLE: dict[str, list[Entry]] = {}


class Chapter:
    """The entries of one chapter of the manual; calling it gives the decorator."""

    def __init__(self, title: str, counted: str) -> None:
        self.title = title
        self.counted = counted

    def __call__(
        self,
        syntax: str,
        *,
        section: str,
        counted: str = "",
        flow: str = "",
        carry: str = "",
        ignored: Mapping[str, str] | None = None,
        **sets: Iterable[str],
    ) -> Callable[[Body], Body]:
        """Add every spelling of `syntax` to TABLE. `ignored`: modifier -> why the emulator may pass over it."""
        pattern, _, operands = syntax.partition(" ")
        members = {name: tuple(each) for name, each in sets.items()}

        def register(body: Body) -> Body:
            asks = frozenset(inspect.signature(body).parameters)
            for opcode, modifiers in spellings(pattern, members):
                refuse_unheard(syntax, modifiers, asks, ignored or {}, members)
                entry = Entry(
                    opcode,
                    tuple(read_operands(operands, opcode, modifiers)),
                    body,
                    {
                        name: TYPES.get(value, value) if name in members else value
                        for name, value in modifiers.items()
                        if name in asks
                    },
                    asks,
                    section,
                    self.title,
                    (counted or self.counted).replace("TYPE", str(modifiers.get("type") or opcode.rsplit(".", 1)[-1])),
                    flow,
                    carry,
                )
                forms = TABLE.setdefault(opcode, [])
                if any(shape(form) == shape(entry) for form in forms):
                    raise ValueError(f"{opcode} with these operands is already in the table")
                forms.append(entry)
            return body

        return register


def shape(entry: Entry) -> tuple[tuple[str, bool], ...]:
    """What tells the forms of one opcode apart."""
    return tuple((form.kind, form.vector) for form in entry.operands)


def refuse_unheard(
    syntax: str,
    modifiers: Mapping[str, Any],
    asks: frozenset[str],
    ignored: Mapping[str, str],
    members: Mapping[str, tuple[str, ...]],
) -> None:
    """No modifier may be ignored silently: each is asked for, types the operands, or is ignored with a reason."""
    for name, value in modifiers.items():
        heard = name in asks or name == "type" or name in ignored
        if not heard and value and not (name in members and len(members[name]) == 1):
            raise ValueError(f"'{syntax}' neither asks for '{name}' nor gives a reason to ignore it")


def spellings(pattern: str, members: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """`add{.sat}.type` with type=(u32, s32): add.u32, add.s32, add.sat.u32, add.sat.s32, each with its modifiers."""
    choices: list[list[tuple[str, dict[str, Any]]]] = []
    for brace, name in re.findall(r"(\{?)\.?((?:[^.{}:]|::)+)\}?", pattern):
        if name in members:
            each = [(f".{member}", {name: member}) for member in members[name]]
            choices.append([("", {name: None}), *each] if brace else each)
        elif brace:
            choices.append([("", {name: False}), (f".{name}", {name: True})])
        else:
            choices.append([(f".{name}", {})])
    for choice in itertools.product(*choices):
        modifiers: dict[str, Any] = {}
        for _, more in choice:
            modifiers |= more
        yield "".join(part for part, _ in choice)[1:], modifiers


def read_operands(text: str, opcode: str, modifiers: Mapping[str, Any]) -> Iterator[OperandForm]:
    """`d:wide, a, [b], {c}, d|p, target`."""
    last = opcode.rsplit(".", 1)[-1]
    default = TYPES.get(str(modifiers.get("type")), TYPES.get(last))
    for part in filter(None, text.split(", ")):
        head, _, explicit = part.partition(":")
        name, _, predicate = head.strip("[]{}").partition("|")
        kind = "address" if head[0] == "[" else "label" if name == "target" else "target" if name == "d" else "value"
        yield OperandForm(name, kind, operand_type(explicit, default), head[0] == "{", predicate)


def operand_type(explicit: str, default: Type | None) -> Type | None:
    if explicit and explicit not in ("wide", "bits"):
        return TYPES[explicit]
    if default is None or not explicit:
        return default
    return wide(default) if explicit == "wide" else bits_of(default)
