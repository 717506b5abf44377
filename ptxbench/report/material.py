"""The parts of a report that are made from the sources again: listings, findings, portability.

Only for variants whose files are those of the run, by their hash; for all others the page says why they are missing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ptxbench import architecture, toolchain
from ptxbench.discovery import SUFFIXES, LoadedPair, Source, display_path, find_pairs, load
from ptxbench.discovery.knobs import with_knobs
from ptxbench.errors import PtxbenchError, ToolMissing
from ptxbench.listing.difference import compare
from ptxbench.listing.explanation import ExplainedPair, Explanation, explain, of_cell
from ptxbench.listing.explanation.counting import count, size_of
from ptxbench.listing.text import Listing, counted_listing
from ptxbench.metrics import REFERENCE
from ptxbench.pair import Launch, Size
from ptxbench.pool import usable_cores
from ptxbench.portability import survey
from ptxbench.portability.survey import Matrix
from ptxbench.result import BuildReport, Cell, LaunchReport, RunDocument
from ptxbench.runner.events import Step
from ptxbench.toolchain import Build, trial
from ptxbench.toolchain.lines import Annotated, with_lines
from ptxbench.toolchain.source_hash import hash_of_source


@dataclass(frozen=True)
class ExplainedVariant:
    """The differences of one variant's machine code from that of the reference."""

    variant: str
    similarity: float | None
    """The share of the instructions of both that have a partner; None without listings."""
    findings: tuple[Explanation, ...]


@dataclass(frozen=True)
class Material:
    """The material of one pair. `omitted`: sentences on what is missing, and on what differs from the run."""

    name: str
    summary: str = ""
    listings: tuple[Listing, ...] = ()
    explained: tuple[ExplainedVariant, ...] = ()
    matrix: Matrix | None = None
    omitted: tuple[str, ...] = ()
    counted_at: Size | None = None
    """The size at which the lines were counted on the emulator, which some findings need."""


@dataclass(frozen=True)
class BuiltPair:
    """A pair as the first run with it built it."""

    name: str
    cell: Cell
    builds: Mapping[str, BuildReport]
    """By variant; variants that were not built have none."""


def wanted_pairs(runs: Sequence[RunDocument]) -> dict[str, BuiltPair]:
    """Every pair of the runs, in order; with the default knobs, if there is such a cell."""
    result: dict[str, BuiltPair] = {}
    for run in runs:
        for cell in run.cells:
            earlier = result.get(cell.pair)
            if not cell.control and (earlier is None or (earlier.cell.knobs and not cell.knobs)):
                builds = {name: variant.build for name, variant in cell.variants.items() if variant.build}
                result[cell.pair] = BuiltPair(cell.pair, cell, builds)
    return result


def collect(
    runs: Sequence[RunDocument], kernels: Path, patterns: Sequence[str] | None = None
) -> Iterator[Step | Material]:
    """Build what the runs had and still exists, in parallel; the material of every pair, in order.

    `patterns`: the targets of the portability matrix; by default each architecture, with special forms only if a run or
    a file uses them. Raises UsageError for a pattern that matches no target.
    """
    pairs = wanted_pairs(runs)
    opened, omitted = open_pairs(pairs, kernels)
    targets: tuple[str, ...] = ()
    try:
        targets = chosen_targets(patterns, special_targets(pairs.values(), opened.values()))
    except ToolMissing as missing:
        for name in opened:
            omitted[name].append(f"No portability: {missing}")
    complete = [name for name in opened if opened[name].sources and not omitted[name]]
    subjects = [survey.pair_subject(kernels, name) for name in complete] if targets else []
    builds = sum(len(loaded.sources) for loaded in opened.values())
    trials = len(targets) * sum(len(subject.sources) for subject in subjects)
    total = builds + trials + len(pairs)
    listings: dict[str, list[Listing]] = {name: [] for name in pairs}
    for step in build_all(opened, {name: pairs[name].cell.arch for name in opened}, listings, omitted):
        yield replace(step, total=total)
    matrices = {}
    for event in survey.survey(subjects, targets):
        if isinstance(event, Matrix):
            matrices[event.name] = event
        else:
            yield replace(event, done=event.done + builds, total=total)
    for done, (name, pair) in enumerate(pairs.items(), builds + trials):
        is_open = name in opened
        yield Step(done, total, name, "", "compare")
        yield Material(
            name,
            opened[name].summary if is_open else "",
            tuple(listings[name]),
            tuple(explanations(listings[name], pair.cell)),
            matrices.get(name),
            (*omitted[name], *changed_variants(listings[name], pair.builds)),
            size_of(opened[name]) if is_open and any(listing.counted for listing in listings[name]) else None,
        )


