"""Whether a kernel has the right elements at the sizes that are timed, where an index has more bits than at those that
are launched.

At such a size one CTA alone is launched on zeros, which take no memory. Which pages of the arrays it touches follows
from the pair's launch: a right kernel touches those that a kernel of the pair touches. Other pages prove nothing, as a
kernel may give its CTAs other work; but if they are the same at the sizes that were launched, the smallest size at
which they differ is worth a whole launch.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

from ptxbench.check.footprints import Cta, Footprints, array_bytes, footprints
from ptxbench.check.launching import CheckKernel
from ptxbench.check.space import SizeSpace
from ptxbench.emulator.memory import available_in_address_space, available_memory, shows_pages
from ptxbench.emulator.process import much_memory
from ptxbench.errors import FuelExhausted
from ptxbench.pair import ArrayArgument, Pair, Size
from ptxbench.units import size_words

MOST_BYTES = 33 << 26
"""The most bytes of the arrays, 2 GiB and a little more: of a larger size, half is taken."""

SHARE = 5 / 12
"""The share of the memory that this process may still map which the arrays may take. The emulator's records of them
take up to 1.25 times as much."""

FUEL = 1 << 12
"""Loop iterations of a warp of a kernel of the pair: its last CTA needs no more, unless it waits for others or takes
their work too."""

MOST_FUEL = 1 << 18
"""Loop iterations of a warp of a candidate where the pair's kernels end: one that needs more does not end."""

LONG_FLOPS = 1 << 22
SHORT_FUEL = 12
"""If a CTA has more flops, or a kernel of the pair does not end, a candidate may run so many iterations, and what it
touches until then is compared. (A few are spent on waiting for the first tile.)"""

REACHED = 3 / 4
"""If CTAs have other work than those of the pair's kernels: how far into an array the last CTA must go, as a share of
how far it goes where its results are right, both as parts of the array. Without one bit it goes half as far at most.
The same for where it begins and for what it stores, of an array of which a CTA has as much there."""

LIKE = 4 / 5
"""How much of an array a CTA has at one size, as a share of that at another at which it has as much."""

CTAS: tuple[Cta, ...] = ("last alone", "first alone")
"""The CTAs of a candidate that may have the work of the pair's last one."""


class IndicesUnknown(Exception):
    """It is not known whether indices have all their bits; the text says why."""


@dataclass(frozen=True)
class Difference:
    """A size at which a CTA does something else than it should, as far as can be told. `words`: what."""

    size: Size
    words: str


@dataclass
class LongIndices:
    """Compares candidates with the right kernels of a pair. What these touch is kept for the next candidate."""

    pair: Pair
    kernels: Mapping[str, CheckKernel]
    known: dict[tuple[str, tuple[int, ...]], Footprints] = field(default_factory=dict)

    def difference(self, kernel: CheckKernel, launched: Callable[[], Size]) -> Difference | None:
        """The smallest size found at which a candidate uses an array differently than the pair's kernels do, and does
        not at the size `launched`, at which its results are right. Raises IndicesUnknown."""
        if not shows_pages():
            raise IndicesUnknown("this system does not show which memory a kernel uses")
        most = min(MOST_BYTES, available())
        candidate = Candidate(self, kernel)
        with much_memory():
            for size in self.sizes:
                tried = at_most(self.pair, size, most)
                try:
                    if tried is not None and (found := candidate.difference(tried, launched)) is not None:
                        return found
                except MemoryError:
                    tried = None
                if tried != size:
                    until = f"up to {size_words(tried)}" if tried else "at no size like it"
                    raise IndicesUnknown(f"{size_words(size)} takes more memory than is free (--memory); tried {until}")
        return None

    @cached_property
    def sizes(self) -> list[Size]:
        """The sizes to try: large ones, and if a CTA takes long there, one at which it ends soon."""
        large = (at_most(self.pair, size, MOST_BYTES) for size in large_sizes(self.pair))
        sizes = [size for size in large if size is not None]
        takes_long = [size for size in sizes if flops_of_cta(self.pair, size) > LONG_FLOPS]
        quick = with_short_ctas(self.pair, max(takes_long, key=self.pair.written_bytes)) if takes_long else None
        return sizes if quick is None else [*sizes, quick]

    def of_variant(self, variant: str, size: Size) -> Footprints:
        """The footprints of a kernel of the pair."""
        key = variant, tuple(size.values())
        if key not in self.known:
            self.known[key] = footprints(self.pair, self.kernels[variant], size, FUEL)
        return self.known[key]

    def takes_long(self, size: Size) -> bool:
        """Whether a CTA takes long at a size, or waits for others."""
        first = next(iter(self.kernels))
        waits = any(footprint.is_part for footprint in self.of_variant(first, size))
        return waits or flops_of_cta(self.pair, size) > LONG_FLOPS


