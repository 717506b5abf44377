"""What two machines must have in common so that both give the same results: versions, and the content of files."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import ptxbench
from ptxbench import containment, toolchain

PACKAGES = (
    *("llvmlite", "ml_dtypes", "numba", "numpy", "scipy"),  # of the emulator and of references
    "highspy",  # of executed machine instructions
    *("numba-cuda", "nvidia-cuda-tileiras", "nvidia-nvvm", "nvidia-cuda-cccl", "nvidia-cuda-cccl-cu12"),  # of compilers
    *("cloudpickle", "distributed"),  # of what is sent
)
"""Packages on which results depend, in addition to the tools, which report their own versions."""


@dataclass(frozen=True)
class Fingerprint:
    """What results depend on, of one machine. `versions`: by program, None for one that is not installed. `files`: by
    path, the hash of a file or of a folder; None if it does not exist. `code`: the hash of ptxbench."""

    versions: Mapping[str, str | None]
    code: str | None
    files: Mapping[str, str | None]


def fingerprint(paths: Sequence[Path] = ()) -> Fingerprint:
    """The fingerprint of this machine, with these files and folders."""
    versions = {
        "ptxbench": ptxbench.__version__,
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **toolchain.versions(),
        **{name: installed(name) for name in PACKAGES},
        "containment": containment.mode(),
    }
    code = digest(Path(ptxbench.__file__).parent, "*.py")
    return Fingerprint(versions, code, {str(path): digest(path) for path in paths})


def installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def digest(path: Path, pattern: str = "*") -> str | None:
    """The hash of a file, or of the files below a folder with their names; None if it does not exist."""
    if not path.exists():
        return None
    hasher = hashlib.sha256()
    for file in sorted(files(path, pattern)):
        content = file.read_bytes()
        hasher.update(f"{file.relative_to(path).as_posix()}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        hasher.update(content)
    return hasher.hexdigest()


def files(path: Path, pattern: str) -> Iterator[Path]:
    """The file itself, or the files below the folder, without hidden ones and those that Python has compiled."""
    if path.is_file():
        yield path
        return
    for file in path.rglob(pattern):
        names = file.relative_to(path).parts
        if file.is_file() and not any(name.startswith(".") or name == "__pycache__" for name in names):
            yield file


def differences(local: Fingerprint, other: Fingerprint) -> Iterator[str]:
    """What the other machine has that differs from this one (`local`), in words."""
    versions_differ = False
    for name, version in local.versions.items():
        other_version = other.versions.get(name)
        if other_version != version:
            versions_differ = True
            yield f"{f'{name} {other_version}' if other_version else f'no {name}'}, expected {version or 'none'}"
    if other.code != local.code and not versions_differ:
        yield "other code of the same version of ptxbench"
    for path, expected in local.files.items():
        if (other_digest := other.files.get(path)) != expected:
            yield f"other content in {path}" if other_digest else f"no {path}"
