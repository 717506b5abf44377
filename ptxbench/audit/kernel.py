"""A PTX kernel, its text and its parsed form: the position of each statement, so that an edit can replace it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.syntax import Function, Instruction, Register
from ptxbench.emulator.tokens import TOKEN
from ptxbench.errors import PtxSyntaxError
from ptxbench.toolchain.comments import without_comments

Span = tuple[int, int]
"""A range of characters in the text; the end is exclusive."""

LABEL = re.compile(r"[A-Za-z_$%][\w$]*\s*:(?!:)")
LINE_DIRECTIVE = re.compile(r"\.(?:loc|file)\b[^\n]*")
PARTS = re.compile(r"(?P<guard>@!?\s*[%\w$]+\s+)?(?P<opcode>[\w.:]+)\s*(?P<operands>.*?)\s*;", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """An instruction, a label or a declaration: its position, and the parsed instruction if it is one."""

    kind: Literal["instruction", "label", "declaration"]
    span: Span
    text: str
    """The text, without comments."""
    instruction: Instruction | None = None

    @property
    def parts(self) -> tuple[str, str, list[str]]:
        """Guard, opcode and operands of an instruction, as text."""
        match = PARTS.fullmatch(self.text)
        assert match, self.text
        return match["guard"] or "", match["opcode"], separated(match["operands"])


@dataclass(frozen=True)
class EditedKernel:
    """One entry of a PTX text."""

    text: str
    function: Function
    statements: tuple[Statement, ...]
    """The statements of its body, in order."""
    body: int
    """Where its body begins, after the brace."""

    @property
    def instructions(self) -> list[Statement]:
        return [statement for statement in self.statements if statement.kind == "instruction"]

    @property
    def declarations(self) -> list[Statement]:
        return [statement for statement in self.statements if statement.kind == "declaration"]

    @property
    def start(self) -> int:
        """Where its first instruction or label begins, after the declarations: every thread executes this."""
        return next(statement.span[0] for statement in self.statements if statement.kind != "declaration")

    def with_changes(self, changes: Mapping[Span, str]) -> str:
        """The text with replacements; an empty span inserts."""
        text = self.text
        for (start, end), new in sorted(changes.items(), reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def inserted(self, lines: str) -> str:
        """The text with `lines` before its first instruction, as a block with its own registers."""
        return self.with_changes({(self.start, self.start): f"{{\n{lines}\n    }}\n    "})

    def renamed(self, names: Mapping[str, str]) -> str:
        """The text with some names in the body replaced; a part of a register (`%x.h0`) keeps its selector."""
        changes: dict[Span, str] = {}
        for token in TOKEN.finditer(self.text, self.body):
            word, dot, selector = (token["word"] or "").partition(".")
            if word in names:
                changes[token.span("word")] = f"{names[word]}{dot}{selector}"
        return self.with_changes(changes)


def read_kernel(text: str, entry: str) -> EditedKernel:
    """The kernel `entry` of a PTX text. Raises PtxSyntaxError, and LaunchError for an unknown entry."""
    function = choose(parse(text), entry)
    code = without_comments(text)
    match = re.search(rf"\.entry\s+{re.escape(entry)}(?![\w$])[^{{]*{{", code)
    if not match:
        raise PtxSyntaxError(f"the body of '{entry}' was not found.")
    instructions = iter(function.instructions)
    statements = tuple(
        Statement(kind, span, code[slice(*span)], next(instructions) if kind == "instruction" else None)
        for kind, span in statement_spans(code, match.end())
    )
    return EditedKernel(text, function, statements, match.end())


def statement_spans(code: str, position: int) -> Iterator[tuple[Literal["instruction", "label", "declaration"], Span]]:
    """The statements of a body without comments, from its opening brace to its closing one."""
    depth = 1
    while depth:
        position += len(code[position:]) - len(code[position:].lstrip())
        if code[position] in "{};":
            depth += {"{": 1, "}": -1, ";": 0}[code[position]]
            position += 1
            continue
        if match := LINE_DIRECTIVE.match(code, position):
            position = match.end()
            continue
        label = LABEL.match(code, position)
        end = label.end() if label else code.index(";", position) + 1
        yield "label" if label else "declaration" if code[position] == "." else "instruction", (position, end)
        position = end


def separated(operands: str) -> list[str]:
    """The operands of `{%a, %b}, [%c + 4]`: split at the commas outside brackets."""
    parts, depth = [""], 0
    for character in operands:
        depth += (character in "{[(") - (character in "}])")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def registers(value: object) -> set[str]:
    """The names of all registers in an operand or an instruction."""
    if isinstance(value, Register):
        return {value.name}
    if isinstance(value, tuple):
        return set().union(*map(registers, value))
    if hasattr(value, "__dataclass_fields__"):
        return set().union(*(registers(getattr(value, name)) for name in value.__dataclass_fields__))
    return set()
