"""The findings of a cell in words. Pure functions from results to sentences, as careful as the data allow.

The words claim only what the data show: counts are of PTX, times come with their interval, and variants with the same
machine code are never ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log

from ptxbench import cycles, stats
from ptxbench.listing.explanation.finding import percent
from ptxbench.metrics import BY_NAME, REFERENCE, Metric
from ptxbench.result import (
    BITS_DIFFER,
    BROKEN,
    ORACLE_WEAK,
    SKIPPED,
    UNJUDGED,
    UNSUPPORTED,
    VERIFIED,
    WRONG,
    Cell,
    ExecutedReport,
    VariantResult,
)
from ptxbench.units import size_words

SEVERITY = (WRONG, BROKEN, UNSUPPORTED, SKIPPED)
"""Statuses of unverified variants, the most severe first."""

WORDS = {WRONG: "wrong", BROKEN: "broken", UNSUPPORTED: "beyond the emulator", SKIPPED: "skipped"}


@dataclass(frozen=True)
class KernelProblem:
    """Variants that were not verified, and why."""

    variants: tuple[str, ...]
    status: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{listed(self.variants)} {'is' if len(self.variants) == 1 else 'are'} {WORDS[self.status]}: {self.reason}"
        )


def listed(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return ", ".join(parts[:-1]) + (" and " if parts[1:] else "") + parts[-1]


@dataclass(frozen=True)
class Amount:
    """A count to compare: its metric, the words around it, and whether it is reported even if it is equal."""

    metric: str
    verb: str
    noun: str
    always: bool = False


EXECUTED = Amount("sass_executed", "executes", "machine instructions", always=True)
ISSUED = Amount("ptx_warp_instructions", "issues", "PTX instructions", always=True)
AMOUNTS = (
    Amount("ptx_global_sectors", "moves", "sectors", always=True),
    Amount("ptx_shared_wavefronts", "needs", "shared wavefronts"),
    Amount("ptx_shared_conflicts", "has", "bank conflicts"),
    Amount("ptx_atomics", "makes", "atomic requests"),
    Amount("ptx_barriers", "waits at", "barriers"),
    Amount("sass", "has", "SASS instructions"),
)

FEWEST_PROCESSES = 3
"""Processes differ by up to 1 %, and fewer than three cannot show how much."""


def problems(cell: Cell) -> list[KernelProblem]:
    """The variants that were not verified, grouped by reason, the worst kinds first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, result in cell.variants.items():
        if result.status != VERIFIED:
            groups.setdefault((result.status, result.reason or "no reason was recorded."), []).append(name)
    found = [KernelProblem(tuple(names), status, reason) for (status, reason), names in groups.items()]
    return sorted(found, key=lambda problem: SEVERITY.index(problem.status))


def remarks(cell: Cell) -> list[str]:
    """Warnings of NVRTC and ptxas about the builds, each once with its variants."""
    groups: dict[str, list[str]] = {}
    for name, result in cell.variants.items():
        if result.build and result.build.log:
            groups.setdefault(result.build.log, []).append(name)
    return [f"{listed(names)}: {log}" for log, names in groups.items()]


