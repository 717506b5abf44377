"""The findings of a cell in words. Pure functions from results to sentences, as careful as the data allow.

The words claim only what the data show: counts are of PTX, times come with their interval, and variants with the same
machine code are never ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptxbench import stats
from ptxbench.languages import CUDA
from ptxbench.listing.explanation.finding import percent
from ptxbench.metrics import BY_NAME, Metric
from ptxbench.result import (
    BITS_DIFFER,
    BROKEN,
    MUST_FAIL,
    ORACLE_WEAK,
    SEVERITY,
    SKIPPED,
    UNSUPPORTED,
    VERIFIED,
    WRONG,
    Cell,
    ExecutedReport,
    VariantResult,
)
from ptxbench.rival import (
    EXECUTED,
    ISSUED,
    OTHER_GEOMETRY,
    TIME,
    Leader,
    Rival,
    code_of,
    leader_of,
    other_geometry,
    rival_of,
    verdict,
    verified_rows,
)
from ptxbench.units import enumeration, size_words

WORDS = {
    WRONG: "wrong",
    BROKEN: "broken",
    UNSUPPORTED: "beyond the emulator",
    SKIPPED: "skipped",
    MUST_FAIL: MUST_FAIL,
}


@dataclass(frozen=True)
class KernelProblem:
    """Variants that were not verified, and why."""

    variants: tuple[str, ...]
    status: str
    reason: str

    def __str__(self) -> str:
        verb = "is" if len(self.variants) == 1 else "are"
        return f"{enumeration(self.variants)} {verb} {WORDS[self.status]}: {self.reason}"


@dataclass(frozen=True)
class Amount:
    """A count to compare: its metric, the words around it, and whether it is reported even if it is equal."""

    metric: str
    verb: str
    noun: str
    always: bool = False


EXECUTES = Amount("sass_executed", "executes", "machine instructions", always=True)
ISSUES = Amount("ptx_warp_instructions", "issues", "PTX instructions", always=True)
AMOUNTS = (
    Amount("ptx_global_sectors", "moves", "sectors", always=True),
    Amount("ptx_shared_wavefronts", "needs", "shared wavefronts"),
    Amount("ptx_shared_conflicts", "has", "bank conflicts"),
    Amount("ptx_atomics", "makes", "atomic requests"),
    Amount("ptx_barriers", "waits at", "barriers"),
    Amount("sass", "has", "SASS instructions"),
)


def problems(cell: Cell) -> list[KernelProblem]:
    """The variants that were not verified, grouped by reason, the worst kinds first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, result in cell.variants.items():
        if result.status != VERIFIED:
            groups.setdefault((result.status, result.reason or "no reason was recorded."), []).append(name)
    by_reason = [KernelProblem(tuple(names), status, reason) for (status, reason), names in groups.items()]
    return sorted(by_reason, key=lambda problem: SEVERITY.index(problem.status))


def remarks(cell: Cell) -> list[str]:
    """Warnings of NVRTC and ptxas about the builds, and how they were compiled if it was not by NVRTC as they are; each
    text once, with its variants."""
    groups: dict[str, list[str]] = {}
    for name, result in cell.variants.items():
        if result.build and result.build.compiler and result.language == CUDA.name:
            groups.setdefault(f"compiled by {result.build.compiler}", []).append(name)
        if result.build and result.build.log:
            groups.setdefault(result.build.log, []).append(name)
    return [f"{enumeration(names)}: {log}" for log, names in groups.items()]


def compilers(cell: Cell) -> list[str]:
    """Which compiler made the PTX of variants that are not CUDA C: `numba: compiled by numba-cuda 0.30.4.`"""
    groups: dict[str, list[str]] = {}
    for name, result in cell.variants.items():
        if result.build and result.build.compiler and result.language != CUDA.name:
            groups.setdefault(result.build.compiler, []).append(name)
    return [f"{enumeration(names)}: compiled by {compiler}." for compiler, names in groups.items()]


