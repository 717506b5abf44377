"""The interface of a backend: it loads a build, runs it once, and can time it if it has a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ptxbench.pair import Launch
from ptxbench.result import COLD
from ptxbench.run_info import Device
from ptxbench.toolchain import Build

Arguments = Mapping[str, Any]
"""The arguments of a kernel by name, in the order of its signature."""
Names = tuple[str, ...]
"""Names of arguments."""


@dataclass(frozen=True)
class LaunchOutcome:
    """The results of one launch.

    `outputs`: the arrays that the kernel may write, by argument name. `counts`: the emulator's counters by metric name;
    None from a GPU. `printed`: what the kernel printed. `approximate`: the opcodes of the PTX that may be less exact on
    some GPUs: from the emulator those that ran, from a GPU all in the text.
    `opcodes`: from the emulator, how often warps executed each opcode of each line.
    `loops`: from the emulator, the trips of warps in each loop and how often each number occurred; `irreducible`: lines
    of backward branches outside these loops; `wide_wavefronts`: by line, wavefronts of shared accesses merged into 8 or
    16 bytes per lane (emulator.launch.Execution).
    `modelled`: whether sums of matrix instructions follow a model of the hardware, because no manual describes them.
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

    `graphs`: whether it can be timed by graphs of many launches; `copies`: the sets of buffers over which those rotate;
    `as_wanted`: False if these are too few for each launch to find its data out of L2, as a cold launch should.
    """

    @property
    def graphs(self) -> bool: ...

    @property
    def copies(self) -> int: ...

    @property
    def as_wanted(self) -> bool: ...

    def enqueue_graph(self, launches: int) -> Callable[[], int]:
        """Enqueue `launches` launches as one graph; return a function that waits and returns nanoseconds."""
        ...

    def enqueue(self) -> Callable[[], int]:
        """Restore the outputs, flush L2, launch once, all without waiting for the device.

        Return a function that waits and returns the launch's device time in nanoseconds. With two steps, a block of
        samples is enqueued back to back, and the host waits once per block. If it waited before each launch, the device
        would be idle, and the host's time would be measured.
        """
        ...

    def refill(self, arguments: Arguments) -> None:
        """Replace the content of the arguments by other data of the same shapes, also for clocks that share them.

        Called only if no sample is running, as `reload` is.
        """
        ...

    def reload(self, samples: int) -> None:
        """Load the kernel's module again, once for each of the next samples, with fresh variables."""
        ...

    def outputs(self) -> Mapping[str, Any]:
        """What the last sample left in the arrays that the kernel may write. Call it before another clock's sample.

        Raises WrongResult if any sample so far wrote anything else.
        """
        ...


class Watch(Protocol):
    """Reads the state of the device between blocks."""

    def state(self) -> BlockState:
        """The current SM clock and the reasons for a lower one. Never called while a sample is running."""
        ...


@dataclass(frozen=True)
class BlockState:
    """What the device reports; if it reports nothing, `clock_mhz` is None and `reasons` (NVML's bits) is 0."""

    clock_mhz: float | None = None
    reasons: int = 0


class Backend(Protocol):
    """`name` is the value of `--backend`; `device` describes it for the run document (schemas/run.json).

    `isolated`: whether a kernel may crash the process, so that each round needs its own process; such a backend can be
    sent to another process.
    """

    name: str
    isolated: bool

    @property
    def lost(self) -> str | None:
        """Why the device can no longer be used in this process; None if it can."""
        ...

    def unavailable(self) -> str | None:
        """Why this backend cannot run here, with what to do about it; None if it can."""
        ...

    def device(self) -> Device:
        """What executes the kernels, for the run document."""
        ...

    def require(self, build: Build, launch: Launch) -> None:
        """Raise LaunchUnavailable if this backend does not support such a launch; called before its data is made."""
        ...

    def run(self, build: Build, launch: Launch, arguments: Arguments, outputs: Names) -> LaunchOutcome:
        """Launch `build` once on copies of `arguments` (in signature order) and return what it wrote to `outputs`.

        Raises LaunchUnavailable as `require` does, and KernelError: MemoryFault, FuelExhausted, WrongResult for a write
        outside `outputs`, DeviceError, ...
        """
        ...

    def again(self, build: Build, launch: Launch, arguments: Arguments, outputs: Names) -> Iterator[LaunchOutcome]:
        """Repeat the launch under different conditions: if the result changes, the kernel is the cause."""
        ...

    def clock(
        self,
        build: Build,
        launch: Launch,
        arguments: Arguments,
        outputs: Names,
        *,
        updated: Names = (),
        scratch: Names = (),
        cache: str = COLD,
    ) -> Clock | None:
        """A clock for this kernel on these arguments, or None if this backend has no times (the emulator).

        `updated`: the `outputs` whose content the kernel changes; `scratch`: the outputs that it needs internally, such
        as flags. Both are restored before every launch. `cache`: COLD, or WARM if each timed launch is to find in L2
        what a launch on the same data left there.
        """
        ...

    def floor(self, launch: Launch, arguments: Arguments) -> Clock | None:
        """The clock of an empty kernel with the same launch, or with one launch of a chain: the cost of a launch
        itself."""
        ...

    def release(self) -> None:
        """Free the device memory of earlier cells, so that no cell depends on them.

        Called before a cell begins. Raises MachineError if the device does not work.
        """
        ...

    def watch(self) -> Watch | None:
        """The watch of the device's state between blocks; None if there is none."""
        ...
