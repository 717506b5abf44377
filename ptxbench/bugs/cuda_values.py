"""Bugs of a CUDA C kernel in the values that it computes: narrowed numbers and swapped operands."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from ptxbench.bugs.cuda import ASSIGNMENTS, TYPES, Edits, Rule, declared, replaced
from ptxbench.bugs.cuda_tokens import Tokens

FLOAT_FUNCTIONS = {
    "fmaf", "sqrtf", "rsqrtf", "expf", "__expf", "exp2f", "fmaxf", "fminf", "__fdividef", "__frcp_rn", "__fmul_rn",
    "__fadd_rn", "static_cast",
}  # fmt: skip

CUTS = {"bf16": "0xffff0000u", "tf32": "0xffffe000u"}


def cut(expression: str, mask: str) -> str:
    return f"__uint_as_float(__float_as_uint({expression}) & {mask})"


def results(tokens: Tokens, at: int) -> Edits:
    """The result of a function of f32, narrowed."""
    if tokens.words[at] not in FLOAT_FUNCTIONS:
        return
    if tokens.words[at] == "static_cast" and tokens.word(at + 2) != "float":
        return
    last = tokens.operand_after(at)
    if last is None or last == at:
        return
    for name, mask in CUTS.items():
        call = tokens.slice(at, last)
        yield "precision", f"{tokens.words[at]} cut to {name}", replaced(tokens, at, last, cut(call, mask))


def sums(tokens: Tokens, at: int) -> Edits:
    """What is assigned to a float, or added to it, narrowed."""
    if tokens.words[at] not in ASSIGNMENTS or tokens.words[at] in ("^=", "|=", "&=", "<<=", ">>="):
        return
    target = tokens.operand_before(at - 1)
    if target is None or declared(tokens).get(tokens.words[target], ("",))[0] != "float":
        return
    end = tokens.statement_end(at)
    if end is None or end == at + 1 or tokens.in_header(at):
        return
    value = tokens.slice(at + 1, end - 1)
    for name, mask in CUTS.items():
        yield "precision", f"= cut to {name}", replaced(tokens, at + 1, end - 1, cut(value, mask))


def constants(tokens: Tokens, at: int) -> Edits:
    """A constant with the precision of bf16."""
    word = tokens.words[at]
    if not re.fullmatch(r"(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?[fF]", word) or "x" in word:
        return
    (bits,) = struct.unpack(">I", struct.pack(">f", float(word.rstrip("fF"))))
    if bits & 0xFFFF:
        new = f"__uint_as_float({bits & 0xFFFF0000:#010x}u)"
        yield "precision", f"{word} cut to bf16", replaced(tokens, at, at, new)


def wide(tokens: Tokens, at: int) -> Edits:
    """A cast to 64 bits, as one to 32 bits."""
    if tokens.words[at] != "static_cast" or tokens.word(at + 1) != "<":
        return
    end = tokens.partners.get(at + 1)
    if end is not None and tokens.slice(at + 2, end - 1) in ("unsigned long long", "u64", "State"):
        yield "precision", "cast to 32 bits", replaced(tokens, at + 2, end - 1, "unsigned")


def swapped(tokens: Tokens, at: int) -> Edits:
    """The operands of - / % << >>, the results of ?:, or the arguments of fmaf exchanged."""
    word = tokens.words[at]
    if word in ("-", "/", "%", "<<", ">>"):
        first, last = tokens.operand_before(at - 1), tokens.operand_after(at + 1)
        if first is not None and last is not None:
            left, right = tokens.slice(first, at - 1), tokens.slice(at + 1, last)
            if left != right:
                new = f"({right} {word} {left})"
                yield "operands", f"{left} {word} {right} swapped", replaced(tokens, first, last, new)
    elif word == "?":
        left_end = tokens.operand_after(at + 1)
        if left_end is not None and tokens.word(left_end + 1) == ":":
            right_end = tokens.operand_after(left_end + 2)
            if right_end is not None:
                left, right = tokens.slice(at + 1, left_end), tokens.slice(left_end + 2, right_end)
                if left != right:
                    new = f"{right} : {left}"
                    yield "operands", f"{left} : {right} swapped", replaced(tokens, at + 1, right_end, new)
    elif word == "fmaf" and len(arguments := tokens.arguments(at + 1)) == 3:
        a, b, c = (tokens.slice(*argument) for argument in arguments)
        if b != c:
            yield (
                "operands",
                f"fmaf's {b} and {c} swapped",
                replaced(tokens, arguments[0][0], arguments[2][1], f"{a}, {c}, {b}"),
            )


OTHER = {"+": "-", "-": "+", "&": "|", "|": "&", "^": "|", "*": "+", "+=": "-=", "fmaxf": "fminf", "fminf": "fmaxf",
         "min": "max", "max": "min"}  # fmt: skip


def operations(tokens: Tokens, at: int) -> Edits:
    """Another operation than the right one."""
    word = tokens.words[at]
    if word not in OTHER:
        return
    if tokens.kinds[at] == "name":
        if tokens.word(at + 1) == "(":
            yield "operands", f"{word} to {OTHER[word]}", replaced(tokens, at, at, OTHER[word])
    elif (
        tokens.operand_before(at - 1) is not None
        and tokens.operand_after(at + 1) is not None
        and tokens.words[at - 1] not in (*TYPES, "const", "auto")
    ):
        yield "operands", f"{word} to {OTHER[word]}", replaced(tokens, at, at, OTHER[word])


VALUE_RULES: Sequence[Rule] = (results, sums, constants, wide, swapped, operations)
