"""What may differ from launch to launch without a right kernel's result doing so, and which of it a result goes by.

Several things vary in one launch; where its result is wrong, launches with one of them each find out which.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ptxbench.arrays import Array
from ptxbench.check.candidate_launcher import CandidateLauncher
from ptxbench.check.findings import Finding, finding
from ptxbench.check.launching import CheckCase, CheckKernel, LaunchOptions, LaunchResult, launch
from ptxbench.emulator.messages import CtaOrder
from ptxbench.emulator.variation import EXTREMES, Variation
from ptxbench.errors import KernelError
from ptxbench.runner.case_data import errors_of

ORDERS: dict[CtaOrder, str] = {
    "last first": "with one CTA after the other, from the last",
    "by turns": "with all CTAs in turn from barrier to barrier",
}
"""Other orders of the CTAs, none of which CUDA forbids, and what a message calls them."""


@dataclass(frozen=True)
class Aspect:
    """One thing that varies: the code of a result that depends on it, its words in a message, and a launch with it."""

    code: str
    words: str
    how: LaunchOptions


def hardware(words: str, **seeds: int) -> Aspect:
    return Aspect("depends-on-hardware", words, LaunchOptions(variation=Variation(**seeds)))


def aspects(
    drawn: random.Random, number: int = 0, order: CtaOrder = "usual", *, approximate: bool = False
) -> tuple[Aspect, ...]:
    """What varies in launch `number`: all that can, CTAs in this order, approximate instructions on demand."""
    seed = EXTREMES * drawn.getrandbits(30) + number % EXTREMES
    poison = drawn.choice((0x00, 0x5A, drawn.randrange(1, 0xFF)))
    found = [
        Aspect("depends-on-address", "with the arrays and other memory elsewhere", LaunchOptions(placement=seed)),
        Aspect("depends-on-output", f"with outputs 0x{poison:02x} before", LaunchOptions(poison=poison)),
        hardware("with other values of %nsmid, %smid, %gridid, clocks and their like", registers=seed),
        hardware("with other bytes in shared and local memory and registers at first", memory=seed),
        hardware("with other signs and payloads of NaN", nans=seed),
    ]
    if order != "usual":
        found.insert(0, Aspect("depends-on-threads", ORDERS[order], LaunchOptions(ctas=order)))
    if approximate:
        words = "with results of approximate instructions off as far as the PTX ISA allows"
        found.insert(0, hardware(words, approximate=seed))
    return tuple(found)


def together(some: Sequence[Aspect]) -> LaunchOptions:
    """A launch in which all of them vary."""
    usual = LaunchOptions()
    changed: dict[str, object] = {}
    seeds: dict[str, int] = {}
    for each in some:
        changed.update({name: value for name, value in vars(each.how).items() if value != getattr(usual, name)})
        seeds.update({name: seed for name, seed in vars(each.how.variation).items() if seed is not None})
    return replace(usual, **{**changed, "variation": Variation(**seeds)})  # type: ignore[arg-type]


def varied(
    asking: CandidateLauncher, case: CheckCase, first: LaunchResult | None, some: Sequence[Aspect]
) -> Iterator[Finding]:
    """What a launch gives in which `some` vary: a finding where that is wrong, or unlike `first` in bits."""
    how = together(some)
    wrong, left = outcome(asking, case, how)
    if wrong is None:
        yield from other_bits(asking, case, first, left, some)
        return
    for each in some:
        alone, _ = outcome(asking, case, each.how)
        if alone is not None and not beyond(asking, case, each.how):
            yield finding("repeats", each.code, f"{each.words}: {alone.message}", alone.line, alone.column)
            return
    if not beyond(asking, case, how):
        words = "with all of addresses, outputs, registers and unwritten memory changed"
        yield finding("repeats", "depends-on-hardware", f"{words}: {wrong.message}", wrong.line, wrong.column)


def outcome(
    asking: CandidateLauncher, case: CheckCase, how: LaunchOptions
) -> tuple[Finding | None, LaunchResult | None]:
    """What is wrong with one launch, and what it left."""
    try:
        left = asking.launch(case, how)
    except KernelError as error:
        return asking.fault("repeats", error, case), None
    return asking.wrong("repeats", left, allowed(case, how, left), how.poison), left


def allowed(case: CheckCase, how: LaunchOptions, left: LaunchResult) -> CheckCase:
    """`case` with the tolerance of a GPU, whose approximate instructions are off, where this launch's are."""
    if how.variation.approximate is None:
        return case
    return replace(case, expected=case.expected.widened(errors_of(left.approximate)))


def beyond(asking: CandidateLauncher, case: CheckCase, how: LaunchOptions) -> bool:
    """Whether a kernel of the pair's goes wrong in such a launch too."""
    return any(goes_wrong(asking, each, case, how) for each in asking.exam.reference_kernels.values())


def goes_wrong(asking: CandidateLauncher, kernel: CheckKernel, case: CheckCase, how: LaunchOptions) -> bool:
    try:
        left = launch(kernel, asking.exam.pair, case, how)
    except KernelError:
        return True
    return left.changed is not None or asking.exam.wrong(left, allowed(case, how, left)) is not None


def other_bits(
    asking: CandidateLauncher,
    case: CheckCase,
    first: LaunchResult | None,
    left: LaunchResult | None,
    some: Sequence[Aspect],
) -> Iterator[Finding]:
    """A warning where a launch is right, and other bits than `first`. Approximate instructions may well do that."""
    if first is None or not unlike(case, first, left, ""):
        return
    if any(each.how.variation.approximate is not None for each in some) and first.approximate:
        return
    for each in some:
        _, alone = outcome(asking, case, each.how)
        if warned := unlike(case, first, alone, each.words):
            yield from warned
            return


def unlike(case: CheckCase, first: LaunchResult, left: LaunchResult | None, words: str) -> list[Finding]:
    """A warning where a launch left other bits than the first; `words` say what was otherwise."""
    names = case.expected.outputs
    if left is None or all(same(first.outputs[name], left.outputs[name]) for name in names):
        return []
    return [finding("repeats", "bits-differ", f"{case.label}: other bits {words}.")]


def same(a: Array, b: Array) -> bool:
    """Whether two arrays have the same bits, but for payloads of NaN."""
    bits = f"u{a.itemsize}"
    equal = a.view(bits) == b.view(bits)
    return bool(equal.all() or (a.dtype.kind not in "iub" and (equal | np.isnan(a) & np.isnan(b)).all()))
