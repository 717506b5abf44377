"""The pair's own kernels, with which candidates are compared: their builds, and their results at two check sizes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from ptxbench import toolchain
from ptxbench.check.launching import CheckCase, CheckKernel, LaunchOptions, LaunchResult, launch
from ptxbench.check.lint import lint
from ptxbench.check.machine_code import derived
from ptxbench.check.named_numbers import NamedNumbers
from ptxbench.discovery import LoadedPair, Source
from ptxbench.emulator.parse import choose, parsed
from ptxbench.errors import KernelError, ToolMissing
from ptxbench.executed import Executed
from ptxbench.languages import REQUIRED
from ptxbench.mismatch import Common
from ptxbench.portability.survey import target_trials
from ptxbench.result import BuildReport
from ptxbench.runner.candidate import with_occupancy
from ptxbench.toolchain import Build
from ptxbench.toolchain.trial import ASSEMBLES
from ptxbench.verify import Verdict, verify

USUAL = LaunchOptions()


def wrong_element(result: LaunchResult, case: CheckCase) -> str | None:
    """The worst element of a launch outside its tolerance, in words; None if all agree."""
    return verdict_on(result, case).worst


def has_common(result: LaunchResult, case: CheckCase) -> bool:
    """Whether the wrong elements of a launch have a place or a relation in common."""
    return verdict_on(result, case).common not in (None, Common())


def verdict_on(result: LaunchResult, case: CheckCase) -> Verdict:
    with np.errstate(all="ignore"):
        return verify(result.outputs, case.expected, case.label)


def is_wrong(result: LaunchResult | None, case: CheckCase) -> bool:
    """Whether a launch of a kernel of the pair failed, or left a wrong result."""
    return result is None or result.changed is not None or wrong_element(result, case) is not None


class PairKernels:
    """The pair's kernels for `arch`, by variant. `cheapest` and `largest`: cases at two of the check sizes."""

    def __init__(self, loaded: LoadedPair, arch: str, cheapest: CheckCase, largest: CheckCase) -> None:
        self.loaded = loaded
        self.pair = loaded.pair
        self.arch = arch
        self.cheapest = cheapest
        self.largest = largest
        self._results: dict[tuple[str, CheckCase], LaunchResult | None] = {}
        self._assembling: dict[tuple[str, ...], tuple[str, ...]] = {}

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The right variants in the languages of candidates."""
        return tuple(source for source in self.loaded.right_sources if source.language in REQUIRED)

    @cached_property
    def executable(self) -> Mapping[str, CheckKernel]:
        """Those of `sources` that can be executed here, by variant."""
        kernels = {}
        for source in self.sources:
            with contextlib.suppress(KernelError, ToolMissing):
                ptx = toolchain.build_source(source, self.arch, "driver").ptx
                choose(parsed(ptx), source.entry)
                launch_of_variant = self.pair.launch_of(source.variant)
                kernels[source.variant] = CheckKernel(ptx, source.entry, self.arch, launch_of_variant)
        return kernels

    @cached_property
    def right(self) -> Mapping[str, CheckKernel]:
        """The executable kernels that are right at the cheapest and at the largest check size.

        The other ones are broken, or have instructions that this architecture lacks.
        """
        return {
            variant: kernel
            for variant, kernel in self.executable.items()
            if not any(is_wrong(self.result(variant, case), case) for case in (self.cheapest, self.largest))
        }

    def result(self, variant: str, case: CheckCase) -> LaunchResult | None:
        """The result of a kernel of the pair, launched once for each case; None if the launch fails."""
        key = variant, case
        if key not in self._results:
            self._results[key] = None
            with contextlib.suppress(KernelError):
                self._results[key] = launch(self.executable[variant], self.pair, case, USUAL)
        return self._results[key]

    @property
    def cluster(self) -> tuple[int, int, int] | None:
        """CTAs of a cluster of the pair's launches, at the cheapest check size."""
        return self.cheapest.launch.cluster_xyz

    @cached_property
    def one_cta(self) -> bool:
        """Whether each size that the pair names has a grid of one CTA."""
        sizes = (*self.pair.check_sizes, *self.pair.bench_sizes)
        return all(math.prod(self.pair.launch(**size).grid_xyz) == 1 for size in sizes)

    @cached_property
    def lint_codes(self) -> frozenset[str]:
        """The finding codes of the stage `lint` for the pair's own kernels."""
        return frozenset(
            complaint.code
            for kernel in self.executable.values()
            for complaint in lint(
                parsed(kernel.ptx), kernel.entry, self.pair.parameters, self.cluster, members=self.pair.args
            )
        )

    @cached_property
    def first_launches(self) -> tuple[LaunchResult, ...]:
        """The results of the pair's own kernels at the cheapest check size, without failed launches."""
        results = (self.result(variant, self.cheapest) for variant in self.executable)
        return tuple(result for result in results if result is not None)

    @cached_property
    def keeps_state(self) -> bool:
        """Whether a kernel of the pair writes a module variable."""
        return "writable-module-state" in self.lint_codes or any(result.state for result in self.first_launches)

    @cached_property
    def keeps_heap(self) -> bool:
        """Whether a kernel of the pair leaves heap blocks allocated."""
        return any(result.unfreed for result in self.first_launches)

    @cached_property
    def builds(self) -> Mapping[str, Build]:
        """Those of `sources` that can be assembled here, by variant."""
        builds = {}
        for source in self.sources:
            with contextlib.suppress(KernelError, ToolMissing):
                builds[source.variant] = toolchain.build_source(source, self.arch)
        return builds

    def assembling(self, targets: Sequence[str]) -> tuple[str, ...]:
        """Those of the targets for which the pair's own PTX can be assembled."""
        key = tuple(targets)
        if key not in self._assembling:
            source = next(source for source in self.loaded.sources if source.variant == "ptx")
            plain = Source("ptx", source.language, source.path, source.entry)
            trials = target_trials(plain, targets)
            self._assembling[key] = tuple(target for target in targets if trials[target].status == ASSEMBLES)
        return self._assembling[key]

    def report(self, build: Build) -> BuildReport:
        """The report of a build, with the occupancy at the pair's first bench size."""
        return with_occupancy(build, self.pair.launch_of(build.variant)(**self.pair.bench_sizes[0]))

    @cached_property
    def counts(self) -> Mapping[str, Mapping[str, float]]:
        """The counters of each of the pair's variants at the largest check size."""
        results = {variant: self.result(variant, self.largest) for variant in self.executable}
        return {variant: result.counters for variant, result in results.items() if result is not None}

    @cached_property
    def executed(self) -> Mapping[str, Executed]:
        """The machine instructions that each of the pair's variants executes at that size."""
        built = [variant for variant in self.executable if variant in self.builds]
        results = {variant: self.result(variant, self.largest) for variant in built}
        return {
            variant: derived(self.builds[variant], result, self.executable[variant].launch_in(self.largest))
            for variant, result in results.items()
            if result is not None
        }

    @cached_property
    def numbers(self) -> NamedNumbers:
        """The numbers that the kernels name."""
        of_kernels = [NamedNumbers.of(parsed(kernel.ptx)) for kernel in self.executable.values()]
        return NamedNumbers(
            frozenset().union(*(numbers.whole for numbers in of_kernels)),
            frozenset().union(*(numbers.floats for numbers in of_kernels)),
        )
