"""Numbers and constant expressions. (PTX ISA, "Constants".)

Integers have 64 bits, signed or unsigned; floats are doubles. If the manual and ptxas differ, this follows ptxas:
a shift counts modulo 64, `? :` returns the chosen operand with its own type, `%` is unsigned, and every operand is
evaluated, so that a division by zero is an error even if its value is not used.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ptxbench.emulator.syntax import Immediate
from ptxbench.emulator.tokens import END, Cursor, is_number, quoted, syntax_error

WARP_SIZE = 32
BITS = 64
MASK = (1 << BITS) - 1


@dataclass(frozen=True)
class Constant:
    """The value of a part of an expression.

    `kind`: s64, u64, f64, or "f32 bits" for `0f...`, a bit pattern that cannot be used in arithmetic.
    `hexadecimal`: a double written as `0d...`, whose bits are kept (a NaN's payload).
    """

    value: int | float
    kind: Literal["s64", "u64", "f64", "f32 bits"]
    hexadecimal: bool = False

    @property
    def whole(self) -> bool:
        return self.kind in ("s64", "u64")


def wrap(value: int, kind: str) -> int:
    """`value` truncated to 64 bits, signed or unsigned."""
    value &= MASK
    return value - (1 << BITS) if kind == "s64" and value >> BITS - 1 else value


def integer(value: int, kind: Literal["s64", "u64"]) -> Constant:
    return Constant(wrap(value, kind), kind)


def literal(word: str, line: int) -> Constant:
    """The value of a number as written. Raises PtxSyntaxError if it is not a valid number."""
    lower = word.lower()
    if lower.startswith("0f"):
        return Constant(int(word[2:], 16), "f32 bits")
    if lower.startswith("0d"):
        return Constant(struct.unpack("<d", struct.pack("<Q", int(word[2:], 16)))[0], "f64", hexadecimal=True)
    if not lower.startswith("0x") and ("." in word or "e" in lower):
        number = float(word)
        if math.isinf(number) or (number == 0 and any(digit in "123456789" for digit in lower.partition("e")[0])):
            raise syntax_error(line, f"the constant {quoted(word)} does not fit an .f64.")
        return Constant(number, "f64")
    base = {"0x": 16, "0b": 2}.get(lower[:2], 8 if word[0] == "0" else 10)
    digits = word.removesuffix("U")[2 if base in (2, 16) else 0 :].lstrip("0") or "0"
    if base == 8 and any(digit in "89" for digit in digits):
        raise syntax_error(line, f"{quoted(word)} starts with 0, so it is octal, but has a digit above 7.")
    if len(digits) > BITS or (number := int(digits, base)) > MASK:
        raise syntax_error(line, f"the constant {quoted(word)} does not fit 64 bits.")
    unsigned = word.endswith("U") or number > MASK >> 1
    return Constant(number, "u64" if unsigned else "s64")


# ---- operators


def compare(relation: Callable[[int | float, int | float], bool]) -> Callable[[Constant, Constant], Constant]:
    return lambda a, b: integer(relation(*(operand.value for operand in alike(a, b))), "s64")


def calculate(operation: Callable[..., int | float]) -> Callable[[Constant, Constant], Constant]:
    def calculated(a: Constant, b: Constant) -> Constant:
        a, b = alike(a, b)
        value = operation(a.value, b.value)
        return Constant(value, "f64") if isinstance(value, float) else integer(value, unsigned_if(a, b))

    return calculated


def alike(a: Constant, b: Constant) -> tuple[Constant, Constant]:
    """Two floats, or two integers converted to one type: unsigned if one of them is.

    Raises ValueError for an integer and a float.
    """
    if a.whole != b.whole:
        raise ValueError("mixes whole numbers and floats")
    if not a.whole:
        return a, b
    kind = unsigned_if(a, b)
    return integer(int(a.value), kind), integer(int(b.value), kind)


def unsigned_if(a: Constant, b: Constant) -> Literal["s64", "u64"]:
    return "u64" if "u64" in (a.kind, b.kind) else "s64"


def divide(a: int | float, b: int | float) -> int | float:
    """The quotient; for integers, rounded toward zero."""
    if b == 0:
        raise ValueError("divides by zero")
    if isinstance(a, float) or isinstance(b, float):
        return a / b
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def whole_numbers(a: Constant, b: Constant) -> tuple[int, int]:
    if not (a.whole and b.whole):
        raise ValueError("needs whole numbers")
    return int(a.value), int(b.value)


def remainder(a: Constant, b: Constant) -> Constant:
    x, y = (value & MASK for value in whole_numbers(a, b))
    if y == 0:
        raise ValueError("divides by zero")
    return integer(x % y, "u64")


def shift(operation: Callable[[int, int], int]) -> Callable[[Constant, Constant], Constant]:
    def shifted(a: Constant, b: Constant) -> Constant:
        x, y = whole_numbers(a, b)
        return integer(operation(x, y & BITS - 1), "u64" if a.kind == "u64" else "s64")

    return shifted


def bitwise(operation: Callable[[int, int], int]) -> Callable[[Constant, Constant], Constant]:
    return lambda a, b: integer(operation(*whole_numbers(a, b)), unsigned_if(a, b))


def logical(join: Callable[[bool, bool], bool]) -> Callable[[Constant, Constant], Constant]:
    def joined(a: Constant, b: Constant) -> Constant:
        x, y = whole_numbers(a, b)
        return integer(join(x != 0, y != 0), "s64")

    return joined


BINARY: dict[str, tuple[int, Callable[[Constant, Constant], Constant]]] = {
    "||": (2, logical(operator.or_)),
    "&&": (3, logical(operator.and_)),
    "|":  (4, bitwise(operator.or_)),
    "^":  (5, bitwise(operator.xor)),
    "&":  (6, bitwise(operator.and_)),
    "==": (7, compare(operator.eq)),
    "!=": (7, compare(operator.ne)),
    "<":  (8, compare(operator.lt)),
    ">":  (8, compare(operator.gt)),
    "<=": (8, compare(operator.le)),
    ">=": (8, compare(operator.ge)),
    "<<": (9, shift(operator.lshift)),
    ">>": (9, shift(operator.rshift)),
    "+":  (10, calculate(operator.add)),
    "-":  (10, calculate(operator.sub)),
    "*":  (11, calculate(operator.mul)),
    "/":  (11, calculate(divide)),
    "%":  (11, remainder),
}  # fmt: skip
"""The precedence and the function of each operator."""
CONDITIONAL, UNARY = 1, 12
"""The precedence of `? :` and of the unary operators."""
CASTS = {".s64": "(.s64)", ".u64": "(.u64)"}


def apply_unary(sign: str, a: Constant) -> Constant:
    if sign in "+-" and not a.whole:
        return Constant(-a.value if sign == "-" else a.value, "f64", a.hexadecimal)
    if not a.whole:
        raise ValueError("needs whole numbers")
    value = int(a.value)
    if sign == "!":
        return integer(value == 0, "s64")
    if sign == "~":
        return integer(~value, "u64")
    if sign in ("(.s64)", "(.u64)"):
        return integer(value, "s64" if sign == "(.s64)" else "u64")
    return integer(-value if sign == "-" else value, "u64" if a.kind == "u64" else "s64")


def choose_operand(condition: Constant, a: Constant, b: Constant) -> Constant:
    if not (condition.whole and a.whole and b.whole):
        raise ValueError("needs whole numbers")
    return a if condition.value else b


# ---- expressions


@dataclass
class Expression:
    """An expression while it is read: operands, and operators that wait for their right operand.

    Both are stacks, so that nesting can be arbitrarily deep. (Operator precedence parsing.)
    """

    line: int
    operands: list[Constant] = field(default_factory=list)
    operators: list[tuple[str, int]] = field(default_factory=list)
    """Name and precedence of each; 0 for `(` and `?`, which no other operator passes."""

    def reduce(self, precedence: int) -> None:
        """Apply the operators on top with a precedence of at least `binding`."""
        while self.operators and self.operators[-1][1] >= precedence:
            self.apply(*self.operators.pop())

    def apply(self, name: str, precedence: int) -> None:
        count = {UNARY: 1, CONDITIONAL: 3}.get(precedence, 2)
        operands = self.operands[-count:]
        del self.operands[-count:]
        try:
            if any(operand.kind == "f32 bits" for operand in operands):
                raise ValueError("has a 0f number, which can only be used alone")
            if precedence == UNARY:
                self.operands.append(apply_unary(name, *operands))
            elif precedence == CONDITIONAL:
                self.operands.append(choose_operand(*operands))
            else:
                self.operands.append(BINARY[name][1](*operands))
        except ValueError as error:
            raise syntax_error(self.line, f"the constant expression {error}.") from None


def starts_expression(cursor: Cursor) -> bool:
    """Whether a constant expression starts here, rather than a name."""
    word = cursor.next
    return is_number(word) or word in ("(", "+", "-", "~", "!", "WARP_SZ")


def expression(cursor: Cursor) -> Immediate:
    """The value of a constant expression; `0f` and `0d` numbers keep their bits. Raises PtxSyntaxError."""
    if is_number(cursor.next) and cursor.following in (",", ";", "]", "}", ")"):  # the usual case
        return immediate(literal(cursor.take(), cursor.last_line))
    reading = Expression(cursor.line)
    nested: list[str] = []
    while True:
        read_operand(cursor, reading, nested)
        while nested and nested[-1] == "(" and cursor.next == ")":
            reading.reduce(1)
            reading.operators.pop()
            nested.pop()
            cursor.take()
        if not read_operator(cursor, reading, nested):
            break
    if nested:
        raise cursor.error("')'" if nested[-1] == "(" else "':'")
    reading.reduce(1)
    return immediate(reading.operands[0])


def read_operand(cursor: Cursor, reading: Expression, nested: list[str]) -> None:
    """A number, with the signs, casts and parentheses before it."""
    while True:
        word = cursor.next
        if is_number(word):
            reading.operands.append(literal(word, cursor.line))
            cursor.take()
            return
        if word == "WARP_SZ":
            reading.operands.append(Constant(WARP_SIZE, "s64"))
            cursor.take()
            return
        if word == "(" and cursor.following in CASTS:
            cursor.take()
            reading.operators.append((CASTS[cursor.take()], UNARY))
            cursor.expect(")")
        elif word == "(":
            reading.operators.append((word, 0))
            nested.append(word)
            cursor.take()
        elif word != END and word in "+-!~":
            reading.operators.append((word, UNARY))
            cursor.take()
        else:
            raise cursor.error("a number")


def read_operator(cursor: Cursor, reading: Expression, nested: list[str]) -> bool:
    """Take an operator between operands; False at the end of the expression."""
    word = cursor.next
    if word in BINARY:
        precedence = BINARY[word][0]
        reading.reduce(precedence)
        reading.operators.append((word, precedence))
    elif word == "?":
        reading.reduce(CONDITIONAL + 1)
        reading.operators.append((word, 0))
        nested.append(word)
    elif word == ":" and nested and nested[-1] == "?":
        reading.reduce(CONDITIONAL)
        reading.operators[-1] = (word, CONDITIONAL)
        nested.pop()
    else:
        return False
    cursor.take()
    return True


def immediate(constant: Constant) -> Immediate:
    if constant.kind == "f32 bits":
        return Immediate(constant.value, 32)
    if constant.hexadecimal:
        return Immediate(struct.unpack("<Q", struct.pack("<d", constant.value))[0], 64)
    return Immediate(constant.value)


def whole_expression(cursor: Cursor) -> int:
    """The value of a constant expression that must be an integer."""
    line = cursor.line
    value = expression(cursor)
    if not isinstance(value.value, int) or value.bits:
        raise syntax_error(line, "expected a whole number, found a float.")
    return value.value


def signed(value: int) -> int:
    """The 64 bits of `value` as a signed number, for use as an offset."""
    return wrap(value, "s64")


def size(cursor: Cursor) -> int:
    """An integer where ptxas takes no expression: the length of an array, an alignment, a number of registers."""
    if cursor.accept("WARP_SZ"):
        return WARP_SIZE
    if not is_number(cursor.next):
        raise cursor.error("a number")
    constant = literal(cursor.take(), cursor.last_line)
    if not constant.whole:
        raise syntax_error(cursor.last_line, f"expected a whole number, found {quoted(cursor.words[cursor.at - 1])}.")
    return int(constant.value)


def float_bits(literal: Immediate, bits: int) -> int:
    """The bit pattern of `literal` as a float of 32 or 64 bits; a `0f` pattern is not converted, as in ptxas."""
    value = literal.value
    if literal.bits == bits or literal.bits == 32:
        return int(value)
    if literal.bits == 64:
        value = struct.unpack("<d", struct.pack("<Q", value))[0]
    if bits == 64:
        return int(struct.unpack("<Q", struct.pack("<d", value))[0])
    try:
        packed = struct.pack("<f", value)
    except OverflowError:  # rounds to infinity
        packed = struct.pack("<f", math.copysign(math.inf, value))
    return int(struct.unpack("<I", packed)[0])