@dataclass
class Candidate:
    """What the kernel of a candidate touches; `pairs`: what those of the pair touch."""

    pairs: LongIndices
    kernel: CheckKernel
    known: dict[tuple[tuple[int, ...], Cta], Footprints] = field(default_factory=dict)

    def difference(self, size: Size, launched: Callable[[], Size]) -> Difference | None:
        """As `LongIndices.difference`, for one size, from which smaller ones are found."""
        if not self.pairs.kernels or self.differs(size) is None:
            return None
        for differs in self.comparisons(launched()):
            if differs(launched()) is not None:
                continue
            if (words := differs(size)) is None:
                return None
            smallest, words = shrunk(self.pairs.pair, size, words, differs)
            if not SizeSpace.of(self.pairs.pair).fits(smallest):  # else it is like sizes at which its results are right
                return Difference(smallest, words)
        raise IndicesUnknown("CTAs have other work than those of the pair's kernels, also at sizes that were launched")

    def comparisons(self, launched: Size) -> Sequence[Callable[[Size], str | None]]:
        """What may show whether a size is like `launched`, the best first; each gives a difference in words."""
        with_pair = [partial(self.differs, cta=cta) for cta in CTAS]
        return [*with_pair, partial(self.falls_short, than=launched)]

    def differs(self, size: Size, cta: Cta = CTAS[0]) -> str | None:
        """What a CTA does otherwise than the last CTA of each of the pair's kernels, in words; None if nothing."""
        first: str | None = None
        if self.is_endless(size, cta):
            return "does not end, unlike that of the pair's kernels"
        for variant in self.pairs.kernels:
            both = zip(self.of_cta(size, cta), self.pairs.of_variant(variant, size), strict=False)
            words = [words for one, other in both if (words := one.difference(other))]
            if not words:
                return None
            first = first or words[0]
        return first

    def falls_short(self, size: Size, than: Size) -> str | None:
        """Whether the last CTA fails, or reaches a smaller part of an array than at the size `than`, in words; also
        whether it begins earlier or stores less, of an array of which a CTA has as much. Of an array that the pair's
        last CTA uses, it must reach some."""
        needed = self.pairs.of_variant(next(iter(self.pairs.kernels)), size)
        ctas, ctas_small = (math.prod(self.pairs.pair.launch(**dimensions).grid_xyz) for dimensions in (size, than))
        for of_pair, large, small in zip(needed, self.of_cta(size, CTAS[0]), self.of_cta(than, CTAS[0]), strict=False):
            if large.fails and not of_pair.fails:
                return f"ends with {large.ended}, unlike that of the pair's kernels"
            lengths, lengths_small = large.lengths, small.lengths
            alike = [name for name in lengths if is_like(lengths[name] / ctas, lengths_small[name] / ctas_small)]
            if large.is_part:
                if len(alike) == len(lengths) and not of_pair.is_part and not small.is_part:
                    return "does not end, though it has as much to do as at smaller sizes"
                continue
            shares, shares_small = large.reach(), small.reach()
            for name in (name for name, pages in of_pair.pages.items() if pages):
                if shares[name] == 0 or shares[name] < REACHED * shares_small[name]:
                    return f"reaches a smaller part of '{name}' than at smaller sizes"
            for name in alike:
                if large.begin()[name] < REACHED * small.begin()[name]:
                    return f"begins at a smaller part of '{name}' than at smaller sizes"
                if large.stored_bytes().get(name, 0) < REACHED * small.stored_bytes().get(name, 0):
                    return f"stores to fewer elements of '{name}' than at smaller sizes"
        return None

    def of_cta(self, size: Size, cta: Cta) -> Footprints:
        """The footprints of a CTA."""
        key = tuple(size.values()), cta
        if key not in self.known:
            fuel = SHORT_FUEL if self.pairs.takes_long(size) else FUEL
            self.known[key] = footprints(self.pairs.pair, self.kernel, size, fuel, cta)
            if self.is_endless(size, cta):
                self.known[key] = footprints(self.pairs.pair, self.kernel, size, MOST_FUEL, cta)
        return self.known[key]

    def is_endless(self, size: Size, cta: Cta) -> bool:
        """Whether a CTA takes all iterations that it may have, where the pair's kernels end."""
        took_all = any(footprint.ended == FuelExhausted.__name__ for footprint in self.of_cta(size, cta))
        return took_all and not self.pairs.takes_long(size)


