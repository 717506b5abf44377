"""A calibration on disk: one file per device, `results/DEVICE/calibration.json`, and the runs for which it is valid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptxbench.backends.base import Backend
from ptxbench.backends.flush import Flush
from ptxbench.calibration.assessment import Calibration, CheckResult, forbids_timing
from ptxbench.calibration.record_file import RecordFile
from ptxbench.documents import json_text
from ptxbench.errors import ResultError
from ptxbench.run_info import Device, ToolInfo, info_document
from ptxbench.runner.plan import RunPlan

SCHEMA = "ptxbench.calibration/1"
NAME = "calibration.json"

FITS = ("uuid_hash", "driver", "l2_bytes", "mig")
"""Fields of a device that must be those of its calibration; without an identity no calibration is valid."""

CALIBRATE_AGAIN = "Run ptxbench doctor --calibrate again, or delete the file."


@dataclass(frozen=True)
class CalibrationRecord:
    """The measurements of `device`, their time and tools, and the checklist."""

    made: str
    tool: ToolInfo
    device: Device
    toolchain: Mapping[str, str | None]
    calibration: Calibration
    lines: Sequence[CheckResult]

    @property
    def forbids_timing(self) -> bool:
        return forbids_timing(self.lines)


def to_json(record: CalibrationRecord) -> str:
    """The file, and what `--json` prints."""
    document: dict[str, Any] = {"schema": SCHEMA, "forbids_timing": record.forbids_timing, **dataclasses.asdict(record)}
    document["device"] = info_document(record.device)
    for line in document["lines"]:
        del line["values"]  # `calibration` has them
    return json_text(document)


FILE = RecordFile(NAME, SCHEMA, "a calibration", CalibrationRecord, to_json)


def load(folder: Path) -> CalibrationRecord | None:
    """The record of a folder of results; None if there is none. Raises ResultError for a damaged one."""
    try:
        return FILE.load(folder)
    except ResultError as error:
        raise ResultError(f"{error} {CALIBRATE_AGAIN}") from None


def fits(record: CalibrationRecord, device: Device) -> bool:
    """Whether the record is of this device under this driver. A device that cannot be identified has no record."""
    identified = record.device.uuid_hash and record.device.driver
    return bool(identified) and all(getattr(record.device, name) == getattr(device, name) for name in FITS)


def calibrated(plan: RunPlan, folder: Path) -> RunPlan:
    """`plan` with the settings of the calibration in `folder`, if it is valid for the device and has no FAIL."""
    if plan.backend.name != "gpu":
        return plan
    record = load(folder)
    if record is None or record.forbids_timing or not fits(record, plan.backend.device()):
        return plan
    calibration = record.calibration
    return dataclasses.replace(
        plan,
        backend=flushing(plan.backend, Flush(calibration.flush_k, calibration.spin_ns)),
        calibration=dataclasses.asdict(calibration),
    )


def flushing(backend: Backend, flush: Flush) -> Backend:
    """`backend` with another flush; unchanged if it has none."""
    from ptxbench.backends.gpu import GpuBackend

    return GpuBackend(flush) if isinstance(backend, GpuBackend) else backend
