"""The sizes that a pair allows: the range of each dimension, and what a launch may cost. Knows pairs, but no kernels.

A dimension takes multiples of the common divisor of its values: a pair whose columns are always multiples of 32
promises no others. It ranges from the smallest value that the pair's functions accept to the largest that the pair
names, in a bench size or a check size, as far as the cost allows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ptxbench.discovery.validate import size_problems
from ptxbench.errors import UsageError
from ptxbench.pair import ArrayArgument, InOut, Out, Pair, Size
from ptxbench.units import size_words

HEADROOM = 1.1
"""How much more than the costliest check size a launch may cost."""

CHEAP: tuple[float, ...] = (1 << 20, 1 << 18, 1 << 20, 2_000_000)
"""Bytes, elements, flops and padded flops that the emulator handles in some hundredths of a second for any pair."""


def costs(pair: Pair, size: Size) -> tuple[float, ...]:
    """The cost of a launch: bytes, elements of all arrays, flops, and flops if every thread made an output."""
    arrays = [arg for arg in pair.args if isinstance(arg, ArrayArgument)]
    elements = sum(math.prod(arg.shape(**size)) for arg in arrays)
    outputs = sum(math.prod(arg.shape(**size)) for arg in arrays if isinstance(arg, Out | InOut))
    launch, flops = pair.launch(**size), int(pair.flops(**size))
    threads = math.prod(launch.grid_xyz) * math.prod(launch.block_xyz)
    return pair.compulsory_bytes(size), elements, flops, threads * (1 + flops / max(outputs, 1))


def has_fixed_outputs(pair: Pair) -> bool:
    """Whether all sizes have outputs of the same shapes, as a reduction has. Its threads share the flops, so the last
    one of the costs means nothing."""
    outputs = [arg for arg in pair.args if isinstance(arg, Out | InOut)]
    return len({tuple(arg.shape(**size) for arg in outputs) for size in (*pair.check_sizes, *pair.bench_sizes)}) == 1


def with_dimensions_in_order(pair: Pair) -> Pair:
    """The pair, with the dimensions of every size in the order of the first. Raises UsageError if sizes differ in their
    dimensions."""
    names = list(pair.check_sizes[0])
    for size in (*pair.check_sizes, *pair.bench_sizes):
        if set(size) != set(names):
            both = f"{size_words(pair.check_sizes[0])} and {size_words(size)}"
            raise UsageError(f"its sizes have different dimensions, as in {both}. Give all sizes the same.")

    def in_order(sizes: Sequence[Size]) -> list[Size]:
        return [{name: size[name] for name in names} for size in sizes]

    return replace(pair, check_sizes=in_order(pair.check_sizes), bench_sizes=in_order(pair.bench_sizes))


@dataclass
class SizeSpace:
    """The sizes of a pair whose launch costs no more than `most`: (bytes, elements, flops, padded flops).

    `steps`, `low` and `high`: by dimension; a dimension is a multiple of its step.
    """

    pair: Pair
    most: tuple[float, ...]
    steps: dict[str, int]
    low: dict[str, int]
    high: dict[str, int]
    _shares: dict[tuple[int, ...], float] = field(default_factory=dict)

    @classmethod
    def of(cls, pair: Pair, *, cheap: float = 1) -> SizeSpace:
        """Up to a little more than the costliest check size, or to the share `cheap` of CHEAP if that is more."""
        sizes = [*pair.check_sizes, *pair.bench_sizes]
        of_checks = [max(amounts) for amounts in zip(*(costs(pair, size) for size in pair.check_sizes), strict=True)]
        most = tuple(max(HEADROOM * largest, cheap * least) for largest, least in zip(of_checks, CHEAP, strict=True))
        if has_fixed_outputs(pair):
            most = (*most[:-1], math.inf)
        names = list(sizes[0])
        steps = {name: math.gcd(*(size[name] for size in sizes)) or 1 for name in names}
        high = {name: max(size[name] for size in sizes) for name in names}
        low = {name: min(size[name] for size in sizes) for name in names}
        space = cls(pair, most, steps, low, high)
        space.low = {name: space.smallest(name) for name in names}
        return space

    def times(self, factor: float) -> SizeSpace:
        """The same sizes, and those whose launch costs up to `factor` times as much."""
        return replace(self, most=tuple(factor * cost for cost in self.most), _shares={})

    def smallest(self, name: str) -> int:
        """The smallest value of a dimension that the pair's functions accept with the other dimensions of a check
        size."""
        smallest_named = self.low[name]
        base = min(self.pair.check_sizes, key=self.share)
        value = self.steps[name]
        while value < smallest_named and not self.takes({**base, name: value}):
            value *= 2
        return min(value, smallest_named)

    def share(self, size: Size) -> float:
        """The cost of a size as a share of the most allowed; infinite if a function of the pair fails."""
        key = tuple(size.values())
        if key not in self._shares:
            try:
                pairs = zip(costs(self.pair, size), self.most, strict=True)
                self._shares[key] = max(cost / most for cost, most in pairs)
            except Exception:  # the pair's own functions, at a size that the pair does not promise
                self._shares[key] = math.inf
        return self._shares[key]

    def fits(self, size: Size) -> bool:
        return self.share(size) <= 1

    def takes(self, size: Size) -> bool:
        """Whether the pair's functions accept this size, whatever it costs."""
        if any(size_problems(self.pair, size)):
            return False
        if self.pair.restriction is None:
            return True
        knobs = {knob.name: knob.default for knob in self.pair.knobs}
        return self.pair.restriction(**size, **knobs) is None

    def matters(self, name: str) -> bool:
        """Whether a larger value of this dimension makes a launch cost more."""
        small = dict(self.low)
        return self.share({**small, name: self.high[name]}) > self.share(small)

    def largest(self, size: Size, name: str) -> int:
        """The largest value of a dimension that fits with the other dimensions unchanged; the lowest if none fits."""
        step, low = self.steps[name], self.low[name]
        least, most = 0, (self.high[name] - low) // step
        while least < most:
            middle = (least + most + 1) // 2
            if self.fits({**size, name: low + step * middle}):
                least = middle
            else:
                most = middle - 1
        return low + step * least

    def drawn(self, name: str, low: float, high: int, drawn: random.Random, *, odd: bool = False) -> int:
        """A value between `low` and `high`, uniform in its logarithm; an odd multiple of the step if `odd` and
        possible."""
        step = self.steps[name]
        if not high:
            return 0
        low = min(max(low, self.low[name], 1), high)
        value: float = low * (high / low) ** drawn.random()
        times = max(round(value / step), 1)
        if odd:
            times |= 1
        while step * times > high and times > (2 if odd else 1):
            times -= 2 if odd else 1
        return max(step * int(times), self.low[name])


def power_of_two(value: int, step: int) -> int:
    """The largest power of two times `step` that is no more than `value`."""
    return step << (value // step).bit_length() - 1 if value >= step else value
