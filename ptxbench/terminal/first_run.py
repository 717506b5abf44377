"""A first run as tables: its lines, and the counts of the emulator next to those of the hardware. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table as RichTable

from ptxbench import units
from ptxbench.calibration.assessment import PASS, WARN
from ptxbench.firstrun.counters import agrees
from ptxbench.firstrun.record import Agreement
from ptxbench.terminal.calibration import STYLES
from ptxbench.terminal.tables import draw
from ptxbench.wording.table import Entry, Table, numbers, texts


def agreement_table(agreements: Sequence[Agreement]) -> RichTable:
    """One row per counter of a launch, with the difference of the emulator."""
    rows = []
    for one in agreements:
        off = units.ABSENT if one.off is None else f"{one.off:+.1%}"
        emulated = f"{one.emulated:,.0f}"
        if one.least is not None and one.most is not None and one.least < one.most:
            emulated = f"{one.least:,.0f}-{one.most:,.0f}"
        style = STYLES[PASS if agrees(one) else WARN]
        rows.append([one.pair, one.variant, one.counter, emulated, f"{one.measured:,.0f}", Entry(off, style)])
    columns = [*texts("pair", "variant", "counter"), *numbers("emulator", "GPU", "off")]
    return draw(Table(columns, rows), ruled=False)
