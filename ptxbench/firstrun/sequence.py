"""A first run from its first step, or from where an earlier one ended, to its last."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ptxbench import environment, toolchain
from ptxbench.errors import ResultError
from ptxbench.firstrun.record import COMPLETE, FILE, UNFINISHED, FirstRun, StepDone
from ptxbench.firstrun.steps import STEPS, FirstRunSetup, run_step
from ptxbench.runner.document import now

SECONDS = 600.0
"""The time of a first run. A step that begins before its end is finished."""


def begin(bench: FirstRunSetup) -> FirstRun:
    """The unfinished first run of this device if there is one, else a new one."""
    fresh = FirstRun(UNFINISHED, now(), now(), environment.tool(), bench.suite.device, toolchain.versions())
    try:
        saved = FILE.load(bench.folder)
    except ResultError:  # it is made again
        saved = None
    return saved if saved and saved.continues(fresh) else fresh


def run_steps(first: FirstRun, bench: FirstRunSetup) -> Iterator[FirstRun]:
    """Do the remaining steps until the time limit; yields the record after each, which is already saved."""
    taken = {step.step for step in first.steps}
    for name, take in STEPS.items():
        if name in taken:
            continue
        if bench.late():
            return
        first = with_step(first, run_step(take, bench))
        FILE.save(first, bench.folder)
        yield first


def with_step(first: FirstRun, done: StepDone) -> FirstRun:
    steps = [*first.steps, done]
    status = COMPLETE if {step.step for step in steps} >= set(STEPS) else UNFINISHED
    return dataclasses.replace(first, status=status, finished=now(), steps=steps)
