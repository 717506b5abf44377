"""The counts of the emulator next to those of the hardware, as tables. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderableType

from ptxbench import units
from ptxbench.calibration.assessment import PASS, WARN
from ptxbench.profiling.counters import Agreement
from ptxbench.terminal.checklist import STYLES
from ptxbench.terminal.tables import DrawnTable, draw
from ptxbench.units import size_words
from ptxbench.wording.table import StyledText, Table, numbers, texts

EXPLAINED = "A difference means that the machine code accesses memory differently than its PTX: see `ptxbench show`."


def agreement_table(agreements: Sequence[Agreement], *, launches: bool = True) -> DrawnTable:
    """One row per counter of a launch, with the difference of the emulator. `launches`: name pair and variant."""
    rows = []
    for agreement in agreements:
        off = units.ABSENT if agreement.off is None else f"{agreement.off:+.1%}"
        emulated = f"{agreement.emulated:,.0f}"
        if agreement.least is not None and agreement.most is not None and agreement.least < agreement.most:
            emulated = f"{agreement.least:,.0f}-{agreement.most:,.0f}"
        style = STYLES[PASS if agreement.agrees else WARN]
        launch = [agreement.pair, agreement.variant] if launches else []
        rows.append([*launch, agreement.counter, emulated, f"{agreement.measured:,.0f}", StyledText(off, style)])
    columns = [*texts(*(["pair", "variant"] if launches else []), "counter"), *numbers("emulator", "GPU", "off")]
    return draw(Table(columns, rows), ruled=False)


class ProfileReport:
    """Both counts of one launch, and how many agree."""

    def __init__(self, arch: str, agreements: Sequence[Agreement]) -> None:
        self.arch = arch
        self.agreements = agreements

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        first = self.agreements[0]
        yield f"{first.pair} {first.variant}, {size_words(first.size)}, {self.arch}: counts of one launch"
        yield agreement_table(self.agreements, launches=False)
        agreeing = sum(agreement.agrees for agreement in self.agreements)
        words = f"{agreeing} of {len(self.agreements)} counters agree: within 1 %, or inside the emulator's range."
        yield words if agreeing == len(self.agreements) else f"{words} {EXPLAINED}"
