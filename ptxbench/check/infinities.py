"""Results that must be infinite or NaN because inputs are: another form of the formula may give something else."""

from __future__ import annotations

import numpy as np

from ptxbench.check.launching import CheckCase, LaunchResult
from ptxbench.check.rounding import has_finite_inputs
from ptxbench.pair import Pair
from ptxbench.verify import agrees

HINT = (
    "Inputs are infinite or NaN there. Another form of the formula, such as a + t (b - a) in place of (1 - t) a + t b, "
    "or one without products with zero, may give another result. The reference decides, and each variant of the pair: "
    "what one gives is allowed."
)


def infinite_hint(pair: Pair, result: LaunchResult, case: CheckCase) -> str:
    """HINT if inputs are infinite or NaN, and so must be each result that is wrong; else empty."""
    if has_finite_inputs(pair, case):
        return ""
    for name, expected in case.expected.outputs.items():
        actual = result.outputs[name]
        if (at := case.expected.samples.get(name)) is not None:
            actual = actual.reshape(-1)[at]
        with np.errstate(all="ignore"):
            wrong = ~agrees(actual, expected, case.expected.bounds[name])
        if np.isfinite(expected[wrong]).any():
            return ""
    return HINT
