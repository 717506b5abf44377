"""The kernels of other generators that the emulator runs unchanged: prints the table of docs/emulator.md.

    python -m benchmarks.foreign [PRODUCER ...] [--kernel NAME] [--markdown]

The producers of the tests (NVRTC with CUDA's headers, numba-cuda, tinygrad, pyptx) and, where they are installed,
Triton, Warp, TileLang and CUTLASS: pip install triton warp-lang tilelang nvidia-cutlass. None of them needs a GPU. A
kernel counts once for each of its architectures: sm_75, sm_80, sm_90 and sm_120 where the producer and the kernel have
them. It is `parsed` if its text is read, `known` if the emulator has its instructions, `right` if its results are those
of NumPy, within a bound that the kernel's arithmetic gives, and `clean` if `sanitize` finds nothing. Below the table
are the messages of those that are not right or clean. Only the kernel of pyptx is changed: its CTAs may exit too early
(tests/emulator/foreign/pyptx_hopper.py).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ptxbench import toolchain
from ptxbench.errors import PtxbenchError, PtxSyntaxError, UnsupportedInstruction
from tests.emulator import foreign

HEADERS = sorted(path.stem for path in Path(foreign.__file__).parent.glob("*.cu"))
"""The modules of tests/emulator/foreign whose kernels are in CUDA C."""
COLUMNS = ("kernels", "parsed", "known", "right", "clean")


@dataclass(frozen=True)
class Producer:
    """A producer of PTX. `cases` does not compile yet; it raises ImportError if the producer is not installed."""

    name: str
    version: Callable[[], str | None]
    cases: Callable[[], list[foreign.Case]]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a case. `wrong`: the error, or the reason of the refusal; empty if there is none."""

    case: foreign.Case
    parsed: bool
    known: bool
    right: bool
    clean: bool
    wrong: str


def of_tests(*modules: str) -> Callable[[], list[foreign.Case]]:
    def cases() -> list[foreign.Case]:
        for module in modules:
            importlib.import_module(f"tests.emulator.foreign.{module}")
        return [case for module in modules for case in foreign.CASES[module]]

    return cases


def of_benchmarks(*modules: str) -> Callable[[], list[foreign.Case]]:
    def cases() -> list[foreign.Case]:
        tables = [importlib.import_module(f"benchmarks.producers.{module}").CASES for module in modules]
        return [case for table in tables for case in table]

    return cases


def installed(package: str) -> Callable[[], str]:
    return lambda: importlib.metadata.version(package)


PRODUCERS = (
    Producer("nvrtc", lambda: toolchain.versions()["nvrtc"], of_tests(*HEADERS)),
    Producer("numba-cuda", installed("numba-cuda"), of_tests("numba_cuda")),
    Producer("tinygrad", installed("tinygrad"), of_tests("tinygrad_ptx")),
    Producer("pyptx", installed("pyptx"), of_tests("pyptx_hopper")),
    Producer("triton", installed("triton"), of_benchmarks("triton_kernels", "triton_hopper")),
    Producer("warp", installed("warp-lang"), of_benchmarks("warp_kernels")),
    Producer("tilelang", installed("tilelang"), of_benchmarks("tilelang_kernels")),
    Producer("cutlass", installed("nvidia-cutlass"), of_benchmarks("cutlass_kernels")),
)


def outcome(case: foreign.Case) -> Outcome:
    """Run a case plainly and, if it is correct, sanitised. Raises the exceptions of its producer."""
    try:
        wrong = foreign.run(case, sanitize=False)
    except PtxSyntaxError as error:
        return Outcome(case, False, False, False, False, f"refused: {error}")
    except UnsupportedInstruction as error:
        return Outcome(case, True, False, False, False, f"refused: {error}")
    except PtxbenchError as error:
        wrong = [f"{type(error).__name__}: {error}"]
    if wrong:
        return Outcome(case, True, True, False, False, wrong[0])
    try:
        findings = foreign.run(case, sanitize=True)
    except PtxbenchError as error:
        findings = [f"{type(error).__name__}: {error}"]
    return Outcome(case, True, True, True, not findings, f"sanitised: {findings[0]}" if findings else "")


def counts(outcomes: Sequence[Outcome]) -> tuple[int, ...]:
    """The figures of a row, in the order of COLUMNS."""
    return (len(outcomes), *(sum(getattr(outcome, column) for outcome in outcomes) for column in COLUMNS[1:]))


def refusals(outcomes: Sequence[Outcome]) -> str:
    """How many were refused, by missing feature."""
    lacking = Counter(
        match[1] if (match := re.search(r"'(\w+)[\w.:]*'", outcome.wrong)) else "syntax"
        for outcome in outcomes
        if not outcome.known
    )
    return ", ".join(f"{count} {name}" for name, count in lacking.most_common()) or "-"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("producers", nargs="*", metavar="PRODUCER", help="all without")
    parser.add_argument("--kernel", default="", help="only kernels whose name holds this")
    parser.add_argument("--markdown", action="store_true", help="rows for docs/emulator.md instead of a table")
    options = parser.parse_args()
    names = [producer.name for producer in PRODUCERS]
    if unknown := set(options.producers).difference(names):
        parser.error(f"no such producer: {', '.join(sorted(unknown))}; expected {', '.join(names)}")
    console = Console()
    table = Table(title="Kernels that others generate, on the emulator")
    table.add_column("producer")
    table.add_column("version")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    table.add_column("refused")
    rows, sentences = [], []
    for producer in PRODUCERS:
        if options.producers and producer.name not in options.producers:
            continue
        try:
            cases = [case for case in producer.cases() if options.kernel in case.name]
        except ImportError as error:
            sentences.append(f"{producer.name} is not installed: {error}")
            continue
        outcomes = []
        with console.status(producer.name) as status:
            for case in cases:
                status.update(f"{producer.name}: {case.name} for {case.arch}")
                outcomes.append(outcome(case))
        row = (producer.name, producer.version() or "-", *map(str, counts(outcomes)), refusals(outcomes))
        rows.append(row)
        table.add_row(*row)
        sentences += [
            f"{producer.name} {outcome.case.name} for {outcome.case.arch}: {outcome.wrong}"
            for outcome in outcomes
            if outcome.wrong
        ]
    if options.markdown:
        print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    else:
        console.print(table)
    print("\n".join(sentences))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
