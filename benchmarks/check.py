"""How long `ptxbench check` takes for one candidate of every shipped pair, without a GPU.

    python benchmarks/check.py [--repeats 3]

The candidate is the pair's own PTX under one more comment, so that it is another file and the same kernel. `first` is
with an empty cache, where NVRTC, ptxas and the emulator compile everything, the pair's own variants too; `new` with a
cache that knows the pair and not the candidate, as in an edit loop; `warm` with one that knows both, the least of the
repeats. Seconds of the whole command's work, all processes and stages and the usual targets: of the processor, which
other work on the machine changes little, and by the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ptxbench import discovery
from ptxbench.check.contained import CheckTask, judge
from ptxbench.check.findings import ACCEPTED
from ptxbench.check.request import targets_of
from ptxbench.check.stages import CheckOptions

MOST_WARM = 10.0
"""Seconds that a warm judgement may take on two cores."""


def seconds(path: Path, task: CheckTask) -> tuple[float, float]:
    """CPU seconds and wall-clock seconds."""
    started, used = time.perf_counter(), processor_seconds()
    judgement = judge(path, task)
    assert judgement.verdict == ACCEPTED, judgement.decisive
    return processor_seconds() - used, time.perf_counter() - started


def processor_seconds() -> float:
    """Of all finished child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("pairs", nargs="*", help="names or globs of pairs; all without")
    options = parser.parse_args()
    kernels = discovery.default_kernels()
    table = Table(
        title=f"ptxbench check, seconds of the processor / by the clock, {len(os.sched_getaffinity(0))} cores"
    )
    table.add_column("pair")
    for heading in ("first", "new", "warm"):
        table.add_column(heading, justify="right")
    slowest = 0.0
    used: list[float] = []
    for name in discovery.choose_pairs(kernels, options.pairs):
        text = (kernels / "ptx" / f"{name}.ptx").read_text()
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PTXBENCH_CACHE"] = f"{folder}/cache"
            path = Path(folder) / "candidate.ptx"
            task = CheckTask(name, kernels, "sm_90", 1, CheckOptions(targets=targets_of(())))
            path.write_text(f"// one\n{text}")
            first = seconds(path, task)
            path.write_text(f"// two\n{text}")
            new = seconds(path, task)
            warm = min(seconds(path, task) for _ in range(options.repeats))
        slowest = max(slowest, warm[1])
        used.append(warm[0])
        table.add_row(name, *(f"{processor:.2f} / {clock:.1f}" for processor, clock in (first, new, warm)))
    Console().print(table)
    print(f"median warm: {statistics.median(used):.2f} s of the processor")
    print(f"slowest warm: {slowest:.1f} s by the clock, of {MOST_WARM:.0f} s allowed")
    return int(slowest > MOST_WARM)


if __name__ == "__main__":
    raise SystemExit(main())
