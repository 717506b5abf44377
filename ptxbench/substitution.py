"""Literals of PTX that depend on knobs: `1024 /*= 4 * BLOCK */` is 1024 for all readers of PTX, an expression here.

The file is valid PTX with its defaults; `substituted` replaces the literals by other values, in the same lines. Knows
text and numbers, but no pairs.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ptxbench.errors import NOT_PYTHON, PairError

TOKEN = re.compile(
    r"""//[^\n]*                                                    # a comment to the end of the line holds none
      | "[^"\n]*"
      | (?P<literal>(?<![\w.$%])-?(?:0[xX][0-9a-fA-F]+|\d+))?(?<![ \t])(?P<blank>[ \t]*)/\*=(?P<formula>.*?)\*/
      | /\*(?:.*?\*/|.*)""",
    re.VERBOSE | re.DOTALL,
)

BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
UNARY: dict[type[ast.unaryop], Callable[[int], int]] = {ast.USub: operator.neg, ast.Invert: operator.invert}
MOST_SHIFT = 63
MOST = 1 << 64
"""Every literal of PTX is below."""
MOST_NODES = 500
"""The most nodes of the syntax tree of an expression: each of its operations is up to four."""

ALLOWED = "An expression has knobs, whole numbers, parentheses and + - * // % << >> & | ^ ~"


class FormulaError(Exception):
    """What is wrong with an expression, as a sentence."""


@dataclass(frozen=True)
class Literal:
    """One literal with its expression: its position in the text, and its line."""

    start: int
    end: int
    line: int
    value: int
    formula: str


def literals(text: str, name: str) -> Iterator[Literal]:
    """Every literal of PTX `text` that has an expression. Raises PairError, naming the file `name` and the line."""
    for match in TOKEN.finditer(text) if "/*=" in text else ():
        if match["formula"] is None:
            continue
        line = text.count("\n", 0, match.start("formula")) + 1
        if match["literal"] is None:
            raise PairError(
                f"{name}:{line}: /*={match['formula']}*/ is not after a whole number. Write the value with the "
                "defaults before it, such as 1024 /*= 4 * BLOCK */."
            )
        start, end = match.span("literal")
        try:
            number = int(match["literal"], 0)
        except ValueError:  # 010, or thousands of digits
            raise PairError(
                f"{name}:{line}: '{match['literal'][:40]}' before /*= is not a decimal or hexadecimal number. Write it "
                "as one."
            ) from None
        yield Literal(start, end, line, number, match["formula"].strip())


def names(formula: str) -> set[str]:
    """The knobs that an expression names; none if it cannot be read."""
    try:
        return {node.id for node in ast.walk(ast.parse(formula, mode="eval")) if isinstance(node, ast.Name)}
    except NOT_PYTHON:
        return set()


def value(formula: str, knobs: Mapping[str, int]) -> int:
    """The value of an expression. Raises FormulaError; nothing of it is executed."""
    try:
        tree = ast.parse(formula, mode="eval")
    except NOT_PYTHON:
        raise FormulaError(f"'{formula}' is not an expression. {ALLOWED}.") from None
    if sum(1 for _ in ast.walk(tree)) > MOST_NODES:
        raise FormulaError(f"'{formula[:60]}...' has too many parts. Write a shorter one.")
    try:
        return evaluate(tree.body, formula, knobs)
    except ZeroDivisionError:
        raise FormulaError(f"'{formula}' divides by 0.") from None


def evaluate(node: ast.expr, formula: str, knobs: Mapping[str, int]) -> int:
    """The value of a part of `formula`. Raises FormulaError, and ZeroDivisionError."""
    result: int | None = None
    if isinstance(node, ast.Constant) and type(node.value) is int:
        result = node.value
    elif isinstance(node, ast.Name):
        if node.id not in knobs:
            available = f"The pair's are {', '.join(knobs)}." if knobs else "The pair has none."
            raise FormulaError(f"'{formula}' names {node.id}, which is not a knob of the pair. {available}")
        result = knobs[node.id]
    elif isinstance(node, ast.UnaryOp) and type(node.op) in UNARY:
        result = UNARY[type(node.op)](evaluate(node.operand, formula, knobs))
    elif isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        left, right = (evaluate(operand, formula, knobs) for operand in (node.left, node.right))
        if isinstance(node.op, ast.LShift | ast.RShift) and not 0 <= right <= MOST_SHIFT:
            raise FormulaError(f"'{formula}' shifts by {right}. Expected 0 to {MOST_SHIFT}.")
        result = BINARY[type(node.op)](left, right)
    if result is None:
        hint = " Write // for a division." if "/" in formula.replace("//", "") else ""
        raise FormulaError(f"'{formula}' has a part that is not allowed. {ALLOWED}.{hint}")
    if not -MOST < result < MOST:
        raise FormulaError(f"'{formula}' does not fit in 64 bits.")
    return result


def substituted(text: str, knobs: Mapping[str, int], name: str) -> str:
    """PTX `text` with the literals that `knobs` give, in the same lines.

    Raises PairError, naming the file `name` and the line, for an expression that cannot be read.
    """
    parts, end = [], 0
    for literal in literals(text, name):
        try:
            new = value(literal.formula, knobs)
        except FormulaError as error:
            raise PairError(f"{name}:{literal.line}: {error}") from None
        parts += [text[end : literal.start], str(new)]
        end = literal.end
    return "".join([*parts, text[end:]])


def require_fresh(text: str, defaults: Mapping[str, int], name: str) -> set[str]:
    """The knobs that PTX `text` uses. Raises PairError for a literal that differs from its expression by `defaults`."""
    used: set[str] = set()
    for literal in literals(text, name):
        try:
            right = value(literal.formula, defaults)
        except FormulaError as error:
            raise PairError(f"{name}:{literal.line}: {error}") from None
        if right != literal.value:
            values = ", ".join(f"{knob} = {defaults[knob]}" for knob in sorted(names(literal.formula)))
            raise PairError(
                f"{name}:{literal.line}: the literal is {literal.value}, and '{literal.formula}' is {right} with "
                f"{values}. Correct one of them."
            )
        used |= names(literal.formula)
    return used
