"""How fast a kernel could be: its compulsory work and the limits of the device. Pure functions of cells.

The time is at least the compulsory bytes over the bandwidth, and the flops over the rate of the units that do them (S.
Williams, A. Waterman and D. Patterson, "Roofline", 2009). If that rate is unknown, as for integers, there is no such
limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from ptxbench import specifications, stats
from ptxbench.result import (
    BROKEN,
    COLD,
    L2_PARTIAL,
    LAUNCH_BOUND,
    SLOPE,
    VERIFIED,
    Cell,
    RooflineLimits,
    Round,
    VariantResult,
)
from ptxbench.run_info import Device
from ptxbench.specifications import Specification
from ptxbench.units import si

MEMORY, F32, TENSOR, LAUNCH = "memory", "f32", "tensor", "launch"
"""The limits of a kernel."""

IMPOSSIBLE = 0.9
"""A time below this share of the published limit cannot be true."""

MAY_STAY = 0.05
"""A share of the compulsory bytes.

If more of them may stay in L2, a share of the limit could exceed 100 % by as much.
"""

FASTER = 2
"""Some rates are this factor above the published one: packed halves, and f16 matrices that GeForce sums in f16."""


def limits(device: Device, calibration: Mapping[str, Any]) -> RooflineLimits | None:
    """The ceilings of a device as the run document describes it; None if nothing is known about it.

    Memory bandwidth is that of a measured copy if there is one, else the published one, as are the other ceilings.
    """
    spec = specification(device)
    copied, l2_bytes = calibration.get("copy_bytes_per_s"), device.l2_bytes
    if spec is None:
        return RooflineLimits(device.name, "measured by copying", copied, l2_bytes=l2_bytes) if copied else None
    published = f"published: {spec.source}"
    if device.is_emulator:
        published = f"a model, {published}; it represents {device.sm}"
    return RooflineLimits(
        spec.name,
        f"bandwidth measured by copying; the rest {published}" if copied else published,
        copied or spec.bytes_per_s,
        spec.f32,
        spec.tensor,
        spec.boost_mhz,
        l2_bytes,
    )


def specification(device: Device) -> Specification | None:
    """The published figures of a device; None if it is not in the table, or reports another number of SMs."""
    if device.is_emulator:
        return specifications.of_architecture(device.sm)
    spec = specifications.of_device(device.name)
    return spec if spec and device.sms in (None, spec.sms) else None


@dataclass(frozen=True)
class Bound:
    """The least time that a launch can take, seconds, and what limits it."""

    seconds: float
    by: str


def bound(cell: Cell, result: VariantResult) -> Bound | None:
    """What bounds a variant of `cell`; None if its limits, or the limits of its arithmetic, are unknown.

    Memory does not bound a warm launch, whose data may be in L2.
    """
    if cell.limits is None or not cell.work["bytes"]:
        return None
    memory = cell.work["bytes"] / cell.limits.bytes_per_s if cell.cache == COLD else 0.0
    flops, unit = cell.work["flops"], arithmetic(result)
    if flops and unit is None:
        # the f32 rate limits no other arithmetic, which may be faster or slower
        slow = cell.limits.f32 is None or flops / cell.limits.f32 > memory
        return None if slow else Bound(memory, MEMORY)
    rate = rate_of(cell.limits, unit, clock_mhz(cell.rounds)) if flops else None
    if flops and rate is None:
        return None
    compute = flops / rate if rate else 0.0
    if compute > memory:
        return Bound(compute, str(unit))
    return Bound(memory, MEMORY) if memory else None


def no_share(cell: Cell) -> str | None:
    """Why times of `cell` are not shown as a share of the memory bandwidth; None if they are.

    A single launch may leave what it wrote in L2. In a graph, each launch writes back what the ones before it left.
    """
    if cell.cache != COLD or L2_PARTIAL in cell.labels:
        return "data may be in L2 before the launch"
    if cell.limits is None or all(timed_round.timing == SLOPE for timed_round in cell.rounds):
        return None
    moved, written = cell.work["bytes"], cell.work.get("written", cell.work["bytes"])
    staying_bytes = written if cell.limits.l2_bytes is None else min(written, cell.limits.l2_bytes)
    return "written bytes may stay in L2" if staying_bytes > MAY_STAY * moved else None


def share(cell: Cell, result: VariantResult, seconds: float) -> float | None:
    """The least time that the limits allow divided by `seconds`; None if it would be unreliable."""
    lower = bound(cell, result)
    if lower is None or (lower.by == MEMORY and no_share(cell)):
        return None
    return lower.seconds / seconds


def rate_of(limits: RooflineLimits, unit: str | None, clock_mhz: float | None) -> float | None:
    """flop/s of the unit at the measured clock, or at the boost clock if it was not read."""
    rate = {F32: limits.f32, TENSOR: limits.tensor}.get(str(unit))
    return rate * clock_mhz / limits.boost_mhz if rate and clock_mhz and limits.boost_mhz else rate


def clock_mhz(rounds: Sequence[Round]) -> float | None:
    """The median SM clock of all blocks."""
    clocks = [clock for timed_round in rounds for clock in timed_round.clock_mhz if clock is not None]
    return median(clocks) if clocks else None


def tag(cell: Cell, result: VariantResult) -> str | None:
    """What bounds a variant, in a word."""
    lower = bound(cell, result)
    return LAUNCH if LAUNCH_BOUND in cell.labels else lower.by if lower else None


OTHER_UNITS = re.compile(r"(?!HMMA|HGMMA|UTCHMMA)\w+MMA|[HU]\w*MMA.*\.TF32|IDP|D(FMA|ADD|MUL|SETP)")
"""Machine instructions whose rates the table lacks: other matrices, dot products of bytes, double precision."""
MATRIX = re.compile(r"(HMMA|HGMMA|UTCHMMA)\b")
SINGLE = re.compile(r"F(FMA|ADD|MUL)2?\b")


def arithmetic(result: VariantResult) -> str | None:
    """The unit that does a variant's flops, by its machine code: tensor, f32; None for any other, or if unknown.

    For a variant that was not assembled, by the emulator's counts.
    """
    opcodes = result.build.opcodes if result.build else {}
    if opcodes:
        if any(OTHER_UNITS.match(opcode) for opcode in opcodes):
            return None
        if any(MATRIX.match(opcode) for opcode in opcodes):
            return TENSOR
        return F32 if any(SINGLE.match(opcode) for opcode in opcodes) else None
    counts = result.counts or {}
    if counts.get("ptx_mma_operations") or counts.get("ptx_wgmma_operations"):
        return TENSOR if any(counts.get(f"ptx_mma_flops_{name}") for name in ("f16", "bf16")) else None
    return F32 if counts.get("ptx_warp_instructions_f32") and not counts.get("ptx_warp_instructions_f64") else None


def disproved(cell: Cell, device: Device) -> Cell:
    """`cell`, in which every variant with an impossibly short time is broken and loses its samples."""
    spec = specification(device)
    if spec is None or device.is_emulator:
        return cell
    variants = {}
    for name, result in cell.variants.items():
        ns = stats.median_ns(cell.rounds, name) if result.status == VERIFIED else None
        why = impossible(cell, result, ns / 1e9, spec, device.l2_bytes) if ns is not None else None
        variants[name] = replace(result, status=BROKEN, reason=why) if why else result
    broken = {name for name in variants if variants[name] is not cell.variants[name]}
    remaining_rounds = [timed_round for timed_round in cell.rounds if not broken & set(timed_round.contrast)]
    return replace(cell, variants=variants, rounds=remaining_rounds) if broken else cell


def impossible(
    cell: Cell, result: VariantResult, seconds: float, spec: Specification, l2_bytes: int | None
) -> str | None:
    """Why a variant's time on the device `spec` cannot be true; None if it can.

    Only for cold launches, whose inputs must come from memory. Outputs may stay in an L2 cache of the device's size, or
    of any size if that is unknown. Flops count only if the clock is known, which may exceed the boost clock.
    """
    if cell.cache != COLD or L2_PARTIAL in cell.labels:
        return None
    written = cell.work.get("written", cell.work["bytes"])
    staying_bytes = written if l2_bytes is None else min(written, l2_bytes)
    least = {MEMORY: (cell.work["bytes"] - staying_bytes) / spec.bytes_per_s}
    unit, clock = arithmetic(result), clock_mhz(cell.rounds)
    if unit and clock:
        rate = {F32: spec.f32, TENSOR: spec.tensor}[unit] * clock / spec.boost_mhz
        least[unit] = cell.work["flops"] / (FASTER * rate)
    by = max(least, key=lambda unit: least[unit])
    if seconds >= IMPOSSIBLE * least[by]:
        return None
    return (
        f"impossible_time: it took {si(seconds, 's')}, and {spec.name} needs {si(least[by], 's')} for its {by} work by "
        "the published figures. Either it leaves work out, or the flush of L2 does not work."
    )
