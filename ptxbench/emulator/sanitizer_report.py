"""Runs a sanitised launch again, with another schedule of lanes and warps; lists the checks that were not made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ptxbench import errors
from ptxbench.emulator import memory
from ptxbench.emulator.explain import explain
from ptxbench.emulator.findings import SanitizerFinding
from ptxbench.emulator.image import Image
from ptxbench.emulator.memory import Bytes
from ptxbench.emulator.messages import LaunchReply, LaunchRequest
from ptxbench.emulator.process import emulator_process
from ptxbench.emulator.runtime import context

MOST_RESCHEDULED = 5_000_000
"""A sanitised launch with more thread instructions is not run again with the adversarial schedule."""

MOST_COMPARED_BYTES = 1 << 30
"""A launch with more bytes of arrays and variables is not run again either: the results of both runs are compared."""


def sanitizer_notes(answer: LaunchReply, totals: Mapping[str, float], image: Image) -> tuple[str, ...]:
    """The checks that were not made."""
    notes = list(answer.notes)
    if obstacle := answer.translation.schedule_obstacle:
        notes.append(f"second schedule inconclusive: {obstacle}, whose results may depend on the order")
    elif totals["ptx_thread_instructions"] > MOST_RESCHEDULED:
        notes.append(f"second schedule skipped: more than {MOST_RESCHEDULED:,} thread instructions; use a smaller size")
    elif image.layout.size > MOST_COMPARED_BYTES:
        notes.append(
            f"second schedule skipped: more than {MOST_COMPARED_BYTES >> 20:,} MiB to compare; use a smaller size"
        )
    return tuple(notes)


def reschedule(job: LaunchRequest, image: Image, results: Sequence[Bytes]) -> tuple[SanitizerFinding, ...]:
    """Run the launch again: one half of each warp before the other half, and the warps from last to first.

    A kernel that synchronises its lanes gives the same bytes. Afterwards `results` holds the first run's bytes.
    """
    expected = [result.copy() for result in results]
    try:
        answer, new_results = emulator_process().perform(replace(job, mode="adversarial"), image.contents)
    except errors.Deadlock as error:
        return (SanitizerFinding("schedule", 0, f"with another schedule of the warps' lanes, {error}"),)
    findings = []
    for before, after, (offset, _) in zip(expected, new_results, image.contents, strict=True):
        different = np.flatnonzero(before != after)
        if answer.fault is None and different.size:
            location = memory.nearest(image.layout.buffers, context.GLOBAL_BASE + offset + int(different[0]), 1)
            findings.append(
                SanitizerFinding(
                    "schedule", 0, f"with another schedule of the warps' lanes, {location}, holds another value: a "
                    f"__syncwarp (bar.warp.sync), a barrier or an atomic is missing.",
                )
            )  # fmt: skip
        after[:] = before
    if answer.fault is not None:
        fault = explain(answer, answer.fault, image.layout, job)
        findings.append(SanitizerFinding("schedule", 0, f"with another schedule of the warps' lanes: {fault}"))
    return tuple(dict.fromkeys(findings))
