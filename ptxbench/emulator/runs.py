"""Whether lanes access consecutive elements, tested once for all addresses that differ by a number.

`x + offset`, `y + offset` and `z + offset`, where each lane has the same x, y and z, are runs (runtime/spaces.py) if
one of them is. To compare 32 lanes for each of them would take as long as the accesses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ptxbench.emulator.definitions import VECTOR, Definitions
from ptxbench.emulator.runtime.context import multiples
from ptxbench.emulator.types import LANES

if TYPE_CHECKING:
    from ptxbench.emulator.emit import Emitter, Value

SUM = re.compile(rf"(?:add|sub) {VECTOR} (\S+|splat \(\w+ \w+\)), (\S+|splat \(\w+ \w+\))")


class Runs:
    """The comparisons that a kernel's code has made so far."""

    def __init__(self, e: Emitter, definitions: Definitions) -> None:
        self.e, self.definitions = e, definitions
        self.results: dict[tuple[str, int, int], str] = {}
        """The i1 name of each comparison, by the vector, the bytes between lanes, and the number of labels so far."""

    def in_order(self, address: Value, size: int) -> str:
        """Whether each lane's address is `size` bytes above that of the lane before (i1 name)."""
        self.definitions.update()
        distances = self.distances(address.ir)
        key = distances, size, self.definitions.labels
        if key not in self.results:
            self.results[key] = self.compared(distances, address.type.element, size)
        return self.results[key]

    def distances(self, name: str) -> str:
        """A vector whose lanes are as far apart as those of the vector `name`."""
        while match := SUM.fullmatch(self.definitions.text(name)):
            a, b = match.groups()
            if self.definitions.is_uniform(b):
                name = a
            elif self.definitions.is_uniform(a) and match[0].startswith("add"):
                name = b
            else:
                break
        return name

    def compared(self, name: str, element: str, size: int) -> str:
        """Emit the comparison for the vector `name`."""
        e, vector = self.e, f"<{LANES} x {element}>"
        first = e.op(f"shufflevector {vector} {name}, {vector} poison, <{LANES} x i32> zeroinitializer")
        expected = e.op(f"add {vector} {first}, {multiples(element, size)}")
        # Not a comparison of each lane: LLVM would make a mask of it, with twice as many instructions.
        unlike = e.op(f"xor {vector} {name}, {expected}")
        any_unlike = e.intrinsic(f"llvm.vector.reduce.or.v{LANES}{element}", element, (vector, unlike))
        return e.op(f"icmp eq {element} {any_unlike}, 0")
