"""Turns a launch's raw counters into named ones, in total and by line of the PTX. Definitions: docs/counters.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator import tensor_models
from ptxbench.emulator.accuracy import bound
from ptxbench.emulator.layout import EXACT_TRIPS, RESIDUES, Translation
from ptxbench.emulator.runtime.context import NOT_AWAITED, REQUESTS, WIDE_8, WIDE_16
from ptxbench.emulator.terms import terms
from ptxbench.emulator.types import LANES

CLASSES = (
    "int", "f16", "f32", "f64", "special", "convert", "move", "compare", "control", "memory", "warp", "matrix", "async",
    "barrier",
)  # fmt: skip
"""Classes of instructions; ptx_warp_instructions_CLASS."""

EXACT = "exact"
"""How well the arithmetic of matrix instructions on integers or in f64 is known."""

MULTIPLICANDS = ("f16", "bf16", "tf32", "f64", "e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "s8", "u8",
                 "s4", "u4", "b1")  # fmt: skip
"""Types of A in matrix products; ptx_mma_flops_TYPE counts a multiplication and an addition for each product."""

ADDITIVE = (
    "ptx_warp_instructions",
    *(f"ptx_warp_instructions_{name}" for name in CLASSES),
    "ptx_dependent_cycles",
    "ptx_loop_functions",
    "ptx_thread_instructions",
    "ptx_thread_instructions_on",
    "ptx_branches",
    "ptx_divergent_branches",
    *(
        f"ptx_{space}_{kind}_{what}"
        for kind in ("load", "store")
        for space, whats in (
            ("global", ("requests", "sectors", "lines", "bytes")),
            ("shared", ("requests", "wavefronts", "conflicts", "bytes")),
            ("local", ("requests", "bytes")),
            ("cluster", ("requests", "bytes")),
        )
        for what in whats
    ),
    *(
        f"ptx_atomic_{space}_{what}"
        for space in ("global", "shared", "cluster")
        for what in ("requests", "lanes", "serial")
    ),
    "ptx_atomic_global_sectors",
    "ptx_barriers",
    "ptx_async_requests",
    "ptx_async_bytes",
    "ptx_multicast_sectors",
    "ptx_tma_boxes",
    "ptx_tma_filled_bytes",
    "ptx_mma_operations",
    "ptx_wgmma_operations",
    "ptx_wgmma_shared_bytes",
    *(f"ptx_mma_flops_{name}" for name in MULTIPLICANDS),
)  # fmt: skip
"""Counters that are summed over lines; they are 0 if the kernel has nothing to count."""


def by_line(raw: NDArray[np.int64], translation: Translation) -> dict[int, dict[str, int]]:
    """The non-zero counters of each PTX line that was executed."""
    plan = terms(translation)
    values = plan.values(raw)
    lines: dict[int, dict[str, int]] = {}
    for cell in np.flatnonzero(values).tolist():
        line, name = plan.cells[cell]
        lines.setdefault(line, {})[name] = int(values[cell])
    return lines


def summed(raw: NDArray[np.int64], translation: Translation) -> dict[str, int]:
    """The counters of all lines together."""
    plan = terms(translation)
    sums = np.zeros(len(plan.names), np.int64)
    np.add.at(sums, plan.name, plan.values(raw))
    return dict(zip(plan.names, sums.tolist(), strict=True))


def opcodes(raw: NDArray[np.int64], translation: Translation) -> dict[int, dict[str, int]]:
    """How often warps executed each opcode, by line of the PTX; only executed ones."""
    lines: dict[int, Counter[str]] = {}
    for step in translation.steps:
        executions = int(raw[2 * step.block])
        if executions and step.counted:
            lines.setdefault(step.line, Counter())[step.executed] += executions
    return {line: dict(count) for line, count in sorted(lines.items())}


def wide_wavefronts(raw: NDArray[np.int64], translation: Translation) -> dict[int, dict[int, int]]:
    """By line, the passes over the banks that its shared loads and stores take if they are merged with neighbours into
    8 or 16 bytes per lane: {bytes: passes}, only for widths above their own."""
    lines: dict[int, Counter[int]] = {}
    for site in translation.sites:
        if site.space == "shared" and site.kind in ("load", "store"):
            for width, slot in ((8, WIDE_8), (16, WIDE_16)):
                if width > site.bytes and (passes := int(raw[site.slot + slot])):
                    lines.setdefault(translation.steps[site.step].line, Counter())[width] += passes
    return {line: dict(count) for line, count in sorted(lines.items())}


def unfinished_copies(raw: NDArray[np.int64], translation: Translation) -> dict[int, int]:
    """By line, the bulk copies to global memory that were not complete when their threads exited, so that the emulator
    has not done them."""
    lines: Counter[int] = Counter()
    for site in translation.sites if translation.queues else ():
        if site.space == "async" and (copies := int(raw[site.slot + NOT_AWAITED])):
            lines[translation.steps[site.step].line] += copies
    return dict(sorted(lines.items()))


def approximate(raw: NDArray[np.int64], translation: Translation) -> dict[str, int]:
    """Thread instructions with a true guard of each opcode that is approximate on a GPU; only non-zero ones."""
    executed: Counter[str] = Counter()
    for step in translation.steps:
        if bound(step.opcode) is not None:
            executed[step.opcode] += int(raw[2 * step.block + 1] if step.guard_slot is None else raw[step.guard_slot])
    return {opcode: count for opcode, count in sorted(executed.items()) if count}


def models(raw: NDArray[np.int64], translation: Translation, arch: str) -> dict[str, str]:
    """How well the arithmetic of each executed matrix instruction is known for `arch`, by opcode."""
    ran = {translation.steps[site.step].opcode: site for site in translation.sites
           if site.kind in ("mma", "wgmma") and raw[site.slot + REQUESTS]}  # fmt: skip
    by_opcode = {opcode: tensor_models.of_opcode(opcode, site.space, arch) for opcode, site in sorted(ran.items())}
    return {opcode: model.origin if model else EXACT for opcode, model in by_opcode.items()}


def added(lines: Mapping[int, Mapping[str, int]]) -> dict[str, int]:
    """The sum of each counter over the lines."""
    sums: Counter[str] = Counter()
    for counts in lines.values():
        sums.update(counts)
    return sums


def total(sums: Mapping[str, int], phases: int, mbarrier_phases: int) -> dict[str, float]:
    """The counters of the launch, 0 if nothing was counted, and their ratios, without those that would divide by 0."""
    result: dict[str, float] = {name: sums.get(name, 0) for name in ADDITIVE}
    result["ptx_barrier_phases"] = phases
    result["ptx_mbarrier_phases"] = mbarrier_phases
    if executed := sums.get("ptx_warp_instructions"):
        result["ptx_active_lane_share"] = sums["ptx_thread_instructions_on"] / (LANES * executed)
    for kind in ("load", "store"):
        if requests := sums.get(f"ptx_global_{kind}_requests"):
            name = f"ptx_global_{kind}_sectors"
            result[f"{name}_per_request"] = sums[name] / requests
    return result


def histogram(bins: NDArray[np.int64]) -> dict[int, int]:
    """How many entries made how many trips, from the counters of a loop.

    From EXACT_TRIPS trips on, all entries with the same remainder modulo RESIDUES are reported at their mean number of
    trips (or at two numbers RESIDUES apart, if it is not whole): their number, sum and remainders are exact.
    """
    entries_by_trips: Counter[int] = Counter(
        {trips: int(count) for trips, count in enumerate(bins[:EXACT_TRIPS]) if count}
    )
    for residue, (entries, trips) in enumerate(bins[EXACT_TRIPS:].reshape(RESIDUES, 2).tolist()):
        if entries:
            rounds, longer = divmod((trips - entries * residue) // RESIDUES, entries)
            entries_by_trips[residue + RESIDUES * rounds] += entries - longer
            entries_by_trips[residue + RESIDUES * (rounds + 1)] += longer
    return {trips: count for trips, count in sorted(entries_by_trips.items()) if count}


def loops(bins: NDArray[np.int64], lines: Sequence[int]) -> dict[int, dict[int, int]]:
    """The histogram of each loop that ran, by its line; `bins`, shape (loops, BINS), and `lines` are the kernel's.

    Loops on one line are copies of one loop, such as of a function that is inlined twice.
    """
    summed: dict[int, NDArray[np.int64]] = {}
    for line, counts in zip(lines, bins, strict=True):
        summed[line] = summed.get(line, 0) + counts
    return {line: histogram(counts) for line, counts in sorted(summed.items()) if counts.any()}
