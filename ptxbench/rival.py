"""The fair rival of hand-written PTX: the best CUDA C of a cell, or a chosen row. Data and statistics, no sentences.

Times of two variants are compared by their blocks with the reference. The best of several rows is found from the same
samples, so the intervals allow for the choice (Hsu, Multiple Comparisons, chapter 4): see docs/measuring.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ptxbench import cycles, stats
from ptxbench.languages import has_own_threads
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.result import ORACLE_WEAK, UNJUDGED, VERIFIED, Cell, Round, code_key
from ptxbench.stats import Interval

TIME, EXECUTED, ISSUED = "time", "sass_executed", "ptx_warp_instructions"

FEWEST_PROCESSES = 3
"""Processes differ by up to 1 %, and fewer than three cannot show how much."""


@dataclass(frozen=True)
class Leader:
    """The best of some rows by the metric, which is less for a better row.

    `tied`: rows that are not proven worse. `equal`: rows with the same count. `twins`: rows with the same machine code.
    `unknown`: rows without a number. `rows`: all rows with a number, `twins` left out. `certain`: False if times allow
    no verdict. `metric`: None if there is nothing to choose by.
    """

    name: str
    metric: str | None = None
    rows: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
    equal: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    certain: bool = True

    @property
    def selected(self) -> bool:
        """Whether it was chosen among rows that differ."""
        return self.metric is not None and len(self.rows) > 1 + len(self.equal)

    @property
    def proven(self) -> bool:
        """Whether it is certain that no row is better."""
        return self.certain and not self.tied


@dataclass(frozen=True)
class Rival:
    """What every hand-written PTX of a cell is compared with: the leader of the CUDA C, or a chosen row.

    `entrants`: how many hand-written PTX rows there are; each may be the one that a reader picks.
    """

    leader: Leader
    entrants: int = 1

    @property
    def name(self) -> str:
        return self.leader.name

    @property
    def rows(self) -> tuple[str, ...]:
        """All rows of which the rival is the best."""
        return self.leader.rows or (self.name,)

    def indirect(self, variant: str) -> bool:
        """Whether a comparison of times needs the blocks of both with the reference."""
        return any(row != REFERENCE for row in self.rows)

    def ratio(self, rounds: Sequence[Round], variant: str) -> Interval | None:
        """t(variant) / t(rival); None if the rounds do not allow it.

        The true ratio to the true best row of `rows` is below the interval, and that to this row too, with at most the
        probability that one comparison alone has. It is above it for any of the `entrants` with at most that.
        """
        above = corrected(len(self.rows))
        below = corrected(self.entrants)
        highs = []
        for row in self.rows:
            interval = stats.ratio_between(rounds, variant, row, REFERENCE, below)
            if interval is None:
                return None
            highs.append(interval.high)
        to_rival = stats.ratio_between(rounds, variant, self.name, REFERENCE, above)
        assert to_rival
        return Interval(to_rival.low, to_rival.value, max(highs))

    def ratio_in_cycles(self, rounds: Sequence[Round], variant: str) -> Interval | None:
        return self.ratio(cycles.by_kernel(rounds), variant)


def corrected(comparisons: int) -> float:
    """The level of each of several comparisons at which all of them together hold with stats.LEVEL (Bonferroni)."""
    return 1 - (1 - stats.LEVEL) / max(comparisons, 1)


def rival_of(cell: Cell, chosen: str | None = None) -> Rival | None:
    """The rival of the cell's hand-written PTX: the best verified CUDA C, or the chosen row; None if there is none."""
    entrants = len(verified_rows(cell, "ptx"))
    if chosen is not None:
        is_verified = chosen in cell.variants and cell.variants[chosen].status == VERIFIED
        return Rival(Leader(chosen), entrants) if is_verified else None
    rows = verified_rows(cell, "cuda")
    twins = [name for name in rows if cell.launch_of(name).geometry == cell.launch.geometry]
    return Rival(leader_of(cell, twins or rows), entrants) if rows else None


OTHER_GEOMETRY = "other geometry"
"""What a row is, compared with one that has another grid, block or cluster: the same problem, but no twin.

So is a row whose compiler chose its threads, even if their number is the same.
"""


def other_geometry(cell: Cell, one: str, other: str) -> bool:
    """Whether two rows divide the work in different ways. Such rows get no verdict about each other."""
    chosen = {has_own_threads(cell.variants[name].language) for name in (one, other) if name in cell.variants}
    return len(chosen) > 1 or cell.launch_of(one).geometry != cell.launch_of(other).geometry


def verified_rows(cell: Cell, language: str) -> list[str]:
    return [name for name, result in cell.variants.items() if result.language == language and result.status == VERIFIED]


