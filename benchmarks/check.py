"""What a judgement of `ptxbench check` and `ptxbench.Judge` costs, for every shipped pair, without a GPU.

    python benchmarks/check.py [--repeats 3] [PAIR]...

Shown are seconds of the processor, of all processes of a judgement, because other work changes them little. For each
pair:

- `new`: its own PTX after a sleep of a length that no text had before, so that ptxas and the emulator compile all of it
  and its machine code is new too: with a new comment alone, the machine code would be known;
- `again`: the same text again, as by another judge: its code is known, but all its launches are made again;
- `known`: the same text again, by the same judge, which has kept its judgement;
- `wrong`: a new text that returns before it does anything, so that it is wrong at the first check size;
- `cut`: the first half of its text, which cannot be parsed; ptxas is not asked about it.

Before that, the pair is loaded and prepared, which takes `start`. For comparison, `NVRTC + NumPy` is the time to
compile the pair's CUDA C and to compute the reference at its check sizes, without any launch. The last lines compare
two cores with one, and with numba's simulator of CUDA.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import ptxbench
from ptxbench import architecture, discovery
from ptxbench.check.cases import Cases
from ptxbench.check.judged import Judgements
from ptxbench.check.workers import LocalWorkers
from ptxbench.containment.nvrtc_library import Library
from ptxbench.toolchain import locate, nvrtc, trial

ALLOWED = {"new": 0.3, "again": 0.1, "known": 0.1, "wrong": 0.06, "cut": 0.01}
"""Seconds of the processor that the median pair may take."""

USUAL = "sm_90"
"""The architecture of a pair, unless its PTX is for another one."""

GAIN = 1.8
"""How many times as many judgements two cores should make as one."""

THROUGHPUT = 20
"""Judgements that are timed by the clock, on one core and on two."""

ROUNDS = 5
"""How many times both are timed, in turn. One round differs from the next by up to a fifth."""

NUMBER = itertools.count()


def with_new_comment(text: str) -> str:
    """The text after a comment that no text had before."""
    return f"// {os.getpid()} {next(NUMBER)}\n{text}"


def with_first_instruction(text: str, instruction: str) -> str:
    """The text with another instruction before its first one."""
    lines = text.splitlines()
    body = next(n for n, line in enumerate(lines) if line.startswith("{"))
    ended = True  # whether the statement on the lines before has ended
    for number, line in enumerate(lines[body:], body):
        code = line.split("//")[0].strip()
        if code and ended and code[0] not in ".{":
            return "\n".join([*lines[:number], f"    {instruction};", *lines[number:]])
        ended = code[-1] in ";{" if code else ended
    raise ValueError("no instruction")


def early_return(text: str) -> str:
    """The text with a return before its first instruction."""
    return with_first_instruction(text, "ret")


def new_code(text: str) -> str:
    """The text with machine code that very likely no text had before: it sleeps for a number of ns below 1,000,000."""
    return with_first_instruction(
        with_new_comment(text), f"nanosleep.u32 {(1000 * os.getpid() + next(NUMBER)) % 1_000_000}"
    )


def processor_seconds(judge: ptxbench.Judge) -> float:
    """Seconds of the processor: of this process, of the judge's, and of those that were forked from the judge's."""
    seconds = time.process_time()
    assert isinstance(judge.workers, LocalWorkers)
    if (server := judge.workers.server.process) is None:
        return seconds
    running = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return seconds + sum(map(with_ended_children, [str(server.pid), *running]))


def with_ended_children(pid: str) -> float:
    """Seconds of the processor of a process, and of its child processes that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def forget(judge: ptxbench.Judge) -> None:
    """Make the judge judge all texts again."""
    assert isinstance(judge.workers, LocalWorkers)
    judge.workers.server.judgements = Judgements()


def cost(judge: ptxbench.Judge, texts: list[str], verdict: str, stage: str = "", *, known: bool = False) -> float:
    """Mean seconds of the processor for each of the texts, which must all have this verdict, decided in `stage`.
    `known`: whether a judgement that the judge has kept counts."""
    before = processor_seconds(judge)
    for text in texts:
        if not known:
            forget(judge)
        judgement = judge.judge(text)
        assert judgement.verdict == verdict, judgement.decisive
        assert not stage or (judgement.decisive and judgement.decisive.stage == stage), judgement.decisive
    return (processor_seconds(judge) - before) / len(texts)


