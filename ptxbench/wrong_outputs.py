"""Wrong results that a pair's reference and tolerance must reject, made from the right ones. Knows no kernels.

Each represents a wrong kernel: one that writes zeros, everywhere or in part; one that is wrong in few elements; one
whose tiles do not pass on their results; one that does not read all of its input. Only the verified elements are
made, a piece at a time, up to the first rejected piece, so that it is cheap even with 2**28 elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

import numpy as np

from ptxbench.arrays import WARP, Array, is_float, spacing
from ptxbench.pair import In, Pair, Size
from ptxbench.verify import Expected, agrees, reference_of, row_parts, rows_of

ONE_IN = 1000
"""One element in this many is changed, and at least one."""

TOLERANCES = 10
"""The change of an element, in tolerances."""

NEAR = 1024
"""Tiles fail to pass on the greatest of this many elements, because a single one may be near zero."""

PIECE = 1 << 16
"""Elements that are judged at a time."""


class WrongOutputResult(Enum):
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    SAME = "same"
    """The result is right: the data of this size do not show such a mistake."""
    NONE = "none"
    """There is no result: the reference raises on the changed input, or takes another sample."""


@dataclass(frozen=True)
class WrongOutput:
    """A wrong result in words, and a function that judges it.

    `must_show`: whether it is also a weakness if no size's data show such a mistake.
    """

    what: str
    judge: Callable[[], WrongOutputResult]
    must_show: bool = False


@dataclass(frozen=True)
class WrongOutputCase:
    """One size of a pair: the arguments and the expected outputs."""

    pair: Pair
    size: Size
    arguments: Mapping[str, Any]
    expected: Expected
    seed: int

    def wrong_outputs(self) -> Iterator[WrongOutput]:
        """The wrong outputs at this size."""
        yield from self.wrong_writes()
        for arg in self.pair.args:
            if isinstance(arg, In) and (size := self.arguments[arg.name].size) >= 10:
                tenth, middle = size // 10, size // 2
                end = partial(self.without, arg.name, size - tenth, size)
                inside = partial(self.without, arg.name, middle, middle + tenth)
                yield WrongOutput(f"the last tenth of '{arg.name}' read as zero", end, must_show=True)
                yield WrongOutput(f"a tenth in the middle of '{arg.name}' read as zero", inside)

    def wrong_writes(self) -> Iterator[WrongOutput]:
        """Those that do not come from a wrong input."""
        for name in self.expected.outputs:
            yield from VerifiedElements.of(self, name).wrong_outputs(self.share_of_a_warp(name), self.seed)

    def share_of_a_warp(self, name: str) -> int:
        """The average number of elements of an output that a warp writes; at least its number of lanes."""
        return max(WARP, -(-int(self.arguments[name].size) // self.pair.launch(**self.size).warps))

    def without(self, name: str, start: int, stop: int) -> WrongOutputResult:
        """The outcome of the reference's own result if input `name` is zero from `start` to `stop`.

        For a pair `by_rows` only the parts that can differ are computed.
        """
        array, by_rows = self.arguments[name], name in self.pair.by_rows
        parts = []
        for rows in row_parts(self.pair, self.arguments, PIECE):
            first, last, _ = rows.indices(len(array)) if by_rows else (0, len(array), 1)
            row = array.size // len(array)
            if start < last * row and stop > first * row:
                parts.append((rows, max(start - first * row, 0), stop - first * row))
        return combined(self.recomputed(name, *part) for part in parts)

    def recomputed(self, name: str, rows: slice, start: int, stop: int) -> WrongOutputResult:
        """The outcome of `without` for some rows; `start` and `stop` count elements within them.

        The input is changed in place and restored: a copy of 4 GiB would take longer than the rest.
        """
        arguments = self.arguments if rows == slice(None) else rows_of(self.pair, self.arguments, rows)
        array = arguments[name]
        expected_arrays = [
            *self.expected.outputs.values(),
            *self.expected.bounds.values(),
        ]  # a reference may return its input
        if not array.flags.writeable or any(np.may_share_memory(array, other) for other in expected_arrays):
            array = array.copy()
        cut = array.reshape(-1)[start:stop]
        original = cut.copy()
        cut[:] = 0
        try:
            return self.outcome_with({**arguments, name: array}, rows)
        finally:
            cut[:] = original

    def outcome_with(self, arguments: Mapping[str, Any], rows: slice) -> WrongOutputResult:
        """The outcome of the reference with these arguments instead of the original ones."""
        try:
            with np.errstate(all="ignore"):
                outputs, samples = reference_of(self.pair, arguments)
            same_samples = all(np.array_equal(samples.get(out, ()), at) for out, at in self.expected.samples.items())
        except Exception:  # the pair's own code
            same_samples = False
        if not same_samples:
            return WrongOutputResult.NONE
        return combined(VerifiedElements.of(self, out, rows).instead(values) for out, values in outputs.items())


Change = Callable[[Array, Array, slice | Array], Array]
"""Makes wrong elements from the right ones and their bounds; the last argument is their position among those
verified."""


@dataclass(frozen=True)
class VerifiedElements:
    """The verified elements of one output, flat.

    `before`: the whole output before a launch; `at`: which of its elements these are, None for all in order.
    """

    name: str
    before: Array
    expected: Array
    bounds: Array
    at: Array | None

    @classmethod
    def of(cls, case: WrongOutputCase, name: str, rows: slice = slice(None)) -> VerifiedElements:
        expected, bounds = case.expected.outputs[name], case.expected.bounds[name]
        if rows != slice(None):
            expected, bounds = expected[rows], bounds[rows]
        return cls(name, case.arguments[name], expected, bounds, case.expected.samples.get(name))

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.before.dtype

    @property
    def size(self) -> int:
        """Elements of the whole output."""
        return self.before.size

    def wrong_outputs(self, share: int, seed: int) -> Iterator[WrongOutput]:
        """The wrong_outputs of this output; `share`: elements that a warp writes."""
        name, size = self.name, self.size
        yield WrongOutput(f"'{name}' all zero", partial(self.zero, 0, size), must_show=True)
        if size >= 10:
            tail = size - size // 10, size
            yield WrongOutput(f"the last tenth of '{name}' zero", partial(self.zero, *tail))
            yield WrongOutput(f"the last tenth of '{name}' never written", partial(self.unwritten, *tail))
        if size >= 2 * share:
            start = size // 2 // share * share
            yield WrongOutput(f"'{name}' zero where one warp writes", partial(self.zero, start, start + share))
        if size >= 2:
            what = f"'{name}' from its middle on too small by an earlier element"
            yield WrongOutput(what, self.without_previous_sums)
        few = f"one element in {ONE_IN} of '{name}' off by {TOLERANCES} tolerances"
        yield WrongOutput(few, partial(self.few_changed, seed))

    def zero(self, start: int, stop: int) -> WrongOutputResult:
        return self.judged(self.between(start, stop), lambda right, bounds, position: np.zeros_like(right))

    def unwritten(self, start: int, stop: int) -> WrongOutputResult:
        """As if an output kept its old value."""
        return self.judged(
            self.between(start, stop),
            lambda right, bounds, position: elements_of(
                self.before, position if self.at is None else self.at[position]
            ),
        )

    def few_changed(self, seed: int) -> WrongOutputResult:
        """Elements drawn from the whole output; with a Sample, only few of them may be verified."""
        few = np.unique(np.random.default_rng(seed).integers(self.size, size=-(-self.size // ONE_IN)))
        positions = few if self.at is None else np.flatnonzero(np.isin(self.at, few))
        return self.judged(positions, lambda right, bounds, position: shifted(right, TOLERANCES * bounds))

    def without_previous_sums(self) -> WrongOutputResult:
        """As if a tile did not add the sums of those before it."""
        middle = self.size // 2
        before = rounded(elements_of(self.expected, self.between(0, middle)[-NEAR:]), self.dtype)
        if not before.size:
            return WrongOutputResult.SAME
        lacking = before[np.argmax(np.abs(before.astype(np.float64)))]
        return self.judged(self.between(middle, self.size), lambda right, bounds, position: minus(right, lacking))

    def between(self, start: int, stop: int) -> range | Array:
        """The positions of the elements from `start` to `stop` of the whole output among those verified."""
        return range(start, stop) if self.at is None else np.flatnonzero((self.at >= start) & (self.at < stop))

    def judged(self, positions: range | Array, change: Change) -> WrongOutputResult:
        """The outcome of changed elements at these positions, with all others right."""
        if not len(positions):
            return WrongOutputResult.ACCEPTED  # the changed elements are not verified
        return combined(
            self.verdict(
                piece,
                change(rounded(elements_of(self.expected, piece), self.dtype), elements_of(self.bounds, piece), piece),
            )
            for piece in split(positions)
        )

    def instead(self, values: Array) -> WrongOutputResult:
        """The outcome of `values` instead of all verified elements, the last first, because the first may be as
        expected."""
        pieces = list(split(range(self.expected.size)))
        return combined(
            self.verdict(piece, rounded(elements_of(values, piece), self.dtype)) for piece in reversed(pieces)
        )

    def verdict(self, piece: slice | Array, changed: Array) -> WrongOutputResult:
        expected = elements_of(self.expected, piece)
        if not differs(changed, rounded(expected, self.dtype)):
            return WrongOutputResult.SAME
        return (
            WrongOutputResult.ACCEPTED
            if agrees(changed, expected, elements_of(self.bounds, piece)).all()
            else WrongOutputResult.REJECTED
        )


def combined(outcomes: Iterable[WrongOutputResult]) -> WrongOutputResult:
    """One rejected part is enough."""
    total = WrongOutputResult.SAME
    for outcome in outcomes:
        if outcome in (WrongOutputResult.REJECTED, WrongOutputResult.NONE):
            return outcome
        if outcome is WrongOutputResult.ACCEPTED:
            total = outcome
    return total


def split(positions: range | Array) -> Iterator[slice | Array]:
    """The positions, at most PIECE at a time; those of a range as slices."""
    for start in range(0, len(positions), PIECE):
        piece = positions[start : start + PIECE]
        yield slice(piece.start, piece.stop) if isinstance(piece, range) else piece


def elements_of(array: Array, positions: slice | range | Array) -> Array:
    """Elements of the flat array, without copying all of an array that is not contiguous, such as a transposed one."""
    if isinstance(positions, range):
        positions = slice(positions.start, positions.stop)
    contiguous = array.flags.c_contiguous or not any(array.strides)
    elements: Array = array.reshape(-1)[positions] if contiguous else array.flat[positions]
    return elements


def differs(values: Array, others: Array) -> bool:
    same = values == others
    if is_float(values.dtype):
        same |= np.isnan(values) & np.isnan(others)
    return not same.all()


def rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        result: Array = values.astype(dtype)
    return result


def minus(values: Array, by: Any) -> Array:
    """`values` minus a number of their type; integers wrap."""
    with np.errstate(over="ignore", invalid="ignore"):
        result: Array = values - by
    return result


def shifted(values: Array, by: Array) -> Array:
    """`values` moved by `by`, or by one step of their type if that is more, away from the ends of its range."""
    if not is_float(values.dtype):
        middle = np.iinfo(values.dtype).max // 2
        steps = np.maximum(np.minimum(np.ceil(by), middle), 1).astype(values.dtype)
        other: Array = np.where(values > middle, values - steps, values + steps)
        return other
    with np.errstate(over="ignore", invalid="ignore"):
        exact = values.astype(np.float64)
        steps = np.maximum(by, spacing(values))
        moved: Array = (exact + np.where(exact > 0, -steps, steps)).astype(values.dtype)
    return moved
