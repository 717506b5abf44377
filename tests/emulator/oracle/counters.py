"""The counters of instructions, by the definitions of docs/counters.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

LANES = 32

MODELS = frozenset({"ptx_dependent_cycles", "ptx_loop_functions"})
"""Counters that rest on a model of the program's blocks; tests/emulator/test_dependences.py has them."""


def exact(counts: Mapping[str, int]) -> dict[str, int]:
    """The counters of a line or a launch, without modelled counters."""
    return {name: count for name, count in counts.items() if name not in MODELS}


class Counters:
    """Counters by line of the PTX; `phases` belongs to the launch."""

    def __init__(self) -> None:
        self.lines: dict[int, Counter[str]] = {}
        self.phases = 0
        self.wide: dict[int, Counter[int]] = {}
        """Wavefronts of shared accesses with 8 and with 16 bytes a lane, by line."""
        self.loops: dict[int, Counter[int]] = {}
        """Trips and entries, by the line of the loop's branch back."""

    def by_line(self) -> dict[int, dict[str, int]]:
        """Only nonzero counters, as in Execution.by_line."""
        nonzero = {
            line: {name: int(n) for name, n in counts.items() if n} for line, counts in sorted(self.lines.items())
        }
        return {line: counts for line, counts in nonzero.items() if counts}

    def differences(self, execution: Any) -> list[str]:
        """The differences from the counts of an emulator.Execution, one line each."""
        interpreted, emulated = self.by_line(), execution.by_line
        faults = []
        for line in sorted(interpreted.keys() | emulated.keys()):
            ours, theirs = interpreted.get(line, {}), emulated.get(line, {})
            for name in sorted((ours.keys() | theirs.keys()) - MODELS):
                if ours.get(name, 0) != theirs.get(name, 0):
                    faults.append(f"line {line}: {name} is {theirs.get(name, 0)}, interpreted {ours.get(name, 0)}")
        for line in sorted(self.loops.keys() | execution.loops.keys()):
            trips, counted = dict(self.loops.get(line, {})), dict(execution.loops.get(line, {}))
            if merged(trips) != counted:
                faults.append(f"line {line}: trips are {counted}, interpreted {trips}")
        for line in sorted(execution.wide_wavefronts):  # only for accesses that have a neighbour
            wide, counted = dict(self.wide.get(line, {})), dict(execution.wide_wavefronts[line])
            if wide != counted:
                faults.append(f"line {line}: wavefronts of wider accesses are {counted}, interpreted {wide}")
        if self.phases != execution.counters["ptx_barrier_phases"]:
            faults.append(
                f"ptx_barrier_phases is {execution.counters['ptx_barrier_phases']}, interpreted {self.phases}"
            )
        return faults

    def add(self, line: int, **values: int) -> None:
        counts = self.lines.get(line)
        if counts is None:
            counts = self.lines[line] = Counter()
        for name, value in values.items():
            counts[name] += value

    def execution(self, line: int, counted: str, warps: int, threads: int, active: int) -> None:
        self.add(
            line,
            ptx_warp_instructions=warps,
            ptx_thread_instructions=threads,
            ptx_thread_instructions_on=active,
            **{f"ptx_warp_instructions_{counted}": warps},
        )

    def branch(self, line: int, warps: int, divergent: int) -> None:
        self.add(line, ptx_branches=warps, ptx_divergent_branches=divergent)

    def access(self, line: int, space: str, kind: str, thread: Any, address: Any, size: int) -> None:
        """A load or store of `size` bytes at each `address`, which lies in `space`, by each of the threads."""
        if not thread.size or space not in ("global", "shared", "local"):
            return
        name = f"ptx_{space}_{kind}"
        warp = thread // LANES
        self.add(line, **{f"{name}_requests": distinct(warp), f"{name}_bytes": thread.size * size})
        if space == "global":
            self.sectors(line, kind, warp, address, size)
        elif space == "shared":
            self.wavefronts(line, kind, warp, thread % LANES, address, size)

    def sectors(self, line: int, kind: str, warp: Any, address: Any, size: int) -> None:
        for name, unit in (("sectors", 32), ("lines", 128)):
            first, last = address // unit, (address + size - 1) // unit
            most = int((last - first).max()) + 1
            touched = np.concatenate([np.minimum(first + i, last) for i in range(most)])
            self.add(line, **{f"ptx_global_{kind}_{name}": distinct(np.tile(warp, most), touched)})

    def wavefronts(self, line: int, kind: str, warp: Any, lane: Any, address: Any, size: int) -> None:
        """Passes over the banks, and those beyond the fewest; the passes of wider accesses that hold these, too."""
        passes, ideal = self.passes(warp, lane, address, size)
        name = f"ptx_shared_{kind}"
        self.add(line, **{f"{name}_wavefronts": passes, f"{name}_conflicts": passes - ideal})
        for width in (8, 16):
            if size < width:
                wide, _ = self.passes(warp, lane, address // width * width, width)
                self.wide.setdefault(line, Counter())[width] += wide

    def passes(self, warp: Any, lane: Any, address: Any, size: int) -> tuple[int, int]:
        """The passes of groups of lanes that access up to 128 bytes together, and the fewest possible passes.

        The bank with the most words determines the passes of a group."""
        group = warp * LANES + (lane // (LANES if size <= 4 else 128 // size))
        first, last = address // 4, (address + size - 1) // 4
        most = int((last - first).max()) + 1
        words = np.concatenate([np.minimum(first + i, last) for i in range(most)])
        groups, words = different(np.tile(group, most), words)
        place = np.cumsum(starts(groups)) - 1
        banks = np.bincount(place * 32 + words % 32, minlength=32 * (int(place[-1]) + 1)).reshape(-1, 32)
        return int(banks.max(axis=1).sum()), int((-(-banks.sum(axis=1) // 32)).sum())

    def atomic(self, line: int, space: str, thread: Any, address: Any, size: int) -> None:
        if not thread.size:
            return
        warp = thread // LANES
        warps, addresses = ordered(warp, address)
        at = np.flatnonzero(starts(warps, addresses))
        most = np.zeros(int(warp.max()) + 1, np.int64)
        np.maximum.at(most, warps[at], np.diff(at, append=warps.size))
        name = f"ptx_atomic_{space}"
        self.add(
            line,
            **{f"{name}_requests": distinct(warp), f"{name}_lanes": thread.size, f"{name}_serial": int(most.sum())},
        )
        if space == "global":
            first, last = address // 32, (address + size - 1) // 32
            both = np.concatenate([first, last])
            self.add(line, ptx_atomic_global_sectors=distinct(np.tile(warp, 2), both))


def distinct(*columns: Any) -> int:
    """How many different rows."""
    return int(np.count_nonzero(starts(*ordered(*columns))))


def different(*columns: Any) -> list[Any]:
    """The columns of the different rows, in ascending order. `np.unique` by rows takes three times as long."""
    rows = ordered(*columns)
    first = starts(*rows)
    return [column[first] for column in rows]


def ordered(*columns: Any) -> list[Any]:
    """The columns with their rows in ascending order."""
    order = np.lexsort(columns[::-1]) if len(columns) > 1 else columns[0].argsort()
    return [column[order] for column in columns]


def starts(*columns: Any) -> Any:
    """Whether each of the ordered rows differs from the one before it; the first one does."""
    result = np.ones(columns[0].size, bool)
    np.not_equal(columns[0][1:], columns[0][:-1], out=result[1:])
    for column in columns[1:]:
        result[1:] |= column[1:] != column[:-1]
    return result


def merged(entries: Mapping[int, int]) -> dict[int, int]:
    """{trips: entries} as docs/counters.md has it: from 64 trips on, those of one remainder by 16 at their mean."""
    merged_entries = Counter({trips: count for trips, count in entries.items() if trips < 64})
    for residue in range(16):
        many = [trips for trips in entries if trips >= 64 and trips % 16 == residue]
        remaining = sum(entries[trips] for trips in many)
        total = sum(trips * entries[trips] for trips in many)
        while remaining:  # the mean, rounded down to a number of this remainder, and what is left over
            trips = residue + (total // remaining - residue) // 16 * 16
            merged_entries[trips] += 1
            remaining, total = remaining - 1, total - trips
    return dict(merged_entries)
