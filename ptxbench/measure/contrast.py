"""One variant against the reference: its blocks so far, which of them count, and whether there are enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from ptxbench import stats
from ptxbench.backends.base import BlockState
from ptxbench.measure.block import Sampler, take_block
from ptxbench.measure.settings import SamplingSettings
from ptxbench.measure.throttle import dropped


@dataclass
class Contrast:
    """Blocks of `reference` (letter A) and `variant` (B). `warm` holds the total of each block of the warm-up."""

    reference: str
    variant: str
    start: str
    samplers: dict[str, Sampler]
    warm: list[int] = field(default_factory=list)
    ns: list[list[int]] = field(default_factory=list)
    states: list[BlockState] = field(default_factory=list)
    stop: str | None = None
    seconds: float = 0.0
    """Seconds spent on the blocks."""
    decided_on: int = 0
    """The number of blocks that counted at the last call of `decide`."""

    @property
    def order(self) -> list[Sampler]:
        """The samplers of a block, in launch order."""
        return [self.samplers[letter] for letter in stats.letters(self.start)]

    def take(self) -> list[int]:
        """Take a block. Its first sample follows a pause of the device, and is discarded.

        That sample is of the letter that starts, so that each kernel follows itself as often as the other.
        """
        order = self.order
        return take_block([order[0], *order])[1:]

    @property
    def samples(self) -> dict[str, int]:
        """The number of samples of each variant in a block, with the discarded one."""
        counts = {self.reference: 2, self.variant: 2}
        counts[self.reference if self.start == "A" else self.variant] += 1
        return counts

    def warm_up(self) -> None:
        self.warm.append(sum(self.take()))

    def settled(self, settings: SamplingSettings) -> bool:
        """Whether the last stretch of the warm-up took as long as the one before it."""
        n = settings.stretch
        if len(self.warm) < 2 * n:
            return False
        before, last = median(self.warm[-2 * n : -n]), median(self.warm[-n:])
        return abs(last / before - 1) <= settings.settled

    def dropped(self, settings: SamplingSettings) -> dict[int, str]:
        """Blocks that do not count, by index; none if so many are slow that all must be kept."""
        slow = dropped(self.states, settings.slow_clock)
        return slow if len(slow) <= settings.most_dropped * len(self.states) else {}

    def throttled(self, settings: SamplingSettings) -> bool:
        """Whether more blocks were slow or throttled than may be dropped."""
        return len(dropped(self.states, settings.slow_clock)) > settings.most_dropped * len(self.states)

    def counted(self, settings: SamplingSettings) -> list[list[int]]:
        """The blocks that count."""
        dropped = self.dropped(settings)
        return [block for index, block in enumerate(self.ns) if index not in dropped]

    def decide(self, settings: SamplingSettings) -> None:
        """Set `stop` once the round of this contrast is over."""
        order = stats.letters(self.start)
        ratios = [stats.block_log_ratio(order, block) for block in self.counted(settings)]
        self.stop = stats.stop_reason(
            ratios,
            self.seconds,
            since=self.decided_on,
            looks=settings.looks,
            half_width=settings.half_width,
            limit_seconds=settings.limit_seconds,
            few_seconds=settings.few_seconds,
        )
        self.decided_on = len(ratios)

    def medians(self, settings: SamplingSettings) -> dict[str, float]:
        """The median sample of each letter, nanoseconds."""
        samples_by_letter: dict[str, list[int]] = {"A": [], "B": []}
        for block in self.counted(settings):
            for letter, t in zip(stats.letters(self.start), block, strict=True):
                samples_by_letter[letter].append(t)
        return {letter: median(samples) for letter, samples in samples_by_letter.items() if samples}


def relative_difference(time: float, base: float) -> float:
    return abs(time / base - 1)


def interacts(contrast: Contrast, solo: dict[str, Sequence[int]], settings: SamplingSettings) -> bool:
    """Whether a kernel takes a different time alone than among the others."""
    among = contrast.medians(settings)
    return any(
        relative_difference(median(solo[letter]), among[letter]) > settings.interaction
        for letter in among
        if solo.get(letter)
    )
