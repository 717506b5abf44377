"""Data at the edges of what the types hold, and inputs that share memory. Knows pairs, and no kernel.

Which of it a pair means to handle is not said anywhere. Its own kernels decide: whoever asks lets data count for
nothing on which one of these does not agree with the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from ptxbench.pair import Array, In, Pair, Size, is_float

ONE_IN = 16
"""One element of so many is put at the edge, and one at the least."""


def float_edges(dtype: np.dtype[Any]) -> dict[str, list[float]]:
    """By kind, values to put among an input's."""
    limits: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]  # NumPy's own knows no bf16
    least, greatest = float(limits.smallest_subnormal), float(limits.max)
    return {
        "NaN": [float("nan")],
        "infinities": [float("inf"), float("-inf")],
        "subnormals": [least, -least, float(limits.smallest_normal) / 2],
        "signed zeros": [0.0, -0.0],
        "huge values": [greatest, -greatest],
    }


def integer_edges(dtype: np.dtype[Any]) -> dict[str, list[float]]:
    limits = np.iinfo(dtype)
    return {"least and greatest integers": [int(limits.min), int(limits.max), 0]}


def edged(pair: Pair, size: Size, seed: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(kind, arguments) for each kind of edge that an input of the pair has; all its inputs get some.

    Whole numbers whose values the pair draws itself, such as indices, stay as they are.
    """
    ordinary = pair.make_arguments(size, seed)
    edges: dict[str, dict[str, list[float]]] = {}
    for arg in pair.args:
        if isinstance(arg, In) and (is_float(arg.dtype) or arg.values is None):
            known = float_edges(arg.dtype) if is_float(arg.dtype) else integer_edges(arg.dtype)
            for kind, values in known.items():
                edges.setdefault(kind, {})[arg.name] = values
    for number, (kind, whose) in enumerate(edges.items()):
        changed = {
            name: strewn(ordinary[name], values, [seed, number], [seed, number, 1 + index])
            for index, (name, values) in enumerate(whose.items())
        }
        yield kind, {**ordinary, **changed}
    if floats := [arg.name for arg in pair.args if isinstance(arg, In) and is_float(arg.dtype)]:
        yield "equal values", {**ordinary, **{name: np.full_like(ordinary[name], 0.5) for name in floats}}


def strewn(array: Array, values: list[float], common: list[int], own: list[int]) -> Array:
    """`array` with some of its elements replaced by `values`, at places drawn from the seeds `common` and `own`.

    Inputs of one size have the places of `common` alike, so that edges meet each other and ordinary values too.
    """
    changed = array.copy()
    flat = changed.reshape(-1)
    for seed in (common, own) if flat.size else ():
        rng = np.random.default_rng(seed)
        at = rng.choice(flat.size, -(-flat.size // (2 * ONE_IN)), replace=False)
        with np.errstate(all="ignore"):
            flat[at] = np.resize(np.array(values).astype(array.dtype), at.size)
    return changed


def shared(pair: Pair, size: Size, seed: int) -> tuple[Mapping[str, Any], Mapping[str, str]] | None:
    """Arguments of which two inputs are one array, and which is which: {second: first}. None where no two can be.

    Inputs may always share memory, since nobody writes them; an output shares its memory with nothing.
    """
    arguments = pair.make_arguments(size, seed)
    inputs = [arg for arg in pair.args if isinstance(arg, In)]
    for i, first in enumerate(inputs):
        for second in inputs[i + 1 :]:
            alike = first.dtype == second.dtype and first.values == second.values
            if alike and arguments[first.name].size == arguments[second.name].size:
                one = arguments[first.name].reshape(arguments[second.name].shape)
                return {**arguments, second.name: one}, {second.name: first.name}
    return None
