"""Finds the CUDA tools: in NVIDIA's wheels or, if those are absent, in an installed toolkit.

It finds files and says what to install; it runs nothing except a tool's --version and --help.
"""

from __future__ import annotations

import ctypes.util
import errno
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

from ptxbench.errors import ToolMissing

INSTALL = "pip install 'ptxbench[cu13]' (cu12 where the driver speaks only CUDA 12), or install a CUDA toolkit"

USUAL_FOLDERS = (Path("/usr/local/cuda"), Path("/opt/cuda"))
"""The default folders of the toolkit's installers, unless CUDA_PATH or CUDA_HOME is set."""

SECONDS_FOR_VERSION = 30


def toolkits() -> Iterator[Path]:
    """Folders in which an installed toolkit may be, most explicit first."""
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        if folder := os.environ.get(variable):
            yield Path(folder)
    for name in ("nvcc", "ptxas"):
        if path := shutil.which(name):
            yield Path(path).parent.parent
    yield from USUAL_FOLDERS


def program(name: str) -> Path | None:
    """The tool of that name (ptxas, nvdisasm), or None."""
    try:
        from cuda.pathfinder import SUPPORTED_BINARY_UTILITIES, find_nvidia_binary_utility
    except ImportError:  # an installed toolkit without the extras
        pass
    else:
        # Before 1.8 it raises on ptxas; another package may have installed an old version.
        if name in SUPPORTED_BINARY_UTILITIES and (located := find_nvidia_binary_utility(name)):
            return Path(located)
    suffix = ".exe" if sys.platform == "win32" else ""
    for folder in toolkits():
        if os.access(path := folder / "bin" / (name + suffix), os.X_OK) and path.is_file():
            return path
    return Path(on_path) if (on_path := shutil.which(name)) else None


def nvrtc() -> Path | None:
    """NVRTC's library, or None. NVIDIA makes none for macOS; the wheel there is an empty placeholder.

    Raises ToolMissing for a library that does not load.
    """
    if sys.platform == "darwin":
        return None
    try:
        from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib
    except ImportError:
        pass
    else:
        try:
            if located := load_nvidia_dynamic_lib("nvrtc").abs_path:
                return Path(located)
        except DynamicLibNotFoundError:
            pass
        except (RuntimeError, OSError) as error:  # found, but the loader refuses it
            raise ToolMissing(f"NVRTC does not load: {error}. Reinstall it: {INSTALL}.") from None
    for folder in toolkits():
        for pattern in ("lib64/libnvrtc.so*", "lib/libnvrtc.so*", "bin/nvrtc64_*.dll", "bin/x64/nvrtc64_*.dll"):
            for path in sorted(folder.glob(pattern)):
                if ".alt." not in path.name:
                    return path
    library = ctypes.util.find_library("nvrtc")  # a distribution's package, with its files in system folders
    return Path(library) if library else None


def headers() -> tuple[Path, ...]:
    """Folders to search for CUDA's headers, such as cuda_fp16.h and mma.h, and cooperative_groups.h with libcu++."""
    folders: list[Path] = []
    try:
        from cuda.pathfinder import find_nvidia_header_directory
    except ImportError:
        pass
    else:
        # `nvcc` for crt/, which CUDA 12 keeps in a separate folder; `cccl` for libcu++, which has its own wheel.
        names = ("cudart", "nvcc", "cccl")
        folders = [Path(folder) for name in names if (folder := find_nvidia_header_directory(name))]
        # Not by its name, for which the package takes 0.4 s if it is not installed. CUDA 13 has one folder for all.
        curand = (folder.parent.parent / "curand" / "include" for folder in folders[:1])
        folders += [folder for folder in curand if folder.is_dir()]
    if not any((folder / "cuda_fp16.h").is_file() for folder in folders):
        folders = [folder / "include" for folder in toolkits() if (folder / "include" / "cuda_fp16.h").is_file()][:1]
        folders += [folder / "cccl" for folder in folders if (folder / "cccl").is_dir()]  # where CUDA 13 keeps libcu++
    return tuple(dict.fromkeys(folders))


def described(tool: Path | str, option: str, remedy: str = f". Reinstall it: {INSTALL}.") -> CompletedProcess[str]:
    """What a program prints for `--version` or `--help`. Raises ToolMissing, which ends in `remedy`, if it does not
    run."""
    try:
        return subprocess.run(
            [tool, option],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_FOR_VERSION,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise_if_machine(error)
        raise ToolMissing(f"{tool} does not run: {error}{remedy}") from None


def raise_if_machine(error: Exception) -> None:
    """Raise the error of a tool that does not start if its cause is a limit of files or processes, and not the tool."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN):
        raise error


@functools.cache
def version(tool: Path) -> str:
    """A program's version, such as 13.0.88. Raises ToolMissing if it does not run or prints none."""
    ran = described(tool, "--version")
    match = re.search(r"\bV(\d+(?:\.\d+)+)", ran.stdout)
    if not match:
        raise ToolMissing(f"{tool} --version prints no version (status {ran.returncode}). Reinstall it: {INSTALL}.")
    return match[1]
