"""A candidate's figures beside those of the pair's variants: what is told of them, and where it needs more than all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ptxbench.check.findings import Finding, finding
from ptxbench.check.machine_code import EXECUTED
from ptxbench.result import BuildReport

FIGURES = {
    "sectors": ("ptx_global_load_sectors", "ptx_global_store_sectors"),
    "instructions": ("ptx_warp_instructions",),
    "wavefronts": ("ptx_shared_load_wavefronts", "ptx_shared_store_wavefronts"),
    "atomics": ("ptx_atomic_global_requests", "ptx_atomic_shared_requests"),
    "divergent": ("ptx_divergent_branches",),
}
"""What is reported of the counts, each the sum of some counters."""

COMPARED = ("sectors", "instructions")
"""Those whose ratios to the variants of the pair are reported too."""

MORE = 1.005
"""From this ratio on a count is called more."""


WORDS = {"sectors": "global sectors", EXECUTED: "machine instructions"}
"""What ranks candidates, in this order. PTX instructions do not: ptxas may make more of fewer."""


def figures(report: BuildReport) -> dict[str, Any]:
    """What is told of a build."""
    return {
        "registers": report.registers,
        "spill_bytes": (report.spill_store_bytes or 0) + (report.spill_load_bytes or 0),
        "shared_bytes": report.shared_bytes,
        "sass": report.sass.get("total"),
        "occupancy": report.occupancy,
    }


def figures_of(counters: Mapping[str, float]) -> dict[str, float]:
    return {name: sum(counters[each] for each in parts) for name, parts in FIGURES.items()}


def resource_words(report: BuildReport) -> str:
    return f"{report.registers} registers, {report.shared_bytes} B shared, {report.sass.get('total', 0)} SASS"


def heavier(own: BuildReport, others: Mapping[str, BuildReport]) -> Iterator[Finding]:
    """Where the candidate needs more than all of the pair's variants."""
    if own.occupancy == 0:
        told = f"{own.registers} registers a thread and {own.shared_bytes} bytes of shared memory do not fit."
        yield finding("resources", "cannot-launch", told)
    spilled = (own.spill_store_bytes or 0) + (own.spill_load_bytes or 0)
    if spilled:
        told = f"{own.spill_store_bytes} bytes are spilled and {own.spill_load_bytes} reloaded, a thread."
        yield finding("resources", "spills", told)
    known = [each.occupancy for each in others.values() if each.occupancy is not None]
    if own.occupancy and known and own.occupancy < min(known):
        told = f"{own.registers} registers: {own.occupancy:.0%} of an SM's warps, the pair's {min(known):.0%}."
        yield finding("resources", "more-registers", told)
    same = [name for name, each in others.items() if each.sass_sha256 and each.sass_sha256 == own.sass_sha256]
    if same:
        yield finding("resources", "same-code", f"the machine code is that of {', '.join(same)}.")


def slower(ratios: Mapping[str, Mapping[str, float]], label: str) -> Iterator[Finding]:
    """What the candidate has more of than every variant; `label` of the data.

    `ratios`: by variant, what each is at the least; one that is not known well enough is missing.
    """
    more = [name for name in WORDS if ratios and all(each.get(name, 0) > MORE for each in ratios.values())]
    if more:
        told = f"{label}: more {' and '.join(WORDS[name] for name in more)} than every variant of the pair."
        yield finding("counts", "slower-counts", told)
