"""The paired experiment with a candidate: a run of the pair in which the candidate is an additional variant.

The run is made by `runner`, with its own processes and time limits. Only a candidate that the emulator has accepted
is timed. The pair's folder is copied, so that no file of the user is changed.
"""

from __future__ import annotations

import dataclasses
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ptxbench import toolchain
from ptxbench.backends.base import Backend
from ptxbench.check.finding_codes import ERROR
from ptxbench.check.findings import (
    ACCEPTED,
    PASSED,
    REJECTED,
    WARNED,
    Finding,
    Judgement,
    StageResult,
    TimingGpu,
    finding,
)
from ptxbench.check.inputs import Candidate
from ptxbench.check.ranking import TIME
from ptxbench.check.stages import CANDIDATE
from ptxbench.device_shape import DeviceShape
from ptxbench.discovery import SUFFIXES
from ptxbench.languages import LANGUAGES
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.result import BROKEN, WRONG, Cell
from ptxbench.run_info import Device
from ptxbench.runner import CellDone, DeviceLost, Event, RunPlan, Step, carry_out, plan_pairs
from ptxbench.units import si

STAGE = "time"


@dataclasses.dataclass(frozen=True)
class Timing:
    """Where and how to time. `sizes`: in the notation of `--size`; by default the pair's first bench size."""

    backend: Backend
    kernels: Path
    sizes: Sequence[str] = ()
    rounds: int = 5
    seed: int = 1


def with_time(
    judgement: Judgement,
    candidate: Candidate,
    timing: Timing,
    on_report: Callable[[Step], None] = lambda step: None,
    carry: Callable[[RunPlan], Iterable[Event]] = carry_out,
) -> Judgement:
    """The judgement with the GPU's result as its stage `time`; unchanged if it was not accepted."""
    if judgement.verdict != ACCEPTED:
        return judgement
    started = time.monotonic()
    gpu = TimingGpu(socket.gethostname(), timing.backend.device())
    with tempfile.TemporaryDirectory(prefix="ptxbench-check-") as folder:
        kernels = Path(folder) / "kernels"
        variant = with_candidate(timing.kernels, kernels, judgement.pair, candidate, judgement.arch)
        cells: list[Cell] = []
        lost: DeviceLost | None = None
        for event in carry(plan(kernels, judgement.pair, variant, timing, gpu.device)):
            if isinstance(event, Step):
                on_report(event)
            elif isinstance(event, CellDone) and not event.cell.control:
                cells.append(event.cell)
            elif isinstance(event, DeviceLost):
                lost = event
    cells = [cell for cell in cells if variant in cell.variants]  # another variant may have ended the run earlier
    new_findings = list(findings(cells, variant, lost))
    verdict = (
        REJECTED if any(finding.severity == ERROR for finding in new_findings) else WARNED if new_findings else PASSED
    )
    result = StageResult(STAGE, verdict, time_words(cells, variant, gpu), round(time.monotonic() - started, 3))
    stages = tuple(result if stage.stage == STAGE else stage for stage in judgement.stages)
    return dataclasses.replace(
        judgement,
        stages=stages if verdict != REJECTED else stages[: [stage.stage for stage in stages].index(STAGE) + 1],
        findings=(*judgement.findings, *new_findings),
        ratios={**judgement.ratios, **ratios(cells, variant, judgement)},
        timed_on=gpu,
    )


def with_candidate(kernels: Path, copy: Path, pair: str, candidate: Candidate, arch: str) -> str:
    """A copy of the folder of kernels in which the candidate is a variant of the pair; the variant's name.

    CUDA C is replaced by the PTX that was judged, because the run's own NVRTC could read the user's files.
    """
    for name in ("pairs", *LANGUAGES):
        if (kernels / name).is_dir():
            shutil.copytree(kernels / name, copy / name)
    content = candidate.content
    if candidate.language == "cuda":
        path = Path(f"candidate{SUFFIXES[candidate.language]}")
        content = toolchain.compiled(content, path, arch, (), contained=True)[0].encode("ascii", "replace")
    (copy / "ptx" / f"{pair}.{CANDIDATE}.ptx").write_bytes(content)
    return f"ptx.{CANDIDATE}"


def plan(kernels: Path, pair: str, variant: str, timing: Timing, device: Device) -> RunPlan:
    """The plan of the run: the pair's two kernels and the candidate."""
    pair_plans, _ = plan_pairs(
        kernels,
        [pair],
        [REFERENCE, "ptx", variant],
        timing.sizes,
        emulated=not timing.sizes,
        device=DeviceShape.of(device),
    )
    pair_plans = tuple(pair_plan.for_architecture(device.sm, any_gpu=False) for pair_plan in pair_plans)
    return RunPlan(pair_plans, timing.backend, device.sm, kernels, seed=timing.seed, rounds=timing.rounds, renewed=True)


def findings(cells: Sequence[Cell], variant: str, lost: DeviceLost | None) -> Iterator[Finding]:
    """What is wrong with the candidate on the GPU, or with its time."""
    if lost and variant in lost.suspects:
        yield finding(STAGE, "wrong-on-gpu", f"the device was lost: {lost.reason.rstrip('.')}.")
        return
    for cell in cells:
        result = cell.variants[variant]
        if result.status in (WRONG, BROKEN):
            yield finding(STAGE, "wrong-on-gpu", str(result.reason))
            return
    if not any(BY_NAME["ratio"].of(cell, variant) is not None for cell in cells):
        reasons = [result.reason for cell in cells if (result := cell.variants[variant]).reason]
        labels = [label for cell in cells for label in cell.labels]
        if lost:
            reasons = [f"the device was lost: {lost.reason.rstrip('.')}"]
        yield finding(
            STAGE, "not-timed", f"no time: {'; '.join(map(str, reasons or labels)) or 'no sample was taken'}."
        )


def ratios(cells: Sequence[Cell], variant: str, judgement: Judgement) -> dict[str, dict[str, float]]:
    """The ratios of the judgement with the time's ratios at the first size, to the pair's CUDA C and to its PTX."""
    by_variant = {}
    for other in (REFERENCE, "ptx"):
        for cell in cells[:1]:
            candidate_ratio, other_ratio = (BY_NAME["ratio"].of(cell, name) for name in (variant, other))
            if candidate_ratio is not None and other_ratio:
                by_variant[other] = {**judgement.ratios.get(other, {}), TIME: candidate_ratio / other_ratio}
    return by_variant


def time_words(cells: Sequence[Cell], variant: str, gpu: TimingGpu) -> str:
    """`12.3 µs, 0.912 × cuda [0.908 to 0.917], on Tesla T4 of gpu-7`, at the first size."""
    for cell in cells[:1]:
        seconds, ratio = (BY_NAME[name].of(cell, variant) for name in ("time", "ratio"))
        interval = BY_NAME["ratio"].interval
        ends = interval(cell, variant, cell.variants[variant]) if interval else None
        if seconds is not None and ratio is not None:
            between = f" [{ends[0]:.3f} to {ends[1]:.3f}]" if ends else ""
            return f"{si(seconds, 's')}, {si(ratio, '×')} cuda{between}, on {gpu}"
    return "no time"
