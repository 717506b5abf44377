"""Random PTX with defined behaviour, built from small pieces that Hypothesis draws, so that a failure shrinks.

A program works on a few registers of each type, loaded from the thread's row of inputs and stored at its end. What PTX
leaves open never happens: a thread writes only its own row, threads meet at barriers and in shuffles only where the
whole CTA is together, each atomic operation has words of its own, and loops end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.emulator.opcodes import CHAINS, EXCHANGES, OPS, PRIVATE, WARP, Op

HEADER = ".version 8.6\n.target sm_90\n.address_size 64\n"
CLASSES = {"r": ("b32", 6), "d": ("b64", 4), "f": ("f32", 4), "e": ("f64", 3), "h": ("b16", 4), "p": ("pred", 3)}
"""Registers: the letter in their names, their type, and how many there are."""
ROW = 96
"""Bytes of a thread's inputs and of its results, as `rows` defines them."""
ROWS = (("v4.b32", "r", 0, 4, 0), ("v2.b32", "r", 4, 2, 16), ("v4.b16", "h", 0, 4, 24), ("v2.b64", "d", 0, 2, 32),
        ("v2.b64", "d", 2, 2, 48), ("v4.f32", "f", 0, 4, 64), ("v2.f64", "e", 0, 2, 80))  # fmt: skip
"""A vector access: type, class, first register, registers, byte of the row."""
SLOTS = 32
"""Bytes of memory that a thread has to itself, in each state space."""
ATOMICS = ("add", "and", "or", "xor", "min", "max", "inc", "dec", "exch", "cas")

# ---- statements


@dataclass(frozen=True)
class Line:
    """Instructions; `guard` is a predicate's number (from 8 on: negated) or None."""

    text: str
    guard: int | None = None


@dataclass(frozen=True)
class If:
    guard: int
    then: tuple[Any, ...]
    otherwise: tuple[Any, ...]


@dataclass(frozen=True)
class Loop:
    """`register` and `mask`, as the thread's number of rounds."""

    register: int
    mask: int
    body: tuple[Any, ...]
    leave: int | None
    """The predicate on which a thread leaves the loop before the body's end."""


@dataclass(frozen=True)
class Switch:
    register: int
    cases: tuple[tuple[Any, ...], ...]


Statement = Line | If | Loop | Switch


@dataclass(frozen=True)
class Program:
    """`block` threads in each of `grid` CTAs; `seed` makes the inputs."""

    statements: tuple[Statement, ...]
    block: int
    grid: int
    seed: int


def guard(number: int | None) -> str:
    return "" if number is None else f"@{'!' * (number >= 8)}%p{number % 8} "


