"""Why a result outside its tolerance may be right all the same: another rounding, an underflow or an overflow.

A tolerance for ordinary data says little about data of other magnitudes, on which kernels with another order of
additions differ by more. For a reference that is linear in each floating-point input, the sum of the magnitudes of all
terms is known: the error may be the same share of it as the tolerance is on ordinary data. For other references, such
as a product followed by an activation, the inputs are moved a little, which shows how far a rounding may move a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from ptxbench.arrays import Array, is_float, wide
from ptxbench.check.cases import attempt, silence
from ptxbench.check.launching import CheckCase
from ptxbench.pair import In, InOut, Out, Pair, Scalar, f64
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


AMPLE = 8.0
"""How many times the usual error of a sum in f32 an error may be."""

STEP = 2.0**-26
"""The change of an input, in proportion, by which it is seen how far inputs move a result: so small that the movement
is proportional, so great that the reference, in float64, shows it."""

TRIALS = 4
"""How many times all inputs are moved, each by about one step up or down: in one of them the effects may cancel."""


def sensitive(pair: Pair, case: CheckCase, seed: int) -> Explanation:
    """Elements that are as far from the reference, beyond the tolerance, as a sum of n terms in any order may move it.

    The error of such a sum is that of terms which are off by about sqrt(n) 2**-24 in proportion (2**-53 in f64), each
    in its own direction (Higham, Accuracy and Stability of Numerical Algorithms, chapter 4). n is the greatest
    dimension of an input. For references that are not linear, such as a product followed by an activation.
    """
    floats = [arg.name for arg in pair.args if isinstance(arg, In | InOut) and is_float(arg.dtype)]
    most_terms = max((max(case.arguments[name].shape, default=1) for name in floats), default=1)

    def moved(rng: np.random.Generator) -> Mapping[str, Array]:
        arguments = dict(case.arguments)
        for name in floats:
            value = wide(arguments[name])
            arguments[name] = value * (1 + STEP * rng.standard_normal(value.shape))
        results, _ = reference_of(pair, arguments)
        return {name: np.abs(result - case.expected.outputs[name]) for name, result in results.items()}

    def near(elements: OutputElements) -> Array:
        none = np.zeros(elements.actual.shape, bool)
        if case.expected.samples or not is_float(elements.actual.dtype):
            return none
        rng = np.random.default_rng([seed, len(floats)])
        movements = [attempt(lambda: moved(rng)[elements.name]) for _ in range(TRIALS)]
        known = [movement for movement in movements if movement is not None]
        if not known:  # the pair's own function, on values that it does not promise
            return none
        unit = 2.0**-53 if elements.actual.dtype == np.float64 else 2.0**-24
        allowed = elements.bound + AMPLE * math.sqrt(most_terms) * unit / STEP * np.max(known, axis=0)
        error = np.abs(wide(elements.actual) - elements.expected)
        within: Array = (error <= allowed) & np.isfinite(allowed) & (elements.bound > 0)
        return within

    return near


def may_overflow(pair: Pair, case: CheckCase) -> bool:
    """Whether a right kernel may give anything, because a sum may overflow in another order, or before it is divided by
    the number of its terms: the results of all magnitudes, times the number of inputs, are more than f32 can hold.

    False if some result must be exact: a maximum or a sorted row has no sums.
    """
    if case.expected.samples or not has_finite_inputs(pair, case):
        return False
    if not all(bool((bounds > 0).all()) for bounds in case.expected.bounds.values()):
        return False
    results = attempt(lambda: magnitudes(pair, case.arguments, least=1.0))
    if results is None:  # the pair's own function, on values that it does not promise
        return False
    most = max((value for array in results.values() for value in array[np.isfinite(array)].tolist()), default=0.0)
    terms = max((case.arguments[arg.name].size for arg in pair.args if isinstance(arg, In | InOut)), default=1)
    is_wide = any(arg.dtype == f64 for arg in pair.args if isinstance(arg, Out | InOut))
    return bool(terms * most > float(np.finfo(np.float64 if is_wide else np.float32).max))


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