def open_counts(executed: Mapping[str, ExecutedReport | None]) -> list[str]:
    """Why variants have a range of executed machine instructions, or no number, each reason once."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for name, report in executed.items():
        if report and report.reason:
            groups.setdefault((report.fit is None, report.reason), []).append(name)
    return [
        f"{enumeration(names)}: {'no number' if unknown else 'a range'} of executed SASS: {reason}."
        for (unknown, reason), names in groups.items()
    ]


def finding(cell: Cell, noise: stats.Interval | None = None, reference: str | None = None) -> str:
    """How the verified PTX variants differ from the best CUDA C, or from `reference`; empty if there are none.

    `noise`: the log ratio of the control to itself, which a verdict must clear.
    """
    verified = {name: result for name, result in cell.variants.items() if result.status == VERIFIED}
    sentences = [*comparisons(cell, noise, reference)] if verified_rows(cell, "ptx") else []
    return " ".join([*sentences, *bit_differences(cell), *nondeterministic(verified), *weaknesses(cell)])


def comparisons(cell: Cell, noise: stats.Interval | None, reference: str | None) -> Iterator[str]:
    """A sentence for each hand-written PTX, those that say the same together; then the best of each language."""
    rival = rival_of(cell, reference)
    if rival is None:
        if reference is not None:
            lacks = "not verified" if reference in cell.variants else "not a row of this pair"
            yield f"{reference} is {lacks}, so nothing is compared with it."
        return
    rows = [name for name in verified_rows(cell, "ptx") if name != rival.name]
    twins_of_cell = [name for name in rows if cell.launch_of(name).geometry == cell.launch.geometry]
    for i, names in enumerate(same_facts(cell, rows, rival, noise)):
        yield f"{names[0]} {compare(cell, names[0], rival, noise, explain=i == 0)}."
        if names[1:]:
            yield f"{', '.join(names[1:])}: as {names[0]}."
        yield from twins(cell, names[0], rival.name)
    yield from ties(rival.leader)
    yield from fastest(leader_of(cell, twins_of_cell), cell) if len(twins_of_cell) > 1 else ()


def same_facts(cell: Cell, rows: Sequence[str], rival: Rival, noise: stats.Interval | None) -> Iterable[Sequence[str]]:
    """The rows in groups of which the same facts are true.

    A row with the machine code of another one has the facts of that one: its own times would only differ by noise.
    """
    groups: dict[str, list[str]] = {}
    by_code: dict[str, str] = {}
    for name in rows:
        code = code_of(cell, name)
        facts = (code and by_code.get(code)) or compare(cell, name, rival, noise)
        if code:
            by_code[code] = facts
        groups.setdefault(facts, []).append(name)
    return groups.values()


BEST = {
    TIME: ("the fastest CUDA C", "the CUDA C with the least time"),
    EXECUTED: ("the CUDA C that executes the fewest", "the CUDA C that likely executes the fewest"),
    ISSUED: ("the CUDA C that issues the fewest",) * 2,
}
"""What the best CUDA C is called: if it is certain that it is the best, and if not."""


def compare(cell: Cell, name: str, rival: Rival, noise: stats.Interval | None, *, explain: bool = False) -> str:
    """`issues 12 % fewer PTX instructions than cuda@fast, the CUDA C that issues the fewest, and moves ...`.

    `explain`: say what the rival is.
    """
    leader = rival.leader
    called = leader.name
    if explain and leader.selected and leader.metric:
        called += f", {BEST[leader.metric][not leader.proven]}"
    if other_geometry(cell, name, rival.name):
        called += f" ({OTHER_GEOMETRY})"
    relation = code_relation(cell.variants[name], cell.variants[rival.name])
    if relation == SAME_CODE:
        return f"is the {SAME_CODE} as {called}"
    facts = [f"has the {relation} as {called}"] if relation else []
    for fact_of in (time_fact(rival, noise), instructions_fact, *(amount_fact(amount) for amount in AMOUNTS)):
        if fact := fact_of(cell, name, rival.name, "" if facts else called):
            facts.append(fact)
    if not facts:
        return f"has other machine code than {called}"
    if len(facts) == 2 and called != rival.name:  # the comma that ends what the rival is called
        return f"{facts[0]}, and {facts[1]}"
    return enumeration(facts)


def ties(leader: Leader) -> Iterator[str]:
    """What is not certain about the best CUDA C: each reason with its rows."""
    if not leader.certain:
        yield "There is no verdict on which CUDA C is the fastest."
    elif leader.tied and leader.metric == TIME:
        yield f"{enumeration(leader.tied)} {are(leader.tied)} statistically tied with {leader.name}."
    elif leader.tied:
        ranges = "their ranges overlap" if len(leader.tied) == 1 else "the ranges overlap"
        yield f"{enumeration(leader.tied)} may execute fewer than {leader.name}: {ranges}."
    if leader.equal:
        yield f"{enumeration(leader.equal)} {verb(leader.equal, leader.metric)} as few as {leader.name}."
    if leader.twins:
        yield f"{enumeration(leader.twins)} {are(leader.twins)} the {SAME_CODE} as {leader.name}."
    if leader.unknown and leader.metric == TIME:
        yield f"{enumeration(leader.unknown)} {are(leader.unknown)} not timed and cannot be compared."
    elif leader.unknown and leader.metric:
        has = "has" if len(leader.unknown) == 1 else "have"
        yield f"{enumeration(leader.unknown)} {has} no number of executed instructions and cannot be compared."


def fastest(leader: Leader, cell: Cell) -> Iterator[str]:
    """Which hand-written PTX is the best, if they differ."""
    if not leader.selected or not leader.certain:
        return
    best = (leader.name, *leader.equal)
    group = "hand-written PTX"
    if leader.metric == TIME:
        if leader.tied:
            yield f"{enumeration((leader.name, *leader.tied))} are statistically tied as the fastest {group}."
        else:
            yield f"{leader.name} is the fastest {group}."
        return
    if leader.tied:
        yield f"{' or '.join((*best, *leader.tied))} executes the fewest of the {group}: their ranges overlap."
    else:
        yield f"{enumeration(best)} {verb(best, leader.metric)} the fewest of the {group}."


def are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def verb(names: Sequence[str], metric: str | None) -> str:
    """`executes`, `issue`: what rows do with instructions."""
    word = "execute" if metric == EXECUTED else "issue"
    return word + ("s" if len(names) == 1 else "")


SAME_CODE, SAME_MIX = "same machine code", "same instruction mix"

Fact = Callable[[Cell, str, str, str], str | None]
"""The words on a variant against another one; the last argument is what to call that one, "" to leave it out."""


def code_relation(variant: VariantResult, other: VariantResult) -> str | None:
    """Whether two variants are the same machine code, or at least have equal counts of each SASS instruction."""
    if variant.build is None or other.build is None:
        return None
    if variant.build.sass_sha256 is not None and variant.build.sass_sha256 == other.build.sass_sha256:
        return SAME_CODE
    return SAME_MIX if variant.build.sass and dict(variant.build.sass) == dict(other.build.sass) else None


def twins(cell: Cell, name: str, rival: str) -> Iterator[str]:
    """The CUDA C variant that is closer to `name` than the rival is: the flag or spelling that explains it."""
    closeness = (None, SAME_MIX, SAME_CODE)
    best = closeness.index(code_relation(cell.variants[name], cell.variants[rival]))
    twin = None
    for other in verified_rows(cell, "cuda"):
        relation = code_relation(cell.variants[other], cell.variants[name])
        if closeness.index(relation) > best:
            best = closeness.index(relation)
            twin = f"{other} {'is' if relation == SAME_CODE else 'has'} the {relation} as {name}."
    yield from [twin] if twin else []


def instructions_fact(cell: Cell, name: str, other: str, called: str) -> str | None:
    """How the executed machine instructions compare; those of PTX only in a run without the former."""
    left, right = (cell.variants[variant].executed for variant in (name, other))
    if left is None or right is None:
        return amount_fact(ISSUES)(cell, name, other, called)
    if fact := amount_fact(EXECUTES)(cell, name, other, called):
        return fact
    if left.least is None or left.most is None or right.least is None or right.most is None:
        return None
    if left.most < right.least or right.most < left.least:
        return None
    return f"may execute more or fewer {EXECUTES.noun}{called and f' than {called}'}"


def amount_fact(amount: Amount) -> Fact:
    """How `amount` compares, as a fact."""
    metric = BY_NAME[amount.metric]

    def fact_of(cell: Cell, name: str, other: str, called: str) -> str | None:
        value, other_value = metric.of(cell, name), metric.of(cell, other)
        if value is None or other_value is None or value == other_value == 0 or not settled(metric, cell, name, other):
            return None
        if value == other_value:
            equal_words = f"as many {amount.noun} as {called}" if called else f"the same {amount.noun}"
            return f"{amount.verb} {equal_words}" if amount.always else None
        if not other_value:
            return f"{amount.verb} {value:,.0f} {amount.noun} where there were none"
        if not value:
            return f"{amount.verb} no {amount.noun} where there were {other_value:,.0f}"
        if value >= 2 * other_value:
            return f"{amount.verb} {value / other_value:.3g} times the {amount.noun}{called and f' of {called}'}"
        return f"{amount.verb} {difference(value, other_value)} {amount.noun}{called and f' than {called}'}"

    return fact_of


NARROW = 1.04
"""The greatest ratio of the ends of a range for which a sentence compares its value."""


def settled(metric: Metric, cell: Cell, name: str, other: str) -> bool:
    """Whether it is certain that a variant differs from another one, or that it does not, given their ranges."""
    if not metric.bounds or metric.interval is None:
        return True
    left, right = (metric.interval(cell, variant, cell.variants[variant]) for variant in (name, other))
    if left is None or right is None or any(most > NARROW * least for least, most in (left, right)):
        return False
    return (left == right and left[0] == left[1]) or left[1] < right[0] or right[1] < left[0]


def difference(value: float, other_value: float) -> str:
    """`12 % fewer`, `0.3 % more`."""
    return f"{percent(abs(value / other_value - 1))} {'fewer' if value < other_value else 'more'}"


def time_fact(rival: Rival, noise: stats.Interval | None) -> Fact:
    """The time against the rival's, with its interval and verdict; None without one."""

    def fact_of(cell: Cell, name: str, other: str, called: str) -> str | None:
        interval = rival.ratio(cell.rounds, name)
        if interval is None or ORACLE_WEAK in cell.labels:
            return None
        than = f" than {called}" if called else ""
        level = f"{100 * stats.LEVEL:.0f} %"
        low, high = 100 * (interval.low - 1), 100 * (interval.high - 1)
        judged = verdict(cell, name, rival, noise)
        if low <= 0 <= high:
            return f"is not measurably faster or slower{than} ({level} interval {low:+.2f} to {high:+.2f} %; {judged})"
        ends = sorted((abs(low), abs(high)))
        word = "less" if interval.value < 1 else "more"
        return (
            f"takes {percent(abs(interval.value - 1))} {word} time{than} "
            f"({level} interval {ends[0]:.2f} to {ends[1]:.2f} %; {judged})"
        )

    return fact_of