class Writer:
    """Statements as text; labels and loop counters are numbered."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names = itertools.count()
        self.counters: list[str] = []

    def write(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            getattr(self, type(statement).__name__.lower())(statement)

    def line(self, line: Line) -> None:
        for part in line.text.split("; "):
            self.lines.append(f"{guard(line.guard)}{part.rstrip(';')};")

    def if_(self, branch: If) -> None:
        name = next(self.names)
        self.lines.append(f"{guard(branch.guard ^ 8)}bra ELSE_{name};")
        self.write(branch.then)
        if branch.otherwise:
            self.lines += [f"bra JOIN_{name};", f"ELSE_{name}:"]
            self.write(branch.otherwise)
            self.lines.append(f"JOIN_{name}:")
        else:
            self.lines.append(f"ELSE_{name}:")

    def loop(self, loop: Loop) -> None:
        name = next(self.names)
        self.counters.append(f"%n{name}")
        self.lines += [
            f"and.b32 %n{name}, %r{loop.register}, {loop.mask};",
            f"LOOP_{name}:",
            f"setp.eq.u32 %done, %n{name}, 0;",
            f"@%done bra END_{name};",
            f"sub.u32 %n{name}, %n{name}, 1;",
        ]
        self.write(loop.body)
        if loop.leave is not None:
            self.lines.append(f"{guard(loop.leave)}bra END_{name};")
            self.write(loop.body[:1])
        self.lines += [f"bra LOOP_{name};", f"END_{name}:"]

    def switch(self, switch: Switch) -> None:
        name = next(self.names)
        labels = [f"CASE_{name}_{i}" for i in range(len(switch.cases))]
        self.lines += [
            f"rem.u32 %index, %r{switch.register}, {len(labels)};",
            f"TABLE_{name}: .branchtargets {', '.join(labels)};",
            f"brx.idx %index, TABLE_{name};",
        ]
        for label, case in zip(labels, switch.cases, strict=True):
            self.lines.append(f"{label}:")
            self.write(case)
            self.lines.append(f"bra AFTER_{name};")
        self.lines.append(f"AFTER_{name}:")


setattr(Writer, "if", Writer.if_)  # named for the class, which Python will not have as a method


def rows(way: str, base: str) -> list[str]:
    lines = []
    for kind, c, first, count, offset in ROWS:
        registers = "{" + ", ".join(f"%{c}{first + i}" for i in range(count)) + "}"
        where = f"[{base} + {offset}]"
        lines.append(
            f"ld.global.{kind} {registers}, {where};" if way == "ld" else f"st.global.{kind} {where}, {registers};"
        )
    return lines


def declarations() -> list[str]:
    return [f".reg .{kind} %{c}<{count}>;" for c, (kind, count) in CLASSES.items()]


PARAMETERS = ".param .u64 inputs, .param .u64 results, .param .u64 own, .param .u64 words"


def render(program: Program, name: str = "program") -> str:
    """The entry, without the module's header."""
    writer = Writer()
    writer.write(program.statements)
    lines = [
        *declarations(),
        ".reg .b32 %mask, %index, %tile, %other, %thread, %cta, %size, %private, %slot;",
        *(f".reg .b32 {counter};" for counter in writer.counters),
        ".reg .b64 %inputs, %results, %own, %words, %generic_tile, %word, %at;",
        ".reg .pred %done, %q;",
        f".shared .align 16 .b8 tile[{8 * 128}];",
        f".local .align 16 .b8 depot[{SLOTS}];",
        "mov.u32 %thread, %tid.x;",
        "mov.u32 %size, %ntid.x;",
        "mov.u32 %cta, %ctaid.x;",
        "activemask.b32 %mask;",
        "mad.lo.u32 %slot, %cta, %size, %thread;",
        "ld.param.u64 %inputs, [inputs];",
        "ld.param.u64 %results, [results];",
        "ld.param.u64 %own, [own];",
        "ld.param.u64 %words, [words];",
        f"mad.wide.u32 %inputs, %slot, {ROW}, %inputs;",
        f"mad.wide.u32 %results, %slot, {ROW}, %results;",
        f"mad.wide.u32 %own, %slot, {SLOTS}, %own;",
        "mov.u32 %tile, tile;",
        "mad.lo.u32 %tile, %thread, 8, %tile;",
        "cvt.u64.u32 %generic_tile, %tile;",
        "cvta.shared.u64 %generic_tile, %generic_tile;",
        "mov.u32 %private, depot;",
        *(f"st.local.b64 [%private + {i}], 0;" for i in range(0, SLOTS, 8)),
        *rows("ld", "%inputs"),
        "setp.lt.s32 %p0, %r0, 0;",
        "setp.lt.u32 %p1, %r1, 1000;",
        "setp.eq.u32 %p2, %thread, 5;",
        *writer.lines,
        "selp.b32 %index, 1, 0, %p0;",
        "@%p1 add.u32 %index, %index, 2;",
        "@%p2 add.u32 %index, %index, 4;",
        "xor.b32 %r0, %r0, %index;",
        *rows("st", "%results"),
        "ret;",
    ]
    return f".visible .entry {name}({PARAMETERS})\n{{\n    " + "\n    ".join(lines) + "\n}\n"


