"""A round of a cell: every variant against the reference, in blocks that take turns, until each contrast is decided.

Knows clocks, and no backend, pair or file.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Protocol

from ptxbench.backends.base import BlockState, Clock, Watch
from ptxbench.measure.block import Sampler, start_letter, take_block
from ptxbench.measure.contrast import Contrast, interacts
from ptxbench.measure.settings import SamplingSettings
from ptxbench.measure.solo import Solo, alone, each_alone
from ptxbench.measure.throttle import pause, throttled
from ptxbench.result import (
    FEW_BLOCKS,
    INTERFERENCE,
    L2_PARTIAL,
    LAUNCH_BOUND,
    SINGLE,
    SLOPE,
    THROTTLED,
    UNSTABLE,
    Round,
)

FEWEST_LAUNCHES, MOST_LAUNCHES = 8, 512
"""The fewest launches of the shorter graph of a slope."""


class Host(Protocol):
    """The host's clock."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemHost:
    now = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


SETTINGS, HOST = SamplingSettings(), SystemHost()

SampleObserver = Callable[[str, str, int], None]
"""Called after a sample that was taken like those of a block.

Its arguments: the contrast's variant, the variant of the sample, and the index of the block.
"""


class DataRenewal(Protocol):
    """Gives each block new data and new modules, for the kernels of `names`. Called while no sample is in progress."""

    def data(self, block: int, names: Sequence[str]) -> None:
        """Give the kernels the data of this block."""
        ...

    def modules(self, samples: Mapping[str, int]) -> None:
        """Load their modules again, for this many samples of each."""
        ...


@dataclass(frozen=True)
class CellMeasurement:
    """The rounds of a cell, one for each contrast, and their labels."""

    rounds: Sequence[Round] = ()
    labels: frozenset[str] = field(default_factory=frozenset)


def measure(
    clocks: Mapping[str, Clock],
    *,
    seed: int,
    reference: str = "cuda",
    settings: SamplingSettings = SETTINGS,
    round_number: int = 0,
    process: int = 0,
    watch: Watch | None = None,
    floor: Clock | None = None,
    host: Host = HOST,
    observer: SampleObserver | None = None,
    renewal: DataRenewal | None = None,
) -> CellMeasurement:
    """One round of `reference` against each further variant, by the clocks of one cell; nothing without both.

    The contrasts take turns block by block, so that all variants share the drift of the device; a contrast that is
    decided takes no more blocks. `floor` is the clock of an empty kernel with the same launch; `watch` detects
    throttling. `observer` sees the outputs of samples after one block drawn at random, and after the last. With a
    `renewal` every block has other data and modules loaded again.
    """
    variants = [name for name in clocks if name != reference]
    if reference not in clocks or not variants:
        return CellMeasurement()
    start = start_letter(seed, round_number)
    k = graph_length(clocks, settings)
    samplers = {name: sampler(clock, k) for name, clock in clocks.items()}
    contrasts = [Contrast(reference, name, start, {"A": samplers[reference], "B": samplers[name]}) for name in variants]
    labels = set()
    if not warm_up(contrasts, settings, host):
        labels.add(UNSTABLE)
    solo = each_alone(samplers, settings.solo, watch)
    for contrast in take_blocks(contrasts, settings, watch, host, renewal):
        drawn = len(contrast.ns) == drawn_block(seed, round_number, settings)
        if observer and (drawn or contrast.stop is not None):
            snapshot_outputs(contrast, clocks, observer)
    if k and not all(clock.as_wanted for clock in clocks.values()):
        labels.add(L2_PARTIAL)
    floor_ns = None
    if floor is not None:
        empty = sampler(floor, k)
        floor_ns = round(median(alone(empty, max(settings.solo, 1), None).ns))
    for contrast in contrasts:
        labels |= labels_of(contrast, settings, {"A": solo[reference].ns, "B": solo[contrast.variant].ns}, floor_ns)
    return CellMeasurement(
        [
            Round(
                round_number,
                process,
                (reference, contrast.variant),
                start,
                contrast.ns,
                timing=SLOPE if k else SINGLE,
                k=k,
                copies=min(clock.copies for clock in (clocks[reference], clocks[contrast.variant])) if k else 1,
                clock_mhz=clocks_of(contrast.states),
                dropped={str(index): reason for index, reason in contrast.dropped(settings).items()},
                stop=contrast.stop,
                solo_ns={"A": solo[reference].ns, "B": solo[contrast.variant].ns} if settings.solo else {},
                solo_mhz=by_letter(solo[reference], solo[contrast.variant]),
                floor_ns=floor_ns,
            )
            for contrast in contrasts
        ],
        frozenset(labels),
    )


