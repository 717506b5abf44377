"""Baselines: the run that a gate compares others with, as a small file that a person reviews in a pull request.

A baseline is a run document without the parts that no verdict needs. Each number has its own line, so that a diff shows
what changed. It also has a reason, a date, and the hash of its run. It is read like any other run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ptxbench.documents import json_text
from ptxbench.errors import UsageError
from ptxbench.metrics import METRICS
from ptxbench.result import (
    BROKEN,
    COMPLETE,
    SCHEMA,
    VERIFIED,
    WARM,
    WRONG,
    Cell,
    RunDocument,
    VariantResult,
    info_documents,
    launch_document,
    to_json,
)
from ptxbench.run_info import HostInfo
from ptxbench.safe_text import file_name
from ptxbench.verdict.config import BASELINES
from ptxbench.verdict.run_control import UNTRUSTED, untrusted_reason
from ptxbench.verdict.verdicts import LEAST_ROUNDS

PARTS = {metric.name for metric in METRICS if metric.counted_by == "emulator" and metric.better == "neither"}
"""Counters that are a part of another counter and are never compared."""


@dataclass(frozen=True)
class BaselineNote:
    """The reason, date and origin of a baseline."""

    reason: str
    since: str
    """The day on which it was set, as 2026-01-31."""
    run_sha256: str
    """The hash of the whole document of its run."""


def device_name(run: RunDocument) -> str:
    """The name of the baseline's file: `emulator-sm_90`, `nvidia-h100-80gb-hbm3`."""
    return file_name(re.sub(r"[^a-z0-9_]+", "-", run.device.name.lower()).strip("-") or "unknown")


def baseline_path(run: RunDocument, folder: Path) -> Path:
    """The file of the baseline for the device of `run`, whether or not it exists."""
    return folder / f"{device_name(run)}.json"


def set_command(run: str, folder: Path) -> str:
    """The command that makes a run the baseline of its device. `run`: what names it on a command line."""
    return f"ptxbench baseline set {shlex.quote(run)}{folder_words(folder)} --reason TEXT"


def folder_words(folder: Path) -> str:
    """The option for the folder of the baselines, after a blank; empty for the usual folder."""
    return "" if folder == BASELINES else f" --baselines {shlex.quote(str(folder))}"


def refusals(run: RunDocument) -> list[str]:
    """Why the run cannot be a baseline, one sentence for each reason; empty if it can."""
    reasons = []
    if run.run.sweep is not None:
        reasons.append("It is a sweep of ptxbench tune, not a run of the pairs.")
    if run.run.confirms is not None:
        reasons.append(f"It is a confirmation of {run.run.confirms}.")
    if any(cell.cache == WARM for cell in run.cells):
        reasons.append("It was timed with a warm L2 (--cache warm); a baseline needs cold launches.")
    if run.run.status != COMPLETE:
        reasons.append(f"It is incomplete: its status is {run.run.status}.")
    if run.source.dirty:
        reasons.append("Its kernels were not committed, so they could not be built again. Commit them and run again.")
    results = [(cell, name, result) for cell in run.cells for name, result in cell.variants.items()]
    bad = [
        f"{cell.pair} {name} is {result.status}" for cell, name, result in results if result.status in (WRONG, BROKEN)
    ]
    if bad:
        more = f" and {len(bad) - 4} more" if len(bad) > 4 else ""
        reasons.append(f"{', '.join(bad[:4])}{more}.")
    if not any(result.status == VERIFIED for _, _, result in results):
        reasons.append("It has no verified kernel.")
    if why := untrusted_reason(run):
        reasons.append(f"{why}: {UNTRUSTED[why]}.")
    rounds = [len({timed_round.round for timed_round in cell.rounds}) for cell in run.cells if cell.rounds]
    if rounds and min(rounds) < LEAST_ROUNDS:
        reasons.append(f"It has {min(rounds)} rounds; at least {LEAST_ROUNDS} are needed to show how rounds differ.")
    return reasons


def baseline_text(run: RunDocument, reason: str, today: date) -> str:
    """The baseline of a run, as text. Raises UsageError if the run cannot be a baseline."""
    if why := refusals(run):
        raise UsageError(f"Run {run.run.id} cannot be a baseline. {' '.join(why)}")
    note = BaselineNote(reason, today.isoformat(), hashlib.sha256(to_json(run).encode()).hexdigest())
    document = {
        "schema": SCHEMA,
        "baseline": dataclasses.asdict(note),
        **info_documents(dataclasses.replace(run, run=dataclasses.replace(run.run, argv=None), host=HostInfo())),
        "settings": run.settings,
        "calibration": run.calibration,
        "cells": [cell_object(cell) for cell in run.cells],
    }
    text = json_text(document)
    return re.sub(r"\[[\s\d.,-]*\]", lambda numbers: " ".join(numbers[0].split()), text)


def cell_object(cell: Cell) -> Mapping[str, Any]:
    """A cell without the parts that no verdict needs."""
    trimmed = dataclasses.replace(cell, variants={}, limits=None, oracle=None)
    return {
        **{key: value for key, value in dataclasses.asdict(trimmed).items() if value is not None},
        "launch": launch_document(dataclasses.asdict(cell.launch)),
        "variants": {name: variant_object(result) for name, result in cell.variants.items()},
    }


def variant_object(result: VariantResult) -> Mapping[str, Any]:
    return {
        "language": result.language,
        "status": result.status,
        **({"reason": result.reason} if result.reason else {}),
        "build": result.build
        and {key: value for key, value in dataclasses.asdict(result.build).items() if key != "log"},
        "check": result.check and {"reference": "", "tolerance": result.check.tolerance, "sizes": []},
        "counts": result.counts and {key: value for key, value in result.counts.items() if key not in PARTS},
        **({} if result.opcodes is None else {"opcodes": result.opcodes}),
        **({} if result.executed is None else {"executed": dataclasses.asdict(result.executed)}),
        **({} if result.launch is None else {"launch": launch_document(dataclasses.asdict(result.launch))}),
    }


def read_note(document: Mapping[str, Any]) -> BaselineNote | None:
    """The note of a baseline; None for a run that is not a baseline. `document` is read like a run."""
    raw = document.get("baseline")
    if not isinstance(raw, dict):
        return None
    texts = {field.name: raw.get(field.name) for field in dataclasses.fields(BaselineNote)}
    return BaselineNote(**{name: str(value or "unknown") for name, value in texts.items()})
