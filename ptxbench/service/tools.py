"""The judge as tools for an agent, over the Model Context Protocol."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from ptxbench import __version__
from ptxbench.check.inputs import Candidate
from ptxbench.check.source import MOST_BYTES
from ptxbench.discovery import choose_pair, choose_pairs, load
from ptxbench.errors import PairError, PtxbenchError
from ptxbench.exporters.pair import describe
from ptxbench.service.inspection import ContainedProcess, Side, inspect
from ptxbench.service.judgements import JudgementEntry, Judgements
from ptxbench.service.refusal import Refused
from ptxbench.service.standard_input import ending_at_signals
from ptxbench.service.submission import Limits, Submission, task

INSTRUCTIONS = """Judges GPU kernels without a GPU. A pair is one task: a CUDA C and a PTX kernel of one signature,
launch and algorithm. Call list_pairs, then show_contract for what a kernel of a pair must fit. Write a kernel, and
judge it. If it is rejected, the findings say where and why. If it is accepted, the ratios compare it with the kernels
of the pair: below 1 is better. hot_lines and show_difference say where a kernel spends its instructions."""

MOST_LINES = 100

MOST_NAME = 100
"""Characters of a name. Longer ones are not names of files."""

MOST_SEED = (1 << 63) - 1

T = TypeVar("T")

Language = Annotated[Literal["ptx", "cuda"], Field(description="The language of the text.")]
PairName = Annotated[str, Field(description="A name from list_pairs.", max_length=MOST_NAME)]
KernelText = Annotated[str, Field(description="The whole text of the kernel.", max_length=MOST_BYTES)]
VariantName = Annotated[str, Field(description="A kernel of the pair, such as cuda or ptx.", max_length=MOST_NAME)]
Arch = Annotated[
    str | None, Field(description="An architecture such as sm_90; by default that of the pair.", max_length=MOST_NAME)
]


@dataclass(frozen=True)
class PairSummary:
    name: str
    summary: str
    purpose: str
    target: str | None
    """The lowest architecture of its PTX."""


@dataclass(frozen=True)
class Contract:
    """What a kernel of a pair must fit. `launches`: grid, block, shared memory, shapes and scalars at every size."""

    pair: str
    entry: str
    summary: str
    arguments: list[dict[str, Any]]
    launch: str | None
    launches: list[dict[str, Any]]
    check_sizes: list[dict[str, int]]
    reference: str | None
    tolerance: str
    exact_on_integers: bool
    knobs: list[dict[str, Any]]
    restrictions: list[str]
    cuda: str | None
    """The pair's own CUDA C."""
    ptx: str | None
    """The pair's own PTX."""


@dataclass(frozen=True)
class FindingText:
    stage: str
    code: str
    severity: str
    line: int | None
    message: str
    hint: str


@dataclass(frozen=True)
class JudgedKernel:
    """`verdict`: accepted, rejected or unjudged; `stage` and `code`: where and why it was not accepted. `ratios`: by
    variant of the pair, its counts over that variant's; below 1 is better. `seed` repeats the judgement."""

    verdict: str
    stage: str | None
    code: str | None
    findings: list[FindingText]
    ratios: dict[str, dict[str, Any]]
    targets: dict[str, bool]
    notes: list[str]
    arch: str
    seed: int
    sha256: str | None


@dataclass(frozen=True)
class Line:
    line: int
    text: str
    executed: int
    """How many PTX instructions of this line warps executed."""


@dataclass(frozen=True)
class HotLines:
    """The lines of a kernel that warps execute most, at `size`. `uncounted`: why there are none."""

    size: dict[str, int]
    executed: int
    lines: list[Line]
    registers: int | None
    instructions: int
    uncounted: str | None


@dataclass(frozen=True)
class KernelDifference:
    """How the machine code of `b` differs from that of `a`. `opcodes`: those whose number differs, with both numbers.
    `similarity`: the share of equal instructions, from 0 to 1. `uncounted`: why one of them was not executed."""

    same_code: bool
    similarity: float
    findings: list[str]
    opcodes: dict[str, list[int]]
    registers: dict[str, int | None]
    size: dict[str, int]
    uncounted: dict[str, str]