def costs(judge: ptxbench.Judge, text: str, repeats: int) -> dict[str, float]:
    seconds_of = {"start": cost(judge, [with_new_comment(text), with_new_comment(text)], "accepted")}
    again = new_code(text)
    seconds_of["new"] = cost(judge, [new_code(text) for _ in range(repeats - 1)] + [again], "accepted")
    seconds_of["again"] = cost(judge, [again] * repeats, "accepted")
    seconds_of["known"] = cost(judge, [again] * 20 * repeats, "accepted", known=True)
    seconds_of["wrong"] = cost(
        judge, [with_new_comment(early_return(text)) for _ in range(4 * repeats)], "rejected", "results"
    )
    seconds_of["cut"] = cost(
        judge, [with_new_comment(text[: len(text) // 2]) for _ in range(4 * repeats)], "rejected", "parses"
    )
    return seconds_of


def nvrtc_and_numpy(loaded: discovery.LoadedPair) -> float:
    """Seconds of the processor for NVRTC on the pair's CUDA C, and the reference at every check size."""
    source = next(source for source in loaded.sources if source.variant == "cuda")
    options = [*nvrtc.FLAGS, "-arch=compute_90", *(f"-I{folder}" for folder in locate.headers())]
    library = Library(nvrtc.find())
    before = time.process_time()
    status, name, log, *_ = library.compile(source.path.read_bytes(), source.path.name, options)
    assert status == 0, (name, log)
    cases = Cases(loaded)
    with np.errstate(all="ignore"):
        for size in loaded.pair.check_sizes:
            cases.plain(size, 1)
    return time.process_time() - before


def judged_per_second(pair: str, text: str, cores: set[int]) -> float:
    """Judgements of new texts a second by the clock, with as many jobs as cores."""
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        with ptxbench.Judge(pair, seed=1, backend="emulator", jobs=len(cores)) as judge:
            for _ in judge.judge_many([with_new_comment(text) for _ in range(3)]):
                pass
            started = time.perf_counter()
            for _ in judge.judge_many([with_new_comment(text) for _ in range(THROUGHPUT)]):
                pass
            return THROUGHPUT / (time.perf_counter() - started)
    finally:
        os.sched_setaffinity(0, all_cores)


def arch_of(text: str) -> str:
    """The architecture to judge a PTX text for: its .target if the usual one does not take that."""
    target = trial.directive(text, "target") or USUAL
    return target if architecture.suffix(target) or architecture.number(target) > architecture.number(USUAL) else USUAL


def simulated() -> float:
    """Seconds that a thread of the triad takes in numba's simulator."""
    script = Path(__file__).with_name("cuda_simulator.py")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    ran = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    return float(json.loads(ran.stdout)["triad"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("pairs", nargs="*", help="names or globs of pairs; all without")
    options = parser.parse_args()
    kernels = discovery.default_kernels()
    table = Table(title="ptxbench.Judge, milliseconds of the processor")
    for heading in ("pair", "start", *ALLOWED, "NVRTC + NumPy"):
        table.add_column(heading, justify="left" if heading == "pair" else "right")
    measured: dict[str, list[float]] = {name: [] for name in ALLOWED}
    for name in discovery.choose_pairs(kernels, options.pairs):
        loaded = discovery.load(kernels, name)
        text = next(source for source in loaded.sources if source.variant == "ptx").on(USUAL).path.read_text()
        with ptxbench.Judge(name, arch=arch_of(text), seed=1, backend="emulator") as judge:
            of_pair = costs(judge, text, options.repeats)
        for heading, seconds in measured.items():
            seconds.append(of_pair[heading])
        try:
            scale = f"{1e3 * nvrtc_and_numpy(loaded):.0f}"
        except AssertionError:
            scale = "-"
        table.add_row(name, *(f"{1e3 * seconds:.0f}" for seconds in of_pair.values()), scale)
    Console().print(table)
    for heading, allowed in ALLOWED.items():
        median = statistics.median(measured[heading])
        print(f"median {heading}: {1e3 * median:.0f} ms of the processor; expected at most {1e3 * allowed:.0f} ms")
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) == 2:
        text = (kernels / "ptx" / "triad.ptx").read_text()
        rounds = [[judged_per_second("triad", text, {*some}) for some in (cores[:1], cores)] for _ in range(ROUNDS)]
        on_one, on_two = (statistics.median(speeds) for speeds in zip(*rounds, strict=True))
        gains = sorted(two / one for one, two in rounds)
        print(
            f"triad, new texts: {on_one:.1f} judgements a second on one core, {on_two:.1f} on two: "
            f"{statistics.median(gains):.2f} times, from {gains[0]:.2f} to {gains[-1]:.2f} in {ROUNDS} rounds"
        )
        print(f"expected at least {GAIN} times")
    print(f"numba's simulator takes {1e3 * 65_536 * simulated():,.0f} ms for one launch of triad at 65,536 elements")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
