"""What the reader of a launch must know to interpret it: sentences about the program, its arguments and its memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ptxbench import kernel_names
from ptxbench.arguments import BoundArguments
from ptxbench.emulator.counters import EXACT
from ptxbench.emulator.syntax import Function, Module, Variable
from ptxbench.emulator.variables import reads_workspace
from ptxbench.toolchain.legality import Legality


def legality_notes(legality: Legality) -> Iterator[str]:
    """A sentence if it is not known whether ptxas accepts the PTX."""
    if legality.unchecked:
        yield f"not checked whether ptxas takes this PTX: {legality.unchecked}"


def model_notes(models: Mapping[str, str], arch: str) -> Iterator[str]:
    """A sentence for each kind of matrix instruction on how its arithmetic is known."""
    for origin in dict.fromkeys(models.values()):
        opcodes = ", ".join(opcode for opcode, origin_of_model in models.items() if origin_of_model == origin)
        if origin != EXACT:
            yield f"{opcodes}: adds up by a model of {arch}, which {origin}"


def type_notes(bound: Sequence[BoundArguments]) -> Iterator[str]:
    """A sentence for each array whose elements have another size or kind than the kernel's source declares."""
    for parameter in bound:
        if elements := parameter.other_elements:
            yield f"'{parameter.name}' is {parameter.type}, and its argument has elements {elements}"


def constant_notes(module: Module, function: Function, text: Sequence[str]) -> Iterator[str]:
    """A sentence about the constant variables that the kernel uses and the file gives no value: host code would."""
    used = used_variables(module, function, text)
    if unset := [
        kernel_names.short(variable.name) for variable in used if variable.space == "const" and not variable.initial
    ]:
        names = " and ".join(f"'{name}'" for name in unset)
        yield (
            f"{names} in constant memory hold{'s' if len(unset) == 1 else ''} zeros: the file gives no value, and host "
            "code that would set it is not executed"
        )


def grid_notes(module: Module, function: Function) -> Iterator[str]:
    """A sentence about a kernel that only a cooperative launch can run."""
    if reads_workspace(module, function):
        yield (
            "the kernel waits for the whole grid: launch it with cudaLaunchCooperativeKernel, as here; in any other "
            "launch the barrier traps"
        )


def used_variables(module: Module, function: Function, text: Sequence[str]) -> list[Variable]:
    """The module's variables whose names occur in the kernel or in a function that it may call.

    `text`: the lines of the PTX, from index 1.
    """
    callees = (callee for callee in module.functions.values() if not callee.entry)
    lines = {instruction.line for called in (function, *callees) for instruction in called.instructions}
    words = {word for line in lines for word in re.findall(r"[\w$]+", text[line])}
    return [variable for variable in module.variables.values() if variable.name in words]
