"""Derives the executions of a build's machine instructions from the counts of a launch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ptxbench import cache
from ptxbench.emulator.parse import parsed
from ptxbench.errors import ToolMissing
from ptxbench.executed import branches, spinning, terms, trips
from ptxbench.executed.flow import Flow
from ptxbench.executed.graph import Graph, graph
from ptxbench.executed.paths import Paths
from ptxbench.executed.ptx import PtxLines
from ptxbench.toolchain import Build, lines, locate
from ptxbench.toolchain.lines import MachineInstruction

CODE = ("executed", "toolchain", "emulator")
"""The parts of the package on which a derivation depends."""

WHOLE = 1e-3
"""The tolerance for a block count as a whole number, for the solver's rounding errors."""

WIDE = 1.04
"""An interval whose end / start is above this needs a reason."""

FREE = 1e3
"""An interval whose end / start is above this has no information."""


@dataclass(frozen=True)
class Counted:
    """The emulator's counts for a launch: by line of the PTX, and the trips of each loop.

    `loops`: by the line of a loop's backward branch, how many entries made how many trips.
    """

    by_line: Mapping[int, Mapping[str, float]]
    warps: int
    loops: Mapping[int, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class BlockCount:
    """The instructions from address `start` up to `end`, which a warp executes in sequence `fit` times."""

    start: int
    end: int
    fit: float


@dataclass(frozen=True)
class Executed:
    """Machine instructions that warps executed: at least `least`, at most `most`, most likely `fit`.

    All three are None if there is no number; then `reason` says why, else it says why the interval is wide. `whole`:
    whether the likeliest counts are whole numbers. `anchors`: how many PTX lines constrain the counts of instructions;
    `anchors_off`: how many of them the likeliest counts miss.
    """

    least: int | None = None
    fit: int | None = None
    most: int | None = None
    whole: bool = False
    anchors: int = 0
    anchors_off: int = 0
    reason: str | None = None
    blocks: Sequence[BlockCount] = ()

    @cached_property
    def by_instruction(self) -> Mapping[int, float]:
        """The likeliest executions of each instruction, by its address."""
        step = 16
        return {at: block.fit for block in self.blocks for at in range(block.start, block.end, step)}

    def document(self) -> dict[str, Any]:
        """The JSON form, without the blocks."""
        names = ("least", "most", "fit", "whole", "anchors_off", "reason")
        return {name: getattr(self, name) for name in names}

    @property
    def settled(self) -> bool:
        """Whether the interval is narrow enough to support a claim."""
        return self.width <= WIDE - 1

    @property
    def width(self) -> float:
        """The width of the interval as a share of its start; infinite if there is none."""
        if self.least is None or self.most is None or not self.least:
            return math.inf
        return self.most / self.least - 1


def of_build(build: Build, counted: Counted) -> Executed:
    """The executions of a build's machine code, from the cache if they were derived before.

    Without ptxas and nvdisasm, or with the driver's assembler, there is no number, and `reason` says so.
    """
    if build.cubin is None:
        return Executed(reason="no machine code: the driver assembles this build")
    try:
        assembler, disassembler = lines.require("ptxas"), lines.require("nvdisasm")
        key = (
            "executed", cache.code_version(*CODE), locate.version(assembler), locate.version(disassembler),
            build.arch, build.entry, hashlib.sha256(build.ptx.encode()).hexdigest(), digest(counted),
        )  # fmt: skip

        def make() -> bytes:
            annotated = lines.with_lines(build)
            if not annotated.same_code:
                return encoded(Executed(reason="ptxas makes other code of it with line information"))
            return encoded(derive(annotated.instructions, build.ptx, build.entry, counted))

        return decoded(cache.remember(key, make))
    except ToolMissing as missing:
        return Executed(reason=str(missing).removesuffix("."))


def digest(counted: Counted) -> str:
    """A hash of all counts."""
    document = [
        counted.warps,
        sorted((line, sorted(counts.items())) for line, counts in counted.by_line.items()),
        sorted((line, sorted(histogram.items())) for line, histogram in counted.loops.items()),
    ]
    return hashlib.sha256(json.dumps(document, default=int).encode()).hexdigest()


def encoded(executed: Executed) -> bytes:
    return json.dumps(dataclasses.asdict(executed)).encode()


def decoded(content: bytes) -> Executed:
    document: dict[str, Any] = json.loads(content)
    blocks = tuple(BlockCount(**block) for block in document.pop("blocks"))
    return Executed(**document, blocks=blocks)


def derive(code: Sequence[MachineInstruction], ptx: str, entry: str, counted: Counted) -> Executed:
    """The executions of this machine code, whose instructions have lines of `ptx`."""
    from ptxbench.executed.program import MachineProgram  # here, because most commands need no solver

    machine_graph = graph(code)
    if machine_graph.unknown:
        return Executed(reason=machine_graph.unknown)
    counts = PtxLines(parsed(ptx), entry, counted.by_line)
    paths = Paths(counts.function)
    if reason := spinning.steered(paths, counts, counted.loops):
        return Executed(reason=reason)
    flow = Flow(machine_graph, counts, counted.warps)
    firm = list(terms.anchors(machine_graph, counts))
    program = MachineProgram(
        flow, firm, list(terms.likely_sums(machine_graph, counts)), list(terms.upper_bounds(machine_graph, counts))
    )
    program.assume(list(branches.rows(flow, paths)), list(trips.rows(flow, paths, counted.loops)))
    ends, solution = program.ends(), program.solve()
    if solution is None:
        return Executed(reason="no executions of its blocks fit the counts", anchors=len(firm))
    blocks = tuple(
        BlockCount(
            block.operations[0].instruction.address,
            block.last.instruction.address + 16,
            round(float(count), 3) + 0.0,
        )
        for block, count in zip(machine_graph.blocks, solution.blocks, strict=True)
    )
    whole = all(abs(block.fit - round(block.fit)) <= WHOLE for block in blocks)
    off = len(solution.off)
    if ends is None:
        missed = ", ".join(str(term.line) for term in solution.off[:3])
        reason = f"the counts of PTX line {missed} do not fit the machine code" if missed else "the counts do not fit"
        return Executed(whole=whole, anchors=len(firm), anchors_off=off, reason=reason, blocks=blocks)
    if ends[1] > FREE * max(ends[0], 1):
        return Executed(None, None, None, whole, len(firm), 0, why(machine_graph, flow), blocks)
    least, most = (max(0, math.ceil(ends[0] - 0.5)), math.floor(ends[1] + 0.5))
    fit = min(max(round(sum(block.fit * (block.end - block.start) / 16 for block in blocks)), least), most)
    wide = why(machine_graph, flow) if most > WIDE * least else None
    return Executed(least, fit, most, whole, len(firm), 0, wide, blocks)


def why(machine_graph: Graph, flow: Flow) -> str:
    """Why an interval is wide."""
    if machine_graph.helper_blocks:
        return "how often a slow path, such as that of a division, runs depends on the data"
    if flow.lines.diverges or flow.diverging_blocks:
        return "lanes of a warp diverge, and no count says how often each side ran"
    return "ptxas unrolled a loop, and no count says how often each copy ran"


def joint(derivations: Iterable[Executed]) -> Executed | None:
    """Combine several derivations for the same machine code: the intersection of their intervals.

    None if they have no number in common, which cannot happen if all are right.
    """
    with_numbers = [
        executed
        for executed in derivations
        if executed.least is not None and executed.most is not None and executed.fit is not None
    ]
    if not with_numbers:
        return None
    least = max(executed.least for executed in with_numbers if executed.least is not None)
    most = min(executed.most for executed in with_numbers if executed.most is not None)
    best = min(with_numbers, key=lambda executed: (executed.width, executed.fit))
    if least > most or best.fit is None:
        return None
    return dataclasses.replace(best, least=least, most=most, fit=min(max(best.fit, least), most))
