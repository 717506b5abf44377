"""What a backend is: something that can load a build, run it once, and perhaps time it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ptxbench.pair import Launch
from ptxbench.result import COLD
from ptxbench.run_info import Device
from ptxbench.toolchain import Build


@dataclass(frozen=True)
class LaunchOutcome:
    """What one launch left behind.

    `outputs`: the arrays that the kernel may write, by argument name. `counts`: the emulator's counters by metric
    name, None from a GPU. `printed`: what the kernel printed. `approximate`: the opcodes of the PTX whose
    result one GPU may give less exactly than another; from the emulator those that ran, from a GPU all in the text.
    `opcodes`: from the emulator, how often warps executed each opcode of each line.
    `loops`: from the emulator, how many trips warps made in each loop and how often; `irreducible`: lines of branches
    back that are not among them; `wide_wavefronts`: by line, wavefronts of shared accesses merged into 8 or 16 bytes a
    lane (emulator.launch.Execution).
    `modelled`: whether matrix instructions added up by a model of the hardware, which no manual describes.
    """

    outputs: Mapping[str, Any]
    counts: Mapping[str, float] | None = None
    by_line: Mapping[int, Mapping[str, float]] | None = None
    printed: str = ""
    approximate: Sequence[str] = ()
    modelled: bool = False
    opcodes: Mapping[int, Mapping[str, int]] | None = None
    loops: Mapping[int, Mapping[int, int]] | None = None
    irreducible: Sequence[int] = ()
    wide_wavefronts: Mapping[int, Mapping[int, int]] | None = None


class Clock(Protocol):
    """A loaded kernel with its arguments on the device, ready to be sampled.

    `graphs`: whether it can be timed by graphs of many launches; `copies`: over how many sets of buffers those rotate;
    `as_wanted`: False where these are too few for each launch to find its data out of L2, as a cold one should.
    """

    @property
    def graphs(self) -> bool: ...

    @property
    def copies(self) -> int: ...

    @property
    def as_wanted(self) -> bool: ...

    def enqueue_graph(self, launches: int) -> Callable[[], int]:
        """Launch so many times as one graph, without waiting; gives a function that waits and returns nanoseconds."""
        ...

    def enqueue(self) -> Callable[[], int]:
        """Restore the outputs, flush L2, launch once, all without waiting for the device.

        Gives a function that waits and returns the launch's device time in nanoseconds. Two steps, so that a
        block of samples is enqueued back to back and the host waits once a block: a wait before each launch
        would let the device run dry and time the host.
        """
        ...

    def refill(self, arguments: Mapping[str, Any]) -> None:
        """Put other data of the same shapes in place of the arguments, for this clock and those that share its buffers.

        Called only where no sample is under way, as `reload` is.
        """
        ...

    def reload(self, samples: int) -> None:
        """Load the kernel's module again, once for each of the next samples, each with its variables as at first."""
        ...

    def outputs(self) -> Mapping[str, Any]:
        """What the last sample left in the arrays that the kernel may write; asked before another clock's sample.

        Raises WrongResult if any sample so far wrote anything else.
        """
        ...


class Watch(Protocol):
    """Looks at the device between blocks."""

    def state(self) -> BlockState:
        """The SM clock and the reasons for a lower one, now. Never called while a sample is under way."""
        ...


@dataclass(frozen=True)
class BlockState:
    """What the device says of itself; `clock_mhz` is None, and `reasons` (NVML's bits) 0, where it does not."""

    clock_mhz: float | None = None
    reasons: int = 0


class Backend(Protocol):
    """`name` is the value of `--backend`; `device` describes it for the run document (schemas/run.json).

    `isolated`: whether a kernel may take the process with it, so that each round needs one of its own; such a backend
    can be sent to another process.
    """

    name: str
    isolated: bool

    @property
    def lost(self) -> str | None:
        """Why the device can no longer be used in this process; None while it can."""
        ...

    def unavailable(self) -> str | None:
        """Why this backend cannot run here, with what to do about it; None where it can."""
        ...

    def device(self) -> Device:
        """What executes the kernels, for the run document."""
        ...

    def require(self, build: Build, launch: Launch) -> None:
        """Raise LaunchUnavailable where this backend cannot make such a launch, before any data is made for it."""
        ...

    def run(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> LaunchOutcome:
        """Launch `build` once on copies of `arguments` (in signature order) and give what it wrote to `outputs`.

        Raises LaunchUnavailable as `require` does, and KernelError: MemoryFault, FuelExhausted, WrongResult for a
        write outside `outputs`, DeviceError, ...
        """
        ...

    def again(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> Iterator[LaunchOutcome]:
        """The same launch over again, each as differently as the backend can: whatever that changes is the kernel's."""
        ...

    def clock(
        self,
        build: Build,
        launch: Launch,
        arguments: Mapping[str, Any],
        outputs: tuple[str, ...],
        *,
        updated: tuple[str, ...] = (),
        scratch: tuple[str, ...] = (),
        cache: str = COLD,
    ) -> Clock | None:
        """A clock for this kernel on these arguments, or None if this backend has no times (the emulator).

        `updated`: those of `outputs` whose content the kernel changes; `scratch`: those that it needs for itself, such
        as flags. Both are restored before every launch. `cache`: COLD, or WARM where each
        timed launch is to find in L2 what a launch on the same data left there.
        """
        ...

    def floor(self, launch: Launch, arguments: Mapping[str, Any]) -> Clock | None:
        """The clock of a kernel that does nothing, launched alike: what a launch itself costs."""
        ...

    def release(self) -> None:
        """Give back what earlier cells hold of the device's memory, so that no cell depends on those before it.

        Called before a cell begins. Raises MachineError where the device does not work.
        """
        ...

    def watch(self) -> Watch | None:
        """What tells the state of the device between blocks; None where nothing does."""
        ...
