"""The numbers that a candidate's text names and no kernel of the pair does, and test cases made of them.

A path for some sizes, a limit, and a number that stands for "none yet" show only near the number, where random numbers
rarely come. The numbers of the pair's own kernels are left out: the pair's sizes are around those.
"""

from __future__ import annotations

import math
import random
import re
import struct
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, zip_longest

import numpy as np

from ptxbench.arrays import Array, is_float
from ptxbench.check.case_series import CaseSeries
from ptxbench.check.cases import Cases, attempt
from ptxbench.check.element_ranges import ElementRange, range_of_element
from ptxbench.check.fills import ONE_IN, Draws, Fill, scattered
from ptxbench.check.launching import CheckCase
from ptxbench.check.row_fills import beneath, far, scaled
from ptxbench.check.scalars import free_scalars, signed_numbers
from ptxbench.check.sizes import filled
from ptxbench.check.space import SizeSpace
from ptxbench.emulator.syntax import Function, Immediate, Instruction, Module, registers
from ptxbench.pair import Pair, Scalar, Size, declared

COMPARES = re.compile(r"(setp|set|min|max|rem|div)\.(?!f|bf)")
"""Instructions that may compare a dimension, or a number of a CTA or of a round, with a limit."""

BELOW = re.compile(r"setp\.(lt|lo|ge|hs)\.")
"""Comparisons whose limit is one below the number on the right."""

SUBTRACTS = re.compile(r"(add|sub)\.[su](16|32|64)")
"""A compiler subtracts the start of a range before it compares: an addition of a negative number, or of a positive one
if the range starts at a negative number."""

WITHIN = re.compile(r"setp\.(lt|le|gt|ge|lo|ls|hi|hs)\.(\w+\.)?u(16|32|64)")
"""The comparison with the length of the range, which has no sign."""

USUAL = (0.0, 0.5, 1.0, 2.0)
"""Magnitudes that other data have anyway."""

MOST_SIZES = 8
"""At so many sizes that the text names there is a launch."""

MOST_COST = 4
"""Such a launch may cost so many times as much as at other hidden sizes."""

MOST_LIMITS = 6
"""For so many floating-point numbers above 1 there are launches on data beyond them: data below 1 are usual."""

MOST_SCALED, BEYOND = 3, 8
"""For so many of them the data are this many times as great, so that differences are beyond the number too."""

MOST_SMALL_LIMITS = 3
"""The same for numbers below 1, on rows whose sum, or sum of squares, is below them: a limit below a norm."""

MODERATE = 2.0**60
"""If the pair refuses data with greater numbers, as its results overflow, only those below are used."""

NAMED = "numbers that the text names"
"""The kind of data that have such numbers among them."""


@dataclass(frozen=True)
class NamedNumbers:
    """Whole numbers that a text compares with, and its floating-point numbers, all without signs."""

    whole: frozenset[int]
    floats: frozenset[float]

    @classmethod
    def of(cls, module: Module) -> NamedNumbers:
        whole: set[int] = set()
        floats: set[float] = set()
        for function in module.functions.values():
            within = compared_without_sign(function)
            for instruction in function.instructions:
                numbers = [operand for operand in instruction.operands if isinstance(operand, Immediate)]
                floats.update(abs(as_float(number)) for number in numbers if number.bits)
                whole.update(limit(instruction, number) for number in numbers if is_limit(instruction, number, within))
        return cls(frozenset(whole), frozenset(number for number in floats if math.isfinite(number)) - {*USUAL})

    def without(self, others: NamedNumbers) -> NamedNumbers:
        """The numbers that the others do not have: `< 8` is also `<= 7`."""
        near = {number + step for number in others.whole for step in (-1, 0, 1)}
        return NamedNumbers(self.whole - near - {0, 1}, self.floats - others.floats)


