"""The simulated device and its faults: the JSON of one environment variable. tests/simulated/__init__.py describes
it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

VARIABLE = "SIMULATED_GPU"

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Device:
    """A device's figures; times in nanoseconds, rates in bytes a second."""

    name: str
    capability: tuple[int, int]
    sms: int
    memory_bytes: int
    l2_bytes: int
    optin_shared_bytes: int
    sm_shared_bytes: int
    memory_rate: float
    l2_rate: float
    clock_mhz: int
    idle_mhz: int
    power_limit_w: int
    sm_threads: int = 2048
    sm_blocks: int = 32
    clusters: bool = False
    ecc: bool = False
    kernel_ns: int = 1800
    """The time of an empty kernel; every kernel takes it in addition to its work."""
    event_ns: int = 500
    """The resolution of event times."""
    timer_ns: int = 32
    """The resolution of %globaltimer."""
    noise: float = 0.002
    """The maximum deviation of a kernel's time, as a share, to either side."""

    @property
    def arch(self) -> str:
        return f"sm_{self.capability[0]}{self.capability[1]}"


H100 = Device(
    "NVIDIA H100 80GB HBM3", (9, 0), 132, 80 * GIB, 50 * MIB, 227 << 10, 228 << 10, 3.0e12, 5.5e12, 1980, 345, 700,
    clusters=True, ecc=True,
)  # fmt: skip
RTX_4090 = Device(
    "NVIDIA GeForce RTX 4090", (8, 9), 128, 24 * GIB, 72 * MIB, 99 << 10, 100 << 10, 0.93e12, 5.0e12, 2520, 210, 450,
    sm_threads=1536, sm_blocks=24,
)  # fmt: skip
T4 = Device(
    "Tesla T4", (7, 5), 40, 15 * GIB, 4 * MIB, 64 << 10, 64 << 10, 0.25e12, 1.2e12, 1590, 300, 70,
    sm_threads=1024, sm_blocks=16, ecc=True, timer_ns=1024,
)  # fmt: skip

SMALL = replace(H100, name="Small GPU", memory_bytes=2 * GIB, l2_bytes=2 * MIB, sms=16, memory_rate=0.3e12, event_ns=32)
"""A device with small caches and memory, so that emulating kernels that fill them is fast."""

DEVICES = {"H100": H100, "RTX 4090": RTX_4090, "T4": T4, "small": SMALL}


@dataclass(frozen=True)
class Fault:
    """A fault and its time: at the n-th call of `call` ("*": of any) or the n-th run of the kernel `kernel`.

    `at` counts from 1, in the process or, with `of_run`, in all processes since the script was written. `times`: at
    how many calls or runs in a row; 0: at all later ones. `status`: the CUDA status that it returns; `sticky`:
    whether every later call returns it too; the default follows cuda.h. `does`: "status", "hang" (until the process
    is killed), "exit" (the process ends), or "gone" (no process finds the device from then on).
    """

    call: str = ""
    kernel: str = ""
    at: int = 1
    times: int = 1
    of_run: bool = False
    status: int = 719
    sticky: bool | None = None
    does: str = "status"

    def strikes(self, count: int) -> bool:
        return count >= self.at and (self.times == 0 or count < self.at + self.times)


@dataclass(frozen=True)
class Script:
    """The device and its surroundings.

    `folder`: for the state that outlives a process. `launches`: a folder of what launches did, which may be that of
    other devices too; by default it is in `folder`. `host_ns`: virtual time that the host takes for a call, by its
    name in C; "*" for all others. `clocks`: (seconds that the device was busy, MHz, NVML's reasons) from then on.
    `watchdog_seconds`: after which the driver stops a kernel (702); 0 for never. `driver`: CUDA that it speaks.
    """

    device: Device
    folder: str
    launches: str = ""
    host_ns: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    clocks: tuple[tuple[float, float, int], ...] = ()
    driver: int = 13090
    jit: bool = True
    nvml: bool = True
    exclusive: bool = False
    watchdog_seconds: float = 0.0
    control_n: int = 0
    """Elements of the A/A control, in place of the 16 Mi that it has; it takes most of the time of a small run."""
    unloadable: tuple[str, ...] = ()
    """Libraries that are missing: "libcuda", "cupy"."""


HOST_NS = {
    "*": 800, "cuLaunchKernel": 3000, "cuLaunchKernelEx": 3000, "cudaGraphLaunch": 6000, "cudaMemcpyAsync": 3000,
    "cudaEventRecord": 900, "cudaMalloc": 50_000, "cuModuleLoadData": 200_000,
}  # fmt: skip


def read() -> Script:
    """The script of this process. Raises KeyError if there is no script, TypeError for an unknown field."""
    script = json.loads(os.environ[VARIABLE])
    device = script.pop("device", "H100")
    gpu_name = device if isinstance(device, str) else device.pop("like", "H100")
    changes: dict[str, Any] = {} if isinstance(device, str) else device
    plain = {entry.name: getattr(DEVICES[gpu_name], entry.name) for entry in fields(Device)}
    return Script(
        device=Device(**{**plain, **changes}),
        host_ns={**HOST_NS, **script.pop("host_ns", {})},
        faults=tuple(Fault(**fault) for fault in script.pop("faults", ())),
        clocks=tuple(tuple(clock) for clock in script.pop("clocks", ())),
        **script,
    )