def leader_of(cell: Cell, names: Sequence[str]) -> Leader:
    """The best of these rows: by time if they were timed, else by executed instructions, else the first."""
    distinct = distinct_code_rows(cell, names)
    metric = metric_of(cell)
    numbered = [name for name in distinct if metric is not None and has_number(cell, name, metric)]
    if metric is None or not numbered:
        return Leader(names[0])
    best = min(numbered, key=lambda name: value_of(cell, name, metric))
    others = [name for name in numbered if name != best]
    equal = [name for name in others if metric != TIME and same_count(cell, metric, best, name)]
    return Leader(
        best,
        metric,
        rows=tuple(numbered),
        tied=tuple(name for name in others if name not in equal and not worse(cell, metric, name, best, len(others))),
        equal=tuple(equal),
        twins=tuple(name for name in names if name != best and code_of(cell, name) == code_of(cell, best)),
        unknown=tuple(name for name in distinct if name not in numbered),
        certain=metric != TIME or not (no_verdict(cell, numbered) and others),
    )


def distinct_code_rows(cell: Cell, names: Iterable[str]) -> list[str]:
    """The first row of each machine code: a difference between the others would be noise."""
    firsts: dict[str, str] = {}
    return [name for name in names if firsts.setdefault(code_of(cell, name), name) == name]


def code_of(cell: Cell, name: str) -> str:
    return code_key(name, cell.variants[name].build)


def metric_of(cell: Cell) -> str | None:
    """What decides which row is best; None if nothing was timed or counted, or no time may be compared."""
    if cell.rounds:
        return None if ORACLE_WEAK in cell.labels else TIME
    if any(result.executed is not None for result in cell.variants.values()):
        return EXECUTED
    return ISSUED if any(result.counts is not None for result in cell.variants.values()) else None


def has_number(cell: Cell, name: str, metric: str) -> bool:
    if metric != TIME:
        return BY_NAME[metric].of(cell, name) is not None
    timed = {variant for timed_round in cell.rounds for variant in timed_round.contrast}
    return name in timed if name == REFERENCE else stats.ratio(cell.rounds, name, REFERENCE) is not None


def value_of(cell: Cell, name: str, metric: str) -> float:
    if metric != TIME:
        return BY_NAME[metric].of(cell, name) or 0.0
    ratio = stats.ratio(cell.rounds, name, REFERENCE)
    return ratio.value if ratio and name != REFERENCE else 1.0


def bounds(cell: Cell, name: str, metric: str) -> tuple[float, float]:
    """The least and the greatest possible count."""
    definition = BY_NAME[metric]
    ends = definition.interval(cell, name, cell.variants[name]) if definition.bounds and definition.interval else None
    value = value_of(cell, name, metric)
    return ends or (value, value)


def same_count(cell: Cell, metric: str, one: str, other: str) -> bool:
    """Whether both counts are certain and equal."""
    (least, most), ends = bounds(cell, one, metric), bounds(cell, other, metric)
    return least == most and ends == (least, most)


def worse(cell: Cell, metric: str, name: str, best: str, comparisons: int) -> bool:
    """Whether a row is proven worse than the best, which is compared with that many rows."""
    if metric != TIME:
        return bounds(cell, name, metric)[0] > bounds(cell, best, metric)[1]
    ratio = stats.ratio_between(cell.rounds, name, best, REFERENCE, corrected(comparisons))
    return ratio is not None and ratio.low > 1


def no_verdict(cell: Cell, names: Iterable[str]) -> str | None:
    """Why times of these rows allow no verdict, in words; None if they do."""
    processes = min(
        (
            len({timed_round.process for timed_round in cell.rounds if timed_round.contrast == (REFERENCE, name)})
            for name in names
            if name != REFERENCE
        ),
        default=0,
    )
    if processes < FEWEST_PROCESSES:
        return f"{processes} process{'' if processes == 1 else 'es'}"
    return ", ".join(sorted(UNJUDGED & set(cell.labels))) or None


def verdict(cell: Cell, name: str, rival: Rival, noise: Interval | None) -> str:
    """FASTER, SLOWER, SAME or INCONCLUSIVE by the interval against the rival; or why there is no verdict."""
    if other_geometry(cell, name, rival.name):
        return f"{OTHER_GEOMETRY}, so no verdict"
    if reason := no_verdict(cell, [name, *rival.rows]):
        return f"{reason}, so no verdict"
    if noise and rival.indirect(name):  # both sides of the ratio may be off by it
        noise = Interval(2 * noise.low, noise.value, 2 * noise.high)
    ratio = rival.ratio(cell.rounds, name)
    if ratio is None:
        return "too few blocks, so no verdict"
    by_time = stats.verdict(ratio.log(), noise)
    in_cycles = rival.ratio_in_cycles(cell.rounds, name)
    if in_cycles and cycles.contradict(by_time, by_cycles := stats.verdict(in_cycles.log(), noise)):
        return f"INCONCLUSIVE: {cycles.CLOCK_DEPENDENT}, {by_time} in time and {by_cycles} in cycles; {cycles.LOCK}"
    return f"{by_time}: more --rounds may decide" if by_time == "INCONCLUSIVE" else by_time
