"""Nsight Compute over one launch of one variant: its command line, and its process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench.errors import MachineError
from ptxbench.profiling import table
from ptxbench.profiling.counters import COUNTERS
from ptxbench.profiling.table import ProfiledLaunch

PROGRAM = "ncu"

SECONDS = 120.0
"""Seconds after which a profiled launch is given up."""

NO_PROGRAM = "Nsight Compute (ncu) is not on PATH. Install it, or add its folder to PATH."

EXPLAINED = {
    "ERR_NVGPUCTRPERM": "this user may not read the GPU's counters. Run as root, or load NVIDIA's kernel module with "
    "NVreg_RestrictProfilingToAdminUsers=0.",
    "driver resource was unavailable": "another tool, such as DCGM, uses the GPU's counters. Stop it and run again.",
}
"""What ncu says if it can count nothing, and what that means."""


class Unavailable(MachineError):
    """This machine cannot count any launch."""


@dataclass(frozen=True)
class ProfileTarget:
    """What is launched: a variant of a pair at a size. Without `arch`, it is built for the GPU of its machine."""

    kernels: Path | None
    """None for the kernels of ptxbench."""
    pair: str
    variant: str
    entry: str
    size: tuple[tuple[str, int], ...]
    arch: str | None
    seed: int

    @property
    def words(self) -> list[str]:
        """The command of ptxbench that launches it once, without the program's name."""
        size = ",".join(f"{name}={value}" for name, value in self.size)
        return [
            "profile", self.pair, "--variant", self.variant, "--size", size,
            *(["--arch", self.arch] if self.arch else []),
            *(["--kernels", str(self.kernels)] if self.kernels else []),
            "--seed", str(self.seed), "--launch",
        ]  # fmt: skip


def find() -> str:
    """The program. Raises MachineError if it is not installed."""
    path = shutil.which(PROGRAM)
    if path is None:
        raise Unavailable(NO_PROGRAM)
    return path


def command(program: str, target: ProfileTarget, log: Path, ptxbench: Sequence[str]) -> list[str]:
    """Count one launch, without changing the clock. `ptxbench`: the words that start it."""
    metrics = ",".join(counter.hardware for counter in COUNTERS)
    return [
        program, "--csv", "--log-file", str(log), "--print-units", "base", "--clock-control", "none",
        "--kernel-name-base", "function", "--kernel-name", target.entry, "--launch-count", "1", "--metrics", metrics,
        *ptxbench, *target.words,
    ]  # fmt: skip


def profile(program: str, target: ProfileTarget, seconds: float = SECONDS) -> ProfiledLaunch:
    """The hardware's counts of the launch. Raises MachineError if there are none."""
    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
        log = Path(folder) / "counters.csv"
        printed = perform(command(program, target, log, [sys.executable, "-P", "-m", "ptxbench"]), seconds)
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    launches = table.read(text)
    if not launches or not launches[0].counts:
        raise failure(text + printed)
    return launches[0]


def perform(words: Sequence[str], seconds: float) -> str:
    """Run a command, and return its output. On every way out, all processes of the command are ended."""
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        raise MachineError(f"{words[0]} does not start: {error.strerror}.") from None
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise MachineError(f"{PROGRAM} took longer than {seconds:g} s.") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return output.decode(errors="replace")


def failure(text: str) -> MachineError:
    """Why nothing was counted: the program's own error message, else its last line."""
    for words, meaning in EXPLAINED.items():
        if words in text:
            return Unavailable(meaning)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("==ERROR==").strip() for line in lines if line.startswith("==ERROR==")]
    printed = [line for line in lines if not line.startswith(("==", '"'))]
    reason = (errors or printed[-1:] or ["it printed nothing"])[0]
    return MachineError(f"{PROGRAM} counted no launch: {reason.removeprefix('Error: ').rstrip('.')}.")