def one_of_each(ops: Sequence[Op], name: str = "each") -> str:
    """An entry that runs each instruction once on the inputs and stores its results, 16 bytes an instruction."""
    stores = {"r": "b32", "d": "b64", "f": "f32", "e": "f64", "h": "b16"}
    lines = [
        *declarations(),
        ".reg .b32 %slot, %flag;",
        ".reg .b64 %inputs, %results;",
        "mov.u32 %slot, %tid.x;",
        "ld.param.u64 %inputs, [inputs];",
        "ld.param.u64 %results, [results];",
        f"mad.wide.u32 %inputs, %slot, {ROW}, %inputs;",
        f"mad.wide.u32 %results, %slot, {16 * len(ops)}, %results;",
        *rows("ld", "%inputs"),
        "setp.lt.s32 %p0, %r0, 0;",
    ]
    for i, op in enumerate(ops):
        # The last registers of a class take results, the first ones are read.
        counts: dict[str, int] = {}

        def operand(letter: str, *, result: bool, counts: dict[str, int] = counts) -> str:
            taken = counts.get(letter, 0)
            counts[letter] = taken + 1
            return f"%{letter}{CLASSES[letter][1] - 1 - taken if result else taken % 2}"

        text = spelled(op, lambda letter, result: operand(letter, result=result), lambda choices: choices[0])
        lines.append(text)
        for j, letter in enumerate(result for result in op.results if result not in "{}|"):
            register = f"%{letter}{CLASSES[letter][1] - 1 - j}"
            if letter == "p":
                lines.append(f"selp.b32 %flag, 1, 0, {register};")
                register = "%flag"
            lines.append(f"st.global.{stores.get(letter, 'b32')} [%results + {16 * i + 8 * j}], {register};")
    lines.append("ret;")
    return f".visible .entry {name}(.param .u64 inputs, .param .u64 results)\n{{\n    " + "\n    ".join(lines) + "\n}\n"


def spelled(op: Op, register: Callable[[str, bool], str], number: Callable[[tuple[int, ...]], int]) -> str:
    """The instruction with operands that `register` and `number` choose."""

    def operands(letters: str, *, result: bool) -> str:
        texts = []
        group: list[str] | None = None
        for letter in letters:
            if letter == "{":
                group = []
            elif letter == "}":
                assert group is not None
                texts.append("{" + ", ".join(group) + "}")
                group = None
            elif letter != "|":
                text = str(number(op.numbers)) if letter == "n" else register(letter, result)
                (texts if group is None else group).append(text)
        return ("|" if "|" in letters else ", ").join(texts)

    return f"{op.opcode} {operands(op.results, result=True)}, {operands(op.sources, result=False)};"


# ---- what Hypothesis draws


def register(letter: str) -> st.SearchStrategy[int]:
    return st.integers(0, CLASSES[letter][1] - 1)


GUARDS = st.one_of(st.none(), st.none(), st.sampled_from((0, 1, 2, 8, 9, 10)))
PREDICATES = st.sampled_from((0, 1, 2, 8, 9, 10))
CONSTANTS = {
    "r": ("0", "1", "31", "32", "0xffffffff", "0x80000000"), "f": ("0f3F800000", "0f80000000", "0fFF800000"),
    "d": ("1", "64", "0x8000000000000000"),
}  # fmt: skip


