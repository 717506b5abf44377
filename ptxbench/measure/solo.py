"""A kernel alone: some samples one after the other, each followed by a look at the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ptxbench.backends.base import Watch
from ptxbench.measure.block import Sampler, take_block


@dataclass(frozen=True)
class Solo:
    """Nanoseconds of each sample; the mean SM clock after them, None if one was unknown."""

    ns: Sequence[int] = ()
    mhz: float | None = None


def each_alone(samplers: Mapping[str, Sampler], samples: int, watch: Watch | None) -> dict[str, Solo]:
    """This many samples of each kernel: half of them in the order of the kernels, half in the reverse order.

    So a clock that drifts evenly has the same mean for all of them.
    """
    first_halves = {name: alone(sampler, samples - samples // 2, watch) for name, sampler in samplers.items()}
    second_halves = {name: alone(samplers[name], samples // 2, watch) for name in reversed(list(samplers))}
    return {name: join(first_halves[name], second_halves[name]) for name in samplers}


def join(*parts: Solo) -> Solo:
    """The samples of all parts."""
    clocks = [part.mhz for part in parts for _ in part.ns if part.mhz is not None]
    ns = [sample for part in parts for sample in part.ns]
    return Solo(ns, fmean(clocks) if clocks and len(clocks) == len(ns) else None)


def alone(sampler: Sampler, samples: int, watch: Watch | None) -> Solo:
    """This many samples of one kernel. Before each, one more is taken and discarded, because it follows a pause.

    The mean of the clock, not the median, because NVML reports it in steps of up to 1 %.
    """
    ns: list[int] = []
    clocks: list[float | None] = []
    for _ in range(samples):
        ns += take_block([sampler, sampler])[1:]
        clocks.append(watch.state().clock_mhz if watch else None)
    known_clocks = [mhz for mhz in clocks if mhz is not None]
    return Solo(ns, fmean(known_clocks) if known_clocks and len(known_clocks) == len(clocks) else None)