class Tools:
    """The tools for the pairs of one folder."""

    def __init__(self, kernels: Path, limits: Limits, judgements: Judgements) -> None:
        self.kernels = kernels
        self.limits = limits
        self.judgements = judgements
        self.inspections = anyio.CapacityLimiter(judgements.jobs)

    def run(self) -> None:
        """Answer on standard output until it or standard input is closed, or a signal ends the program."""
        with ending_at_signals():
            try:
                anyio.run(self.server().run_stdio_async)
            except* BrokenPipeError:  # the agent has gone
                sys.unraisablehook = ignore_broken_pipes
            finally:
                self.judgements.close()

    def server(self) -> MCPServer:
        server = MCPServer(
            "ptxbench",
            version=__version__,
            instructions=INSTRUCTIONS,
            lifespan=self.judgements.lifespan,
            log_level="WARNING",
        )
        for tool in (self.list_pairs, self.show_contract, self.judge, self.show_difference, self.hot_lines):
            server.tool()(tool)
        return server

    async def list_pairs(self) -> list[PairSummary]:
        """List the pairs: the tasks that a kernel can be written for."""
        return await thread(self.summaries)

    def summaries(self) -> list[PairSummary]:
        summaries = []
        for name in choose_pairs(self.kernels, ()):
            try:
                loaded = load(self.kernels, name)
            except PairError:  # the other pairs are still worth listing
                continue
            summaries.append(PairSummary(name, loaded.summary, loaded.pair.purpose, loaded.targets["ptx"]))
        return summaries

    async def show_contract(self, pair: PairName) -> Contract:
        """Show what a kernel of a pair must fit: signature, launches, sizes, tolerance, restrictions, own kernels."""
        return await thread(self.contract, pair)

    def contract(self, pair: str) -> Contract:
        """What `show_contract` answers. Raises UsageError unless the name is that of one pair."""
        contract = describe(load(self.kernels, choose_pair(self.kernels, pair)), whole=True)
        texts = {variant["name"]: variant["text"] for variant in contract["variants"]}
        return Contract(
            pair=contract["name"],
            entry=contract["entry"],
            summary=contract["summary"],
            arguments=contract["arguments"],
            launch=contract["launch"],
            launches=contract["launches"],
            check_sizes=contract["check_sizes"],
            reference=contract["reference"],
            tolerance=contract["tolerance"]["words"],
            exact_on_integers=contract["exact_on_integers"],
            knobs=contract["knobs"],
            restrictions=restrictions(contract["entry"]),
            cuda=texts.get("cuda"),
            ptx=texts.get("ptx"),
        )

    async def judge(
        self,
        pair: PairName,
        text: KernelText,
        language: Language = "ptx",
        arch: Arch = None,
        seed: Annotated[
            int | None, Field(ge=0, le=MOST_SEED, description="To repeat a judgement; by default a new one.")
        ] = None,
    ) -> JudgedKernel:
        """Judge a kernel as a variant of a pair: parse, assemble, verify on hidden sizes and data, look for races,
        launch again elsewhere, and compare its counts with those of the pair's own kernels. The kernel is not trusted.
        """
        document = {"pair": pair, **({"arch": arch} if arch else {}), **({} if seed is None else {"seed": seed})}
        pair_task = await thread(task, document, self.kernels, self.limits)
        submission = Submission((candidate(text, language),), pair_task, seed is not None)
        with refusals():
            [entry] = self.judgements.submit("agent", submission)
        try:
            await entry.done.wait()
        finally:
            self.judgements.cancel(entry)  # the agent has cancelled the call
        return judged(entry)

    async def hot_lines(
        self,
        pair: PairName,
        text: Annotated[str | None, Field(description="A kernel; without it name a variant.")] = None,
        language: Language = "ptx",
        variant: VariantName = "ptx",
        arch: Arch = None,
        most: Annotated[int, Field(ge=1, le=MOST_LINES)] = 20,
    ) -> HotLines:
        """Count how often warps execute each line of a kernel at the pair's largest check size, the hottest first."""
        inspected = await self.inspected(pair, [variant if text is None else candidate(text, language)], arch)
        [kernel] = inspected["kernels"]
        lines = [Line(**line) for line in kernel["lines"]]
        return HotLines(
            inspected["size"],
            sum(line.executed for line in lines),
            lines[:most],
            kernel["registers"],
            kernel["instructions"],
            kernel["uncounted"],
        )

    async def show_difference(
        self,
        pair: PairName,
        b: Annotated[str | None, Field(description="The text of the second kernel; without it name variant_b.")] = None,
        a: Annotated[str | None, Field(description="The text of the first kernel; without it name variant_a.")] = None,
        language_a: Language = "ptx",
        language_b: Language = "ptx",
        variant_a: VariantName = "cuda",
        variant_b: VariantName = "ptx",
        arch: Arch = None,
    ) -> KernelDifference:
        """Say how two kernels of a pair differ in machine code and in what warps execute, most important first."""
        sides: list[Side] = [
            variant_a if a is None else candidate(a, language_a, "a"),
            variant_b if b is None else candidate(b, language_b, "b"),
        ]
        inspected = await self.inspected(pair, sides, arch)
        return KernelDifference(
            inspected["same_code"],
            inspected["similarity"],
            inspected["findings"],
            {name: counts for name, counts in inspected["opcodes"].items() if counts[0] != counts[1]},
            {kernel["name"]: kernel["registers"] for kernel in inspected["kernels"]},
            inspected["size"],
            {kernel["name"]: kernel["uncounted"] for kernel in inspected["kernels"] if kernel["uncounted"]},
        )

    async def inspected(self, pair: str, sides: list[Side], arch: str | None) -> dict[str, Any]:
        pair_task = await thread(task, {"pair": pair, "arch": arch}, self.kernels, self.limits)
        process = ContainedProcess()
        call = partial(inspect, pair_task.pair, self.kernels, pair_task.arch, sides, self.limits, process)
        result: dict[str, Any] | ToolError
        async with anyio.create_task_group() as group:  # a call that the agent cancels ends with the process
            group.start_soon(end_when_cancelled, process)
            try:
                result = await thread(call, limiter=self.inspections)
            except ToolError as error:
                result = error
            group.cancel_scope.cancel()
        if isinstance(result, ToolError):
            raise result
        return result


