"""Kernels from other generators (CUDA's header libraries through NVRTC, numba-cuda, tinygrad), compared with NumPy.

Each module of this folder has one producer or one library, and registers its kernels with `case`. They are compiled
when the tests run, for the architecture of the case, and run unchanged. test_foreign.py compares the results with the
values that the case expects.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptxbench import emulator, toolchain

ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_120")
SEED = 29


@dataclass(frozen=True)
class Launch:
    """One launch, as `emulator.run` takes it. `entry` is None where the module has only one."""

    ptx: str
    entry: str | None
    grid: int | Sequence[int]
    block: int | Sequence[int]
    args: Sequence[Any]
    shared: int = 0


@dataclass(frozen=True)
class Expected:
    """The expected content of an array after the last launch: integers exactly, floats within the bound.

    The bound of the error is `absolute + relative * abs(values)`, `values` being float64; either may be an array.
    """

    array: Any
    values: Any
    relative: Any = 0.0
    absolute: Any = 0.0


@dataclass(frozen=True)
class Program:
    """Launches that share their arrays, and the expected content of these at the end."""

    launches: Sequence[Launch]
    expected: Sequence[Expected]
    printed: str = ""


@dataclass(frozen=True)
class Case:
    """A kernel for one architecture. `make` compiles it and draws its arguments, each time the same."""

    name: str
    arch: str
    make: Callable[[], Program]


CASES: dict[str, list[Case]] = {}
"""By the stem of the module that registers them."""


def register(module: str, name: str, arch: str, make: Callable[[], Program]) -> None:
    """Add a case to those of the module with this `__name__`."""
    CASES.setdefault(module.rsplit(".", 1)[-1], []).append(Case(name, arch, make))


def generator() -> np.random.Generator:
    return np.random.default_rng(SEED)


def cuda(*archs: str, grid: Any = 1, block: Any = 32, shared: int = 0, printed: str = "") -> Callable[..., Any]:
    """Decorator: the function is the reference of the CUDA C kernel of the same name in its module's .cu file.

    It takes a NumPy generator; it returns the arguments and a list of `Expected` results.
    """

    def decorator(reference: Callable[[np.random.Generator], tuple[list[Any], list[Expected]]]) -> Callable[..., Any]:
        stem = reference.__module__.rsplit(".", 1)[-1]

        def make(arch: str) -> Program:
            args, expected = reference(generator())
            launch = Launch(compiled(stem, arch), reference.__name__, grid, block, args, shared)
            return Program([launch], expected, printed)

        for arch in archs:
            register(reference.__module__, reference.__name__, arch, functools.partial(make, arch))
        return reference

    return decorator


@functools.cache
def compiled(stem: str, arch: str) -> str:
    """The PTX of STEM.cu by NVRTC."""
    path = Path(__file__).with_name(f"{stem}.cu")
    return toolchain.compiled(path.read_bytes(), path, arch, ("--device-int128",))[0]


def outputs(*shape: int, dtype: Any = np.float32) -> Any:
    """An array that a kernel must fill: it starts as 0xff bytes."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[:] = 0xFF
    return array


def difference(expected: Expected) -> str:
    """The difference from the expected values, in one line; empty if there is none."""
    actual = expected.array
    values = np.broadcast_to(expected.values, actual.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        if actual.dtype.kind in "iub":
            same = actual == values
        else:
            kind = np.complex128 if actual.dtype.kind == "c" else np.float64
            wide, values = actual.astype(kind), values.astype(kind)
            bound = expected.absolute + expected.relative * abs(values)
            same = (wide == values) | (np.isnan(wide) & np.isnan(values)) | (abs(wide - values) <= bound)
    if same.all():
        return ""
    at = tuple(int(axis[0]) for axis in np.nonzero(~same))
    return f"{(~same).sum()} of {same.size} differ; {list(at)} is {actual[at]!r}, expected {values[at]!r}"


def run(case: Case, *, sanitize: bool) -> list[str]:
    """Run a case; a line for each result that differs and, under `sanitize`, for each finding."""
    program = case.make()
    wrong, printed = [], ""
    for launch in program.launches:
        execution = emulator.run(
            launch.ptx,
            launch.entry,
            grid=launch.grid,
            block=launch.block,
            args=launch.args,
            dynamic_shared_bytes=launch.shared,
            arch=case.arch,
            sanitize=sanitize,
        )
        wrong += [str(finding) for finding in execution.findings]
        printed += execution.printed
    if printed != program.printed:
        wrong.append(f"printed {printed!r}, expected {program.printed!r}")
    return wrong + [what for output in program.expected if (what := difference(output))]
