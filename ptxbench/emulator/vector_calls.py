"""A kernel's own code without vectors: each operation on 32 lanes becomes the call of a shared function on memory.

LLVM's quick instruction selection knows calls, but no vectors that are longer than the CPU's. It takes a quarter of the
time for such code, which runs more slowly; optimised code keeps its vectors. The functions are compiled once, because
other kernels call them too.

A predicate of 32 lanes is an i32. A load from the register file copies nothing, as long as nothing else is stored
there.
"""

from __future__ import annotations

import functools
import hashlib
import re
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ptxbench.emulator.types import LANES

VECTOR, MASK = f"<{LANES} x ", f"<{LANES} x i1>"
SLOT_BYTES = 16 * LANES
"""Room for the longest vector, of i128."""

NAMED = r"%[\w.]+|(?<=ptr )(?<!i8, ptr )@[\w.]+"
"""A name, or the address of a table of the kernel as an argument."""
NAME = re.compile(rf" ({NAMED})")
TOKEN = re.compile(rf" ({NAMED}|(?<=\d )-?\d+(?=[),])|(?<=[te] )0x\w+)")
"""What may differ between lines that call the same function: names, integers, and numbers of type float or double. The
space before them is found quickly."""
PIECE = re.compile(
    rf"(?P<vector><{LANES} x \w+>)|splat \((?P<splat>\w+) §\)|(?P<scalar>\b(?:i\d+|ptr|float|double|half)) §|§"
)
"""The parts of a line, with § for each token, that say what the tokens are."""

OTHER_LENGTH = re.compile(rf"<(?!{LANES} x )\d+ x ")

REGISTER = re.compile(r"(%[\w.]+) = getelementptr i8, ptr %registers, i64 (\d+)")
LOAD = re.compile(rf"load <{LANES} x \w+>, ptr §, align 64")
STORE = re.compile(rf"store <{LANES} x \w+> §, ptr §, align 64")
LANE = re.compile(rf"insertelement <{LANES} x (\w+)> poison, \w+ ([^ ]+), i64 0")
BROADCAST = re.compile(rf"shufflevector <{LANES} x \w+> §, .* zeroinitializer")
OF_MASK = re.compile(rf"bitcast (?:{MASK} § to i32|i32 § to {MASK})")
LOGIC = re.compile(rf"(?:and|or|xor) {MASK}")
HARMLESS = re.compile(r'.*call [^@]*@(?:load_|store_|llvm\.|")')
"""Calls that do not write to the register file."""


class Unknown(Exception):
    """A line that cannot become a call."""


@dataclass(frozen=True)
class Form:
    """The function for a shape of line, and `call`, the text of a call with %s for each argument.

    It stores `results` vectors to its first parameters; `structure`: they are parts of a structure. `returns`: whether
    it has another result. `vectors`: for each other parameter, whether it is a pointer to a vector.
    """

    name: str
    text: str
    call: str
    results: int
    structure: bool
    returns: bool
    vectors: tuple[bool, ...]


class Arguments:
    """Reads the tokens of a line: `parameters` as in `Form`, and `lines` that make the operands of them."""

    def __init__(self) -> None:
        self.parameters: list[str] = []
        self.lines: list[str] = []
        self.vector = ""
        """The type that was read last."""

    def read(self, piece: re.Match[str]) -> str:
        """What stands for a piece in the function. Raises Unknown."""
        if piece["vector"]:
            self.vector = piece["vector"]
            return self.vector
        number = len(self.parameters)
        if kind := piece["scalar"]:
            self.parameters.append(kind)
            return f"{kind} %p{number}"
        self.parameters.append(self.load(number, piece["splat"]))
        return f"%a{number}"

    def load(self, number: int, splat: str | None) -> str:
        """Make the operand of a vector, or of a number of type `splat` in all lanes; returns the parameter's type."""
        if splat:
            vector = f"{VECTOR}{splat}>"
            self.lines += [
                f"%f{number} = insertelement {vector} poison, {splat} %p{number}, i64 0",
                f"%a{number} = shufflevector {vector} %f{number}, {vector} poison, {VECTOR}i32> zeroinitializer",
            ]
            return splat
        if self.vector == MASK:
            self.lines.append(f"%a{number} = bitcast i32 %p{number} to {MASK}")
            return "i32"
        if not self.vector:
            raise Unknown
        self.lines.append(f"%a{number} = load {self.vector}, ptr %p{number}, align 64")
        return ""


