"""The baselines of a folder for a terminal. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from ptxbench.terminal.comparison import simple_table
from ptxbench.units import ABSENT


def baselines_table(found: Sequence[Mapping[str, object]]) -> Table:
    """One baseline a row, with why it was set."""
    table = simple_table()
    for heading in ("baseline", "since", "run", "commit", "tools", "variants", "reason"):
        table.add_column(heading, no_wrap=heading in ("since", "run", "commit"), overflow="fold")
    for each in found:
        tools = [f"{name} {each[name]}" for name in ("ptxas", "nvrtc", "emulator") if each[name]]
        table.add_row(
            Text(str(each["file"])),
            str(each["since"] or ABSENT),
            str(each["run"]),
            str(each["commit"] or ABSENT)[:8],
            Text("\n".join(tools)),
            str(each["variants"]),
            Text(str(each["reason"] or ABSENT)),
        )
    return table
