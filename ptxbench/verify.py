"""Compare a kernel's outputs with the float64 reference, element by element. Knows pairs, but no backend.

Code asserts agreement, not the absence of disagreement: a NaN passes `not error > bound`, but not `error <= bound`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ptxbench.arrays import CHUNK, Array, is_float, wide
from ptxbench.errors import PairError
from ptxbench.mismatch import Common, region_of, relation_of
from ptxbench.pair import EXACT, In, InOut, Out, Pair, Sample, Scalar, Scratch, Tolerance
from ptxbench.tensor_map import TensorMap

DIGITS = {1: 3, 2: 5, 4: 9, 8: 17}
"""Significant digits that distinguish two floats, by their size in bytes."""

MOST_SEARCHED = 1 << 22
"""The most elements of an array whose wrong ones are compared with each other."""

ErrorOf = Callable[[Array], Array]
"""The greatest |error| of an instruction at each of its exact results."""


@dataclass(frozen=True)
class Expected:
    """The expected outputs for one set of arguments: the reference, and the greatest |error| allowed.

    `samples`: the flat indices of the elements in `outputs` and `bounds`, for outputs that are not complete.
    """

    outputs: Mapping[str, Array]
    bounds: Mapping[str, Array]
    tolerance: str
    samples: Mapping[str, Array] = field(default_factory=dict)

    def widened(self, errors: Mapping[str, ErrorOf]) -> Expected:
        """With bounds widened by the errors of a GPU's approximate instructions, `errors` by opcode.

        Each counts as if it were executed once, as the last step to an output. The emulator computes ideal values, so
        its results do not need this; but a GPU's may differ by as much and still be right. Outputs that must be
        exact, and integers, stay exact.
        """
        if not errors or self.tolerance == EXACT.describe:
            return self
        bounds = {
            name: bound + sum(error(self.outputs[name]) for error in errors.values())
            if self.outputs[name].dtype.kind == "f"
            else bound
            for name, bound in self.bounds.items()
        }
        return replace(self, bounds=bounds, tolerance=wider(self.tolerance, list(errors)))


def wider(tolerance: str, opcodes: Sequence[str]) -> str:
    """The words for a tolerance that allows for approximate instructions too."""
    if not opcodes or tolerance == EXACT.describe:
        return tolerance
    return f"{tolerance}, plus the error of {', '.join(opcodes)}"


@dataclass(frozen=True)
class Verdict:
    """How far outputs are from the reference: the greatest |error|, None if it is not finite.

    `worst` describes the worst element outside its bound, with what such elements have in `common`; None if all agree.
    """

    max_error: float | None
    worst: str | None = None
    common: Common | None = None


def expect(pair: Pair, arguments: Mapping[str, Any], *, integers: bool = False) -> Expected:
    """Compute the reference of `arguments` and its bounds; `integers` asks for exact equality.

    Raises PairError if the reference lacks an output or gives another shape or a narrower type, and whatever the
    functions of the pair raise. A pair `by_rows` is computed in parts, so that apart from the result
    there are never more than about CHUNK float64 elements.
    """
    tolerance = EXACT if integers else pair.tolerance
    parts = row_parts(pair, arguments, CHUNK)
    if len(parts) == 1:
        return expect_whole(pair, arguments, tolerance)
    names = [arg.name for arg in pair.args if isinstance(arg, Out | InOut)]
    outputs: dict[str, Array] = {}
    bounds: dict[str, Array] = {name: np.broadcast_to(0.0, arguments[name].shape) for name in names}
    for rows in parts:
        part = expect_whole(pair, rows_of(pair, arguments, rows), tolerance)
        if part.samples:
            raise PairError(
                "reference returns a Sample. A reference that is computed by_rows must return all elements.",
                "reference",
            )
        for name in names:
            if name not in outputs:
                outputs[name] = np.empty(arguments[name].shape, part.outputs[name].dtype)
                if tolerance.describe != EXACT.describe:
                    bounds[name] = np.empty(arguments[name].shape)
            outputs[name][rows] = part.outputs[name]
            if bounds[name].flags.writeable:
                bounds[name][rows] = part.bounds[name]
    return Expected(outputs, bounds, tolerance.describe)


def expect_whole(pair: Pair, arguments: Mapping[str, Any], tolerance: Tolerance) -> Expected:
    """The reference of all of `arguments` at once, and its bounds."""
    inputs = widen(pair, arguments)
    outputs, samples = reference_outputs(pair, arguments, inputs)
    bounds = {name: bound(tolerance.bound, name, values, inputs) for name, values in outputs.items()}
    return Expected(outputs, bounds, tolerance.describe, samples)


def reference_of(pair: Pair, arguments: Mapping[str, Any]) -> tuple[dict[str, Array], dict[str, Array]]:
    """The reference of all of `arguments` at once, and its samples; without bounds."""
    return reference_outputs(pair, arguments, widen(pair, arguments))


def reference_outputs(
    pair: Pair, arguments: Mapping[str, Any], inputs: Mapping[str, Any]
) -> tuple[dict[str, Array], dict[str, Array]]:
    returned = pair.reference(**inputs)
    outputs, samples = {}, {}
    for arg in pair.args:
        if isinstance(arg, Out | InOut):
            outputs[arg.name], indices = reference_output(returned, arg.name, arguments[arg.name].shape)
            if indices is not None:
                samples[arg.name] = indices
    return outputs, samples


def row_parts(pair: Pair, arguments: Mapping[str, Any], elements: int) -> list[slice]:
    """The parts of the rows for which reference and tolerance are called, in order; one part unless `by_rows`.

    No array has more than `elements` in a part, unless a single row has.
    """
    arrays = [arguments[name] for name in sharing_rows(pair)] if pair.by_rows else []
    if not arrays or any(array.ndim == 0 for array in arrays):
        return [slice(None)]
    rows = len(arrays[0])
    most = max(1, elements * rows // max(array.size for array in arrays))
    return [slice(start, start + most) for start in range(0, rows, most)]


def sharing_rows(pair: Pair) -> list[str]:
    """The arrays of a pair `by_rows` that are split into rows: those that it names, and the outputs."""
    return [
        arg.name
        for arg in pair.args
        if isinstance(arg, Out | InOut) or (isinstance(arg, In) and arg.name in pair.by_rows)
    ]


def rows_of(pair: Pair, arguments: Mapping[str, Any], rows: slice) -> Mapping[str, Any]:
    """The arguments with only those rows of the arrays that share them."""
    return {**arguments, **{name: arguments[name][rows] for name in sharing_rows(pair)}}


def widen(pair: Pair, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a reference: the Ins, InOuts and Scalars, floats as float64, integers as int64, read-only.

    An In with widened=False is passed unchanged.
    """
    inputs: dict[str, Any] = {}
    for arg in pair.args:
        if isinstance(arg, Out | Scratch | TensorMap):
            continue
        value = arguments[arg.name]
        as_it_is = value.dtype in (np.float64, np.uint64) or (isinstance(arg, In) and not arg.widened)
        inputs[arg.name] = value.view() if as_it_is and not isinstance(arg, Scalar) else wide(value)
        if not isinstance(arg, Scalar):
            inputs[arg.name].setflags(write=False)  # a reference that works in place would change the bounds
    return inputs


