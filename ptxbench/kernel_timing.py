"""Times two kernels of files on a GPU as `ptxbench run` times a pair, after the emulator found that they agree.

The reference is what the first kernel left on the emulator, so the GPU must give that too, within the tolerance and the
errors of its approximate instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.arguments import make
from ptxbench.arguments.elements import TYPES, quoted
from ptxbench.arguments.notation import Argument
from ptxbench.arrays import bf16, is_float
from ptxbench.backends.base import Backend
from ptxbench.discovery import LoadedPair, Source
from ptxbench.emulator import Pointer
from ptxbench.emulator.variables import reads_workspace
from ptxbench.errors import PtxbenchError, PtxSyntaxError, SignatureMismatch, UnsupportedInstruction
from ptxbench.execution import UNSUPPORTED, ExecOutcome
from ptxbench.exit_status import ExitStatus
from ptxbench.kernel_comparison import SAME, Closeness, LaunchComparison, is_number, numbers_of
from ptxbench.metrics import REFERENCE
from ptxbench.pair import In, InOut, Launch, Pair, Scalar, Size, Tolerance
from ptxbench.result import INTERRUPTED, VERIFIED, Cell
from ptxbench.runner import Event, PairPlan, RunOutcome, RunPlan, Step, carry_out, noise
from ptxbench.signature import check_signature
from ptxbench.stats import Interval

OTHER = "ptx"
"""The variant that is the second kernel, whatever its language; the first one is REFERENCE."""

SIZE: Size = {"launch": 1}
"""The only size: a launch is fixed."""


@dataclass(frozen=True)
class KernelTiming:
    """The result of timing both kernels: their cell, or the reason why there is none."""

    device: str
    cell: Cell | None = None
    noise: Interval | None = None
    problem: str | None = None
    status: ExitStatus = ExitStatus.GOOD


@dataclass(frozen=True, kw_only=True)
class FixedPair(Pair):
    """A pair with one size, whose arguments are given."""

    arguments: Mapping[str, Any]

    def make_arguments(self, size: Size, seed: int, *, integers: bool = False, varied: bool = False) -> dict[str, Any]:
        return {name: value.copy() for name, value in self.arguments.items()}


@dataclass(frozen=True)
class ComparedKernels:
    """A `runner.plan.PairMaker`. `arguments`: before the launch; `expected`: the outputs of the first kernel."""

    name: str
    sources: tuple[Source, Source]
    arguments: Mapping[str, Any]
    expected: Mapping[str, NDArray[Any]]
    closeness: Closeness

    @property
    def tolerance(self) -> str:
        """Never the word for exact: the errors of a GPU's approximate instructions are allowed in any case."""
        reference = "the emulator's result"
        return reference if self.closeness.exact else f"{self.closeness.describe} of {reference}"

    def loaded(self) -> LoadedPair:
        """The two kernels as a pair, whose reference is the output of the first one."""
        pair = FixedPair(
            purpose="Two kernels of files.",
            args=[self.argument(name, value) for name, value in self.arguments.items()],
            launch=lambda launch: launch_of(self.sources[0]),
            reference=lambda **inputs: {
                name: array.astype(np.float64) if is_float(array.dtype) else array
                for name, array in self.expected.items()
            },
            tolerance=Tolerance(self.tolerance, lambda expected, inputs: self.closeness.bound(expected)),
            check_sizes=[SIZE],
            bench_sizes=[SIZE],
            flops=lambda launch: 0,
            bytes=lambda launch: 0,  # which part of an array any kernel must move is not known
            arguments=self.arguments,
        )
        return LoadedPair(self.name, "", pair, self.sources, self.sources[0].path)

    def argument(self, name: str, value: Any) -> In | InOut | Scalar:
        if not isinstance(value, np.ndarray):
            return Scalar(name, value.dtype, value.item())
        kind = InOut if name in self.expected else In
        return kind(name, value.dtype, lambda launch: value.shape)


def launch_of(source: Source) -> Launch:
    assert source.launch is not None
    return source.launch


# ---- what can be timed


