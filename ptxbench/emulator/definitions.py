"""What the lines of a kernel's code define, so that later lines can use what is known of a vector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ptxbench.emulator.runtime import conditions
from ptxbench.emulator.types import LANES

if TYPE_CHECKING:
    from ptxbench.emulator.emit import Emitter

NAME = re.compile(r"%v[\w.]+")
VECTOR = rf"<{LANES} x \w+>"
UNIFORM = re.compile(
    rf"shufflevector {VECTOR} %\S+, {VECTOR} poison, <{LANES} x i32> zeroinitializer"
    rf"|load {VECTOR}, ptr getelementptr \(i8, ptr @{conditions.SYMBOL}, .*"
)
"""A vector with one value in all lanes."""
LABEL = re.compile(r":(?:\n|\Z)")


class Definitions:
    """The texts after `=` of a kernel's lines so far, by name."""

    def __init__(self, e: Emitter) -> None:
        self.e = e
        self.texts: dict[str, str] = {}
        self.read = 0
        self.labels = 0
        """How many lines so far have labels: a name that is defined after one may be undefined after the next."""

    def update(self) -> None:
        """Read the lines since the last time."""
        for line in self.e.lines[self.read :]:
            name, _, text = line.partition(" = ")
            self.texts[name] = text
            self.labels += bool(LABEL.search(line))
        self.read = len(self.e.lines)

    def text(self, name: str) -> str:
        """The text of a definition; empty if no line defines this name."""
        return self.texts.get(name, "")

    def is_uniform(self, name: str) -> bool:
        """Whether an operand is known to have one value in all lanes."""
        return name.startswith("splat (") or bool(UNIFORM.fullmatch(self.text(name)))
