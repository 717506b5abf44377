"""A first run on disk: one file per device, `results/DEVICE/first-run.json`, written again after every step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptxbench.calibration.assessment import FAIL, CheckResult
from ptxbench.calibration.record_file import RecordFile
from ptxbench.documents import json_text
from ptxbench.profiling.counters import Agreement
from ptxbench.run_info import Device, ToolInfo, info_document

SCHEMA = "ptxbench.first-run/1"
NAME = "first-run.json"

COMPLETE, UNFINISHED = "complete", "unfinished"

SAME = ("name", "uuid_hash", "driver", "mig")
"""Fields of a device that must be equal for an unfinished first run to continue."""


@dataclass(frozen=True)
class StepDone:
    """One completed step, with its results. `files`: the files that it wrote, in the folder of this one."""

    step: str
    seconds: float
    lines: Sequence[CheckResult]
    files: Sequence[str] = ()
    counters: Sequence[Agreement] = ()


@dataclass(frozen=True)
class FirstRun:
    """All results for `device` so far."""

    status: str
    started: str
    finished: str
    tool: ToolInfo
    device: Device
    toolchain: Mapping[str, str | None]
    steps: Sequence[StepDone] = ()

    @property
    def lines(self) -> list[CheckResult]:
        return [line for step in self.steps for line in step.lines]

    @property
    def failed(self) -> bool:
        return any(line.status == FAIL for line in self.lines)

    def continues(self, other: FirstRun) -> bool:
        """Whether `other`, a later start, can continue this one: on the same device, by the same version of
        ptxbench."""
        return (
            self.status == UNFINISHED
            and self.tool == other.tool
            and all(getattr(self.device, name) == getattr(other.device, name) for name in SAME)
        )


def to_json(first: FirstRun) -> str:
    """The file, and what `--json` prints."""
    document: dict[str, Any] = {"schema": SCHEMA, **dataclasses.asdict(first)}
    document["device"] = info_document(first.device)
    for step in document["steps"]:
        for line in step["lines"]:
            del line["values"]  # the calibration has its own file
    return json_text(document)


FILE = RecordFile(NAME, SCHEMA, "a first run", FirstRun, to_json)