def is_like(one: float, other: float) -> bool:
    return LIKE < one / other < 1 / LIKE


def available() -> int:
    """Bytes that arrays may take in this process."""
    free = available_memory()
    with contextlib.suppress(OSError, AttributeError):
        free = min(free, int(SHARE * available_in_address_space()))
    return free


def large_sizes(pair: Pair) -> list[Size]:
    """Bench sizes at which each array and each dimension is as large as at any other, or has at least half of that; of
    equal ones, those with the fewest flops."""

    def elements(arg: ArrayArgument) -> Callable[[Size], int]:
        return lambda size: math.prod(arg.shape(**size))

    def dimension(name: str) -> Callable[[Size], int]:
        return lambda size: int(size[name])

    measures = [elements(arg) for arg in pair.args if isinstance(arg, ArrayArgument)]
    measures += [dimension(name) for name in pair.bench_sizes[0]]
    chosen: list[Size] = []
    for measure in measures:
        size = max(pair.bench_sizes, key=lambda size: (measure(size), -pair.flops(**size)))
        if not any(2 * measure(other) >= measure(size) for other in chosen):
            chosen.append(size)
    return chosen


def flops_of_cta(pair: Pair, size: Size) -> float:
    return pair.flops(**size) / math.prod(pair.launch(**size).grid_xyz)


def with_short_ctas(pair: Pair, size: Size) -> Size | None:
    """The size with dimensions halved until a CTA has no more than LONG_FLOPS; None if that does not help."""
    return halved_until(pair, size, partial(flops_of_cta, pair), LONG_FLOPS)


def at_most(pair: Pair, size: Size, most: int) -> Size | None:
    """A size whose arrays take no more bytes, with dimensions halved as often as that needs; None if there is none."""
    return halved_until(pair, size, partial(array_bytes, pair), most)


def halved_until(pair: Pair, size: Size, measure: Callable[[Size], float], most: float) -> Size | None:
    """The size with dimensions halved, each time the one that lowers the measure most, until it is at most `most`."""
    while (before := measure(size)) > most:
        smaller = [half for half in halves(pair, size) if measure(half) < before]
        if not smaller:
            return None
        size = min(smaller, key=measure)
    return size


def halves(pair: Pair, size: Size) -> list[Size]:
    """The sizes with half of one dimension that the pair's functions accept."""
    space = SizeSpace.of(pair)
    half_of = ({**size, name: size[name] // 2 // step * step} for name, step in space.steps.items())
    return [half for half in half_of if space.takes(half)]


def shrunk(pair: Pair, size: Size, words: str, differs: Callable[[Size], str | None]) -> tuple[Size, str]:
    """A size with dimensions halved in turn as long as there is a difference, then perhaps a little smaller, and the
    difference. `words`: that at `size`."""
    space = SizeSpace.of(pair)
    todo = [(name, 1 / 2) for name in space.steps] + [(name, 5 / 8) for name in space.steps]
    while todo:
        name, share = todo.pop(0)
        value = int(share * size[name]) // space.steps[name] * space.steps[name]
        smaller = {**size, name: value}
        if value < max(space.low[name], 1) or not space.takes(smaller):
            continue
        if (there := differs(smaller)) is not None:
            size, words = smaller, there
            if share == 1 / 2:
                todo.insert(len(todo) - len(space.steps), (name, share))
    return size, words
