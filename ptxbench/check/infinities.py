"""Wrong results that are infinite or NaN because inputs are infinite: another form of the formula may give another."""

from __future__ import annotations

import numpy as np

from ptxbench.arrays import is_float
from ptxbench.check.launching import CheckCase, LaunchResult
from ptxbench.verify import agrees

HINT = (
    "Inputs are infinite there, and another form of the formula, such as a + t (b - a) in place of (1 - t) a + t b, "
    "may give another of inf, -inf and NaN. The reference decides, and each variant of the pair: what one gives is "
    "allowed."
)


def infinite_hint(result: LaunchResult, case: CheckCase) -> str:
    """HINT if inputs are infinite, and each wrong result is infinite or NaN and must be one of these; else empty."""
    inputs = [
        value for name, value in case.arguments.items() if isinstance(value, np.ndarray) and is_float(value.dtype)
    ]
    with np.errstate(all="ignore"):
        if not any(np.isinf(array.astype(np.float64)).any() for array in inputs):
            return ""
        for name, expected in case.expected.outputs.items():
            actual = result.outputs[name]
            if (at := case.expected.samples.get(name)) is not None:
                actual = actual.reshape(-1)[at]
            wrong = ~agrees(actual, expected, case.expected.bounds[name])
            if np.isfinite(actual[wrong].astype(np.float64)).any() or np.isfinite(expected[wrong]).any():
                return ""
    return HINT
