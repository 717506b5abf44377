"""Makes the test cases for candidates of one pair: data at a size, and the expected results."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ptxbench.check.element_ranges import range_of_element
from ptxbench.check.launching import CheckCase
from ptxbench.check.own_errors import is_own
from ptxbench.check.peak_positions import peak_positions
from ptxbench.check.row_fills import with_peaks
from ptxbench.check.unused import UNUSED_NAN, with_unused_nan
from ptxbench.check.values import GREAT, edged, mixed
from ptxbench.discovery import LoadedPair
from ptxbench.pair import Pair, Scalar, Size, declared
from ptxbench.runner.case_data import prepare_case
from ptxbench.runner.plan import PairPlan
from ptxbench.units import size_words
from ptxbench.verify import Expected, agrees, expect, number

Made = TypeVar("Made")
MOST_OF_A_REASON = 200
"""The most characters of an error of the pair's own functions in a note."""


@dataclass(frozen=True)
class Cases:
    """The cases of one pair."""

    loaded: LoadedPair
    refusals: dict[str, str] = field(default_factory=dict, compare=False)
    """Kinds of data on which the pair's own functions failed, and how they did the first time."""

    @property
    def pair(self) -> Pair:
        return self.loaded.pair

    def plain(self, size: Size, seed: int) -> CheckCase:
        """The pair's own data at a size. Raises PairError if the pair's own functions fail."""
        data = prepare_case(PairPlan(self.loaded, (), (size,)), size, seed)
        return CheckCase(data.where, self.pair.launch(**size), data.arguments, data.expected, size=size)

    def whole(self, size: Size, seed: int, *, varied: bool) -> CheckCase:
        """Small whole numbers, on which the pair is exact."""
        with silence():
            arguments = self.pair.make_arguments(size, seed, integers=True, varied=varied)
            # scalars need not be whole numbers: values other than the pair's may give inexact results
            scalars = {
                arg.name: arg.dtype.type(declared(arg, size)) for arg in self.pair.args if isinstance(arg, Scalar)
            }
            arguments = {**arguments, **scalars}
            expected = expect(self.pair, arguments, integers=True)
        label = f"{size_words(size)} (whole numbers)"
        return CheckCase(label, self.pair.launch(**size), arguments, expected, size=size)

    def mixed(self, size: Size, seed: int, *, varied: bool) -> CheckCase:
        """The pair's data mixed with values that any pair accepts; `varied`: other scalars and starts too."""
        arguments = mixed(self.pair, self.pair.make_arguments(size, seed, varied=varied), seed)
        return self.with_arguments(size, arguments)

    def at(self, sizes: Iterator[Size], seed: int, *, varied: bool) -> Iterator[CheckCase]:
        """For each size mixed data, then the pair's own; sizes at which the pair's functions fail are skipped."""
        for size in sizes:
            for make in (
                lambda size=size: self.mixed(size, seed, varied=varied),
                lambda size=size: self.plain(size, seed),
            ):
                if (case := attempt(make)) is not None:
                    yield case

    def edged(
        self, size: Size, kind: str, seed: int, *, varied: bool, only: Collection[str] = ()
    ) -> Iterator[CheckCase]:
        """Data of a kind in all inputs, or in the inputs `only`. Each next case is milder; cases that the pair refuses
        are skipped, and those that show nothing if a milder one shows more."""
        words = f", with {kind}" + (f" in {', '.join(map(repr, only))}" if only else "")
        forms = edged(self.pair, size, kind, seed, varied=varied, only=only or None)
        made = (
            attempt(partial(self.with_arguments, size, arguments, words), partial(self.refuse, kind))
            for arguments in forms
        )
        yield from telling(case for case in made if case is not None)

    def refuse(self, kind: str, error: Exception) -> None:
        """Remember that the pair's own functions failed on data of a kind."""
        words = " ".join(f"{type(error).__name__}: {error}".split())
        self.refusals.setdefault(kind, words[:MOST_OF_A_REASON])

    def filled(
        self, size: Size, values: Mapping[str, float], seed: int, kind: str | None = None
    ) -> Iterator[CheckCase]:
        """The pair's data, or data of a kind, with these values of scalars and in all elements of arrays."""
        ordinary = self.pair.make_arguments(size, seed)
        forms = [ordinary] if kind is None else edged(self.pair, size, kind, seed, varied=False)
        words = f", with {kind}" if kind else ""
        words += "".join(f", '{name}' {value:g} throughout" for name, value in values.items() if ordinary[name].ndim)
        for arguments in forms:
            changed = {name: np.full_like(ordinary[name], value)[()] for name, value in values.items()}
            if (case := attempt(partial(self.with_arguments, size, {**arguments, **changed}, words))) is not None:
                yield case

    def with_peaks(self, size: Size, name: str, count: int, seed: int) -> Iterator[CheckCase]:
        """Cases whose input `name` has one element far above all others, at another position in each."""
        limits = next(limits for arg in self.pair.args if arg.name == name and (limits := range_of_element(arg)))
        ordinary = self.pair.make_arguments(size, seed)
        rng, length = np.random.default_rng(seed), ordinary[name].size
        drawn = (rng.permutation(peak_positions(rng, count, length)).tolist() for _ in range(2))
        for high, low in zip(*drawn, strict=True):
            words = f", with {GREAT}, {high} of '{name}'"
            arguments = {**ordinary, name: with_peaks(ordinary[name], limits, high, low)}
            if (case := attempt(partial(self.with_arguments, size, arguments, words))) is not None:
                yield case

    def unused(self, size: Size, seed: int) -> Iterator[CheckCase]:
        """The pair's data with NaN in elements on which no result depends, if some are found. Results and bounds are
        those without NaN."""
        case = attempt(lambda: self.with_arguments(size, self.pair.make_arguments(size, seed), f", with {UNUSED_NAN}"))
        changed = case and attempt(lambda: with_unused_nan(self.pair, case.arguments))
        if case and changed:
            yield replace(case, arguments=changed)

    def with_arguments(
        self, size: Size, arguments: Mapping[str, Any], words: str = "", aliases: Mapping[str, str] | None = None
    ) -> CheckCase:
        """These arguments at a size; `words` follow the size in messages."""
        with silence():
            expected = expect(self.pair, arguments)
        label = f"{size_words(size)}{self.scalars(size, arguments)}{words}"
        return CheckCase(label, self.pair.launch(**size), arguments, expected, aliases or {}, size=size)

    def scalars(self, size: Size, arguments: Mapping[str, Any]) -> str:
        """The scalars that differ from the pair's own, in words."""
        changed = [
            f"{arg.name}={number(arguments[arg.name], arg.dtype)}"
            for arg in self.pair.args
            if isinstance(arg, Scalar)
            and arguments[arg.name].tobytes() != arg.dtype.type(declared(arg, size)).tobytes()  # -0 is not 0
        ]
        return f" {' '.join(changed)}" if changed else ""


def telling(cases: Iterable[CheckCase]) -> Iterator[CheckCase]:
    """The cases in which zeros are not within the tolerance of all results; all if there are none. With inputs of a
    great magnitude a tolerance may be so great that it allows everything."""
    others: list[CheckCase] | None = []
    for case in cases:
        if accepts_zeros(case.expected):
            if others is not None:
                others.append(case)
        else:
            others = None
            yield case
    yield from others or ()


def accepts_zeros(expected: Expected) -> bool:
    """Whether each result may be zero."""
    outputs = expected.outputs.items()
    with np.errstate(all="ignore"):
        return all(bool(agrees(np.zeros_like(values), values, expected.bounds[name]).all()) for name, values in outputs)


def attempt(make: Callable[[], Made], refuse: Callable[[Exception], None] = lambda error: None) -> Made | None:
    """The case, or its data; None if the pair's own functions fail, because the pair never promised to accept it.

    `refuse` is called with their error. An error of ptxbench is raised.
    """
    try:
        with silence():
            return make()
    except Exception as error:  # of any kind: a pair file is Python
        if is_own(error):
            raise
        refuse(error)
    return None


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Hides what a reference prints, and its warnings on special data."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