def form(shape: str) -> Form:
    """The function for the lines of a shape. Raises Unknown."""
    if OTHER_LENGTH.search(shape):
        raise Unknown(shape)
    arguments = Arguments()
    operation = PIECE.sub(arguments.read, shape)
    kind = result_type(operation)
    vectors, structure = stored_types(kind), kind.startswith("{")
    lines = [*arguments.lines, f"%result = {operation}" if kind else operation]
    for number, vector in enumerate(vectors):
        part = f"%part{number}" if structure else "%result"
        if structure:
            lines.append(f"{part} = extractvalue {kind} %result, {number}")
        lines.append(f"store {vector} {part}, ptr %r{number}, align 64")
    if kind == MASK:
        returned, value = "i32", "i32 %lanes"
        lines.append(f"%lanes = bitcast {MASK} %result to i32")
    elif kind and not vectors:
        returned, value = kind, f"{kind} %result"
    else:
        returned = value = "void"
    lines.append(f"ret {value}")
    parameters = [*("ptr" for _ in vectors), *(parameter or "ptr" for parameter in arguments.parameters)]
    names = [*(f"%r{i}" for i in range(len(vectors))), *(f"%p{i}" for i in range(len(arguments.parameters)))]
    name = f"lanes.{operation.split()[0]}.{hashlib.sha256(shape.encode()).hexdigest()[:16]}"
    body = "\n  ".join(lines)
    declared = ", ".join(map(" ".join, zip(parameters, names, strict=True)))
    text = f"define internal {returned} @{name}({declared}) noinline {{\n  {body}\n}}\n"
    call = f"call {returned} @{name}({', '.join(f'{parameter} %s' for parameter in parameters)})"
    is_vector = tuple(not parameter for parameter in arguments.parameters)
    return Form(name, text, call, len(vectors), structure, returned != "void", is_vector)


def stored_types(kind: str) -> tuple[str, ...]:
    """The vectors in the type of a result, which are stored; a mask is returned. Raises Unknown."""
    parts = tuple(kind.strip("{ }").split(", "))
    vectors = tuple(part for part in parts if part.startswith("<") and part != MASK)
    if kind.startswith("{") and vectors != parts:
        raise Unknown(kind)
    return vectors


CASTS = ("zext", "sext", "trunc", "bitcast", "fpext", "fptrunc", "sitofp", "uitofp", "fptosi", "fptoui")
OF_FIRST = (
    "add", "sub", "mul", "udiv", "sdiv", "urem", "srem", "and", "or", "xor", "shl", "lshr", "ashr", "fadd", "fsub",
    "fmul", "fdiv", "frem", "fneg", "freeze", "load", "shufflevector", "insertelement",
)  # fmt: skip
"""Opcodes whose result has the type of their first vector."""


def result_type(operation: str) -> str:
    """The type of an operation's result; "" without one. Raises Unknown."""
    opcode, _, rest = operation.partition(" ")
    vectors: list[str] = re.findall(rf"<{LANES} x \w+>", operation)
    if opcode in OF_FIRST:
        return vectors[0]
    if opcode in ("icmp", "fcmp"):
        return MASK
    if opcode in CASTS:
        return rest.rpartition(" to ")[2]
    if opcode == "select":
        return vectors[-1]
    if opcode == "extractelement":
        return vectors[0].removeprefix(VECTOR).removesuffix(">")
    if opcode == "call":
        kind = rest[: rest.index(" @")]
        return "" if kind == "void" else kind
    if opcode == "store":
        return ""
    raise Unknown(operation)


