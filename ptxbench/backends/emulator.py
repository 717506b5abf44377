"""The backend without a device: executes a build's PTX on the CPU emulator. It counts and has no times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ptxbench import architecture
from ptxbench.arrays import read_only
from ptxbench.backends.base import Arguments, LaunchOutcome, Names
from ptxbench.emulator import tensor_maps
from ptxbench.emulator.chain import run_steps
from ptxbench.emulator.counters import EXACT
from ptxbench.emulator.limits import MOST_ALIVE
from ptxbench.errors import GridTooLarge, KernelError, LaunchUnavailable, ReadOnlyArray, WrongResult
from ptxbench.languages import is_compiled
from ptxbench.pair import Launch
from ptxbench.pool import usable_cores
from ptxbench.run_info import EMULATOR, Device
from ptxbench.tensor_map import TiledMap
from ptxbench.toolchain import Build
from ptxbench.toolchain.origins import in_file, places

HOPPER = 90
"""The first architecture with programmatic dependent launches."""


class EmulatorBackend:
    """Runs on every machine. PTX follows the rules of the architecture that it was built for, by default `arch`."""

    name = "emulator"
    isolated = False  # it has its own process for kernels
    lost = None

    def __init__(self, arch: str) -> None:
        self.arch = arch

    def unavailable(self) -> str | None:
        return None

    def device(self) -> Device:
        return Device(EMULATOR, f"emulator-{self.arch}", self.arch)

    def require(self, build: Build, launch: Launch) -> None:
        """See base.Backend. Raises LaunchUnavailable for launches that the emulator cannot make."""
        if lacks := build.gpu_only or unsupported(launch, build.arch):
            raise LaunchUnavailable(f"{build.source.name}: {lacks}")

    def run(
        self, build: Build, launch: Launch, arguments: Arguments, outputs: Names, *, threads: int | None = None
    ) -> LaunchOutcome:
        """One launch on copies of the outputs, and on the inputs themselves, which it cannot change.

        Raises KernelError that names the source's file and line.

        `threads`: of the host, by default one per core.
        """
        self.require(build, launch)
        arguments = build.arguments(arguments)
        for name, value in arguments.items():
            if isinstance(value, TiledMap) and (lacks := unknown_map(name, value)):
                raise LaunchUnavailable(f"{build.source.name}: {lacks}")
        arrays_and_scalars = {
            name: value if not isinstance(value, np.ndarray) else value.copy() if name in outputs else read_only(value)
            for name, value in arguments.items()
        }
        try:
            execution = run_steps(
                build.ptx, build.entry, **launch.emulated(arrays_and_scalars), arch=build.arch, threads=threads
            )
        except GridTooLarge as error:
            raise LaunchUnavailable(locate(build, str(error))) from None
        except ReadOnlyArray as error:
            raise WrongResult(f"{build.source.name} writes to '{error.name}', which is an input.") from None
        except KernelError as error:
            raise type(error)(locate(build, str(error))) from None
        return LaunchOutcome(
            {name: arrays_and_scalars[name] for name in outputs},
            execution.counters,
            execution.by_line,
            approximate=tuple(execution.approximate),
            modelled=any(origin != EXACT for origin in execution.models.values()),
            opcodes=execution.opcodes,
            loops=execution.loops,
            irreducible=execution.irreducible,
            wide_wavefronts=execution.wide_wavefronts,
        )

    def again(self, build: Build, launch: Launch, arguments: Arguments, outputs: Names) -> Iterator[LaunchOutcome]:
        """One more launch with another number of host threads, which must not change the result."""
        yield self.run(build, launch, arguments, outputs, threads=2 if usable_cores() == 1 else 1)

    def clock(self, *_: Any, **__: Any) -> None:
        return None

    def floor(self, *_: Any) -> None:
        return None

    def release(self) -> None:
        """The emulator holds nothing between launches."""

    def watch(self) -> None:
        return None


def unsupported(launch: Launch, arch: str) -> str | None:
    """What the launch needs and the emulator or the architecture does not have; None if nothing."""
    ctas = math.prod(launch.grid_xyz)
    if launch.cooperative and ctas > MOST_ALIVE:
        return (
            f"its launch is cooperative: all its {ctas:,} CTAs must be resident at once, and the emulator can hold "
            f"{MOST_ALIVE:,}. Choose a smaller --size, or use a GPU."
        )
    if launch.dependent and architecture.number(arch) < HOPPER:
        return f"its launches are dependent, which need sm_90 or later, not {arch}."
    return None


def unknown_map(name: str, tiled: TiledMap) -> str | None:
    """What the emulator does not know about a tensor map; None if it can use it."""
    lacks = tensor_maps.unsupported(tiled)
    return None if lacks is None else f"its tensor map '{name}' runs on a GPU only: {lacks}"


def locate(build: Build, message: str) -> str:
    """`message` with the lines of the build's source (`origins.in_file`), or with its name in front."""
    source_lines = places(build.ptx.split("\n"), build.source.name) if is_compiled(build.language) else None
    located = in_file(message, build.source.name, source_lines)
    return located if located != message else f"{build.source.name}: {message}"
