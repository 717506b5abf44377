"""A kernel alone: some samples one after the other, each followed by a look at the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ptxbench.backends.base import Watch
from ptxbench.measure.block import Sampler, take_block


@dataclass(frozen=True)
class Solo:
    """Nanoseconds of each sample; the mean SM clock after them, None where one was not known."""

    ns: Sequence[int] = ()
    mhz: float | None = None


def alone(sampler: Sampler, samples: int, watch: Watch | None) -> Solo:
    """So many samples of one kernel. Before each is one that follows a pause of the device, and is thrown away.

    A mean of the clock and no median, because NVML tells it in steps of up to 1 %.
    """
    ns: list[int] = []
    clocks: list[float | None] = []
    for _ in range(samples):
        ns += take_block([sampler, sampler])[1:]
        clocks.append(watch.state().clock_mhz if watch else None)
    known = [mhz for mhz in clocks if mhz is not None]
    return Solo(ns, fmean(known) if known and len(known) == len(clocks) else None)