def reference_output(returned: Any, name: str, shape: tuple[int, ...]) -> tuple[Array, Array | None]:
    """Output `name` of what a reference returned, and of which elements it is, None for all.

    Raises PairError if it is missing or invalid.
    """
    if not isinstance(returned, Mapping) or name not in returned:
        message = (
            f"returns {', '.join(map(repr, returned)) or 'an empty dict'}"
            if isinstance(returned, Mapping)
            else f"returns {type(returned)}"
        )
        sentence = f"reference {message}, but not '{name}'. It must return a dict with every output by name."
        raise PairError(sentence, "reference")
    indices = sample_indices(returned[name], name, math.prod(shape)) if isinstance(returned[name], Sample) else None
    value = np.asarray(returned[name] if indices is None else returned[name].values)
    if value.shape != (shape if indices is None else indices.shape):
        wanted = str(shape) if indices is None else f"{indices.shape}, as its Sample"
        raise PairError(f"reference returns '{name}' with the shape {value.shape}; expected {wanted}.", "reference")
    if value.dtype != np.float64 and value.dtype.kind not in "iu":
        raise PairError(f"reference returns '{name}' as {value.dtype}; expected float64 or integers.", "reference")
    return value, indices


def sample_indices(sample: Sample, name: str, size: int) -> Array:
    """The flat indices of a sample of `name`, shape (k,). Raises PairError if there are none, or one is out of
    range."""
    indices = np.asarray(sample.at)
    if indices.ndim != 1 or not indices.size or indices.dtype.kind not in "iu":
        raise PairError(
            f"the Sample of '{name}' has indices of shape {indices.shape}, {indices.dtype}; "
            "expected a list of integers.",
            "reference",
        )
    if (outside := indices[(indices < 0) | (indices >= size)]).size:
        raise PairError(f"the Sample of '{name}' has the index {outside[0]}; expected 0 to {size - 1}.", "reference")
    return indices


