"""The test cases for candidates of one pair, and whether its own kernels pass them.

The data come from a seed that no candidate can know. A case that one of the pair's own kernels fails is not
counted: it asks for more than the pair promises, or than its tolerance allows.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np

from ptxbench import oracle
from ptxbench.arrays import is_float
from ptxbench.backends.emulator import unknown_map, unsupported
from ptxbench.check.case_series import CaseSeries
from ptxbench.check.cases import Cases, accepts_zeros, attempt, silence
from ptxbench.check.common_elements import COMMON, with_common_elements
from ptxbench.check.element_ranges import with_sorted_inputs
from ptxbench.check.footprints import array_bytes, unwritten, with_indices
from ptxbench.check.launching import CheckCase, CheckKernel, LaunchOptions, LaunchResult, launch
from ptxbench.check.long_indices import LongIndices
from ptxbench.check.named_numbers import NamedNumbers, named_sizes, named_values
from ptxbench.check.pair_kernels import USUAL, PairKernels, is_wrong
from ptxbench.check.rounding import (
    is_explained,
    may_overflow,
    of_infinite_scalar,
    rounding,
    sensitive,
    underflowed,
)
from ptxbench.check.row_fills import PEAK
from ptxbench.check.rows import LAUNCHES, nonlinear, single_rows, sizes_with_rows
from ptxbench.check.scalar_works import FEW_ROUNDS, is_cheap, works_of
from ptxbench.check.scalars import (
    ends_of_ranges,
    free_scalars,
    high_bits,
    many_steps,
    special_values,
    whole_numbers,
)
from ptxbench.check.sizes import MODERATE, any_size, hidden_sizes, kinds, with_many_ctas
from ptxbench.check.space import CHEAP, SizeSpace, costs, has_fixed_outputs, with_dimensions_in_order
from ptxbench.check.unused import UNUSED_NAN, chooses_elements
from ptxbench.check.values import (
    ABOVE,
    BELOW,
    FAR,
    GREAT,
    GREATEST,
    NEAR,
    NOT_FINITE_KINDS,
    ZERO_COLUMNS,
    data_kinds,
    edged,
    inputs_of,
    shared,
)
from ptxbench.discovery import LoadedPair
from ptxbench.errors import EmulatorCrash, FuelExhausted, KernelError, UsageError
from ptxbench.pair import In, InOut, Out, Pair, Scratch, Size
from ptxbench.runner.case_data import largest, pair_errors
from ptxbench.runner.plan import PairPlan, is_too_large
from ptxbench.tensor_map import TensorMap
from ptxbench.verify import agrees, expect

SIZES_OF_A_KIND = 3
"""How many sizes of a kind are tried if the pair's own kernels fail the first ones."""

WHOLE_NUMBERS = "whole numbers"

EVEN = "even grid"

ONE_VALUE = "one value throughout"

NOT_FINITE, NAN, WHOLE_RANGE = "infinities", "NaN", "magnitudes of the whole range"

NAN_SCALAR = "NaN as a scalar"
"""Where a maximum starts decides what becomes of data that are NaN throughout, so this shows less than NaN among the
data, and is counted only together with it."""

ENDS = 4
"""Check sizes with infinities and with NaN, each with other ends of rows and tiles: so many of the cheapest, which end
within their first tile, and as many drawn ones."""

ZERO = "zero throughout"

AT_THE_LARGEST = (ONE_VALUE, "zeros but for short runs", BELOW, ABOVE, NEAR)
"""Kinds of data that are also tried at the largest check size, where a maximum has several parts; if CTAs exchange
values, also zeros, which a kernel may take for "not there yet"."""

ONCE = (ZERO_COLUMNS,)
"""Kinds of data that are tried at one size: errors with columns alone are rare."""

MOST_BYTES, MOST_ELEMENTS, MOST_FLOPS = 1 << 28, 1 << 27, 1 << 31
"""The most for a launch at a size at which an index seems to lose bits, which takes some seconds: of bytes, of
elements, and of flops if each thread made an output."""

ON_ZEROS = 4
"""How many times as large a launch may be that is on zeros, and without a reference."""

SPECIAL = ("values", "repeats")
"""Stages that launch on data of other magnitudes than the pair's own."""

SANITIZED = frozenset({EVEN, "any", "powers of two", "largest"})
"""The kinds of hidden sizes that are also launched under the sanitizer."""

