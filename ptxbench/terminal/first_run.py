"""A first run as tables: its lines, and the counts of the emulator beside those of the hardware. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ptxbench import units
from ptxbench.calibration.assessment import PASS, WARN
from ptxbench.firstrun.counters import agrees
from ptxbench.firstrun.record import Agreement
from ptxbench.terminal.calibration import STYLES


def agreement_table(found: Sequence[Agreement]) -> Table:
    """A row a counter of a launch, with how far the emulator is off."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("pair", "variant", "counter"):
        table.add_column(heading, no_wrap=True)
    for heading in ("emulator", "GPU", "off"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in found:
        off = units.ABSENT if each.off is None else f"{each.off:+.1%}"
        own = f"{each.emulated:,.0f}"
        if each.least is not None and each.most is not None and each.least < each.most:
            own = f"{each.least:,.0f}-{each.most:,.0f}"
        style = STYLES[PASS if agrees(each) else WARN]
        table.add_row(each.pair, each.variant, each.counter, own, f"{each.measured:,.0f}", Text(off, style))
    return table