def open_counts(executed: Mapping[str, ExecutedReport | None]) -> list[str]:
    """Why variants have a range of executed machine instructions, or no number, each reason once."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for name, each in executed.items():
        if each and each.reason:
            groups.setdefault((each.fit is None, each.reason), []).append(name)
    return [
        f"{listed(names)}: {'no number' if unknown else 'a range'} of executed SASS: {reason}."
        for (unknown, reason), names in groups.items()
    ]


def finding(cell: Cell, noise: stats.Interval | None = None) -> str:
    """The differences of the verified PTX variants from the reference, a sentence or two each; empty if there are none.

    `noise`: the log ratio of the control to itself, which a verdict must clear.
    """
    verified = {name: result for name, result in cell.variants.items() if result.status == VERIFIED}
    sentences: list[str] = []
    for name, result in verified.items() if REFERENCE in verified else ():
        if result.language == "ptx":
            sentences.append(compare(cell, name, noise))
            sentences += twins(name, verified)
    return " ".join([*sentences, *bit_differences(cell), *restless(verified), *weaknesses(cell)])


def compare(cell: Cell, name: str, noise: stats.Interval | None) -> str:
    """`ptx issues 12 % fewer PTX instructions than cuda and moves the same sectors.`"""
    relation = code_relation(cell.variants[name], cell.variants[REFERENCE])
    if relation == SAME_CODE:
        return f"{name} is the {SAME_CODE} as {REFERENCE}."
    facts = [f"has the {relation} as {REFERENCE}"] if relation else []
    for tell in (time_fact(noise), instructions_fact, *(amount_fact(amount) for amount in AMOUNTS)):
        if fact := tell(cell, name, "" if facts else REFERENCE):
            facts.append(fact)
    if not facts:
        facts = [f"is other machine code than {REFERENCE}"]
    return f"{name} {listed(facts)}."


SAME_CODE, SAME_MIX = "same machine code", "same instruction mix"

Fact = Callable[[Cell, str, str], str | None]
"""The sentences on a variant against the reference; the third argument names the reference if it must be named."""


def code_relation(one: VariantResult, other: VariantResult) -> str | None:
    """Whether two variants are the same machine code, or at least have equal counts of each SASS instruction."""
    if one.build is None or other.build is None:
        return None
    if one.build.sass_sha256 is not None and one.build.sass_sha256 == other.build.sass_sha256:
        return SAME_CODE
    return SAME_MIX if one.build.sass and dict(one.build.sass) == dict(other.build.sass) else None


def twins(name: str, verified: Mapping[str, VariantResult]) -> list[str]:
    """The CUDA C variant that is closer to `name` than the reference is: the flag or spelling that explains it."""
    closeness = (None, SAME_MIX, SAME_CODE)
    best = closeness.index(code_relation(verified[name], verified[REFERENCE]))
    lines: list[str] = []
    for other, result in verified.items():
        relation = code_relation(result, verified[name])
        if result.language == "cuda" and closeness.index(relation) > best:
            best = closeness.index(relation)
            lines = [f"{other} {'is' if relation == SAME_CODE else 'has'} the {relation} as {name}."]
    return lines


def instructions_fact(cell: Cell, name: str, reference: str) -> str | None:
    """How the executed machine instructions compare; those of PTX only in a run without the former."""
    own, base = (cell.variants[each].executed for each in (name, REFERENCE))
    if own is None or base is None:
        return amount_fact(ISSUED)(cell, name, reference)
    if fact := amount_fact(EXECUTED)(cell, name, reference):
        return fact
    if own.least is None or own.most is None or base.least is None or base.most is None:
        return None
    if own.most < base.least or base.most < own.least:
        return None
    return f"may execute more or fewer {EXECUTED.noun}{reference and f' than {reference}'}"


def amount_fact(amount: Amount) -> Fact:
    """How `amount` compares, as a fact."""
    metric = BY_NAME[amount.metric]

    def tell(cell: Cell, name: str, reference: str) -> str | None:
        own, base = metric.of(cell, name), metric.of(cell, REFERENCE)
        if own is None or base is None or own == base == 0 or not settled(metric, cell, name):
            return None
        if own == base:
            same = f"as many {amount.noun} as {reference}" if reference else f"the same {amount.noun}"
            return f"{amount.verb} {same}" if amount.always else None
        if not base:
            return f"{amount.verb} {own:,.0f} {amount.noun} where there were none"
        if not own:
            return f"{amount.verb} no {amount.noun} where there were {base:,.0f}"
        if own >= 2 * base:
            return f"{amount.verb} {own / base:.3g} times the {amount.noun}{reference and f' of {reference}'}"
        return f"{amount.verb} {difference(own, base)} {amount.noun}{reference and f' than {reference}'}"

    return tell


NARROW = 1.04
"""The greatest ratio of a range's ends for a sentence that depends on it."""


def settled(metric: Metric, cell: Cell, name: str) -> bool:
    """Whether it is certain that a variant differs from the reference, or that it does not, given their ranges."""
    if not metric.bounds or metric.interval is None:
        return True
    ends = [metric.interval(cell, each, cell.variants[each]) for each in (name, REFERENCE)]
    own, base = ends
    if own is None or base is None or max(own[1] / own[0], base[1] / base[0]) > NARROW:
        return False
    return (own == base and own[0] == own[1]) or own[1] < base[0] or base[1] < own[0]


