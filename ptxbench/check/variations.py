"""Launches that vary what must not change a correct kernel's result, and the search for what a result depends on.

Several things vary in one launch. If its result is wrong, further launches, each with one of them, find out which.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ptxbench.arrays import Array
from ptxbench.check.candidate_launcher import MEMORY_LIMIT, CandidateLauncher
from ptxbench.check.finding_codes import CODES
from ptxbench.check.findings import Finding, finding
from ptxbench.check.launching import CheckCase, CheckKernel, LaunchOptions, LaunchResult, launch
from ptxbench.check.pair_kernels import wrong_element
from ptxbench.check.polls import exchange_lines, swaps, uses_swaps
from ptxbench.emulator.messages import CtaOrder
from ptxbench.emulator.variation import EXTREMES, Variation
from ptxbench.errors import EmulatorCrash, KernelError
from ptxbench.runner.case_data import errors_of
from ptxbench.units import enumeration

ORDERS: dict[CtaOrder, str] = {
    "first first": "with the CTAs one after the other, the first one first",
    "last first": "with the CTAs one after the other, the last one first",
    "by turns": "with CTAs and warps that take turns at barriers, at swaps and between volatile accesses",
    "stores first": "with the CTAs stopped after a store that others may wait for, and the last one going on first",
    "first warps": "with one warp of each CTA before its other warps",
}
"""Other orders of the CTAs, all valid in CUDA, and their words in messages."""


ONE_AFTER_THE_OTHER: Sequence[CtaOrder] = ("first first", "last first")
NEVER_ENDS = ("endless", "deadlock")
NUMBER_THEM = (
    "A CTA waits for one that may start after it has ended. Number the CTAs by an atomic counter, in the order in "
    "which they start, and let a CTA wait only for lower numbers."
)
"""The hint for a kernel that does not end in one of these orders."""

WAIT_FOR_EACH_OTHER = (
    "CTAs wait for each other in this order of the CTAs, which is as valid as others. Take locks in the same order "
    "everywhere, and let no CTA wait for one that waits for it."
)
"""The hint for a kernel that does not end if the CTAs take turns."""

OTHER_WARPS = (
    "One warp announces that its CTA is ready, by a flag or a ticket, before other warps of the CTA are. Add a barrier "
    "(__syncthreads()) before it."
)
"""The hint for a kernel whose result is wrong if one warp of each CTA goes first."""

SWAPS = (
    "A swap (atom.cas, atom.exch) may come after one of another CTA. Repeat it until atom.cas returns the value that "
    "it compares, or use one atomic that updates the value, such as atom.max."
)
"""The hint for a kernel with swaps whose result is wrong in another order of the CTAs."""

STORES = (
    "A CTA may be stopped before and after each of its stores, while others go on. Wait for the flag of the value that "
    "is loaded, not for an earlier one, and store nothing to a place that another CTA may have updated already."
)
"""The hint for a kernel that stores by atom.exch, and whose result is wrong in another order of the CTAs."""

MOST_LINES = 4
"""The most lines that a hint names."""

RUNNING_LANES = (
    "activemask (in CUDA C __activemask()) gives the lanes that run at this moment, not those that will come here. Use "
    "the mask of the lanes that take this path, such as the result of vote.ballot (__ballot_sync) before the branch."
)
"""The hint for a kernel with activemask whose result depends on the order of the lanes."""


def order_hint(code: str, order: CtaOrder) -> str:
    """The hint for a launch that ends with the finding `code` only in this order; empty if that of the code will do."""
    if code in NEVER_ENDS and order in ONE_AFTER_THE_OTHER:
        return NUMBER_THEM
    return WAIT_FOR_EACH_OTHER if code == "endless" and order != "usual" else ""


def exchange_hint(launcher: CandidateLauncher) -> tuple[int | None, str]:
    """The first line in which CTAs exchange values, and a hint that names these lines; (None, "") if there are none."""
    module, locations = launcher.text.module, launcher.text.locations
    lines = sorted({line for number in exchange_lines(module) if (line := locations.file_line(number))})
    if not lines:
        return None, ""
    named = [*map(str, lines[:MOST_LINES]), *(["others"] if lines[MOST_LINES:] else [])]
    advice = SWAPS if uses_swaps(module) else STORES if swaps(module) else CODES["depends-on-threads"].hint
    return lines[0], f"CTAs exchange values in {'lines' if lines[1:] else 'line'} {enumeration(named)}. {advice}"


@dataclass(frozen=True)
class Aspect:
    """One thing that varies: the code of a result that depends on it, its words in messages, the launch options, the
    only line that it is about, and the hint, unless it is the code's."""

    code: str
    words: str
    options: LaunchOptions
    line: int | None = None
    hint: str = ""


