"""A block: four samples of two kernels in the order A B B A, or B A A B."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence

Sampler = Callable[[], Callable[[], int]]
"""Enqueues a sample without waiting, and returns a function that waits for it: nanoseconds of one launch."""


def start_letter(seed: int, round_number: int) -> str:
    """The variant that starts every block of a round: drawn from the seed for the first round, then they alternate.

    The letter is kept for the whole round, because letters drawn per block would not balance which kernel follows
    which. Rounds alternate, because five drawn letters would all be equal in one run of sixteen.
    """
    first = random.Random(f"{seed}:start").randrange(2)
    return "AB"[(first + round_number) % 2]


def take_block(order: Sequence[Sampler]) -> list[int]:
    """Enqueue the samples of a block back to back, then wait for them; nanoseconds in launch order.

    The garbage collector is off meanwhile, because a pause between two launches would leave the GPU idle.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        pending = [sample() for sample in order]
        return [wait() for wait in pending]
    finally:
        if enabled:
            gc.enable()
