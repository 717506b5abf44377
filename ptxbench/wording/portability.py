"""A portability matrix in words: cells, notes on refusals, what a driver's JIT needs, and the targets of each side.

Plain text, for terminal and Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ptxbench import architecture
from ptxbench.languages import CUDA, LANGUAGES, title
from ptxbench.portability.survey import Jit, Matrix, TargetResults
from ptxbench.toolchain.trial import ASSEMBLES, REFUSED, Requirement, TargetTrial
from ptxbench.units import ABSENT, column, enumeration, plural


@dataclass(frozen=True)
class ValueKind:
    """The kinds of values in a cell of the matrix."""

    heading: str
    of: Callable[[TargetTrial, float | None], float | None]
    """The value, from a trial and its occupancy."""
    unit: str = ""


CELLS = {
    "registers": ValueKind("registers of a thread", lambda trial, _: trial.registers),
    "spills": ValueKind("bytes that a thread spills and reloads", lambda trial, _: trial.spill_bytes),
    "sass": ValueKind("SASS instructions", lambda trial, _: trial.sass),
    "occupancy": ValueKind("theoretical occupancy in %", lambda _, occupancy: occupancy, "%"),
}
"""The choices of `--columns`."""


@dataclass(frozen=True)
class CellNote:
    """Why some cells are empty, reported once; these cells contain `number`."""

    number: int
    words: str
    refused: bool
    """False if the trial was not possible."""


@dataclass(frozen=True)
class CellText:
    """One cell: a value, or the number of the note that says why it is empty."""

    value: str = ""
    note: CellNote | None = None


def table(matrix: Matrix, cell: str) -> tuple[list[tuple[str, list[CellText]]], list[CellNote]]:
    """Rows of (target, one cell per variant) and their notes.

    Forms of one architecture with the same cells share a row.
    """
    kind = CELLS[cell]
    reasons: dict[str, dict[str, list[str]]] = {}  # targets by words and variant
    for variant, reach in matrix.reaches.items():
        for target, trial in reach.trials.items():
            if trial.status != ASSEMBLES:
                reasons.setdefault(failure_words(trial, reach), {}).setdefault(variant, []).append(target)
    notes: dict[str, CellNote] = {}
    for words, targets_of in reasons.items():
        (variant, targets), *_ = targets_of.items()
        where = "; ".join(f"{', '.join(names)} on {ranges}" for names, ranges in by_targets(targets_of, matrix.targets))
        refused = matrix.reaches[variant].trials[targets[0]].status == REFUSED
        notes[words] = CellNote(len(notes) + 1, f"{where}: {words}", refused)
    columns = [texts(reach, kind, notes) for reach in matrix.reaches.values()]
    rows: list[tuple[list[str], list[CellText]]] = []
    for target, *cells in zip(matrix.targets, *columns, strict=True):
        if rows and architecture.number(rows[-1][0][0]) == architecture.number(target) and rows[-1][1] == cells:
            rows[-1][0].append(target)
        else:
            rows.append(([target], cells))
    return [(forms(targets), cells) for targets, cells in rows], list(notes.values())


def texts(reach: TargetResults, kind: ValueKind, notes: Mapping[str, CellNote]) -> list[CellText]:
    trials = list(reach.trials.values())
    values = [kind.of(trial, reach.occupancy.get(trial.target)) for trial in trials]
    _, values_as_text = column(values, kind.unit)
    return [
        CellText(text) if trial.status == ASSEMBLES else CellText(note=notes[failure_words(trial, reach)])
        for trial, text in zip(trials, values_as_text, strict=True)
    ]


def by_targets(targets_of: Mapping[str, Sequence[str]], targets: Sequence[str]) -> list[tuple[list[str], str]]:
    """Variants with the same targets, and these targets in words."""
    variants_by_ranges: dict[str, list[str]] = {}
    for variant, chosen in targets_of.items():
        variants_by_ranges.setdefault(target_ranges(chosen, targets), []).append(variant)
    return [(names, ranges) for ranges, names in variants_by_ranges.items()]


def forms(targets: Sequence[str]) -> str:
    """`sm_90`, or `sm_{100,100f,100a}` as the PTX manual writes it."""
    if len(targets) == 1:
        return targets[0]
    return f"sm_{{{','.join(target.removeprefix('sm_') for target in targets)}}}"


def target_ranges(chosen: Sequence[str], targets: Sequence[str]) -> str:
    """`sm_75 to sm_89, sm_100a`: neighbours in `targets` by their ends."""
    runs: list[list[str]] = []
    last = -2
    for index, target in enumerate(targets):
        if target in chosen:
            runs = [*runs[:-1], [*runs[-1], target]] if index == last + 1 else [*runs, [target]]
            last = index
    if len(runs) == 1 and len(runs[0]) == len(targets) > 1:
        return "every target"
    lines = [[f"{run[0]} to {run[-1]}"] if len(run) > 2 else run for run in runs]
    return ", ".join(name for run in lines for name in run)


TOOL = re.compile(r"\. (?:NVRTC|ptxas|tileiras) [\d.]+ .* for sm_\w+(?:; correct .* there)?\.$")
"""The end of a reason, which names the tool and the target."""


def failure_words(trial: TargetTrial, reach: TargetResults) -> str:
    """Why a trial gave no machine code: the instruction with the highest requirement, its line and what it needs."""
    if not trial.needs:
        return trial.too_high or TOOL.sub("", trial.reason or "")
    worst = max(trial.needs, key=requirement_rank)
    lines = len({need.line for need in trial.needs}) - 1
    location = f"{worst.file}:{worst.line}" if worst.line else worst.file
    more = f", and {lines} more line{'s' if lines > 1 else ''}" if lines else ""
    return f"{location}: {requirement_words(worst, reach)}{more}"


def requirement_words(need: Requirement, reach: TargetResults) -> str:
    """What one line needs; if ptxas does not say it, the targets for which ptxas accepts that line."""
    if need.requires:
        return f"{need.instruction or need.message} needs {need.requires}"
    if need.instruction and re.search(
        r" not supported on \.target | cannot be compiled for architecture ", need.message
    ):
        accepting = target_ranges(
            [target for target, trial in reach.trials.items() if accepts_line(trial, need)], list(reach.trials)
        )
        # A plain target accepts such PTX of its family, but not because of the .target in the PTX.
        jit = reach.jit
        by_family = (
            f" by .target {jit.target}" if accepting and jit and architecture.suffix(jit.target or "") == "f" else ""
        )
        return f"{need.instruction} needs {accepting or 'another target'}{by_family}"
    return need.message


def accepts_line(trial: TargetTrial, need: Requirement) -> bool:
    """True if ptxas accepts the line of `need` for the trial's target, whatever else it rejects."""
    return trial.status == ASSEMBLES or (trial.mismatch and need.line not in {other.line for other in trial.needs})


