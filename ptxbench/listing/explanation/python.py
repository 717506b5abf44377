"""What a kernel in Python does that one in CUDA C or PTX does not, by the PTX that its compiler makes.

Only for a variant in Python next to one in another language. The instructions are those that warps executed, if the
emulator has counted them; otherwise those of the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from ptxbench.languages import NUMBA
from ptxbench.listing.explanation.finding import Explanation, VariantContrast
from ptxbench.listing.text import Listing

INSTRUCTION = re.compile(r"\s*(?:\$?\w+:\s*)?(?:@!?%\w+\s+)?(?P<opcode>[a-z]\w*(?:\.[\w:]+)*)\s*(?P<operands>[^;]*);")
OF_MEMORY = {"ld", "st", "ldu", "atom", "red", "mov", "cvta", "cvt", "shfl"}
"""Instructions that also have a type of 64 bits without arithmetic on integers of 64 bits."""

INTEGERS, NEGATIVE, DOUBLES, READ_ONLY = "64-bit integers", "tests for a negative number", "doubles", "read-only loads"


def classes(opcode: str, operands: str) -> Iterator[str]:
    """Which of the classes, of which a kernel in Python has more or fewer, an instruction is of."""
    name, *modifiers = opcode.split(".")
    last = modifiers[-1] if modifiers else ""
    if last in ("s64", "u64", "b64") and name not in OF_MEMORY:
        yield INTEGERS
        if opcode == "setp.lt.s64" and operands.endswith(" 0"):
            yield NEGATIVE
    if (last == "f64" and name not in OF_MEMORY) or (name == "cvt" and "f64" in modifiers):
        yield DOUBLES
    if name == "ld" and "nc" in modifiers:
        yield READ_ONLY


def amounts(listing: Listing) -> Counter[str]:
    """The instructions of each class: executed by warps if they were counted; otherwise in the text."""
    result: Counter[str] = Counter()
    for line in listing.ptx_shown:
        if match := INSTRUCTION.match(listing.ptx[line - 1]):
            executions = 1 if listing.executed is None else listing.executed.get(line, 0)
            for name in classes(match["opcode"], match["operands"]):
                result[name] += executions
    return result


class LanguageContrast(NamedTuple):
    """A variant in Python and one in another language: names, and the amount of each class."""

    python: str
    other: str
    of_python: Counter[str]
    of_other: Counter[str]
    verb: str

    def explanation(self, kind: str, text: str) -> Explanation:
        return Explanation(kind, text, "", {kind: {self.python: self.of_python[kind], self.other: self.of_other[kind]}})


def with_python(contrast: VariantContrast) -> LanguageContrast | None:
    """The contrast, if one variant is in Python and the text of both is known."""
    sides = [(side.name, side.listing) for side in contrast if side.listing is not None]
    sides.sort(key=lambda side: side[1].language != NUMBA.name)
    if len(sides) != 2 or [listing.language == NUMBA.name for _, listing in sides] != [True, False]:
        return None
    counted = all(listing.executed is not None for _, listing in sides)
    (python, first), (other, second) = sides
    return LanguageContrast(python, other, amounts(first), amounts(second), "executes" if counted else "has")


def integers(contrast: VariantContrast) -> Iterator[Explanation]:
    """Arithmetic on 64-bit integers, if Python has more."""
    sides = with_python(contrast)
    if sides and sides.of_python[INTEGERS] > sides.of_other[INTEGERS]:
        many, few, negative = sides.of_python[INTEGERS], sides.of_other[INTEGERS], sides.of_python[NEGATIVE]
        text = f"{sides.python} {sides.verb} {many:,} PTX instructions on 64-bit integers, {sides.other} {few:,}."
        if negative:
            text += f" {negative:,} of them test whether a number is negative, as an index of Python may be."
        yield sides.explanation(INTEGERS, text)


def doubles(contrast: VariantContrast) -> Iterator[Explanation]:
    """Arithmetic in double precision, if Python has more."""
    sides = with_python(contrast)
    if sides and sides.of_python[DOUBLES] > sides.of_other[DOUBLES]:
        yield sides.explanation(
            DOUBLES,
            f"{sides.python} {sides.verb} {sides.of_python[DOUBLES]:,} PTX instructions in double precision, "
            f"{sides.other} {sides.of_other[DOUBLES]:,}. In Python 0.5 is a double, and so is a quotient of integers: "
            "float32(0.5) is not.",
        )


def read_only(contrast: VariantContrast) -> Iterator[Explanation]:
    """Loads that may be kept in L1 because the kernel does not write there, if only the other side has them."""
    sides = with_python(contrast)
    if sides and sides.of_other[READ_ONLY] and not sides.of_python[READ_ONLY]:
        yield sides.explanation(
            READ_ONLY,
            f"{sides.other} {sides.verb} {sides.of_other[READ_ONLY]:,} read-only loads (ld.global.nc), {sides.python} "
            "none: Python cannot say that arrays do not overlap.",
        )
