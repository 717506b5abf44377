"""Where a run goes on disk: known to be writable before the work starts, and not lost if it is not after."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ptxbench.cli._terminal import say
from ptxbench.errors import ResultError
from ptxbench.exporters import Exporter
from ptxbench.result import Run, save, to_json, write


def require_writable(folder: Path, remedy: str) -> None:
    """Make `folder` and write a file in it for a moment. Raises ResultError, ending in `remedy`, if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ResultError(f"Cannot write to {folder}: {error.strerror}. {remedy}") from None


def save_somewhere(run: Run, folder: Path, *, printed: bool) -> ResultError | None:
    """Save the run under `folder` and say where; if that fails, in the folder for temporary files, else on stdout.

    `printed`: it stands on stdout already. Gives the error, for the command to end with.
    """
    try:
        say(f"Saved {save(run, folder)}", err=True)
        return None
    except ResultError as error:
        try:
            rescued = save(run, Path(tempfile.gettempdir()) / "ptxbench")
        except ResultError:
            if not printed:
                say(to_json(run), nl=False)
            return ResultError(f"{error} The run is printed on stdout.")
        return ResultError(f"{error} The run is saved as {rescued}.")


def write_output(run: Run, path: Path, export: Exporter) -> ResultError | None:
    """Write the run to the user's file. Gives the error, for the command to end with."""
    try:
        write(export(run), path, replace=True)
        return None
    except ResultError as error:
        return error
