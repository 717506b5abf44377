"""The launch of a kernel as host code in its file writes it, `k<<<grid, block>>>(...)`, in the words of a pair file.

A name is replaced by its value if the file gives it only one. What cannot be followed stays an open question.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ptxbench.draft.cuda import matching
from ptxbench.errors import NOT_PYTHON
from ptxbench.toolchain.cpp_tokens import OPENING, Token, tokens

DEFINE = re.compile(r"#\s*define\s+(?P<name>\w+)[ \t]+(?P<value>.+)", re.S)
SIZES = {
    "bool": 1, "uchar": 1, "ushort": 2, "uint": 4, "float": 4, "double": 8,
    "size_t": 8, "ptrdiff_t": 8, "intptr_t": 8, "uintptr_t": 8,
    "half": 2, "__half": 2, "half2": 4, "__half2": 4,
    "nv_bfloat16": 2, "__nv_bfloat16": 2, "nv_bfloat162": 4, "__nv_bfloat162": 4,
    "cuComplex": 8, "cuFloatComplex": 8, "cuDoubleComplex": 16,
    **{f"{sign}int{bits}_t": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
"""Bytes of types with a name of one word; those of vectors and of C's integers follow from their words."""
INTEGERS = {"char": 1, "short": 2, "long": 8, "int": 4, "unsigned": 4, "signed": 4}
"""Bytes of C's integers on Linux: those of the first of these words that the name has."""
VECTOR = re.compile(r"u?(?:long(?=long))?(?P<element>char|short|int|long|float|double)(?P<count>[1-4])")
POINTER_BYTES = 8
OPERATORS = ("+", "-", "*", "/", "%", "(", ")")
DEEPEST = 20
"""The most names that are followed one after the other."""
MOST_WORDS = 200
"""The most numbers, names and operators of an expression that is followed."""
MOST_CHARACTERS = 2000
"""The longest expression with the values of its names in place of them, which names of names may double each time."""


class UnknownError(Exception):
    """Raised for an expression that is not followed."""


@dataclass(frozen=True)
class HostLaunch:
    """A launch in the file: its line, its text, and grid, block and shared bytes in Python; None if not known."""

    line: int
    text: str
    grid: str | None
    block: str | None
    shared_bytes: str | None


def find(text: str, kernel: str, dimensions: Mapping[int, str]) -> HostLaunch | None:
    """The only launch of `kernel` in the file; None without one, and if there are several that differ.

    `dimensions`: the names of the parameters, by their position, that are dimensions of the size.
    """
    launches = all_of(text, kernel, dimensions)
    different = {(launch.grid, launch.block, launch.text) for launch in launches}
    return launches[0] if len(different) == 1 else None


def all_of(text: str, kernel: str, dimensions: Mapping[int, str]) -> list[HostLaunch]:
    """The launches of `kernel` in the file, in its order. `dimensions`: as for `find`."""
    code = [*tokens(text)]
    return [read(text, code, start, at, dimensions) for start, at in launches_of(code, kernel)]


def launches_of(code: Sequence[Token], kernel: str) -> Iterator[tuple[int, int]]:
    """The indices of the kernel's name and of `<<<`, of each of its launches."""
    for at, token in enumerate(code):
        if token.text == "<<<" and token.kind == "mark":
            before = at - 1
            if before >= 0 and code[before].text == ">":  # template arguments
                depth = 0
                while before >= 0:
                    depth += {">": 1, "<": -1}.get(code[before].text, 0)
                    before -= 1
                    if depth == 0:
                        break
            if before >= 0 and code[before].text == kernel:
                yield before, at


def read(text: str, code: Sequence[Token], start: int, at: int, dimensions: Mapping[int, str]) -> HostLaunch:
    """The launch that starts at index `start`, and whose `<<<` is at index `at`."""
    end = next((index for index in range(at, len(code)) if code[index].text == ">>>"), len(code) - 1)
    configuration = split(code[at + 1 : end])
    arguments: list[Sequence[Token]] = []
    close = end
    if end + 1 < len(code) and code[end + 1].text == "(":
        close = matching(code, end + 1)
        arguments = split(code[end + 2 : close])
    dimension_of = {
        argument[0].text: dimensions[position]
        for position, argument in enumerate(arguments)
        if position in dimensions and len(argument) == 1 and argument[0].kind == "word"
    }
    reader = CReader(values(code), dimension_of, type_names(code))
    parts = [reader.extent(part) for part in configuration[:3]]
    grid, block, shared = (*parts, None, None, None)[:3]
    return HostLaunch(
        text.count("\n", 0, code[at].start) + 1,
        " ".join(text[code[start].start : code[close].end].split()),
        grid,
        block,
        shared if len(configuration) > 2 else "0",
    )


