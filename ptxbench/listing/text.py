"""A kernel's text, its PTX and its SASS, linked by line.

Data and alignment only: other modules compile, execute and print.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ptxbench.executed import Counted, Executed, of_build
from ptxbench.languages import is_compiled
from ptxbench.launch import OwnCta
from ptxbench.result import BuildReport
from ptxbench.toolchain import Build
from ptxbench.toolchain.lines import Annotated, MachineInstruction
from ptxbench.toolchain.origins import nesting_change, origins, places


@dataclass(frozen=True)
class Listing:
    """One variant. Lines count from 1. `source` is the text that was compiled, or that of the header with the kernel,
    and `path` its file; empty for hand-written PTX.

    `origin`: the line of the source for a line of the PTX, if it has one. `counted`: the emulator's counters of each
    line of the PTX that ran, and `machine`: the executions of `sass`; None if it was not run. `same_code`: whether
    `sass` is the machine code that `run` would time.
    """

    variant: str
    language: str
    path: Path
    entry: str
    arch: str
    source: tuple[str, ...]
    ptx: tuple[str, ...]
    origin: Mapping[int, int]
    sass: tuple[MachineInstruction, ...]
    report: BuildReport
    same_code: bool
    counted: Mapping[int, Mapping[str, float]] | None = None
    machine: Executed | None = None
    own_cta: OwnCta | None = None
    """What its compiler chose for a CTA, if it did."""

    @cached_property
    def executed(self) -> Mapping[int, int] | None:
        """How often warps executed each line of the PTX; None if it was not run."""
        if self.counted is None:
            return None
        return {line: int(counts.get("ptx_warp_instructions", 0)) for line, counts in self.counted.items()}

    @cached_property
    def ptx_shown(self) -> tuple[int, ...]:
        """The lines of the PTX to show: all of a file, but only the kernel of a compiler's output."""
        if self.language == "ptx":
            return tuple(range(1, len(self.ptx) + 1))
        return tuple(kernel_lines(self.ptx, self.entry))

    @cached_property
    def source_of_ptx(self) -> frozenset[int]:
        """The lines of the source from which PTX of the kernel was made."""
        return frozenset(self.origin[line] for line in self.ptx_shown if line in self.origin)

    @cached_property
    def executed_source(self) -> Mapping[int, int] | None:
        """How many PTX instructions warps executed for each line of the source; None if it was not run."""
        if self.executed is None:
            return None
        result: Counter[int] = Counter()
        for line, count in self.executed.items():
            if line in self.origin:
                result[self.origin[line]] += count
        return result

    def executions(self, instruction: MachineInstruction) -> float | None:
        """The likeliest number of executions of each instruction of `sass`; None if unknown."""
        if self.machine is None or self.machine.fit is None:
            return None
        return self.machine.by_instruction.get(instruction.address)

    @cached_property
    def opcodes(self) -> Counter[str]:
        """How often each opcode of SASS, with its modifiers, occurs in the code."""
        return Counter(opcode(instruction.text) for instruction in self.sass)

    def line_of(self, instruction: MachineInstruction) -> int | None:
        """The line of the source for a SASS instruction."""
        return None if instruction.line is None else self.origin.get(instruction.line)


def make(
    build: Build,
    source: bytes,
    annotated: Annotated,
    counted: Mapping[int, Mapping[str, float]] | None = None,
    machine: Executed | None = None,
) -> Listing:
    """The listing of a build from a file with the text `source`."""
    compiled = is_compiled(build.language)
    ptx = lines_of(build.ptx.encode())
    return Listing(
        variant=build.variant,
        language=build.language,
        path=build.source,
        entry=build.entry,
        arch=build.arch,
        source=lines_of(source) if compiled else (),
        ptx=ptx,
        origin=origins(ptx, build.source.name) if compiled else {},
        sass=annotated.instructions,
        report=build.report,
        same_code=annotated.same_code,
        counted=counted,
        machine=machine,
        own_cta=build.own_cta,
    )


def counted_listing(build: Build, source: bytes, annotated: Annotated, counted: Counted | None) -> Listing:
    """The listing of a build with the counts of a launch, if there was one, and the machine instructions that follow
    from them."""
    if counted is None:
        return make(build, source, annotated)
    return make(build, source, annotated, counted.by_line, of_build(build, counted))