def requirement_rank(need: Requirement) -> int:
    """The order of requirements; what no later target promises to have is the highest."""
    required = architecture.find(need.requires or "")
    return required.number if required else 0 if need.requires else 1_000


def warnings(matrix: Matrix) -> Iterator[str]:
    """The warnings of ptxas about what it assembled, and unusual compilers of CUDA C, each once."""
    return log_lines(matrix, lambda reach, line: not names_own_compiler(reach, line))


def compiler_lines(matrix: Matrix) -> Iterator[str]:
    """Which compiler made the PTX of variants that are not CUDA C."""
    return log_lines(matrix, names_own_compiler)


def names_own_compiler(reach: TargetResults, line: str) -> bool:
    return line.startswith("compiled by ") and reach.source.language != CUDA.name


def log_lines(matrix: Matrix, wanted: Callable[[TargetResults, str], bool]) -> Iterator[str]:
    """The lines of the trials' logs that are `wanted`, each once, with variants and targets."""
    result: dict[str, dict[str, list[str]]] = {}
    for variant, reach in matrix.reaches.items():
        for trial in reach.trials.values():
            for line in dict.fromkeys(map(message, trial.log.splitlines())):
                if wanted(reach, line):
                    result.setdefault(line, {}).setdefault(variant, []).append(trial.target)
    for line, targets_of in result.items():
        where = "; ".join(f"{', '.join(names)} on {ranges}" for names, ranges in by_targets(targets_of, matrix.targets))
        yield f"{where}: {line}"


def message(line: str) -> str:
    """A line of ptxas's log without its name and the kind of the message: `tiles.ptx:7: ...`."""
    match = re.match(r"ptxas (?:(?P<place>.+); )?\w+\s*: (?P<text>.+)", line)
    return ": ".join(filter(None, [match["place"], match["text"]])) if match else line


