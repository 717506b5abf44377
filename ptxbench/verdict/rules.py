"""Which counters of a pair the counters gate judges, and how strictly. RULES has one entry for each counter.

Counts are exact, so a rule has no interval: it allows a small share more, or nothing. A count that
changes easily with the compiler (registers, code size) warns; a count of memory traffic or of its ordering fails.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptxbench import opcodes
from ptxbench.result import BuildReport, Cell
from ptxbench.verdict.comparable import ConditionDifference
from ptxbench.verdict.rows import ONE_RUN, Row, exact_change, with_differences
from ptxbench.verdict.verdicts import CHANGED, IMPROVED, MISSING, NEW, NO_REGRESSION, REGRESSED, SAME_CODE


@dataclass(frozen=True)
class CounterRule:
    """A metric that the gate judges: how much worse it may be, as a share, and whether more than that fails."""

    metric: str
    words: str
    """What happened if it is worse, in words."""
    allowed: float = 0.0
    fails: bool = True


LOCAL, WIDTH, READ_ONLY, CALLS = "sass.local", "sass.width", "sass.nc", "sass.call"
"""Metrics that only the gate has: accesses to local memory, vector accesses, loads through the read-only path (`.nc` of
PTX), and calls, all counted in the SASS."""

OPCODES = "opcodes"
"""The metric of a row about changed access modifiers, whose cost no count can show."""

RULES = {
    rule.metric: rule
    for rule in (
        # what ptxas made
        CounterRule("spills", "more registers are spilled to memory"),
        CounterRule("stack", "a thread uses more local memory"),
        CounterRule(LOCAL, "more accesses to local memory in the machine code"),
        CounterRule(CALLS, "more subroutine calls in the machine code"),
        CounterRule(WIDTH, "vector accesses became narrower ones"),
        CounterRule(READ_ONLY, "loads no longer use the read-only path"),
        CounterRule("occupancy", "fewer warps fit on an SM"),
        CounterRule("registers", "more registers per thread", fails=False),
        CounterRule("sass", "more machine instructions", allowed=0.05, fails=False),
        # what was launched, and executed
        CounterRule("launched_warps", "the launch has fewer warps than before and than the GPU can hold"),
        CounterRule("ptx_warp_instructions", "more instructions executed", allowed=0.02),
        CounterRule("sass_executed", "more machine instructions executed", allowed=0.02),
        CounterRule("ptx_weighted_instructions", "more machine instructions executed (estimate)", allowed=0.02),
        CounterRule("ptx_dependent_cycles", "warps wait longer for dependent results", allowed=0.1),
        CounterRule("ptx_branches", "more branches executed", allowed=0.05, fails=False),
        CounterRule("ptx_divergent_branches", "warps diverge more often"),
        CounterRule("ptx_warp_instructions_special", "more approximate functions executed"),
        CounterRule("ptx_subnormal_approximations", "more approximate functions keep subnormal numbers"),
        CounterRule("ptx_divisions", "more full-precision divisions, roots or remainders executed"),
        CounterRule("ptx_loop_functions", "more approximate functions, divisions or roots in loops"),
        CounterRule("ptx_float_conversions", "more conversions of floating-point numbers executed"),
        CounterRule("ptx_warp_instructions_f64", "more double-precision instructions executed"),
        CounterRule("ptx_warp_instructions_warp", "more shuffles, votes or warp synchronizations executed"),
        CounterRule("ptx_mma_operations", "more matrix instructions executed"),
        # memory
        CounterRule("ptx_global_load_sectors", "loads touch more memory"),
        CounterRule("ptx_global_store_sectors", "stores touch more memory"),
        CounterRule("ptx_global_load_requests", "more loads executed"),
        CounterRule("ptx_global_store_requests", "more stores executed"),
        CounterRule("ptx_direct_loads", "more loads that are not asynchronous copies"),
        CounterRule("ptx_async_requests", "more asynchronous copies"),
        CounterRule("ptx_async_bytes", "asynchronous copies move more bytes"),
        CounterRule("ptx_full_waits", "more waits for all asynchronous copies"),
        CounterRule("ptx_generic_accesses", "more accesses do not name their state space"),
        CounterRule("ptx_local_load_bytes", "more loads from local memory"),
        CounterRule("ptx_local_store_bytes", "more stores to local memory"),
        CounterRule("ptx_shared_load_requests", "more loads from shared memory"),
        CounterRule("ptx_shared_store_requests", "more stores to shared memory"),
        CounterRule("ptx_shared_load_wavefronts", "loads from shared memory take more passes"),
        CounterRule("ptx_shared_store_wavefronts", "stores to shared memory take more passes"),
        CounterRule("ptx_shared_load_conflicts", "more bank conflicts in loads"),
        CounterRule("ptx_shared_store_conflicts", "more bank conflicts in stores"),
        *(CounterRule(f"ptx_atomic_{space}_{part}", what.format(space))
          for space in ("global", "shared", "cluster")
          for part, what in (("requests", "more {} atomics executed"), ("lanes", "more lanes take part in {} atomics"),
                             ("serial", "more lanes of {} atomics access the same address"))),
        # Hopper
        CounterRule("ptx_tma_boxes", "tensor copies move more boxes"),
        # filled bytes are not read from memory; a box beyond the edge also counts as a box and by its bytes
        CounterRule("ptx_tma_filled_bytes", "tensor copies fill more bytes outside tensors", fails=False),
        CounterRule("ptx_wgmma_operations", "more products of warpgroups executed"),
        CounterRule("ptx_wgmma_shared_bytes", "products of warpgroups read more of shared memory"),
        *(CounterRule(f"ptx_cluster_{kind}_requests", f"more {kind}s at addresses of the cluster")
          for kind in ("load", "store")),
        # order among threads
        CounterRule("ptx_barriers", "warps wait at more barriers"),
        CounterRule("ptx_mbarrier_phases", "more phases of mbarriers are completed"),
        CounterRule("ptx_strong_accesses", "more accesses are volatile or ordered"),
        CounterRule("ptx_ordering_accesses", "more accesses are acquire or release"),
        CounterRule("ptx_fences", "more fences executed"),
        *(CounterRule(f"ptx_{scope}_{what}", f"more {what} have {whom} scope")
          for scope, whom in (("cluster", "cluster"), ("gpu", "GPU"), ("sys", "system"))
          for what in ("accesses", "fences")),
        CounterRule("ptx_sequential_fences", "more fences are sequentially consistent"),
        CounterRule("ptx_sleeps", "warps sleep more often"),
        CounterRule("ptx_sleep_ns", "warps sleep longer"),
    )
}  # fmt: skip


def within_allowance(row: Row) -> Row:
    """A compared count; NO-REGRESSION if it is worse by no more than its rule allows."""
    most = (row.base or 0.0) * (1 + RULES[row.metric].allowed)  # a metric with an allowed share is better if lower
    if row.verdict == REGRESSED and RULES[row.metric].allowed and row.head is not None and row.head <= most:
        return dataclasses.replace(row, verdict=NO_REGRESSION)
    return row


# ---- what the machine code shows beyond counts

ACCESS = re.compile(r"(?:LD|ST)[GSL]?|ATOM[GS]?|RED")
"""Opcodes whose accesses have a width."""

BYTES = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "256": 32}


def local_accesses(build: BuildReport) -> float | None:
    """Instructions of the machine code that load or store local memory; None if it was not disassembled."""
    if not build.sass:
        return None
    return sum(count for name, count in build.sass.items() if name.split(".")[0] in ("LDL", "STL"))


def calls(build: BuildReport) -> float | None:
    """Subroutine calls, such as that of a division; None if the machine code was not disassembled."""
    if not build.opcodes:
        return None
    return sum(count for name, count in build.opcodes.items() if name.split(".")[0] == "CALL")


def widths(sass: Mapping[str, int]) -> dict[str, dict[int, int]]:
    """Accesses by opcode and bytes per lane: {"LDG": {16: 2, 4: 1}}."""
    by_opcode: dict[str, dict[int, int]] = {}
    for name, count in sass.items():
        opcode, *modifiers = name.split(".")
        if ACCESS.fullmatch(opcode):
            size = next((BYTES[modifier] for modifier in modifiers if modifier in BYTES), 4)
            of_opcode = by_opcode.setdefault(opcode, {})
            of_opcode[size] = of_opcode.get(size, 0) + count
    return by_opcode


def wide_accesses(build: BuildReport) -> float | None:
    """Instructions that move at least 8 bytes per lane; None if the machine code was not disassembled."""
    if not build.sass:
        return None
    return sum(count for sizes in widths(build.sass).values() for size, count in sizes.items() if size >= 8)


def narrowed(base: BuildReport, head: BuildReport) -> bool:
    """Whether head has fewer vector accesses of some opcode, and more narrower ones of the same opcode."""
    before, after = widths(base.sass), widths(head.sass)
    for opcode in before:
        old, new = before[opcode], after.get(opcode, {})
        for size in (width for width in old if width >= 8):
            fewer = new.get(size, 0) < old[size]
            more = [width for width in {*old, *new} if width < size and new.get(width, 0) > old.get(width, 0)]
            if fewer and more:
                return True
    return False


def read_only_loads(build: BuildReport) -> float | None:
    """Global loads through the read-only path; None if the machine code was not disassembled."""
    return loads(build)[0] if build.opcodes else None


def loads(build: BuildReport) -> tuple[int, int]:
    """Global loads through the read-only path, and the others."""
    by_path = [0, 0]
    for name, count in build.opcodes.items():
        opcode, *modifiers = name.split(".")
        if opcode == "LDG":
            by_path["CONSTANT" not in modifiers] += count
    return by_path[0], by_path[1]


def left_read_only(base: BuildReport, head: BuildReport) -> bool:
    """Whether head has fewer loads through the read-only path, and more others."""
    before, after = loads(base), loads(head)
    return after[0] < before[0] and after[1] > before[1]


def has_grown(count: Callable[[BuildReport], float | None]) -> Callable[[BuildReport, BuildReport], bool]:
    return lambda base, head: (count(head) or 0) > (count(base) or 0)


OF_CODE = (
    (LOCAL, local_accesses, has_grown(local_accesses)),
    (CALLS, calls, has_grown(calls)),
    (WIDTH, wide_accesses, narrowed),
    (READ_ONLY, read_only_loads, left_read_only),
)
"""Each with its count, and a function that says whether head's build is worse than base's."""


def code_rows(row: Row, base: Cell, head: Cell, differences: Sequence[ConditionDifference]) -> Iterator[Row]:
    """The rows of OF_CODE of a variant that is verified in both runs; `row`: its place and code changes."""
    before, after = base.variants[row.variant].build, head.variants[row.variant].build
    if before is None or after is None:
        return
    for metric, count, worse in OF_CODE:
        values = count(before), count(after)
        if values == (None, None):
            continue
        judged = dataclasses.replace(row, metric=metric, base=values[0], head=values[1])
        judged = with_differences(judged, "tools", base, head, differences)
        yield judged if judged.verdict else code_row(judged, worse(before, after))


def code_row(row: Row, worse: bool) -> Row:
    """The verdict on a row with the same tools on both sides."""
    if row.base is None or row.head is None:
        verdict = NEW if row.base is None else MISSING
        return dataclasses.replace(row, verdict=verdict, reason="not_measured", detail=ONE_RUN)
    if row.moves.nothing:
        return dataclasses.replace(row, verdict=SAME_CODE)
    better = row.metric in (LOCAL, CALLS) and row.head < row.base
    verdict = REGRESSED if worse else IMPROVED if better else NO_REGRESSION
    return dataclasses.replace(row, verdict=verdict, change=exact_change(row.base, row.head))


# ---- what neither counts nor classes of machine instructions show


def opcode_row(row: Row, base: Cell, head: Cell, differences: Sequence[ConditionDifference]) -> Row | None:
    """CHANGED if accesses have other modifiers than before, such as cache operators; else None."""
    before, after = base.variants[row.variant], head.variants[row.variant]
    if before.opcodes is None or after.opcodes is None or row.moves.nothing:
        return None
    row = with_differences(dataclasses.replace(row, metric=OPCODES), "emulator", base, head, differences)
    changes = opcodes.respelt(before.opcodes, after.opcodes)
    return dataclasses.replace(row, verdict=CHANGED, detail=changes) if changes and not row.verdict else None
