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

OWN = r"(?<=ptr )(?<!i8, ptr )@[\w.]+"
"""The address of a table of the kernel, as an argument."""
NAME = re.compile(rf"(%[\w.]+|{OWN})")
TOKEN = re.compile(rf"(%[\w.]+|{OWN}|(?<=\d )-?\d+(?=[),])|(?<=[te] )0x\w+)")
"""What may differ between lines that call the same function: names, integers, and numbers of type float or double."""
CONSTANT = ("getelementptr (", "<i")
"""Lines with one of these keep their numbers: LLVM takes no variable there."""
PIECE = re.compile(
    rf"(?P<vector><{LANES} x \w+>)|splat \((?P<splat>\w+) §\)|(?P<scalar>\b(?:i\d+|ptr|float|double|half)) §|§"
)
"""The parts of a line, with § for each token, that say what the tokens are."""

OTHER_LENGTH = re.compile(rf"<(?!{LANES} x )\d+ x ")

REGISTER = re.compile(r"(%[\w.]+) = getelementptr i8, ptr %registers, i64 (\d+)")
LOAD = re.compile(rf"load <{LANES} x \w+>, ptr (%[\w.]+), align 64")
STORE = re.compile(rf"store <{LANES} x \w+> (%[\w.]+), ptr (%[\w.]+), align 64")
LANE = re.compile(rf"insertelement <{LANES} x (\w+)> poison, \w+ ([^ ]+), i64 0")
BROADCAST = re.compile(rf"shufflevector <{LANES} x \w+> (%[\w.]+), .* zeroinitializer")
OF_MASK = re.compile(rf"bitcast (?:{MASK} (%[\w.]+) to i32|i32 (%[\w.]+) to {MASK})")
HARMLESS = re.compile(r'.*call [^@]*@(?:load_|store_|llvm\.|")')
"""Calls that do not write to the register file."""


class Unknown(Exception):
    """A line that cannot become a call."""


@dataclass(frozen=True)
class Form:
    """The function for a kind of line. `results`: the types of its vectors, which it stores to its first parameters;
    `structure`: whether they are parts of a structure. `returned`: the type of another result. `parameters`: the types
    of the others, "" for a pointer to a vector."""

    name: str
    text: str
    results: tuple[str, ...]
    structure: bool
    returned: str
    parameters: tuple[str, ...]


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


@functools.lru_cache(maxsize=4096)
def form(line: str) -> Form:
    """The function for a line without its result's name, with § for each token. Raises Unknown."""
    if OTHER_LENGTH.search(line):
        raise Unknown(line)
    arguments = Arguments()
    operation = PIECE.sub(arguments.read, line)
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
    places = [f"ptr %r{number}" for number in range(len(vectors))]
    inputs = [f"{parameter or 'ptr'} %p{number}" for number, parameter in enumerate(arguments.parameters)]
    name = f"lanes.{operation.split()[0]}.{hashlib.sha256(line.encode()).hexdigest()[:16]}"
    body = "\n  ".join(lines)
    text = f"define internal {returned} @{name}({', '.join([*places, *inputs])}) noinline {{\n  {body}\n}}\n"
    return Form(name, text, vectors, structure, returned, tuple(arguments.parameters))


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


class Line(NamedTuple):
    """A line of LLVM IR with a vector. `name`: of its result, "" without one."""

    name: str
    opcode: str
    operation: str


def parsed(text: str) -> Line | str:
    """The text itself if it has no vector."""
    if VECTOR not in text:
        return text
    name, equals, operation = text.partition(" = ")
    if not equals:
        name, operation = "", text
    return Line(name, operation[: operation.index(" ")], operation)


def is_same(line: Line) -> bool:
    """Whether the result is a vector of the same bits as the operand."""
    return line.opcode == "bitcast" and line.operation.count(VECTOR) == 2 and MASK not in line.operation


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
        names = [self.same.get(name, name) for name in NAME.findall(line.operation)]
        for name in names:
            self.last[name] = number
            self.count[name] = self.count.get(name, 0) + 1
        if is_same(line):
            self.same[line.name] = names[0]
        elif line.opcode == "store":
            self.changes.setdefault(self.registers.get(names[-1], ""), []).append(number)
        elif line.opcode == "extractvalue":
            self.parts[names[0], int(line.operation.rpartition(", ")[2])] = line.name
        elif line.opcode == "call" and changes_registers(line.operation):
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
            if isinstance(following, Line) and (match := STORE.fullmatch(following.operation)) and match[1] == name:
                return match[2]
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
        block = [parsed(text) for text in texts]
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
        if line.opcode == "extractvalue":
            return True  # the call has stored it where it is used
        if is_same(line):
            self.places[line.name] = self.place_of(NAME.findall(line.operation)[0])
            return True
        if line.opcode == "load" and (match := LOAD.fullmatch(line.operation)):
            if self.uses.stays(number, line.name, match[1]):
                self.places[line.name] = match[1]
                return True
        elif line.opcode == "insertelement" and (match := LANE.fullmatch(line.operation)):
            self.lanes[line.name] = match[1], match[2]
            return True
        elif line.opcode == "bitcast" and (match := OF_MASK.fullmatch(line.operation)):
            self.lines.append(f"{line.name} = bitcast i32 {match[1] or match[2]} to i32")
            return True
        elif line.opcode in ("and", "or", "xor") and line.operation.startswith(MASK, len(line.opcode) + 1):
            scalar = line.operation.replace(MASK, "i32").replace("splat (i1 true)", "-1")
            self.lines.append(f"{line.name} = {scalar.replace('splat (i1 false)', '0')}")
            return True
        return False

    def call(self, number: int, line: Line) -> None:
        operation = line.operation
        if (match := BROADCAST.fullmatch(operation)) and match[1] in self.lanes:
            kind, value = self.lanes[match[1]]
            if kind == "i1":
                self.lines.append(f"{line.name} = sext i1 {value} to i32")
                return
            operation = f"freeze {VECTOR}{kind}> splat ({kind} {value})"
        pieces = (NAME if any(mark in operation for mark in CONSTANT) else TOKEN).split(operation)
        called = form("§".join(pieces[::2]))
        self.functions[called.name] = called.text
        arguments = [
            f"{kind} {token}" if kind else f"ptr {self.place_of(token)}"
            for kind, token in zip(called.parameters, pieces[1::2], strict=True)
        ]
        if called.structure:
            parts = [self.uses.parts.get((line.name, part), "") for part in range(len(called.results))]
            outputs = [self.room(part, number) for part in parts]
        elif called.results and (pointer := self.uses.stored(number, line.name)):
            self.skipped = number + 1
            outputs = [pointer]
        else:
            outputs = [self.room(line.name, number) for _ in called.results]
        text = f"call {called.returned} @{called.name}({', '.join([*(f'ptr {at}' for at in outputs), *arguments])})"
        self.lines.append(text if called.returned == "void" else f"{line.name} = {text}")

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
        body.block([line.strip() for text in block for line in text.split("\n")])
    room = [f"%slot{slot} = alloca [{SLOT_BYTES} x i8], align 64" for slot in range(body.slots)]
    return "\n  ".join(body.lines), "\n  ".join(room), body.functions
