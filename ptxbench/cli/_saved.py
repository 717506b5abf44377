"""Reading all saved runs of a folder, with progress, and reporting those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptxbench.cli._terminal import say
from ptxbench.errors import ResultError

if TYPE_CHECKING:
    from ptxbench.result import RunDocument


def saved(results: Path, unreadable: list[str]) -> Iterator[RunDocument]:
    """Every saved run below the folder, by the time of its start; `unreadable` gets what cannot be read."""
    from ptxbench.saved_runs import saved_runs

    return read(saved_runs(results), unreadable)


def read(paths: Sequence[Path], unreadable: list[str]) -> Iterator[RunDocument]:
    """The runs of these files; `unreadable` gets what cannot be read."""
    from ptxbench.cli._progress import Bar
    from ptxbench.saved_runs import read_run

    with Bar() as bar:
        for i, path in enumerate(paths):
            bar.update(i, len(paths), f"read {path.name}")
            try:
                run = read_run(path)
            except ResultError as error:
                unreadable.append(str(error))
                continue
            yield run


def warn_unreadable(sentences: Sequence[str]) -> None:
    if sentences:
        say("\n".join([f"Skipped {len(sentences)} unreadable:", *sentences]), err=True)
