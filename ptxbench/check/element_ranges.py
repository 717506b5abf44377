"""What the inputs of a pair may hold: the legal elements of each, and which inputs are sorted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import ml_dtypes
import numpy as np

from ptxbench.arrays import Array, is_float, ue8m0
from ptxbench.pair import Argument, In, InOut, Pair

MANY_STEPS = 16
"""So many steps from an element to the next have one sign by chance once in 2^15 inputs."""


@dataclass(frozen=True)
class ElementRange:
    """The legal elements of an input: the type, and the closed range of integers; None for floats."""

    dtype: np.dtype[Any]
    whole: tuple[int, int] | None

    @property
    def bits(self) -> int:
        """The bits of a float of this type."""
        return int(ml_dtypes.finfo(self.dtype).bits)  # type: ignore[no-untyped-call]

    @property
    def powers(self) -> tuple[int, int]:
        """Exponents of the smallest normal number and of the greatest number."""
        limits: Any = ml_dtypes.finfo(self.dtype)  # type: ignore[no-untyped-call]  # NumPy's own knows no bf16
        return int(limits.minexp), int(limits.maxexp) - 1


def range_of_element(arg: Argument) -> ElementRange | None:
    """The legal elements of an argument; None if only the pair knows, as for indices."""
    if is_updated_input(arg) and (is_float(arg.dtype) or arg.legal is not None):
        return ElementRange(arg.dtype, arg.legal)
    if not isinstance(arg, In) or arg.related or arg.dtype == ue8m0:  # a scale, which has no sign and no zero
        return None
    if is_float(arg.dtype):
        return ElementRange(arg.dtype, None)
    if arg.legal is not None:
        return ElementRange(arg.dtype, arg.legal)
    if arg.values is None:
        return ElementRange(arg.dtype, (int(np.iinfo(arg.dtype).min), int(np.iinfo(arg.dtype).max)))
    return None


def is_updated_input(arg: Argument) -> TypeGuard[InOut]:
    """Whether a kernel replaces an array by what it computes from it, such as its sorted rows: no accumulator."""
    return isinstance(arg, InOut) and arg.values is not None


def with_sorted_inputs(pair: Pair) -> Pair:
    """The pair, whose sorted inputs are `related`: a search in numbers that are not sorted has no right result."""
    size = max(pair.check_sizes, key=pair.compulsory_bytes)
    own = [arg for arg in pair.args if isinstance(arg, In) and arg.values is not None and arg.legal is None]
    drawn = pair.make_arguments(size, 0) if own else {}
    ordered = {arg.name for arg in own if is_sorted(drawn[arg.name])}
    args = [replace(arg, related=True) if isinstance(arg, In) and arg.name in ordered else arg for arg in pair.args]
    return replace(pair, args=args) if ordered else pair


def is_sorted(array: Array) -> bool:
    """Whether all rows are ascending, or all descending, and not by chance."""
    steps = np.diff(array.astype(np.float64), axis=-1)
    return steps.size >= MANY_STEPS and (bool((steps >= 0).all()) or bool((steps <= 0).all())) and bool(steps.any())
