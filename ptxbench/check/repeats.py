"""The stage `repeats`: launches on one set of data that differ in what must not matter to a right kernel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ptxbench.arrays import Array, is_float
from ptxbench.check.candidate_launcher import CandidateLauncher
from ptxbench.check.finding_codes import ERROR
from ptxbench.check.findings import Finding, Skip, StageOutcome, finding
from ptxbench.check.launching import POISON, CheckCase, LaunchOptions, LaunchResult
from ptxbench.check.lint import reads_hardware
from ptxbench.check.variations import aspects, outcome, unlike, varied
from ptxbench.emulator.messages import CtaOrder
from ptxbench.errors import KernelError
from ptxbench.pair import In
from ptxbench.verify import expect

ROUNDS: Sequence[CtaOrder] = ("usual", "last first", "by turns")
"""The order of the CTAs in each launch in which everything varies."""

ALONE: Sequence[CtaOrder] = ("first alone", "last alone")

MOST_CHANGED = 64
"""One element in so many of an input differs from the last launch's at the most, so that few samples show none."""


def repeats(asking: CandidateLauncher) -> StageOutcome:
    """Launches on one set of data that differ in what must not matter, and later ones among others."""
    exam, before = asking.exam, asking.launches
    case, other, small = exam.repeated
    first: LaunchResult | None = None
    for each in exam.repeated:  # alone, so that what is wrong anyway is not taken for the repetition's doing
        wrong, left = outcome(asking, each, LaunchOptions())
        if wrong:
            if wrong.severity == ERROR and exam.beyond_contract(each):
                raise Skip("the pair's own kernels fail on its data too")
            return StageOutcome(each.label, [wrong])
        first = left if each is case else first
    assert first is not None
    found: list[Finding] = []
    for find in (everything_varied, elsewhere, with_nans, collisions, kept_module):
        found += find(asking, first, case, other, small)
        if any(each.severity == ERROR for each in found):
            break
    worst = [each for each in found if each.severity == ERROR] or found[:1]
    return StageOutcome(
        f"{asking.launches - before} launches, {'the same bits' if not found else 'not alike'}", worst[:1]
    )


def everything_varied(
    asking: CandidateLauncher, first: LaunchResult, case: CheckCase, *others: CheckCase
) -> Iterator[Finding]:
    """Launches in which addresses, memory, registers, NaNs, approximate results and the order of the CTAs vary."""
    drawn = asking.exam.drawn("variations")
    for number, order in enumerate(ROUNDS):
        yield from varied(asking, case, first, aspects(drawn, number, order, approximate=number == 0))


def elsewhere(asking: CandidateLauncher, *others: object) -> Iterator[Finding]:
    """Every check size on another GPU, for a kernel that reads where it runs: each may send it another way."""
    if reads_hardware(asking.text.module):
        drawn = asking.exam.drawn("elsewhere")
        for number, case in enumerate(asking.exam.check):
            yield from varied(asking, case, None, aspects(drawn, number))


def with_nans(asking: CandidateLauncher, first: LaunchResult, *others: CheckCase) -> Iterator[Finding]:
    """A launch on data with NaNs, of other signs and payloads than before."""
    exam = asking.exam
    made = (each for question in exam.special for each in question.made or question)
    having = (each for each in made if any(map(has_nan, each.arguments.values())))
    case = next((each for each in having if exam.excused.get((id(each), False)) is None), None)
    if case is not None:
        yield from varied(asking, case, None, aspects(exam.drawn("NaN"), approximate=True))


def has_nan(value: object) -> bool:
    return isinstance(value, np.ndarray) and is_float(value.dtype) and bool(np.isnan(value).any())


def collisions(
    asking: CandidateLauncher, first: LaunchResult, case: CheckCase, *others: CheckCase
) -> Iterator[Finding]:
    """What the first and the last CTA both write, each as if the other did not: a race that no order need show.

    Where the kernel has atomics on global memory that is as it should be, and which they are is not known.
    """
    if first.counters["ptx_atomic_global_requests"] or math.prod(case.launch.grid_xyz) < len(ALONE):
        return
    try:
        one, other = (asking.launch(case, LaunchOptions(ctas=order)) for order in ALONE)
    except KernelError:  # a CTA that waits for others, with or without right: another order tells
        return
    for name in asking.exam.pair.outputs:
        before = case.arguments[name].tobytes() if name in asking.exam.initialised else None
        a, b, whole = (np.frombuffer(each.outputs[name].tobytes(), np.uint8) for each in (one, other, first))
        initial = np.full_like(a, POISON) if before is None else np.frombuffer(before, np.uint8)
        both = (a != initial) & (b != initial) & ((a != b) | (a != whole))
        if both.any():
            told = f"{case.label}: the first and the last CTA both write byte {both.argmax()} of '{name}'"
            yield finding("repeats", "depends-on-threads", f"{told}, without an atomic.")
            return


def kept_module(
    asking: CandidateLauncher, first: LaunchResult, case: CheckCase, other: CheckCase, small: CheckCase
) -> Iterator[Finding]:
    """Launches of one module, whose variables are as the launch before left them. Without variables they are alone."""
    close = close_to(asking, case, other)
    kept: dict[str, bytes] = {}
    for number, each in enumerate((small, case, close, other, small, close, case), 1):
        try:
            left = asking.launch(each, LaunchOptions(), kept)
        except KernelError as error:
            wrong: Finding | None = asking.fault("repeats", error, each)
        else:
            wrong = asking.wrong("repeats", left, each)
        told = f"launch {number} of one module"
        if wrong is not None:
            yield finding("repeats", "depends-on-launch", f"{told}: {wrong.message}", wrong.line, wrong.column)
            return
        if not kept:
            return
        if each is case:
            yield from unlike(case, first, left, f"in {told}")


def close_to(asking: CandidateLauncher, case: CheckCase, other: CheckCase) -> CheckCase:
    """Data that differ from the case's in as few elements as change its result visibly; `case` where none do.

    The elements are those of `other`, which has the same size, so that each is one that the pair draws. Inputs of
    whole numbers that the pair draws itself, such as indices, stay as they are.
    """
    exam = asking.exam
    drawn = np.random.default_rng(exam.drawn("close").getrandbits(32))
    names = [
        arg.name
        for arg in exam.pair.args
        if isinstance(arg, In) and (is_float(arg.dtype) or arg.values is None) and arg.name not in case.aliases
    ]
    sizes = {name: case.arguments[name].size for name in names}
    orders = {name: drawn.permutation(size) for name, size in sizes.items()}
    count = 1
    while any(count <= size // MOST_CHANGED for size in sizes.values()):
        changed = {}
        for name, order in orders.items():
            value = case.arguments[name].copy()
            some = order[: min(count, max(sizes[name] // MOST_CHANGED, 1))]
            value.reshape(-1)[some] = other.arguments[name].reshape(-1)[some]
            changed[name] = value
        arguments = {**case.arguments, **changed}
        expected = expect(exam.pair, arguments)
        if any(visible(case, name, expected.outputs[name], expected.bounds[name]) for name in expected.outputs):
            label = f"{case.label}, with {count} elements changed"
            return replace(case, label=label, arguments=arguments, expected=expected)
        count *= 4
    return case


def visible(case: CheckCase, name: str, value: Array, bound: Array) -> bool:
    """Whether an output is another than the case's, whatever its tolerance allows for."""
    before = case.expected.outputs[name]
    if before.shape != value.shape:
        return True
    with np.errstate(invalid="ignore"):
        return bool((np.abs(value - before) > 2 * (bound + case.expected.bounds[name])).any())
