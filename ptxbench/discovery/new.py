"""Writes the files of a new pair: given texts, or those of the template under another name."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import ptxbench
from ptxbench.discovery import SUFFIXES
from ptxbench.discovery.reserved import CUDA, PTX
from ptxbench.errors import PairError, UsageError

PACKAGE = Path(ptxbench.__file__).parent
TEMPLATE = PACKAGE / "template"
TEMPLATE_NAME = "new_kernel"

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
LONGEST = 60
"""The most characters of a name: a header has it in a line with two more words, and file systems allow 255 bytes."""


def write_pair(
    kernels: Path, name: str, texts: Mapping[str, str] | None = None, check: Callable[[], object] | None = None
) -> tuple[Path, ...]:
    """Write pairs/NAME.py, cuda/NAME.cu and ptx/NAME.ptx under `kernels`, all of them or none, and return their paths.

    `texts`: by folder, in place of the template's. `check` is called when all are written; if it raises, all are
    removed.

    Raises UsageError for a name that a kernel cannot have and for a folder that is not for pairs, PairError if a file
    exists or cannot be written.
    """
    require_possible(kernels, name)
    contents = (
        dict(template_texts(kernels, name))
        if texts is None
        else {path: texts[path.parent.name] for path in paths(kernels, name)}
    )
    with contextlib.ExitStack() as undo:
        for path, text in contents.items():
            try:
                make_folder(path.parent, undo)
                with path.open("x", encoding="utf-8") as file:  # x: never overwrites a file
                    undo.callback(path.unlink, missing_ok=True)
                    file.write(text)
            except OSError as error:
                raise PairError(f"Cannot write {path}: {error.strerror}.") from None
        if check is not None:
            check()
        undo.pop_all()
    return tuple(contents)


def paths(kernels: Path, name: str) -> list[Path]:
    """The three files of a pair."""
    return [kernels / folder / f"{name}{suffix}" for folder, suffix in {"pairs": ".py", **SUFFIXES}.items()]


def require_possible(kernels: Path, name: str) -> None:
    """Raise UsageError or PairError, with what to do, unless the files of this pair can be written there."""
    require_name(name)
    if Path(os.path.realpath(kernels)).is_relative_to(os.path.realpath(PACKAGE)):
        raise UsageError(
            f"{kernels} is inside ptxbench itself, which an update replaces. Choose another --kernels DIR."
        )
    for path in paths(kernels, name):
        if os.path.lexists(path):  # also a broken link
            raise PairError(f"{path} already exists. Choose another name, or another folder.")


def require_name(name: str) -> None:
    """Raise UsageError, with what to do, unless a pair can have this name."""
    if not NAME.fullmatch(name):
        close = valid_name(name)
        hint = f" Did you mean '{close}'?" if close else ""
        raise UsageError(
            f"'{name}' is not a valid name for a pair: use lower-case letters, digits and _, start with a letter, "
            f"and write a dot before a variant of the data, such as reduce_sum.s32.{hint}"
        )
    if len(name) > LONGEST:
        raise UsageError(f"'{name}' has {len(name)} characters. The name of a pair has at most {LONGEST}.")
    for language, words in (("PTX", PTX), ("CUDA C", CUDA)):
        if entry_of(name) in words:
            raise UsageError(f"'{name}' is a reserved word of {language}. Choose another name.")


def valid_name(name: str) -> str | None:
    """`name` in lower case, without accents, and with _ for other characters; None if a letter would be lost."""
    letters = "".join(
        letter for letter in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(letter)
    )
    if any(letter.isalpha() and not letter.isascii() for letter in letters):
        return None
    close = re.sub(r"[^a-z0-9_.]+", "_", letters).strip("_.")
    return close if NAME.fullmatch(close) else None


def entry_of(name: str) -> str:
    """The kernel's name in both languages, which allow no dots in names."""
    return name.replace(".", "_")


def template_texts(kernels: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Each file of the new pair with its text: the template's, with its name replaced."""
    for path in paths(kernels, name):
        text = (TEMPLATE / path.parent.name / f"{TEMPLATE_NAME}{path.suffix}").read_text(encoding="utf-8")
        # Before a parenthesis it is the kernel's name, elsewhere the pair's.
        renamed = re.sub(rf"{TEMPLATE_NAME}(\(?)", lambda match: f"{entry_of(name)}(" if match[1] else name, text)
        yield path, renamed


def make_folder(folder: Path, undo: contextlib.ExitStack) -> None:
    """Make `folder` and its missing parents; `undo` removes what was made."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        undo.callback(remove_empty, parent)


def remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # another process has put something in it
        folder.rmdir()
