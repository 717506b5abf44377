"""The line of a kernel with most of each count, so that a message can point at it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from ptxbench.metrics import EXECUTED

ByLine = Mapping[int, Mapping[str, float]]


def summed(opcodes: Mapping[int, Mapping[str, int]]) -> dict[str, int]:
    """Executions by opcode over all lines, in alphabetical order."""
    totals: Counter[str] = Counter()
    for executed in opcodes.values():
        totals.update(executed)
    return dict(sorted(totals.items()))


def hot_lines(
    by_line: ByLine, opcodes: Mapping[int, Mapping[str, int]], origin: Mapping[int, int] | None = None
) -> dict[str, int]:
    """By metric, the line with most of it; `origin`: the line of the source for each line of the PTX."""
    sums: dict[str, Counter[int]] = defaultdict(Counter)
    for ptx_line in by_line.keys() | opcodes.keys():
        line = ptx_line if origin is None else origin.get(ptx_line)
        if line is None:
            continue
        for name, count in by_line.get(ptx_line, {}).items():
            sums[name][line] += int(count)
        for name, _, _, read in EXECUTED:
            sums[name][line] += read(opcodes.get(ptx_line, {}))
    most = {
        name: max(lines, key=lambda line: (lines[line], -line)) for name, lines in sums.items() if any(lines.values())
    }
    return dict(sorted(most.items()))
