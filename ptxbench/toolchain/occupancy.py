"""Theoretical occupancy: resident warps of a kernel per SM, divided by the most that an SM can hold.

The formula, the granularities and the most CTAs per SM are from NVIDIA's `cuda_occupancy.h` (CUDA 13.5). The other
limits of an SM are from the Programming Guide, "Technical Specifications per Compute Capability"; libcu++'s
`cuda/__device/arch_traits.h` has the same. Named barriers are left out: an SM has one or two per resident CTA.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ptxbench import architecture
from ptxbench.pair import Launch
from ptxbench.result import BuildReport

WARP_THREADS = 32
MOST_THREADS = 1024
"""Threads per CTA."""

MOST_REGISTERS = 255
"""Registers per thread."""

SM_REGISTERS = 65536
REGISTER_UNIT = 256
"""The unit in which registers are allocated to a warp."""

PARTITIONS = 4
"""Partitions of an SM: each has a quarter of its registers, and a warp stays in one."""

SHARED_UNIT = 128
"""The unit in bytes in which shared memory is allocated to a CTA, on every row of the table but sm_75 (256)."""


class Sm(NamedTuple):
    """The limits of one SM."""

    warps: int
    ctas: int
    shared_bytes: int
    reserved_bytes: int
    """Shared memory that the driver takes from each CTA. The most that a CTA can have is the SM's minus this."""


KIB = 1024
LIMITS = {
    #           warps  CTAs    shared  reserved
    (7, 5):  Sm(32,    16,   64 * KIB,    0),
    (8, 0):  Sm(64,    32,  164 * KIB,  KIB),
    (8, 6):  Sm(48,    16,  100 * KIB,  KIB),
    (8, 7):  Sm(48,    16,  164 * KIB,  KIB),
    (8, 8):  Sm(48,    16,  100 * KIB,  KIB),
    (8, 9):  Sm(48,    24,  100 * KIB,  KIB),
    (9, 0):  Sm(64,    32,  228 * KIB,  KIB),
    (10, 0): Sm(64,    32,  228 * KIB,  KIB),
    (10, 3): Sm(64,    32,  228 * KIB,  KIB),
    (11, 0): Sm(48,    24,  228 * KIB,  KIB),
    (12, 0): Sm(48,    24,  100 * KIB,  KIB),
    (12, 1): Sm(48,    24,  100 * KIB,  KIB),
}  # fmt: skip


def launch_occupancy(arch: str, launch: Launch, report: BuildReport) -> float | None:
    """Occupancy of a launch of a build; None if it is not known."""
    return occupancy(
        arch,
        threads=math.prod(launch.block_xyz),
        registers=report.registers,
        shared_bytes=(report.shared_bytes or 0) + launch.shared_bytes,
    )


def occupancy(arch: str, *, threads: int | None, registers: int | None, shared_bytes: int) -> float | None:
    """Resident warps divided by the most that an SM of `arch` holds.

    `threads` and `shared_bytes` (static and dynamic) are per CTA, `registers` per thread. 0.0: the CTA does not fit.
    None: the threads or the registers are not known, or the architecture is not in the table.
    """
    limits = limits_of(arch)
    if threads is None or registers is None:
        return None
    ctas = resident_ctas(arch, threads=threads, registers=registers, shared_bytes=shared_bytes)
    return None if limits is None or ctas is None else ctas * -(-threads // WARP_THREADS) / limits.warps


def limits_of(arch: str) -> Sm | None:
    """The limits of an SM of `arch`; None for an architecture not in the table."""
    parsed = architecture.parse(arch)
    return LIMITS.get(divmod(parsed.number, 10)) if parsed else None


def resident_ctas(arch: str, *, threads: int, registers: int, shared_bytes: int) -> int | None:
    """How many of these CTAs are resident on an SM at once; None for an architecture not in the table."""
    limits = limits_of(arch)
    if limits is None:
        return None
    if threads > MOST_THREADS or registers > MOST_REGISTERS:
        return 0
    warps = -(-threads // WARP_THREADS)
    ctas = min(limits.ctas, limits.warps // warps)
    if registers:
        warp_registers = round_up(registers * WARP_THREADS, REGISTER_UNIT)
        warps_by_registers = SM_REGISTERS // PARTITIONS // warp_registers * PARTITIONS
        ctas = min(ctas, warps_by_registers // warps)
    unit = 256 if limits.reserved_bytes == 0 else SHARED_UNIT
    if cta_shared := round_up(shared_bytes + limits.reserved_bytes, unit):
        ctas = min(ctas, limits.shared_bytes // cta_shared)
    return ctas


def round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
