"""What the sanitizer says about a launch, with the results of others: with other undefined values, and with another
schedule of lanes and warps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ptxbench import errors
from ptxbench.emulator import memory
from ptxbench.emulator.explain import explain
from ptxbench.emulator.findings import Describer, SanitizerFinding
from ptxbench.emulator.image import Image
from ptxbench.emulator.memory import Bytes
from ptxbench.emulator.messages import TAKE_TURNS, LaunchReply, LaunchRequest
from ptxbench.emulator.process import emulator_process
from ptxbench.emulator.runtime import context

MOST_RESCHEDULED = 5_000_000
"""A sanitized launch with more thread instructions is not run again with the adversarial schedule."""

MOST_COMPARED_BYTES = 1 << 30
"""A launch with more bytes of arrays and variables is not run again either: the results of both runs are compared."""


OTHER_VALUES = 1
"""A seed."""

UNWRITTEN = (context.POISON, 0x00, 0x7B, 0xFB)
"""Bytes of memory that was never written: as numbers of matrices NaN (or -1), 0, and great ones of both signs."""
SECOND_SCHEDULE = "second schedule"
"""The first words of the note about a second schedule that was not run."""
USE_SMALLER = "; use a smaller size"
"""The last words, for who chooses the size."""


@dataclass(frozen=True)
class SanitizerReport:
    """Fields of launch.Execution that only a sanitized launch fills."""

    findings: tuple[SanitizerFinding, ...] = ()
    unchecked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[SanitizerFinding, ...] = ()
    old_values: tuple[SanitizerFinding, ...] = ()


NO_REPORT = SanitizerReport()


def sanitizer_report(
    job: LaunchRequest,
    image: Image,
    answer: LaunchReply,
    results: Sequence[Bytes],
    totals: Mapping[str, float],
    describer: Describer,
) -> SanitizerReport:
    """The report on a launch that ended without a fault. If nothing was found, the launch runs again with another
    schedule; `results` are then still those of the first run.

    Where a matrix is read of which a part was never written, such as the last rows of a ragged tile, that is a finding
    if a result depends on it: the launch runs again with other bytes in memory that was never written.
    """
    findings = describer.findings(answer.findings)
    without = describer.findings([raw for raw in answer.findings if not describer.is_unwritten_matrix(raw)])
    if len(without) < len(findings) and is_comparable(image) and not uses_unwritten(job, image, results):
        findings = without
    remarks = describer.remarks(answer.findings)
    unchecked = checks_missed(answer, totals, image)
    is_obstructed = any(note.startswith(SECOND_SCHEDULE) for note in unchecked)
    comparable = job.variation.loads is None  # old values may change the results
    sources = describer.inactive_sources(answer.findings)
    if sources and not findings and comparable and runs_again(totals, image) and uses_inactive(job, image, results):
        findings = sources
    # If CTAs take turns, the schedule changes what they see of each other.
    if not (findings or is_obstructed) and comparable and job.ctas not in TAKE_TURNS:
        findings = reschedule(job, image, results)
    return SanitizerReport(
        findings=findings,
        unchecked=unchecked,
        notes=(*unchecked, *describer.notes(answer.findings), *(remark.message for remark in remarks)),
        remarks=remarks,
        old_values=describer.old_values(answer.findings),
    )


def runs_again(totals: Mapping[str, float], image: Image) -> bool:
    """Whether the launch is small enough to run again."""
    return totals["ptx_thread_instructions"] <= MOST_RESCHEDULED and is_comparable(image)


def is_comparable(image: Image) -> bool:
    """Whether the launch has few enough bytes for the results of two runs to be compared."""
    return image.layout.size <= MOST_COMPARED_BYTES


def checks_missed(answer: LaunchReply, totals: Mapping[str, float], image: Image) -> tuple[str, ...]:
    """The checks that were not made, in words."""
    notes = list(answer.notes)
    if obstacle := answer.translation.schedule_obstacle:
        notes.append(f"{SECOND_SCHEDULE} inconclusive: {obstacle}, whose results may depend on the order")
    elif totals["ptx_thread_instructions"] > MOST_RESCHEDULED:
        notes.append(f"{SECOND_SCHEDULE} skipped: more than {MOST_RESCHEDULED:,} thread instructions{USE_SMALLER}")
    elif not is_comparable(image):
        notes.append(f"{SECOND_SCHEDULE} skipped: more than {MOST_COMPARED_BYTES >> 20:,} MiB to compare{USE_SMALLER}")
    return tuple(notes)


def uses_inactive(job: LaunchRequest, image: Image, results: Sequence[Bytes]) -> bool:
    """Whether the launch has other results, or fails, if shuffles from inactive lanes give other values."""
    other = replace(job, mode="plain", variation=replace(job.variation, shuffles=OTHER_VALUES))
    try:
        reply, different = run_again(other, image, results)
    except errors.Deadlock:
        return True
    return reply.fault is not None or bool(different)


def uses_unwritten(job: LaunchRequest, image: Image, results: Sequence[Bytes]) -> bool:
    """Whether the launch has other results, or fails, if memory that was never written holds other bytes. `results`
    are afterwards what they were. They are not compared: old values may have changed them."""
    kept = [result.copy() for result in results]
    first: list[Bytes] = []
    try:
        for byte in UNWRITTEN:
            other = replace(job, mode="plain", variation=replace(job.variation, unwritten=byte, loads=None))
            reply, new_results = emulator_process().perform(other, image.contents)
            first = first or [result.copy() for result in new_results]
            if reply.fault is not None or not all(map(np.array_equal, first, new_results)):
                return True
    except errors.Deadlock:
        return True
    finally:
        for result, before in zip(results, kept, strict=True):
            result[:] = before
    return False


def reschedule(job: LaunchRequest, image: Image, results: Sequence[Bytes]) -> tuple[SanitizerFinding, ...]:
    """Run the launch again: one half of each warp before the other half, and the warps from last to first.

    A kernel that synchronises its lanes gives the same bytes.
    """
    try:
        reply, different = run_again(replace(job, mode="adversarial"), image, results)
    except errors.Deadlock as error:
        return (SanitizerFinding("schedule", 0, f"with another schedule of the warps' lanes, {error}"),)
    if reply.fault is not None:
        fault = explain(reply, reply.fault, image.layout, job)
        return (SanitizerFinding("schedule", 0, f"with another schedule of the warps' lanes: {fault}"),)
    places = dict.fromkeys(memory.nearest(image.layout.buffers, address, 1) for address in different)
    return tuple(
        SanitizerFinding(
            "schedule", 0, f"with another schedule of the warps' lanes, {place}, holds another value: a __syncwarp "
            f"(bar.warp.sync), a barrier or an atomic is missing.",
        )
        for place in places
    )  # fmt: skip


def run_again(job: LaunchRequest, image: Image, results: Sequence[Bytes]) -> tuple[LaunchReply, list[int]]:
    """The reply, and the first byte of each array that differs from `results`, which afterwards are what they were."""
    expected = [result.copy() for result in results]
    reply, new_results = emulator_process().perform(job, image.contents)
    different = []
    for before, after, (offset, _) in zip(expected, new_results, image.contents, strict=True):
        changed = np.flatnonzero(before != after)
        if changed.size:
            different.append(context.GLOBAL_BASE + offset + int(changed[0]))
        after[:] = before
    return reply, different
