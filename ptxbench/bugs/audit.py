"""Bugs planted in the kernels of pairs, one at a time, and the verdict of `check` on each.

The bugs are chosen by a seed, one kind after the other, so that each kind has its share. A bug that cannot be built, or
does not change the machine code, is replaced by another.
"""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ptxbench.bugs import cuda, equivalent, ptx
from ptxbench.bugs.bug import KINDS, Bug
from ptxbench.bugs.outcome import CAUGHT, EXPLAINED, MISSED, SAME, UNJUDGED, BugOutcome
from ptxbench.bugs.trial import BugTrial
from ptxbench.check.findings import ACCEPTED, REJECTED
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import LoadedPair, Source, choose_pairs, load, select
from ptxbench.discovery.specialisation import at_least
from ptxbench.errors import KernelError, PairError, ToolMissing, UsageError
from ptxbench.interrupts import without_interrupts
from ptxbench.toolchain.locate import INSTALL, program

VARIANTS = ("ptx", "cuda")
"""The kernels of a pair that get bugs."""


@dataclass(frozen=True)
class TrialOrder:
    """What to plant: how many bugs in a kernel, the `seed` that chooses them, and their kinds."""

    kernels: Path
    arch: str
    seed: int
    bugs: int
    kinds: tuple[str, ...] = tuple(KINDS)


def kinds_of(patterns: Sequence[str]) -> tuple[str, ...]:
    """The kinds that match. Raises UsageError with a suggestion if a pattern matches none."""
    return select(tuple(KINDS), patterns, "kind of bug")


def audit(order: TrialOrder, patterns: Sequence[str] = (), jobs: int = 1) -> Iterator[BugOutcome]:
    """The outcomes of the matching pairs (all without a pattern), pair by pair; `jobs` pairs at a time.

    Raises UsageError for what matches nothing, ToolMissing without ptxas, PairError for a kernel that `check` does
    not accept without a bug, and for a claim of `equivalent.toml` that does not hold.
    """
    if program("ptxas") is None:
        raise ToolMissing(f"ptxas is not installed: {INSTALL}. Without it equivalent bugs cannot be recognised.")
    names = choose_pairs(order.kernels, patterns)
    if jobs == 1 or len(names) == 1:
        for name in names:
            yield from audit_pair(order, name)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit this process's threads and emulator
    with ProcessPoolExecutor(min(jobs, len(names)), spawn) as pool:
        try:
            with without_interrupts():
                started = [pool.submit(outcomes_of_pair, order, name) for name in names]
            for future in started:
                yield from future.result()
        except BaseException:  # Ctrl-C, or a consumer that stops: a pair takes minutes
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.kill()
            raise


def outcomes_of_pair(order: TrialOrder, name: str) -> list[BugOutcome]:
    return list(audit_pair(order, name))


def audit_pair(order: TrialOrder, name: str) -> Iterator[BugOutcome]:
    """The outcomes of one pair: first its PTX, then its CUDA C, on the lowest architecture that the PTX needs."""
    loaded = load(order.kernels, name)
    ptx_source = next(source for source in loaded.sources if source.variant == "ptx")
    order = replace(order, arch=at_least(order.arch, ptx_source.path))
    entries = equivalent.read(order.kernels)
    for variant in VARIANTS:
        suite = CheckSuite(with_launch_of(loaded, variant), order.arch, order.seed)
        source = next(source for source in loaded.sources if source.variant == variant).on(order.arch)
        bugs = bugs_of(source)
        kernel_entries = equivalent.entries_of_kernel(entries, name, source.language, bugs)
        yield from audit_kernel(order, BugTrial(suite, source), bugs, kernel_entries)


def with_launch_of(loaded: LoadedPair, variant: str) -> LoadedPair:
    """The pair with the launch of the variant, because `check` launches every kernel as the pair says."""
    return replace(loaded, pair=replace(loaded.pair, launch=loaded.pair.launch_of(variant)))


def bugs_of(source: Source) -> list[Bug]:
    """Every bug that can be planted in a kernel. Raises UsageError for a file that cannot be read, KernelError."""
    try:
        text = source.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read '{source.path}': {error}.") from None
    if source.language == "cuda":
        return cuda.bugs(text)
    try:
        return ptx.bugs(text, source.entry)
    except KernelError as error:
        raise type(error)(f"{source.path.name}: {error}") from None


def interleaved_by_kind(bugs: Sequence[Bug], order: TrialOrder, purpose: str) -> Iterator[Bug]:
    """The bugs in a random order, taking one of each kind in turn."""
    generator = random.Random(f"{order.seed} {purpose}")
    kinds = {kind: [bug for bug in bugs if bug.kind == kind] for kind in order.kinds}
    for bugs_of_kind in kinds.values():
        generator.shuffle(bugs_of_kind)
    while any(kinds.values()):
        for remaining in kinds.values():
            if remaining:
                yield remaining.pop()


def audit_kernel(
    order: TrialOrder, trial: BugTrial, bugs: Sequence[Bug], entries: Sequence[equivalent.Equivalent]
) -> Iterator[BugOutcome]:
    """The outcomes of one kernel, until `order.bugs` of them count or all bugs were tried."""
    source, pair = trial.source, trial.suite.loaded.name
    accepted = trial.judged(trial.text)
    if accepted.verdict != ACCEPTED:
        why = accepted.decisive.message if accepted.decisive else accepted.verdict
        raise PairError(f"{source.path.name}: check does not accept the original kernel: {why}")
    counted = 0
    for bug in interleaved_by_kind(bugs, order, f"{pair} {source.variant}"):
        if counted == order.bugs:
            return
        changes = trial.is_a_bug(bug)
        if changes is None:
            continue
        if not changes:
            yield BugOutcome(pair, source.language, source.path.name, bug, SAME)
            continue
        outcome = try_bug(trial, bug, entries)
        counted += outcome.counts
        yield outcome


def try_bug(trial: BugTrial, bug: Bug, entries: Sequence[equivalent.Equivalent]) -> BugOutcome:
    """The verdicts of `check` and `numpy.allclose` on a bug. Raises PairError for a bug that is caught but listed as
    equivalent."""
    text = bug.planted(trial.text)
    judgement = trial.judged(text)
    claim = next((entry for entry in entries if entry.matches(bug)), None)
    decisive = judgement.decisive
    caught = judgement.verdict == REJECTED
    if claim and caught:
        message = f"'{bug.edit}' in '{bug.code}'"
        raise PairError(
            f"{equivalent.FILE}: {message} is not equivalent: check rejects it at stage {judgement.ended_at}."
        )
    unjudged = not caught and judgement.verdict != ACCEPTED
    status = CAUGHT if caught else UNJUDGED if unjudged else EXPLAINED if claim else MISSED
    return BugOutcome(
        pair=trial.suite.loaded.name,
        language=trial.source.language,
        file=trial.source.path.name,
        bug=bug,
        status=status,
        stage=judgement.ended_at,
        code=decisive.code if decisive else None,
        allclose=trial.differs(text) if trial.compares and status in (CAUGHT, MISSED) else None,
        why=claim.why if claim else None,
    )
