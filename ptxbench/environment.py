"""Where a run was made: this tool, the sources' commit, the host. Says nothing of who ran it.

Each function gives one object of the run document (schemas/run.json) as plain JSON values.
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
"""How samples are taken. Runs of different protocols are not comparable; raise it when the experiment changes."""

GIT_SECONDS = 20

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""Bytes that the control group of a container may take, as Linux tells (cgroup v2)."""


def tool() -> ToolInfo:
    """This version of ptxbench."""
    return ToolInfo(ptxbench.__version__, PROTOCOL)


def source(folder: Path) -> SourceInfo:
    """The commit of the kernels in `folder`, and whether they or anything else in the repository differ from it.

    Both are None where git does not know the folder: no git, no repository, or one that does not track it, such as
    a project around the virtual environment that ptxbench is installed in.
    """
    if not git(folder, "ls-files", "--", "."):
        return SourceInfo()
    commit = git(folder, "rev-parse", "--verify", "HEAD")
    changed = git(folder, "status", "--porcelain", "--untracked-files=no")
    added = git(folder, "status", "--porcelain", "--", ".")
    unknown = commit is None or changed is None or added is None
    return SourceInfo(commit, None if unknown else bool(changed or added))


def git(folder: Path, *arguments: str) -> str | None:
    """What git says, stripped; None where it fails or is not there."""
    # No locks: a run must not make a commit at the same time fail.
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
    # The release's number alone: what follows it can name the machine that built the kernel.
    release = re.match(r"[\d.]*", platform.release())
    system = " ".join(filter(None, [platform.system(), release and release[0], platform.machine()]))
    return HostInfo(system, processor(), platform.python_version())


def memory_bytes() -> int | None:
    """The main memory of this machine, or what a container may have of it; None where the system does not tell."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(there, int(CONTAINER_LIMIT.read_text()))
    except (OSError, ValueError):  # no such file, or `max`
        return there


def processor() -> str:
    """The processor's name; its architecture where the system does not tell."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(errors="replace"), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
