"""Which raw counters of a kernel make up each named counter of a line. Definitions: docs/counters.md."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.layout import Site, StepReport, Translation
from ptxbench.emulator.runtime.context import ACTIVE, EXTRA, LINES, REQUESTS, RUNS, WORK
from ptxbench.emulator.runtime.counting import slots_of
from ptxbench.emulator.types import LANES

SECTOR, LINE = 32, 128
"""Bytes."""
UNCOUNTED = ("mbarrier", "discard", "prefetch")
"""Kinds of sites that do not count as accesses."""


@dataclass(frozen=True)
class Terms:
    """The named counters of a kernel's lines as sums: term k adds `factor[k]` times the raw counter `slot[k]` to the
    counter `cells[cell[k]]`, a line and a name, if the raw counter `gate[k]` is not 0. Cells are in order of line."""

    cells: tuple[tuple[int, str], ...]
    names: tuple[str, ...]
    name: NDArray[np.int64]
    """The number in `names` of each cell's name."""
    cell: NDArray[np.int64]
    slot: NDArray[np.int64]
    factor: NDArray[np.int64]
    gate: NDArray[np.int64]

    def values(self, raw: NDArray[np.int64]) -> NDArray[np.int64]:
        """The value of each cell."""
        values = np.zeros(len(self.cells), np.int64)
        np.add.at(values, self.cell, np.where(raw[self.gate] != 0, self.factor * raw[self.slot], 0))
        return values


Term = tuple[int, str, int, int, int]
"""Line, name, raw counter, factor, and the raw counter that must not be 0."""


@functools.lru_cache(maxsize=64)
def terms(translation: Translation) -> Terms:
    """The terms of a kernel."""
    all_terms = sorted((*terms_of_steps(translation), *terms_of_sites(translation)), key=lambda term: term[0])
    cells = tuple(dict.fromkeys((line, name) for line, name, *_ in all_terms))
    number_of_cell = {cell: number for number, cell in enumerate(cells)}
    names = tuple(dict.fromkeys(name for _, name in cells))
    number_of_name = {name: name_number for name_number, name in enumerate(names)}
    rows = [(number_of_cell[line, name], slot, factor, gate) for line, name, slot, factor, gate in all_terms]
    cell, slot, factor, gate = np.array(rows, np.int64).reshape(-1, 4).T.copy()
    return Terms(
        cells, names, np.array([number_of_name[name] for _, name in cells], np.int64), cell, slot, factor, gate
    )


@functools.lru_cache(maxsize=64)
def runs(translation: Translation) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What a run adds to the counters of its site: (the site's RUNS, a raw counter, a number for each run) by row."""
    rows = [
        (site.slot + RUNS, site.slot + counter, number)
        for site in translation.sites
        for counter, number in counters_of_run(site)
    ]
    counted, counter, number = np.array(rows, np.int64).reshape(-1, 3).T.copy()
    return counted, counter, number


def counters_of_run(site: Site) -> Iterator[tuple[int, int]]:
    """The raw counters that one run of the site adds to, and how much."""
    if site.bytes and site.space in ("global", "const", "shared"):
        yield REQUESTS, 1
        yield ACTIVE, LANES
    if site.bytes and site.space == "shared":
        yield WORK, LANES // slots_of(site.bytes)
    elif site.bytes and site.space == "global":
        yield WORK, LANES * site.bytes // SECTOR
        yield LINES, max(1, LANES * site.bytes // LINE)


def with_runs(raw: NDArray[np.int64], translation: Translation) -> NDArray[np.int64]:
    """The raw counters of a launch, where all others also count the runs."""
    counted, counter, number = runs(translation)
    complete = raw.copy()
    np.add.at(complete, counter, number * raw[counted])
    return complete


def terms_of_steps(translation: Translation) -> Iterator[Term]:
    """What each instruction adds to the counters of its line."""
    for step in translation.steps:
        if not step.counted:
            continue
        executions, lanes = 2 * step.block, 2 * step.block + 1

        def term(name: str, slot: int, factor: int = 1, step: StepReport = step, gate: int = executions) -> Term:
            return step.line, name, slot, factor, gate

        yield term("ptx_warp_instructions", executions)
        yield term(f"ptx_warp_instructions_{step.counted}", executions)
        if step.function_in_loop:
            yield term("ptx_loop_functions", executions)
        if step.cycles:
            yield term("ptx_dependent_cycles", executions, step.cycles)
        yield term("ptx_thread_instructions", lanes)
        yield term("ptx_thread_instructions_on", lanes if step.guard_slot is None else step.guard_slot)
        if step.divergent_slot is not None:
            yield term("ptx_branches", executions)
            yield term("ptx_divergent_branches", step.divergent_slot)


def terms_of_sites(translation: Translation) -> Iterator[Term]:
    """What each site adds to the counters of its line."""
    for site in translation.sites:
        line, gate = translation.steps[site.step].line, site.slot + REQUESTS
        for name, counter, factor in counters_of(site):
            yield line, name, site.slot + counter, factor, gate


def counters_of(site: Site) -> Iterator[tuple[str, int, int]]:
    """The counters that a site adds to: name, number among the site's raw counters, and factor."""
    if site.kind == "mma":
        yield "ptx_mma_operations", REQUESTS, 1
        yield f"ptx_mma_flops_{site.space}", REQUESTS, site.bytes
    elif site.kind == "wgmma":
        yield "ptx_wgmma_operations", REQUESTS, 1
        yield f"ptx_mma_flops_{site.space}", REQUESTS, site.bytes
        yield "ptx_wgmma_shared_bytes", ACTIVE, 1
    elif site.kind == "atomic":
        name = f"ptx_atomic_{site.space}"
        yield f"{name}_requests", REQUESTS, 1
        yield f"{name}_lanes", ACTIVE, 1
        yield f"{name}_serial", WORK, 1
        if site.space == "global":
            yield f"{name}_sectors", EXTRA, 1
    elif site.kind == "copy":
        yield "ptx_async_requests", REQUESTS, 1
        yield "ptx_async_bytes", ACTIVE, site.bytes
        yield "ptx_multicast_sectors", WORK, 1
    elif site.kind == "box":
        yield "ptx_tma_boxes", REQUESTS, 1
        yield "ptx_tma_filled_bytes", ACTIVE, 1
    elif site.kind == "arrive":
        yield "ptx_barriers", REQUESTS, 1
    elif site.kind not in UNCOUNTED and site.space != "const":
        name = f"ptx_{site.space}_{site.kind}"
        yield f"{name}_requests", REQUESTS, 1
        yield f"{name}_bytes", ACTIVE, site.bytes
        if site.space == "shared":
            yield f"{name}_wavefronts", WORK, 1
            yield f"{name}_conflicts", EXTRA, 1
        elif site.space == "global":
            yield f"{name}_sectors", WORK, 1
            yield f"{name}_lines", LINES, 1
            yield f"{name}_bytes", EXTRA, -1  # an asynchronous copy filled them with zeros
