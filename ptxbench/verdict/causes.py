"""What else changed in a variant that is worse: the counts and the machine instructions that may explain it."""

from __future__ import annotations

from collections.abc import Sequence

from ptxbench.metrics import BY_NAME
from ptxbench.result import BuildReport
from ptxbench.verdict.rows import CellMatch, Row
from ptxbench.verdict.rules import RULES
from ptxbench.verdict.verdicts import REGRESSED, WAIVED

MOST_EXPLAINED = 5


def explain(row: Row, matches: Sequence[CellMatch]) -> Sequence[str]:
    """What else changed in a variant that is worse: counts of the build and of the emulator, and machine instructions.

    Empty for other rows: their numbers or reasons explain them.
    """
    if row.verdict not in (REGRESSED, WAIVED):
        return ()
    row_key = (row.pair, row.size, row.arch, row.cache)
    for match in matches:
        if (
            match.base
            and match.head
            and row_key == (match.head.pair, match.head.size, match.head.arch, match.head.cache)
        ):
            before, after = match.base.variants.get(row.variant), match.head.variants.get(row.variant)
            if before and after and before.build and after.build:
                counts = [
                    (name, metric.of(match.base, row.variant), metric.of(match.head, row.variant))
                    for name in RULES
                    if (metric := BY_NAME.get(name))
                ]
                changes = [f"{name} {old:,.12g} -> {new:,.12g}" for name, old, new in counts if changed(old, new)]
                return [*instructions(before.build, after.build), *changes][: 2 * MOST_EXPLAINED]
    return ()


def changed(old: float | None, new: float | None) -> bool:
    return old is not None and new is not None and old != new


def instructions(base: BuildReport, head: BuildReport) -> list[str]:
    """Classes of machine instructions whose number changed, the greatest change first: `LDG 0 -> 4`."""
    names = [name for name in {**base.sass, **head.sass} if name != "total"]
    moved = [(name, base.sass.get(name, 0), head.sass.get(name, 0)) for name in names]
    moved = sorted(
        (change for change in moved if change[1] != change[2]), key=lambda change: -abs(change[2] - change[1])
    )
    return [f"{name} {old} -> {new}" for name, old, new in moved[:MOST_EXPLAINED]]
