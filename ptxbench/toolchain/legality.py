"""Whether ptxas takes a PTX text that is to run on the emulator, within a few seconds and little memory.

The answer is kept in the cache, refusals too. Where there is no answer, the text may run, and the reason is a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptxbench import architecture, cache, toolchain
from ptxbench.errors import KernelError, ToolMissing
from ptxbench.toolchain import locate, ptxas, trial

SECONDS = 10
MEMORY_BYTES = 2 << 30
"""What ptxas may take: the largest shipped kernel takes it a quarter of a second and 40 MB."""


@dataclass(frozen=True)
class Legality:
    """`refusal`: why ptxas refuses the text. `unchecked`: why nothing is known. Both None: ptxas takes it."""

    refusal: KernelError | None = None
    unchecked: str | None = None


def check(ptx: str, source: Path, language: str, arch: str) -> Legality:
    """Ask ptxas about the PTX that is, or was made of, `source`, for `arch` or the next target that it knows."""
    tool = locate.program("ptxas")
    if tool is None:
        return Legality(unchecked=f"ptxas is not installed ({locate.INSTALL})")
    try:
        messages = complaints(tool, ptx, arch)
        if UNKNOWN_TARGET in messages:
            target = next_target(arch)
            if target is None:
                return Legality(unchecked=f"ptxas {locate.version(tool)} does not know {arch}")
            arch, messages = target, complaints(tool, ptx, target)
        if not messages:
            return Legality()
        error = ptxas.explain(messages, ptx, source, language, arch, f"ptxas {locate.version(tool)}")
    except ptxas.StoppedError as stopped:
        return Legality(unchecked=f"ptxas {stopped}")
    except ToolMissing as missing:
        return Legality(unchecked=str(missing).rstrip("."))
    if isinstance(error, KernelError):
        return Legality(refusal=error)
    return Legality(unchecked=str(error).rstrip("."))


UNKNOWN_TARGET = "is not defined for option 'gpu-name'"


def next_target(arch: str) -> str | None:
    """The oldest target of ptxas's that runs what is for `arch`, which it does not know: old ones are dropped."""
    if architecture.suffix(arch):  # such code runs on no other
        return None
    plain = (target for target in trial.targets() if not architecture.suffix(target))
    later = (target for target in plain if architecture.number(target) > architecture.number(arch))
    return next(later, None)


def complaints(tool: Path, ptx: str, arch: str) -> str:
    """What ptxas refuses the text with; empty where it takes it. Raises ptxas.StoppedError, ToolMissing."""

    def make() -> bytes:
        try:
            ptxas.assemble(tool, ptx, arch, seconds=SECONDS, memory_bytes=MEMORY_BYTES)
        except ptxas.StoppedError:  # a refusal of another kind, and not for the cache
            raise
        except ptxas.RefusedError as refused:
            return str(refused).encode()
        return b""

    try:
        state = tool.stat()
    except OSError as error:
        raise ToolMissing(f"{tool} does not start: {error.strerror}. {locate.INSTALL}.") from None
    key = ("legality", str(tool), str(state.st_size), str(state.st_mtime_ns), arch, toolchain.sha256(ptx.encode()))
    return cache.remember(key, make).decode()