def hardware(words: str, **seeds: int) -> Aspect:
    return Aspect("depends-on-hardware", words, LaunchOptions(variation=Variation(**seeds)))


def aspects(
    drawn: random.Random,
    number: int = 0,
    order: CtaOrder = "usual",
    *,
    approximate: bool = False,
    lanes: bool = False,
    waits: Collection[int | None] = (),
    masks: Collection[int | None] = (),
) -> tuple[Aspect, ...]:
    """Everything that varies in launch `number`: the CTAs in this order; approximate instructions, the order of the
    lanes, and the results of the waits for mbarriers at these lines, if requested. `masks`: the lines of each
    activemask."""
    seed = EXTREMES * drawn.getrandbits(30) + number % EXTREMES
    poison = drawn.choice((0x00, 0x5A, drawn.randrange(1, 0xFF)))
    varying = [
        Aspect(
            "depends-on-address", "with the arrays and other memory at other addresses", LaunchOptions(placement=seed)
        ),
        Aspect("depends-on-output", f"with outputs filled with 0x{poison:02x} before", LaunchOptions(poison=poison)),
        hardware(
            "with other values of %warpid, %smid, %nsmid, clocks and the like, and another lane from elect.sync",
            registers=seed,
        ),
        hardware(
            "with other initial bytes in shared memory, local memory and registers, and other values from inactive "
            "lanes of a shuffle",
            memory=seed,
        ),
        hardware("with other signs and payloads of NaN", nans=seed),
    ]
    if order != "usual":
        varying.insert(0, Aspect("depends-on-threads", ORDERS[order], LaunchOptions(ctas=order)))
    if lanes:
        words = "with one half of each warp before the other half"
        hint = RUNNING_LANES if masks else ""
        varying.insert(0, Aspect("schedule", words, LaunchOptions(variation=Variation(lanes=seed)), only(masks), hint))
    if waits:
        words = "with some results of mbarrier.try_wait or test_wait false, as after a time limit"
        varying.append(Aspect("wait-gives-up", words, LaunchOptions(variation=Variation(waits=seed)), only(waits)))
    if approximate:
        words = "with approximate instructions off by as much as the PTX ISA allows"
        varying.insert(0, hardware(words, approximate=seed))
    return tuple(varying)


def only(lines: Collection[int | None]) -> int | None:
    """The line, if there is only one."""
    return next(iter(lines)) if len(lines) == 1 else None


def all_options(varying: Sequence[Aspect]) -> LaunchOptions:
    """The options of a launch in which all of them vary."""
    usual = LaunchOptions()
    changed: dict[str, object] = {}
    seeds: dict[str, int] = {}
    for aspect in varying:
        changed.update({name: value for name, value in vars(aspect.options).items() if value != getattr(usual, name)})
        seeds.update({name: seed for name, seed in vars(aspect.options.variation).items() if seed is not None})
    return replace(usual, **{**changed, "variation": Variation(**seeds)})  # type: ignore[arg-type]


