"""Takes the steps of a first run: from the first one, or from where an earlier one ended, to the last one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ptxbench import environment, toolchain
from ptxbench.errors import ResultError
from ptxbench.firstrun.record import COMPLETE, FILE, UNFINISHED, FirstRun, StepDone
from ptxbench.firstrun.steps import STEPS, FirstRunSetup, run_step
from ptxbench.runner.document import now

SECONDS = 600.0
"""The time of a first run. A step that has begun by then is finished."""


def begin(setup: FirstRunSetup) -> FirstRun:
    """The unfinished first run of this device if there is one; otherwise a new one."""
    fresh = FirstRun(UNFINISHED, now(), now(), environment.tool(), setup.suite.device, toolchain.versions())
    try:
        saved = FILE.load(setup.folder)
    except ResultError:  # it is made again
        saved = None
    return saved if saved and saved.continues(fresh) else fresh


def run_steps(first: FirstRun, setup: FirstRunSetup) -> Iterator[FirstRun]:
    """Do the remaining steps until the time limit; yields the record after each, which is already saved."""
    finished = {step.step for step in first.steps}
    for name, step_function in STEPS.items():
        if name in finished:
            continue
        if setup.late():
            return
        first = with_step(first, run_step(step_function, setup))
        FILE.save(first, setup.folder)
        yield first


def with_step(first: FirstRun, done: StepDone) -> FirstRun:
    steps = [*first.steps, done]
    status = COMPLETE if {step.step for step in steps} >= set(STEPS) else UNFINISHED
    return dataclasses.replace(first, status=status, finished=now(), steps=steps)
