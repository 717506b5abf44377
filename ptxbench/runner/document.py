"""The metadata of a run document: who ran what, where, with which tools. Facts only, no summaries."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ptxbench import environment, toolchain
from ptxbench.result import Cell, RunDocument
from ptxbench.run_info import Device, RunInfo, TimedOn, Toolchain
from ptxbench.runner.events import Gpu
from ptxbench.runner.plan import RunPlan


@dataclass(frozen=True)
class RunFrame:
    """The facts that are known when a run starts."""

    plan: RunPlan
    device: Device
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    started: str = field(default_factory=lambda: now())
    timed_on: TimedOn | None = None
    """The GPUs of other machines, if they timed the cells."""

    def on(self, gpus: frozenset[Gpu]) -> RunFrame:
        """The frame of a run that these GPUs have timed; unchanged if there are none.

        All are alike, so `device` describes each of them. Only a single one has an identity there.
        """
        if not gpus:
            return self
        hosts = {gpu.host for gpu in gpus}
        uuid_hash = next(iter(gpus)).uuid_hash if len(gpus) == 1 else None
        device = dataclasses.replace(self.device, uuid_hash=uuid_hash)
        return dataclasses.replace(self, device=device, timed_on=TimedOn(len(gpus), len(hosts)))

    @property
    def folder(self) -> str:
        """The name of the device's folder under results/: `emulator-sm_90`, `nvidia-h100-80gb-hbm3`."""
        if self.device.is_emulator:
            return f"emulator-{self.plan.arch}"
        return folder_name(self.device.name)


def folder_name(device: str) -> str:
    """A GPU's folder by its name."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def document(frame: RunFrame, cells: Sequence[Cell], status: str) -> RunDocument:
    """The run as it is now."""
    plan = frame.plan
    timed = frame.device.is_gpu
    return RunDocument(
        run=RunInfo(
            id=frame.id,
            status=status,
            started=frame.started,
            finished=now(),
            argv=list(plan.argv),
            seed=plan.seed,
            backend=plan.backend.name,
            assembler=plan.assembler,
            rounds=plan.rounds if timed else 0,
            sweep=dict(plan.sweep) if plan.sweep else None,
            continues=plan.continues or None,
            timed_on=frame.timed_on,
        ),
        tool=environment.tool(),
        source=environment.source(plan.kernels),
        host=environment.host(),
        device=frame.device,
        toolchain=Toolchain(
            **toolchain.versions(),
            emulator=None if timed else environment.tool().version,
            flags={name: list(flags) for name, flags in toolchain.FLAGS.items()},
        ),
        settings={"seed": plan.seed, **dataclasses.asdict(plan.settings)} if timed else {},
        calibration=dict(plan.calibration),
        cells=list(cells),
    )


def now() -> str:
    """The time in UTC, to the millisecond, so that runs of one second differ: 2025-01-31T12:00:00.123Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
