"""The targets for which kernels can be assembled: every variant of a pair, or kernel of a file, for every target.

Nothing is run. A later target may lack an instruction of an earlier one, so every target is tried with the tools.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ptxbench import architecture, kernel_names, toolchain
from ptxbench.discovery import SUFFIXES, Source, load
from ptxbench.discovery.other_files import kernel_text, missing_file, not_a_kernel
from ptxbench.errors import CompileError, PairError, UsageError, suggestion
from ptxbench.exec_program import read_program
from ptxbench.languages import has_own_threads
from ptxbench.pool import Pool, Reporter, Threads, usable_cores
from ptxbench.runner.events import Step
from ptxbench.toolchain import nvrtc, ptxas
from ptxbench.toolchain.comments import COMMENT
from ptxbench.toolchain.drivers import FIRST, Driver
from ptxbench.toolchain.kernel_templates import kernel_templates, missing_instantiation, unused_macro
from ptxbench.toolchain.options import AS_IT_IS, SourceOptions
from ptxbench.toolchain.trial import ASSEMBLES, UNTRIED, TargetTrial, attempt


@dataclass(frozen=True)
class Subject:
    """A unit of the survey: a pair with its variants, or a file with its kernels."""

    name: str
    sources: tuple[Source, ...]
    threads: Mapping[str, int]
    """Threads of a CTA, by variant; a variant without them has no occupancy."""
    shared_bytes: Mapping[str, int] = field(default_factory=dict)
    """Dynamic shared bytes of a CTA, by variant; 0 for a variant without them."""


@dataclass(frozen=True)
class Jit:
    """What a driver must support to compile the PTX itself."""

    version: str
    target: str | None
    """None for CUDA C, whose PTX has the target that NVRTC was given."""
    driver: Driver | None
    """The first driver that reads this version; None if unknown."""
    gpus: tuple[str, ...]
    """Plain targets, among those tried, for the GPUs that can run PTX with this target."""


@dataclass(frozen=True)
class TargetResults:
    """One variant, or kernel, over the targets."""

    source: Source
    trials: Mapping[str, TargetTrial]
    occupancy: Mapping[str, float | None] = field(default_factory=dict)

    @cached_property
    def assembling(self) -> tuple[str, ...]:
        return tuple(target for target, trial in self.trials.items() if trial.status == ASSEMBLES)

    @property
    def tried(self) -> bool:
        return any(trial.status != UNTRIED for trial in self.trials.values())

    def file(self, target: str) -> Path:
        """The file that is used for `target`: the plain one, or one for that target or its family."""
        return self.source.on(target).path

    @cached_property
    def files(self) -> Mapping[Path, tuple[str, ...]]:
        """The targets for which each file is used, in the order of the trials."""
        by_file: dict[Path, list[str]] = {}
        for target in self.trials:
            by_file.setdefault(self.file(target), []).append(target)
        return {path: tuple(targets) for path, targets in by_file.items()}

    @property
    def jit(self) -> Jit | None:
        """What a driver must support for the plain file; None if no tool has read the PTX."""
        return self.jit_of(self.source.path)

    def jit_of(self, path: Path) -> Jit | None:
        """What a driver must support for one of the variant's files, by the targets for which it is used."""
        targets = self.files.get(path, ())
        read = [self.trials[target] for target in targets if self.trials[target].ptx_version]
        if not read:
            return None
        version = read[0].ptx_version
        assert version is not None
        declared_target = read[0].ptx_target if self.source.language == "ptx" else None
        # A GPU accepts PTX for its own target although its plain target does not.
        gpus = {architecture.number(target) for target in self.assembling if target in targets}
        plain_targets = tuple(
            target for target in self.trials if not architecture.suffix(target) and architecture.number(target) in gpus
        )
        return Jit(version, declared_target, FIRST.get(version), plain_targets)


@dataclass(frozen=True)
class Matrix:
    """One subject over all targets."""

    name: str
    targets: tuple[str, ...]
    reaches: Mapping[str, TargetResults]
    """By variant, or by the name of the kernel."""


def survey(subjects: Sequence[Subject], targets: Sequence[str], pool: Pool | None = None) -> Iterator[Step | Matrix]:
    """Try every source for every target; yields each matrix as soon as it and those before it are complete.

    `pool`: does the trials; by default threads, because NVRTC and ptxas run outside the interpreter's lock. Raises
    PairError for an invalid option of NVRTC.
    """
    trials = [
        (i, source, target) for i, subject in enumerate(subjects) for source in subject.sources for target in targets
    ]
    tasks = [(source, target, True) for _, source, target in trials]
    expected = [len(subject.sources) * len(targets) for subject in subjects]
    trials_by_subject: list[dict[tuple[str, str], TargetTrial]] = [{} for _ in subjects]
    complete = 0
    with closing((pool or threads()).map(try_target, tasks)) as results:
        for done, (number, trial) in enumerate(results):
            i, source, target = trials[number]
            yield Step(done, len(trials), subjects[i].name, source.variant, f"{target}:")
            trials_by_subject[i][source.variant, target] = trial
            while complete < len(subjects) and len(trials_by_subject[complete]) == expected[complete]:
                yield matrix_of(subjects[complete], targets, trials_by_subject[complete])
                complete += 1


