"""The texts that a command line names: files, the files of a folder, standard input. An unreadable one does
not affect the others."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench.check.findings import Judgement, StageResult, finding, verdict_of
from ptxbench.check.source import MOST_BYTES, STAGE
from ptxbench.discovery import BY_SUFFIX
from ptxbench.discovery.other_files import advice, missing_file
from ptxbench.errors import UsageError
from ptxbench.languages import NUMBA

STANDARD_INPUT = "-"
NO_PYTHON = "Python is not accepted, because it is executed when it is compiled"


@dataclass(frozen=True)
class Candidate:
    """A text to judge. `file`: its name in the verdict."""

    file: str
    language: str
    content: bytes


@dataclass(frozen=True)
class UnreadableInput:
    """An argument without a readable text: the finding code, and a sentence that says why."""

    file: str
    code: str
    message: str


def expand_arguments(
    arguments: Sequence[Path], standard_input: Callable[[], bytes], language: str | None
) -> Iterator[Path | Candidate]:
    """The texts that the arguments of a command line name, in order; a folder gives its files, sorted by name."""
    for argument in arguments:
        if str(argument) == STANDARD_INPUT and language:
            yield Candidate(STANDARD_INPUT, language, standard_input())
        else:
            yield from files_of(argument)


def files_of(argument: Path) -> list[Path]:
    """The files that an argument names: itself, or the .ptx and .cu files of a folder, without subfolders."""
    try:
        if not argument.is_dir():
            return [argument]
        files = sorted(path for path in argument.iterdir() if path.suffix in BY_SUFFIX and not path.is_dir())
    except (OSError, ValueError):
        return [argument]
    return files or [argument]


def open_candidate(path: Path) -> Candidate | UnreadableInput:
    """The text of a file, read once, so that the same text is judged, hashed and timed even if the file changes."""
    file = os.fsencode(path).decode("utf-8", "replace")
    try:
        # Without waiting: opening a FIFO without a writer would block.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                return UnreadableInput(file, "not-found", f"the folder '{file}' has no .ptx or .cu file.")
            if not stat.S_ISREG(mode):
                return UnreadableInput(file, "unreadable", f"'{file}' is not a regular file.")
            with open(descriptor, "rb", closefd=False) as stream:
                content = stream.read(MOST_BYTES + 1)  # one byte more than is accepted, so that a longer file shows
            if path.suffix not in BY_SUFFIX:
                why = f": {NO_PYTHON}" if path.suffix == NUMBA.suffix else ""
                message = f"'{file}' is neither a .ptx nor a .cu file{why}.{advice(content)}"
                return UnreadableInput(file, "unreadable", message)
            return Candidate(file, BY_SUFFIX[path.suffix], content)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        message = missing_file(Path(file))
        return UnreadableInput(file, "not-found", message[0].lower() + message[1:])
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return UnreadableInput(file, "unreadable", f"'{file}' cannot be read: {why}.")


def require_text(inputs: Sequence[Path | Candidate]) -> None:
    """Raises UsageError about the first input if none can be read."""
    unread = []
    for one_input in inputs:
        candidate = open_candidate(one_input) if isinstance(one_input, Path) else one_input
        if isinstance(candidate, Candidate):
            return
        unread.append(candidate)
    raise UsageError(sentence(unread[0]))


def read(path: Path) -> Candidate:
    """The text of a file. Raises UsageError if it cannot be read, or is neither PTX nor CUDA C."""
    candidate = open_candidate(path)
    if isinstance(candidate, UnreadableInput):
        raise UsageError(sentence(candidate))
    return candidate


def sentence(unread: UnreadableInput) -> str:
    return unread.message[0].upper() + unread.message[1:]


def unjudged(unread: UnreadableInput, pair: str, arch: str, seed: int) -> Judgement:
    """The entry of an argument that could not be read."""
    findings = (finding(STAGE, unread.code, unread.message),)
    return Judgement(
        file=unread.file,
        sha256=None,
        language=BY_SUFFIX.get(Path(unread.file).suffix),
        pair=pair,
        arch=arch,
        seed=seed,
        stages=(StageResult(STAGE, verdict_of(findings), "not read", 0.0),),
        findings=findings,
    )
