"""Two kernels of files next to each other, for a terminal: resources, launches, outputs, counts. Prints nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from ptxbench import kernel_names
from ptxbench.execution import CLEAN, FAULT, UNSUPPORTED, ExecOutcome
from ptxbench.exit_status import ExitStatus
from ptxbench.kernel_comparison import (
    EXIT_STATUSES,
    SAME,
    ArrayComparison,
    Kernel,
    LaunchComparison,
    unlike_signatures,
)
from ptxbench.kernel_timing import OTHER, KernelTiming
from ptxbench.listing.text import Listing
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.result import Cell
from ptxbench.terminal.execution import MARKS, amount, fault, findings, launch_words, notes, order_reason
from ptxbench.terminal.tables import WIDEST, DrawnTable, draw, paragraphs, symbol
from ptxbench.units import ABSENT, si
from ptxbench.wording.kernel_comparison import closing, range_of
from ptxbench.wording.table import StyledText, Table, numbers, texts

SIDES = ("A", "B")


@dataclass(frozen=True)
class ComparisonReport:
    """Two kernels with their listings, their launches if they were launched, and their times on a GPU."""

    kernels: tuple[Kernel, Kernel]
    listings: tuple[Listing, Listing]
    launched: LaunchComparison | None = None
    timed: KernelTiming | None = None
    options: Sequence[str] = ()
    """The options of CUDA C with which both were built, as on the command line."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        options = options.update(width=min(options.max_width, WIDEST))
        width, plain = options.max_width, options.ascii_only
        yield from (Constrain(part, width) for part in self.parts(width, plain))

    def parts(self, width: int, plain: bool) -> Iterator[RenderableType]:
        outcomes = self.launched.outcomes if self.launched else (None, None)
        for side, kernel, outcome in zip(SIDES, self.kernels, outcomes, strict=True):
            yield heading(side, kernel, outcome, max(len(other.name) for other in self.kernels))
            if kernel.program.compiler:
                words = f"compiled by {kernel.program.compiler}"
                yield Padding(Text(words, "dim", overflow="fold"), (0, 0, 0, len(side) + 2))
        if sentence := unlike_signatures(*self.kernels):
            yield Text(sentence, "yellow")
        yield Text()
        for side, outcome in zip(SIDES, outcomes, strict=True):
            if outcome is not None:
                yield from remarks(side, outcome, plain)
        if self.launched and self.launched.outputs:
            yield outputs_table(self.launched.outputs)
            yield Text()
        yield self.figures()
        yield Text()
        if self.launched:
            yield from self.equal_counts()
            first, *more = closing(self.launched, self.timed)
            mark = MARKS[self.verdict]
            yield paragraphs([(symbol(mark, plain), mark.style, " ".join([first, *more]))])
            yield Text("Only this launch was compared, and without a reference: both may be wrong.", "dim")
        else:
            yield Text("Nothing was executed: --grid, --block and --arg launch both kernels, as in `ptxbench exec`.")
        files = dict.fromkeys(str(kernel.program.path) for kernel in self.kernels)
        command = shlex.join(["ptxbench", "arch", *files, *self.options])
        yield Text(f"For which GPUs each can be built: {command}", overflow="fold")

    @property
    def verdict(self) -> str:
        """The mark of the comparison, by the emulator and the GPU if there was one: CLEAN, FAULT or UNSUPPORTED."""
        assert self.launched is not None
        wrong = self.timed is not None and self.timed.status == ExitStatus.WRONG_KERNEL
        if wrong or EXIT_STATUSES[self.launched.status] == ExitStatus.WRONG_KERNEL:
            return FAULT
        return CLEAN if self.launched.status == SAME else UNSUPPORTED

    def figures(self) -> DrawnTable:
        """Resources, and what warps executed and requested: metric, A, B, B / A."""
        a, b = self.listings
        rows = [row(name, values) for name, values in resources(a, b)]
        if self.timed and self.timed.cell and self.timed.cell.rounds:
            rows.append(time_row(self.timed.cell))
        if self.launched:
            differing = {name: (a, b) for name, (a, b) in counts(self.launched).items() if a != b}
            rows += [*executed_rows(self.launched), *(row(name, values) for name, values in differing.items())]
        return draw(Table([*texts("figure"), *numbers(*SIDES, "B / A")], rows))

    def equal_counts(self) -> Iterator[RenderableType]:
        """The counts that are equal for both, in one paragraph."""
        assert self.launched is not None
        both = counts(self.launched).items()
        if same := [f"{name}={amount(name, a)}" for name, (a, b) in both if a is not None and a == b]:
            yield Text(f"The same for both: {', '.join(same)}.", "dim")
            yield Text()


