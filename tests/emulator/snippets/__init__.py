"""CUDA C that covers the language: NAME.cu holds kernels, and NAME.py their NumPy references.

A function decorated with `case` is the reference of the kernel of its name. It draws the arguments and returns them
with the expected final content of some of them, by position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")
SEED = 11


@dataclass(frozen=True)
class Case:
    """One kernel with its launch. `relative` and `absolute` bound the error of floats; `fast` with --use_fast_math.

    `since` is the first architecture that has what the kernel uses.
    """

    kernel: str
    make: Callable[[np.random.Generator], tuple[list[Any], Mapping[int, Any]]]
    grid: int | Sequence[int] = 1
    block: int | Sequence[int] = 32
    shared: int = 0
    relative: float = 0.0
    absolute: float = 0.0
    fast: float | None = None
    since: str = "sm_75"
    printed: str = ""

    def arguments(self) -> tuple[list[Any], Mapping[int, Any]]:
        return self.make(np.random.default_rng(SEED))

    def runs_on(self, arch: str) -> bool:
        return ARCHITECTURES.index(arch) >= ARCHITECTURES.index(self.since)


CASES: dict[str, list[Case]] = {}
"""By the stem of the .cu file."""


def case(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the function is the reference of the kernel of its name."""

    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        CASES.setdefault(make.__module__.rsplit(".", 1)[-1], []).append(Case(make.__name__, make, **options))
        return make

    return register


def outputs(*shape: int, dtype: Any = np.float32) -> Any:
    """An array that a kernel must fill: it starts as 0xff bytes."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[:] = 0xFF
    return array


def f16(values: Any) -> Any:
    return np.asarray(values).astype(np.float16)


def to_bf16(values: Any) -> Any:
    """The bits of the nearest bf16; ties to even."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: Any) -> Any:
    return (bits.astype(np.uint32) << 16).view(np.float32)