@st.composite
def computed(draw: Any, family: str) -> Line:
    """One instruction of a family, on any registers; now and then its last source is a constant."""
    op = OPS[family][draw(st.integers(0, len(OPS[family]) - 1))]
    results: dict[str, set[int]] = {}

    def one(letter: str, result: bool) -> str:
        number = draw(register(letter))
        if result:  # two results go to two registers
            while number in results.setdefault(letter, set()):
                number = (number + 1) % CLASSES[letter][1]
            results[letter].add(number)
        return f"%{letter}{number}"

    text = spelled(op, one, lambda choices: draw(st.sampled_from(choices)))
    last = op.sources[-1]
    takes_constant = len(op.sources) > 1 and last in CONSTANTS and "x2" not in op.opcode
    if takes_constant and not draw(st.integers(0, 3)):
        text = text[: text.rindex(", ")] + f", {draw(st.sampled_from(CONSTANTS[last]))};"
    return Line(text, draw(GUARDS))


def filled(draw: Any, template: str, **fixed: str) -> str:
    """A template with registers in the place of {r0}, {d1} and so on, all of a class different."""
    chosen = {}
    for letter, (_, count) in CLASSES.items():
        start = draw(st.integers(0, count - 1)) if f"{{{letter}" in template else 0
        chosen |= {f"{letter}{i}": f"%{letter}{(start + i) % count}" for i in range(count)}
    return template.format(**chosen, **fixed)


@st.composite
def chained(draw: Any) -> Line:
    return Line(filled(draw, draw(st.sampled_from(CHAINS))))


@st.composite
def private(draw: Any) -> Line:
    """An access to the thread's own memory, at a fixed offset or one in a register."""
    template = draw(st.sampled_from(PRIVATE))
    space = draw(st.sampled_from(("global", "local")))
    base = {"global": "%own", "local": "%private"}[space]
    if draw(st.booleans()):
        return Line(filled(draw, template, space=space, at=f"{base} + {8 * draw(st.integers(0, 3))}"), draw(GUARDS))
    index = f"and.b32 %slot, %r{draw(register('r'))}, 3; "
    add = "mad.wide.u32 %at, %slot, 8, %own; " if space == "global" else "mad.lo.u32 %index, %slot, 8, %private; "
    at = "%at" if space == "global" else "%index"
    return Line(index + add + filled(draw, template, space=space, at=at), draw(GUARDS))


@st.composite
def atomic(draw: Any, *, looked_at: bool) -> Line:
    """An atomic on words that only this operation of this width touches. A register selects the word, so that several
    lanes may update one."""
    names = ATOMICS if looked_at else ATOMICS[:6]
    name = draw(st.sampled_from(names))
    wide = draw(st.booleans()) and name not in ("inc", "dec")
    c, bits = ("d", 64) if wide else ("r", 32)
    kind = f"b{bits}" if name in ("and", "or", "xor", "exch", "cas") else f"u{bits}"
    word = 64 * names.index(name) + 32 * wide
    place = f"and.b32 %slot, %r{draw(register('r'))}, 3; mad.wide.u32 %word, %slot, 8, %words; "
    sources = ", ".join(f"%{c}{draw(register(c))}" for _ in range(2 if name == "cas" else 1))
    at = f"[%word + {word}]"
    if looked_at:
        return Line(f"{place}atom.global.{name}.{kind} %{c}{draw(register(c))}, {at}, {sources};", draw(GUARDS))
    return Line(f"{place}red.global.{name}.{kind} {at}, {sources};", draw(GUARDS))


@st.composite
def in_warp(draw: Any) -> Line:
    return Line(filled(draw, draw(st.sampled_from(WARP))))


@st.composite
def exchanged(draw: Any, block: int) -> Line:
    """An access to the word of the thread that is some threads further, modulo the CTA."""
    distance = draw(st.sampled_from((1, 2, 16, 31)))
    other = (
        f"add.u32 %other, %thread, {distance}; rem.u32 %other, %other, {block}; sub.u32 %other, %other, %thread; "
        "mad.lo.u32 %other, %other, 8, %tile; "
    )
    return Line(other + filled(draw, draw(st.sampled_from(EXCHANGES)), other="%other"))


DEEPEST = 2
"""The most nested branches and loops."""


