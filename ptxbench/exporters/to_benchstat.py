"""Lines of Go's benchmark format, one per variant and round: `benchstat -col /impl FILE` compares the variants.

A line is the median of a round and not a sample, because only rounds, which are processes of their own, are
independent. The lines above contain only facts that comparable runs share, because benchstat separates runs that differ
there. The format: golang.org/design/14313-benchmark-format.
"""

from __future__ import annotations

from ptxbench import stats
from ptxbench.errors import UsageError
from ptxbench.result import VERIFIED, RunDocument
from ptxbench.safe_text import one_line, word


def export(run: RunDocument) -> str:
    """The run as benchmark lines. Raises UsageError for a run without times."""
    system = one_line(str(run.host.os or "unknown")).partition(" ")[0].lower()
    lines = [f"goos: {system}", f"gpu: {one_line(run.device.name)}"]
    for cell in run.cells:
        size = "/".join(f"{name}={value}" for name, value in cell.point.items())
        for variant, result in cell.variants.items():
            for ns in stats.round_medians_ns(cell.rounds, variant) if result.status == VERIFIED else ():
                # In Go, names of benchmarks begin with a capital letter.
                name = f"Benchmark{cell.pair[:1].upper()}{cell.pair[1:]}/{size}/cache={cell.cache}/impl={variant}"
                lines.append(f"{word(name)} 1 {ns:g} ns/op")
    if len(lines) == 2:
        raise UsageError(f"Run {run.run.id} has no times, and benchmark lines hold nothing else. Export it as csv.")
    return "\n".join(lines) + "\n"