OTHER_DATA = 6
"""On how many other data of the largest check size CTAs that swap run in another order: one that updates a maximum by
a swap is right on about one in four."""

ABOUT_DRAWS = 20
"""How many sizes are drawn to find one with a similar cost."""


class CheckSuite:
    """The test cases for one pair, architecture and seed. Results are kept for the next candidate."""

    def __init__(self, loaded: LoadedPair, arch: str, seed: int) -> None:
        """Raises UsageError for a pair whose launches the emulator cannot execute, or whose sizes differ in their
        dimensions; PairError if its data cannot be drawn."""
        try:
            pair = with_dimensions_in_order(loaded.pair)
        except UsageError as error:
            raise UsageError(f"'{loaded.name}' cannot be checked: {error}") from None
        for size in loaded.pair.check_sizes:
            if lacks := unsupported(loaded.pair.launch(**size), arch):
                raise UsageError(f"'{loaded.name}' cannot be checked: {lacks}")
            for arg in loaded.pair.args:
                if isinstance(arg, TensorMap) and (lacks := unknown_map(arg.name, loaded.pair.tiled_map(arg, size))):
                    raise UsageError(f"'{loaded.name}' cannot be checked: {lacks}")
        plan = PairPlan(loaded, (), ())
        with pair_errors(plan, largest(plan)):
            self.pair: Pair = with_sorted_inputs(pair)
        self.loaded = replace(loaded, pair=self.pair)
        self.entry = loaded.name.replace(".", "_")
        self.arch = arch
        self.seed = seed
        self.cases = Cases(self.loaded)
        self.reference_failures: dict[tuple[CheckCase, bool], str | None] = {}
        self._beyond: dict[tuple[CheckCase, bool], str | None] = {}
        self._endless: dict[CheckCase, str | None] = {}
        self._takes_zeros: dict[CheckCase, bool] = {}
        self.has_endless = False
        self._named: dict[NamedNumbers, tuple[tuple[CaseSeries, ...], tuple[CaseSeries, ...]]] = {}
        self._repeated: dict[tuple[int, ...], tuple[CheckCase, CheckCase, CheckCase]] = {}

    def drawn(self, purpose: str) -> random.Random:
        """Random numbers for one purpose, the same for every candidate."""
        return random.Random(f"{self.seed} {purpose}")

    # ---- questions

    @cached_property
    def by_cost(self) -> tuple[Size, ...]:
        """The check sizes, the cheapest first, because most errors show there already."""
        return tuple(sorted(self.pair.check_sizes, key=self.pair.compulsory_bytes))

    @cached_property
    def check(self) -> tuple[CheckCase, ...]:
        """Every check size with the pair's own scalars, starts and random data."""
        drawn = self.drawn("check")
        return tuple(self.cases.plain(size, drawn.getrandbits(32)) for size in self.by_cost)

    @cached_property
    def results(self) -> tuple[CaseSeries, ...]:
        """Every check size; also on whole numbers, if the pair is exact on them.

        At every second size scalars and starts are drawn. So both a kernel that is right only with the pair's own
        values and one that is wrong only with them are found.
        """
        drawn = self.drawn("results")
        turn = drawn.getrandbits(1)
        questions = []
        for number, size in enumerate(self.by_cost):
            varied, seed = (number + turn) % 2 == 1, drawn.getrandbits(32)
            questions.append(CaseSeries("check size", self.cases.at(iter([size]), seed, varied=varied)))
            if self.pair.exact_on_integers:
                whole = self.cases.whole(size, drawn.getrandbits(32), varied=not varied)
                questions.append(CaseSeries(WHOLE_NUMBERS, iter([whole])))
        return tuple(questions)

    @cached_property
    def hidden(self) -> tuple[CaseSeries, ...]:
        """Sizes of each kind that the pair does not name; the pair's own kernels may fail some."""
        drawn = self.drawn("hidden")
        turn = drawn.getrandbits(1)
        questions = []
        for number, (kind, draw) in enumerate(kinds(self.pair, drawn).items()):
            own = self.drawn(f"hidden {kind}")
            sizes = itertools.islice(hidden_sizes(self.pair, draw, own), SIZES_OF_A_KIND)
            varied = (
                number + turn
            ) % 2 == 1 and "=" not in kind  # a value of a bench size keeps the scalars of the timed launches
            questions.append(CaseSeries(kind, self.cases.at(sizes, own.getrandbits(32), varied=varied)))
        return tuple(questions)

    @cached_property
    def many_ctas(self) -> tuple[CaseSeries, ...]:
        """A size with more CTAs than each has threads, for kernels whose CTAs exchange values."""
        cases = self.cases.at(with_many_ctas(self.pair), self.drawn("many CTAs").getrandbits(32), varied=False)
        return (CaseSeries("many CTAs", cases),)

    @cached_property
    def bench(self) -> tuple[CaseSeries, ...]:
        """The first bench size that the emulator runs in about a minute, if there is one."""
        sizes = [size for size in self.pair.bench_sizes if not is_too_large(self.pair, size)][:1]
        seed = self.drawn("bench").getrandbits(32)
        return tuple(CaseSeries("bench size", self.cases.at(iter([size]), seed, varied=False)) for size in sizes)

    @cached_property
    def long_indices(self) -> LongIndices:
        return LongIndices(self.pair, self.pair_kernels.right)

    def largest_launched(self) -> Size:
        """The largest size at which the candidate was right."""
        cases = [case for question in self.hidden if (case := self.counted_case(question)) is not None]
        return max((case.size for case in (*cases, self.largest)), key=partial(array_bytes, self.pair))

    def beyond_indices(self, size: Size) -> list[CaseSeries]:
        """A size larger than the hidden ones, at which an index of the candidate seems to lose bits; nothing if it is
        too large to be launched. If the pair draws indices, first with those with which it seems so."""
        if not self.can_launch(size):
            return []
        drawn = self.drawn("beyond")
        found = [self.with_indices(size, drawn.getrandbits(32))] if chooses_elements(self.pair) else []
        return [CaseSeries("long index", cases) for cases in (*found, self.beyond_cases(size, drawn.getrandbits(32)))]

    def beyond_cases(self, size: Size, seed: int) -> Iterator[CheckCase]:
        """Cases at one size; whole numbers if the pair is exact on them, because the tolerance of a sum of so many real
        numbers is large."""
        if not self.pair.exact_on_integers:
            yield from self.cases.at(iter([size]), seed, varied=False)
        elif (whole := attempt(partial(self.cases.whole, size, seed, varied=False))) is not None:
            yield whole

    def with_indices(self, size: Size, seed: int) -> Iterator[CheckCase]:
        """Such cases, with the greatest indices where the last CTA finds them."""
        exact = self.pair.exact_on_integers
        for case in self.beyond_cases(size, seed):
            arguments = with_indices(self.pair, size, case.arguments)
            with silence(), contextlib.suppress(Exception):  # the pair's own function, on indices that it did not draw
                expected = expect(self.pair, arguments, integers=exact)
                yield replace(case, arguments=arguments, expected=expected)

    def can_launch(self, size: Size, times: int = 1) -> bool:
        """Whether a size costs no more than MOST_BYTES and the like, or so many times as much."""
        bytes_, elements, flops, padded = costs(self.pair, size)
        made = flops if has_fixed_outputs(self.pair) else padded
        return bytes_ <= times * MOST_BYTES and elements <= times * MOST_ELEMENTS and made <= times * MOST_FLOPS

    def never_written(self, kernel: CheckKernel, size: Size) -> str | None:
        """What a kernel leaves unwritten at a size, in words, if a kernel of the pair writes everything; None too if
        the size is too large to be launched."""
        if not self.can_launch(size, ON_ZEROS):
            return None
        with contextlib.suppress(KernelError):
            left = unwritten(self.pair, kernel, size)
            if left and unwritten(self.pair, next(iter(self.pair_kernels.right.values())), size) is None:
                return left
        return None

    @cached_property
    def special(self) -> tuple[CaseSeries, ...]:
        """Kinds of data that random numbers never produce, and inputs that share memory."""
        drawn = self.drawn("values")
        half = self.by_cost[: len(self.by_cost) // 2 + 1]
        questions = []
        for varied, size in ((True, half[-1]), (False, self.about(half[-1], drawn))):
            for kind in data_kinds(self.pair):
                if (only := self.inputs_for(kind)) is not None and not (varied and kind in ONCE):
                    cases = self.cases.edged(size, kind, drawn.getrandbits(32), varied=varied, only=only)
                    questions.append(CaseSeries(kind, cases))
        alone = inputs_of(self.pair, ZERO)  # if two factors are both zero, an error with either does not show
        for name in alone if len(alone) > 1 else ():
            cases = self.cases.edged(half[-1], ZERO, drawn.getrandbits(32), varied=True, only=[name])
            questions.append(CaseSeries(ZERO, cases))
            if set(inputs_of(self.pair, NOT_FINITE)) - {name}:  # a product that is left out because a factor is zero
                cases = self.cases.filled(half[-1], {name: 0.0}, drawn.getrandbits(32), NOT_FINITE)
                questions.append(CaseSeries(f"{name}=0, {NOT_FINITE}", cases))
        exchange = any(isinstance(arg, Scratch) for arg in self.pair.args)
        for kind in data_kinds(self.pair):  # some code runs only at large sizes, such as the second half of a round
            only = self.inputs_for(kind)
            if only is not None and (kind in AT_THE_LARGEST or (kind == ZERO and exchange)):
                cases = self.cases.edged(self.by_cost[-1], kind, drawn.getrandbits(32), varied=True, only=only)
                questions.append(CaseSeries(kind, cases))
        cheapest, others = self.by_cost[:ENDS], drawn.sample(self.by_cost, min(ENDS, len(self.by_cost)))
        is_cheap = self.pair.flops(**self.by_cost[-1]) <= CHEAP[-1]
        for size in (*cheapest, *(other for other in others if other not in cheapest)):
            # What lies behind an end shows if it is multiplied by zero; a path for some sizes may treat NaN otherwise.
            kinds = [NOT_FINITE]
            kinds += [NAN] if is_cheap or size in others[:1] else []
            kinds += [WHOLE_RANGE] if (is_cheap and size in others) or size in others[:1] else []
            for kind in kinds:
                if kind in data_kinds(self.pair):
                    cases = self.cases.edged(size, kind, drawn.getrandbits(32), varied=False)
                    questions.append(CaseSeries(kind, cases))
        for size in (half[-1], self.by_cost[-1]) if chooses_elements(self.pair) else ():
            questions.append(CaseSeries(UNUSED_NAN, self.cases.unused(size, drawn.getrandbits(32))))
        for size in (half[-1], self.by_cost[-1]):
            seed = drawn.getrandbits(32)
            arguments = with_common_elements(self.pair, self.pair.make_arguments(size, seed), self.nonlinear, seed)
            if arguments is not None:
                case = attempt(partial(self.cases.with_arguments, size, arguments, f", with {COMMON}"))
                questions.append(CaseSeries(COMMON, iter([case] if case else [])))
        questions += self.counters(drawn)
        questions += self.peaks(half[-1], drawn)
        # At a power of two the rest of a division by the size is right even if a negative scalar wraps at 2^32.
        others_than_powers = (size for size in reversed(half) if any(value & (value - 1) for value in size.values()))
        questions += self.scalars(next(others_than_powers, half[-1]), drawn)
        for size in reversed(self.by_cost):
            if (one := shared(self.pair, size, drawn.getrandbits(32))) is not None:
                names = ", ".join(f"'{second}' and '{first}' one array" for second, first in one[1].items())
                questions.append(
                    CaseSeries(
                        "shared inputs", iter([self.cases.with_arguments(size, one[0], f", with {names}", one[1])])
                    )
                )
                break
        # What is wrong with finite data too is easier to understand there.
        return tuple(sorted(questions, key=lambda series: series.name in NOT_FINITE_KINDS))

    def named(self, numbers: NamedNumbers) -> tuple[tuple[CaseSeries, ...], tuple[CaseSeries, ...]]:
        """Sizes, and data, near the numbers of a candidate's text that no kernel of the pair names."""
        new = numbers.without(self.pair_kernels.numbers)
        if new not in self._named:
            drawn = self.drawn("named")
            sizes = self.by_cost[len(self.by_cost) // 2], self.about(self.by_cost[-1], drawn)
            self._named[new] = (
                tuple(named_sizes(self.cases, new, drawn)),
                (*named_values(self.cases, new, sizes, self.nonlinear, drawn), *self.named_scalars(new, drawn)),
            )
        return self._named[new]

    def counters(self, drawn: random.Random) -> Iterator[CaseSeries]:
        """Great whole numbers throughout, at long hidden sizes: a narrow counter or sum wraps, and one in
        floating-point numbers is rounded, unless all numbers are the same power of two. Twice, because the roundings of
        several sums may cancel."""
        if not (whole := inputs_of(self.pair, GREATEST)):
            return
        # With one dimension long and the others short, one CTA counts most, or one sum is longest.
        names = [series.name for series in self.hidden if series.name.startswith("long ")] or ["largest"]
        for series in self.hidden:
            if series.name in names and (case := next(iter(series), None)) is not None:
                for kind in (GREATEST, ABOVE, ABOVE):
                    cases = self.cases.edged(case.size, kind, drawn.getrandbits(32), varied=False, only=whole)
                    yield CaseSeries(kind, cases)

    def scalars(self, size: Size, drawn: random.Random) -> Iterator[CaseSeries]:
        """The ends of each scalar's range, and special values of those without a restriction; with a floating-point 0
        also infinities among the data, which it turns into NaNs. A scalar comes from the host, so where the pair's own
        kernels are wrong nothing counts."""
        for name, ends in ends_of_ranges(self.pair).items():
            for value in ends:
                cases = self.cases.filled(size, {name: value}, drawn.getrandbits(32))
                yield CaseSeries(f"{name}={value:g}", cases, always_safe=False)
        for name, dtype in free_scalars(self.pair).items():
            for value in special_values(dtype, drawn):
                kind = NAN_SCALAR if math.isnan(value) else f"{name}={value:g}"
                cases = self.cases.filled(size, {name: value}, drawn.getrandbits(32))
                yield CaseSeries(kind, cases, always_safe=False)
                if value == 0 and is_float(dtype):
                    cases = self.cases.filled(size, {name: value}, drawn.getrandbits(32), NOT_FINITE)
                    yield CaseSeries(f"{kind}, {NOT_FINITE}", cases)
            high, seed = high_bits(dtype, drawn), drawn.getrandbits(32)
            if high is None:
                continue
            works = self.works(size, name, high, seed)
            if works and all(1 / 2 <= changed / usual <= 2 for usual, changed in works):
                yield CaseSeries(f"{name}={high}", self.cases.filled(size, {name: high}, seed), always_safe=False)
                continue
            yield from self.with_steps(self.by_cost[len(self.by_cost) // 4], name, many_steps(drawn), seed)

    def named_scalars(self, numbers: NamedNumbers, drawn: random.Random) -> Iterator[CaseSeries]:
        """Integer scalars that are numbers of a text, at the largest size: more steps than elements show little."""
        for name, dtype in free_scalars(self.pair).items():
            for value in whole_numbers(numbers.whole, dtype, drawn):
                yield from self.with_steps(self.by_cost[-1], name, value, drawn.getrandbits(32))

    def with_steps(self, size: Size, name: str, value: int, seed: int) -> Iterator[CaseSeries]:
        """A value of a scalar that may be a number of steps, unless the pair's own kernels then execute too much."""
        if is_cheap(self.works(size, name, value, seed)):
            yield CaseSeries(f"{name}={value}", self.cases.filled(size, {name: value}, seed), always_safe=False)

    def works(self, size: Size, name: str, value: int, seed: int) -> list[tuple[float, float]] | None:
        """How much the pair's right kernels execute at a size, as in `works_of`."""
        return works_of(self.pair, self.pair_kernels.right.values(), self.cases.plain(size, seed), name, value)

    def peaks(self, size: Size, drawn: random.Random) -> Iterator[CaseSeries]:
        """A great element at many positions: of rows of each length that the pair names, or in launch after launch."""
        if not self.nonlinear:
            return
        for wide in sizes_with_rows(self.pair):
            cases = self.cases.edged(wide, GREAT, drawn.getrandbits(32), varied=False, only=self.nonlinear)
            yield CaseSeries(GREAT, cases)
        for name in single_rows(self.pair, size, self.nonlinear):
            for case in self.cases.with_peaks(size, name, LAUNCHES, drawn.getrandbits(32)):
                yield CaseSeries(GREAT, iter([case]))
        for arg in self.pair.args:
            if isinstance(arg, InOut) and is_float(arg.dtype) and arg.values is None:
                for start in (PEAK, -PEAK):  # above and below whatever a maximum or a minimum adds to it
                    cases = self.cases.filled(size, {arg.name: start}, drawn.getrandbits(32))
                    yield CaseSeries(f"{arg.name}={start:g}", cases)

    def inputs_for(self, kind: str) -> Sequence[str] | None:
        """The inputs that get data of a kind, () for all; None if the kind shows no more than ordinary data."""
        if kind not in FAR:
            return ()
        axes = {arg.name: len(arg.shape(**self.by_cost[0])) for arg in self.pair.args if isinstance(arg, In | InOut)}
        least = 2 if kind in ONCE else 0
        return [name for name in inputs_of(self.pair, kind) if name in self.nonlinear and axes[name] >= least] or None

    @cached_property
    def nonlinear(self) -> Sequence[str]:
        """The inputs of which the reference is not a linear function, so that great elements show more than others."""
        pair, size = self.pair, self.by_cost[(len(self.by_cost) - 1) // 2]
        changed = next(edged(pair, size, GREAT, self.seed, varied=False))
        with silence():
            return nonlinear(pair, inputs_of(pair, GREAT), pair.make_arguments(size, self.seed), changed)

    def about(self, size: Size, drawn: random.Random) -> Size:
        """A size with 0.2 to 1.5 times the cost of `size`; `size` itself if none is found."""
        space = SizeSpace.of(self.pair, cheap=MODERATE)
        for _ in range(ABOUT_DRAWS):
            other = any_size(space, drawn)
            if other and 0.2 <= space.share(other) / space.share(size) <= 1.5 and space.takes(other):
                return other
        return size

    @property
    def sanitized(self) -> tuple[CheckCase, ...]:
        """The cases for the sanitizer: the check sizes, and some hidden sizes, one of them near the greatest cost. Only
        cases that count, as far as that is known."""
        names = SANITIZED & {question.name for question in self.hidden}
        own = [question for question in self.results if question.name != WHOLE_NUMBERS]
        asked = [*own, *(question for question in self.hidden if question.name in names)]
        return tuple(case for question in asked if (case := self.counted_case(question)) is not None)

    def counted_case(self, question: CaseSeries) -> CheckCase | None:
        """The case of a question that counts, as far as is known; None if the pair's own kernels fail all of them."""
        return next((case for case in question if not self.reference_failures.get((case, False))), None)

    @property
    def repeated(self) -> tuple[CheckCase, CheckCase, CheckCase]:
        """A hidden size with several CTAs, the same size with other data, and the smallest check size."""
        several = next((question for question in self.hidden if question.name == EVEN), None)
        case = self.counted_case(several) if several else None
        size = self.by_cost[-1] if case is None else case.size
        key = tuple(size.values())
        if key not in self._repeated:
            drawn = self.drawn("repeats")
            first, second = (self.cases.plain(size, drawn.getrandbits(32)) for _ in range(2))
            self._repeated[key] = first, second, self.cases.plain(self.by_cost[0], drawn.getrandbits(32))
        return self._repeated[key]

    @cached_property
    def largest(self) -> CheckCase:
        """The largest check size, which the stage `counts` uses."""
        return self.check[-1]

    @cached_property
    def largest_on_other_data(self) -> tuple[CheckCase, ...]:
        """The same size with other data, for kernels whose CTAs exchange values by swaps."""
        drawn = self.drawn("other data")
        return tuple(self.cases.plain(self.largest.size, drawn.getrandbits(32)) for _ in range(OTHER_DATA))

    # ---- what the pair's own kernels and a candidate do with a case

    @cached_property
    def pair_kernels(self) -> PairKernels:
        return PairKernels(self.loaded, self.arch, self.check[0], self.largest)

    def beyond_contract(self, case: CheckCase, *, fault: bool = False) -> str | None:
        """The one of the pair's own variants that fails this case too; None if none does. Tested once for each case.

        Only right kernels are used: a kernel that is always wrong would excuse everything.

        `fault`: whether only a launch that fails counts, not a wrong result.
        """
        key = case, fault
        if key not in self.reference_failures:
            if key not in self._beyond:
                kernels = self.pair_kernels.right.items()
                failing = (variant for variant, kernel in kernels if self.fails(kernel, case, fault=fault))
                self._beyond[key] = next(failing, None)
            self.reference_failures[key] = self._beyond[key]
        return self.reference_failures[key]

    @cached_property
    def weaknesses(self) -> tuple[str, ...]:
        """The wrong results that the pair's reference and tolerance accept at every check size, in words. Which inputs
        are read shows on data of the stage `values` too."""
        seed = self.drawn("oracle").getrandbits(32)
        return attempt(partial(oracle.weaknesses, self.pair, seed, varied=True, partial_reads=False)) or ()

    def takes_zeros(self, case: CheckCase) -> bool:
        """Whether all results of a case may be zero."""
        if case not in self._takes_zeros:
            self._takes_zeros[case] = accepts_zeros(case.expected)
        return self._takes_zeros[case]

    def forget_candidate(self) -> None:
        """Forget which cases the last candidate failed: later stages depend on it. What the cases are, and how the
        pair's own kernels do on them, stays known."""
        self.reference_failures = {}

    def fails(
        self, kernel: CheckKernel, case: CheckCase, options: LaunchOptions = USUAL, *, fault: bool = False
    ) -> bool:
        """Whether a launch of a kernel of the pair is wrong; `fault` as in `beyond_contract`."""
        try:
            result = launch(kernel, self.pair, case, options)
        except EmulatorCrash:  # says nothing about the case: a candidate must not be excused by it
            raise
        except KernelError as error:
            self.has_endless |= isinstance(error, FuelExhausted)
            return True
        return not fault and is_wrong(result, case)

    def never_ends(self, case: CheckCase) -> bool:
        """Whether a kernel of the pair loops for long in this case, which then does not count. Asked only once one of
        them has used up its loop iterations, which takes seconds: it does so in other cases too, such as with more keys
        than a hash table has slots."""
        if not self.has_endless:
            return False
        if case not in self._endless:
            kernels = self.pair_kernels.right.items()
            self._endless[case] = next((variant for variant, kernel in kernels if self.loops(kernel, case)), None)
        if self._endless[case]:
            self.reference_failures[case, False] = self._endless[case]
        return self._endless[case] is not None

    def loops(self, kernel: CheckKernel, case: CheckCase) -> bool:
        """Whether a launch of a kernel of the pair takes more than a few loop iterations."""
        try:
            launch(kernel, self.pair, case, FEW_ROUNDS)
        except FuelExhausted:
            return True
        except KernelError:
            return False
        return False

    @cached_property
    def handles_nan(self) -> bool:
        """Whether the pair's own kernels are right on NaN at each size at which it is tried. If not, those that are
        right at some size are so by chance."""
        first = [case for series in self.special if series.name == NAN for case in itertools.islice(series, 1)]
        return all(self.beyond_contract(case) is None for case in first)

    @cached_property
    def is_linear(self) -> bool:
        """Whether the reference is linear in each floating-point input. Whole numbers may be codes of numbers; for the
        same codes the reference is linear all the same."""
        floats = {arg.name for arg in self.pair.args if isinstance(arg, In | InOut) and is_float(arg.dtype)}
        return floats.isdisjoint(self.nonlinear)

    def may_overflow(self, case: CheckCase) -> bool:
        """Whether special data are so great that a right kernel may give anything. If the reference is linear, each
        element is judged on its own."""
        return not self.is_linear and may_overflow(self.pair, case)

    def is_explained(self, result: LaunchResult, case: CheckCase, stage: str) -> bool:
        """Whether what is wrong is right in another order of additions or factors. Only data of the stage `values`, and
        the other scalars of `repeats`, are so special that the pair's tolerance may say nothing about it."""
        if stage not in SPECIAL:
            return False
        explanations = [underflowed, of_infinite_scalar(self.pair, case)]
        if self.is_linear:
            explanations.append(rounding(self.pair, case, self.seed))
        elif stage == "values":
            explanations.append(sensitive(self.pair, case, self.seed))
        return is_explained(case, result.outputs, explanations)

    def unwritten(self, result: LaunchResult, case: CheckCase, poison: int) -> str | None:
        """The output whose wrong elements all still have their value from before the launch; None if there is none."""
        for name, expected in case.expected.outputs.items():
            at = case.expected.samples.get(name)
            actual = result.outputs[name] if at is None else result.outputs[name].reshape(-1)[at]
            with np.errstate(all="ignore"):
                wrong = ~agrees(actual, expected, case.expected.bounds[name])
            stale = (np.ascontiguousarray(actual[wrong]).view(np.uint8) == poison).all()
            if wrong.any() and stale and name not in self.initialised:
                return name
        return None

    @cached_property
    def initialised(self) -> frozenset[str]:
        """Outputs that are not filled with poison before a launch."""
        return frozenset(self.pair.outputs) - {arg.name for arg in self.pair.args if isinstance(arg, Out)}