@st.composite
def somewhere(draw: Any, families: Sequence[str], looked_at: bool, depth: int = 0) -> Statement:
    """A statement that threads may execute at any point. The lowest numbers are the simplest kinds."""
    kind = draw(st.integers(0, 15 if depth < DEEPEST else 11))
    if kind < 8:
        return draw(computed(families[kind % len(families)]))
    if kind == 8:
        return draw(chained())
    if kind < 11:
        return draw(private())
    if kind == 11:
        return draw(atomic(looked_at=looked_at))

    def body(least: int = 1) -> tuple[Statement, ...]:
        inner = somewhere(families, looked_at, depth + 1)
        return tuple(draw(st.lists(inner, min_size=least, max_size=3)))

    if kind < 14:
        return If(draw(PREDICATES), body(), body(0))
    if kind == 14:
        return Loop(draw(register("r")), draw(st.sampled_from((1, 3, 7))), body(), draw(GUARDS))
    return Switch(draw(register("r")), tuple(body(0) for _ in range(draw(st.integers(1, 3)))))


@st.composite
def anywhere(draw: Any, families: Sequence[str], looked_at: bool, block: int) -> Statement:
    """A statement where the whole CTA is together."""
    kind = draw(st.integers(0, 11))
    if kind < 9:
        return draw(somewhere(families, looked_at))
    return draw(in_warp() if kind == 9 else exchanged(block))


@st.composite
def programs(draw: Any, families: Sequence[str] = tuple(OPS)) -> Program:
    """A program that computes with these `families` of OPS."""
    block = draw(st.sampled_from((64, 32, 40, 97)))
    looked_at = draw(st.integers(0, 3)) == 3
    statements = draw(st.lists(anywhere(families, looked_at, block), min_size=1, max_size=16))
    return Program(tuple(statements), block, draw(st.sampled_from((1, 2))), draw(st.integers(0, 255)))


# ---- inputs

SPECIAL = {
    np.uint16: (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x3C00, 0x7C00, 0x0400, 0x03FF, 0x7E01, 0x3F80, 0x7F80),
    np.uint32: (0, 1, 31, 32, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x3C003C00, 0x7C00FC00, 0x3F803F80),
    np.uint64: (0, 1, 63, 64, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 53) + 1),
    np.float32: (0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00001, 0x00000001,
                 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x4F000000, 0x3F000000, 0x40200000),
    np.float64: (0, 1 << 63, 0x3FF << 52, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48 | 1, 1, (1 << 52) - 1, 1 << 52,
                 (0x7FF << 52) - 1, 0x43E << 52, 0x3FE << 52, 0x36A << 52, 0x380 << 52),
}  # fmt: skip
"""Bit patterns at which implementations go wrong."""


def inputs(threads: int, seed: int) -> NDArray[np.uint8]:
    """A row for each thread: half of the values are special ones, the others random bits or floats around 1."""
    rng = np.random.default_rng(seed)
    table = np.zeros((threads, ROW), np.uint8)
    types = {"r": np.uint32, "h": np.uint16, "d": np.uint64, "f": np.float32, "e": np.float64}
    for _, c, _, count, offset in ROWS:
        dtype = types[c]
        size = np.dtype(dtype).itemsize
        word = np.dtype(f"u{size}").type
        values = rng.integers(0, 1 << 8 * size, (threads, count), dtype=word)
        if c in "fe":
            ordinary = (rng.standard_normal((threads, count)) * 2.0 ** rng.integers(-8, 40, (threads, count))).astype(
                dtype
            )
            values = np.where(rng.random((threads, count)) < 0.7, ordinary.view(word), values)
        special = np.array(SPECIAL[dtype], word)[rng.integers(0, len(SPECIAL[dtype]), (threads, count))]
        values = np.where(rng.random((threads, count)) < 0.5, special, values)
        table[:, offset : offset + count * size] = np.ascontiguousarray(values).view(np.uint8)
    return table