def split(code: Sequence[Token]) -> list[Sequence[Token]]:
    """The parts between commas, outside brackets."""
    parts: list[Sequence[Token]] = []
    start = at = 0
    while at < len(code):
        if code[at].text in OPENING and code[at].kind == "mark":
            at = matching(code, at)
        elif code[at].text == ",":
            parts.append(code[start:at])
            start = at + 1
        at += 1
    return [*parts, code[start:]] if code[start:] else parts


def values(code: Sequence[Token]) -> dict[str, Sequence[Token] | None]:
    """The value of each macro and of each variable that the file gives one value; None for several values."""
    result: dict[str, Sequence[Token] | None] = {}

    def add(name: str, value: Sequence[Token]) -> None:
        same = name not in result or [part.text for part in result[name] or ()] == [part.text for part in value]
        result[name] = value if same else None

    for at, token in enumerate(code):
        if token.kind == "directive":
            if macro := DEFINE.match(token.text):
                add(macro["name"], [*tokens(macro["value"])])
        elif token.kind == "word" and at + 1 < len(code):
            after = code[at + 1].text
            if after == "=" and code[at + 2].text != "=" and at and code[at - 1].text not in (".", ">"):
                end = next((index for index in range(at + 1, len(code)) if code[index].text == ";"), len(code))
                add(token.text, split(code[at + 2 : end])[0] if code[at + 2 : end] else ())
            elif after in ("(", "{") and is_dim3(code, at):
                add(token.text, code[at + 1 : matching(code, at + 1) + 1])
            elif after in ("+", "-", "*", "/") and code[at + 2].text == "=":
                result[token.text] = None
    return result


def type_names(code: Sequence[Token]) -> dict[str, tuple[str, ...] | None]:
    """The words of each type that the file gives a name, by `using`, `typedef` or a macro; None for a name of several
    types, and for one that is also a parameter of a template."""
    result: dict[str, tuple[str, ...] | None] = {}

    def add(name: str, words: tuple[str, ...]) -> None:
        result[name] = words if result.get(name, words) == words else None

    for at, token in enumerate(code):
        if macro := DEFINE.match(token.text) if token.kind == "directive" else None:
            add(macro["name"], tuple(part.text for part in tokens(macro["value"])))
        elif token.kind == "word" and token.text in ("using", "typedef"):
            end = next((index for index in range(at, len(code)) if code[index].text == ";"), len(code))
            words = tuple(part.text for part in code[at + 1 : end])
            if token.text == "typedef":
                add(words[-1] if words else "", words[:-1])
            elif words[1:2] == ("=",):
                add(words[0], words[2:])
    for before, name in pairwise(code):
        if before.text in ("typename", "class") and name.text in result:
            result[name.text] = None
    return result


def is_dim3(code: Sequence[Token], at: int) -> bool:
    """Whether the name is that of a dim3, the first of its declaration or a later one: `dim3 grid(4), block(32)`."""
    while at and code[at - 1].text == "," and code[at - 2].text in (")", "}"):
        depth = 0
        at -= 2
        while at and (depth := depth + (code[at].text in (")", "}")) - (code[at].text in ("(", "{"))):
            at -= 1
        at -= 1
    return bool(at) and code[at - 1].text == "dim3"


