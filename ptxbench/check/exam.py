"""The questions that candidates of one pair are asked, and how the pair's own kernels answer them.

The data come from a seed that no candidate can know. A question that one of the pair's own kernels fails counts for
nothing: it is beyond what the pair promises, or beyond what its tolerance allows for.
"""

from __future__ import annotations

import contextlib
import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from functools import cached_property
from typing import Any

import numpy as np

from ptxbench import toolchain
from ptxbench.check.launching import Case, How, Kernel, Left, launch
from ptxbench.check.lint import lint
from ptxbench.check.sizes import hidden_sizes
from ptxbench.check.values import edged, shared
from ptxbench.discovery import Found
from ptxbench.emulator.launch import parsed
from ptxbench.emulator.parse import choose
from ptxbench.errors import KernelError, ToolMissing
from ptxbench.pair import Pair, Size
from ptxbench.result import BuildReport
from ptxbench.runner.candidate import with_occupancy
from ptxbench.runner.given import prepare
from ptxbench.runner.plan import Job
from ptxbench.toolchain import Build
from ptxbench.units import size_words
from ptxbench.verify import agrees, expect, verify

HIDDEN = 3
"""How many hidden sizes must count."""

HIDDEN_TRIES = 12
"""How many are tried for that."""


USUAL = How()