def varied(
    launcher: CandidateLauncher, case: CheckCase, first: LaunchResult | None, varying: Sequence[Aspect]
) -> Iterator[Finding]:
    """Findings of a launch in which all of `varying` vary, if its result is wrong or differs from `first` in bits."""
    options = all_options(varying)
    wrong, result = outcome(launcher, case, options)
    if wrong is None:
        yield from other_bits(launcher, case, first, result, varying)
        return
    for aspect in varying if wrong.code != MEMORY_LIMIT else ():  # a lack of memory says nothing about what varies
        alone, _ = outcome(launcher, case, aspect.options)
        if alone is not None and not reference_fails_too(launcher, case, aspect.options):
            line = alone.line or aspect.line
            hint = order_hint(alone.code, aspect.options.ctas) or aspect.hint
            several = math.prod(case.launch.grid_xyz) > 1
            if several and line is None and not hint and aspect.code == "depends-on-threads":
                line, hint = exchange_hint(launcher)
            message = f"{aspect.words}: {alone.message}"
            column = launcher.text.locations.column(line)
            yield finding("repeats", aspect.code, message, line, column, hint)
            return
    if reference_fails_too(launcher, case, options):
        return
    if wrong.code == MEMORY_LIMIT:
        yield wrong
        return
    words = "with other addresses, outputs, registers and unwritten memory"
    yield finding("repeats", "depends-on-hardware", f"{words}: {wrong.message}", wrong.line, wrong.column)


def outcome(
    launcher: CandidateLauncher, case: CheckCase, options: LaunchOptions
) -> tuple[Finding | None, LaunchResult | None]:
    """Launch once: what is wrong, and the result."""
    try:
        result = launcher.launch(case, options)
    except KernelError as error:
        return launcher.fault("repeats", error, case), None
    return launcher.wrong("repeats", result, with_tolerance(case, options, result), options.poison), result


def with_tolerance(case: CheckCase, options: LaunchOptions, result: LaunchResult) -> CheckCase:
    """`case`, with a tolerance for approximate instructions if this launch varies them."""
    if options.variation.approximate is None:
        return case
    return replace(case, expected=case.expected.widened(errors_of(result.approximate)))


def reference_fails_too(launcher: CandidateLauncher, case: CheckCase, options: LaunchOptions) -> bool:
    """Whether a kernel of the pair is wrong in such a launch too."""
    return any(
        fails_with(launcher, reference_kernel, case, options)
        for reference_kernel in launcher.suite.pair_kernels.right.values()
    )


def fails_with(launcher: CandidateLauncher, kernel: CheckKernel, case: CheckCase, options: LaunchOptions) -> bool:
    try:
        result = launch(kernel, launcher.suite.pair, case, options)
    except EmulatorCrash:  # says nothing about the launch
        raise
    except KernelError:
        return True
    return result.changed is not None or wrong_element(result, with_tolerance(case, options, result)) is not None


def other_bits(
    launcher: CandidateLauncher,
    case: CheckCase,
    first: LaunchResult | None,
    result: LaunchResult | None,
    varying: Sequence[Aspect],
) -> Iterator[Finding]:
    """A warning if a launch is right but has other bits than `first`. No warning if approximate instructions may be
    the reason."""
    if first is None or not unlike(case, first, result, ""):
        return
    if any(aspect.options.variation.approximate is not None for aspect in varying) and first.approximate:
        return
    for aspect in varying:
        _, alone = outcome(launcher, case, aspect.options)
        if warned := unlike(case, first, alone, aspect.words):
            yield from warned
            return


def unlike(case: CheckCase, first: LaunchResult, result: LaunchResult | None, words: str) -> list[Finding]:
    """A warning if the bits of a launch differ from the first; `words` say what varied."""
    names = case.expected.outputs
    if result is None or all(same(first.outputs[name], result.outputs[name]) for name in names):
        return []
    return [finding("repeats", "bits-differ", f"{case.label}: other bits {words}.")]


def same(a: Array, b: Array) -> bool:
    """Whether two arrays have the same bits, apart from the payloads of NaNs."""
    bits = f"u{a.itemsize}"
    equal = a.view(bits) == b.view(bits)
    return bool(equal.all() or (a.dtype.kind not in "iub" and (equal | np.isnan(a) & np.isnan(b)).all()))
