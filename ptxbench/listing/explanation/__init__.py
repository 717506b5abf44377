"""Why two variants may differ in time: their differences, in words with figures, usually the most costly first.

From their builds, and from the emulator's counters if it has run them. Each finding is a fact; only a GPU can show
whether it costs or saves time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ptxbench.listing.difference import Difference
from ptxbench.listing.explanation import memory, python, sass_findings
from ptxbench.listing.explanation.finding import (
    BRIEF,
    Analysis,
    CodePlace,
    ExecutedRange,
    Explanation,
    VariantContrast,
    VariantSide,
)
from ptxbench.listing.explanation.loops import loops
from ptxbench.listing.explanation.memory import EXECUTED
from ptxbench.listing.explanation.sass_findings import SAME_MIX
from ptxbench.listing.text import Listing, opcode
from ptxbench.metrics import REFERENCE
from ptxbench.pair import Launch, Size
from ptxbench.result import VERIFIED, BuildReport, Cell, VariantResult
from ptxbench.toolchain import launch_occupancy

__all__ = [
    "ANALYSES",
    "BRIEF",
    "EXECUTED",
    "SAME_CODE",
    "SAME_MIX",
    "CodePlace",
    "ExplainedPair",
    "Explanation",
    "explain",
    "of_cell",
    "verified",
]  # fmt: skip

SAME_CODE = "same code"

ANALYSES: tuple[tuple[str, Analysis], ...] = (
    # what a kernel should not do at all
    ("spills", sass_findings.spills),
    ("ptxas", sass_findings.remarks),
    # how many warps there are to hide latency
    ("occupancy", sass_findings.occupancy),
    # accesses to memory
    ("generic addressing", sass_findings.generic),
    ("atomics", memory.atomics),
    ("sectors", memory.sectors),
    ("bank conflicts", memory.conflicts),
    ("access width", sass_findings.widths),
    ("sectors per request", memory.requests),
    # what warps do
    ("loops", loops),
    (EXECUTED, memory.executed),
    ("barriers", memory.barriers),
    # what the code is made of
    ("instructions", sass_findings.instructions),
    ("carries", sass_findings.carries),
    ("fused multiply-add", sass_findings.fused),
    ("subnormal numbers", sass_findings.guards),
    ("constants", sass_findings.constants),
    ("conversions", sass_findings.conversions),
    ("64-bit integers", python.integers),
    ("doubles", python.doubles),
    ("read-only loads", python.read_only),
    ("divergence", memory.divergence),
    ("registers", sass_findings.registers),
    # no difference
    ("sectors per request", memory.requests_of_both),
)
"""Findings by name, in the order of what usually costs most; docs/show.md has them as a table."""


@dataclass(frozen=True)
class ExplainedPair:
    """The input of an explanation: two listings, and the launch for occupancy, if known.

    `size`: at which their lines were counted. `uncounted`: by variant, why its lines were not. `right_launch`: the
    launch of the right listing, if it is another one.
    """

    difference: Difference
    launch: Launch | None = None
    size: Size | None = None
    uncounted: Mapping[str, str] = field(default_factory=dict)
    right_launch: Launch | None = None

    @property
    def sides(self) -> tuple[Listing, Listing]:
        return self.difference.left, self.difference.right

    @property
    def counted(self) -> bool:
        """Whether the lines of both were counted."""
        return all(side.counted is not None for side in self.sides)

    @property
    def names(self) -> tuple[str, str]:
        return self.difference.left.variant, self.difference.right.variant


def explain(case: ExplainedPair) -> tuple[Explanation, ...]:
    """The differences, the most important first; if the machine code is the same, only that."""
    launches = case.launch, case.right_launch or case.launch
    left, right = (of_listing(side, launch) for side, launch in zip(case.sides, launches, strict=True))
    return find(VariantContrast(left, right), same_launch=launches[0] == launches[1])


def of_cell(cell: Cell, variant: str, reference: str = REFERENCE) -> tuple[Explanation, ...]:
    """The differences of two variants of a run, by their reports and counters only: no finding names a line or a loop.

    Empty if one of them was not built.
    """
    sides = []
    for name in (reference, variant):
        result = cell.variants.get(name)
        if result is None or result.build is None:
            return ()
        report = result.build
        executed, shared = executions_of(result), shared_bytes(report, cell.launch_of(name).shared_bytes)
        sides.append(VariantSide(name, report, report.opcodes, report.occupancy, result.counts, None, executed, shared))
    same_launch = cell.launch_of(reference) == cell.launch_of(variant)
    return find(VariantContrast(*sides), same_launch=same_launch)


def shared_bytes(report: BuildReport, dynamic: int) -> int | None:
    """Shared memory of a CTA; None if no tool has reported the static part."""
    return None if report.shared_bytes is None else report.shared_bytes + dynamic


def executions_of(result: VariantResult) -> ExecutedRange | None:
    """The machine instructions that a variant of a run executed; None if the run did not keep them."""
    executed = result.executed
    return None if executed is None else ExecutedRange(executed.least, executed.most, executed.fit)


def verified(cell: Cell, name: str) -> bool:
    return name in cell.variants and cell.variants[name].status == VERIFIED


def find(contrast: VariantContrast, *, same_launch: bool) -> tuple[Explanation, ...]:
    a, b = contrast.names
    left, right = contrast.left.report.sass_sha256, contrast.right.report.sass_sha256
    if left is not None and left == right and same_launch:
        text = f"{b} is the same machine code as {a}, to the bit: a difference in time would be noise."
        return (Explanation(SAME_CODE, text, f"{b} is the same machine code as {a}, to the bit."),)
    return tuple(finding for _, analysis in ANALYSES for finding in analysis(contrast))


def of_listing(listing: Listing, launch: Launch | None) -> VariantSide:
    counts: dict[str, float] | None = None
    if listing.counted is not None:
        counts = {}
        for counts_of_line in listing.counted.values():
            for name, value in counts_of_line.items():
                counts[name] = counts.get(name, 0) + value
    launch = listing.own_cta.of(launch) if launch and listing.own_cta else launch
    occupancy = launch_occupancy(listing.arch, launch, listing.report) if launch else None
    shared = shared_bytes(listing.report, launch.shared_bytes) if launch else None
    return VariantSide(
        listing.variant, listing.report, listing.opcodes, occupancy, counts, listing, executions(listing), shared
    )


def executions(listing: Listing) -> ExecutedRange | None:
    """The machine instructions that warps executed, also by opcode."""
    if listing.machine is None:
        return None
    by_opcode: dict[str, float] = {}
    for instruction in listing.sass:
        name = opcode(instruction.text).partition(".")[0]
        by_opcode[name] = by_opcode.get(name, 0) + (listing.executions(instruction) or 0)
    return ExecutedRange(listing.machine.least, listing.machine.most, listing.machine.fit, by_opcode)
