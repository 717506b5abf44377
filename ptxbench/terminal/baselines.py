"""The baselines of a folder for a terminal. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ptxbench.terminal.tables import DrawnTable, draw
from ptxbench.units import ABSENT
from ptxbench.wording.table import Table, texts


def baselines_table(baselines: Sequence[Mapping[str, object]]) -> DrawnTable:
    """One baseline per row, with the reason for it."""
    columns = [*texts("baseline", width="fold"), *texts("since", "run", "commit"),
               *texts("tools", "variants", "reason", width="fold")]  # fmt: skip
    rows = []
    for baseline in baselines:
        tools = [f"{name} {baseline[name]}" for name in ("ptxas", "nvrtc", "emulator") if baseline[name]]
        rows.append(
            [
                str(baseline["file"]),
                str(baseline["since"] or ABSENT),
                str(baseline["run"]),
                str(baseline["commit"] or ABSENT)[:8],
                "\n".join(tools),
                str(baseline["variants"]),
                str(baseline["reason"] or ABSENT),
            ]
        )
    return draw(Table(columns, rows))
