"""What can be varied in a pair: its knobs, the sweep that `ptxbench tune` makes of them, and the figures of a point.

Data only; imports nothing of ptxbench. A pair file takes Knob, Sweep and Figure from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Figure", "Knob", "Sweep", "SweepPart"]

Values = Mapping[str, int]
"""Knobs, or dimensions of a size, by name."""

Better = Literal["lower", "higher", "neither"]
FigureSource = Literal["times", "counts"]

ITSELF = "point"
"""The name of a point's only part if the pair declares no parts."""


@dataclass(frozen=True)
class Knob:
    """A constant of a pair that can have other values: of both kernels, of the launch, or of all of them.

    CUDA C reads it as a macro (`#ifndef NAME`, `#define NAME 256`, `#endif`), which `-D NAME=value` replaces. PTX has
    the expression behind each literal that depends on it: `1024 /*= 4 * NAME */`. A function of the pair gets the value
    if it has a parameter with that name, whose default is the knob's. `values`: the values of a sweep by default.
    """

    name: str
    default: int
    values: Sequence[int]
    describe: str = ""


@dataclass(frozen=True)
class SweepPart:
    """The result of one launch of a point.

    `work`: flops and bytes. `seconds`: median device time; None on the emulator. `observed`: what the pair's `observe`
    read from the launch's arrays. `counts`: the emulator's counters by name; empty on a GPU. `bytes_per_s` and
    `flops_per_s`: the device's limits, flops of single precision; None if unknown.
    """

    size: Values
    work: Values
    seconds: float | None = None
    observed: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    bytes_per_s: float | None = None
    flops_per_s: float | None = None

    @property
    def time(self) -> float:
        """`seconds`, if the part has them: formulas of times are used for no other part."""
        assert self.seconds is not None
        return self.seconds


@dataclass(frozen=True)
class Figure:
    """A number of a point that a pair computes from its parts.

    `needs`: the parts that `formula` takes, in that order; it is not called if one of them is missing. `of`: what it
    uses, times or counts; it is not called if the parts have none. `unit`: as for a metric. `formula` may return None
    if the number does not exist. `enough`: the share of the best value that suffices; the least value of the first knob
    that reaches it is reported. Only for figures that are better if higher.
    """

    name: str
    unit: str
    better: Better
    of: FigureSource
    needs: Sequence[str]
    description: str
    formula: Callable[..., float | None]
    enough: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What `ptxbench tune` does with a pair by default.

    `values(sms)`: the values to try, one or two knobs or dimensions by name, on a GPU with that many SMs. `size(sms)`:
    the size of a point apart from these; `emulated`: the same without a GPU. `parts`: the launches that make a point,
    by name, each a function of the point's whole size that returns the launch's; the first is the point itself.
    `figures`: the figures of the parts. `aliases`: other names of dimensions.
    """

    values: Callable[[int], Mapping[str, Sequence[int]]]
    size: Callable[[int], Values]
    emulated: Values
    parts: Mapping[str, Callable[..., Values]] = field(default_factory=dict)
    figures: Sequence[Figure] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    cannot_know: str = ""
    """What only a GPU can show about this pair, as a sentence for users without one."""


def with_values(function: Callable[..., Any], values: Values) -> Callable[..., Any]:
    """`function`, called with those of `values` that are its parameters."""
    import functools
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a built-in without a signature has no knob
        return function
    any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    accepted = {
        name: value
        for name, value in values.items()
        if any_name or name in {parameter.name for parameter in parameters}
    }
    return functools.partial(function, **accepted) if accepted else function
