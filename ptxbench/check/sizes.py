"""Sizes that a pair does not name, for candidates that would know those that it does.

Each dimension is moved among the multiples of what all its values have in common: a pair whose columns are always
multiples of 32 promises no others. What remains is tried on the pair's functions here, and on its kernels by whoever
asks: a size at which these fail too counts for nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from ptxbench.discovery.validate import size_problems
from ptxbench.pair import Pair, Size

DRAWS = 200
"""Sizes drawn at the most. Where a pair's functions refuse all of them, there is none."""

NEAR, FAR = 0.5, 1.6
"""A dimension is drawn between these multiples of its value at a check size."""


def hidden_sizes(pair: Pair, drawn: random.Random) -> Iterator[Size]:
    """Sizes that the pair's functions take and no list of it has, none costlier than its largest check size."""
    named = [dict(size) for size in (*pair.check_sizes, *pair.bench_sizes)]
    steps = {name: math.gcd(*(size[name] for size in named)) or 1 for name in named[0]}
    most = max(map(pair.compulsory_bytes, pair.check_sizes)), max(pair.flops(**size) for size in pair.check_sizes)
    for _ in range(DRAWS):
        size = {name: moved(value, steps[name], drawn) for name, value in drawn.choice(pair.check_sizes).items()}
        if size in named or any(size_problems(pair, size)):
            continue
        if pair.compulsory_bytes(size) <= most[0] and pair.flops(**size) <= most[1]:
            named.append(size)
            yield size


def moved(value: int, step: int, drawn: random.Random) -> int:
    """A multiple of `step` near `value`, more often an odd one; 0 stays 0."""
    if not value:
        return 0
    times = drawn.randint(max(1, int(NEAR * value / step)), max(1, int(FAR * value / step)) + 2)
    return step * (times | 1 if drawn.random() < 0.75 else times)
