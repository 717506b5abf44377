"""A kernel's own code without vectors: each operation on 32 lanes becomes the call of a shared function on memory.

LLVM's quick instruction selection knows calls, but no vectors that are longer than the CPU's. It takes a quarter of the
time for such code, which runs more slowly; optimised code keeps its vectors. The functions are compiled once, because
other kernels call them too.

A predicate of 32 lanes is an i32. A load from the register file copies nothing, as long as nothing else is stored
there.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ptxbench.emulator.types import LANES
from ptxbench.emulator.vector_functions import MASK, VECTOR, Form, Unknown, form

SLOT_BYTES = 16 * LANES
"""Room for the longest vector, of i128."""

NAMED = r"%[\w.]+|(?<=ptr )(?<!i8, ptr )@[\w.]+"
"""A name, or the address of a table of the kernel as an argument."""
NAME = re.compile(rf" ({NAMED})")
TOKEN = re.compile(rf" ({NAMED}|(?<=\d )-?\d+(?=[),])|(?<=[te] )0x\w+)")
"""What may differ between lines that call the same function: names, integers, and numbers of type float or double. The
space before them is found quickly."""
REGISTER_POINTER = "%register."
"""The start of the name of a pointer into the register file; its offset follows."""
LOAD = re.compile(rf"load <{LANES} x \w+>, ptr §, align 64")
STORE = re.compile(rf"store <{LANES} x \w+> §, ptr §, align 64")
OF_MASK = re.compile(rf"bitcast (?:{MASK} § to i32|i32 § to {MASK})")
OF_BIT = f"freeze {MASK} splat (i1 §)"
LOGIC = re.compile(rf"(?:and|or|xor) {MASK}")
NAMES = (
    "count_block",
    "count_lanes",
    "set_pc",
    "go",
    "branch",
    "write_predicate",
    "note_written",
    "check_written",
    "finding_in",
    "mark_used",
)
HARMLESS = re.compile(rf'.*call [^@]*@(?:load_|store_|unwritten_|llvm\.|"|(?:{"|".join(NAMES)})\()')
"""Calls that do not write vectors to the register file."""


@dataclass(frozen=True)
class Shape:
    """The common text of lines that differ only in their tokens, with § for each token.

    `kind`: the opcode, or "mask" (between a mask and an i32), or "logic" (of masks). `scalar`: for the last two, the
    operation on numbers, with %s for each token. `part`: for "extractvalue", the number.
    """

    text: str
    kind: str
    scalar: str = ""
    part: int = 0
    is_load: bool = False
    is_store: bool = False
    changes_registers: bool = False

    @functools.cached_property
    def form(self) -> Form:
        """The function for its lines. Raises Unknown."""
        return form(self.text)


@functools.lru_cache(maxsize=4096)
def shape(text: str) -> Shape:
    """The shape of this text."""
    opcode = text[: text.index(" ")]
    if opcode == "call":
        return Shape(text, opcode, changes_registers=changes_registers(text))
    if opcode == "load":
        return Shape(text, opcode, is_load=LOAD.fullmatch(text) is not None)
    if opcode == "store":
        return Shape(text, opcode, is_store=STORE.fullmatch(text) is not None)
    if opcode == "extractvalue":
        return Shape(text, opcode, part=int(text.rpartition(", ")[2]))
    if LOGIC.match(text):
        scalar = text.replace(MASK, "i32").replace("splat (i1 true)", "-1").replace("splat (i1 false)", "0")
        return Shape(text, "logic", scalar.replace("§", "%s"))
    if OF_MASK.fullmatch(text):
        return Shape(text, "mask", "bitcast i32 %s to i32")
    if text == OF_BIT:
        return Shape(text, "logic", "sext i1 %s to i32")
    return Shape(text, opcode)


class Computed(Shape):
    """The shape of calls of a function that exists."""

    def __init__(self, form: Form, kind: str = "computed") -> None:
        super().__init__("", kind)
        self.__dict__["form"] = form


class Line(NamedTuple):
    """A line of LLVM IR with a vector. `name`: of its result, "" without one."""

    name: str
    shape: Shape
    tokens: list[str]


def parsed(text: str) -> Line | str:
    """The text itself if it has no vector."""
    if VECTOR not in text:
        return text
    name, equals, operation = text.partition(" = ")
    if not equals:
        name, operation = "", text
    pieces = (NAME if has_constant(operation) else TOKEN).split(operation)
    return Line(name, shape(" §".join(pieces[::2])), pieces[1::2])


def has_constant(operation: str) -> bool:
    """Whether the line keeps its numbers: LLVM takes no variable inside a constant."""
    return "<i" in operation or "getelementptr (" in operation


def changes_registers(operation: str) -> bool:
    """Whether a call may write to the register file."""
    return HARMLESS.match(operation) is None


class Uses:
    """Where the vectors of a block are used. `last`: by name, the last line; `count`: by name, how many uses.

    `parts`: by the name of a structure and a number, the name of the vector that is taken out of it.
    """

    def __init__(self, block: Sequence[Line | str]) -> None:
        self.block = block
        self.last: dict[str, int] = {}
        self.count: dict[str, int] = {}
        self.parts: dict[tuple[str, int], str] = {}
        self.changes: dict[str, list[int]] = {"": []}
        """By the pointer into the register file, the lines that write there; "" for those that may write anywhere."""
        last, count = self.last, self.count
        for number, line in enumerate(block):
            if isinstance(line, str):
                if "call " in line and changes_registers(line):
                    self.changes[""].append(number)
                continue
            name, shape, tokens = line
            for token in tokens:  # also numbers, which are never looked up
                last[token] = number
                count[token] = count.get(token, 0) + 1
            if shape.kind == "write":
                self.changes.setdefault(tokens[0], []).append(number)
            elif shape.kind == "store":
                to = tokens[-1] if tokens[-1].startswith(REGISTER_POINTER) else ""
                self.changes.setdefault(to, []).append(number)
            elif shape.kind == "extractvalue":
                self.parts[tokens[0], shape.part] = name
            elif shape.changes_registers:
                self.changes[""].append(number)

    def stays(self, number: int, name: str, pointer: str) -> bool:
        """Whether a value that line `number` loads from the register file is there until its last use."""
        if not pointer.startswith(REGISTER_POINTER):
            return False
        last = self.last.get(name, number)
        return all(
            (following := bisect(lines, number)) == len(lines) or lines[following] >= last
            for lines in (self.changes[""], self.changes.get(pointer, []))
        )

    def stored(self, number: int, name: str) -> str | None:
        """The pointer to which the line after `number` stores its result, if that is its only use."""
        if self.count.get(name) == 1 and number + 1 < len(self.block):
            following = self.block[number + 1]
            if isinstance(following, Line) and following.shape.is_store and following.tokens[0] == name:
                return following.tokens[1]
        return None


class Rewriting:
    """A body whose blocks are rewritten one after the other: its `lines`, the `slots` on the stack that hold vectors,
    and the `functions` that it calls."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.slots = 0
        self.functions: dict[str, str] = {}

    def block(self, texts: Iterable[str | Line]) -> None:
        """Append a block, whose vectors no other block uses. Raises Unknown."""
        block: list[str | Line] = []
        for text in texts:
            if isinstance(text, Line):
                block.append(text)
            elif "\n" in text:
                block += [parsed(line.strip()) for line in text.splitlines()]
            else:
                block.append(parsed(text) if VECTOR in text else text)
        self.uses = Uses(block)
        self.free_slots = list(range(self.slots))
        self.ends: dict[int, list[int]] = {}
        """By line, the slots that are free after it."""
        self.places: dict[str, str] = {}
        """By vector, the pointer to it."""
        self.skipped = -1
        for number, line in enumerate(block):
            if number - 1 in self.ends:
                self.free_slots += self.ends[number - 1]
            if isinstance(line, str):
                self.lines.append(line)
            elif number != self.skipped and not self.needs_no_call(number, line):
                self.call(number, line)

    def needs_no_call(self, number: int, line: Line) -> bool:
        """Whether the line was rewritten without a call."""
        name, shape, tokens = line
        kind = shape.kind
        if kind == "extractvalue":
            return True  # the call has stored it where it is used
        if shape.is_load and self.uses.stays(number, name, tokens[0]):
            self.places[name] = tokens[0]
        elif shape.scalar:
            self.lines.append(f"{name} = {shape.scalar % tuple(tokens)}")
        else:
            return False
        return True

    def call(self, number: int, line: Line) -> None:
        name, shape, tokens = line
        called = shape.form
        self.functions[called.name] = called.text
        arguments = [
            self.place_of(token) if vector else token for vector, token in zip(called.vectors, tokens, strict=True)
        ]
        if called.structure:
            parts = [self.uses.parts.get((name, part), "") for part in range(called.results)]
            outputs = [self.room(part, number) for part in parts]
        elif not called.results:
            outputs = []
        elif pointer := self.uses.stored(number, name):
            self.skipped = number + 1
            outputs = [pointer]
        else:
            outputs = [self.room(name, number)]
        text = called.call % (*outputs, *arguments)
        self.lines.append(f"{name} = {text}" if called.returns else text)

    def place_of(self, name: str) -> str:
        """The pointer to a vector. Raises Unknown."""
        if name not in self.places:
            raise Unknown(name)
        return self.places[name]

    def room(self, name: str, number: int) -> str:
        """A pointer to room for a result of line `number`, until its last use."""
        if not self.free_slots:
            self.free_slots.append(self.slots)
            self.slots += 1
        slot = self.free_slots.pop()
        self.ends.setdefault(self.uses.last.get(name, number), []).append(slot)
        self.places[name] = f"%slot{slot}"
        return self.places[name]


def without_vectors(blocks: Iterable[Iterable[str | Line]]) -> tuple[str, str, Collection[str]]:
    """The body of a function without vectors, the lines for the start of the function, and the functions that it
    calls. Raises Unknown."""
    body = Rewriting()
    for block in blocks:
        body.block(block)
    room = [f"%slot{slot} = alloca [{SLOT_BYTES} x i8], align 64" for slot in range(body.slots)]
    return "\n  ".join(body.lines), "\n  ".join(room), body.functions.values()
