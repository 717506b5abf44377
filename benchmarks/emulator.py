"""How fast the emulator runs PTX, with counters and checks on, compared with plain NumPy and numba's CUDA simulator.

    python benchmarks/emulator.py [--repeats 7]

Each time is the minimum of the repeats. The inputs are frozen (arrays.frozen), as those of a run are, so that they stay
in the emulator's memory: a launch copies the outputs in, runs the kernel, and copies back what was stored. The time of
the kernel alone is that of the launch minus that of a launch of one CTA. The NumPy interpreter (tests/emulator/oracle)
does one operation per instruction over the number of threads that is fastest, does not check or count, and for this
comparison may round fma twice. The simulator runs the same algorithms written for it (cuda_simulator.py), one element
per thread, so its column compares elements per second. The loops in C (loops.c) have one thread, and check and count
nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests.emulator, from whatever folder this is started

import numpy as np
from rich.console import Console
from rich.table import Table

from ptxbench import emulator
from ptxbench.arrays import frozen
from ptxbench.emulator import native
from ptxbench.emulator.messages import ErrorReply, LaunchReply, LaunchRequest, RetryReply
from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.process import STARTED_BY, InThisProcess, emulator_process, stop_process
from tests.emulator import pairs, warpgroup_gemm
from tests.emulator.oracle import interpret

SIZES = {
    "triad": {"n": 1 << 20},
    "reduce_sum": {"n": 1 << 22, "ctas": 1024},
    "softmax": {"rows": 1024, "columns": 1024},
    "transpose": {"rows": 1024, "columns": 1024},
    "sgemm_tiled": {"m": 512, "n": 512, "k": 512},
}
TARGET = 0.5e9
"""PTX thread-instructions per second and core that triad must reach at 2^20."""
WGMMA_TARGET = 1.0
"""The most seconds of a product of warpgroups (tests/emulator/warpgroup_gemm.py) on one thread."""
SETTLING_SECONDS = 4.0
"""Each kernel here has optimised code after it was launched for so many seconds."""
CHUNKS = (1 << 14, 1 << 16, 1 << 18)
"""Numbers of threads that the NumPy interpreter runs at once; the fastest counts."""
NOTHING = ".version 6.3\n.target sm_75\n.address_size 64\n.visible .entry nothing()\n{ ret; }\n"


@dataclass(frozen=True)
class Case:
    """A shipped kernel at one size."""

    name: str
    text: str
    options: dict[str, Any]
    arguments: list[Any]
    elements: int = 0
    """Elements of the input."""

    @classmethod
    def load(cls, name: str, size: Mapping[str, int]) -> Case:
        pair = pairs.load(name).pair
        launch = pair.launch(**size)
        options = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
        arguments = [
            frozen(value) if isinstance(value, np.ndarray) and key not in pair.outputs else value
            for key, value in pair.make_arguments(size, seed=1).items()
        ]
        elements = math.prod(extent for dimension, extent in size.items() if dimension != "ctas")
        return cls(name, pairs.ptx(name, "ptx"), options, arguments, elements)

    def run(self, **changed: Any) -> emulator.Execution:
        return emulator.run(self.text, args=self.arguments, **self.options | changed)

    @property
    def instructions(self) -> int:
        return len(choose(parse(self.text), None).instructions)


def least(repeats: int, action: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """The minimum time of an action in seconds."""
    times = []
    for _ in range(repeats):
        started = clock()
        action()
        times.append(clock() - started)
    return min(times)


def speed(cases: list[Case], repeats: int) -> tuple[Table, float]:
    """The table of speeds, and the rate of triad's whole launch on one thread."""
    table = Table(
        "kernel", "M inst.", "launch", "G/s", "kernel", "G/s", "2 thr.", "sanit.", "NumPy", "numba sim.",
        title="PTX thread-instructions, counters and checks on; one thread, times in ms",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    triad = 0.0
    simulated = simulator()
    for case in cases:
        count = case.run().counters["ptx_thread_instructions"]
        one_thread = least(repeats, lambda case=case: case.run(threads=1))
        copies = least(repeats, lambda case=case: case.run(threads=1, grid=1))
        shortened = shorter(case, repeats)
        sanitized = least(repeats, lambda case=case: case.run(threads=1, sanitize=True))
        kernel = max(one_thread - copies, 1e-9)
        if case.name == "triad":
            triad = count / one_thread
        in_order = case.run().order == "ascending"
        table.add_row(
            case.name, f"{count / 1e6:.1f}", f"{1e3 * one_thread:.1f}", f"{count / one_thread / 1e9:.2f}",
            f"{1e3 * kernel:.1f}", f"{count / kernel / 1e9:.2f}", "in order" if in_order else f"{shortened:.2f} x",
            f"{sanitized / one_thread:.1f} x", plain_numpy(case, one_thread),
            f"{simulated[case.name] * case.elements / one_thread:,.0f} x" if case.name in simulated else "-",
        )  # fmt: skip
    table.caption = (
        f"Two threads of NumPy add arrays {memory_scaling(repeats):.2f} times as fast as one: what this memory allows. "
        "2 thr.: CPU time on one thread over that of the longer of two. sanit.: the launch with sanitize=True; above "
        "5 M instructions without the second schedule. NumPy, numba sim.: their time over the launch's."
    )
    return table, triad


def shorter(case: Case, repeats: int) -> float:
    """The CPU time of a launch on one thread over that of the busier of two threads, without that of one CTA: how much
    sooner it ends on two free cores. On the clock, other work on the machine would decide it."""

    def longest(**options: Any) -> float:
        case.run(**options)  # a launch uses the memory of the last one again, if that was the same
        before = thread_times()
        case.run(**options)
        return max(seconds - before.get(thread, 0.0) for thread, seconds in thread_times().items())

    started = time.monotonic()
    while time.monotonic() - started < SETTLING_SECONDS:  # otherwise only some rounds would run quick code
        case.run(threads=1)
    # In turns, so that a time in which the machine is busy is the same for all three.
    rounds = [(longest(threads=1, grid=1), longest(threads=1), longest(threads=2)) for _ in range(repeats)]
    start, one_thread, two_threads = (min(times) for times in zip(*rounds, strict=True))
    return (one_thread - start) / max(two_threads - start, 1e-9)


def memory_scaling(repeats: int) -> float:
    """The speed-up of two threads over one when adding arrays with NumPy: the limit of this machine's memory.

    12 MiB, as triad at 2^20. A kernel that waits for memory cannot gain more from a second thread.
    """
    n = 1 << 20
    a, b, c = (np.ones(n, np.float32) for _ in range(3))
    halves = [slice(0, n // 2), slice(n // 2, n)]
    rounds = 8  # so that starting the threads counts for little

    def add(parts: list[slice]) -> None:
        for _ in range(rounds):
            for part in parts:
                np.add(b[part], c[part], out=a[part])

    with ThreadPoolExecutor(2) as pool:
        one_thread = least(repeats, lambda: add(halves))
        two_threads = least(repeats, lambda: list(pool.map(add, [[half] for half in halves])))
    return one_thread / two_threads


def plain_numpy(case: Case, launch: float) -> str:
    """The time of the NumPy interpreter divided by the time of the launch; "-" if it lacks an instruction."""
    arguments = [argument.copy() for argument in case.arguments]  # it writes all of them back
    try:
        times = [
            least(2, lambda chunk=chunk: interpret(
                case.text, None, args=arguments, threads_at_once=chunk, fused=False, **case.options
            ))
            for chunk in CHUNKS
        ]  # fmt: skip
    except (NotImplementedError, AttributeError):
        return "-"
    return f"{min(times) / launch:.1f} x"


def simulator() -> dict[str, float]:
    """Seconds an element in numba's CUDA simulator, by kernel."""
    script = Path(__file__).with_name("cuda_simulator.py")
    environment = dict(os.environ) | {"NUMBA_ENABLE_CUDASIM": "1"}
    printed = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    return json.loads(printed.stdout)


MANY = 10
"""How many times as many repeats of what takes a tenth of a millisecond: other work disturbs most of them."""
C_TARGET = 3.0
"""How many times as long as the loops in C a kernel may take, with optimised code."""


@contextlib.contextmanager
def empty_cache() -> Iterator[None]:
    """A new process of the emulator, and a cache that is empty at first; both end with the block."""
    kept = os.environ.get("PTXBENCH_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PTXBENCH_CACHE"] = folder
        stop_process()
        try:
            yield
        finally:
            stop_process()
            del os.environ["PTXBENCH_CACHE"]
            if kept is not None:
                os.environ["PTXBENCH_CACHE"] = kept


def compiled_loops() -> ctypes.CDLL | None:
    """The loops in C; None without gcc."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "loops.so"
        source = Path(__file__).with_name("loops.c")
        subprocess.run(
            [compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60
        )
        return ctypes.CDLL(str(library))


class SameLaunches(InThisProcess):
    """The emulator in this process, which can repeat the last launch without copying its arrays."""

    request: LaunchRequest

    def ask(self, request: LaunchRequest) -> LaunchReply | RetryReply | ErrorReply:
        self.request = request
        return super().ask(request)

    def kernel_seconds(self, tries: int) -> float:
        """The CPU time of the last launch, less that of its first CTA alone."""
        whole, first = self.request, replace(self.request, grid=(1, 1, 1))
        launch = least(tries, lambda: self.ask(whole), time.thread_time)
        start = least(tries, lambda: self.ask(first), time.thread_time)
        self.ask(whole)
        return launch - start


def against_c(loops: ctypes.CDLL, cases: list[Case], repeats: int) -> Table:
    """The kernels next to the same loops in C: both on this thread, again and again on the same arrays, in CPU time."""
    table = Table("kernel", "C, ms", "quick code", "optimised", title="The same loops in C, one thread")
    for column in table.columns[1:]:
        column.justify = "right"
    compared = [case for case in cases if hasattr(loops, case.name)]
    tries = MANY * repeats
    times = {case.name: [least(tries, lambda case=case: call(loops, case), time.thread_time)] for case in compared}
    started_by, STARTED_BY[:] = STARTED_BY[:], [SameLaunches]
    for level in ("0", "1"):
        os.environ["PTXBENCH_EMULATOR_LEVEL"] = level
        native.kernel.cache_clear()
        with empty_cache():  # the usual one would give optimised code in place of quick code
            for case in compared:
                case.run(threads=1)
                process = emulator_process()
                assert isinstance(process, SameLaunches)
                tries = repeats if level == "0" else MANY * repeats  # many launches would get optimised code
                times[case.name].append(process.kernel_seconds(tries))
    del os.environ["PTXBENCH_EMULATOR_LEVEL"]
    STARTED_BY[:] = started_by
    for name, (c, *launches) in times.items():
        table.add_row(name, f"{1e3 * c:.2f}", *(f"{1e3 * seconds:.2f} ms, {seconds / c:.1f} x" for seconds in launches))
    too_slow = [name for name, (c, _, optimised) in times.items() if optimised > C_TARGET * c]
    verdict = (
        f"ABOVE the target of {C_TARGET:.0f} x: {', '.join(too_slow)}" if too_slow else f"at most {C_TARGET:.0f} x"
    )
    table.caption = (
        "CPU times, without copies of arrays; gcc -O3 -march=native. The emulator checks and counts each access. quick "
        f"code: of a kernel's first launches; optimised: of those after a tenth of a second or more, {verdict}."
    )
    return table


THREADS_TARGET = 1.7
"""How many times as fast as one thread two must run these kernels, if two threads of the loop in C are as fast."""
SHARED_SIZES = {
    "triad": ({"n": 1 << 20}, {"n": 1 << 22}),
    "transpose": ({"rows": 1024, "columns": 1024}, {"rows": 2048, "columns": 2048}),
}
"""Sizes of which two threads run one half each. The target is for the larger ones: to start a thread takes a tenth of a
millisecond, a fifth of the smaller triad."""


def two_threads(loops: ctypes.CDLL, repeats: int) -> Table:
    """How much sooner two threads end than one: the emulator with optimised code, and triad in C."""
    table = Table("kernel", "size", "C", "emulator", title="Two threads")
    for column in table.columns[2:]:
        column.justify = "right"
    os.environ["PTXBENCH_EMULATOR_LEVEL"] = "1"
    stop_process()
    too_slow = []
    for name, sizes in SHARED_SIZES.items():
        for size in sizes:
            case = Case.load(name, size)
            case.run()
            loop = two_loops(loops, case, repeats) if name == "triad" else None
            kernel = shorter(case, repeats)
            extents = " x ".join(map(str, size.values()))
            table.add_row(name, extents, f"{loop:.2f} x" if loop else "-", f"{kernel:.2f} x")
            if size is sizes[-1] and kernel < THREADS_TARGET <= (loop or THREADS_TARGET):
                too_slow.append(name)
    del os.environ["PTXBENCH_EMULATOR_LEVEL"]
    stop_process()
    verdict = f"BELOW the target of {THREADS_TARGET} x: {', '.join(too_slow)}" if too_slow else (
        f"at least the target of {THREADS_TARGET} x, or than the memory allows"
    )  # fmt: skip
    table.caption = f"CPU time on one thread over that of the busier of two. At the larger sizes {verdict}."
    return table


def two_loops(loops: ctypes.CDLL, triad: Case, repeats: int) -> float:
    """How much sooner two threads of the loop in C end, each with one half."""
    arrays, numbers = triad.arguments[:3], triad.arguments[3:-1]
    half = len(arrays[0]) // 2
    halves = [
        replace(triad, arguments=[*(array[part] for array in arrays), *numbers, np.uint32(half)])
        for part in (slice(0, half), slice(half, 2 * half))
    ]
    rounds = 8  # so that starting the threads counts for little

    def spent(cases: list[Case]) -> float:
        """The CPU time of a thread that computes these."""
        started = time.thread_time()
        for case in rounds * cases:
            call(loops, case)
        return time.thread_time() - started

    with ThreadPoolExecutor(2) as pool:
        one = min(spent(halves) for _ in range(repeats))
        two = min(max(pool.map(spent, [[case] for case in halves])) for _ in range(repeats))
    return one / two


def call(loops: ctypes.CDLL, case: Case) -> None:
    """Call the C function with the case's name and arguments."""
    kinds = {"f": ctypes.c_float, "u": ctypes.c_uint}
    getattr(loops, case.name)(
        *(
            ctypes.c_void_p(argument.ctypes.data)
            if isinstance(argument, np.ndarray)
            else kinds[argument.dtype.kind](argument)
            for argument in case.arguments
        )
    )


def thread_times() -> dict[str, float]:
    """The CPU seconds of each thread of the emulator's process."""
    tasks = Path(f"/proc/{emulator_process().process.pid}/task").iterdir()
    return {task.name: int((task / "schedstat").read_text().split()[0]) / 1e9 for task in tasks}


def emulator_time() -> float:
    """The CPU seconds of the emulator's process."""
    return sum(thread_times().values())


def fixed_costs(cases: list[Case], repeats: int) -> str:
    """What a launch of one CTA with one thread costs, in CPU time of both processes, by kernel."""

    def both() -> float:
        return time.process_time() + emulator_time()

    rows = []
    for case in cases:
        options = {**case.options, "grid": 1, "block": 1}
        small = [argument[:1] if isinstance(argument, np.ndarray) else argument for argument in case.arguments]
        small = [np.zeros_like(argument)[()] if isinstance(argument, np.generic) else argument for argument in small]
        times = []
        for _ in range(20 * repeats):
            started = both()
            emulator.run(case.text, args=small, **options)
            times.append(both() - started)
        rows.append(f"{case.name} {1e3 * statistics.median(times):.2f}")
    return f"A launch of one thread costs, in ms of CPU time of both processes: {', '.join(rows)}."


def compilation(cases: list[Case]) -> Table:
    """How long the first launch of a kernel takes, beyond a later one: with an empty cache, and from the cache."""
    table = Table("kernel", "PTX inst.", "cold", "an inst.", "from cache", title="Before the first launch")
    for column in table.columns[1:]:
        column.justify = "right"
    with empty_cache():
        times: dict[str, list[float]] = {case.name: [] for case in cases}
        for _ in range(2):  # cold, then from the cache, each in a new process
            stop_process()
            emulator.run(NOTHING, grid=1, block=1, args=[])
            for case in cases:
                first = least(1, lambda case=case: case.run(grid=1))
                times[case.name].append(first - least(3, lambda case=case: case.run(grid=1)))
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
    cases = [Case.load(name, size) for name, size in SIZES.items()]
    table, triad = speed(cases, repeats)
    console.print(table)
    if (loops := compiled_loops()) is not None:
        console.print(against_c(loops, cases, repeats))
        console.print(two_threads(loops, MANY * repeats))
    console.print(compilation(cases))
    started = least(repeats, lambda: emulator.run(NOTHING, grid=1, block=1, args=[]))
    console.print(f"A launch of an empty kernel takes {1e3 * started:.2f} ms.")
    console.print(fixed_costs(cases[:3], repeats))
    arguments = warpgroup_gemm.operands()
    product = least(repeats, lambda: warpgroup_gemm.multiply(arguments, threads=1))
    extent = f"{warpgroup_gemm.M} x {warpgroup_gemm.N} x {warpgroup_gemm.K}"
    console.print(
        f"wgmma: a launch of a product of {extent} in f16 takes {1e3 * product:.0f} ms on one thread, "
        f"{'below' if product < WGMMA_TARGET else 'ABOVE'} the target of {1e3 * WGMMA_TARGET:,.0f} ms."
    )
    verdict = "above" if triad >= TARGET else "BELOW"
    console.print(
        f"triad at 2^20: {triad / 1e6:,.0f} M a second on one thread, {verdict} the target of {TARGET / 1e6:,.0f} M."
    )


if __name__ == "__main__":
    main()
