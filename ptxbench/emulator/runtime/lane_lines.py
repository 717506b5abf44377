"""LLVM IR lines on vectors of all lanes, with unique names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ptxbench.emulator.runtime.context import MASK


class LaneLines:
    """The lines of a function's text. `prefix`: of the names; two objects in one function need different ones."""

    def __init__(self, prefix: str = "n") -> None:
        self.lines: list[str] = []
        self.names = 0
        self.prefix = prefix

    def op(self, text: str) -> str:
        self.names += 1
        self.lines.append(f"%{self.prefix}{self.names} = {text}")
        return f"%{self.prefix}{self.names}"

    def label(self, hint: str) -> str:
        self.names += 1
        return f"{hint}.{self.prefix}{self.names}"

    def either(self, *conditions: str) -> str:
        return self.joined("or", conditions)

    def both(self, *conditions: str) -> str:
        return self.joined("and", conditions)

    def joined(self, operator: str, conditions: tuple[str, ...]) -> str:
        result = conditions[0]
        for condition in conditions[1:]:
            result = self.op(f"{operator} {MASK} {result}, {condition}")
        return result

    def any_of(self, lanes: str) -> str:
        """Whether any lane is set."""
        mask = self.op(f"bitcast {MASK} {lanes} to i32")
        return self.op(f"icmp ne i32 {mask}, 0")

    @contextmanager
    def where(self, lanes: str) -> Iterator[None]:
        """Lines that run only if any lane is set."""
        some = self.any_of(lanes)
        yes, no = self.label("some"), self.label("none")
        self.lines.append(f"br i1 {some}, label %{yes}, label %{no}\n{yes}:")
        yield
        self.lines.append(f"br label %{no}\n{no}:")

    def leave_if(self, lanes: str, label: str) -> None:
        """Branch to `label` if any lane is set."""
        some = self.any_of(lanes)
        on = self.label("on")
        self.lines.append(f"br i1 {some}, label %{label}, label %{on}\n{on}:")
