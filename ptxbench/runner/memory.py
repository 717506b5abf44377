"""How much memory of the host and of the device a cell needs, and how much is missing."""

from __future__ import annotations

import math

from ptxbench import environment
from ptxbench.pair import EXACT, ArrayArgument, In, InOut, Out, Pair, Size
from ptxbench.run_info import Device
from ptxbench.units import si, size_words

WIDE = 8
"""Bytes of an element of the reference: float64, or int64."""


def host_bytes(pair: Pair, size: Size) -> int:
    """Approximate bytes that a run holds at once for that size.

    These are the arrays, the expected outputs, and the larger of two amounts: what the reference needs (its inputs as
    float64, and one temporary as large as the largest of them), and the outputs of three launches.

    Inputs that are read in pieces cost nothing here. A reference that takes an input that is not `widened` is assumed
    to return samples of the outputs.
    """
    counts = {arg.name: math.prod(arg.shape(**size)) for arg in arrays_of(pair)}
    sampled = any(isinstance(arg, In) and not arg.widened for arg in pair.args)
    wide = [counts[arg.name] for arg in arrays_of(pair) if is_widened(pair, arg)]
    outputs = [arg for arg in arrays_of(pair) if isinstance(arg, Out | InOut)]
    per_element = 0 if sampled else WIDE if pair.tolerance == EXACT else 2 * WIDE  # each with a bound
    expected = sum(per_element * counts[arg.name] for arg in outputs)
    reference = WIDE * (sum(wide) + max(wide, default=0))
    launched = sum(3 * counts[arg.name] * arg.dtype.itemsize for arg in outputs)
    return array_bytes(pair, size) + expected + max(reference, launched)


def is_widened(pair: Pair, arg: ArrayArgument) -> bool:
    """Whether the reference gets a copy of the whole array, with 8 bytes per element."""
    if isinstance(arg, In):
        return arg.widened and arg.name not in pair.by_rows
    return isinstance(arg, InOut)


def device_bytes(pair: Pair, size: Size, l2_bytes: int) -> int:
    """The least device memory of a cell: the arrays, and the buffer that empties L2."""
    return array_bytes(pair, size) + 2 * l2_bytes


def array_bytes(pair: Pair, size: Size) -> int:
    return sum(math.prod(arg.shape(**size)) * arg.dtype.itemsize for arg in arrays_of(pair))


def arrays_of(pair: Pair) -> list[ArrayArgument]:
    return [arg for arg in pair.args if isinstance(arg, ArrayArgument)]


def host_lacks(pair: Pair, size: Size) -> str | None:
    """Why this machine cannot hold that size; None if it can, or if its memory is unknown."""
    needed, available = host_bytes(pair, size), environment.memory_bytes()
    if available is None or needed <= available:
        return None
    return (
        f"The arrays at {size_words(size)} and their reference take {si(needed, 'B')}, and this machine has "
        f"{si(available, 'B')} of memory."
    )


def device_lacks(pair: Pair, size: Size, device: Device) -> str | None:
    """Why the device cannot hold that size; None if it can, or if its memory is unknown."""
    available = device.memory_bytes
    needed = device_bytes(pair, size, device.l2_bytes or 0)
    if available is None or needed <= available:
        return None
    return (
        f"The arrays at {size_words(size)} take {si(needed, 'B')} with the buffer that empties L2, and "
        f"{device.name} has {si(available, 'B')} of memory."
    )