def heading(side: str, kernel: Kernel, outcome: ExecOutcome | None, width: int) -> Text:
    """`A  saxpy.cu  kernel saxpy, grid 64, block 256`."""
    details = f"  kernel {kernel_names.short(kernel.function.name)}, {kernel.program.arch}"
    if outcome is not None:
        details += f", {launch_words(outcome)}"
    return Text.assemble(
        (side, "bold"), "  ", (kernel.name.ljust(width), "bold cyan"), (details, "dim"), overflow="fold"
    )


def remarks(side: str, outcome: ExecOutcome, plain: bool) -> Iterator[RenderableType]:
    """What was wrong with a launch, and what the reader must know about it."""
    parts = [*(fault(outcome, plain) if outcome.error else [*findings(outcome, plain), *notes(outcome)])]
    parts += order_reason(outcome)
    if outcome.printed:
        parts += [Text("printed", "bold"), Text(outcome.printed.rstrip("\n")), Text()]
    if parts:
        yield Text(side, "bold")
        yield from parts


def outputs_table(arrays: Sequence[ArrayComparison]) -> DrawnTable:
    rows = [
        [
            array.name,
            f"{array.type.name}[{','.join(map(str, array.shape))}]",
            StyledText(f"{array.unlike:,}"),
            StyledText(f"{array.outside:,}", "bold red" if array.outside else ""),
            *(ABSENT if value is None else f"{value:.3g}" for value in (array.greatest, array.relative)),
            StyledText(
                "/".join(f"{count:,}" for count in array.nan) if any(array.nan) else "0",
                "red" if any(array.nan) else "",
            ),
        ]
        for array in arrays
    ]
    columns = [
        *texts("output", "holds", width="fold"),
        *numbers("other bits", "outside", "max |B-A|", "relative", "NaN A/B"),
    ]
    return draw(Table(columns, rows))


# ---- figures


def row(name: str, values: Sequence[float | None]) -> list[str]:
    a, b = values
    shown = [ABSENT if value is None else amount(name, value) for value in values]
    return [name, *shown, ABSENT if a is None or b is None or not a else f"{b / a:.3f}"]


def resources(a: Listing, b: Listing) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    """The resources of both kernels, as ptxas reports them; spills and shared memory only if there are any."""
    yield "registers", (a.report.registers, b.report.registers)
    for name, field in (("spilled bytes", "spill_store_bytes"), ("static shared bytes", "shared_bytes")):
        values = getattr(a.report, field), getattr(b.report, field)
        if any(values):
            yield name, values
    yield "SASS instructions", (len(a.sass), len(b.sass))


def time_row(cell: Cell) -> list[str]:
    """The median times of both, and their ratio."""
    a, b = (BY_NAME["time"].of(cell, name) for name in (REFERENCE, OTHER))
    ratio = BY_NAME["ratio"].of(cell, OTHER)
    return ["median time", *(si(value, "s") for value in (a, b)), ABSENT if ratio is None else f"{ratio:.3f}"]


def executed_rows(launched: LaunchComparison) -> list[list[str]]:
    """The executed machine instructions, each an exact number or a range."""
    a, b = (outcome.executed and range_of(outcome.executed) for outcome in launched.outcomes)
    if a is None and b is None:
        return []
    share = ABSENT
    if a and b and a.least:
        low, high = f"{b.least / a.most:.3f}", f"{b.most / a.least:.3f}"
        share = low if low == high else f"{low} to {high}"
    return [["executed machine instr.", *(ABSENT if value is None else str(value) for value in (a, b)), share]]


def counts(launched: LaunchComparison) -> dict[str, tuple[float | None, float | None]]:
    """The emulator's counters that are not zero on both sides; None for a kernel that did not run to its end."""
    sides = [None if outcome.error else outcome.counters for outcome in launched.outcomes]
    names = dict.fromkeys(name for side in sides if side for name, value in side.items() if value)
    a, b = ({name: None if side is None else side.get(name, 0) for name in names} for side in sides)
    return {name: (a[name], b[name]) for name in names}