def in_its_file(listing: Listing, file_of: Callable[[str], Path | None]) -> Listing:
    """The listing with the lines of the header that has the kernel, if no line of its own file became PTX of it.

    `file_of`: the header of a name without folders; None if it is not known.
    """
    made_from = places(listing.ptx, listing.path.name)
    names = Counter(made_from[line][0] for line in listing.ptx_shown if line in made_from)
    if not listing.source or not names or listing.path.name in names:
        return listing
    path = file_of(names.most_common(1)[0][0])
    if path is None:
        return listing
    source, origin = lines_of(path.read_bytes()), origins(listing.ptx, path.name)
    return replace(listing, path=path, source=source, origin=origin)


def lines_of(text: bytes) -> tuple[str, ...]:
    """The lines as compilers count them: a form feed does not end a line, although str.splitlines splits there."""
    lines = [line.removesuffix("\r") for line in text.decode("utf-8-sig", "replace").split("\n")]
    return tuple(lines if lines[-1] else lines[:-1])


# ---- the lines of a kernel


def kernel_lines(ptx: Sequence[str], entry: str) -> Iterator[int]:
    """The lines of the kernel `entry`, without blank ones, comments and .loc."""
    inside, depth = False, 0
    for number, row in enumerate(ptx, 1):
        if depth == 0 and re.match(r"\s*(?:\.visible\s+|\.weak\s+)?\.(?:entry|func)\b", row):
            inside = re.search(rf"\.entry\s+{re.escape(entry)}(?![\w$])", row) is not None
        depth += nesting_change(row)
        if inside and not re.match(r"\s*(?:$|//|\.loc\b)", row):
            yield number
        if inside and depth == 0 and "}" in row:
            return


# ---- side by side


class ListingRow(NamedTuple):
    """One row: a line of the source, a line of the PTX, the index of a SASS instruction.

    `omitted`: the first and the last of the source's lines that this row stands for.
    """

    source: int | None = None
    ptx: int | None = None
    sass: int | None = None
    omitted: tuple[int, int] | None = None


def in_source_order(listing: Listing, *, with_ptx: bool = True, with_sass: bool = True) -> list[ListingRow]:
    """Every line in the order of the file, each next to its PTX and SASS; first those without a line.

    A line appears once, on the first of its rows.
    """
    sass_of: dict[int | None, list[int]] = defaultdict(list)
    for index, instruction in enumerate(listing.sass if with_sass else ()):
        sass_of[instruction.line].append(index)
    rows_of: dict[int | None, list[ListingRow]] = defaultdict(list)
    for line in listing.ptx_shown if with_ptx else ():
        partners: Sequence[int | None] = sass_of.pop(line, ()) or (None,)
        rows_of[listing.origin.get(line)] += [
            ListingRow(None, None if i else line, partner) for i, partner in enumerate(partners)
        ]
    for index in sorted(index for indices in sass_of.values() for index in indices):
        rows_of[listing.line_of(listing.sass[index])].append(ListingRow(None, None, index))
    rows = rows_of.pop(None, [])
    for number in range(1, len(listing.source) + 1):
        first, *more = rows_of.get(number) or [ListingRow()]
        rows += [first._replace(source=number), *more]
    return rows


LINES_BEFORE, LINES_AFTER = 8, 3
"""How many lines without instructions are kept before and after those with some."""

FEWEST_OMITTED = 10
"""The fewest lines that are omitted together."""


def without_other_code(rows: Sequence[ListingRow], kept: Container[int] = ()) -> list[ListingRow]:
    """The rows, with one row for many lines of the source of which nothing was made: a licence, host code, other
    kernels. `kept`: lines of the source to keep."""

    def is_bare(row: ListingRow) -> bool:
        return row.source is not None and row.ptx is None and row.sass is None and row.source not in kept

    result: list[ListingRow] = []
    for bare, group in itertools.groupby(rows, is_bare):
        run = list(group)
        first = 0 if run[0].source == 1 else LINES_AFTER
        last = len(run) - (LINES_BEFORE if run[-1] is not rows[-1] else 0)
        if bare and last - first >= FEWEST_OMITTED:
            ends = run[first].source, run[last - 1].source
            assert ends[0] is not None
            assert ends[1] is not None
            run[first:last] = [ListingRow(omitted=(ends[0], ends[1]))]
        result += run
    return result


def in_machine_order(listing: Listing) -> list[ListingRow]:
    """Every SASS instruction in order, next to its lines."""
    return [
        ListingRow(listing.line_of(instruction), instruction.line, index)
        for index, instruction in enumerate(listing.sass)
    ]


def opcode(text: str) -> str:
    """The opcode of an instruction, with its modifiers."""
    return next((word for word in text.split() if not word.startswith("@")), "")
