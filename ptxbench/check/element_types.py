"""Accesses to an array as if it had elements of another type, such as halves where the pair has floats.

A pointer in PTX has no type, so such a kernel has the right parameters and wrong results.
"""

from __future__ import annotations

import re

from ptxbench.arrays import is_float
from ptxbench.check.lint_subject import LintSubject
from ptxbench.pair import ArrayArgument

ACCESS = re.compile(r"(?:ld|st|atom|red)\b(?!\.(?:param|shared|local)).*\.(?P<kind>[usbf])(?P<bits>\d+)")
VECTOR = re.compile(r"\.v[248]\b")


def other_type(subject: LintSubject) -> tuple[int, str] | None:
    """The line of the first access to an array all of whose accesses have another type, and a sentence."""
    accesses: dict[str, list[tuple[int, str]]] = {}
    for instruction, roots in subject.addressed:
        names = sorted(roots & subject.arrays.keys())
        if len(names) == 1 and ACCESS.fullmatch(instruction.opcode):
            accesses.setdefault(names[0], []).append((instruction.line, instruction.opcode))
    for name, found in accesses.items():
        arg = subject.arrays[name]
        if isinstance(arg, ArrayArgument) and all(contradicts(arg, opcode) for _, opcode in found):
            line, opcode = found[0]
            return line, f"{opcode} does not fit the elements of '{arg.name}', which are {arg.dtype} in the pair."
    return None


def contradicts(arg: ArrayArgument, opcode: str) -> bool:
    """Whether elements of the argument are not accessed so: as floats of another type, or in parts. A vector may have
    any type: it is often used for a copy."""
    match = ACCESS.fullmatch(opcode)
    if match is None or VECTOR.search(opcode):
        return False
    bits, own = int(match["bits"]), 8 * arg.dtype.itemsize
    return bits < own or (match["kind"] == "f" and (bits != own or not is_float(arg.dtype)))
