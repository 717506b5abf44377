"""What a user may have meant by a pair that its folder does not have: a pair of another folder, a file or a folder.

Looks at names of files only.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from ptxbench.discovery import SUFFIXES, default_kernels, display_path, find_pairs, owner
from ptxbench.discovery.other_files import advice, content_of
from ptxbench.errors import UsageError
from ptxbench.languages import LANGUAGES

USUAL = (Path("kernels"), Path())
"""Folders of kernels that a user may have, relative to the current one."""

RESULTS = (".json", ".csv", ".md", ".html", ".svg")
"""Suffixes of files that commands write: --json takes none."""


def hint(pattern: str, kernels: Path) -> str:
    """A sentence about the pattern, which matches no pair of `kernels`; empty if nothing is known about it."""
    path = Path(pattern)
    if pattern and path.is_dir():
        return of_folder(path)
    if path.is_file():
        return of_file(path, kernels)
    if path.suffix in RESULTS:
        return " It looks like a file for results: name it with --output, or -o."
    for folder in USUAL:
        if any(fnmatchcase(name, pattern) for name in names_of(folder)):
            return f" The folder '{folder}' has it: use --kernels {folder} for it."
    if any(fnmatchcase(name, pattern) for name in names_of(default_kernels())):
        return " ptxbench's own kernels have it: leave out --kernels, and unset PTXBENCH_KERNELS."
    return ""


def of_folder(path: Path) -> str:
    if names_of(path):
        return f" This is a folder of kernels: use --kernels {path} instead."
    kinds = " and ".join(SUFFIXES.values())
    return f" This is a folder without pairs: ptxbench exec and check take folders of {kinds} files."


def of_file(path: Path, kernels: Path) -> str:
    """The pair that a file in a folder of kernels belongs to; otherwise the commands that take files."""
    folder = path.parent.parent
    if path.parent.name in ("pairs", *LANGUAGES) and (pair := owner(path.stem, names_of(folder))):
        where = "" if same_folder(folder, kernels) or same_folder(folder, default_kernels()) else f" --kernels {folder}"
        return f" This is a file of the pair '{pair}': use {pair}{where} instead."
    if path.suffix in SUFFIXES.values():
        return " This is a file: ptxbench exec, show, arch and check take .ptx and .cu files."
    kinds = " and ".join(SUFFIXES.values())
    return f" This is a file. Kernels are {kinds} files: {display_path(path)} is not one.{advice(content_of(path))}"


def same_folder(folder: Path, other: Path) -> bool:
    return folder.resolve() == other.resolve()


def names_of(folder: Path) -> tuple[str, ...]:
    """The pairs of the folder; empty if it has none."""
    try:
        return find_pairs(folder)
    except (UsageError, OSError):
        return ()
