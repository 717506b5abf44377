"""The comparison of two launched kernels in words: their outputs, and the machine instructions that they execute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ptxbench.executed import Executed
from ptxbench.execution import FAULT, FINDING, UNSUPPORTED
from ptxbench.kernel_comparison import NAN, NOTHING, SAME, ArrayComparison, LaunchComparison
from ptxbench.kernel_timing import OTHER, KernelTiming
from ptxbench.listing.explanation.finding import percent
from ptxbench.metrics import REFERENCE
from ptxbench.rival import rival_of
from ptxbench.units import ABSENT, plural
from ptxbench.wording.findings import time_fact

ROUNDING = 1e-2
"""A relative difference above this is not explained by rounding, so no tolerance is proposed."""


def closing(comparison: LaunchComparison, timed: KernelTiming | None = None) -> Iterator[str]:
    """Whether the outputs are the same, which kernel executes fewer machine instructions, and which takes less time."""
    yield from outputs(comparison)
    executed = [outcome.executed for outcome in comparison.outcomes]
    if comparison.status == SAME and executed[0] is not None and executed[1] is not None:
        yield instructions(comparison.names, (executed[0], executed[1]))
    if timed:
        yield from times(timed, comparison.names)


def times(timed: KernelTiming, names: tuple[str, str]) -> Iterator[str]:
    """`On NVIDIA H100, b takes 4 % less time than a (95 % interval ...; FASTER).`, or why there is no time."""
    if timed.problem or timed.cell is None:
        yield timed.problem or f"Not timed on {timed.device}."
        return
    rival = rival_of(timed.cell, REFERENCE)
    fact = rival and time_fact(rival, timed.noise)(timed.cell, OTHER, REFERENCE, names[0])
    yield f"On {timed.device}, {names[1]} {fact or f'has no ratio to the time of {names[0]}'}."
    if timed.cell.labels:
        yield f"Labels: {', '.join(timed.cell.labels)}."


# ---- outputs


def outputs(comparison: LaunchComparison) -> Iterator[str]:
    """Sentences about the outputs of two kernels: whether they agree, NaNs, printed texts and findings."""
    if any(outcome.error for outcome in comparison.outcomes):
        yield f"No outputs were compared: {' '.join(reasons(comparison))}"
        return
    if comparison.status == NOTHING:
        yield (
            "Nothing was compared: neither kernel changes an array. Give another --grid, --block or --arg, such "
            "as an output that does not start with the result."
        )
        return
    wrong = [array for array in comparison.outputs if array.outside]
    for array in wrong:
        yield from difference(array, comparison)
    if not wrong and comparison.status != NAN:
        yield agreement(comparison)
    for array in comparison.outputs:
        if array.both_nan:
            yield (
                f"'{array.name}' is NaN in both at {array.both_nan:,} of {array.size:,} elements, which shows "
                "nothing. Check the launch and its data."
            )
        elif any(array.nan):
            a, b = (f"{count:,} from {name}" for count, name in zip(array.nan, comparison.names, strict=True))
            yield f"'{array.name}' has NaNs: {a}, {b}."
    if comparison.outcomes[0].printed != comparison.outcomes[1].printed:
        yield "The kernels print different texts."
    for name, outcome in zip(comparison.names, comparison.outcomes, strict=True):
        if outcome.status == FINDING:
            count = len(outcome.findings)
            yield f"The sanitizer reports {count} error{'' if count == 1 else 's'} of {name}."


def reasons(comparison: LaunchComparison) -> Iterator[str]:
    """Why a kernel did not run to its end."""
    for name, outcome in zip(comparison.names, comparison.outcomes, strict=True):
        if outcome.status == FAULT:
            yield f"{name} failed."
        elif outcome.status == UNSUPPORTED:
            yield f"{name} has an instruction that the emulator does not support."


def difference(array: ArrayComparison, comparison: LaunchComparison) -> Iterator[str]:
    """`The outputs differ: y[5] is 1.5 in A and 2 in B; 12 of 64 elements are not equal.`"""
    a, b = comparison.names
    beyond = "not equal" if comparison.closeness.exact else f"not within {comparison.closeness.describe}"
    verb = "is" if array.outside == 1 else "are"
    where = f"'{array.name}'"
    if array.worst is not None and array.values is not None:
        index = f"[{', '.join(map(str, array.worst))}]" if array.worst else ""
        where = f"{array.name}{index} is {array.values[0]} in {a} and {array.values[1]} in {b}"
    place = f", all in {array.name}{array.region}," if array.region else ""
    yield f"The outputs differ: {where}; {array.outside:,} of {array.size:,} elements{place} {verb} {beyond}."
    if only := next((name for name, changed in zip((a, b), array.changed, strict=True) if not changed), None):
        yield f"{only} does not change '{array.name}'."
        return
    if proposals := list(tolerances(array)):
        yield (
            f"The greatest difference is {array.greatest:.2g}, relative {amount_words(array.relative)}. "
            f"If rounding explains that, allow it with --tolerance {' or '.join(proposals)}."
        )


def tolerances(array: ArrayComparison) -> Iterator[str]:
    """The values of --tolerance that would accept the array, if its differences are small enough to be of rounding."""
    if array.greatest is None or not array.type.floating:
        return
    if array.relative is not None and array.relative < ROUNDING:
        yield f"{rounded_up(array.relative)} (relative)"
    if array.greatest < ROUNDING * array.scale:
        yield f"0,{rounded_up(array.greatest)} (absolute)"


def amount_words(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2g}"


def rounded_up(value: float) -> str:
    """A number of two digits above `value`: 1.3e-07 of 1.2345e-07."""
    return f"{value * 1.05:.2g}"


def agreement(comparison: LaunchComparison) -> str:
    """That the outputs are the same, and how closely."""
    arrays = comparison.outputs
    listed = ", ".join(f"{array.name} ({plural(array.size, 'element')})" for array in arrays)
    other_bits = sum(array.unlike for array in arrays)
    if not other_bits:
        return f"Same outputs, bit by bit: {listed}."
    elements = plural(other_bits, "element")
    if comparison.closeness.exact or not any(array.greatest for array in arrays):
        verb = "differs" if other_bits == 1 else "differ"
        return f"Equal outputs: {listed}. {elements} {verb} in the sign of a zero or in the bits of a NaN."
    greatest = max(array.greatest or 0.0 for array in arrays)
    return (
        f"The outputs agree within {comparison.closeness.describe}: {listed}. "
        f"The bits of {elements} differ; the greatest difference is {greatest:.3g}."
    )


# ---- machine instructions


def instructions(names: tuple[str, str], executed: tuple[Executed, Executed]) -> str:
    """Which kernel executes fewer machine instructions, if their ranges do not overlap."""
    left, right = map(range_of, executed)
    if left is None or right is None:
        name, lacking = (names[0], executed[0]) if left is None else (names[1], executed[1])
        return f"Which kernel executes fewer machine instructions is not known: {name}: {lacking.reason}."
    if left == right and left.least == left.most:
        return f"Both execute {left} machine instructions."
    sides = ((names[0], left), (names[1], right))
    for (few, fewer), (many, more) in (sides, sides[::-1]):
        if fewer.most < more.least:
            least, most = percent(1 - fewer.most / more.least), percent(1 - fewer.least / more.most)
            share = least if least == most else f"{least} to {most}"
            return f"{few} executes {share} fewer machine instructions than {many}: {fewer} against {more}."
    return (
        f"Which kernel executes fewer machine instructions is not known: the ranges overlap, {left} of {names[0]} and "
        f"{right} of {names[1]}."
    )


class Range(NamedTuple):
    """The least and the most machine instructions that warps may have executed."""

    least: int
    most: int

    def __str__(self) -> str:
        """`1,024`, or `1,024 to 2,048`."""
        return f"{self.least:,}" if self.least == self.most else f"{self.least:,} to {self.most:,}"


def range_of(executed: Executed) -> Range | None:
    """None if there is no number."""
    if executed.least is None or executed.most is None:
        return None
    return Range(executed.least, executed.most)
