"""Results that must be infinite or NaN because inputs are: another form of the formula may give something else. And
results that are infinite or NaN although inputs are finite."""

from __future__ import annotations

import numpy as np

from ptxbench.arrays import Array, is_float, wide
from ptxbench.check.launching import CheckCase, LaunchResult
from ptxbench.check.rounding import has_finite_inputs
from ptxbench.pair import In, InOut, Pair, Scalar
from ptxbench.verify import agrees

HINT = (
    "Inputs are infinite or NaN there. Another form of the formula, such as a + t (b - a) in place of (1 - t) a + t b, "
    "or one without products with zero, may give another result. The reference decides, and each variant of the pair: "
    "what one gives is allowed."
)


OVERFLOW_HINT = (
    "Inputs are great there, but finite, and so must be the result: a step before it is more than its type can hold, "
    "such as a sum before its division, a square, or a power whose greatest exponent is not subtracted first."
)

GREAT = 8.0
"""A magnitude of inputs from which powers of them, or of their sums, may overflow in some type."""


def infinite_hint(pair: Pair, result: LaunchResult, case: CheckCase) -> str:
    """HINT if inputs are infinite or NaN, and so must be each result that is wrong; OVERFLOW_HINT if each wrong result
    is infinite or NaN although great inputs and the reference are finite; else empty."""
    finite_inputs = has_finite_inputs(pair, case)
    if finite_inputs and greatest_magnitude(pair, case) < GREAT:
        return ""
    for name, expected in case.expected.outputs.items():
        actual = result.outputs[name]
        if (at := case.expected.samples.get(name)) is not None:
            actual = actual.reshape(-1)[at]
        with np.errstate(all="ignore"):
            wrong = ~agrees(actual, expected, case.expected.bounds[name])
        if np.isfinite(expected[wrong]).any() if not finite_inputs else not overflows(actual[wrong], expected[wrong]):
            return ""
    return OVERFLOW_HINT if finite_inputs else HINT


def overflows(actual: Array, expected: Array) -> bool:
    """Whether all results are infinite or NaN, and none of the reference."""
    return bool(is_float(actual.dtype) and not np.isfinite(actual).any() and np.isfinite(expected).all())


def greatest_magnitude(pair: Pair, case: CheckCase) -> float:
    """The greatest magnitude among the floating-point inputs; 0 if there are none."""
    read = (case.arguments[arg.name] for arg in pair.args if isinstance(arg, In | InOut | Scalar))
    return max((float(np.abs(wide(value)).max(initial=0)) for value in read if is_float(value.dtype)), default=0.0)