@dataclass(frozen=True)
class CReader:
    """Turns C into Python. `values`: the values of names in the file; `dimensions`: the names of dimensions, by name in
    C; `types`: the words of the types that the file names."""

    values: Mapping[str, Sequence[Token] | None]
    dimensions: Mapping[str, str]
    types: Mapping[str, tuple[str, ...] | None]

    def extent(self, code: Sequence[Token], depth: int = 0) -> str | None:
        """A number, or a tuple for a dim3; None if it is not followed."""
        try:
            if len(code) == 1 and code[0].kind == "word" and code[0].text not in self.dimensions:
                value = self.values.get(code[0].text)
                return self.extent(value, depth + 1) if value and depth < DEEPEST else None
            if code and code[0].text == "dim3":
                code = code[1:]
            if code and code[0].text in ("(", "{") and matching(code, 0) == len(code) - 1:
                parts = [simplified(self.expression(part)) for part in split(code[1:-1])]
                return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
            return simplified(self.expression(code))
        except (UnknownError, *NOT_PYTHON):
            return None

    def expression(self, code: Sequence[Token], depth: int = 0) -> str:
        """The Python text of an arithmetic expression of whole numbers. Raises UnknownError."""
        if depth > DEEPEST or not code:
            raise UnknownError
        words: list[str] = []
        at = 0
        while at < len(code):
            token = code[at]
            if token.kind == "number":
                words.append(number(token.text))
            elif token.text == "sizeof" and at + 1 < len(code) and code[at + 1].text == "(":
                end = matching(code, at + 1)
                words.append(str(size_of([part.text for part in code[at + 2 : end]], self.types)))
                at = end
            elif token.text in ("<", ">") and at + 1 < len(code) and code[at + 1].text == token.text:
                words.append(token.text * 2)
                at += 1
            elif token.kind == "word":
                words.append(self.word(token.text, depth))
            elif token.text in OPERATORS:
                words.append({"/": "//"}.get(token.text, token.text))
            else:
                raise UnknownError
            at += 1
            if len(words) > MOST_WORDS:
                raise UnknownError
        if len(text := " ".join(words)) > MOST_CHARACTERS:
            raise UnknownError
        return text

    def word(self, name: str, depth: int) -> str:
        if name in self.dimensions:
            return self.dimensions[name]
        value = self.values.get(name)
        if value is None:
            raise UnknownError
        return f"({self.expression(value, depth + 1)})"


def size_of(words: Sequence[str], types: Mapping[str, Sequence[str] | None], depth: int = 0) -> int:
    """The bytes of a type of C or CUDA by the words of its name, `unsigned char` or `const float *`. `types`: the words
    of types that the file names.

    Raises UnknownError for another type, and for a variable.
    """
    words = [word for word in words if word not in ("const", "volatile", "std", "::")]
    if len(words) > 1 and words[-1] == "*":
        return POINTER_BYTES
    if words and all(word in INTEGERS for word in words):
        return next(size for word, size in INTEGERS.items() if word in words)
    name = " ".join(words)
    if name in types:
        named = types[name]
        if named is None or depth > DEEPEST:
            raise UnknownError
        return size_of(named, types, depth + 1)
    if vector := VECTOR.fullmatch(name):
        return int(vector["count"]) * size_of([vector["element"]], types)
    if name not in SIZES:
        raise UnknownError
    return SIZES[name]


def number(text: str) -> str:
    """A whole number of C as Python has it. Raises UnknownError for any other."""
    plain = text.replace("'", "").rstrip("uUlL")
    if not re.fullmatch(r"0[xX][0-9a-fA-F]+|[1-9]\d*|0", plain):
        raise UnknownError
    return plain


FOLDED: Mapping[type[ast.operator], Callable[[Any, Any], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: lambda value, bits: value << min(bits, 63), ast.RShift: operator.rshift,
}  # fmt: skip


class Rounding(ast.NodeTransformer):
    """Replaces (a + b - 1) // b by ceil_div(a, b), and computes operations on numbers."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node = ast.BinOp(self.visit(node.left), node.op, self.visit(node.right))
        if isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant):
            fold = FOLDED.get(type(node.op))
            return (
                node if fold is None or not node.right.value else ast.Constant(fold(node.left.value, node.right.value))
            )
        if isinstance(node.op, ast.FloorDiv) and (rounded := rounded_up(node.left, node.right)) is not None:
            return ast.Call(ast.Name("ceil_div", ast.Load()), [rounded, node.right], [])
        return node


def rounded_up(left: ast.expr, by: ast.expr) -> ast.expr | None:
    """The expression a of `a + by - 1`; None for another expression."""
    match left:
        case ast.BinOp(ast.BinOp(a, ast.Add(), b), ast.Sub(), ast.Constant(1)) if ast.dump(b) == ast.dump(by):
            return a
        case ast.BinOp(a, ast.Add(), ast.BinOp(b, ast.Sub(), ast.Constant(1))) if ast.dump(b) == ast.dump(by):
            return a
        case ast.BinOp(a, ast.Add(), ast.Constant(int(rest))) if isinstance(by, ast.Constant) and by.value == rest + 1:
            return a
        case ast.BinOp(ast.BinOp(a, ast.Sub(), ast.Constant(1)), ast.Add(), b) if ast.dump(b) == ast.dump(by):
            return a
    return None


def simplified(expression: str) -> str:
    """The expression without superfluous parentheses, and computed as far as it is of numbers. Raises SyntaxError."""
    tree = ast.parse(expression.strip(), mode="eval")
    return ast.unparse(ast.fix_missing_locations(Rounding().visit(tree)))
