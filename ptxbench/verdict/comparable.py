"""What can be compared between two runs: how the runs differ, and which rows each difference affects.

docs/compare.md has the table CONDITIONS. Counts of the tools are registers, spills and machine instructions; those of
the emulator are counts of executed PTX.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ptxbench.languages import CUDA
from ptxbench.result import Cell, RunDocument

ComparedKind = Literal["ratio", "time", "tools", "emulator", "both"]
"""What a row compares: this decides which differences matter."""

COUNTS = ("tools", "emulator", "both")
"""Kinds of counts. `both`: executions, on the emulator, of what the tools made."""

OK, NOTE, ADVISORY, TOOLCHAIN, DIFFERS = "ok", "note", "advisory", "toolchain", "not_comparable"
SEVERITY = (OK, NOTE, ADVISORY, TOOLCHAIN, DIFFERS)
"""The effect of a difference on a row: none; a note; an advisory verdict; the tools may be the cause; no verdict."""


@dataclass(frozen=True)
class Condition:
    """Something in which two runs, or two cells, may differ."""

    name: str
    ratio: str
    time: str
    tools: str
    emulator: str
    read: Callable[[Any], Any]
    language: str | None = None
    """Counts of variants in other languages do not depend on it."""
    toolchain: bool = False
    """Whether it is one of the tools that build kernels, not a property of the kernels or of how they were run."""


@dataclass(frozen=True)
class ConditionDifference:
    """A condition that differs, with both values."""

    condition: Condition
    base: Any
    head: Any

    @property
    def name(self) -> str:
        return self.condition.name

    def __str__(self) -> str:
        return f"{self.name} {condition_words(self.base)} -> {condition_words(self.head)}"

    def effect(self, kind: ComparedKind, language: str) -> str:
        """Its effect on a row of that kind, for a variant in that language."""
        if kind in COUNTS and self.condition.language not in (None, language):
            return OK
        if kind == "both":  # the stricter of the two
            return max(self.condition.tools, self.condition.emulator, key=SEVERITY.index)
        effect: str = getattr(self.condition, kind)
        return effect


def condition_words(value: Any) -> str:
    """A value as it is shown in a sentence."""
    if value is None:
        return "unknown"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={size}" for name, size in value.items())
    if isinstance(value, tuple | list):
        return " ".join(map(condition_words, value)) or "none"
    return str(value)


def of_gpu(name: str) -> Callable[[RunDocument], Any]:
    """A property of the GPU; None on the emulator."""
    return lambda run: getattr(run.device, name) if run.device.is_gpu else None


def gpus(run: RunDocument) -> str:
    """How many GPUs timed the run. Several GPUs are named with the id of the run, so that no two such runs agree.

    Each pair has the times of one GPU, and which one differs from run to run, so the rows have no common shift.
    """
    timed_on = run.run.timed_on
    return f"{timed_on.gpus} (run {run.run.id})" if timed_on and timed_on.gpus > 1 else "1"


def tool(name: str) -> Callable[[RunDocument], Any]:
    """The version of a tool, with the options that are always passed to it."""
    return lambda run: [getattr(run.toolchain, name), *run.toolchain.flags.get(name, ())]


RUN_CONDITIONS = (
    # what                         ratio      time       tools   emulator
    Condition("backend",           DIFFERS,   DIFFERS,   OK,     DIFFERS, lambda run: run.run.backend),
    Condition("GPU",               OK,        NOTE,      OK,     OK,     of_gpu("uuid_hash")),
    Condition("number of GPUs",    OK,        DIFFERS,   OK,     OK,     gpus),
    Condition("GPU model",         ADVISORY,  DIFFERS,   OK,     OK,     of_gpu("name")),
    Condition("MIG profile",       DIFFERS,   DIFFERS,   DIFFERS, OK,     of_gpu("mig")),
    Condition("clock policy",      NOTE,      DIFFERS,   OK,     OK,     lambda run: run.settings.get("clock_policy")),
    Condition("power limit",       NOTE,      DIFFERS,   OK,     OK,     of_gpu("power_limit_w")),
    Condition("ECC",               NOTE,      DIFFERS,   OK,     OK,     of_gpu("ecc")),
    Condition("flush of L2",       NOTE,      DIFFERS,   OK,     OK,     lambda run: run.calibration.get("flush_k")),
    Condition("ptxas",             TOOLCHAIN, TOOLCHAIN, DIFFERS, OK,     tool("ptxas"),
              toolchain=True),
    Condition("NVRTC",             TOOLCHAIN, TOOLCHAIN, DIFFERS, DIFFERS, tool("nvrtc"), "cuda",
              toolchain=True),
    Condition("emulator",          OK,        OK,        OK,     NOTE,   lambda run: run.toolchain.emulator),
    Condition("assembler",         DIFFERS,   DIFFERS,   DIFFERS, OK,     lambda run: run.run.assembler,
              toolchain=True),
    Condition("protocol",          DIFFERS,   DIFFERS,   DIFFERS, OK,     lambda run: run.tool.protocol),
    Condition("seed",              DIFFERS,   DIFFERS,   DIFFERS, DIFFERS, lambda run: run.run.seed),
)  # fmt: skip

DRIVER = Condition("driver", NOTE, NOTE, OK, OK, of_gpu("driver"))
ASSEMBLING_DRIVER = Condition("driver", DIFFERS, DIFFERS, OK, OK, of_gpu("driver"), toolchain=True)
"""The driver, if it is also the assembler."""

CELL_CONDITIONS = (
    Condition("sm",                DIFFERS,   DIFFERS,   DIFFERS, OK,     lambda cell: cell.arch),
    Condition("cache mode",        DIFFERS,   DIFFERS,   DIFFERS, OK,     lambda cell: cell.cache),
    Condition("grid",              DIFFERS,   DIFFERS,   NOTE,   NOTE,   lambda cell: list(cell.launch.grid)),
    Condition("block",             DIFFERS,   DIFFERS,   NOTE,   NOTE,   lambda cell: list(cell.launch.block)),
    Condition("dynamic shared",    DIFFERS,   DIFFERS,   NOTE,   NOTE,   lambda cell: cell.launch.shared_bytes),
    Condition("cluster",           DIFFERS,   DIFFERS,   NOTE,   NOTE,   lambda cell: cell.launch.cluster),
    Condition("cooperative",       DIFFERS,   DIFFERS,   NOTE,   NOTE,   lambda cell: cell.launch.cooperative),
    Condition("launches",          DIFFERS,   DIFFERS,   NOTE,   NOTE,   lambda cell: cell.launch.launches),
    Condition("dependent",         DIFFERS,   DIFFERS,   NOTE,   NOTE,   lambda cell: cell.launch.dependent),
    Condition("work",              DIFFERS,   DIFFERS,   DIFFERS, DIFFERS, lambda cell: dict(cell.work)),
)  # fmt: skip

COMPILER = Condition("compiler", TOOLCHAIN, TOOLCHAIN, DIFFERS, DIFFERS,
                     lambda result: result.build.compiler if result.build and result.language != CUDA.name else None,
                     toolchain=True)  # fmt: skip
"""The compiler of one variant, such as numba-cuda for Python. The compiler of CUDA C is a tool of the whole run."""

TOLERANCE = Condition("tolerance", NOTE, NOTE, OK, OK, lambda result: result.check.tolerance)
"""Only a note: the text changes with every approximate instruction that a kernel gains or loses; the cost does not."""

OF_GPU = {"GPU", "number of GPUs", "GPU model", "MIG profile", "power limit", "ECC", DRIVER.name, "emulator"}
"""Conditions that always differ between a GPU and the emulator."""


def run_differences(base: RunDocument, head: RunDocument) -> list[ConditionDifference]:
    """The differences in how the runs were made."""
    driver_assembles = any(run.run.assembler == "driver" for run in (base, head))
    differences = differ((*RUN_CONDITIONS, ASSEMBLING_DRIVER if driver_assembles else DRIVER), base, head)
    names = {difference.name for difference in differences}
    if "backend" in names:  # the emulator differs from a GPU in all of OF_GPU, which adds nothing
        return [difference for difference in differences if difference.name not in OF_GPU]
    # Another model is another GPU anyway; a GPU without a known UUID may be the same.
    return [
        difference
        for difference in differences
        if difference.name != "GPU" or not ("GPU model" in names or None in (difference.base, difference.head))
    ]


def cell_differences(base: Cell, head: Cell, variant: str) -> list[ConditionDifference]:
    """The differences in how a cell and its variant were run."""
    results = base.variants[variant], head.variants[variant]
    checked = all(result.check for result in results)
    sides = (dataclasses.replace(cell, launch=cell.launch_of(variant)) for cell in (base, head))
    return differ(CELL_CONDITIONS, *sides) + differ([COMPILER, *([TOLERANCE] if checked else [])], *results)


def differ(conditions: Iterable[Condition], base: Any, head: Any) -> list[ConditionDifference]:
    pairs = ((condition, condition.read(base), condition.read(head)) for condition in conditions)
    return [ConditionDifference(condition, before, after) for condition, before, after in pairs if before != after]