def bit_differences(cell: Cell) -> list[str]:
    """For exact pairs: variants that agree in value but not in every bit."""
    names = [label.removeprefix(BITS_DIFFER) for label in cell.labels if label.startswith(BITS_DIFFER)]
    return [f"{enumeration(names)} wrote different bits than the first variant, with equal values."] if names else []


def nondeterministic(verified: Mapping[str, VariantResult]) -> list[str]:
    """Variants that write different bits on the same data, and are correct each time."""
    names = [name for name, result in verified.items() if result.check and result.check.deterministic is False]
    if not names:
        return []
    writes = "writes" if len(names) == 1 else "write"
    return [f"{enumeration(names)} {writes} different bits when launched again on the same data."]


def weaknesses(cell: Cell) -> list[str]:
    """Wrong results that the pair would not detect."""
    if not cell.oracle:
        return []
    compared = " No time is compared." if cell.rounds else ""
    return [f"The pair's reference and tolerance would accept {enumeration(cell.oracle)}.{compared}"]


def closing(cells: Sequence[Cell], noise: stats.Interval | None = None, reference: str | None = None) -> list[str]:
    """The findings of a pair's cells, each with its sizes: sizes with the same finding share a line."""
    sizes_by_line: dict[str, list[str]] = {}
    for cell in cells:
        if line := finding(cell, noise, reference):
            sizes_by_line.setdefault(line, []).append(size_words(cell.point))
    return [f"{'; '.join(sizes)}: {line}" for line, sizes in sizes_by_line.items()]
