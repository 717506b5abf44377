"""The metadata of a run document: who ran what, where, and with which tools. Data only.

Imports nothing of ptxbench. `result.RunDocument` has one object of each class. Unknown keys of a document are ignored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COMPLETE, INTERRUPTED, DEVICE_LOST = "complete", "interrupted", "device_lost"
"""How a run ended."""

EMULATOR, GPU = "emulator", "gpu"
"""Kinds of devices."""


@dataclass(frozen=True)
class TimedOn:
    """How many GPUs of how many hosts timed the cells, as workers of `--dask`. Each pair was timed by one."""

    gpus: int
    hosts: int


@dataclass(frozen=True)
class RunInfo:
    """What was run, and when."""

    id: str
    started: str
    """UTC, to the millisecond: 2025-01-31T12:00:00.123Z."""
    status: str = COMPLETE
    finished: str | None = None
    argv: Sequence[str] | None = None
    """The words of the command line; a baseline leaves them out."""
    seed: int | None = None
    backend: str | None = None
    """The value of `--backend`."""
    assembler: str | None = None
    """toolkit or driver."""
    rounds: int | None = None
    """Planned rounds; 0 on the emulator."""
    sweep: Mapping[str, Any] | None = None
    """What `ptxbench tune` swept; None for any other run. Only `tune` writes and reads it (tune.sweep.spec_of)."""
    continues: str | None = None
    """The id of the interrupted sweep that this one resumed."""
    confirms: str | None = None
    """The id of the run whose failing or INCONCLUSIVE rows this one measured again (`ptxbench gate --confirm`)."""
    timed_on: TimedOn | None = None
    """None if this machine timed the cells, or nothing was timed."""


@dataclass(frozen=True)
class ToolInfo:
    """This program."""

    version: str | None = None
    protocol: int | None = None
    """How samples were taken; see environment.PROTOCOL."""


@dataclass(frozen=True)
class SourceInfo:
    """The commit of the kernels, and whether they differ from it; None if git does not know the folder."""

    commit: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True)
class HostInfo:
    """The machine that ran ptxbench; a baseline leaves it out."""

    os: str | None = None
    cpu: str | None = None
    python: str | None = None


@dataclass(frozen=True)
class Device:
    """What executed the kernels. For the emulator only the first three fields are known."""

    kind: str = "unknown"
    """EMULATOR or GPU."""
    name: str = "unknown device"
    sm: str = ""
    """The architecture, such as sm_90."""
    sms: int | None = None
    threads_per_sm: int | None = None
    memory_bytes: int | None = None
    l2_bytes: int | None = None
    ecc: bool | None = None
    uuid_hash: str | None = None
    """A hash of the UUID. It distinguishes two devices in results that are shared, and identifies neither."""
    mig: bool | None = None
    power_limit_w: float | None = None
    driver: str | None = None

    @property
    def is_emulator(self) -> bool:
        return self.kind == EMULATOR

    @property
    def is_gpu(self) -> bool:
        return self.kind == GPU


@dataclass(frozen=True)
class Toolchain:
    """The versions of the tools, None for a missing one, and the options that each always gets."""

    nvrtc: str | None = None
    ptxas: str | None = None
    nvdisasm: str | None = None
    emulator: str | None = None
    """The version of ptxbench, if the emulator executed the kernels."""
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def versions(self) -> Mapping[str, str]:
        """The tools whose versions are known."""
        names = ("nvrtc", "ptxas", "nvdisasm", "emulator")
        return {name: version for name in names if (version := getattr(self, name)) is not None}


Info = RunInfo | ToolInfo | SourceInfo | HostInfo | Device | Toolchain


def info_document(info: Info) -> dict[str, Any]:
    """`info` as in a document. Unknown values are null if they were looked for; otherwise they are left out."""
    was_looked_for = isinstance(info, SourceInfo | Toolchain) or (isinstance(info, Device) and info.is_gpu)
    return {name: value for name, value in dataclasses.asdict(info).items() if value is not None or was_looked_for}
