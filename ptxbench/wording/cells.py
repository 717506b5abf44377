"""The common contents of a cell's output: its columns, its numbers as text, its conditions and its first finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ptxbench import stats, units
from ptxbench.languages import has_own_threads
from ptxbench.listing.explanation import EXECUTED, SAME_CODE, SAME_MIX, Explanation, of_cell
from ptxbench.metrics import REFERENCE, Metric, choose
from ptxbench.result import COLD, ORACLE_WEAK, VERIFIED, Cell, LaunchReport
from ptxbench.rival import OTHER_GEOMETRY, rival_of, verified_rows
from ptxbench.stats import Interval
from ptxbench.wording.table import Column

COUNTS_NOTICE = (
    "Counts of PTX on a CPU emulator, not times. Executed SASS is derived from them and from the machine "
    "code. All other counts are of PTX, which ptxas may change."
)

BUILT = ("registers", "spills", "sass", "occupancy")


TIMED = ("time", "ratio", "share", "bandwidth", *BUILT)


COUNTED = ("sass_executed", "sass_executed_ratio", "ptx_global_sectors", "ptx_shared_conflicts", *BUILT)


UNDERIVED = ("ptx_warp_instructions", "ptx_instructions_ratio", *COUNTED[2:])
"""The default columns of a table: of times, of counts, and of counts without those of machine code."""


PTX = "ptx"
"""The variant that is the pair's own PTX."""


REPORTED_ELSEWHERE = (SAME_CODE, SAME_MIX, EXECUTED)
"""Kinds of findings that appear elsewhere: below the tables in words, and in a column."""


def default_columns(cell: Cell) -> tuple[Metric, ...]:
    """The columns for a table of this cell: times or counts, whichever exist, and the tools' reports on the builds."""
    if cell.rounds:
        return choose(TIMED)
    if all(result.counts is None for result in cell.variants.values()):
        return choose(BUILT)
    # Counts of PTX alone are for runs without machine code, and for older runs.
    return choose(COUNTED if any(result.executed is not None for result in cell.variants.values()) else UNDERIVED)


def first_finding(cell: Cell, reference: str | None = None) -> Explanation | None:
    """The most important difference of the pair's PTX from the best CUDA C, or from `reference`, as `show` finds it.

    Findings that the table and its sentence show are left out.
    """
    rival = rival_of(cell, reference)
    rows = [name for name in verified_rows(cell, "ptx") if rival and name != rival.name]
    if rival is None or not rows:
        return None
    pair_ptx = PTX if PTX in rows else rows[0]
    return next(
        (finding for finding in of_cell(cell, pair_ptx, rival.name) if finding.kind not in REPORTED_ELSEWHERE), None
    )


def finding_label(cell: Cell) -> str:
    """The word before the first finding: "why" only if there are times, since without them it explains nothing."""
    return "why" if cell.rounds else "differs"


def says_something(metric: Metric, cell: Cell) -> bool:
    """False for a default column that would be empty: no conflicts at all, no known limit."""
    return metric.name not in ("ptx_shared_conflicts", "share") or any_value(metric, cell)


def any_value(metric: Metric, cell: Cell) -> bool:
    """True if the metric exists, and is not 0, for any variant."""
    return any(metric.of(cell, name) for name in cell.variants)


def conditions(cell: Cell, times: str = " x ") -> str:
    """`sm_90, grid 4 x 2, block 256`, and `warm L2` if launches find their data there."""
    warm = "" if cell.cache == COLD else f", {cell.cache} L2"
    return f"{cell.arch}, {launch_words(cell.launch, times)}{warm}"


def launch_words(launch: LaunchReport, times: str = " x ") -> str:
    """`grid 4 x 2, block 256`, and the cluster, "cooperative" and the launches of a chain if there are any."""
    extents = {"grid": launch.grid, "block": launch.block, "cluster": launch.cluster}
    words = [
        f"{name} {times.join(map(str, trimmed(extent)))}" for name, extent in extents.items() if extent is not None
    ]
    if launch.cooperative:
        words.append("cooperative")
    if launch.launches > 1:
        words.append(f"a chain of {launch.launches} {'dependent ' if launch.dependent else ''}launches")
    return ", ".join(words)


def own_launches(cell: Cell) -> list[str]:
    """`cuda: other geometry, grid 4 x 2, block 128.`, for each variant that the pair launches in another way."""
    groups: dict[str, list[str]] = {}
    for name, result in cell.variants.items():
        if result.launch:
            other = result.launch.geometry != cell.launch.geometry or has_own_threads(result.language)
            label = OTHER_GEOMETRY if other else "own launch"
            other_shared = result.launch.shared_bytes != cell.launch.shared_bytes and label == "own launch"
            shared = f", {result.launch.shared_bytes:,} bytes of dynamic shared memory" if other_shared else ""
            groups.setdefault(f"{label}, {launch_words(result.launch)}{shared}.", []).append(name)
    return [f"{', '.join(names)}: {words}" for words, names in groups.items()]


def trimmed(extent: Iterable[int]) -> list[int]:
    """The extent without its trailing ones."""
    extents = list(extent)
    while len(extents) > 1 and extents[-1] == 1:
        extents.pop()
    return extents


def metric_columns(
    cell: Cell, metrics: Sequence[Metric], *, spread: bool = True
) -> tuple[list[Column], list[tuple[str, ...]]]:
    """A column per metric, and the numbers of each variant: with their spread or tag, or as a range."""
    columns, numbers = [], []
    for metric in metrics:
        if metric.bounds:
            unit, texts = range_column(metric, cell)
        else:
            unit, texts = units.column([metric.of(cell, name) for name in cell.variants], metric.unit)
            texts = with_spread(metric, cell, texts) if spread else texts
        columns.append(Column(metric.heading, unit, right=True))
        numbers.append(texts)
    return columns, [*zip(*numbers, strict=True)] if numbers else [() for _ in cell.variants]


def range_column(metric: Metric, cell: Cell) -> tuple[str, list[str]]:
    """The unit and the texts of a column of ranges; one number if both ends look the same."""
    values = [metric.of(cell, name) for name in cell.variants]
    ends = [metric.interval(cell, name, result) if metric.interval else None for name, result in cell.variants.items()]
    least = [end[0] if end else value for end, value in zip(ends, values, strict=True)]
    most = [end[1] if end else value for end, value in zip(ends, values, strict=True)]
    return units.ranges([*zip(least, most, strict=True)], metric.unit)


def with_spread(metric: Metric, cell: Cell, numbers: Sequence[str]) -> list[str]:
    """Each number with half the width of its interval, if it has one, or its tag."""
    shown = []
    for (name, result), number in zip(cell.variants.items(), numbers, strict=True):
        ends = metric.interval(cell, name, result) if metric.interval else None
        tag = metric.tag(cell, result) if metric.tag and number != units.ABSENT else None
        shown.append(f"{number} ±{(ends[1] - ends[0]) / 2:.3f}" if ends else f"{number} {tag}" if tag else number)
    return shown


def ratio_intervals(cells: Sequence[Cell]) -> Iterable[tuple[Cell, str, Interval]]:
    """Every verified variant that was timed against a verified reference."""
    for cell in cells:
        for variant, result in cell.variants.items():
            reference = cell.variants.get(REFERENCE)
            if VERIFIED == result.status == (reference and reference.status):
                interval = stats.ratio(cell.rounds, variant, REFERENCE)
                if interval and ORACLE_WEAK not in cell.labels:
                    yield cell, variant, interval
