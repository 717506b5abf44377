"""A candidate's figures compared with those of the pair's variants: what is reported, and which figures are worse."""

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
"""The counts that rank candidates, in this order. PTX instructions are not among them: ptxas may make more machine
instructions of fewer PTX instructions."""


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
    words = f"{report.registers} registers, {report.shared_bytes} B shared"
    return f"{words}, {report.sass['total']} SASS" if report.sass else words  # empty without nvdisasm


def heavier(report: BuildReport, others: Mapping[str, BuildReport]) -> Iterator[Finding]:
    """Findings about resources of which the candidate (`report`) needs more than any of the pair's variants
    (`others`)."""
    spilled = (report.spill_store_bytes or 0) + (report.spill_load_bytes or 0)
    if spilled:
        message = f"each thread spills {report.spill_store_bytes} bytes and reloads {report.spill_load_bytes}."
        yield finding("resources", "spills", message)
    occupancies = [other.occupancy for other in others.values() if other.occupancy is not None]
    if report.occupancy and occupancies and report.occupancy < min(occupancies):
        least = f"the pair's variants at least {min(occupancies):.0%}"
        message = f"{report.registers} registers: occupancy {report.occupancy:.0%}, {least}."
        yield finding("resources", "more-registers", message)
    same_code = [
        name for name, other in others.items() if other.sass_sha256 and other.sass_sha256 == report.sass_sha256
    ]
    if same_code:
        yield finding("resources", "same-code", f"the machine code is the same as that of {', '.join(same_code)}.")


def slower(ratios: Mapping[str, Mapping[str, float]], label: str) -> Iterator[Finding]:
    """A finding if the candidate has more of a count than any variant.

    `ratios`: by variant and count, the lower end of the ratio, without those that are too uncertain; `label`: of the
    data.
    """
    more = [name for name in WORDS if ratios and all(ratio.get(name, 0) > MORE for ratio in ratios.values())]
    if more:
        message = f"{label}: more {' and '.join(WORDS[name] for name in more)} than any variant of the pair."
        yield finding("counts", "slower-counts", message)
