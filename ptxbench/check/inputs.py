"""Which texts a command line names: files, the files of a folder, standard input. What cannot be read costs itself."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench.check.findings import Judgement, StageResult, finding, verdict_of
from ptxbench.check.source import MOST_BYTES, STAGE, SUFFIXES
from ptxbench.errors import UsageError

STANDARD_INPUT = "-"

SUFFIX_OF = {language: suffix for suffix, language in SUFFIXES.items()}


@dataclass(frozen=True)
class Candidate:
    """A text to judge. `file`: its name in the verdict."""

    file: str
    language: str
    content: bytes


@dataclass(frozen=True)
class Unread:
    """An argument without a text to judge: the code, and a sentence that says why."""

    file: str
    code: str
    message: str


def named(
    arguments: Sequence[Path], standard_input: Callable[[], bytes], language: str | None
) -> Iterator[Path | Candidate]:
    """What the arguments of a command line name, in order; a folder stands for its files, sorted by name."""
    for argument in arguments:
        if str(argument) == STANDARD_INPUT and language:
            yield Candidate(STANDARD_INPUT, language, standard_input())
        else:
            yield from files_of(argument)


def files_of(argument: Path) -> list[Path]:
    """The files that an argument names: itself, or those of a folder that can be candidates, without subfolders."""
    try:
        if not argument.is_dir():
            return [argument]
        files = sorted(each for each in argument.iterdir() if each.suffix in SUFFIXES and not each.is_dir())
    except (OSError, ValueError):
        return [argument]
    return files or [argument]


def open_candidate(path: Path) -> Candidate | Unread:
    """The text of a file, read once: what is judged, hashed and timed is the same even if the file changes."""
    file = os.fsencode(path).decode("utf-8", "replace")
    try:
        # Without waiting: to open a FIFO that has no writer would not return.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            kind = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(kind):
                return Unread(file, "not-found", f"the folder '{file}' holds no .ptx or .cu file.")
            if not stat.S_ISREG(kind):
                return Unread(file, "unreadable", f"'{file}' is not a regular file.")
            if path.suffix not in SUFFIXES:
                return Unread(file, "unreadable", f"'{file}' is neither a .ptx nor a .cu file.")
            with open(descriptor, "rb", closefd=False) as stream:
                return Candidate(file, SUFFIXES[path.suffix], stream.read(MOST_BYTES + 1))  # no more than is judged
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return Unread(file, "not-found", f"there is no file '{file}'.")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Unread(file, "unreadable", f"'{file}' cannot be read: {why}.")


def require_text(inputs: Sequence[Path | Candidate]) -> None:
    """Raises UsageError, of the first input, where none can be read."""
    unread = []
    for each in inputs:
        found = open_candidate(each) if isinstance(each, Path) else each
        if isinstance(found, Candidate):
            return
        unread.append(found)
    raise UsageError(sentence(unread[0]))


def read(path: Path) -> Candidate:
    """The text of a file. Raises UsageError where it cannot be read, or is neither PTX nor CUDA C."""
    found = open_candidate(path)
    if isinstance(found, Unread):
        raise UsageError(sentence(found))
    return found


def sentence(unread: Unread) -> str:
    return unread.message[0].upper() + unread.message[1:]


def unjudged(unread: Unread, pair: str, arch: str, seed: int) -> Judgement:
    """The entry of an argument that could not be read."""
    found = (finding(STAGE, unread.code, unread.message),)
    return Judgement(
        file=unread.file,
        sha256=None,
        language=SUFFIXES.get(Path(unread.file).suffix),
        pair=pair,
        arch=arch,
        seed=seed,
        stages=(StageResult(STAGE, verdict_of(found), "not read", 0.0),),
        findings=found,
    )
