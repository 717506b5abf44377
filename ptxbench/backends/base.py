"""What a backend is: something that can load a build, run it once, and perhaps time it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ptxbench.pair import Launch
from ptxbench.toolchain import Build


@dataclass(frozen=True)
class Outcome:
    """What one launch left behind.

    `outputs`: the arrays that the kernel may write, by argument name. `counts`: the emulator's counters by metric
    name, None from a GPU. `printed`: what the kernel printed. `approximate`: the opcodes of the PTX whose
    result one GPU may give less exactly than another; from the emulator those that ran, from a GPU all in the text.
    `modelled`: whether matrix instructions added up by a model of the hardware, which no manual describes.
    """

    outputs: Mapping[str, Any]
    counts: Mapping[str, float] | None = None
    by_line: Mapping[int, Mapping[str, float]] | None = None
    printed: str = ""
    approximate: Sequence[str] = ()
    modelled: bool = False


class Clock(Protocol):
    """A loaded kernel with its arguments on the device, ready to be sampled."""

    def enqueue(self) -> Callable[[], int]:
        """Restore the outputs, flush L2, launch once, all without waiting for the device.

        Gives a function that waits and returns the launch's device time in nanoseconds. Two steps, so that a
        block of samples is enqueued back to back and the host waits once a block: a wait before each launch
        would let the device run dry and time the host.
        """
        ...


class Backend(Protocol):
    """`name` is the value of `--backend`; `device` describes it for the run document (architecture.md section 6)."""

    name: str

    def unavailable(self) -> str | None:
        """Why this backend cannot run here, with what to do about it; None where it can."""
        ...

    def device(self) -> Mapping[str, Any]:
        """The `device` object of the run document: kind, name, sm, ..."""
        ...

    def run(self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]) -> Outcome:
        """Launch `build` once on copies of `arguments` (in signature order) and give what it wrote to `outputs`.

        Raises KernelError: MemoryFault, FuelExhausted, WrongResult for a write outside `outputs`, DeviceError, ...
        """
        ...

    def clock(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> Clock | None:
        """A clock for this kernel on these arguments, or None where there is no time to tell (the emulator)."""
        ...