def pair_of(comparison: LaunchComparison) -> ComparedKernels | str:
    """Both kernels as a pair; or the words on why they cannot be timed."""
    first, second = comparison.outcomes
    if comparison.status == UNSUPPORTED:
        return "the emulator must execute both first, since its result is the reference"
    if comparison.status != SAME:
        return "the outputs on the emulator must agree first"
    positions = [[id(bound.written) for bound in outcome.bound] for outcome in comparison.outcomes]
    if positions[0] != positions[1]:
        return "both kernels must have their parameters in the same order"
    arguments: dict[str, Any] = {}
    for bound, argument in zip(first.bound, make(first.bound, first.launch.seed).args, strict=True):
        value = argument.array if isinstance(argument, Pointer) else argument
        if not isinstance(bound.argument, Argument) or bound.is_bytes or value is None or not is_number(value.dtype):
            return f"--arg '{quoted(bound.argument.text)}' is neither a number nor an array of numbers"
        arguments[bound.name] = as_numbers(bound.argument, value)
    changed = {output.index for outcome in comparison.outcomes for output in outcome.outputs}
    expected = {output.name: numbers_of(output) for output in first.arrays if output.index in changed}
    name = " and ".join(comparison.names)
    sources = source_of(first, REFERENCE), source_of(second, OTHER)
    kernels = ComparedKernels(name, sources, arguments, expected, comparison.closeness)
    try:
        for outcome, source in zip(comparison.outcomes, sources, strict=True):
            check_signature(outcome.program.ptx, source.entry, kernels.loaded().pair.parameters, source.path)
    except (SignatureMismatch, PtxSyntaxError, UnsupportedInstruction) as error:
        return str(error).rstrip(".")
    return kernels


def as_numbers(argument: Argument, value: Any) -> Any:
    """An array of bf16, which exec holds as whole numbers, as one of bf16."""
    return value.view(bf16) if argument.type is TYPES["bf16"] and isinstance(value, np.ndarray) else value


def source_of(outcome: ExecOutcome, variant: str) -> Source:
    """The kernel as a variant, with its own launch."""
    program = outcome.program
    launch = Launch(
        outcome.launch.grid,
        outcome.block,
        outcome.launch.shared_bytes,
        outcome.launch.cluster,
        cooperative=reads_workspace(program.module, outcome.function),
    )
    return Source(variant, program.language, program.path, outcome.function.name, tuple(program.flags), launch=launch)


# ---- timing


def time_kernels(
    comparison: LaunchComparison,
    backend: Backend,
    rounds: int,
    on_report: Callable[[Step], None] = lambda step: None,
    calibrated: Callable[[RunPlan], RunPlan] = lambda plan: plan,
    carry: Callable[[RunPlan], Iterable[Event]] = carry_out,
) -> KernelTiming:
    """Verify both on the GPU, and time them in paired blocks over `rounds` new processes."""
    device = backend.device()
    kernels = pair_of(comparison)
    if isinstance(kernels, str):
        return KernelTiming(
            device.name, problem=f"Not timed on {device.name}: {kernels}.", status=ExitStatus.NO_VERDICT
        )
    loaded = kernels.loaded()
    plan = RunPlan(
        (PairPlan(loaded, loaded.sources, (SIZE,), oracle_asked=False),),
        backend,
        comparison.kernels[0].program.arch,
        Path(),
        rounds=rounds,
        maker=kernels,
    )
    outcome = RunOutcome()
    try:
        for event in carry(calibrated(plan)):
            outcome.add(event)
            if isinstance(event, Step):
                on_report(event)
    except KeyboardInterrupt:
        outcome.interrupt()
    except PtxbenchError as error:  # what the emulator found must not be lost
        outcome.interrupt(error)
    outcome.finish()
    cell = next((candidate for candidate in outcome.cells if not candidate.control), None)
    status = outcome.error.exit_status if isinstance(outcome.error, PtxbenchError) else outcome.exit_status
    return KernelTiming(device.name, cell, noise(outcome.cells), problem_of(cell, outcome, device.name), status)


def problem_of(cell: Cell | None, outcome: RunOutcome, device: str) -> str | None:
    """Why there is no time, in a sentence; None if there is one."""
    if outcome.error or outcome.status == INTERRUPTED:
        return f"Not timed on {device}: {str(outcome.error or 'interrupted').rstrip('.')}."
    if cell is not None:
        failed = [result.reason for result in cell.variants.values() if result.status != VERIFIED and result.reason]
        if failed:
            return f"Not timed on {device}: {failed[0].rstrip('.')}."
    if outcome.lost:
        return f"Not timed: {device} cannot be used any more: {outcome.lost.rstrip('.')}."
    return None if cell is not None and cell.rounds else f"Not timed on {device}: no sample was taken."
