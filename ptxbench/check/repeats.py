"""The stage `repeats`: launches on the same data that differ in things that must not matter to a correct kernel."""

from __future__ import annotations

import contextlib
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ptxbench.arrays import Array, is_float
from ptxbench.backends.buffers import POISON
from ptxbench.check.candidate_launcher import CandidateLauncher
from ptxbench.check.finding_codes import ERROR
from ptxbench.check.findings import Finding, Skip, StageOutcome, finding
from ptxbench.check.launching import CheckCase, LaunchOptions, LaunchResult
from ptxbench.check.lint import PHASE_WAIT, reads_hardware
from ptxbench.check.polls import announces, announces_updates, lines_of, swaps
from ptxbench.check.variations import ORDERS, OTHER_WARPS, Aspect, aspects, outcome, unlike, varied
from ptxbench.emulator.messages import CtaOrder
from ptxbench.emulator.types import LANES
from ptxbench.emulator.variation import Variation
from ptxbench.errors import KernelError
from ptxbench.pair import In, InOut, Out
from ptxbench.units import plural
from ptxbench.verify import expect

ROUNDS: Sequence[CtaOrder] = ("first first", "last first", "by turns")
"""The order of the CTAs in each of the launches in which everything varies."""

ACTIVE_MASK = re.compile(r"activemask\b")

ALONE: Sequence[CtaOrder] = ("first alone", "last alone")

MOST_CHANGED = 64
"""At most one element in this many differs from the last launch, so that a look at a few elements finds no change."""

MANY_CHANGED = 2
"""For old outputs also at least one element in four times as many differs, so that the greatest one of some row does,
and the next one, which an old output names, does not."""


def repeats(launcher: CandidateLauncher) -> StageOutcome:
    """Launches on the same data that differ in things that must not matter, also after launches on other data."""
    suite, launches_before = launcher.suite, launcher.launches
    case, other, small = suite.repeated
    first: LaunchResult | None = None
    # First each case once, so that a kernel that is always wrong gets no finding about repetition.
    for repeated_case in suite.repeated:
        wrong, result = outcome(launcher, repeated_case, LaunchOptions())
        if wrong:
            if wrong.severity == ERROR and suite.beyond_contract(repeated_case):
                raise Skip("the pair's own kernels fail on these data too")
            return StageOutcome(repeated_case.label, [wrong])
        first = result if repeated_case is case else first
    assert first is not None
    findings: list[Finding] = []
    for find in (
        everything_varied,
        stores_first,
        largest_by_turns,
        first_warps,
        on_other_hardware,
        with_nans,
        collisions,
        stale_outputs,
        kept_module,
    ):
        findings += find(launcher, first, case, other, small)
        if any(difference.severity == ERROR for difference in findings):
            break
    worst = [difference for difference in findings if difference.severity == ERROR] or findings[:1]
    return StageOutcome(
        f"{launcher.launches - launches_before} launches, {'the same bits' if not findings else 'different results'}",
        worst[:1],
    )


def everything_varied(
    launcher: CandidateLauncher, first: LaunchResult, case: CheckCase, *others: CheckCase
) -> Iterator[Finding]:
    """Launches in which addresses, memory, registers, NaNs, approximate results, and the order of the lanes and of the
    CTAs, and results of waits for mbarriers vary."""
    drawn, locations = launcher.suite.drawn("variations"), launcher.text.locations
    waits, masks = (
        {locations.file_line(line) for line in lines_of(launcher.text.module, pattern)}
        for pattern in (PHASE_WAIT, ACTIVE_MASK)
    )
    if launcher.one_try is not None:  # the others do not give up
        waits = {locations.file_line(launcher.one_try.line)}
    for number, order in enumerate(ROUNDS):
        if case.launch.cooperative:  # no CTA can end before the others begin
            order = "by turns"
        varying = aspects(drawn, number, order, approximate=number == 0, lanes=number == 1, waits=waits, masks=masks)
        yield from varied(launcher, case, first, varying)


def stores_first(launcher: CandidateLauncher, *others: object) -> Iterator[Finding]:
    """The largest check size with CTAs stopped after each store that others may wait for, and before each swap, if the
    kernel has any. Then a wait that looks at the sums of many CTAs finds none that includes the sums of the CTAs
    before, and what the first CTA does by a swap comes after what others do meanwhile."""
    if swaps(launcher.text.module) or announces(launcher.text.module):
        aspect = Aspect("depends-on-threads", ORDERS["stores first"], LaunchOptions(ctas="stores first"))
        yield from first_of(varied(launcher, case, None, [aspect]) for case in exchanging(launcher, 0))


def largest_by_turns(launcher: CandidateLauncher, *others: object) -> Iterator[Finding]:
    """The largest check size with the CTAs in turns, if the kernel swaps or has strong stores.

    At the size of the other launches, each CTA may have places of its own: then no swap fails, and no update is lost.
    """
    if swaps(launcher.text.module) or announces(launcher.text.module):
        aspect = Aspect("depends-on-threads", ORDERS["by turns"], LaunchOptions(ctas="by turns"))
        yield from first_of(varied(launcher, case, None, [aspect]) for case in exchanging(launcher, 1))


