"""Finds a recorded run by its name: a file, `latest`, `latest~1`, or the start of an id or a file's name."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ptxbench.errors import NoSuchRun, ResultError, UsageError, suggestion
from ptxbench.languages import CUDA, PTX

if TYPE_CHECKING:
    from ptxbench.result import RunDocument

SAVED = re.compile(r"(\d{8}T\d{6}(?:\.\d+)?Z)-([0-9a-zA-Z]+)(\.[\w-]+)?\.json", re.ASCII)
"""The name of a saved run: its start, its id, and its kind unless it is a run of pairs (`ptxbench.result.save`)."""

NEWEST = "latest"
LATEST = re.compile(r"latest(?:~(?P<back>\d{1,9}))?", re.ASCII)
"""The last run, or the one that many runs before it."""

KERNELS = (PTX.suffix, CUDA.suffix)

FORMATS = {".html": "an HTML page", ".htm": "an HTML page", ".csv": "a table", ".md": "a Markdown file",
           ".svg": "a picture", ".xml": "an XML file"}  # fmt: skip
"""What `-o` writes of runs besides JSON, by suffix."""

NAMES = "A run is a file, the start of a file's name or of an id, 'latest', or 'latest~1', the one before."


def load_run(name: str, results: Path) -> RunDocument:
    """The run with this name, from its file or from the files below `results`.

    Raises UsageError if there is none or more than one, ResultError if the file cannot be read.
    """
    return read_run(find_run(name, results))


def read_run(path: Path) -> RunDocument:
    """The run of a file. Raises ResultError if it cannot be read."""
    from ptxbench.documents import read_text
    from ptxbench.result import from_json

    folder = path.is_dir()
    form = "a folder" if folder else FORMATS.get(path.suffix.lower())
    text = "" if folder else read_text(path)
    if form and not text.lstrip().startswith("{"):
        raise ResultError(f"{path} is {form}, not a saved run. A saved run is a JSON file, by default below results/.")
    return from_json(text, str(path))


SWEEP = ".sweep"
"""The kind of a sweep of `ptxbench tune`, in the name of its file."""


RUNS: Collection[str | None] = (None,)
"""The kinds that `latest` counts: runs of pairs."""

RUNS_AND_SWEEPS: Collection[str | None] = (None, SWEEP)


def find_run(name: str, results: Path, kinds: Collection[str | None] = RUNS) -> Path:
    """The file of the run with this name. `kinds`: what `latest` counts. Raises UsageError if there is none."""
    latest = LATEST.fullmatch(name)
    if not latest and name.endswith(KERNELS):
        raise UsageError(
            f"{name} is a kernel, and a saved run is expected. `ptxbench show A B` compares two kernels; "
            f"`ptxbench check {name} --pair NAME` compares one with a pair."
        )
    if not latest and (Path(name).exists() or "/" in name or name.endswith(".json")):
        return Path(name)
    saved = saved_files(results)
    of_kind = [path for path, match in saved if match[3] in kinds]
    noun, nouns = ("run or sweep", "runs and sweeps") if SWEEP in kinds else ("run", "runs")
    if not (of_kind if latest else saved):
        raise NoSuchRun(
            f"There is no {noun} '{name}': no {noun} is saved below {results}. Name a file, or another folder with "
            "--results.",
            name,
        )
    if latest:
        back = int(latest["back"] or 0)
        if back >= len(of_kind):
            runs = f"1 {noun} is" if len(of_kind) == 1 else f"{len(of_kind):,} {nouns} are"
            raise UsageError(f"There is no {noun} '{name}': {runs} saved below {results}.")
        return of_kind[-1 - back]
    matches = [path for path, match in saved if match[2].startswith(name) or path.name.startswith(name)]
    if not matches:
        close = suggestion(name, [match[2] for _, match in saved])
        raise NoSuchRun(f"There is no {noun} '{name}' below {results}.{close} {NAMES}", name)
    if len(matches) > 1:
        more = f" and {len(matches) - 4} more" if len(matches) > 4 else ""
        raise UsageError(
            f"'{name}' matches {len(matches)} runs: {', '.join(map(str, matches[:4]))}{more}. Give more characters."
        )
    return matches[0]


def saved_runs(results: Path) -> list[Path]:
    """The files of all saved runs of pairs below the folder, by their start."""
    return [path for path, match in saved_files(results) if not match[3]]


def saved_files(results: Path) -> list[tuple[Path, re.Match[str]]]:
    """The files of all saved runs, sweeps and confirming runs included, each with the match of its name.

    Runs that started in the same second, with names without fractions of a second, are in the order of writing.
    """
    files = [(path, match) for path in results.rglob("*.json") if (match := SAVED.fullmatch(path.name))]
    return sorted(files, key=lambda file: (file[1][1], written(file[0]), file[1][2], file[0]))


def written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # a broken link: reading it reports that
        return 0
