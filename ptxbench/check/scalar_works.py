"""How much kernels of a pair execute with another value of a scalar, which may be a number of steps or of elements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ptxbench.check.launching import CheckCase, CheckKernel, launch
from ptxbench.check.pair_kernels import USUAL
from ptxbench.errors import KernelError
from ptxbench.pair import Pair

WORK = "ptx_warp_instructions"
"""The counter of what a kernel executes."""

FEW_ROUNDS = replace(USUAL, fuel=1 << 12)
"""The options of a launch that may not end."""

MOST_STEPS = 1 << 17
"""The most warp instructions of a launch with a great number of steps, which takes some milliseconds."""


def works_of(
    pair: Pair, kernels: Iterable[CheckKernel], case: CheckCase, name: str, value: int
) -> list[tuple[float, float]] | None:
    """How much each kernel executes with the case's own value of a scalar, and with this one. None if one fails or
    loops for long: the reference may not end either."""
    changed = replace(case, arguments={**case.arguments, name: case.arguments[name].dtype.type(value)})
    works = []
    for kernel in kernels:
        try:
            own, other = (launch(kernel, pair, one_case, FEW_ROUNDS).counters[WORK] for one_case in (case, changed))
        except KernelError:
            return None
        works.append((own, other))
    return works


def is_cheap(works: list[tuple[float, float]] | None) -> bool:
    """Whether the kernels execute little with the other value."""
    return bool(works) and all(changed <= MOST_STEPS for _, changed in works or ())
