"""A PTX kernel as text and as what it means: where each of its statements stands, so that an edit can replace it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.syntax import Function, Instruction, Register
from ptxbench.emulator.tokens import TOKEN
from ptxbench.errors import PtxSyntaxError

Span = tuple[int, int]
"""From the first character to behind the last, in the text."""

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
LABEL = re.compile(r"[A-Za-z_$%][\w$]*\s*:(?!:)")
LINE_DIRECTIVE = re.compile(r"\.(?:loc|file)\b[^\n]*")
PARTS = re.compile(r"(?P<guard>@!?\s*[%\w$]+\s+)?(?P<opcode>[\w.:]+)\s*(?P<operands>.*?)\s*;", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """An instruction, a label or a declaration: its place, and what it means if it is an instruction."""

    kind: Literal["instruction", "label", "declaration"]
    span: Span
    text: str
    """As it is written, without comments."""
    instruction: Instruction | None = None

    @property
    def parts(self) -> tuple[str, str, list[str]]:
        """Guard, opcode and operands of an instruction, as they are written."""
        found = PARTS.fullmatch(self.text)
        assert found, self.text
        return found["guard"] or "", found["opcode"], separated(found["operands"])


@dataclass(frozen=True)
class EditedKernel:
    """One entry of a PTX text."""

    text: str
    function: Function
    statements: tuple[Statement, ...]
    """Of its body, in order."""
    body: int
    """Where its body begins, behind the brace."""

    @property
    def instructions(self) -> list[Statement]:
        return [each for each in self.statements if each.kind == "instruction"]

    @property
    def declarations(self) -> list[Statement]:
        return [each for each in self.statements if each.kind == "declaration"]

    @property
    def start(self) -> int:
        """Where its first instruction or label begins, behind the declarations: every thread comes here."""
        return next(each.span[0] for each in self.statements if each.kind != "declaration")

    def with_changes(self, changes: Mapping[Span, str]) -> str:
        """The text with other words at some places; an empty span inserts."""
        text = self.text
        for (start, end), new in sorted(changes.items(), reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def inserted(self, lines: str) -> str:
        """The text with `lines` before its first instruction, as a block with registers of its own."""
        return self.with_changes({(self.start, self.start): f"{{\n{lines}\n    }}\n    "})

    def renamed(self, names: Mapping[str, str]) -> str:
        """The text of the body with other words for some; a part of a register (`%x.h0`) keeps its selector."""
        changes: dict[Span, str] = {}
        for token in TOKEN.finditer(self.text, self.body):
            word, dot, selector = (token["word"] or "").partition(".")
            if word in names:
                changes[token.span("word")] = f"{names[word]}{dot}{selector}"
        return self.with_changes(changes)


def read_kernel(text: str, entry: str) -> EditedKernel:
    """The kernel `entry` of a PTX text. Raises PtxSyntaxError, and LaunchError for an entry that is not there."""
    function = choose(parse(text), entry)
    code = without_comments(text)
    found = re.search(rf"\.entry\s+{re.escape(entry)}(?![\w$])[^{{]*{{", code)
    if not found:
        raise PtxSyntaxError(f"the body of '{entry}' does not begin where it should.")
    instructions = iter(function.instructions)
    statements = tuple(
        Statement(kind, span, code[slice(*span)], next(instructions) if kind == "instruction" else None)
        for kind, span in places(code, found.end())
    )
    return EditedKernel(text, function, statements, found.end())


def without_comments(text: str) -> str:
    """The text with blanks for its comments, every other character where it was."""
    return COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def places(code: str, at: int) -> Iterator[tuple[Literal["instruction", "label", "declaration"], Span]]:
    """The statements of a body without comments, from behind its brace to the brace that ends it."""
    depth = 1
    while depth:
        at += len(code[at:]) - len(code[at:].lstrip())
        if code[at] in "{};":
            depth += {"{": 1, "}": -1, ";": 0}[code[at]]
            at += 1
            continue
        if found := LINE_DIRECTIVE.match(code, at):
            at = found.end()
            continue
        label = LABEL.match(code, at)
        end = label.end() if label else code.index(";", at) + 1
        yield "label" if label else "declaration" if code[at] == "." else "instruction", (at, end)
        at = end


def separated(operands: str) -> list[str]:
    """`{%a, %b}, [%c + 4]` as its operands: at the commas outside of brackets."""
    found, depth = [""], 0
    for each in operands:
        depth += (each in "{[(") - (each in "}])")
        if each == "," and not depth:
            found.append("")
        else:
            found[-1] += each
    return [each.strip() for each in found if each.strip()]


def registers(value: object) -> set[str]:
    """The names of every register in an operand or an instruction, whatever it is part of."""
    if isinstance(value, Register):
        return {value.name}
    if isinstance(value, tuple):
        return set().union(*map(registers, value))
    if hasattr(value, "__dataclass_fields__"):
        return set().union(*(registers(getattr(value, name)) for name in value.__dataclass_fields__))
    return set()
