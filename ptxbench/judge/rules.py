"""What the counters gate judges of a pair, and how strictly. One entry of RULES a counter (gate.md, section 3).

Counts are exact, so a rule has no interval: it allows a share more, or nothing. What is no time but follows the
compiler's mood (registers, code size) warns; what costs memory traffic, or the freedom to order it, fails.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptxbench.judge.comparable import Difference
from ptxbench.judge.rows import ONE_RUN, Row, apply, exact_change
from ptxbench.judge.verdicts import IMPROVED, MISSING, NEW, REGRESSED, SAME_CODE, WITHIN
from ptxbench.result import BuildReport, Cell


@dataclass(frozen=True)
class CounterRule:
    """A metric that the gate judges: how much worse it may be, as a share, and whether more than that fails."""

    metric: str
    told: str
    """What happened where it is worse."""
    allowed: float = 0.0
    fails: bool = True


LOCAL, WIDTH, READ_ONLY = "sass.local", "sass.width", "sass.nc"
"""Metrics that the gate alone knows: accesses of local memory, vector accesses, and loads by the read-only path (`.nc`
of PTX), as they stand in the SASS."""

RULES = {
    rule.metric: rule
    for rule in (
        CounterRule("spills", "more registers went to memory"),
        CounterRule("stack", "a thread has more local memory"),
        CounterRule(LOCAL, "more accesses of local memory in the machine code"),
        CounterRule(WIDTH, "vector accesses became narrower ones"),
        CounterRule(READ_ONLY, "loads left the read-only path"),
        CounterRule("occupancy", "fewer warps fit an SM"),
        CounterRule("registers", "more registers a thread", fails=False),
        CounterRule("sass", "more machine instructions", allowed=0.05, fails=False),
        CounterRule("ptx_warp_instructions", "more instructions executed", allowed=0.02),
        CounterRule("ptx_global_load_sectors", "loads touch more memory"),
        CounterRule("ptx_global_store_sectors", "stores touch more memory"),
        CounterRule("ptx_local_load_bytes", "more loads of local memory"),
        CounterRule("ptx_local_store_bytes", "more stores to local memory"),
        CounterRule("ptx_shared_load_conflicts", "more bank conflicts of loads"),
        CounterRule("ptx_shared_store_conflicts", "more bank conflicts of stores"),
        CounterRule("ptx_divergent_branches", "lanes part more often"),
        CounterRule("ptx_barriers", "warps wait at more barriers"),
    )
}


def held(row: Row) -> Row:
    """A compared count, WITHIN where it is worse by no more than its rule allows."""
    most = (row.base or 0.0) * (1 + RULES[row.metric].allowed)  # what allows a share is better the lower it is
    if row.verdict == REGRESSED and RULES[row.metric].allowed and row.head is not None and row.head <= most:
        return dataclasses.replace(row, verdict=WITHIN)
    return row


# ---- what the machine code tells beyond counts

ACCESS = re.compile(r"(?:LD|ST)[GSL]?|ATOM[GS]?|RED")
"""Opcodes whose accesses have a width."""

BYTES = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "256": 32}


def local_accesses(build: BuildReport) -> float | None:
    """Instructions of the machine code that load or store local memory; None where nobody disassembled it."""
    if not build.sass:
        return None
    return sum(count for name, count in build.sass.items() if name.split(".")[0] in ("LDL", "STL"))


def widths(sass: Mapping[str, int]) -> dict[str, dict[int, int]]:
    """Accesses by opcode and bytes a lane: {"LDG": {16: 2, 4: 1}}."""
    found: dict[str, dict[int, int]] = {}
    for name, count in sass.items():
        opcode, *modifiers = name.split(".")
        if ACCESS.fullmatch(opcode):
            size = next((BYTES[each] for each in modifiers if each in BYTES), 4)
            of_opcode = found.setdefault(opcode, {})
            of_opcode[size] = of_opcode.get(size, 0) + count
    return found


def wide_accesses(build: BuildReport) -> float | None:
    """Instructions that move 8 bytes a lane or more; None where nobody disassembled it."""
    if not build.sass:
        return None
    return sum(count for sizes in widths(build.sass).values() for size, count in sizes.items() if size >= 8)


def narrowed(base: BuildReport, head: BuildReport) -> bool:
    """Whether head has fewer vector accesses of some opcode, and more of the same that are narrower."""
    before, after = widths(base.sass), widths(head.sass)
    for opcode in before:
        old, new = before[opcode], after.get(opcode, {})
        for size in (each for each in old if each >= 8):
            fewer = new.get(size, 0) < old[size]
            more = [each for each in {*old, *new} if each < size and new.get(each, 0) > old.get(each, 0)]
            if fewer and more:
                return True
    return False


def read_only_loads(build: BuildReport) -> float | None:
    """Global loads by the read-only path; None where nobody disassembled it."""
    return loads(build)[0] if build.opcodes else None


def loads(build: BuildReport) -> tuple[int, int]:
    """Global loads by the read-only path, and the others."""
    by_path = [0, 0]
    for name, count in build.opcodes.items():
        opcode, *modifiers = name.split(".")
        if opcode == "LDG":
            by_path["CONSTANT" not in modifiers] += count
    return by_path[0], by_path[1]


def left_read_only(base: BuildReport, head: BuildReport) -> bool:
    """Whether head has fewer loads by the read-only path, and more others."""
    before, after = loads(base), loads(head)
    return after[0] < before[0] and after[1] > before[1]


def grew(count: Callable[[BuildReport], float | None]) -> Callable[[BuildReport, BuildReport], bool]:
    return lambda base, head: (count(head) or 0) > (count(base) or 0)


OF_CODE = (
    (LOCAL, local_accesses, grew(local_accesses)),
    (WIDTH, wide_accesses, narrowed),
    (READ_ONLY, read_only_loads, left_read_only),
)
"""Each with its count, and what of two builds is worse."""


def code_rows(row: Row, base: Cell, head: Cell, differences: Sequence[Difference]) -> Iterator[Row]:
    """The rows of OF_CODE of a variant that is verified in both runs; `row`: its place and its moves."""
    before, after = base.variants[row.variant].build, head.variants[row.variant].build
    if before is None or after is None:
        return
    for metric, count, worse in OF_CODE:
        values = count(before), count(after)
        if values == (None, None):
            continue
        found = dataclasses.replace(row, metric=metric, base=values[0], head=values[1])
        found = apply(found, "tools", base, head, differences)
        yield found if found.verdict else code_row(found, worse(before, after))


def code_row(row: Row, worse: bool) -> Row:
    """The verdict on one whose tools are the same on both sides."""
    if row.base is None or row.head is None:
        verdict = NEW if row.base is None else MISSING
        return dataclasses.replace(row, verdict=verdict, reason="not_measured", detail=ONE_RUN)
    if row.moves.nothing:
        return dataclasses.replace(row, verdict=SAME_CODE)
    better = row.metric == LOCAL and row.head < row.base
    verdict = REGRESSED if worse else IMPROVED if better else WITHIN
    return dataclasses.replace(row, verdict=verdict, change=exact_change(row.base, row.head))
