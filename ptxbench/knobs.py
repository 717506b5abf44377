"""What can be turned of a pair: its knobs, the sweep that `ptxbench tune` makes of them, and what a point shows.

Data only; imports nothing of ptxbench. A pair file takes Knob, Sweep and Figure from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Figure", "Knob", "Sweep", "SweepPart"]

Values = Mapping[str, int]
"""Knobs, or dimensions of a size, by name."""


@dataclass(frozen=True)
class Knob:
    """A constant of a pair that can have other values: of both kernels, of the launch, or of all of them.

    CUDA C reads it as a macro (`#ifndef NAME`, `#define NAME 256`, `#endif`), which `-D NAME=value` replaces. PTX has
    the expression behind each literal that depends on it: `1024 /*= 4 * NAME */`. A function of the pair that has a
    parameter of that name, with the default, is given the value. `values`: what a sweep tries by default.
    """

    name: str
    default: int
    values: Sequence[int]
    describe: str = ""


@dataclass(frozen=True)
class SweepPart:
    """What one launch of a point gave.

    `work`: flops and bytes. `seconds`: median device time; None on the emulator. `observed`: what the pair's `observe`
    read from the launch's arrays. `counts`: the emulator's counters by name; empty on a GPU. `bytes_per_s` and
    `flops_per_s`: what the device can do at most, flops of single precision; None where it is not known.
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
        """`seconds`, of a part that has them: a formula of times is asked for no other."""
        assert self.seconds is not None
        return self.seconds


@dataclass(frozen=True)
class Figure:
    """A number of a point that a pair knows how to make of its parts.

    `needs`: the parts that `formula` takes, in that order; it is not asked where one of them is not there. `of`: what
    it is made of, times or counts; it is not asked where the parts have none. `unit` as a metric has it. `formula` may
    give None where the number does not exist. `enough`: the share of the best value with which one may be content; the
    least value of the first knob that gives it is reported. Of figures that are better the higher they are.
    """

    name: str
    unit: str
    better: Literal["lower", "higher", "neither"]
    of: Literal["times", "counts"]
    needs: Sequence[str]
    description: str
    formula: Callable[..., float | None]
    enough: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What `ptxbench tune` does with a pair by default.

    `values(sms)`: what to try, one or two knobs or dimensions by name, on a GPU of so many SMs. `size(sms)`: the size
    of a point apart from these; `emulated`: the same without a GPU. `parts`: the launches that make a point, by name,
    each a function of the point's whole size that gives the launch's; the first is the point itself. `figures`: what
    the parts come to. `aliases`: other names of dimensions.
    """

    values: Callable[[int], Mapping[str, Sequence[int]]]
    size: Callable[[int], Values]
    emulated: Values
    parts: Mapping[str, Callable[..., Values]] = field(default_factory=dict)
    figures: Sequence[Figure] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    cannot_know: str = ""
    """What only a GPU can tell of this pair, as a sentence for those without one."""


def with_values(function: Callable[..., Any], values: Values) -> Callable[..., Any]:
    """`function`, given those of `values` that it has parameters for."""
    import functools
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a built-in without a signature takes no knob
        return function
    any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    taken = {
        name: value
        for name, value in values.items()
        if any_name or name in {parameter.name for parameter in parameters}
    }
    return functools.partial(function, **taken) if taken else function
