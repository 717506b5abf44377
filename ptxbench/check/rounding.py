"""Why a result outside its tolerance may be right all the same: another rounding, an underflow or an overflow.

A tolerance for ordinary data says little about data of other magnitudes, on which kernels with another order of
additions differ by more. For a reference that is linear in each floating-point input, the sum of the magnitudes of all
terms is known: the error may be the same share of it as the tolerance is on ordinary data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from ptxbench.arrays import Array, is_float, wide
from ptxbench.check.cases import silence
from ptxbench.check.launching import CheckCase
from ptxbench.pair import In, InOut, Pair, Scalar
from ptxbench.verify import agrees, expect, reference_of


class OutputElements(NamedTuple):
    """The elements of an output, as far as the reference has them."""

    name: str
    actual: Array
    expected: Array
    bound: Array


Explanation = Callable[[OutputElements], Array]
"""The elements that are right for some reason: True where an element is."""


def is_explained(case: CheckCase, outputs: Mapping[str, Array], explanations: Sequence[Explanation]) -> bool:
    """Whether each element outside its tolerance is right for one of the reasons."""
    with silence():
        for name, expected in case.expected.outputs.items():
            at = case.expected.samples.get(name)
            actual = outputs[name] if at is None else outputs[name].reshape(-1)[at]
            elements = OutputElements(name, actual, expected, case.expected.bounds[name])
            wrong = ~agrees(actual, expected, elements.bound)
            for explanation in explanations:
                if wrong.any():
                    wrong = wrong & ~explanation(elements)
            if wrong.any():
                return False
    return True


def rounding(pair: Pair, case: CheckCase, seed: int) -> Explanation:
    """Elements within the tolerance in proportion, and infinities and NaNs where the terms, or some of their factors,
    are too great for the type in another order. Only for a pair whose reference is linear in each floating-point
    input."""

    def rounded(elements: OutputElements) -> Array:
        if case.expected.samples or not is_float(elements.actual.dtype):
            return np.zeros(elements.actual.shape, bool)
        ordinary = pair.make_arguments(case.size, seed)
        bounds = expect(pair, ordinary).bounds[elements.name]
        of_ordinary, of_case = (magnitudes(pair, arguments)[elements.name] for arguments in (ordinary, case.arguments))
        most = magnitudes(pair, case.arguments, least=1.0)[elements.name]  # without the factors that make it smaller
        shares = (bounds / of_ordinary)[of_ordinary > 0]
        allowed = max(shares[np.isfinite(shares)].tolist(), default=0.0) * of_case
        within: Array = np.isfinite(allowed) & (np.abs(wide(elements.actual) - elements.expected) <= allowed)
        if has_finite_inputs(pair, case):  # the sum is more than even the reference can hold, in some order
            within |= np.isinf(of_case)
        may_overflow = np.isinf(most.astype(elements.actual.dtype)) & np.isfinite(most)
        return within | ~np.isfinite(elements.actual) & may_overflow

    return rounded


def has_finite_inputs(pair: Pair, case: CheckCase) -> bool:
    """Whether all floating-point inputs are finite."""
    read = (case.arguments[arg.name] for arg in pair.args if isinstance(arg, In | InOut | Scalar))
    return all(bool(np.isfinite(value).all()) for value in read if is_float(value.dtype))


def of_infinite_scalar(pair: Pair, case: CheckCase) -> Explanation:
    """Infinities and NaNs where a scalar is infinite: times each term of a sum it makes infinities of both signs, whose
    sum is NaN; times the sum it makes one."""
    floats = (case.arguments[arg.name] for arg in pair.args if isinstance(arg, Scalar) and is_float(arg.dtype))
    is_infinite = any(bool(np.isinf(value)) for value in floats)
    return lambda elements: ~np.isfinite(elements.actual) & is_infinite


def underflowed(elements: OutputElements) -> Array:
    """Elements that are off by at most two of the smallest subnormal numbers: factors in another order underflow
    elsewhere. Not those that must be exact."""
    if not is_float(elements.actual.dtype):
        return np.zeros(elements.actual.shape, bool)
    limits: Any = ml_dtypes.finfo(elements.actual.dtype)  # type: ignore[no-untyped-call]
    error = np.abs(wide(elements.actual) - elements.expected)  # NaN where one of them is not finite
    within: Array = (error <= 2 * float(limits.smallest_subnormal)) & (elements.bound > 0)
    return within


def magnitudes(pair: Pair, arguments: Mapping[str, Any], least: float = 0.0) -> Mapping[str, Array]:
    """The sum of the magnitudes of all terms of each element of the outputs. Factors count as `least` or more."""
    positive = {
        name: np.maximum(np.abs(value), value.dtype.type(least))
        if isinstance(value, np.ndarray | np.generic) and is_float(value.dtype)
        else value
        for name, value in arguments.items()
    }
    return {name: np.abs(value) for name, value in reference_of(pair, positive)[0].items()}
