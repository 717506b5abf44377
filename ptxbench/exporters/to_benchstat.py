"""Lines of Go's benchmark format, one a variant and round: `benchstat -col /impl FILE` compares the variants.

The unit of evidence is the round, a process of its own, so a line is the median of a round and not a sample. Only what
two comparable runs have in common stands above the lines, for benchstat keeps what differs there apart. The format:
golang.org/design/14313-benchmark-format.
"""

from __future__ import annotations

from ptxbench import stats
from ptxbench.errors import UsageError
from ptxbench.result import VERIFIED, Run
from ptxbench.safe_text import one_line, word


def export(run: Run) -> str:
    """The run as benchmark lines. Raises UsageError for a run without times."""
    system = one_line(str(run.host.os or "unknown")).partition(" ")[0].lower()
    lines = [f"goos: {system}", f"gpu: {one_line(run.device.name)}"]
    for cell in run.cells:
        size = "/".join(f"{name}={value}" for name, value in cell.point.items())
        for variant, result in cell.variants.items():
            for ns in stats.round_medians_ns(cell.rounds, variant) if result.status == VERIFIED else ():
                # Go wants a name that does not begin with a small letter
                name = f"Benchmark{cell.pair[:1].upper()}{cell.pair[1:]}/{size}/cache={cell.cache}/impl={variant}"
                lines.append(f"{word(name)} 1 {ns:g} ns/op")
    if len(lines) == 2:
        raise UsageError(f"Run {run.run.id} has no times, and benchmark lines hold nothing else. Export it as csv.")
    return "\n".join(lines) + "\n"
