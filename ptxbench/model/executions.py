"""The executions of a launch in the form that `floors` takes: from machine instructions, and the emulator's counts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptxbench import pipes
from ptxbench.toolchain.lines import MachineInstruction

EXACT = {pipes.LSU, pipes.SHUFFLE, pipes.TENSOR, pipes.XU}
"""Pipes for which the counts by line determine the executions.

The counts of the other pipes may be too high by the interval's width.
"""

SHARED = re.compile(r"(?:LDS|STS|LDSM|STSM|LDGSTS|ATOMS)\b")
NEVER = re.compile(r"@!U?PT\b")
"""Instructions that no lane executes: padding."""

GLOBAL_ATOMICS = {"ATOM", "ATOMG", "RED", "REDG"}
CLUSTER_ATOMICS = {"ATOM"}
"""Of generic addresses: in the memory of another CTA of the cluster too."""

BULK = re.compile(r"UBLK|UTMA|UCGABAR|SYNCS|STAS|REDAS|[HQIB]GMMA|WARPGROUP|USETMAXREG")
"""Bulk copies, TMA, barriers and messages of clusters, and what only warpgroups do."""


@dataclass(frozen=True)
class Executions:
    """The executions of one variant. `unknown`, `atomics`, `bulk`: opcodes that allow no claim, as in the machine code.

    `width`: the width of the interval of executed instructions, as a share of the least.
    """

    executed: Mapping[str, Any]
    unknown: Sequence[str] = ()
    atomics: Sequence[str] = ()
    bulk: Sequence[str] = ()
    width: float = 0.0


def executions(
    code: Sequence[MachineInstruction],
    fit: Mapping[int, float],
    interval: tuple[float, float],
    by_line: Mapping[int, Mapping[str, float]],
    wide: Mapping[int, Mapping[int, float]],
    *,
    arch: str,
    ctas: int,
    dram_bytes: float,
) -> Executions:
    """The executions of a launch.

    `fit`: the likeliest executions of each instruction, by its address. `interval`: the least and the most executions
    of all together. If the two differ, the least is taken, and the count of each pipe that is not in EXACT is reduced
    by the whole possible excess. `wide`: by line and bytes per lane, the passes over the banks if the line's shared
    accesses are merged into accesses of that many bytes.
    """
    by_pipe: dict[str, float] = defaultdict(float)
    by_name: dict[str, float] = defaultdict(float)
    unknown: list[str] = []
    fmas = 0.0
    for instruction in code:
        count = fit.get(instruction.address, 0)
        opcode = opcode_of(instruction.text)
        if not count or NEVER.match(instruction.text):
            continue
        by_name[opcode.split(".")[0]] += count
        pipe = pipes.pipe(opcode, arch)
        multiply_adds = pipes.multiply_adds(opcode) if pipe == pipes.TENSOR else 0.0
        if pipe is None or multiply_adds is None:
            unknown.append(opcode)
        else:
            by_pipe[pipe] += count
            fmas += multiply_adds * count
    in_cluster = not summed(by_line, "ptx_atomic_global_requests") and summed(by_line, "ptx_atomic_cluster_requests")
    cluster_atomics = CLUSTER_ATOMICS if in_cluster else frozenset()
    total = sum(fit.get(instruction.address, 0) for instruction in code)
    least, most = interval
    excess = max(total - least, 0)
    pipe_counts = {
        name: count if name in EXACT else max(count - excess, 0)
        for name, count in by_pipe.items()
        if name != pipes.ISSUE
    }
    shuffles = pipe_counts.pop(pipes.SHUFFLE, 0)
    if shuffles:
        pipe_counts[pipes.LSU] = pipe_counts.get(pipes.LSU, 0) + shuffles
    return Executions(
        {
            "warp_instructions": least,
            "pipes": pipe_counts,
            "mma_fmas": fmas,
            "shuffles": shuffles,
            "shared_wavefronts": wavefronts(code, by_line, wide),
            "shared_atomic_turns": summed(by_line, "ptx_atomic_shared_serial"),
            "l1_sectors": summed(by_line, "ptx_global_load_sectors", "ptx_global_store_sectors"),
            "dram_bytes": dram_bytes,
            "ctas": ctas,
        },
        tuple(dict.fromkeys(unknown)),
        tuple(name for name in by_name if name in GLOBAL_ATOMICS - cluster_atomics),
        tuple(name for name in by_name if BULK.match(name) or name in cluster_atomics),
        most / least - 1 if least else 0.0,
    )


LANES = 32
WIDTHS = {"64": 8, "128": 16}
"""Bytes per lane by the modifier of a shared access."""


def wavefronts(
    code: Sequence[MachineInstruction],
    by_line: Mapping[int, Mapping[str, float]],
    wide: Mapping[int, Mapping[int, float]],
) -> float:
    """The fewest passes over the banks for the shared accesses of the machine code.

    ptxas merges neighbouring accesses into one wider access, which has the line of one of them. If all accesses of a
    line are wide, the passes are those of that width; if only some are, the passes are those of the narrow accesses.
    For a load of 8 or 16 bytes per lane only half of the passes count. If pairs of lanes have one address, two
    registers come back in one pass (NVIDIA forum, thread 77228), and no counter shows whether they have one.

    ptxas also narrows a load of which only some registers are used: `ld.shared.v4` may become an `LDS`. Its lanes are
    then one group and not four, which may need only the passes of one of these.
    """
    widths: dict[int, set[int]] = defaultdict(set)
    loads, others = set(), set()
    for instruction in code:
        opcode = opcode_of(instruction.text)
        if instruction.line is not None and SHARED.match(opcode) and not NEVER.match(instruction.text):
            widths[instruction.line].add(next((WIDTHS[word] for word in opcode.split(".") if word in WIDTHS), 4))
            if opcode.startswith("LDS."):
                loads.add(instruction.line)
            if opcode.split(".")[0] != "LDS":
                others.add(instruction.line)
    total = 0.0
    for line, bytes_of_line in widths.items():
        narrow = summed({line: by_line.get(line, {})}, "ptx_shared_load_wavefronts", "ptx_shared_store_wavefronts")
        if line not in others:
            narrow *= min(1, min(bytes_of_line) / (bytes_in_ptx(by_line.get(line, {})) or 1))
        passes = wide.get(line, {}).get(min(bytes_of_line), narrow) if len(bytes_of_line) == 1 else narrow
        total += passes / 2 if line in loads and max(bytes_of_line) > 4 else passes
    return total


def bytes_in_ptx(counts: Mapping[str, float]) -> float:
    """The bytes per lane of the shared accesses of a line of PTX; fewer if it has other instructions as well, and if
    only some lanes of a warp access."""
    names = ("ptx_shared_load", "ptx_shared_store")
    total, requests = (sum(counts.get(f"{name}_{what}", 0) for name in names) for what in ("bytes", "requests"))
    executed = counts.get("ptx_thread_instructions_on", 0)
    return max(total / executed if executed else 0, total / (LANES * requests) if requests else 0)


def summed(by_line: Mapping[int, Mapping[str, float]], *names: str) -> float:
    return sum(counts.get(name, 0) for counts in by_line.values() for name in names)


def opcode_of(text: str) -> str:
    """The opcode with its modifiers, without the guard before it."""
    return re.sub(r"^@\S+\s+", "", text).split()[0]
