"""An audit of the gate as JSON, with every count."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ptxbench.audit.audit import Audit
from ptxbench.audit.noise import NOISES
from ptxbench.audit.outcome import AuditOutcome
from ptxbench.audit.rate import CONFIDENCE, AlarmRate
from ptxbench.audit.stored import StoredDevice
from ptxbench.audit.tally import TallyLine
from ptxbench.documents import json_text

SCHEMA = "ptxbench.audit/2"


def to_json(audit: Audit) -> str:
    """The requested parts; null for the others."""
    document = {
        "schema": SCHEMA,
        "exit_status": audit.exit_status,
        "confidence": CONFIDENCE,
        "synthetic": None
        if audit.synthetic is None
        else {
            "suites": audit.suites,
            "seed": audit.seed,
            "noises": [dataclasses.asdict(noise) for noise in NOISES],
            "lines": [line_object(tally) for tally in audit.synthetic],
        },
        "stored": None
        if audit.stored is None
        else [
            {**device_object(device), "lines": [line_object(line) for line in lines]} for device, lines in audit.stored
        ],
        "mutants": None if audit.outcomes is None else [outcome_object(outcome) for outcome in audit.outcomes],
    }
    return json_text(document)


def line_object(line: TallyLine) -> Mapping[str, Any]:
    return {
        "mode": line.mode,
        "budget": line.budget,
        "noise": line.noise,
        "rounds": line.rounds,
        "kernels": line.kernels,
        "controls": line.kernels - 1 if line.controls else 0,
        "false_alarms": rate_object(line.alarms),
        "false_alarms_apart": rate_object(line.apart),
        "inconclusive": rate_object(line.inconclusive, bounded=False),
        "missed": [
            {"slowdown": slowdown, **rate_object(rate), "inconclusive": line.missed_inconclusive[slowdown]}
            for slowdown, rate in line.missed.items()
        ],
        "targets": [
            {"name": target.name, "at_most": target.most, "share": target.rate.share, "met": target.holds}
            for target in line.targets
        ],
    }


def rate_object(rate: AlarmRate, *, bounded: bool = True) -> Mapping[str, Any]:
    bound = {"true_share_at_most": rate.most} if bounded else {}
    return {"events": rate.events, "trials": rate.trials, "share": rate.share, **bound}


def device_object(device: StoredDevice) -> Mapping[str, Any]:
    return {
        "device": device.name,
        "runs": [run.run.id for run in device.runs],
        "rounds": device.rounds,
        "days": device.days,
    }


def outcome_object(outcome: AuditOutcome) -> Mapping[str, Any]:
    return {
        "pair": outcome.pair,
        "edit": outcome.edit,
        "expected": list(outcome.expected),
        "failing": list(outcome.failing),
        "code": outcome.exit_status,
        "skipped": outcome.skipped,
        "variant": outcome.variant,
        "changes": [dataclasses.asdict(change) for change in outcome.changes],
        "reason": outcome.reason,
        "neutral": outcome.neutral,
        "holds": outcome.holds,
    }