def matrix_of(
    subject: Subject, targets: Sequence[str], trials_of_subject: Mapping[tuple[str, str], TargetTrial]
) -> Matrix:
    """The matrix of a subject from its trials, by variant and target."""
    reaches = {}
    for source in subject.sources:
        trials = {target: trials_of_subject[source.variant, target] for target in targets}
        threads = subject.threads.get(source.variant)
        occupancy_by_target = {
            target: toolchain.occupancy(
                target,
                threads=trial.threads or threads,
                registers=trial.registers,
                shared_bytes=(trial.shared_bytes or 0) + subject.shared_bytes.get(source.variant, 0),
            )
            for target, trial in trials.items()
        }
        reaches[source.variant] = TargetResults(source, trials, occupancy_by_target)
    return Matrix(subject.name, tuple(targets), reaches)


def target_trials(source: Source, targets: Sequence[str]) -> dict[str, TargetTrial]:
    """The trials of one source, without machine code (see `trial.attempt`)."""
    if not targets:
        return {}
    with closing(threads().map(try_target, [(source, target, False) for target in targets])) as results:
        return {targets[number]: trial for number, trial in results}


def threads() -> Threads:
    return Threads(usable_cores())


def try_target(task: tuple[Source, str, bool], report: Reporter) -> TargetTrial:
    """A variant, with its file for a target; the last part: whether to make machine code."""
    source, target, code = task[0].on(task[1]), *task[1:]
    return attempt(
        source.path,
        language=source.language,
        entry=source.entry,
        target=target,
        flags=source.flags,
        contained=source.contained,
        signature=source.signature,
        code=code,
    )


def pair_subject(kernels: Path, name: str) -> Subject:
    """The pair with all its variants, launched as at its first bench size. Raises PairError as `load` does."""
    loaded = load(kernels, name, unfinished=True)
    sources = sorted(loaded.sources, key=lambda source: source.variant not in SUFFIXES)  # the pair first
    if loaded.open_question:  # no launch is known
        return Subject(name, tuple(sources), {})
    size = loaded.pair.bench_sizes[0]
    launches = {source.variant: loaded.pair.launch_of(source.variant)(**size) for source in sources}
    # Where a compiler chooses the threads, they are known after a trial.
    shared = [source.variant for source in sources if not has_own_threads(source.language)]
    threads = {variant: math.prod(launches[variant].block_xyz) for variant in shared}
    return Subject(name, tuple(sources), threads, {name: launch.shared_bytes for name, launch in launches.items()})


ENTRY = re.compile(r"\.entry\s+(?P<name>[\w$]+)\s*(?:\([^)]*\))?(?P<directives>[^{};]*)\{")
THREADS = re.compile(r"\.(?:req|max)ntid\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?")


def file_subject(path: Path, targets: Sequence[str], options: SourceOptions = AS_IT_IS) -> Subject:
    """Every kernel of a .ptx or .cu file, which need not belong to a pair, or the one that `options` names. CTAs have
    the threads that the kernel allows.

    Raises UsageError for another file, PairError for one that cannot be read or has no kernel, PtxSyntaxError for one
    that is not PTX, CompileError for CUDA C that NVRTC compiles for none of `targets`.
    """
    language = next((name for name, suffix in SUFFIXES.items() if path.suffix == suffix), None)
    if language is None:
        raise UsageError(not_a_kernel(f"'{path.name}'", path))
    if not path.exists():
        raise PairError(missing_file(path))
    content = kernel_text(path, PairError)
    flags: tuple[str, ...] = ()
    if language == "ptx":
        if option := options.first_cuda_option:
            raise UsageError(f"{path.name} is PTX, and {option} is for CUDA C. Leave it out.")
        ptx, instantiated = ptxas.check_ascii(content, path.name), None
    else:
        flags = options.flags_for(content, path.parent)
        compiled = first_compiled(content, path, targets, flags)
        ptx, instantiated = compiled.ptx, compiled.instantiated
    entries = {entry["name"]: THREADS.search(entry["directives"]) for entry in ENTRY.finditer(COMMENT.sub("", ptx))}
    if not entries:
        if language == "ptx":
            read_program(path, None).module  # noqa: B018 - raises PtxSyntaxError for a text that is not PTX
        templates = kernel_templates(content, path.parent, options.include) if language == "cuda" else []
        wanted = "an .entry" if language == "ptx" else "a __global__ function"
        why = missing_instantiation(templates) if templates else None
        if language == "cuda":
            why = why or unused_macro(content, path.parent, options.include)
        why = why or f"no .entry in its PTX. Name a file with {wanted}"
        raise PairError(f"{path.name} has no kernel: {why}.")
    words = kernel_names.displayed(entries)
    chosen = list(entries)
    if options.entry:
        chosen = [instantiated] if instantiated else kernel_names.matching(options.entry, entries)
        if not chosen:
            hint = suggestion(options.entry, list(words.values())) or f" It has {kernel_names.some(words.values())}."
            raise UsageError(f"{path.name} has no kernel '{options.entry}'.{hint}")
    threads = {
        words[name]: int(directive[1]) * int(directive[2] or 1) * int(directive[3] or 1)
        for name, directive in entries.items()
        if directive
    }
    sources = (Source(words[name], language, path, name, flags) for name in chosen)
    return Subject(path.name, tuple(sources), threads)


def first_compiled(content: bytes, path: Path, targets: Sequence[str], flags: Sequence[str]) -> nvrtc.CompilerOutput:
    """The PTX for the first of `targets` for which NVRTC compiles it. Raises CompileError if there is none."""
    first: CompileError | None = None
    for target in targets:
        try:
            return toolchain.compiled(content, path, target, flags)
        except CompileError as error:
            first = first or error
        except UsageError:  # NVRTC does not know this target
            continue
    raise first or UsageError(f"NVRTC supports none of {', '.join(targets)}.")
