"""Baselines: the run that a gate holds others against, as a small file that a person reviews in a pull request.

A baseline is a run document without what no verdict needs, one number a line, so that a diff says what moved; with it
stand the reason, the day, and the hash of the run that it was made from. It reads like any run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ptxbench.documents import json_text
from ptxbench.errors import UsageError
from ptxbench.judge.canary import DISTRUSTED, distrust
from ptxbench.judge.verdicts import LEAST_ROUNDS
from ptxbench.metrics import METRICS
from ptxbench.result import (
    BROKEN,
    COMPLETE,
    SCHEMA,
    VERIFIED,
    WARM,
    WRONG,
    Cell,
    Run,
    VariantResult,
    info_documents,
    launch_document,
    to_json,
)
from ptxbench.run_info import HostInfo
from ptxbench.safe_text import file_name

FOLDER = "baselines"

PARTS = {metric.name for metric in METRICS if metric.counted_by == "emulator" and metric.better == "neither"}
"""Counters that are a part of another and are compared by nobody."""


@dataclass(frozen=True)
class BaselineNote:
    """What a baseline says of itself."""

    reason: str
    since: str
    """The day on which it was set, as 2026-01-31."""
    run_sha256: str
    """Of the whole document of the run that it was made from."""


def device_name(run: Run) -> str:
    """The name of the baseline's file: `emulator-sm_90`, `nvidia-h100-80gb-hbm3`."""
    return file_name(re.sub(r"[^a-z0-9_]+", "-", run.device.name.lower()).strip("-") or "unknown")


def refusals(run: Run) -> list[str]:
    """Why the run can be no baseline, each a sentence; nothing where it can."""
    found = []
    if run.run.sweep is not None:
        found.append("It is a sweep of ptxbench tune, and no run of the pairs.")
    if run.run.confirms is not None:
        found.append(f"It has only what confirms {run.run.confirms}.")
    if any(cell.cache == WARM for cell in run.cells):
        found.append("Its launches found their data in L2 (--cache warm), and a baseline is of cold ones.")
    if run.run.status != COMPLETE:
        found.append(f"It is not whole: its status is {run.run.status}.")
    if run.source.dirty:
        found.append("Its kernels were not committed: nobody could build them again. Commit them and run again.")
    results = [(cell, name, each) for cell in run.cells for name, each in cell.variants.items()]
    bad = [f"{cell.pair} {name} is {each.status}" for cell, name, each in results if each.status in (WRONG, BROKEN)]
    if bad:
        more = f" and {len(bad) - 4} more" if len(bad) > 4 else ""
        found.append(f"{', '.join(bad[:4])}{more}.")
    if not any(each.status == VERIFIED for _, _, each in results):
        found.append("It has no verified kernel.")
    if why := distrust(run):
        found.append(f"{why}: {DISTRUSTED[why]}.")
    rounds = [len({one.round for one in cell.rounds}) for cell in run.cells if cell.rounds]
    if rounds and min(rounds) < LEAST_ROUNDS:
        found.append(f"It has {min(rounds)} rounds, and {LEAST_ROUNDS} are the fewest that show how rounds differ.")
    return found


def make(run: Run, reason: str, today: date) -> str:
    """The baseline of a run, as text. Raises UsageError for a run that can be none."""
    if why := refusals(run):
        raise UsageError(f"Run {run.run.id} can be no baseline. {' '.join(why)}")
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
    """A cell without what no verdict needs."""
    keep = dataclasses.replace(cell, variants={}, limits=None, oracle=None)
    return {
        **{key: value for key, value in dataclasses.asdict(keep).items() if value is not None},
        "launch": launch_document(dataclasses.asdict(cell.launch)),
        "variants": {name: variant_object(result) for name, result in cell.variants.items()},
    }


def variant_object(result: VariantResult) -> Mapping[str, Any]:
    return {
        "language": result.language,
        "status": result.status,
        **({"reason": result.reason} if result.reason else {}),
        "build": result.build and {key: each for key, each in dataclasses.asdict(result.build).items() if key != "log"},
        "check": result.check and {"reference": "", "tolerance": result.check.tolerance, "sizes": []},
        "counts": result.counts and {key: each for key, each in result.counts.items() if key not in PARTS},
        **({} if result.opcodes is None else {"opcodes": result.opcodes}),
        **({} if result.executed is None else {"executed": dataclasses.asdict(result.executed)}),
    }


def read_note(document: Mapping[str, Any]) -> BaselineNote | None:
    """What a baseline says of itself; None of a run that is none. `document` reads as a run."""
    raw = document.get("baseline")
    if not isinstance(raw, dict):
        return None
    texts = {each.name: raw.get(each.name) for each in dataclasses.fields(BaselineNote)}
    return BaselineNote(**{name: str(value or "unknown") for name, value in texts.items()})
