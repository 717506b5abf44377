"""Launches one after the other, each of which may start before the one before has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.launch import Execution, run
from ptxbench.emulator.pointers import Pointer


def chain(launches: Sequence[Mapping[str, Any]]) -> list[Execution]:
    """Run programmatic dependent launches; each element has the arguments of `run`, by name.

    A launch sees its arrays as they were before the launch before it, until one of its threads executes
    griddepcontrol.wait: so a missing wait reads old data. The CTAs of all but the first launch run one after the other.
    """
    results = []
    earlier: dict[int, NDArray[Any]] = {}
    for launch, following in zip(launches, [*launches[1:], {}], strict=True):
        copies = {id(array): array.copy() for array in arrays_of(following.get("args", ()))}
        results.append(run(**launch, earlier=earlier))
        earlier = copies
    return results


def arrays_of(args: Sequence[Any]) -> Iterator[NDArray[Any]]:
    for arg in args:
        array = arg.array if isinstance(arg, Pointer) else arg
        if isinstance(array, np.ndarray):
            yield array
