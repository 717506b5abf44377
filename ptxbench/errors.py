"""Every error that ptxbench raises on purpose. Data only.

PtxbenchError                     exit status 2 unless said otherwise
├── UsageError                    a name, a size or an option that does not exist
│   ├── NoSuchRun                 a run of which no file is saved
│   └── NoSuchPair                a pair that the folder of kernels does not have
├── PairError                     a pair that cannot be read
│   └── IncompletePair            a pair lacks one of its files
├── ResultError                   a result file that cannot be read or written
├── ToolMissing                   NVRTC, ptxas, nvdisasm or a GPU is not there
├── TooFewRuns                    5: too little was measured for a verdict
├── MachineError                  5: the GPU, its driver or another process is at fault, not the kernel
│   └── LaunchUnavailable         the device, or the emulator, lacks what the launch needs
└── KernelError                   4: the kernel is at fault, and only its variant is lost
    ├── CompileError              NVRTC refuses the CUDA C
    ├── AssembleError             ptxas refuses the PTX
    ├── TargetMismatch            the PTX is for another architecture
    ├── SignatureMismatch         the entry is not what the pair says
    ├── PtxSyntaxError            the text is not PTX
    ├── UnsupportedInstruction    5: valid PTX that the emulator cannot execute
    ├── KernelTooLarge            its variables take more memory than there can be
    ├── LaunchError               arguments, grid or block that do not fit the kernel
    │   ├── ReadOnlyArray         the kernel writes an array that is read-only
    │   └── GridTooLarge          the emulator cannot hold all CTAs of a cooperative grid at once
    ├── MemoryFault               an access outside every buffer, or misaligned
    ├── KernelTrap                the kernel stopped itself: trap, or an assert that failed
    ├── Deadlock                  every warp waits
    ├── FuelExhausted             a warp ran for too long: an endless loop
    ├── UnsafeLaunch              the sanitizer found races, uninitialised reads or other errors
    ├── WrongResult               an output outside its tolerance, or a write outside the outputs
    ├── DeviceError               the driver reports that the kernel failed on the GPU
    └── EmulatorCrash             the emulator's process died

A message says what was found, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from ptxbench.exit_status import ExitStatus


class PtxbenchError(Exception):
    """Base of all the above. `exit_status`: the exit status of a command that ends with it."""

    exit_status: ClassVar[ExitStatus] = ExitStatus.USAGE


class UsageError(PtxbenchError):
    pass


class NoSuchRun(UsageError):
    """`name`: the name of the run."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class NoSuchPair(UsageError):
    """`name`: what was given as the name of a pair."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class PairError(PtxbenchError):
    """`field`: the field of the pair whose function returned something wrong: `reference`, `tolerance`, `observe` or
    `args`; "" for others."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class IncompletePair(PairError):
    def __init__(self, name: str, missing: Sequence[Path]) -> None:
        files = " and ".join(str(path) for path in missing)
        super().__init__(f"Pair '{name}' lacks {files}. A pair is pairs/{name}.py, cuda/{name}.cu and ptx/{name}.ptx.")


class ResultError(PtxbenchError):
    pass


class ToolMissing(PtxbenchError):
    pass


class TooFewRuns(PtxbenchError):
    exit_status = ExitStatus.NO_VERDICT


class MachineError(PtxbenchError):
    exit_status = ExitStatus.NO_VERDICT


class LaunchUnavailable(MachineError):
    pass


class KernelError(PtxbenchError):
    exit_status = ExitStatus.WRONG_KERNEL
    findings: Sequence[object] = ()
    """What the sanitizer had found when this error ended a launch."""


class CompileError(KernelError):
    pass


class AssembleError(KernelError):
    pass


class TargetMismatch(KernelError):
    pass


class SignatureMismatch(KernelError):
    pass


class PtxSyntaxError(KernelError):
    """Its message starts with "line N: "."""


class UnsupportedInstruction(KernelError):
    exit_status = ExitStatus.NO_VERDICT


class KernelTooLarge(KernelError):
    pass


class LaunchError(KernelError):
    pass


class ReadOnlyArray(LaunchError):
    """`name`: the array's, as in the message."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class GridTooLarge(LaunchError):
    pass


class MemoryFault(KernelError):
    pass


class KernelTrap(KernelError):
    pass


class Deadlock(KernelError):
    pass


class FuelExhausted(KernelError):
    pass


class UnsafeLaunch(KernelError):
    pass


class WrongResult(KernelError):
    pass


class DeviceError(KernelError):
    pass


class EmulatorCrash(KernelError):
    pass


NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What `ast.parse` raises for a text that is not Python. The last two: it is nested too deeply for Python."""


NEAR, NEAR_SHORT = 0.72, 0.65
"""The least similarity of a suggestion. One wrong letter of three gives 0.67, one of four 0.75, two of seven 0.71."""


def suggestion(name: str, candidates: Sequence[str]) -> str:
    """ " Did you mean 'triad'?", or nothing if no known name is near."""
    close = near(name, candidates)
    return f" Did you mean '{close[0]}'?" if close else ""


def near(name: str, candidates: Sequence[str]) -> list[str]:
    """The candidate that a user may have meant: the only one that begins with `name`, or a similar one; empty if none
    is.

    Upper and lower case are the same.
    """
    from difflib import get_close_matches  # not at the top: a command that succeeds needs no suggestion

    wanted = name.casefold()
    folded = {spelling.casefold(): spelling for spelling in reversed(candidates)}
    starts = [start for start in folded if start.startswith(wanted)]
    if len(wanted) >= 3 and len(starts) == 1:
        return [folded[starts[0]]]
    cutoff = NEAR if len(wanted) > 3 else NEAR_SHORT
    return [folded[match] for match in get_close_matches(wanted, folded, n=1, cutoff=cutoff)]
