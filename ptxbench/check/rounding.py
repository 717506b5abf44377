"""Whether a wrong result on special data is only another rounding: within the pair's tolerance, in proportion.

A tolerance for ordinary data says little about data of other magnitudes, on which kernels with another order of
additions differ by more. For a reference that is linear in each input, the sum of the magnitudes of all terms is known:
the error may be the same share of it as the tolerance is on ordinary data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from ptxbench.arrays import Array, is_float, wide
from ptxbench.check.cases import silence
from ptxbench.check.launching import CheckCase
from ptxbench.pair import Pair
from ptxbench.verify import agrees, expect, reference_of


def is_rounding(pair: Pair, case: CheckCase, outputs: Mapping[str, Array], seed: int) -> bool:
    """Whether every element of `outputs` that the tolerance excludes is within it in proportion. Only for a pair whose
    reference is linear in each input."""
    if case.expected.samples:
        return False
    with silence():
        ordinary = pair.make_arguments(case.size, seed)
        bounds = expect(pair, ordinary).bounds
        of_ordinary, of_case = (magnitudes(pair, arguments) for arguments in (ordinary, case.arguments))
        for name, expected in case.expected.outputs.items():
            actual, bound = outputs[name], case.expected.bounds[name]
            wrong = ~agrees(actual, expected, bound)
            if not wrong.any():
                continue
            shares = (bounds[name] / of_ordinary[name])[of_ordinary[name] > 0]
            share = max(shares[np.isfinite(shares)].tolist(), default=0.0)
            error, allowed = np.abs(wide(actual) - expected)[wrong], (share * of_case[name])[wrong]
            if not (is_float(actual.dtype) and np.isfinite(allowed).all() and (error <= allowed).all()):
                return False  # infinities and NaNs never differ by rounding only
    return True


def is_underflow(case: CheckCase, outputs: Mapping[str, Array]) -> bool:
    """Whether every element of `outputs` that the tolerance excludes is off by at most two of the smallest subnormal
    numbers: factors in another order underflow elsewhere. Not for an element that must be exact."""
    if case.expected.samples:
        return False
    underflows = False
    with silence():
        for name, expected in case.expected.outputs.items():
            actual, bound = outputs[name], case.expected.bounds[name]
            wrong = ~agrees(actual, expected, bound)
            if not wrong.any():
                continue
            if not is_float(actual.dtype):
                return False
            limits: Any = ml_dtypes.finfo(actual.dtype)  # type: ignore[no-untyped-call]
            most = 2 * float(limits.smallest_subnormal)
            error = np.abs(wide(actual) - expected)[wrong]  # NaN where one of them is not finite
            if not ((error <= most) & (bound[wrong] > 0)).all():
                return False
            underflows = True
    return underflows


def magnitudes(pair: Pair, arguments: Mapping[str, Any]) -> Mapping[str, Array]:
    """The sum of the magnitudes of all terms of each element of the outputs."""
    positive = {
        name: np.abs(value) if isinstance(value, np.ndarray | np.generic) and is_float(value.dtype) else value
        for name, value in arguments.items()
    }
    return reference_of(pair, positive)[0]
