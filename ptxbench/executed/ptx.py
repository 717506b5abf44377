"""The lines of a kernel's PTX: the statements on each, and how often warps executed them."""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ptxbench.emulator.syntax import Function, Instruction, Module

ByLine = Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class PtxLines:
    """`module`: the parsed PTX; `entry`: its kernel; `counted`: one launch's counters by line, from the emulator."""

    module: Module
    entry: str
    counted: ByLine

    @cached_property
    def statements(self) -> Mapping[int, Sequence[Instruction]]:
        result: dict[int, list[Instruction]] = defaultdict(list)
        for function in self.module.functions.values():
            for instruction in function.instructions:
                result[instruction.line].append(instruction)
        return result

    @cached_property
    def numbers(self) -> Sequence[int]:
        """The lines on which statements and functions begin, in order."""
        return sorted({*self.statements, *(function.line for function in self.module.functions.values())})

    @cached_property
    def function(self) -> Function:
        return self.module.entries[self.entry]

    @cached_property
    def begin(self) -> Callable[[int | None], int | None]:
        """The first line of the statement that ends on a line: ptxas reports the last line, the emulator the first."""

        @functools.cache  # each instruction is asked for several times
        def begin(line: int | None) -> int | None:
            if line is None:
                return None
            index = bisect_right(self.numbers, line)
            return self.numbers[index - 1] if index and self.numbers[index - 1] in self.statements else None

        return begin

    def at(self, line: int) -> Sequence[Instruction]:
        return self.statements.get(line, ())

    def only(self, line: int, roots: Sequence[str]) -> Instruction | None:
        """The only statement of the line with one of these opcodes; None if there are none, or several."""
        statements = [statement for statement in self.at(line) if statement.opcode.split(".")[0] in roots]
        return statements[0] if len(statements) == 1 and len(self.at(line)) == 1 else None

    def executions(self, line: int) -> int:
        """How often warps executed the line; the sum, if it has several statements."""
        return self.counter(line, "ptx_warp_instructions")

    def counter(self, line: int, name: str) -> int:
        return int(self.counted.get(line, {}).get(name, 0))

    def requests(self, line: int) -> int | None:
        """How often warps executed the line's memory access with a true guard in some lane; None for other lines."""
        roots = {statement.opcode.split(".")[0] for statement in self.at(line)}
        if not roots <= {"ld", "ldu", "st", "atom", "red"}:
            return None
        counts = self.counted.get(line, {})
        return int(sum(count for name, count in counts.items() if name.endswith("_requests") and "async" not in name))

    def ways(self, line: int) -> tuple[int, int] | None:
        """How often a branch without divergence was taken, and how often not; None if that is not known."""
        (executed, lanes, lanes_on, divergent) = (
            self.counter(line, f"ptx_{name}")
            for name in ("warp_instructions", "thread_instructions", "thread_instructions_on", "divergent_branches")
        )
        if divergent or len(self.at(line)) != 1:
            return None
        if lanes_on in (0, lanes):
            return (executed if lanes_on else 0, 0 if lanes_on else executed)
        if lanes != 32 * executed or lanes_on % 32:
            return None
        return lanes_on // 32, executed - lanes_on // 32

    @cached_property
    def diverges(self) -> bool:
        """Whether the lanes of some warp diverged at a branch of the PTX."""
        return any(counts.get("ptx_divergent_branches") for counts in self.counted.values())
