"""Run documents as a GPU or the emulator would leave them, from a seed: realistic noise, no device.

The noise is assumed: samples 0.6 %, a shift of each process 0.2 %, and sometimes a sample that other work delayed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np

from ptxbench import stats
from ptxbench.result import (
    VERIFIED,
    BuildReport,
    Cell,
    CheckReport,
    LaunchReport,
    Round,
    RunDocument,
    VariantResult,
)
from ptxbench.run_info import Device, HostInfo, RunInfo, SourceInfo, Toolchain, ToolInfo

GPU = Device("gpu", "NVIDIA H100 80GB HBM3", uuid_hash="a1b2", sm="sm_90", sms=132, memory_bytes=85_000_000_000,
             l2_bytes=52_428_800, ecc=True, power_limit_w=700, driver="580.65")  # fmt: skip
EMULATOR = Device("emulator", "emulator-sm_90", "sm_90")
TOOLS = Toolchain("13.2", "13.2.78", "13.2.78", flags={"nvrtc": ["-std=c++17"], "ptxas": ["-v"]})


@dataclass(frozen=True)
class Kernel:
    """One variant: its device time in microseconds or its counters, and its source."""

    us: float | None = None
    code: str = "A"
    """Equal letters of one variant are the same machine code."""
    source: str | None = None
    """Equal letters mean the same source; by default the machine code too."""
    counts: Mapping[str, float] | None = None
    registers: int = 22
    status: str = VERIFIED
    reason: str | None = None

    def result(self, pair: str, variant: str) -> VariantResult:
        build = BuildReport(
            source_sha256=sha256(f"{pair} {variant} {self.source or self.code}".encode()).hexdigest(),
            ptx_sha256=sha256(f"{pair} {variant} {self.code}".encode()).hexdigest(),
            sass_sha256=sha256(f"{pair} {variant} {self.code} sass".encode()).hexdigest(),
            registers=self.registers,
            spill_store_bytes=0,
            spill_load_bytes=0,
            stack_bytes=0,
            shared_bytes=0,
            occupancy=1.0,
            sass={"total": 40},
        )
        counts = self.counts if self.status == VERIFIED else None
        check = CheckReport("float64", "1 ulp", [], 6e-8) if self.status == VERIFIED else None
        language = "cuda" if variant.startswith("cuda") else "ptx"
        return VariantResult(language, self.status, self.reason, build, check, counts)


@dataclass(frozen=True)
class Noise:
    """Noise of times, as standard deviations of their logarithms."""

    sample: float = 0.006
    process: float = 0.002
    outliers: float = 0.01
    """The share of samples that something delayed, by a third of their time on average."""


@dataclass(frozen=True)
class Sampling:
    rounds: int = 5
    blocks: int = 30
    clock_mhz: float | None = 1755.0
    noise: Noise = field(default_factory=Noise)


def cell(
    rng: np.random.Generator,
    pair: str,
    size: Mapping[str, int],
    kernels: Mapping[str, Kernel],
    sampling: Sampling = Sampling(),
    **options: Any,
) -> Cell:
    """A cell in which verified kernels with a time were measured against `cuda`, in rounds."""
    return Cell(
        pair=pair,
        size=size,
        arch=options.pop("arch", "sm_90"),
        launch=options.pop("launch", LaunchReport((64, 1, 1), (256, 1, 1))),
        work=options.pop("work", {"flops": 1_000_000, "bytes": 12_000_000}),
        variants={name: kernel.result(pair, name) for name, kernel in kernels.items()},
        rounds=[sample for number in range(sampling.rounds) for sample in one_round(rng, number, kernels, sampling)],
        **options,
    )


def one_round(
    rng: np.random.Generator, number: int, kernels: Mapping[str, Kernel], sampling: Sampling
) -> Sequence[Round]:
    timed = {name: kernel.us for name, kernel in kernels.items() if kernel.us and kernel.status == VERIFIED}
    noise, start = sampling.noise, str(rng.choice(["A", "B"]))
    shifted = {name: us * np.exp(rng.normal(0, noise.process)) for name, us in timed.items()}

    def sample(us: float) -> int:
        delay = rng.exponential(0.3) if rng.random() < noise.outliers else 0.0
        return round(1000 * us * np.exp(rng.normal(0, noise.sample)) * (1 + delay))

    def blocks(variant: str) -> list[list[int]]:
        times = {"A": shifted["cuda"], "B": shifted[variant]}
        return [[sample(times[letter]) for letter in stats.letters(start)] for _ in range(sampling.blocks)]

    clocks = [] if sampling.clock_mhz is None else [sampling.clock_mhz] * sampling.blocks
    return [
        Round(
            number,
            number,
            ("cuda", name),
            start,
            blocks(name),
            clock_mhz=clocks,
            stop="width",
            solo_mhz=dict.fromkeys("AB", sampling.clock_mhz) if sampling.clock_mhz else {},
        )
        for name in timed
        if name != "cuda" and "cuda" in timed
    ]


def run_of(
    cells: Sequence[Cell], id: str = "0a1b2c3d", *, started: str = "2026-01-31T12:00:00Z", **frame: Any
) -> RunDocument:
    """The run of these cells: on a GPU if one of them has times. `frame` overrides parts of device, toolchain, run."""
    timed = any(cell.rounds for cell in cells)
    rounds = max((1 + timed_round.round for cell in cells for timed_round in cell.rounds), default=0)
    infos = {
        "run": RunInfo(id, started, finished=started, argv=[], seed=1, backend="gpu" if timed else "emulator",
                       assembler="toolkit", rounds=rounds),
        "tool": ToolInfo("0.1.0", 1),
        "source": SourceInfo("c0ffee", dirty=False),
        "host": HostInfo("Linux", "x86-64", "3.13.0"),
        "device": GPU if timed else EMULATOR,
        "toolchain": TOOLS if timed else replace(TOOLS, emulator="0.1.0"),
    }  # fmt: skip
    settings = frame.pop("settings", {})
    calibration = frame.pop("calibration", {})
    return RunDocument(
        **{part: replace(info, **frame.pop(part, {})) for part, info in infos.items()},
        settings={"seed": 1, **settings} if timed else settings,
        calibration=calibration,
        cells=cells,
        **frame,
    )


def timed_run(
    seed: int,
    cells: Mapping[tuple[str, int], Mapping[str, Kernel]],
    sampling: Sampling = Sampling(),
    **frame: Any,
) -> RunDocument:
    """A run of cells by pair and `n`, each with its kernels."""
    rng = np.random.default_rng(seed)
    return run_of([cell(rng, pair, {"n": n}, kernels, sampling) for (pair, n), kernels in cells.items()], **frame)
