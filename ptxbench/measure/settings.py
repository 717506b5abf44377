"""How much to sample, and when to doubt it. Data only; recorded with every run."""

from __future__ import annotations

from dataclasses import dataclass

from ptxbench import stats


@dataclass(frozen=True)
class SamplingSettings:
    """The numbers of the experiment. Seconds are of the host's clock."""

    warm_up_seconds: float = 0.5
    """The least seconds of the warm-up: a GPU takes some hundred milliseconds of load to reach its clock."""
    warm_up_limit_seconds: float = 5.0
    settled: float = 0.005
    """The greatest relative difference of the medians of two stretches of `stretch` blocks after the warm-up."""
    stretch: int = 10
    solo: int = 10
    """Samples of each kernel alone; 0 for none."""
    interaction: float = 0.03
    """The greatest relative difference of a kernel's time alone from its time among the others."""
    looks: tuple[int, ...] = stats.LOOKS
    half_width: float = stats.HALF_WIDTH
    limit_seconds: float = stats.LIMIT_SECONDS
    few_seconds: float = 60.0
    """Seconds after which a round without the blocks of its first look is given up."""
    slow_clock: float = 0.95
    """A share of the round's median clock: blocks below do not count."""
    most_dropped: float = 0.2
    tiny_ns: float = 25_000.0
    """Kernels with less time are timed by the slope of two graphs: events resolve half a microsecond."""
    graph_ns: float = 200_000.0
    """Time of the shorter of the two graphs."""
    launch_bound: float = 2.0
    """A multiple of the floor: a shorter time is that of the launch."""
    biased: float = 0.0025
    """The greatest difference of one kernel from itself at which the run is still trusted."""
