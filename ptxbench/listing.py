"""A kernel's text, its PTX and its SASS, linked by line; and what two SASS listings have in common.

Data and alignment only: what is compiled, executed and printed is others' business.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from ptxbench.result import BuildReport
from ptxbench.toolchain import Build
from ptxbench.toolchain.lines import Annotated, Instruction


@dataclass(frozen=True)
class Listing:
    """One variant. Lines count from 1. `source` is the CUDA C, and empty for hand-written PTX, which is its own.

    `origin`: the CUDA C line of a line of the PTX, where it has one. `counted`: the emulator's counters of each line of
    the PTX that ran; None where it was not run. `same_code`: whether `sass` is the machine code that `run` would time.
    """

    variant: str
    language: str
    path: Path
    entry: str
    arch: str
    source: tuple[str, ...]
    ptx: tuple[str, ...]
    origin: Mapping[int, int]
    sass: tuple[Instruction, ...]
    report: BuildReport
    same_code: bool
    counted: Mapping[int, Mapping[str, int]] | None = None

    @cached_property
    def executed(self) -> Mapping[int, int] | None:
        """How often warps executed each line of the PTX; None where it was not run."""
        if self.counted is None:
            return None
        return {line: counts.get("ptx_warp_instructions", 0) for line, counts in self.counted.items()}

    @cached_property
    def ptx_shown(self) -> tuple[int, ...]:
        """The lines of the PTX worth showing: all of a file, and of what NVRTC made the kernel alone."""
        if self.language == "ptx":
            return tuple(range(1, len(self.ptx) + 1))
        return tuple(kernel_lines(self.ptx, self.entry))

    @cached_property
    def executed_source(self) -> Mapping[int, int] | None:
        """How many PTX instructions warps executed of each line of the CUDA C; None where it was not run."""
        if self.executed is None:
            return None
        found: Counter[int] = Counter()
        for line, count in self.executed.items():
            if line in self.origin:
                found[self.origin[line]] += count
        return found

    @cached_property
    def opcodes(self) -> Counter[str]:
        """How often each opcode of SASS, with its modifiers, stands in the code."""
        return Counter(opcode(each.text) for each in self.sass)

    def line_of(self, instruction: Instruction) -> int | None:
        """The line of the CUDA C that a SASS instruction is of."""
        return None if instruction.line is None else self.origin.get(instruction.line)


def make(
    build: Build, source: bytes, annotated: Annotated, counted: Mapping[int, Mapping[str, int]] | None = None
) -> Listing:
    """The listing of a build, whose file holds `source`."""
    cuda = build.language == "cuda"
    ptx = lines_of(build.ptx.encode())
    return Listing(
        build.variant,
        build.language,
        build.source,
        build.entry,
        build.arch,
        lines_of(source) if cuda else (),
        ptx,
        origins(ptx, build.source.name) if cuda else {},
        annotated.instructions,
        build.report,
        annotated.same_code,
        counted,
    )


def lines_of(text: bytes) -> tuple[str, ...]:
    """The lines as compilers count them: a form feed, at which str.splitlines breaks too, ends none."""
    lines = [line.removesuffix("\r") for line in text.decode("utf-8", "replace").split("\n")]
    return tuple(lines if lines[-1] else lines[:-1])


# ---- from PTX to CUDA C

FILE = re.compile(r"\s*\.file\s+(?P<number>\d+)\s+\"(?P<name>[^\"]*)\"")
LOC = re.compile(
    r"\s*\.loc\s+(?P<at>\d+\s+\d+\s+\d+)(?:\s*,\s*function_name[^,]*,\s*inlined_at\s+(?P<caller>\d+\s+\d+\s+\d+))?"
)


def origins(ptx: Sequence[str], name: str) -> dict[int, int]:
    """The line of the file `name` that each line of the PTX is of, by its .loc directives.

    A line of another file, such as a header, is of the line that it was inlined at. Line 0 is how NVRTC writes that
    code is of no line.
    """
    files = [match for row in ptx if (match := FILE.match(row))]
    own = next((match["number"] for match in files if re.split(r"[/\\]", match["name"])[-1] == name), None)
    callers: dict[tuple[str, ...], tuple[str, ...]] = {}
    found: dict[int, int] = {}
    current: int | None = None
    depth = 0
    for number, row in enumerate(ptx, 1):
        if match := LOC.match(row):
            at = tuple(match["at"].split())
            if match["caller"]:
                callers[at] = tuple(match["caller"].split())
            seen = set()
            while at[0] != own and at in callers and at not in seen:
                seen.add(at)
                at = callers[at]
            current = int(at[1]) or None if at[0] == own else None
        elif current is not None:
            found[number] = current
        depth += deeper(row)
        if depth == 0:  # not at the first brace: inline assembly has blocks of its own
            current = None
    return found


def kernel_lines(ptx: Sequence[str], entry: str) -> Iterator[int]:
    """The lines of the kernel `entry`, without blank ones, comments and .loc."""
    inside, depth = False, 0
    for number, row in enumerate(ptx, 1):
        if depth == 0 and re.match(r"\s*(?:\.visible\s+|\.weak\s+)?\.(?:entry|func)\b", row):
            inside = re.search(rf"\.entry\s+{re.escape(entry)}(?![\w$])", row) is not None
        depth += deeper(row)
        if inside and not re.match(r"\s*(?:$|//|\.loc\b)", row):
            yield number
        if inside and depth == 0 and "}" in row:
            return


def deeper(row: str) -> int:
    """How many blocks a line of PTX opens, less those that it closes."""
    code = row.split("//")[0]
    return code.count("{") - code.count("}")


# ---- side by side


class Row(NamedTuple):
    """What stands on one row: a line of the CUDA C, a line of the PTX, the index of a SASS instruction."""

    source: int | None = None
    ptx: int | None = None
    sass: int | None = None


def in_source_order(listing: Listing, *, with_ptx: bool = True, with_sass: bool = True) -> list[Row]:
    """Every line in the order of the file, each beside what was made of it; first what is of no line.

    A line stands once, on the first of its rows.
    """
    sass_of: dict[int | None, list[int]] = defaultdict(list)
    for index, instruction in enumerate(listing.sass if with_sass else ()):
        sass_of[instruction.line].append(index)
    rows_of: dict[int | None, list[Row]] = defaultdict(list)
    for line in listing.ptx_shown if with_ptx else ():
        partners: Sequence[int | None] = sass_of.pop(line, ()) or (None,)
        rows_of[listing.origin.get(line)] += [
            Row(None, None if i else line, partner) for i, partner in enumerate(partners)
        ]
    for index in sorted(index for indices in sass_of.values() for index in indices):
        rows_of[listing.line_of(listing.sass[index])].append(Row(None, None, index))
    rows = rows_of.pop(None, [])
    for number in range(1, len(listing.source) + 1):
        first, *more = rows_of.get(number) or [Row()]
        rows += [first._replace(source=number), *more]
    return rows


def in_machine_order(listing: Listing) -> list[Row]:
    """Every SASS instruction in its order, beside the lines that it was made of."""
    return [Row(listing.line_of(each), each.line, index) for index, each in enumerate(listing.sass)]


# ---- one listing against another

REGISTER = re.compile(r"\b(U?R|U?P|B|SB)\d+\b")


def normal(text: str) -> str:
    """An instruction without what the allocation of registers and the layout of the code decide."""
    text = re.sub(r"\.reuse\b", "", text)
    return re.sub(r"\.L_\w+", "LABEL", REGISTER.sub(r"\1", text))


def opcode(text: str) -> str:
    """The opcode of an instruction, with its modifiers."""
    return next((word for word in text.split() if not word.startswith("@")), "")


def unlike(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """What stands unlike often in `a` and in `b`; the greatest difference first."""
    found = {name: (a.get(name, 0), b.get(name, 0)) for name in a.keys() | b.keys() if a.get(name, 0) != b.get(name, 0)}
    return dict(sorted(found.items(), key=lambda item: (-abs(item[1][0] - item[1][1]), item[0])))


EQUAL, MOVED, DIFFERS = "equal", "moved", "differs"


class Side(NamedTuple):
    """One instruction of a comparison: which of its side, what it is, and which of the other side is its partner."""

    number: int
    kind: str
    partner: int | None = None


@dataclass(frozen=True)
class Difference:
    """Two SASS listings, instruction by instruction, by `normal`.

    `equal`: pairs of indices that stand in the same order on both sides; `moved`: pairs of what is left, of the same
    form, wherever they stand. All others differ.
    """

    left: Listing
    right: Listing
    equal: tuple[tuple[int, int], ...]
    moved: tuple[tuple[int, int], ...]

    @property
    def only_left(self) -> int:
        return len(self.left.sass) - len(self.equal) - len(self.moved)

    @property
    def only_right(self) -> int:
        return len(self.right.sass) - len(self.equal) - len(self.moved)

    @property
    def similarity(self) -> float:
        """The share of the instructions of both that have a partner, 1 for two that are empty."""
        total = len(self.left.sass) + len(self.right.sass)
        return 2 * (len(self.equal) + len(self.moved)) / total if total else 1.0

    @property
    def same_code(self) -> bool:
        """Whether both are the same machine code, to the bit."""
        left, right = self.left.report.sass_sha256, self.right.report.sass_sha256
        return left is not None and left == right

    @cached_property
    def opcodes(self) -> dict[str, tuple[int, int]]:
        """How often each opcode stands on either side, where that differs; the greatest difference first."""
        return unlike(self.left.opcodes, self.right.opcodes)

    @property
    def same_mix(self) -> bool:
        """Whether both have the same opcodes, each as often."""
        return not self.opcodes

    def rows(self) -> Iterator[tuple[Side | None, Side | None]]:
        """Both sides in their order, equal ones on one row."""
        there = dict(self.moved)
        back = {b: a for a, b in self.moved}

        def side(index: int, partners: Mapping[int, int]) -> Side:
            return Side(index, MOVED if index in partners else DIFFERS, partners.get(index))

        a = b = 0
        for next_a, next_b in (*self.equal, (len(self.left.sass), len(self.right.sass))):
            lefts = [side(index, there) for index in range(a, next_a)]
            rights = [side(index, back) for index in range(b, next_b)]
            yield from zip_longest(lefts, rights)
            if next_a < len(self.left.sass):
                yield Side(next_a, EQUAL, next_b), Side(next_b, EQUAL, next_a)
            a, b = next_a + 1, next_b + 1


def compare(left: Listing, right: Listing) -> Difference:
    """Align two SASS listings, whatever registers they use and wherever the scheduler put an instruction."""
    a, b = ([normal(each.text) for each in side.sass] for side in (left, right))
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    equal = [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]
    paired_a, paired_b = {i for i, _ in equal}, {j for _, j in equal}
    waiting: dict[str, list[int]] = defaultdict(list)
    for j in range(len(b) - 1, -1, -1):
        if j not in paired_b:
            waiting[b[j]].append(j)
    moved = [(i, waiting[text].pop()) for i, text in enumerate(a) if i not in paired_a and waiting[text]]
    return Difference(left, right, tuple(equal), tuple(moved))


# ---- as JSON has it


def describe(listing: Listing) -> dict[str, Any]:
    return {
        "variant": listing.variant,
        "language": listing.language,
        "file": listing.path.name,
        "entry": listing.entry,
        "arch": listing.arch,
        "registers": listing.report.registers,
        "sass_sha256": listing.report.sass_sha256,
        "same_code_as_run": listing.same_code,
        "source": list(listing.source),
        "ptx": list(listing.ptx),
        "source_line_of_ptx_line": {str(line): of for line, of in sorted(listing.origin.items())},
        "sass": [
            {
                "address": each.address,
                "text": each.text,
                "labels": list(each.labels),
                "ptx_line": each.line,
                "source_line": listing.line_of(each),
                "live_registers": each.live,
            }
            for each in listing.sass
        ],
        "executed": None
        if listing.executed is None
        else {str(line): count for line, count in sorted(listing.executed.items())},
    }


def describe_difference(difference: Difference) -> dict[str, Any]:
    return {
        "variants": [difference.left.variant, difference.right.variant],
        "same_code": difference.same_code,
        "same_mix": difference.same_mix,
        "similarity": difference.similarity,
        "equal": [list(each) for each in difference.equal],
        "moved": [list(each) for each in difference.moved],
        "opcodes": {name: list(counts) for name, counts in difference.opcodes.items()},
    }
