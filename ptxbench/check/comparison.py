"""A candidate's figures compared with those of the pair's variants: what is reported, and where it needs more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ptxbench.check.findings import Finding, finding
from ptxbench.check.machine_code import EXECUTED
from ptxbench.metrics import ATOMICS
from ptxbench.result import BuildReport

FIGURES = {
    "sectors": ("ptx_global_load_sectors", "ptx_global_store_sectors"),
    "instructions": ("ptx_warp_instructions",),
    "wavefronts": ("ptx_shared_load_wavefronts", "ptx_shared_store_wavefronts"),
    "atomics": ATOMICS,
    "divergent": ("ptx_divergent_branches",),
}
"""The reported counts, each the sum of some counters."""

COMPARED = ("sectors", "instructions")
"""Counts whose ratios to the variants of the pair are reported too."""

MORE = 1.005
"""Above this ratio a count is reported as more."""


WORDS = {"sectors": "global sectors", EXECUTED: "machine instructions"}
"""The counts that rank candidates, in this order. Not PTX instructions: ptxas may make more of fewer."""


def figures(report: BuildReport) -> dict[str, Any]:
    """The figures of a build that are reported."""
    return {
        "registers": report.registers,
        "spill_bytes": (report.spill_store_bytes or 0) + (report.spill_load_bytes or 0),
        "shared_bytes": report.shared_bytes,
        "sass": report.sass.get("total"),
        "occupancy": report.occupancy,
    }


def figures_of(counters: Mapping[str, float]) -> dict[str, float]:
    return {name: sum(counters[part] for part in parts) for name, parts in FIGURES.items()}


def resource_words(report: BuildReport) -> str:
    return f"{report.registers} registers, {report.shared_bytes} B shared, {report.sass.get('total', 0)} SASS"


def heavier(own: BuildReport, others: Mapping[str, BuildReport]) -> Iterator[Finding]:
    """Findings where the candidate needs more than all of the pair's variants."""
    if own.occupancy == 0:
        message = (
            f"{own.registers} registers per thread and {own.shared_bytes} bytes of shared memory do not fit on an SM."
        )
        yield finding("resources", "cannot-launch", message)
    spilled = (own.spill_store_bytes or 0) + (own.spill_load_bytes or 0)
    if spilled:
        message = f"each thread spills {own.spill_store_bytes} bytes and reloads {own.spill_load_bytes}."
        yield finding("resources", "spills", message)
    known = [other.occupancy for other in others.values() if other.occupancy is not None]
    if own.occupancy and known and own.occupancy < min(known):
        message = (
            f"{own.registers} registers: occupancy {own.occupancy:.0%}, the pair's variants at least {min(known):.0%}."
        )
        yield finding("resources", "more-registers", message)
    same = [name for name, report in others.items() if report.sass_sha256 and report.sass_sha256 == own.sass_sha256]
    if same:
        yield finding("resources", "same-code", f"the machine code is the same as that of {', '.join(same)}.")


def slower(ratios: Mapping[str, Mapping[str, float]], label: str) -> Iterator[Finding]:
    """A finding if the candidate has more of a count than any variant; `label`: of the data.

    `ratios`: the lower ends by variant, without those that are too uncertain.
    """
    more = [name for name in WORDS if ratios and all(ratio.get(name, 0) > MORE for ratio in ratios.values())]
    if more:
        message = f"{label}: more {' and '.join(WORDS[name] for name in more)} than any variant of the pair."
        yield finding("counts", "slower-counts", message)