class Shape:
    """What lines have in common that differ in their tokens only, with § for each token.

    `kind`: the opcode, or "same" (a vector of the same bits as the operand), "lane" (an insertion of the first lane,
    into nothing), "broadcast" (of the first lane), "mask" (between a mask and an i32), "logic" (of masks). `scalar`:
    for the last two, the operation on numbers, with %s for each token. `first`: for "lane", the type and the value, §
    for a token. `part`: for "extractvalue", the number.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.kind = text[: text.index(" ")]
        self.scalar = ""
        self.first = ("", "")
        self.part = 0
        self.is_load = LOAD.fullmatch(text) is not None
        self.is_store = STORE.fullmatch(text) is not None
        self.changes_registers = self.kind == "call" and changes_registers(text)
        if match := LANE.fullmatch(text):
            self.kind, self.first = "lane", (match[1], match[2])
        elif BROADCAST.fullmatch(text):
            self.kind = "broadcast"
        elif OF_MASK.fullmatch(text):
            self.kind, self.scalar = "mask", "bitcast i32 %s to i32"
        elif LOGIC.match(text):
            scalar = text.replace(MASK, "i32").replace("splat (i1 true)", "-1").replace("splat (i1 false)", "0")
            self.kind, self.scalar = "logic", scalar.replace("§", "%s")
        elif self.kind == "bitcast" and text.count(VECTOR) == 2 and MASK not in text:
            self.kind = "same"
        elif self.kind == "extractvalue":
            self.part = int(text.rpartition(", ")[2])

    @functools.cached_property
    def form(self) -> Form:
        """The function for its lines. Raises Unknown."""
        return form(self.text)


shape = functools.lru_cache(maxsize=4096)(Shape)
"""The shape of a text."""


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
    return parsed_vector(name, operation) if equals else parsed_vector("", text)


def parsed_vector(name: str, operation: str) -> Line:
    pieces = (NAME if has_constant(operation) else TOKEN).split(operation)
    return Line(name, shape(" §".join(pieces[::2])), pieces[1::2])


def split_lines(text: str) -> list[str]:
    """The lines of a text, which mostly has one."""
    return [line.strip() for line in text.splitlines()] if "\n" in text else [text]


def has_constant(operation: str) -> bool:
    """Whether the line keeps its numbers: LLVM takes no variable inside a constant."""
    return "<i" in operation or "getelementptr (" in operation


def changes_registers(operation: str) -> bool:
    """Whether a call may write to the register file."""
    return HARMLESS.match(operation) is None


class Uses:
    """Where the vectors of a block are used. `last`: by name, the last line; `count`: by name, how many uses.

    `same`: by name, the name of the vector that has the same bits, whose uses these are too. `parts`: by the name of a
    structure and a number, the name of the vector that is taken out of it.
    """

    def __init__(self, block: Sequence[Line | str]) -> None:
        self.block = block
        self.last: dict[str, int] = {}
        self.count: dict[str, int] = {}
        self.same: dict[str, str] = {}
        self.parts: dict[tuple[str, int], str] = {}
        self.registers: dict[str, str] = {}
        """By the name of a pointer into the register file, its offset."""
        self.changes: dict[str, list[int]] = {"": []}
        """By offset in the register file, the lines that write there; "" for those that may write anywhere."""
        for number, line in enumerate(block):
            if isinstance(line, str):
                if " ptr %registers, i64 " in line and (match := REGISTER.fullmatch(line)):
                    self.registers[match[1]] = match[2]
                elif "call " in line and changes_registers(line):
                    self.changes[""].append(number)
            else:
                self.note(number, line)

    def note(self, number: int, line: Line) -> None:
        tokens, kind = line.tokens, line.shape.kind
        if self.same:
            tokens = [self.same.get(token, token) for token in tokens]
        for token in tokens:  # numbers too, which are never asked for
            self.last[token] = number
            self.count[token] = self.count.get(token, 0) + 1
        if kind == "same":
            self.same[line.name] = tokens[0]
        elif kind == "store":
            self.changes.setdefault(self.registers.get(tokens[-1], ""), []).append(number)
        elif kind == "extractvalue":
            self.parts[tokens[0], line.shape.part] = line.name
        elif line.shape.changes_registers:
            self.changes[""].append(number)

    def stays(self, number: int, name: str, pointer: str) -> bool:
        """Whether a value that line `number` loads from the register file is there until its last use."""
        if (offset := self.registers.get(pointer)) is None:
            return False
        last = self.last.get(name, number)
        return all(
            (following := bisect(lines, number)) == len(lines) or lines[following] >= last
            for lines in (self.changes[""], self.changes.get(offset, []))
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

    def block(self, texts: Iterable[str]) -> None:
        """Append a block, whose vectors no other block uses. Raises Unknown."""
        block = [parsed(line) for text in texts for line in split_lines(text)]
        self.uses = Uses(block)
        self.free = list(range(self.slots))
        self.ends: dict[int, list[int]] = {}
        """By line, the slots that are free after it."""
        self.places: dict[str, str] = {}
        """By vector, the pointer to it."""
        self.lanes: dict[str, tuple[str, str]] = {}
        """By vector, the type and the value of its first lane, if it has no other."""
        self.skipped = -1
        for number, line in enumerate(block):
            self.free += self.ends.pop(number - 1, ())
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
        if kind == "same":
            self.places[name] = self.place_of(tokens[0])
        elif shape.is_load and self.uses.stays(number, name, tokens[0]):
            self.places[name] = tokens[0]
        elif kind == "lane":
            element, value = shape.first
            self.lanes[name] = element, tokens[0] if value == "§" else value
        elif kind == "broadcast" and self.lanes.get(tokens[0], ("",))[0] == "i1":
            self.lines.append(f"{name} = sext i1 {self.lanes[tokens[0]][1]} to i32")
        elif shape.scalar:
            self.lines.append(f"{name} = {shape.scalar % tuple(tokens)}")
        else:
            return False
        return True

    def call(self, number: int, line: Line) -> None:
        name, shape, tokens = line
        if shape.kind == "broadcast" and tokens[0] in self.lanes:
            kind, value = self.lanes[tokens[0]]
            _, shape, tokens = parsed_vector(name, f"freeze {VECTOR}{kind}> splat ({kind} {value})")
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
        if not self.free:
            self.free.append(self.slots)
            self.slots += 1
        slot = self.free.pop()
        self.ends.setdefault(self.uses.last.get(name, number), []).append(slot)
        self.places[name] = f"%slot{slot}"
        return self.places[name]


def without_vectors(blocks: Iterable[Iterable[str]]) -> tuple[str, str, dict[str, str]]:
    """The body of a function without vectors, the lines for the start of the function, and by name the functions that
    it calls. Raises Unknown."""
    body = Rewriting()
    for block in blocks:
        body.block(block)
    room = [f"%slot{slot} = alloca [{SLOT_BYTES} x i8], align 64" for slot in range(body.slots)]
    return "\n  ".join(body.lines), "\n  ".join(room), body.functions
