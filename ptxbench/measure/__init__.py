"""The paired experiment over any backend's clock. Knows no backend, no pair and no file.

This first experiment takes a fixed number of blocks in one process. The full one (stopping on the interval's
width, throttling, A/A control, fresh processes) keeps this seam: clocks in, Rounds out.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ptxbench.backends.base import Clock
from ptxbench.result import Round
from ptxbench.stats import letters


@dataclass(frozen=True)
class Settings:
    """How much to sample. `warm_up_seconds` goes by the host's clock, in whole blocks, per contrast."""

    blocks: int = 40
    warm_up_seconds: float = 0.5
    """A GPU takes some hundred milliseconds of load to reach its clock."""


def start_letter(seed: int, round_number: int) -> str:
    """Which variant starts every block of a round: drawn once from the run's seed.

    Kept for the whole round, because a letter drawn per block would not balance which kernel follows which.
    """
    return random.Random(f"{seed}:{round_number}").choice("AB")


def measure(
    clocks: Mapping[str, Clock],
    *,
    seed: int,
    reference: str = "cuda",
    settings: Settings = Settings(),
    round_number: int = 0,
    process: int = 0,
    now: Callable[[], float] = time.monotonic,
) -> list[Round]:
    """One round of `reference` against each further variant in turn, by the clocks of one cell.

    Gives a Round per contrast, none where `reference` has no clock. `now` is the host's clock, for the warm-up.
    """
    if reference not in clocks:
        return []
    start = start_letter(seed, round_number)
    rounds = []
    for variant in clocks:
        if variant == reference:
            continue
        pair = {"A": clocks[reference], "B": clocks[variant]}
        order = [pair[letter] for letter in letters(start)]
        warm_up(order, settings.warm_up_seconds, now)
        ns = [take_block(order) for _ in range(settings.blocks)]
        rounds.append(Round(round_number, process, (reference, variant), start, ns))
    return rounds


def warm_up(order: Sequence[Clock], seconds: float, now: Callable[[], float]) -> None:
    """Whole blocks of the very pair, flush included, for at least `seconds` and at least once."""
    end = now() + seconds
    take_block(order)
    while now() < end:
        take_block(order)


def take_block(order: Sequence[Clock]) -> list[int]:
    """Enqueue the four samples of a block back to back, then wait for them; nanoseconds in launch order.

    The collector is off meanwhile: a pause between two launches would let the GPU run dry.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        pending = [clock.enqueue() for clock in order]
        return [wait() for wait in pending]
    finally:
        if enabled:
            gc.enable()
