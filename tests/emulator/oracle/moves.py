"""Moves between registers, and addresses. (PTX ISA, "Data Movement and Conversion": mov, cvta, isspacep.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Symbol, Vector
from tests.emulator.oracle.memory import LOCAL, SHARED, WINDOW
from tests.emulator.oracle.step import UNSIGNED, Action, Step, rule, width

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

WINDOWS = {"shared": SHARED, "local": LOCAL, "global": 0, "const": 0, "param": 0}


@rule("mov", counted="move")
def mov(step: Step) -> Action | None:
    take_vector = step.take("v2", "v4")
    kind = step.type()
    (source,) = step.sources
    bits = width(kind)

    def act(threads: Threads) -> None:
        if take_vector:
            values = [threads.read(part, kind) for part in source.parts]
            for part, value in zip(step.target.parts, values, strict=True):
                threads.write(part, value)
        elif isinstance(source, Vector):
            piece = bits // len(source.parts)
            whole: Any = UNSIGNED[bits](0)
            for i, part in enumerate(source.parts):
                value = np.asarray(threads.read(part, f"b{piece}")).astype(UNSIGNED[bits])
                whole = whole | value << UNSIGNED[bits](i * piece)
            threads.write(step.target, whole)
        elif isinstance(step.target, Vector):
            piece = bits // len(step.target.parts)
            whole = threads.read(source, f"b{bits}")
            for i, part in enumerate(step.target.parts):
                threads.write(part, (whole >> UNSIGNED[bits](i * piece)).astype(UNSIGNED[piece]))
        else:
            threads.write(step.target, threads.read(source, kind))

    return act


@rule("cvta", counted="move")
def cvta(step: Step) -> Action | None:
    kind = step.type(among=("u64", "u32"))
    to = bool(step.take("to"))
    window = np.uint64(WINDOWS[step.need(*WINDOWS).partition("::")[0]])
    (source,) = step.sources

    def act(threads: Threads) -> None:
        address = threads.read(source, kind)
        if isinstance(source, Symbol):
            address = np.uint64(threads.memory.addresses[source.name] + source.offset)
        threads.write(step.target, address - window if to else address + window)

    return act


def spaces(address: Any) -> dict[str, Any]:
    """Which generic addresses lie in the windows of shared and local memory, and which elsewhere."""
    shared = (address >= SHARED) & (address < SHARED + WINDOW)
    local = (address >= LOCAL) & (address < LOCAL + WINDOW)
    return {"shared": shared, "local": local, "global": ~shared & ~local}


@rule("isspacep", counted="move")
def isspacep(step: Step) -> Action | None:
    space = step.need("global", "shared", "shared::cta", "local").partition("::")[0]
    (source,) = step.sources

    def act(threads: Threads) -> None:
        threads.write(step.target, spaces(threads.read(source, "u64"))[space])

    return act


@rule("createpolicy", counted="memory")
def createpolicy(step: Step) -> Action | None:
    """An opaque number that only hints take."""
    step.words.clear()

    def act(threads: Threads) -> None:
        threads.write(step.target, np.uint64(0))

    return act
