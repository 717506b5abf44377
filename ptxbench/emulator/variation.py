"""Values that depend on the GPU, the driver or the time, varied within what a GPU may show.

A correct kernel's results depend on none of them. Each value is drawn from a seed, so that a launch can be repeated.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ptxbench.emulator.emit import CANONICAL_NAN
from ptxbench.emulator.predefined import gpu, reserved_bytes, shared_unit
from ptxbench.emulator.runtime import conditions as at
from ptxbench.emulator.runtime import context
from ptxbench.emulator.types import LANES

MULTIPROCESSORS = (14, 16, 22, 30, 46, 58, 64, 78, 96, 114, 124, 142, 144, 160, 188)
"""Multiprocessor counts of a GPU partition (MIG), of small GPUs and of large ones."""

ORIGINS = (1, 2, 4, 8, 16, 31)
"""Offsets of the start of shared memory, in units of 1024 bytes. Alignments up to 1024 bytes stay valid."""

DESCRIBED = 256 << 10
"""The bytes of shared memory that a matrix descriptor of wgmma can address. (PTX ISA, "Matrix Descriptor Format".)"""

UNITS = (128, 256, 512, 1024)
"""Allocation granularities of shared memory on GPUs, in bytes."""

EXTREMES = 4
"""Seeds that are 0 modulo EXTREMES draw the greatest number, and the reverse order of the arrays; seeds that are 1
modulo EXTREMES, the least."""

MOST_SHIFT = 256 << 10
"""The greatest shift of the module's variables and the parameters, in bytes, unless their alignment is greater."""

MOST_FUNCTIONS = 1 << 24
"""The greatest shift of the addresses of functions, in units of FUNCTION_BYTES."""


@dataclass(frozen=True)
class Variation:
    """A seed for each group of values; None: the same values in every launch.

    `approximate`: results of approximate instructions, within the bounds of `accuracy`. `nans`: sign and payload of the
    NaNs that f32 and f64 arithmetic makes. `registers`: predefined registers that depend on the GPU, the driver or the
    time, the lane that elect.sync elects, the bits of cache policies and of states of mbarriers. `memory`: the initial
    contents of shared and local memory, the heap and unwritten registers, and what `shuffles` varies. `unwritten`: not
    a seed but each byte of the same memory, without the registers. `shuffles`:
    unless it is sanitized, what a shuffle from an inactive lane gives. `lanes`: with any seed, one half of each warp
    runs before the other half, and the warps of a CTA from last to first. `loads`, in a sanitized launch: a strong load
    of what another CTA has stored and announced, in global memory, gives the value before the store once, if the memory
    consistency model allows that (races/old_values.py): each load with EVERY_LINE, else those of this line. `waits`:
    mbarrier.try_wait and test_wait give false half of the times, as if the phase had not ended within the time limit of
    the GPU.
    """

    approximate: int | None = None
    nans: int | None = None
    registers: int | None = None
    memory: int | None = None
    shuffles: int | None = None
    lanes: int | None = None
    loads: int | None = None
    waits: int | None = None
    unwritten: int | None = None


NO_VARIATION = Variation()
EVERY_LINE = 0


