"""How fast the emulator runs the shipped PTX, with counters and checks on, beside plain NumPy; and how it compiles.

    python benchmarks/emulator.py [--repeats 7]

Each time is the least of the repeats, of whole launches: arguments copied in, the kernel, every array copied back.
The NumPy interpreter (tests/emulator/oracle.py) does one operation an instruction over as many threads as suit it
best, does not check or count, and for this comparison may round fma twice. Both run the kernel that a person wrote,
at a size that fits no cache but the last.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests.emulator, from whatever folder this is started

from rich.console import Console
from rich.table import Table

from ptxbench import emulator
from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.process import stop_process
from tests.emulator import pairs
from tests.emulator.oracle import interpret

SIZES = {
    "triad": {"n": 1 << 20},
    "reduce_sum": {"n": 1 << 22},
    "softmax": {"rows": 1024, "columns": 1024},
    "transpose": {"rows": 1024, "columns": 1024},
}
TARGET = 0.5e9
"""PTX thread-instructions a second and core that triad must reach at 2^20."""
CHUNKS = (1 << 14, 1 << 16, 1 << 18)
"""Threads that the NumPy interpreter runs at once; the best counts."""
NOTHING = ".version 6.3\n.target sm_75\n.address_size 64\n.visible .entry nothing()\n{ ret; }\n"


@dataclass(frozen=True)
class Case:
    """A shipped kernel at one size."""

    name: str
    text: str
    options: dict[str, Any]
    arguments: list[Any]

    @classmethod
    def load(cls, name: str) -> Case:
        pair = pairs.load(name).pair
        size = SIZES[name]
        launch = pair.launch(**size)
        options = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
        return cls(name, pairs.ptx(name, "ptx"), options, list(pair.make_arguments(size, seed=1).values()))

    def run(self, **changed: Any) -> emulator.Execution:
        return emulator.run(self.text, args=self.arguments, **self.options | changed)

    @property
    def instructions(self) -> int:
        return len(choose(parse(self.text), None).instructions)


def least(repeats: int, action: Callable[[], object]) -> float:
    """The least time of an action in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def speed(cases: list[Case], repeats: int) -> tuple[Table, float]:
    """The table of speeds, and triad's on one thread."""
    table = Table(
        "kernel", "M inst.", "1 thread", "G/s", "2 threads", "G/s a core", "copies", "NumPy", "G/s", "NumPy / 1 thread",
        title="PTX thread-instructions a second, counters and checks on; times in ms",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    triad = 0.0
    for case in cases:
        count = case.run().counters["ptx_thread_instructions"]
        one = least(repeats, lambda case=case: case.run(threads=1))
        two = least(repeats, lambda case=case: case.run(threads=2))
        copies = least(repeats, lambda case=case: case.run(threads=1, grid=1))
        numpy = min(
            least(2, lambda case=case, chunk=chunk: interpret(
                case.text, None, args=case.arguments, threads_at_once=chunk, fused=False, **case.options
            ))
            for chunk in CHUNKS
        )  # fmt: skip
        if case.name == "triad":
            triad = count / one
        table.add_row(
            case.name, f"{count / 1e6:.1f}", f"{1e3 * one:.1f}", f"{count / one / 1e9:.2f}", f"{1e3 * two:.1f}",
            f"{count / two / 2e9:.2f}", f"{1e3 * copies:.1f}", f"{1e3 * numpy:.0f}", f"{count / numpy / 1e9:.2f}",
            f"{numpy / one:.1f}",
        )  # fmt: skip
    table.caption = "Copies: the same launch of one CTA. Kernels with global atomics keep to one thread."
    return table, triad


def compilation(cases: list[Case]) -> Table:
    """How long the first launch of a kernel takes, beyond a later one: with an empty cache, and from the cache."""
    table = Table("kernel", "PTX inst.", "cold", "an inst.", "from cache", title="Before the first launch")
    for column in table.columns[1:]:
        column.justify = "right"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PTXBENCH_CACHE"] = folder
        times: dict[str, list[float]] = {case.name: [] for case in cases}
        for _ in range(2):  # cold, then from the cache, each in a process that knows none of the kernels
            stop_process()
            emulator.run(NOTHING, grid=1, block=1, args=[])
            for case in cases:
                first = least(1, lambda case=case: case.run(grid=1))
                times[case.name].append(first - least(3, lambda case=case: case.run(grid=1)))
        stop_process()
        del os.environ["PTXBENCH_CACHE"]
    for case in cases:
        cold, cached = times[case.name]
        table.add_row(
            case.name, str(case.instructions), f"{1e3 * cold:.0f} ms", f"{1e3 * cold / case.instructions:.2f} ms",
            f"{1e3 * cached:.1f} ms",
        )  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="launches of which the quickest counts  [7]")
    repeats = parser.parse_args().repeats
    console = Console(width=100)
    cases = [Case.load(name) for name in SIZES]
    table, triad = speed(cases, repeats)
    console.print(table)
    console.print(compilation(cases))
    started = least(repeats, lambda: emulator.run(NOTHING, grid=1, block=1, args=[]))
    console.print(f"A launch of an empty kernel takes {1e3 * started:.2f} ms.")
    verdict = "above" if triad >= TARGET else "BELOW"
    console.print(
        f"triad at 2^20: {triad / 1e6:,.0f} M a second on one thread, {verdict} the target of {TARGET / 1e6:,.0f} M."
    )


if __name__ == "__main__":
    main()