def bound(
    function: Callable[[Array, Mapping[str, Any]], Any], name: str, expected: Array, inputs: Mapping[str, Any]
) -> Array:
    """The tolerance's bound for each element of `expected`.

    Raises PairError if its shape does not fit, or if it is NaN or negative where a finite number is expected.
    """
    value = np.asarray(function(expected, inputs), np.float64)
    if value.shape not in ((), expected.shape):
        raise PairError(
            f"the tolerance of '{name}' has the shape {value.shape}; expected {expected.shape}, as its "
            "reference has, or one number.",
            "tolerance",
        )
    bounds = np.broadcast_to(value, expected.shape)
    if not (value >= 0).all() and (unfit := ~(bounds >= 0) & np.isfinite(expected)).any():
        index = np.unravel_index(int(np.argmax(unfit)), expected.shape)
        raise PairError(
            f"the tolerance of {name}[{', '.join(map(str, index))}] is {bounds[index]:g}; expected 0 or more.",
            "tolerance",
        )
    return bounds


def agrees(actual: Array, expected: Array, bound: Array) -> Array:
    """True where `actual` is within `bound` of `expected`; NaN agrees only with NaN.

    All three must have one shape, because NumPy would broadcast; otherwise ValueError.
    """
    if not actual.shape == expected.shape == bound.shape:
        raise ValueError(f"shapes differ: {actual.shape}, {expected.shape}, {bound.shape}")
    return within(actual, expected, bound, distance(actual, expected))


def within(actual: Array, expected: Array, bound: Array, error: Array) -> Array:
    """`agrees` for arrays of one shape whose `distance` or `errors` are known."""
    # If no error is allowed, only equality counts: two different u64 may have the distance 0 in float64.
    same: Array = equal(actual, expected) | (error <= bound) & (bound < np.inf) & (bound > 0)
    return same


def equal(actual: Array, expected: Array) -> Array:
    """True where `actual` equals `expected` converted to the type of `actual`, or both are NaN."""
    same: Array
    if actual.dtype.kind in "iu":
        same = actual == expected  # not cast: 2**32 must not become the 0 of a u32
    else:
        with np.errstate(over="ignore"):
            same = actual == expected.astype(actual.dtype)
        if not same.all():
            same |= np.isnan(actual) & np.isnan(expected)
    return same