def module_shift(placement: int | None, alignment: int) -> int:
    """By how many bytes this placement shifts the module's variables and the parameters: a multiple of `alignment`."""
    if placement is None:
        return 0
    return alignment * random.Random(f"{placement} module").randint(1, max(1, MOST_SHIFT // alignment))


def function_shift(placement: int | None) -> int:
    """By how many bytes this placement moves the addresses of functions."""
    if placement is None:
        return 0
    return context.FUNCTION_BYTES * random.Random(f"{placement} functions").randint(1, MOST_FUNCTIONS)


@functools.lru_cache(maxsize=64)
def conditions(
    variation: Variation,
    placement: int | None,
    shift: int,
    arch: str,
    reserved_inside: int,
    block: int,
    shared_bytes: int,
    *,
    cooperative: bool = True,
) -> bytes:
    """The bytes of the variable that runtime/conditions.py lays out; `shift`: that of `module_shift`;
    `block`: threads per block; `shared_bytes`: of a CTA, with zones."""
    content = bytearray(at.BYTES)
    numbers = {
        at.MODULE_SHIFT: shift,
        at.FUNCTION_SHIFT: function_shift(placement),
        at.WORKSPACE: -1 if cooperative else 0,
        **addresses(placement, arch, reserved_inside, shared_bytes),
        **registers(variation.registers, arch, block),
        **nans(variation.nans),
        **memory(variation.memory, variation.unwritten),
        **inactive(variation.shuffles if variation.memory is None else variation.memory),
        **approximate(variation.approximate),
        at.WAITS: 0 if variation.waits is None else random.Random(f"{variation.waits} waits").getrandbits(64) | 1,
    }
    for field, number in numbers.items():
        value = number & (1 << field.bits) - 1
        packed = np.full(field.lanes, value, f"u{field.bits // 8}").tobytes()
        content[field.offset : field.offset + len(packed)] = packed
    return bytes(content)


def approximate(seed: int | None) -> Mapping[at.Field, int]:
    """The seeds of approximate results; 0 for ideal results."""
    return {at.APPROXIMATE: 0 if seed is None else random.Random(f"{seed} approximate").getrandbits(62) | 1}


def addresses(placement: int | None, arch: str, reserved_inside: int, shared_bytes: int) -> Mapping[at.Field, int]:
    """Where shared and local memory start. `reserved_inside`: how many bytes of the driver precede the kernel's own, if
    the kernel may see them.

    As on a GPU, the lower 32 bits of a generic address of shared memory are the address in shared memory. Kernels use
    them in place of `cvta.to.shared`, for descriptors of `wgmma`, though PTX does not promise it.
    """
    origin = 0 if reserved_inside else reserved_bytes(arch)
    shared, local, local_origin = context.SHARED_WINDOW, context.LOCAL_WINDOW, 0
    if placement is not None:
        rng = random.Random(f"{placement} spaces")
        shared += rng.randint(1, 99) << 33
        local += rng.randint(1, 99) << 33
        origins = [step for step in ORIGINS if origin + 1024 * step + shared_bytes <= DESCRIBED] or [0]
        step = origins[-1] if placement % EXTREMES == 0 else rng.choice(origins)
        origin += 0 if reserved_inside else 1024 * step
        local_origin = 1024 * rng.randrange(1, 1024)
    return {
        at.SHARED_ORIGIN: origin,
        at.SHARED_BASE: shared + origin,
        at.SHARED_APERTURE: shared,
        at.LOCAL_ORIGIN: local_origin,
        at.LOCAL_BASE: local,
        at.LOCAL_APERTURE: local - local_origin,
    }


def registers(seed: int | None, arch: str, block: int) -> Mapping[at.Field, int]:
    """Predefined registers. Clocks never go back; the numbers of a warp and a multiprocessor are below their counts."""
    usual = gpu(arch)
    if seed is None:
        return {
            at.MULTIPROCESSORS: usual.multiprocessors,
            at.WARPS: usual.warps,
            at.GRID: 1,
            at.CLOCK_STEP: 1,
            at.SHARED_UNIT: shared_unit(arch),
        }
    rng = random.Random(f"{seed} registers")
    other_counts = [multiprocessor for multiprocessor in MULTIPROCESSORS if multiprocessor != usual.multiprocessors]
    multiprocessors = {0: other_counts[-1], 1: other_counts[0]}.get(seed % EXTREMES, rng.choice(other_counts))
    warps = rng.choice([count for count in (32, 48, 64) if count * LANES >= block])
    return {
        at.MULTIPROCESSORS: multiprocessors,
        at.FIRST_MULTIPROCESSOR: rng.randrange(1, multiprocessors) if seed % EXTREMES else multiprocessors - 1,
        at.WARPS: warps,
        at.FIRST_WARP: rng.randrange(1, warps) if seed % EXTREMES else warps - 1,
        at.GRID: rng.randrange(2, 1 << 40),
        at.GRAPH: rng.choice((0, rng.getrandbits(48))),
        at.DRIVER: rng.getrandbits(62),
        at.CLOCK: rng.getrandbits(50),
        at.CLOCK_STEP: {0: 997, 1: 3}.get(seed % EXTREMES, rng.randrange(5, 500)),
        at.SHARED_UNIT: rng.choice([unit for unit in UNITS if unit != shared_unit(arch)]),
        at.HIGHEST_ELECTED: 1,
        at.TIMER: 1_700_000_000_000_000_000 + rng.getrandbits(56),
    }


def nans(seed: int | None) -> Mapping[at.Field, int]:
    """The NaN that arithmetic gives: a quiet one; PTX leaves its bits open. (PTX ISA, "Floating Point
    Instructions".)"""
    if seed is None:
        return {at.NAN_F32: CANONICAL_NAN[32], at.NAN_F64: CANONICAL_NAN[64]}
    return {at.NAN_F32: quiet_nan(seed, 32, 23), at.NAN_F64: quiet_nan(seed, 64, 52)}


def quiet_nan(seed: int, bits: int, fraction: int) -> int:
    """The bits of a quiet NaN with any sign and payload, but not the canonical NaN."""
    rng = random.Random(f"{seed} nan {bits}")
    exponent = (1 << bits - 1 - fraction) - 1
    return rng.getrandbits(1) << bits - 1 | exponent << fraction | 1 << fraction - 1 | rng.getrandbits(fraction - 2)


def memory(seed: int | None, byte: int | None = None) -> Mapping[at.Field, int]:
    """The initial bytes of memory and registers. `byte`: that of memory, if it is not the seed's."""
    first, unwritten = (context.POISON, 0) if seed is None else unwritten_bytes(seed)
    return {at.MEMORY: first if byte is None else byte, at.REGISTERS: unwritten}


def inactive(seed: int | None) -> Mapping[at.Field, int]:
    """The bits in which what a shuffle from an inactive lane gives differs from the own value."""
    return {at.INACTIVE: 0 if seed is None else unwritten_bytes(seed)[1] * 0x01010101}


def unwritten_bytes(seed: int) -> tuple[int, int]:
    """A byte of memory and one of a register that was never written. As a floating-point number, the register is
    finite, and great: added to a sum, a small one would change nothing."""
    rng = random.Random(f"{seed} memory")
    return rng.randrange(0, 255), rng.choice((0x00, 0x80)) + rng.randrange(0x44, 0x7B)
