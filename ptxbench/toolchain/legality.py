"""Whether ptxas accepts a PTX text that will run on the emulator, within a few seconds and little memory.

The answer is cached, refusals too. Without an answer, the text may run, and the reason is a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptxbench import architecture, cache, toolchain
from ptxbench.errors import KernelError, ToolMissing
from ptxbench.toolchain import locate, ptxas, tool_hashes, trial

SECONDS = 10
MEMORY_BYTES = 2 << 30
"""The memory limit of ptxas: the largest shipped kernel takes a quarter of a second and 40 MB."""


@dataclass(frozen=True)
class Legality:
    """`refusal`: why ptxas refuses the text. `unchecked`: why there is no answer. Both None: ptxas accepts it."""

    refusal: KernelError | None = None
    unchecked: str | None = None

    @property
    def accepted(self) -> bool:
        return self.refusal is None and self.unchecked is None


def check(ptx: str, source: Path, language: str, arch: str) -> Legality:
    """Ask ptxas about PTX that is `source` or was made from it, for `arch` or the next target that ptxas knows."""
    tool = locate.program("ptxas")
    if tool is None:
        if mismatch := ptxas.target_mismatch(ptx, source, arch, "ptxas"):
            return Legality(refusal=mismatch)
        return Legality(unchecked=f"ptxas is not installed ({locate.INSTALL})")
    try:
        messages = complaints(tool, ptx, arch)
        if UNKNOWN_TARGET in messages:
            if mismatch := ptxas.target_mismatch(ptx, source, arch, f"ptxas {locate.version(tool)}"):
                return Legality(refusal=mismatch)
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
    """The oldest ptxas target that can run code for `arch`, which ptxas does not know: old targets are dropped."""
    if architecture.suffix(arch):  # such code runs on no other architecture
        return None
    plain = (target for target in trial.targets() if not architecture.suffix(target))
    later = (target for target in plain if architecture.number(target) > architecture.number(arch))
    return next(later, None)


def known_target(ptx: str, arch: str) -> str:
    """`arch`, or the next target that ptxas knows if it does not know this one. Raises ToolMissing."""
    tool = locate.program("ptxas")
    if tool is None or arch in trial.targets():
        return arch
    try:
        unknown = UNKNOWN_TARGET in complaints(tool, ptx, arch)
    except ptxas.StoppedError:
        return arch
    return (next_target(arch) if unknown else None) or arch


def complaints(tool: Path, ptx: str, arch: str) -> str:
    """The errors of ptxas for the text; empty if it accepts it. Raises ptxas.StoppedError, ToolMissing."""

    def make() -> bytes:
        try:
            ptxas.assemble(tool, ptx, arch, seconds=SECONDS, memory_bytes=MEMORY_BYTES)
        except ptxas.StoppedError:  # not a refusal, and not cached
            raise
        except ptxas.RefusedError as refused:
            return str(refused).encode()
        return b""

    try:
        content = tool_hashes.file_hash(tool)
    except OSError as error:
        locate.raise_if_machine(error)
        raise ToolMissing(f"{tool} does not start: {error.strerror}. {locate.INSTALL}.") from None
    key = ("legality", content, arch, toolchain.sha256(ptx.encode()))
    return cache.remember(key, make).decode()
