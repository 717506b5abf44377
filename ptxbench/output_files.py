"""Files that ptxbench writes: whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from pathlib import Path

from ptxbench.errors import ResultError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if os.name == "posix" else {errno.ENOSPC}
"""Errors of a file system that refuses a write. They are not bugs, and no command can foresee them."""


def write(content: str | bytes, path: Path, *, replace: bool = False) -> None:
    """Write `content` to a temporary file next to `path`, then move it there in one step.

    With `replace`, a path that is not a regular file, such as /dev/stdout or a pipe, is written to, not replaced.
    Without it, an existing file is an error. Raises ResultError.
    """
    encoded = content.encode() if isinstance(content, str) else content
    temporary = temporary_of(path)
    try:
        if replace and is_special(path):
            path.write_bytes(encoded)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(encoded)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    except OSError as error:
        reason = problem_of_folder(path) or error.strerror
        raise ResultError(f"Cannot write {path}: {reason}. Choose another path.") from None
    finally:
        with contextlib.suppress(OSError):  # the cause of the failed write may prevent this too
            temporary.unlink(missing_ok=True)


def problem_of_folder(path: Path) -> str | None:
    """Why a file cannot be in its folder, if something on the way to it is a file."""
    exists, is_folder = os.path.exists, os.path.isdir  # those of Path raise errors for unusable paths
    in_the_way = next((folder for folder in path.parents if exists(folder) and not is_folder(folder)), None)
    return f"{in_the_way} is a file" if in_the_way else None


def require_writable(folder: Path, remedy: str) -> None:
    """Make `folder` and write a temporary file in it. Raises ResultError, ending in `remedy`, if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ResultError(f"Cannot write to {folder}: {error.strerror}. {remedy}") from None


def try_output(path: Path, remedy: str) -> None:
    """Raise ResultError, ending in `remedy`, unless `write(..., path, replace=True)` can work; makes its folder.

    To be called before work that a failed write would lose.
    """
    temporary = temporary_of(path)
    reason = None
    try:
        if path.is_dir():
            reason = os.strerror(errno.EISDIR)
        elif is_special(path):
            reason = None if os.access(path, os.W_OK) else os.strerror(errno.EACCES)
        elif problem := problem_of_folder(path):
            reason = problem
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
    except OSError as error:
        reason = error.strerror
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    if reason:
        raise ResultError(f"Cannot write to {path}: {reason}. {remedy}")


def temporary_of(path: Path) -> Path:
    """The file that is written before it is moved to `path`."""
    # not by the process's number: two containers that share a folder may both have number 7
    return path.parent / f".{path.name}.{secrets.token_hex(4)}"  # not with_name, which refuses / and .


def is_special(path: Path) -> bool:
    """Whether `path` is a device, a pipe or a socket, also through a symbolic link."""
    return path.exists() and not path.is_file() and not path.is_dir()