def difference(own: float, base: float) -> str:
    """`12 % fewer`, `0.3 % more`."""
    return f"{percent(abs(own / base - 1))} {'fewer' if own < base else 'more'}"


def time_fact(noise: stats.Interval | None) -> Fact:
    """The time against the reference's, with its interval and verdict; None without one."""

    def tell(cell: Cell, name: str, reference: str) -> str | None:
        interval = stats.ratio(cell.rounds, name, REFERENCE)
        if interval is None or ORACLE_WEAK in cell.labels:
            return None
        than = f" than {reference}" if reference else ""
        level = f"{100 * stats.LEVEL:.0f} %"
        low, high = 100 * (interval.low - 1), 100 * (interval.high - 1)
        judged = verdict(cell, name, noise)
        if low <= 0 <= high:
            return f"shows no other time{than} ({level} interval {low:+.2f} to {high:+.2f} %; {judged})"
        ends = sorted((abs(low), abs(high)))
        word = "less" if interval.value < 1 else "more"
        return (
            f"takes {percent(abs(interval.value - 1))} {word} time{than} "
            f"({level} interval {ends[0]:.2f} to {ends[1]:.2f} %; {judged})"
        )

    return tell


def verdict(cell: Cell, name: str, noise: stats.Interval | None) -> str:
    """FASTER, SLOWER, SAME or INCONCLUSIVE, by the interval; or why there is no verdict."""
    rounds = [one for one in cell.rounds if one.contrast == (REFERENCE, name)]
    processes = len({one.process for one in rounds})
    if processes < FEWEST_PROCESSES:
        return f"{processes} process{'es' if processes > 1 else ''}, so no verdict"
    if labels := sorted(UNJUDGED & set(cell.labels)):
        return f"{', '.join(labels)}, so no verdict"
    ratio = stats.ratio(cell.rounds, name, REFERENCE)
    assert ratio
    found = judged(ratio, noise)
    in_cycles = stats.ratio(cycles.by_kernel(cell.rounds), name, REFERENCE)
    if in_cycles and cycles.contradict(found, by_cycles := judged(in_cycles, noise)):
        return f"INCONCLUSIVE: {cycles.CLOCK_DEPENDENT}, {found} in time and {by_cycles} in cycles; {cycles.LOCK}"
    return f"{found}: more --rounds may decide" if found == "INCONCLUSIVE" else found


def judged(ratio: stats.Interval, noise: stats.Interval | None) -> str:
    return stats.verdict(stats.Interval(log(ratio.low), log(ratio.value), log(ratio.high)), noise)


def bit_differences(cell: Cell) -> list[str]:
    """For exact pairs: variants that agree in value but not in every bit."""
    names = [label.removeprefix(BITS_DIFFER) for label in cell.labels if label.startswith(BITS_DIFFER)]
    return [f"{name} wrote different bits than the first variant, with equal values." for name in names]


def restless(verified: Mapping[str, VariantResult]) -> list[str]:
    """Variants that write different bits on the same data, and are correct each time."""
    names = [name for name, result in verified.items() if result.check and result.check.deterministic is False]
    if not names:
        return []
    writes = "writes" if len(names) == 1 else "write"
    return [f"{listed(names)} {writes} different bits when launched again on the same data."]


def weaknesses(cell: Cell) -> list[str]:
    """Wrong results that the pair would not detect."""
    if not cell.oracle:
        return []
    compared = " No time is compared." if cell.rounds else ""
    return [f"The pair's reference and tolerance would accept {listed(cell.oracle)}.{compared}"]


def closing(cells: Sequence[Cell], noise: stats.Interval | None = None) -> list[str]:
    """The findings of a pair's cells: one line if all sizes have the same, else one per size."""
    found = [finding(cell, noise) for cell in cells]
    if len(set(found)) <= 1:
        return [line for line in found[:1] if line]
    return [f"{size_words(cell.point)}: {line}" for cell, line in zip(cells, found, strict=True) if line]
