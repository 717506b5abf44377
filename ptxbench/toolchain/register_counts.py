"""The numbers of registers that a PTX text declares: ptxas would take gigabytes of memory for a billion."""

from __future__ import annotations

import re

MOST_REGISTERS = 100_000
"""Registers in one declaration, `.reg .b32 %r<N>`; NVRTC's largest have some hundreds."""

FAMILY = re.compile(r"<\s*(0[xX][0-9a-fA-F]+|\d+)U?\s*>")
COMMENT_OR_STRING = re.compile(r'/\*(?:.*?\*/|.*)|//[^\n]*|"[^"\n]*"', re.S)
"""Comments and strings."""


def too_many_registers(text: str) -> re.Match[str] | None:
    """The first `<N>` of the text, also in a comment, with more than MOST_REGISTERS."""
    return next((family for family in FAMILY.finditer(text) if count(family[1]) > MOST_REGISTERS), None)


def count(literal: str) -> int:
    """An octal number, which begins with 0, is taken as a decimal one, which is at least as large."""
    return int(literal, 16 if literal[:2] in ("0x", "0X") else 10) if len(literal) <= 12 else 10**12


def refusal(ptx: str) -> str | None:
    """Why ptxas is not run on a PTX text that declares too many registers at once, as the rest of a sentence."""
    if not too_many_registers(ptx):
        return None
    code = COMMENT_OR_STRING.sub(lambda match: "\n" * match[0].count("\n") + " ", ptx)
    family = too_many_registers(code)
    if family is None:
        return None
    line = code.count("\n", 0, family.start()) + 1
    return (
        f"is not run on {family[1][:20]} registers in one declaration (line {line}); expected at most "
        f"{MOST_REGISTERS:,}"
    )