def distance(actual: Array, expected: Array) -> Array:
    """|actual - expected| in float64: NaN where one of them is NaN, and where both are the same infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        result: Array = actual.astype(np.float64)
        result -= expected.astype(np.float64, copy=False)
        return np.abs(result, out=result)


def verify(outputs: Mapping[str, Any], expected: Expected, where: str) -> Verdict:
    """Judge the outputs of one launch, by argument name. `where` begins the message: `softmax.ptx, rows=3`.

    ValueError if a shape differs from that of the reference.
    """
    greatest: float | None = 0.0
    for name, reference in expected.outputs.items():
        indices = expected.samples.get(name)
        actual = outputs[name] if indices is None else outputs[name].reshape(-1)[indices]
        differing = output_errors(actual, reference, expected.bounds[name])
        if differing.outside:
            index = np.unravel_index(
                differing.worst if indices is None else int(indices[differing.worst]), outputs[name].shape
            )
            pair = actual.reshape(-1)[differing.worst], reference.reshape(-1)[differing.worst]
            common = Common() if indices is not None else common_of(actual, reference, expected.bounds[name])
            sentence = mismatch_sentence(
                name, index, *pair, differing.outside, actual.size, common.region, expected.tolerance
            )
            return Verdict(finite(differing.greatest), f"{where}: {sentence} {common.relation}".rstrip(), common)
        error = finite(differing.greatest)
        greatest = None if greatest is None or error is None else max(greatest, error)
    return Verdict(greatest)


def same_bits(names: Iterable[str], first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """True if these arrays have the same bytes in both."""
    return all(
        np.array_equal(first[name].view(f"u{first[name].itemsize}"), second[name].view(f"u{second[name].itemsize}"))
        for name in names
    )


def finite(error: float) -> float | None:
    return error if np.isfinite(error) else None


@dataclass(frozen=True)
class OutputErrors:
    """The greatest |error| of an output, how many elements are outside their bound, and the flat index of the worst."""

    greatest: float
    outside: int
    worst: int


def output_errors(actual: Array, expected: Array, bounds: Array) -> OutputErrors:
    """Judge one output, in chunks. ValueError if the shapes differ."""
    if not actual.shape == expected.shape == bounds.shape:
        raise ValueError(f"shapes differ: {actual.shape}, {expected.shape}, {bounds.shape}")
    greatest, outside, worst, worst_error = 0.0, 0, 0, -1.0
    for start, part in flat_parts(actual, expected, bounds):
        if (close := greatest_if_close(*part)) is not None:
            greatest = max(greatest, close)
            continue
        error = errors(*part[:2])
        wrong = ~within(part[0], part[1], part[2], error)
        if not part[2].any():  # must be exact: the reference, rounded to a narrower type, is not an error
            error[~wrong] = 0.0
        greatest = max(greatest, float(error.max()))
        if wrong.any():
            outside += int(wrong.sum())
            position = int(np.argmax(np.where(wrong, error, -1.0)))
            if error[position] > worst_error:
                worst, worst_error = start + position, float(error[position])
    return OutputErrors(greatest, outside, worst)


def greatest_if_close(actual: Array, expected: Array, bound: Array) -> float | None:
    """The greatest |error| if all numbers are within finite bounds; None if each element must be judged.

    Nearly all results are right, and this takes less than half as long.
    """
    most = bound.max()
    if most == 0:
        return 0.0 if equal(actual, expected).all() else None
    if not is_float(actual.dtype) or not most < np.inf:
        return None
    error = distance(actual, expected)
    return float(error.max()) if (error <= bound).all() else None  # the error 0 is equality, also where the bound is 0


def flat_parts(*arrays: Array) -> Iterator[tuple[int, list[Array]]]:
    """Arrays of one shape in flat chunks of about CHUNK elements, each with the flat index of its first.

    An array that is not contiguous, such as a transposed one, is never copied completely.
    """
    shape, size = arrays[0].shape, arrays[0].size
    row = size // shape[0] if shape and shape[0] else 1
    if 0 < row < CHUNK and not all(array.flags.c_contiguous or not any(array.strides) for array in arrays):
        most = CHUNK // row
        for start in range(0, shape[0], most):
            yield start * row, [flattened(array[start : start + most]) for array in arrays]
        return
    flat = [flattened(array) for array in arrays]
    for start in range(0, size, CHUNK):
        yield start, [array[start : start + CHUNK] for array in flat]


def flattened(array: Array) -> Array:
    """The array with one dimension; not copied if it is one number, broadcast to a shape."""
    if array.ndim == 1:
        return array
    if array.size and not any(array.strides):
        return np.broadcast_to(array[(0,) * array.ndim], array.size)
    return array.reshape(-1)


def errors(actual: Array, expected: Array) -> Array:
    """|actual - expected|: 0 where both are NaN or the same infinity, infinite where only one is."""
    error = distance(actual, expected)
    unknown = np.isnan(error)
    error[unknown] = np.where(equal(actual[unknown], expected[unknown]), 0.0, np.inf)
    return error


def common_of(actual: Array, expected: Array, bounds: Array) -> Common:
    """What the elements outside their bound have in common; nothing for large arrays."""
    if actual.size > MOST_SEARCHED:
        return Common()
    wrong = ~agrees(actual, expected, bounds)
    with np.errstate(all="ignore"):  # a rule that overflows does not hold
        return Common(region_of(wrong), relation_of(actual, expected, bounds, wrong))


def mismatch_sentence(
    name: str, index: tuple[Any, ...], element: Any, expected: Any, outside: int, judged: int, region: str,
    tolerance: str,
) -> str:  # fmt: skip
    """`y[2, 31] is 0.5, expected 0.25; 3 of 771 elements, all in y[:, 31], are outside 1 ulp.`"""
    actual, wanted = number(element, element.dtype), number(expected, element.dtype)
    poison = " (0xFF bytes, as if never written)" if is_float(element.dtype) and is_poison(element) else ""
    verb = "is" if outside == 1 else "are"
    beyond = "not equal" if tolerance == EXACT.describe else f"outside {tolerance}"
    element_name = f"{name}[{', '.join(map(str, index))}]" if index else name
    elements = f"{outside} of {judged} elements{f', all in {name}{region},' if region else ''}"
    return f"{element_name} is {actual}{poison}, expected {wanted}; {elements} {verb} {beyond}."


def number(value: Any, dtype: np.dtype[Any]) -> str:
    """A value with enough digits to distinguish it from its neighbours in `dtype`."""
    if is_float(dtype):
        return f"{float(value):.{DIGITS[dtype.itemsize]}g}"
    return str(int(value)) if np.isfinite(value) and value == int(value) else f"{value:.17g}"


def is_poison(value: Any) -> bool:
    """True if every byte is 0xFF, as outputs are before a launch."""
    return set(value.tobytes()) == {0xFF}
