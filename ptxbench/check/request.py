"""What to judge and how, from the names that a user gives. Mistakes are reported before anything is judged."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from ptxbench import architecture, keywords
from ptxbench.backends.base import Backend
from ptxbench.check.contained import GIB, CheckTask, ProcessLimits
from ptxbench.check.launching import FUEL
from ptxbench.check.stages import CheckOptions
from ptxbench.check.timed import Timing
from ptxbench.discovery import LoadedPair, choose_pair, load
from ptxbench.discovery.specialisation import at_least
from ptxbench.errors import UsageError
from ptxbench.runner import plan_pairs
from ptxbench.toolchain import locate, versions
from ptxbench.toolchain.nvrtc import names_file, no_flag
from ptxbench.toolchain.trial import chosen_targets, known_targets

USUAL_TARGETS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
"""One GPU of each generation; all targets of ptxas would take four times as long."""

SEED_BITS = 32


def new_seed() -> int:
    return secrets.randbits(SEED_BITS)


def request(
    pair: str,
    kernels: Path,
    open_backend: Callable[[], Backend],
    *,
    arch: str | None = None,
    seed: int | None = None,
    flags: Sequence[str] = (),
    targets: Sequence[str] = (),
    max_loop_iterations: int | None = None,
    timeout: float = 120.0,
    memory_gib: float = 6.0,
    sizes: Sequence[str] = (),
    rounds: int = 5,
    thorough: bool = False,
) -> tuple[CheckTask, Timing | None]:
    """What to do with every candidate; `targets` are patterns. Raises UsageError and the errors of the pair."""
    keywords.text("pair", pair, "the name of a pair")
    flags, targets = keywords.texts("flags", flags), keywords.texts("targets", targets)
    fuel = FUEL if max_loop_iterations is None else keywords.whole("max_loop_iterations", max_loop_iterations, 1)
    used_seed = new_seed() if seed is None else keywords.whole("seed", seed, 0)
    rounds = keywords.whole("rounds", rounds, 1)
    thorough = keywords.truth("thorough", thorough)
    memory_bytes = int(keywords.number("memory_gib", memory_gib, 1) * GIB)
    limits = ProcessLimits(keywords.number("timeout", timeout, 0), memory_bytes)
    if arch:
        require_known(arch)
    name = choose_pair(kernels, pair)
    loaded = load(kernels, name)  # its mistakes are not the candidate's
    opened_backend = open_backend()
    device_arch = opened_backend.device().sm
    timed = opened_backend.name == "gpu"
    if timed and arch and arch.rstrip("af") != device_arch.rstrip("af"):
        raise UsageError(f"The GPU is {device_arch}, not {arch}. Leave out --arch, or use --backend emulator.")
    if sizes and not timed:
        raise UsageError("--size sets the sizes to time on a GPU; a judgement uses the pair's own sizes.")
    if timed:
        plan_pairs(kernels, [name], (), sizes, emulated=not sizes)
    if flags and timed:
        raise UsageError(
            "--flag cannot be timed: a run compiles all CUDA C with the same options. Use --backend emulator."
        )
    for flag in flags:
        if reason := no_flag(flag):
            raise UsageError(f"--flag {flag} cannot be used. {reason}.")
    if file_flag := next((flag for flag in flags if names_file(flag)), None):
        raise UsageError(f"--flag {file_flag} names a file or a folder; a candidate may read only CUDA's headers.")
    settings = CheckOptions(fuel, tuple(flags), targets_of(targets), thorough)
    judged_arch = arch or (loaded.arch(device_arch, any_gpu=False) if timed else needed_arch(loaded, device_arch))
    task = CheckTask(name, kernels, judged_arch, used_seed, settings, limits)
    return task, Timing(opened_backend, kernels, tuple(sizes), rounds, used_seed) if timed else None


def needed_arch(loaded: LoadedPair, usual: str) -> str:
    """`usual`, or what the pair's PTX is for if that is another or a newer one."""
    found = loaded.arch(usual, any_gpu=True)
    ptx = next((source for source in loaded.sources if source.variant == "ptx"), None)
    return at_least(found, ptx.path) if ptx else found


def require_known(arch: str) -> None:
    """Raises UsageError for an architecture that ptxas, if it is installed, does not know: no candidate is at fault."""
    architecture.require(str(arch))  # of the Python API it may be anything
    tool = locate.program("ptxas")
    if tool and arch not in known_targets(tool):
        raise UsageError(
            f"ptxas {locate.version(tool)} does not know the architecture '{arch}'; name another with --arch."
        )


def targets_of(patterns: Sequence[str]) -> tuple[str, ...]:
    """The targets of ptxas that match these patterns, the usual ones without patterns; none without ptxas."""
    if not versions()["ptxas"]:
        return ()
    matching = chosen_targets(patterns)
    return matching if patterns else tuple(target for target in USUAL_TARGETS if target in matching)