def build_all(
    opened: Mapping[str, LoadedPair],
    archs: Mapping[str, str],
    listings: Mapping[str, list[Listing]],
    omitted: Mapping[str, list[str]],
) -> Iterator[Step]:
    """Build every variant for its pair's architecture and count its lines, as `show` does.

    Fills `listings`, and `omitted` with what cannot be built or counted, and why.
    """
    sources = [(name, source) for name, loaded in opened.items() for source in loaded.sources]
    pool = ThreadPoolExecutor(usable_cores())  # the tools run outside the interpreter's lock
    try:
        futures = [pool.submit(build_and_annotate, source, archs[name]) for name, source in sources]
        for done, ((name, source), future) in enumerate(zip(sources, futures, strict=True)):
            yield Step(done, len(sources), name, source.variant, "build")
            try:
                build, annotated = future.result()
            except PtxbenchError as error:
                omitted[name].append(f"No listing of {source.variant}: {error}")
                continue
            try:
                counted = count(opened[name], build, size_of(opened[name]))
            except PtxbenchError as error:
                omitted[name].append(f"No counts of the lines of {source.variant}: {error}")
                counted = None
            listings[name].append(counted_listing(build, build.source.read_bytes(), annotated, counted))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def build_and_annotate(source: Source, arch: str) -> tuple[Build, Annotated]:
    """A variant's build, and its SASS with lines. Raises as `toolchain.build` and `with_lines` do."""
    build = toolchain.build_source(source, arch)
    return build, with_lines(build)


def chosen_targets(patterns: Sequence[str] | None, special: Container[str]) -> tuple[str, ...]:
    """The targets of these patterns; without patterns each architecture, with the special forms in `special`."""
    if patterns:
        return trial.chosen_targets(patterns)
    return tuple(target for target in trial.targets() if not architecture.suffix(target) or target in special)


def special_targets(pairs: Iterable[BuiltPair], loadeds: Iterable[LoadedPair]) -> set[str]:
    """The targets for which a pair was built, or has its own file."""
    files = {target for loaded in loadeds for source in loaded.sources for target, _ in source.specialisations}
    return {pair.cell.arch for pair in pairs} | files


NOTHING = "No listings, findings or portability:"


def open_pairs(pairs: Mapping[str, BuiltPair], kernels: Path) -> tuple[dict[str, LoadedPair], dict[str, list[str]]]:
    """The pairs that exist, with the variants whose sources are those of the run; and why others are missing."""
    try:
        existing = find_pairs(kernels)
    except PtxbenchError as error:
        return {}, {name: [f"{NOTHING} {error}"] for name in pairs}
    opened: dict[str, LoadedPair] = {}
    omitted: dict[str, list[str]] = {name: [] for name in pairs}
    for name, pair in pairs.items():
        # Only pairs in the folder, because a name in a file of a run must not become a path that is executed.
        if name not in existing:
            omitted[name].append(f"{NOTHING} there is no pair of that name in {display_path(kernels)}; see --kernels.")
            continue
        try:
            loaded = with_knobs(load(kernels, name), pair.cell.knobs)
        except PtxbenchError as error:
            omitted[name].append(f"{NOTHING} {error}")
            continue
        sources_of_run = [source for source in loaded.sources if source.variant in pair.builds]
        unchanged_sources = [
            source for source in sources_of_run if unchanged(source.on(pair.cell.arch), pair.builds[source.variant])
        ]
        if others := [source.variant for source in sources_of_run if source not in unchanged_sources]:
            omitted[name].append(
                f"No listing of {', '.join(others)}, and no portability: the source has changed since the run."
            )
        # The pair itself first, because further variants are shown against it.
        unchanged_sources.sort(key=lambda source: source.variant not in SUFFIXES)
        opened[name] = replace(loaded, sources=tuple(unchanged_sources))
    return opened, omitted


def unchanged(source: Source, build: BuildReport) -> bool:
    try:
        return hash_of_source(source) == build.source_sha256
    except OSError:
        return False


def changed_variants(listings: Sequence[Listing], builds: Mapping[str, BuildReport]) -> Iterator[str]:
    """The variants for which the installed tools generate different machine code than those of the run did."""
    names = [listing.variant for listing in listings if differs(listing.report, builds[listing.variant])]
    if names:
        yield (
            f"The installed tools generate different machine code for {', '.join(names)} than the run's did; the "
            "listing shows theirs."
        )


def differs(installed: BuildReport, recorded: BuildReport) -> bool:
    return None not in (installed.sass_sha256, recorded.sass_sha256) and installed.sass_sha256 != recorded.sass_sha256


def explanations(listings: Sequence[Listing], cell: Cell) -> Iterator[ExplainedVariant]:
    """Every variant of the cell against the reference: by their listings if there are any; otherwise by both reports in
    the run.

    Executions are those of counted listings; without them, those of the cell.
    """
    by_name = {listing.variant: listing for listing in listings}
    reference = by_name.get(REFERENCE)
    launches = {name: as_launch(cell.launch_of(name)) for name in cell.variants}
    for name in cell.variants:
        if name == REFERENCE:
            continue
        if reference and name in by_name:
            difference = compare(reference, by_name[name])
            explained_pair = ExplainedPair(difference, launches[REFERENCE], right_launch=launches[name])
            yield ExplainedVariant(name, explained_pair.difference.similarity, explain(explained_pair))
        elif findings := of_cell(cell, name):
            yield ExplainedVariant(name, None, findings)


def as_launch(report: LaunchReport) -> Launch:
    return Launch(tuple(report.grid), tuple(report.block), report.shared_bytes)