def as_float(number: Immediate) -> float:
    """The number whose bits the text gives."""
    bits = int(number.value).to_bytes(number.bits // 8, "little")
    value: float = struct.unpack("<f" if number.bits == 32 else "<d", bits)[0]
    return value


def compared_without_sign(function: Function) -> set[str]:
    """The registers that a function compares with a number as integers without a sign."""
    return {
        name
        for instruction in function.instructions
        if WITHIN.match(instruction.opcode) and isinstance(instruction.operands[-1], Immediate)
        for name in registers(instruction.operands[-2])
    }


def is_limit(instruction: Instruction, number: Immediate, within: Set[str]) -> bool:
    """Whether an instruction may compare a whole number with a dimension. `within`: the registers of which a comparison
    says whether they are in a range that starts at 0."""
    if number.bits:
        return False
    if SUBTRACTS.match(instruction.opcode):
        return number.value < 0 or not within.isdisjoint(registers(instruction.operands[0]))
    return bool(COMPARES.match(instruction.opcode))


def limit(instruction: Instruction, number: Immediate) -> int:
    """The last number on one side of a comparison: 4096 of `< 4097`, which compilers make of `<= 4096`."""
    below = BELOW.match(instruction.opcode) and number is instruction.operands[-1]
    return abs(int(number.value)) - (1 if below and number.value > 0 else 0)


# ---- sizes


def named_sizes(cases: Cases, numbers: NamedNumbers, drawn: random.Random) -> Iterator[CaseSeries]:
    """The pair's data at sizes near the whole numbers, each with one dimension there."""
    if not numbers.whole:
        return
    usual = SizeSpace.of(cases.pair)
    space = SizeSpace(usual.pair, tuple(MOST_COST * cost for cost in usual.most), usual.steps, usual.low, usual.high)
    known = [dict(size) for size in cases.pair.check_sizes]
    by_number = (sizes_near(space, number, drawn) for number in sorted(numbers.whole, reverse=True))
    in_turn = (size for size in chain.from_iterable(zip_longest(*by_number)) if size is not None)
    for size in islice((size for size in in_turn if size not in known and space.takes(size)), MOST_SIZES):
        yield CaseSeries("named", cases.at(iter([size]), drawn.getrandbits(32), varied=False))


def sizes_near(space: SizeSpace, number: int, drawn: random.Random) -> Iterator[Size]:
    """Sizes with a dimension at the number, next to it, or up to twice as long, as far as they fit; and sizes with so
    many CTAs along a dimension, or up to twice as many."""
    dimensions = [(name, factor) for name in space.steps for factor in sorted(factors(space.pair, name) or {1})]
    of_ctas = [(name, factor) for name in space.steps for factor in sorted(by_cta(space.pair, name) - {1})]
    for above, with_factors in (
        (0, dimensions),
        (None, of_ctas),
        (1, dimensions),
        (-1, dimensions),
        (None, dimensions),
        (0, of_ctas),
    ):
        for name, factor in drawn.sample(with_factors, len(with_factors)):
            times = number * factor // space.steps[name]
            value = space.steps[name] * (times + (drawn.randint(1, times + 1) if above is None else above))
            if space.low[name] <= value <= space.high[name]:
                low, high = {**space.low, name: value}, {**space.high, name: value}
                size = filled(replace(space, low=low, high=high), drawn, 0)
                if size[name] == value and space.fits(size):
                    yield size


def factors(pair: Pair, name: str) -> set[int]:
    """By how much a dimension is larger than the scalars that are a part of it, such as the number of vectors."""
    whole_factors = set()
    for arg in pair.args:
        if isinstance(arg, Scalar) and callable(arg.value) and not is_float(arg.dtype):
            shares = {size[name] / value for size in pair.check_sizes if (value := declared(arg, size))}
            if len(shares) == 1 and (share := shares.pop()) == int(share):
                whole_factors.add(int(share))
    return whole_factors


def by_cta(pair: Pair, name: str) -> set[int]:
    """How much of a dimension each CTA along an axis of the grid has, if it is the same at all bench sizes."""
    whole_factors = set()
    for axis in range(3):
        grids = [(size[name], pair.launch(**size).grid_xyz[axis]) for size in pair.bench_sizes]
        shares = {value / ctas for value, ctas in grids if ctas > 1}
        if len(shares) == 1 and (share := shares.pop()) == int(share):
            whole_factors.add(int(share))
    return whole_factors


# ---- values


def named_values(
    cases: Cases, numbers: NamedNumbers, sizes: Sequence[Size], nonlinear: Sequence[str], drawn: random.Random
) -> Iterator[CaseSeries]:
    """The numbers among the data at each of the sizes. At the first size: of an input of which the reference is not a
    linear function, data beyond one of the numbers alone, and data of its magnitude; rows below one; and scalars that
    are one of them."""
    if not numbers.whole and not numbers.floats:
        return
    for size in sizes:
        yield CaseSeries(NAMED, cases_among(cases, numbers, size, drawn.getrandbits(32)))
    limits = sorted(number for number in numbers.floats if number > 1)
    for number in drawn.sample(limits, min(MOST_LIMITS, len(limits))) if nonlinear else ():
        for sign, words in ((-1, f"all below {-number:g}"), (1, f"all above {number:g}")):
            case = filled_with(cases, sizes[0], far(sign, number), drawn.getrandbits(32), words, nonlinear[:1])
            yield CaseSeries(words, iter([case] if case else []))
    for number in drawn.sample(limits, min(MOST_SCALED, len(limits))) if nonlinear else ():
        for factor in (number, math.sqrt(number)):  # a limit above distances, or above squares of them
            words = f"magnitudes up to {BEYOND * factor:g}"
            case = filled_with(cases, sizes[0], scaled(BEYOND * factor), drawn.getrandbits(32), words, nonlinear)
            yield CaseSeries(words, iter([case] if case else []))
    small = sorted(number for number in numbers.floats if 0 < number < 1)
    for number in drawn.sample(small, min(MOST_SMALL_LIMITS, len(small))):
        for power, words in ((1, "sums"), (2, "sums of squares")):
            label = f"{words} of rows below {number:g}"
            case = filled_with(cases, sizes[0], beneath(number, power), drawn.getrandbits(32), label)
            yield CaseSeries(label, iter([case] if case else []))
    for name in (name for name, dtype in free_scalars(cases.pair).items() if is_float(dtype)):
        for value in signed_numbers(numbers.floats, drawn):
            with_value = cases.filled(sizes[0], {name: value}, drawn.getrandbits(32))
            yield CaseSeries(f"{name}={value:g}", with_value, always_safe=False)


def cases_among(cases: Cases, numbers: NamedNumbers, size: Size, seed: int) -> Iterator[CheckCase]:
    """Data with all numbers among them, and a milder form."""
    moderate = replace(numbers, floats=frozenset(number for number in numbers.floats if number < MODERATE))
    for some in (numbers, moderate):
        if (case := filled_with(cases, size, partial(among, some), seed, NAMED)) is not None:
            yield case


def filled_with(
    cases: Cases, size: Size, fill: Fill, seed: int, words: str, only: Sequence[str] | None = None
) -> CheckCase | None:
    """A case with data of a kind in all inputs, or in `only` some; None if the pair refuses it."""
    arguments = dict(cases.pair.make_arguments(size, seed, varied=False))
    for index, arg in enumerate(cases.pair.args):
        if (only is None or arg.name in only) and (limits := range_of_element(arg)) is not None:
            draws = np.random.default_rng([seed]), np.random.default_rng([seed, 1 + index])
            arguments[arg.name] = fill(arguments[arg.name], limits, draws)
    names = f" in {', '.join(map(repr, only))}" if only else ""
    return attempt(partial(cases.with_arguments, size, arguments, f", with {words}{names}"))


def among(numbers: NamedNumbers, array: Array, limits: ElementRange, draws: Draws) -> Array:
    """Some elements are one of the numbers, of either sign, next to one, or twice as large."""
    if limits.whole is None:
        near = [value for number in sorted(numbers.floats) for value in around(number, limits)]
        near += with_bits(numbers.whole, limits)
    else:
        low, high = limits.whole
        bits = 8 * array.dtype.itemsize
        steps = (sign * number + step for number in sorted(numbers.whole) for sign in (1, -1) for step in (-1, 0, 1))
        # PTX may write an integer without a sign as a negative number, and the other way round.
        same_bits = ((value, value % (1 << bits), value % (1 << bits) - (1 << bits)) for value in steps)
        near = [value for value in dict.fromkeys(chain.from_iterable(same_bits)) if low <= value <= high]
    order = draws[0].permutation(len(near))
    return scattered(array, [near[index] for index in order], draws, -(-array.size // ONE_IN)) if near else array


def with_bits(numbers: Collection[int], limits: ElementRange) -> list[float]:
    """The normal numbers of the type that have one of the numbers as their bits: a text may compare the bits of an
    element. Not the largest ones, of which sums overflow."""
    bits = [number for number in sorted(numbers) if number < 1 << limits.bits]
    with np.errstate(all="ignore"):
        values = np.array(bits, f"u{limits.dtype.itemsize}").view(limits.dtype).astype(np.float64)
    return [float(value) for value in values if 2.0 ** limits.powers[0] <= abs(value) < MODERATE]


def around(number: float, limits: ElementRange) -> Iterator[float]:
    """The number, its neighbours in the type, and its double, of both signs; nothing if it is not in the range."""
    with np.errstate(all="ignore"):
        rounded = np.array(number).astype(limits.dtype)
        for value in (rounded, np.nextafter(rounded, np.zeros_like(rounded)), rounded + rounded):
            if 0 < float(value) < math.inf:
                yield from (float(value), -float(value))