def jit_lines(matrix: Matrix) -> Iterator[str]:
    """What a driver must support to compile hand-written PTX itself, and for which GPUs; equal variants together."""
    variants_by_jit: dict[Jit, list[str]] = {}
    for variant, reach in matrix.reaches.items():
        for path, targets in reach.files.items():
            jit = reach.jit_of(path)
            if jit and jit.target and set(targets) & set(reach.assembling):
                name = variant if path == reach.source.path else path.name
                # The target determines the GPUs, unless it is of a family.
                variants_by_jit.setdefault(
                    jit if architecture.suffix(jit.target) == "f" else replace(jit, gpus=()), []
                ).append(name)
    for jit, variants in variants_by_jit.items():
        yield f"JIT of {', '.join(variants)}: {gpu_words(jit)}, {driver_words(jit)}"


def file_lines(matrix: Matrix) -> Iterator[str]:
    """Targets with their own file, by variant."""
    for variant, reach in matrix.reaches.items():
        for path, targets in reach.files.items():
            if path != reach.source.path:
                yield f"{variant} on {target_ranges(targets, matrix.targets)} is {path.name}"


def driver_words(jit: Jit) -> str:
    if jit.driver is None:
        return f"by drivers that read .version {jit.version}; ptxbench does not know the first one"
    return f"by driver {jit.driver.branch} (CUDA {jit.driver.cuda}) or newer"


def gpu_words(jit: Jit) -> str:
    assert jit.target is not None
    if not architecture.suffix(jit.target):
        return f"GPUs from {jit.target} on"
    if architecture.suffix(jit.target) == "a":
        return f"GPUs of {jit.target[:-1]} alone, as {jit.target} says"
    return f"GPUs of {jit.target}'s family alone, {', '.join(jit.gpus) or 'of which none was tried'}"


def compiled_line(matrices: Sequence[Matrix]) -> str | None:
    """What a driver must support to compile the PTX of NVRTC; None if NVRTC wrote none."""
    jits = [reach.jit for matrix in matrices for reach in matrix.reaches.values() if reach.source.language == "cuda"]
    jit = next(filter(None, jits), None)
    if jit is None:
        return None
    return f"JIT of CUDA C (the PTX of NVRTC has .version {jit.version}): {driver_words(jit)}."


def closing(matrix: Matrix) -> str:
    """`PTX runs on 9 of 14 targets, CUDA C on 14.`; then the variants with other targets than their side."""
    counts = {variant: len(reach.assembling) for variant, reach in matrix.reaches.items() if reach.tried}
    sides = {name: title(name) for name in ("ptx", *LANGUAGES) if name in matrix.reaches}
    lines = [(words, counts[name]) for name, words in sides.items() if name in counts]
    others: dict[int, list[str]] = {}
    for variant, count in counts.items():
        if variant not in sides and count != counts.get(matrix.reaches[variant].source.language):
            others.setdefault(count, []).append(variant)
    lines += [(enumeration(names), count) for count, names in others.items()]
    parts = [f"{subject} on {count}" for subject, count in lines[1:]]
    if lines:
        (subject, count), total = lines[0], len(matrix.targets)
        verb = "run" if " and " in subject else "runs"
        parts.insert(0, f"{subject} {verb} on {count} of {total} target{'' if total == 1 else 's'}")
    parts += [f"{words} was not tried" for name, words in sides.items() if name not in counts]
    return f"{', '.join(parts) or 'Nothing was tried'}."


def header(versions: Mapping[str, str | None], targets: Sequence[str], cell: str) -> str:
    """`Registers of a thread, by ptxas 13.5.37 and NVRTC 13.5.37, for 26 targets. Nothing is run.`"""
    heading = CELLS[cell].heading
    nvrtc = f"and NVRTC {versions['nvrtc']}" if versions.get("nvrtc") else "without NVRTC"
    return (
        f"{heading[0].upper()}{heading[1:]}, by ptxas {versions.get('ptxas') or ABSENT} {nvrtc}, "
        f"for {len(targets)} target{'' if len(targets) == 1 else 's'}. Nothing is run."
    )


def total(matrices: Sequence[Matrix]) -> str:
    """`1,650 of 1,716 builds assemble: 66 variants of 21 pairs or files.`"""
    trials = [trial for matrix in matrices for reach in matrix.reaches.values() for trial in reach.trials.values()]
    assembled = sum(trial.status == ASSEMBLES for trial in trials)
    variants = sum(len(matrix.reaches) for matrix in matrices)
    owners = "1 pair or file" if len(matrices) == 1 else f"{len(matrices)} pairs or files"
    return f"{assembled:,} of {len(trials):,} builds assemble: {plural(variants, 'variant')} of {owners}."
