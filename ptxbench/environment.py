"""Where a run was made: this tool, the sources' commit, the host. Contains nothing about the user.

Each function returns one object of the run document (schemas/run.json) as plain JSON values.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import ptxbench
from ptxbench.run_info import HostInfo, SourceInfo, ToolInfo

PROTOCOL = 1
"""The protocol of the samples. Runs of different protocols are not comparable; raise it when the experiment changes."""

GIT_SECONDS = 20

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""The memory limit of a container's control group, in bytes, as Linux reports it (cgroup v2)."""


def tool() -> ToolInfo:
    """This version of ptxbench."""
    return ToolInfo(ptxbench.__version__, PROTOCOL)


def source(folder: Path) -> SourceInfo:
    """The commit of the kernels in `folder`, and whether they or anything else in the repository differ from it.

    Both are None if git does not know the folder: no git, no repository, or a repository that does not track it, such
    as a project around the virtual environment in which ptxbench is installed.
    """
    if not git(folder, "ls-files", "--", "."):
        return SourceInfo()
    commit = git(folder, "rev-parse", "--verify", "HEAD")
    changed = git(folder, "status", "--porcelain", "--untracked-files=no")
    added = git(folder, "status", "--porcelain", "--", ".")
    unknown = commit is None or changed is None or added is None
    return SourceInfo(commit, None if unknown else bool(changed or added))


def git(folder: Path, *arguments: str) -> str | None:
    """The output of git, stripped; None if it fails or is not installed."""
    # No locks: a run must not make a simultaneous commit fail.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        ran = subprocess.run(
            ["git", "-C", folder, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None


def host() -> HostInfo:
    """The operating system, the processor and Python; no user and no host name."""
    # Only the release's number: what follows it can name the machine that built the kernel.
    release = re.match(r"[\d.]*", platform.release())
    system = " ".join(filter(None, [platform.system(), release and release[0], platform.machine()]))
    return HostInfo(system, processor(), platform.python_version())


def memory_bytes() -> int | None:
    """The main memory of this machine, or the limit of its container; None if the system does not report it."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(physical, int(CONTAINER_LIMIT.read_text()))
    except (OSError, ValueError):  # no such file, or `max`
        return physical


def processor() -> str:
    """The processor's name; its architecture if the system does not report it."""
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(errors="replace"), re.M)
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()