def ignore_broken_pipes(failure: sys.UnraisableHookArgs) -> None:
    """Print nothing if a stream that is deleted cannot write the rest of what it holds."""
    if not issubclass(failure.exc_type, BrokenPipeError):
        sys.__unraisablehook__(failure)


async def end_when_cancelled(process: ContainedProcess) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        process.end()


@contextmanager
def refusals() -> Iterator[None]:
    """Turns errors that the agent can correct into the tool's answer."""
    try:
        yield
    except (PtxbenchError, Refused) as error:
        raise ToolError(str(error)) from None


async def thread(function: Callable[..., T], *arguments: Any, limiter: anyio.CapacityLimiter | None = None) -> T:
    """Call the function in a thread. Raises ToolError for what is refused."""
    with refusals():
        return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=limiter)


def candidate(text: str, language: str, name: str = "kernel") -> Candidate:
    return Candidate(name, language, text.encode("utf-8", "surrogatepass"))


def judged(entry: JudgementEntry) -> JudgedKernel:
    """The judgement as an answer. Raises ToolError without a verdict."""
    judgement = entry.judgement
    if judgement is None:
        raise ToolError(entry.error or "The judgement was cancelled.")
    decisive = judgement.decisive
    return JudgedKernel(
        verdict=judgement.verdict,
        stage=judgement.ended_at,
        code=decisive.code if decisive else None,
        findings=[FindingText(f.stage, f.code, f.severity, f.line, f.message, f.hint) for f in judgement.findings],
        ratios={name: dict(values) for name, values in judgement.ratios.items()},
        targets=dict(judgement.targets),
        notes=list(judgement.notes),
        arch=judgement.arch,
        seed=judgement.seed,
        sha256=judgement.sha256,
    )


def restrictions(entry: str) -> list[str]:
    return [
        f'The kernel is named {entry}: .visible .entry {entry} in PTX, extern "C" __global__ in CUDA C.',
        f"The text is at most {MOST_BYTES >> 20} MiB. PTX is ASCII, except in comments.",
        "CUDA C may include CUDA's own headers, common ones of the host such as <cstdint>, and no other file.",
        "It is launched as `launches` says, at these sizes and at others that are hidden.",
        "It must not change its inputs, keep a state between launches, or depend on addresses or on the order of CTAs.",
    ]
