"""The functions on memory that code without vectors calls (vector_calls.py): one for each shape of line.

A vector of 32 lanes is a pointer to it, a predicate of 32 lanes an i32, and a number that all lanes share is a number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.emulator.modules import OWN_HASH
from ptxbench.emulator.types import LANES

VECTOR, MASK = f"<{LANES} x ", f"<{LANES} x i1>"
PIECE = re.compile(
    rf"(?P<vector><{LANES} x \w+>)|splat \((?P<splat>\w+) §\)|(?P<scalar>\b(?:i\d+|ptr|float|double|half)) §|§"
)
"""The parts of a line, with § for each token, that say what the tokens are."""

OTHER_LENGTH = re.compile(rf"<(?!{LANES} x )\d+ x ")


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
        if not splat and not self.vector:
            raise Unknown
        kind, lines = operand(number, f"{VECTOR}{splat}>" if splat else self.vector, is_number=bool(splat))
        self.lines += lines
        return kind


def operand(number: int, vector: str, *, is_number: bool) -> tuple[str, list[str]]:
    """The type of a function's parameter, "" for a pointer to a vector, and the lines that make a vector of it.
    `is_number`: all lanes are the parameter."""
    if is_number:
        element = vector.removeprefix(VECTOR).removesuffix(">")
        return element, [
            f"%f{number} = insertelement {vector} poison, {element} %p{number}, i64 0",
            f"%a{number} = shufflevector {vector} %f{number}, {vector} poison, {VECTOR}i32> zeroinitializer",
        ]
    if vector == MASK:
        return "i32", [f"%a{number} = bitcast i32 %p{number} to {MASK}"]
    return "", [f"%a{number} = load {vector}, ptr %p{number}, align 64"]


def form(shape: str) -> Form:
    """The function for the lines of a shape. Raises Unknown."""
    if OTHER_LENGTH.search(shape):
        raise Unknown(shape)
    arguments = Arguments()
    operation = PIECE.sub(arguments.read, shape)
    kind = result_type(operation)
    lines = [*arguments.lines, f"%result = {operation}" if kind else operation]
    return function(operation.split()[0], arguments.parameters, lines, kind, "%result")


def function(
    label: str, parameters: Sequence[str], lines: Sequence[str], kind: str, result: str, flag: str = ""
) -> Form:  # fmt: skip
    """A function with these parameters and this body, which computes `result` of type `kind`, and the predicate `flag`
    besides if `result` is a vector. Raises Unknown."""
    vectors, structure = stored_types(kind), kind.startswith("{")
    ends = []
    for number, vector in enumerate(vectors):
        part = f"%part{number}" if structure else result
        if structure:
            ends.append(f"{part} = extractvalue {kind} {result}, {number}")
        ends.append(f"store {vector} {part}, ptr %r{number}, align 64")
    if kind == MASK or flag:
        returned, value = "i32", "i32 %lanes"
        ends.append(f"%lanes = bitcast {MASK} {flag or result} to i32")
    elif kind and not vectors:
        returned, value = kind, f"{kind} {result}"
    else:
        returned = value = "void"
    types = [*("ptr" for _ in vectors), *(parameter or "ptr" for parameter in parameters)]
    names = [*(f"%r{i}" for i in range(len(vectors))), *(f"%p{i}" for i in range(len(parameters)))]
    declared = ", ".join(map(" ".join, zip(types, names, strict=True)))
    body = "\n  ".join([*lines, *ends, f"ret {value}"])
    digest = hashlib.sha256(f"{declared} {body}".encode()).hexdigest()[:16]
    name = f"lanes.{label}{OWN_HASH}{digest}"
    text = f"define internal {returned} @{name}({declared}) noinline {{\n  {body}\n}}\n"
    call = f"call {returned} @{name}({', '.join(f'{kind} %s' for kind in types)})"
    is_vector = tuple(not parameter for parameter in parameters)
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
