"""The questions that candidates of one pair are asked, and how the pair's own kernels answer them.

The data come from a seed that no candidate can know. A question that one of the pair's own kernels fails counts for
nothing: it is beyond what the pair promises, or beyond what its tolerance allows for.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import ml_dtypes
import numpy as np

from ptxbench import toolchain
from ptxbench.arrays import is_float
from ptxbench.backends.emulator import no_tensor_maps, unsupported
from ptxbench.check.cases import Cases
from ptxbench.check.launching import CheckCase, CheckKernel, LaunchOptions, LaunchResult, launch
from ptxbench.check.lint import lint
from ptxbench.check.machine_code import derived
from ptxbench.check.questions import Question
from ptxbench.check.sizes import MODERATE, any_size, hidden_sizes, kinds
from ptxbench.check.space import SizeSpace
from ptxbench.check.values import data_kinds, inputs_of, shared
from ptxbench.discovery import LoadedPair
from ptxbench.emulator.parse import choose, parsed
from ptxbench.errors import KernelError, ToolMissing, UsageError
from ptxbench.executed import Executed
from ptxbench.pair import Pair, Size
from ptxbench.result import BuildReport
from ptxbench.runner.candidate import with_occupancy
from ptxbench.runner.plan import is_too_large
from ptxbench.tensor_map import TensorMap
from ptxbench.toolchain import Build
from ptxbench.verify import agrees, verify

SIZES_OF_A_KIND = 3
"""Sizes of a kind that are tried, where the first are beyond the pair."""

WHOLE_NUMBERS = "whole numbers"

EVEN = "even grid"

AT_THE_LARGEST = ("one value throughout", "zeros but for short runs")
"""Kinds of data that are tried at the largest check size too."""

SANITIZED = frozenset({EVEN, "any", "powers of two", "largest"})
"""The kinds of hidden sizes that are launched under the sanitizer too."""

ABOUT_DRAWS = 20
"""Sizes that are drawn to find one of about the cost of another."""

USUAL = LaunchOptions()


def greatest(dtype: Any) -> float:
    """The greatest finite number of a floating-point type."""
    return float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]


class CheckSuite:
    """The questions for one pair, architecture and seed. What is found out once is kept for the next candidate."""

    def __init__(self, found: LoadedPair, arch: str, seed: int) -> None:
        """Raises UsageError for a pair whose launches the emulator does not execute."""
        for size in found.pair.check_sizes:
            if lacks := unsupported(found.pair.launch(**size)):
                raise UsageError(f"'{found.name}' cannot be checked: {lacks}")
        if mapped := next((arg.name for arg in found.pair.args if isinstance(arg, TensorMap)), None):
            raise UsageError(f"'{found.name}' cannot be checked: {no_tensor_maps(mapped)}")
        self.found = found
        self.pair: Pair = found.pair
        self.entry = found.name.replace(".", "_")
        self.arch = arch
        self.seed = seed
        self.cases = Cases(found)
        self.excused: dict[tuple[int, bool], str | None] = {}
        self._left: dict[tuple[str, int], LaunchResult | None] = {}
        self._repeated: dict[tuple[int, ...], tuple[CheckCase, CheckCase, CheckCase]] = {}

    def drawn(self, purpose: str) -> random.Random:
        """Random numbers for one purpose, the same for every candidate."""
        return random.Random(f"{self.seed} {purpose}")

    # ---- questions

    @cached_property
    def by_cost(self) -> tuple[Size, ...]:
        """The check sizes, the cheapest first: what is wrong is mostly wrong there already."""
        return tuple(sorted(self.pair.check_sizes, key=self.pair.compulsory_bytes))

    @cached_property
    def check(self) -> tuple[CheckCase, ...]:
        """Every check size as the pair has it: its scalars, its starts, its random data."""
        drawn = self.drawn("check")
        return tuple(self.cases.plain(size, drawn.getrandbits(32)) for size in self.by_cost)

    @cached_property
    def results(self) -> tuple[Question, ...]:
        """Every check size, and on whole numbers too where the pair is exact on them.

        At every other size scalars and starts are drawn: what is right with the pair's alone is found out, and so is
        what is wrong with them.
        """
        drawn = self.drawn("results")
        turn = drawn.getrandbits(1)
        found = []
        for number, size in enumerate(self.by_cost):
            varied, seed = (number + turn) % 2 == 1, drawn.getrandbits(32)
            found.append(Question("check size", self.cases.at(iter([size]), seed, varied=varied)))
            if self.pair.exact_on_integers:
                whole = self.cases.whole(size, drawn.getrandbits(32), varied=not varied)
                found.append(Question(WHOLE_NUMBERS, iter([whole])))
        return tuple(found)

    @cached_property
    def hidden(self) -> tuple[Question, ...]:
        """Sizes that the pair does not name, of each kind; some may be beyond it."""
        drawn = self.drawn("hidden")
        turn = drawn.getrandbits(1)
        found = []
        for number, (kind, draw) in enumerate(kinds(self.pair, drawn).items()):
            own = self.drawn(f"hidden {kind}")
            sizes = itertools.islice(hidden_sizes(self.pair, draw, own), SIZES_OF_A_KIND)
            varied = (number + turn) % 2 == 1 and "=" not in kind  # a bench size's value: with the scalars as timed
            found.append(Question(kind, self.cases.at(sizes, own.getrandbits(32), varied=varied)))
        return tuple(found)

    @cached_property
    def bench(self) -> tuple[Question, ...]:
        """The first bench size that the emulator takes in about a minute; none where it takes none."""
        sizes = [size for size in self.pair.bench_sizes if not is_too_large(self.pair, size)][:1]
        seed = self.drawn("bench").getrandbits(32)
        return tuple(Question("bench size", self.cases.at(iter([size]), seed, varied=False)) for size in sizes)

    @cached_property
    def special(self) -> tuple[Question, ...]:
        """Data of kinds that random numbers never show, and inputs that share memory."""
        drawn = self.drawn("values")
        half = self.by_cost[: len(self.by_cost) // 2 + 1]
        found = []
        for varied, size in ((True, half[-1]), (False, self.about(half[-1], drawn))):
            for kind in data_kinds(self.pair):
                found.append(Question(kind, self.cases.edged(size, kind, drawn.getrandbits(32), varied=varied)))
        zero = "zero throughout"  # of two factors that are zero neither shows what the kernel makes of the other
        alone = inputs_of(self.pair, zero)
        for name in alone if len(alone) > 1 else ():
            cases = self.cases.edged(half[-1], zero, drawn.getrandbits(32), varied=True, only=name)
            found.append(Question(zero, cases))
        for kind in data_kinds(self.pair):  # what only a large size comes to, such as the second half of a round
            if kind in AT_THE_LARGEST:
                cases = self.cases.edged(self.by_cost[-1], kind, drawn.getrandbits(32), varied=True)
                found.append(Question(kind, cases))
        for size in reversed(self.by_cost):
            if (one := shared(self.pair, size, drawn.getrandbits(32))) is not None:
                names = ", ".join(f"'{second}' being '{first}'" for second, first in one[1].items())
                found.append(
                    Question("shared inputs", iter([self.cases.given(size, one[0], f", with {names}", one[1])]))
                )
                break
        return tuple(found)

    def about(self, size: Size, drawn: random.Random) -> Size:
        """A size that costs about as much as `size`, from a fifth to half as much again; itself if none is found."""
        space = SizeSpace.of(self.pair, cheap=MODERATE)
        for _ in range(ABOUT_DRAWS):
            other = any_size(space, drawn)
            if other and 0.2 <= space.share(other) / space.share(size) <= 1.5 and space.takes(other):
                return other
        return size

    @property
    def sanitized(self) -> tuple[CheckCase, ...]:
        """What is launched under the sanitizer: the check sizes but the largest, and some hidden sizes, one near the
        greatest cost among them. Those of the cases that counted, where that is known."""
        names = SANITIZED & {question.name for question in self.hidden}
        own = [question for question in self.results if question.name != WHOLE_NUMBERS]
        asked = [*(own[:-1] if names else own), *(each for each in self.hidden if each.name in names)]
        return tuple(case for question in asked if (case := self.counting(question)) is not None)

    def counting(self, question: Question) -> CheckCase | None:
        """The case of a question that counts, as far as is known; None where all are beyond the pair."""
        return next((case for case in question if not self.excused.get((id(case), False))), None)

    @property
    def repeated(self) -> tuple[CheckCase, CheckCase, CheckCase]:
        """A size that the pair does not name, with several CTAs, and the same with other data; and the smallest."""
        several = next((each for each in self.hidden if each.name == EVEN), None)
        case = self.counting(several) if several else None
        size = self.by_cost[-1] if case is None else case.size
        key = tuple(size.values())
        if key not in self._repeated:
            drawn = self.drawn("repeats")
            first, second = (self.cases.plain(size, drawn.getrandbits(32)) for _ in range(2))
            self._repeated[key] = first, second, self.cases.plain(self.by_cost[0], drawn.getrandbits(32))
        return self._repeated[key]

    @cached_property
    def largest(self) -> CheckCase:
        """The largest check size, at which is counted."""
        return self.check[-1]

    # ---- the pair's own kernels

    @cached_property
    def kernels(self) -> Mapping[str, CheckKernel]:
        """Those of the pair's variants that can be executed here, by variant."""
        found = {}
        for source in self.found.default_sources:
            with contextlib.suppress(KernelError, ToolMissing):
                ptx = toolchain.build_source(source, self.arch, "driver").ptx
                choose(parsed(ptx), source.entry)
                found[source.variant] = CheckKernel(ptx, source.entry, self.arch)
        return found

    @cached_property
    def reference_kernels(self) -> Mapping[str, CheckKernel]:
        """Those of `kernels` that are right at the cheapest and at the largest check size.

        One that is not is broken, or has instructions that this architecture lacks.
        """
        return {
            variant: kernel
            for variant, kernel in self.kernels.items()
            if not any(self.is_wrong(self.left(variant, case), case) for case in (self.check[0], self.largest))
        }

    def left(self, variant: str, case: CheckCase) -> LaunchResult | None:
        """What a kernel of the pair leaves, launched once a case; None where the launch does not end well."""
        key = variant, id(case)
        if key not in self._left:
            self._left[key] = None
            with contextlib.suppress(KernelError):
                self._left[key] = launch(self.kernels[variant], self.pair, case, USUAL)
        return self._left[key]

    @cached_property
    def habits(self) -> frozenset[str]:
        """What the stage `lint` says of the pair's own kernels, by code."""
        return frozenset(
            complaint.code
            for kernel in self.kernels.values()
            for complaint in lint(parsed(kernel.ptx), kernel.entry, self.pair.args)
        )

    @cached_property
    def first_launches(self) -> tuple[LaunchResult, ...]:
        """What the pair's own kernels leave at the cheapest check size, those that end well."""
        every = (self.left(variant, self.check[0]) for variant in self.kernels)
        return tuple(each for each in every if each is not None)

    @cached_property
    def keeps_state(self) -> bool:
        """Whether a kernel of the pair writes a module variable."""
        return "writable-module-state" in self.habits or any(each.state for each in self.first_launches)

    @cached_property
    def keeps_heap(self) -> bool:
        """Whether a kernel of the pair leaves blocks of the heap allocated."""
        return any(each.unfreed for each in self.first_launches)

    @cached_property
    def builds(self) -> Mapping[str, Build]:
        """Those of the pair's variants that can be assembled here, by variant."""
        found = {}
        for source in self.found.default_sources:
            with contextlib.suppress(KernelError, ToolMissing):
                found[source.variant] = toolchain.build_source(source, self.arch)
        return found

    def report(self, build: Build) -> BuildReport:
        """What the tools say of a build, with the occupancy at the pair's first bench size."""
        return with_occupancy(build, self.pair.launch(**self.pair.bench_sizes[0]))

    @cached_property
    def counts(self) -> Mapping[str, Mapping[str, float]]:
        """What each of the pair's variants counts at the largest check size."""
        every = {variant: self.left(variant, self.largest) for variant in self.kernels}
        return {variant: left.counters for variant, left in every.items() if left is not None}

    @cached_property
    def executed(self) -> Mapping[str, Executed]:
        """The machine instructions that each of the pair's variants executes there."""
        every = {variant: self.left(variant, self.largest) for variant in self.kernels if variant in self.builds}
        return {
            variant: derived(self.builds[variant], left, self.largest.launch)
            for variant, left in every.items()
            if left is not None
        }

    def beyond_contract(self, case: CheckCase, *, fault: bool = False) -> str | None:
        """Which of the pair's own variants fails this case too; None if none does. Asked once a case.

        Only `reference_kernels` are asked: what is wrong anyway would excuse everything.

        `fault`: whether only a launch that does not end well counts as a failure.
        """
        key = id(case), fault
        if key not in self.excused:
            failing = (
                variant for variant, kernel in self.reference_kernels.items() if self.fails(kernel, case, fault=fault)
            )
            self.excused[key] = next(failing, None)
        return self.excused[key]

    def fails(self, kernel: CheckKernel, case: CheckCase, how: LaunchOptions = USUAL, *, fault: bool = False) -> bool:
        """Whether a launch of a kernel of the pair goes wrong; `fault` as `beyond_contract` has it."""
        try:
            left = launch(kernel, self.pair, case, how)
        except KernelError:
            return True
        return not fault and self.is_wrong(left, case)

    def is_wrong(self, left: LaunchResult | None, case: CheckCase) -> bool:
        """Whether a launch of a kernel of the pair did not end well, or left what it should not."""
        return left is None or left.changed is not None or self.wrong(left, case) is not None

    def wrong(self, left: LaunchResult, case: CheckCase) -> str | None:
        """The worst element of a launch that is outside its tolerance, in words; None where all agree."""
        with np.errstate(all="ignore"):
            return verify(left.outputs, case.expected, case.label).worst

    def overflows(self, left: LaunchResult, case: CheckCase) -> bool:
        """Whether all that is wrong is infinite or NaN, and inputs, all finite, add up to more than the type holds.

        Then the order of additions decides between a number, an infinity and NaN, and every order is right.
        """
        inputs = [each for each in case.arguments.values() if isinstance(each, np.ndarray) and is_float(each.dtype)]
        total = sum((np.abs(each.astype(np.float64)).sum() for each in inputs), 0.0)
        if not math.isfinite(total):
            return False
        for name, expected in case.expected.outputs.items():
            at = case.expected.samples.get(name)
            actual = left.outputs[name] if at is None else left.outputs[name].reshape(-1)[at]
            with np.errstate(all="ignore"):
                wrong = actual[~agrees(actual, expected, case.expected.bounds[name])]
            # f16 is out: there ordinary data add up to more than it holds, in any order.
            if wrong.size and (not is_float(wrong.dtype) or wrong.dtype == np.float16):
                return False
            if wrong.size and (total < greatest(wrong.dtype) or np.isfinite(wrong).any()):
                return False
        return True

    def unwritten(self, left: LaunchResult, case: CheckCase, poison: int) -> str | None:
        """The output whose wrong elements all still hold what was there before; None where there is none."""
        for name, expected in case.expected.outputs.items():
            at = case.expected.samples.get(name)
            actual = left.outputs[name] if at is None else left.outputs[name].reshape(-1)[at]
            with np.errstate(all="ignore"):
                wrong = ~agrees(actual, expected, case.expected.bounds[name])
            stale = (np.ascontiguousarray(actual[wrong]).view(np.uint8) == poison).all()
            if wrong.any() and stale and name not in self.initialised:
                return name
        return None

    @cached_property
    def initialised(self) -> frozenset[str]:
        """Outputs that do not start as poison."""
        from ptxbench.pair import Out

        return frozenset(self.pair.outputs) - {arg.name for arg in self.pair.args if isinstance(arg, Out)}
