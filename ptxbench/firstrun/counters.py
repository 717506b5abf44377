"""Which counters of the hardware should equal which of the emulator, and how Nsight Compute writes them.

Text in, numbers out: starts no process.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ptxbench.calibration.assessment import PASS, WARN, CheckResult
from ptxbench.firstrun.record import Agreement

HEADER = '"ID",'
"""Begins the first line of the table; lines of the profiler come before it and begin with ==."""

CLOSE = 0.01
"""The most by which two counts of one quantity may differ, as a share."""

MOST_NAMED = 3

EXECUTED = "sass_executed"
"""Machine instructions that warps executed, as derived from the counts by line of the PTX."""

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Counter:
    """One count, by the emulator's name and by the hardware's."""

    emulated: str
    hardware: str


COUNTERS = (
    Counter(EXECUTED, "smsp__inst_executed.sum"),
    *(
        Counter(f"ptx_global_{kind}_{what}", f"l1tex__t_{what}_pipe_lsu_mem_global_op_{short}.sum")
        for kind, short in (("load", "ld"), ("store", "st"))
        for what in ("requests", "sectors")
    ),
    *(
        Counter(f"ptx_shared_{kind}_wavefronts", f"l1tex__data_pipe_lsu_wavefronts_mem_shared_op_{short}.sum")
        for kind, short in (("load", "ld"), ("store", "st"))
    ),
    *(
        Counter(f"ptx_shared_{kind}_conflicts", f"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_{short}.sum")
        for kind, short in (("load", "ld"), ("store", "st"))
    ),
)


def read(text: str) -> list[dict[str, float]]:
    """The metrics of each launch in the output of `ncu --csv`, in order, without those that it could not count."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(HEADER)), len(lines))
    launches: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(line for line in lines[start:] if not line.startswith("==")):
        own = launches.setdefault(row["ID"], {})
        name, value = row.get("Metric Name"), number(row.get("Metric Value"))
        if name and value is not None:
            own[name] = value
    return list(launches.values())


def number(text: str | None) -> float | None:
    """`16,384` as a number; None for `n/a`."""
    try:
        return float((text or "").replace(",", ""))
    except ValueError:
        return None


def agreements(
    pair: str,
    variant: str,
    size: Mapping[str, int],
    emulated: Mapping[str, float],
    measured: Mapping[str, float],
    bounds: Mapping[str, Bounds] | None = None,
) -> list[Agreement]:
    """Every counter that both have; one that is 0 in both shows nothing. `bounds`: of counts that are not exact."""
    result = []
    for each in COUNTERS:
        own, other = emulated.get(each.emulated), measured.get(each.hardware)
        if own is not None and other is not None and (own or other):
            least, most = (bounds or {}).get(each.emulated, (None, None))
            result.append(Agreement(pair, variant, dict(size), each.emulated, each.hardware, own, other, least, most))
    return result


def agrees(agreement: Agreement) -> bool:
    """Whether both counted the same: within 1 %, or inside the emulator's range."""
    if agreement.least is not None and agreement.most is not None:
        return agreement.least <= agreement.measured <= agreement.most
    return abs(agreement.emulated - agreement.measured) <= CLOSE * agreement.measured


def judge(subject: str, found: Sequence[Agreement]) -> CheckResult:
    """Whether the emulator counted one launch as the hardware did."""
    off = [each for each in found if not agrees(each)]
    words = f"{len(found) - len(off)} of {len(found)} counters agree with the emulator"
    if not off:
        return CheckResult(subject, PASS, words)
    differences = "; ".join(
        f"{each.counter}: {each.measured:,.0f}, emulator {each.emulated:,.0f}" for each in off[:MOST_NAMED]
    )
    more = f"; and {len(off) - MOST_NAMED} more" if len(off) > MOST_NAMED else ""
    advice = (
        "The machine code may access memory differently than its PTX: see ptxbench show. If it does not, report this."
    )
    return CheckResult(subject, WARN, f"{words}. {differences}{more}", advice)