def first_of(findings_of_cases: Iterable[Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of the first case that has any."""
    yield from next(filter(None, map(list, findings_of_cases)), [])


def exchanging(launcher: CandidateLauncher, turn: int) -> Iterator[CheckCase]:
    """The largest check size; if the kernel swaps, also on the `turn`-th half of the other data: whether a lost update
    of a maximum shows depends on which CTA has the greatest element."""
    yield launcher.suite.largest
    if swaps(launcher.text.module):
        yield from launcher.suite.largest_on_other_data[turn::2]


def first_warps(launcher: CandidateLauncher, *others: object) -> Iterator[Finding]:
    """The largest check size with one warp of each CTA going first, the lowest and then the highest one, if warps
    update what one of them may announce."""
    case = launcher.suite.largest
    if math.prod(case.launch.block_xyz) > LANES and announces_updates(launcher.text.module):
        for lanes in (None, 1):
            options = LaunchOptions(ctas="first warps", variation=Variation(lanes=lanes))
            aspect = Aspect("depends-on-threads", ORDERS["first warps"], options, hint=OTHER_WARPS)
            yield from varied(launcher, case, None, [aspect])


def on_other_hardware(launcher: CandidateLauncher, *others: object) -> Iterator[Finding]:
    """Every check size with other hardware registers, for a kernel that reads them: each size may take another path."""
    if reads_hardware(launcher.text.module):
        drawn = launcher.suite.drawn("elsewhere")
        for number, case in enumerate(launcher.suite.check):
            yield from varied(launcher, case, None, aspects(drawn, number))


def with_nans(launcher: CandidateLauncher, first: LaunchResult, *others: CheckCase) -> Iterator[Finding]:
    """A launch on data with NaNs that have other signs and payloads than before. Data on which the kernel is wrong
    anyway are not counted: they have passed the stage `values`, because the pair does not handle NaN."""
    suite = launcher.suite
    special_cases = (made_case for series in suite.special for made_case in series.cases or series)
    inputs = [arg.name for arg in suite.pair.args if isinstance(arg, In | InOut)]
    with_nan = (made_case for made_case in special_cases if any(has_nan(made_case.arguments[name]) for name in inputs))
    case = next((made_case for made_case in with_nan if suite.reference_failures.get((made_case, False)) is None), None)
    if case is not None:
        findings = list(varied(launcher, case, None, aspects(suite.drawn("NaN"), approximate=True)))
        if findings and outcome(launcher, case, LaunchOptions())[0] is None:
            yield from findings


def has_nan(value: object) -> bool:
    return isinstance(value, np.ndarray) and is_float(value.dtype) and bool(np.isnan(value).any())


def collisions(launcher: CandidateLauncher, first: LaunchResult, case: CheckCase, *others: object) -> Iterator[Finding]:
    """Bytes that both the first and the last CTA write when they run alone: a race that may not show in any order of
    CTAs.

    Not for kernels with atomics on global memory: there this may be correct. If every CTA stores to one place, the
    largest check size is tried too: at the size of `case` the last CTA may have nothing to add.
    """
    if first.counters["ptx_atomic_global_requests"]:
        return
    if (collision := collision_at(launcher, case, first)) is None and stores_to_one_place(launcher):
        with contextlib.suppress(KernelError):
            largest = launcher.suite.largest
            collision = collision_at(launcher, largest, launcher.launch(largest, LaunchOptions()))
    if collision is not None:
        name, message = collision
        yield launcher.text.locations.at("repeats", "depends-on-threads", message, line_of_stores(launcher, name))


def line_of_stores(launcher: CandidateLauncher, name: str) -> int:
    """The line of the PTX of the stores to an array; 0 if they are at several lines of the candidate's file."""
    stores = [
        instruction.line
        for subject in launcher.lint_subjects
        for instruction, roots in subject.writes
        if any(root in subject.arrays and subject.arrays[root].name == name for root in roots)
    ]
    return stores[0] if len({*map(launcher.text.locations.file_line, stores)}) == 1 else 0


def stores_to_one_place(launcher: CandidateLauncher) -> bool:
    """Whether the lint found a plain store to an address that is the same in every CTA."""
    return any(complaint.code == "same-place" for complaint in launcher.complaints)


def collision_at(launcher: CandidateLauncher, case: CheckCase, all_ctas: LaunchResult) -> tuple[str, str] | None:
    """The array with a byte that both the first and the last CTA write if they run alone, and a message about it; None
    if there is none. `all_ctas`: the result of a launch of all CTAs."""
    if math.prod(case.launch.grid_xyz) < len(ALONE):
        return None
    try:
        first_alone, last_alone = (launcher.launch(case, LaunchOptions(ctas=order)) for order in ALONE)
    except KernelError:  # a CTA waits for others, which the launches in other orders test
        return None
    for name in launcher.suite.pair.outputs:
        before = case.arguments[name].tobytes() if name in launcher.suite.initialised else None
        a, b, complete = (
            np.frombuffer(result.outputs[name].tobytes(), np.uint8) for result in (first_alone, last_alone, all_ctas)
        )
        initial = np.full_like(a, POISON) if before is None else np.frombuffer(before, np.uint8)
        both = (a != initial) & (b != initial) & ((a != b) | (a != complete))
        if both.any():
            words = f"the first and the last CTA both write byte {both.argmax()} of '{name}', without an atomic."
            return name, f"{case.label}: {words}"
    return None


def stale_outputs(
    launcher: CandidateLauncher, first: LaunchResult, case: CheckCase, other: CheckCase, *others: object
) -> Iterator[Finding]:
    """A launch whose outputs hold the results of other data, as on a GPU after another launch: a kernel that looks at
    them may take them for its own, and do nothing. If it loads from them, also the results of data of which few
    elements differ, and many: it may compare some of them with its inputs."""
    words = "with outputs that hold the results of other data"
    close = few_and_many_changes(launcher, case, other) if loads_outputs(launcher) else ()
    for stale in (other, *close):
        yield from varied(launcher, case, first, [Aspect("depends-on-output", words, LaunchOptions(stale=stale))])


def few_and_many_changes(launcher: CandidateLauncher, case: CheckCase, other: CheckCase) -> Iterator[CheckCase]:
    """The case with the fewest changed elements that change the result visibly, and with about one in MANY_CHANGED."""
    yield smallest_visible_change(launcher, case, other)
    yield from deque(changes(launcher, case, other, MANY_CHANGED), maxlen=1)


def loads_outputs(launcher: CandidateLauncher) -> bool:
    """Whether a kernel loads from an array that the pair says it only writes."""
    return any(
        re.match(r"(ld|atom)\b(?!\.param)", instruction.opcode)
        and any(isinstance(subject.arrays.get(root), Out) for root in roots)
        for subject in launcher.lint_subjects
        for instruction, roots in subject.addressed
    )


def kept_module(
    launcher: CandidateLauncher, first: LaunchResult, case: CheckCase, other: CheckCase, small: CheckCase
) -> Iterator[Finding]:
    """Launches of one module, which keep its variables from launch to launch."""
    close = smallest_visible_change(launcher, case, other)
    kept: dict[str, bytes] = {}
    for number, current in enumerate((small, case, close, other, small, close, case), 1):
        try:
            result = launcher.launch(current, LaunchOptions(), kept)
        except KernelError as error:
            wrong: Finding | None = launcher.fault("repeats", error, current)
        else:
            wrong = launcher.wrong("repeats", result, current)
        message = f"launch {number} of the same module"
        if wrong is not None:
            yield finding("repeats", "depends-on-launch", f"{message}: {wrong.message}", wrong.line, wrong.column)
            return
        if not kept:
            return
        if current is case:
            yield from unlike(case, first, result, f"in {message}")


def smallest_visible_change(launcher: CandidateLauncher, case: CheckCase, other: CheckCase) -> CheckCase:
    """Data that differ from the case's in the fewest elements that change the result visibly; `case` if none do."""
    for changed in changes(launcher, case, other):
        expected = changed.expected
        if any(visible(case, name, expected.outputs[name], expected.bounds[name]) for name in expected.outputs):
            return changed
    return case


def changes(
    launcher: CandidateLauncher, case: CheckCase, other: CheckCase, one_in: int = MOST_CHANGED
) -> Iterator[CheckCase]:
    """Data that differ from the case's in one element, in 4, 16 and so on, as long as these are no more than one in so
    many.

    The elements come from `other`, which has the same size, so the pair could have drawn them. Integer inputs that
    the pair draws itself, such as indices, are not changed.
    """
    suite = launcher.suite
    drawn = np.random.default_rng(suite.drawn("close").getrandbits(32))
    names = [
        arg.name
        for arg in suite.pair.args
        if isinstance(arg, In) and (is_float(arg.dtype) or arg.values is None) and arg.name not in case.aliases
    ]
    sizes = {name: case.arguments[name].size for name in names}
    orders = {name: drawn.permutation(size) for name, size in sizes.items()}
    count = 1
    while any(count <= size // one_in for size in sizes.values()):
        changed = {}
        for name, order in orders.items():
            value = case.arguments[name].copy()
            positions = order[: min(count, max(sizes[name] // one_in, 1))]
            value.reshape(-1)[positions] = other.arguments[name].reshape(-1)[positions]
            changed[name] = value
        arguments = {**case.arguments, **changed}
        label = f"{case.label}, with {plural(count, 'element')} changed"
        yield replace(case, label=label, arguments=arguments, expected=expect(suite.pair, arguments))
        count *= 4


def visible(case: CheckCase, name: str, value: Array, bound: Array) -> bool:
    """Whether an output differs from the case's by more than the tolerances allow."""
    before = case.expected.outputs[name]
    if before.shape != value.shape:
        return True
    with np.errstate(invalid="ignore"):
        return bool((np.abs(value - before) > 2 * (bound + case.expected.bounds[name])).any())
