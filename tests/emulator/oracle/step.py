"""An instruction is analysed once, before it runs, by a rule of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Function, Instruction, Operand

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

UNSIGNED: dict[int, Any] = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}
SIGNED = {8: np.int8, 16: np.int16, 32: np.int32, 64: np.int64}
INTEGERS = {
    **{f"u{bits}": dtype for bits, dtype in UNSIGNED.items()},
    **{f"s{bits}": dtype for bits, dtype in SIGNED.items()},
}
BITS = {f"b{bits}": dtype for bits, dtype in UNSIGNED.items()}
KINDS: dict[str, Any] = {
    **INTEGERS, **BITS, "f32": np.float32, "f64": np.float64, "pred": np.bool_,
    # Narrower floats are bits here; floats.py gives their values.
    "f16": np.uint16, "bf16": np.uint16, "f16x2": np.uint32, "bf16x2": np.uint32, "tf32": np.uint32,
    "f32x2": np.uint64, "u16x2": np.uint32, "s16x2": np.uint32, "u8x4": np.uint32,
    "s8x4": np.uint32,
}  # fmt: skip
"""The NumPy type of a PTX type's bits."""

Action = Callable[["Threads"], None]


class Missing(NotImplementedError):
    """A feature that the interpreter lacks, with the line of the PTX."""


def width(kind: str) -> int:
    return 1 if kind == "pred" else 8 * int(np.dtype(KINDS[kind]).itemsize)


class Step:
    """An instruction; a rule takes its words one by one, and the words left over are unknown to the rule."""

    def __init__(self, instruction: Instruction, function: Function) -> None:
        self.instruction, self.function = instruction, function
        self.root, *self.words = instruction.opcode.split(".")
        self.line = instruction.line
        self.counted = ""
        self.operands = instruction.operands
        self.moves = False
        """Whether the rule itself sets the threads' program counters."""
        self.members: Operand | None = None
        """The member mask. If lanes of a warp name different masks, the groups execute the instruction one by one."""
        self.targets: tuple[int, ...] = ()
        """Where a branch may go."""
        self.action: Action = self.resolve()

    def resolve(self) -> Action:
        # The words are tried on a copy, so that a rule that does not apply leaves them to the next.
        words = list(self.words)
        for counted, rule in RULES.get(self.root, ()):
            self.words, self.counted = list(words), counted
            try:
                action = rule(self)
            except (KeyError, ValueError) as error:
                raise self.missing(f"{error!r}") from error
            if action is not None:
                if self.words:
                    raise self.missing(", ".join(f".{word}" for word in self.words))
                return action
        raise self.missing("no rule for these types" if self.root in RULES else "no rule")

    def missing(self, feature: str) -> Missing:
        return Missing(f"line {self.line}: {self.instruction.opcode}: {feature}")

    @property
    def last(self) -> str:
        return self.words[-1] if self.words else ""

    def take(self, *names: str) -> str:
        """The first of these words in the opcode, which is then taken; "" if there is none."""
        for name in names:
            if name in self.words:
                self.words.remove(name)
                return name
        return ""

    def need(self, *names: str) -> str:
        word = self.take(*names)
        if not word:
            raise self.missing(f"none of {', '.join(names)}")
        return word

    def type(self, *, among: Any = KINDS) -> str:
        """The type at the opcode's end."""
        if self.last not in among:
            raise self.missing(f".{self.last} is no type of it")
        return self.words.pop()

    @property
    def target(self) -> Operand:
        return self.operands[0]

    @property
    def sources(self) -> tuple[Operand, ...]:
        return self.operands[1:]


Rule = Callable[[Step], Action | None]
RULES: dict[str, list[tuple[str, Rule]]] = {}
"""By the first word of the opcode: class in the counters, and rules; the first rule that knows the types is used."""


def rule(*roots: str, counted: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        for root in roots:
            RULES.setdefault(root, []).append((counted, function))
        return function

    return register


def elementwise(step: Step, kinds: list[str] | str, function: Callable[..., Any]) -> Action:
    """The result of a function of the sources, read as `kinds`, thread by thread."""
    kinds = [kinds] * len(step.sources) if isinstance(kinds, str) else kinds
    if len(kinds) != len(step.sources):
        raise step.missing(f"{len(step.sources)} sources where {len(kinds)} should be")
    pairs = list(zip(step.sources, kinds, strict=True))
    target = step.target

    def act(threads: Threads) -> None:
        threads.write(target, function(*(threads.read(operand, kind) for operand, kind in pairs)))

    return act