def clocks_of(states: Sequence[BlockState]) -> list[float | None]:
    """The clock of each block, in order; empty if none is known."""
    clocks = [state.clock_mhz for state in states]
    return clocks if any(mhz is not None for mhz in clocks) else []


def by_letter(reference: Solo, variant: Solo) -> dict[str, float]:
    """The clock of each kernel alone; nothing unless both are known."""
    if reference.mhz is None or variant.mhz is None:
        return {}
    return {"A": reference.mhz, "B": variant.mhz}


def graph_length(clocks: Mapping[str, Clock], settings: SamplingSettings) -> int | None:
    """Launches of the shorter graph if a kernel is too short for events; None if a launch is a sample.

    All kernels of a cell are timed in the same way, so the shortest decides.
    """
    shortest = min(min(take_block([clock.enqueue])[0] for _ in range(3)) for clock in clocks.values())
    if shortest >= settings.tiny_ns or not all(clock.graphs for clock in clocks.values()):
        return None
    return min(max(ceil(settings.graph_ns / max(shortest, 1)), FEWEST_LAUNCHES), MOST_LAUNCHES)


def sampler(clock: Clock, k: int | None) -> Sampler:
    """Returns the function that takes one sample: a launch, or the slope between graphs of k and 2 k launches.

    In the difference of the two graphs the cost of a graph and its events cancels.
    """
    if k is None:
        return clock.enqueue

    def enqueue() -> Callable[[], int]:
        short, long = clock.enqueue_graph(k), clock.enqueue_graph(2 * k)

        def wait() -> int:
            first = short()
            return max(1, round((long() - first) / k))

        return wait

    return enqueue


def warm_up(contrasts: Sequence[Contrast], settings: SamplingSettings, host: Host) -> bool:
    """Blocks of every contrast in turn, until the time has passed and all have settled; False if one never did."""
    begun = host.now()
    while True:
        for contrast in contrasts:
            contrast.warm_up()
        passed = host.now() - begun
        if passed >= settings.warm_up_seconds and all(contrast.settled(settings) for contrast in contrasts):
            return True
        if passed >= settings.warm_up_limit_seconds:
            return False


def take_blocks(
    contrasts: Sequence[Contrast],
    settings: SamplingSettings,
    watch: Watch | None,
    host: Host,
    renewal: DataRenewal | None = None,
) -> Iterator[Contrast]:
    """A block of each open contrast in turn, until all are decided; a pause after each throttled block.

    Yields each contrast after its block. Between new data and new modules, one block is taken that does not count: the
    device was idle while the host made the data, and this block still uses the old modules.
    """
    hot = 0
    while still_open := [contrast for contrast in contrasts if contrast.stop is None]:
        for contrast in still_open:
            if renewal:
                renewal.data(len(contrast.ns), (contrast.reference, contrast.variant))
                take_block(contrast.order)
                renewal.modules(contrast.samples)
            begun = host.now()
            contrast.ns.append(contrast.take())
            state = watch.state() if watch else BlockState()
            contrast.states.append(state)
            hot = hot + 1 if throttled(state) else 0
            if hot:
                host.sleep(pause(hot))
            contrast.seconds += host.now() - begun
            contrast.decide(settings)
            yield contrast


def drawn_block(seed: int, round_number: int, settings: SamplingSettings) -> int:
    """After how many blocks the observer is called first: drawn at random, before a round can end."""
    return random.Random(f"{seed}:{round_number}:witness").randint(1, settings.looks[0])


def snapshot_outputs(contrast: Contrast, clocks: Mapping[str, Clock], observer: SampleObserver) -> None:
    """Call the observer for both kernels of a contrast, each after one more sample of it that does not count.

    The extra sample is needed because the kernels of a block may share their buffers, and each restores them. It is a
    launch even if a sample is a graph, because the launches of a graph do not restore them.
    """
    for name in (contrast.reference, contrast.variant):
        take_block([clocks[name].enqueue])
        observer(contrast.variant, name, len(contrast.ns) - 1)


def labels_of(
    contrast: Contrast, settings: SamplingSettings, solo: dict[str, Sequence[int]], floor_ns: int | None
) -> set[str]:
    """The labels of a contrast's times."""
    labels = set()
    if contrast.throttled(settings):
        labels.add(THROTTLED)
    if interacts(contrast, solo, settings):
        labels.add(INTERFERENCE)
    if len(contrast.counted(settings)) < settings.looks[0]:
        labels.add(FEW_BLOCKS)
    among = contrast.medians(settings)
    if floor_ns is not None and among and min(among.values()) < settings.launch_bound * floor_ns:
        labels.add(LAUNCH_BOUND)
    return labels