class Exam:
    """The questions for one pair, architecture and seed. What is found out once is kept for the next candidate."""

    def __init__(self, found: Found, arch: str, seed: int) -> None:
        self.found = found
        self.pair: Pair = found.pair
        self.entry = found.name.replace(".", "_")
        self.arch = arch
        self.seed = seed
        self.excused: dict[tuple[int, bool], str | None] = {}

    def drawn(self, purpose: str) -> random.Random:
        """Random numbers for one purpose, the same for every candidate."""
        return random.Random(f"{self.seed} {purpose}")

    # ---- questions

    @cached_property
    def by_cost(self) -> tuple[Size, ...]:
        """The check sizes, the cheapest first: what is wrong is mostly wrong there already."""
        return tuple(sorted(self.pair.check_sizes, key=self.pair.compulsory_bytes))

    @cached_property
    def check(self) -> tuple[Case, ...]:
        """Every check size, with random data, and with whole numbers where the pair is exact on them."""
        drawn = self.drawn("check")
        kinds = (False, True) if self.pair.exact_on_integers else (False,)
        return tuple(
            self.case(size, drawn.getrandbits(32), integers=integers) for size in self.by_cost for integers in kinds
        )

    @cached_property
    def hidden(self) -> tuple[Case, ...]:
        """Sizes that the pair does not name; some may be beyond it."""
        drawn = self.drawn("hidden")
        found: list[Case] = []
        for size in hidden_sizes(self.pair, drawn):
            with contextlib.suppress(Exception):  # the pair's own functions, at a size that it never promised
                found.append(self.quietly(size, drawn.getrandbits(32)))
            if len(found) == HIDDEN_TRIES:
                break
        return tuple(found)

    @cached_property
    def special(self) -> tuple[Case, ...]:
        """Data at the edges of the types, and inputs that share memory, at small sizes."""
        drawn = self.drawn("values")
        half = self.by_cost[: len(self.by_cost) // 2 + 1]
        found = []
        for size in (half[-1], *drawn.sample(half[:-1], min(1, len(half) - 1))):
            for kind, arguments in edged(self.pair, size, drawn.getrandbits(32)):
                with contextlib.suppress(Exception):  # a reference need not take what the pair never promised
                    found.append(self.given(size, arguments, f", with {kind}"))
        for size in reversed(self.by_cost):
            if (one := shared(self.pair, size, drawn.getrandbits(32))) is not None:
                names = ", ".join(f"'{second}' being '{first}'" for second, first in one[1].items())
                found.append(self.given(size, one[0], f", with {names}", one[1]))
                break
        return tuple(found)

    @cached_property
    def repeated(self) -> tuple[Case, Case, Case]:
        """The largest check size twice, with unlike data, and the smallest."""
        drawn = self.drawn("repeats")
        sizes = (self.by_cost[-1], self.by_cost[-1], self.by_cost[0])
        first, second, third = (self.case(size, drawn.getrandbits(32)) for size in sizes)
        return first, second, third

    def case(self, size: Size, seed: int, *, integers: bool = False) -> Case:
        """Data at a size. Raises PairError where the pair's own functions fail."""
        given = prepare(Job(self.found, (), (size,)), size, seed, integers=integers)
        return Case(given.where, self.pair.launch(**size), given.arguments, given.expected)

    def quietly(self, size: Size, seed: int) -> Case:
        """`case`, whatever the pair's functions print or warn of."""
        with silence():
            return self.case(size, seed)

    def given(
        self, size: Size, arguments: Mapping[str, Any], told: str, aliases: Mapping[str, str] | None = None
    ) -> Case:
        with silence():
            expected = expect(self.pair, arguments)
        return Case(size_words(size) + told, self.pair.launch(**size), arguments, expected, aliases or {})

    # ---- the pair's own kernels

    @cached_property
    def kernels(self) -> Mapping[str, Kernel]:
        """Those of the pair's variants that can be executed here, by variant."""
        found = {}
        for source in self.found.sources:
            with contextlib.suppress(KernelError, ToolMissing):
                ptx = toolchain.build_source(source, self.arch, "driver").ptx
                choose(parsed(ptx), source.entry)
                found[source.variant] = Kernel(ptx, source.entry, self.arch)
        return found

    @cached_property
    def examiners(self) -> Mapping[str, Kernel]:
        """Those of `kernels` that are right at the cheapest and at the largest check size.

        One that is not is broken, or has instructions that this architecture lacks.
        """
        ends = self.check[:1] + self.check[-1:]
        return {
            variant: kernel
            for variant, kernel in self.kernels.items()
            if not any(self.fails(kernel, case) for case in ends)
        }

    @cached_property
    def habits(self) -> frozenset[str]:
        """What the stage `lint` says of the pair's own kernels, by code."""
        return frozenset(
            complaint.code
            for kernel in self.kernels.values()
            for complaint in lint(parsed(kernel.ptx), kernel.entry, self.pair.args)
        )

    @cached_property
    def first_launches(self) -> tuple[Left, ...]:
        """What the pair's own kernels leave at the cheapest check size, those that end well."""
        found = []
        for kernel in self.kernels.values():
            with contextlib.suppress(KernelError):
                found.append(launch(kernel, self.pair, self.check[0], USUAL))
        return tuple(found)

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
        for source in self.found.sources:
            with contextlib.suppress(KernelError, ToolMissing):
                found[source.variant] = toolchain.build_source(source, self.arch)
        return found

    def report(self, build: Build) -> BuildReport:
        """What the tools say of a build, with the occupancy at the pair's first bench size."""
        return with_occupancy(build, self.pair.launch(**self.pair.bench_sizes[0]))

    @cached_property
    def counts(self) -> Mapping[str, Mapping[str, float]]:
        """What each of the pair's variants counts at the largest check size."""
        found = {}
        for variant, kernel in self.kernels.items():
            with contextlib.suppress(KernelError):
                found[variant] = launch(kernel, self.pair, self.repeated[0], How()).counters
        return found

    def excuse(self, case: Case, *, fault: bool = False) -> str | None:
        """Which of the pair's own variants fails this case too; None if none does. Asked once a case.

        Only `examiners` are asked: what is wrong anyway would excuse everything.

        `fault`: whether only a launch that does not end well counts as a failure.
        """
        key = id(case), fault
        if key not in self.excused:
            failing = (variant for variant, kernel in self.examiners.items() if self.fails(kernel, case, fault=fault))
            self.excused[key] = next(failing, None)
        return self.excused[key]

    def fails(self, kernel: Kernel, case: Case, how: How = USUAL, *, fault: bool = False) -> bool:
        """Whether a launch of a kernel of the pair goes wrong; `fault` as `excuse` has it."""
        try:
            left = launch(kernel, self.pair, case, how)
        except KernelError:
            return True
        return not fault and (left.changed is not None or self.wrong(left, case) is not None)

    def wrong(self, left: Left, case: Case) -> str | None:
        """The worst element of a launch that is outside its tolerance, in words; None where all agree."""
        with np.errstate(all="ignore"):
            return verify(left.outputs, case.expected, case.label).worst

    def unwritten(self, left: Left, case: Case, poison: int) -> str | None:
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


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What a reference prints is no result, and what it warns of on odd data is no news."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
