"""Saves a run: the folder is checked before the work starts, and the run is not lost if saving fails afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ptxbench.cli._terminal import say
from ptxbench.errors import ResultError
from ptxbench.exporters import exporter_for
from ptxbench.output_files import try_output, write
from ptxbench.result import RunDocument, save, to_json


def save_somewhere(run: RunDocument, folder: Path, *, printed: bool) -> ResultError | None:
    """Save the run under `folder` and say where; if that fails, in the folder for temporary files, else on stdout.

    `printed`: it was already printed on stdout. Returns the error, with which the command should end.
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


class OutputFiles:
    """The files that --output names, each with the exporter of its suffix.

    Raises UsageError for an unknown suffix and ResultError for a folder that cannot be written to, before any work.
    """

    def __init__(self, paths: Sequence[Path], exporters: Mapping[str, Callable[..., str]]) -> None:
        self.exporters = [(path, exporter_for(path, exporters)) for path in paths]
        for path in paths:
            try_output(path, "Name another file with --output.")

    def write(self, *result: object, report: bool = False) -> None:
        """Write the result to each file; with `report`, print its name on stderr. Raises ResultError."""
        for path, export in self.exporters:
            write(export(*result), path, replace=True)
            if report:
                say(f"Wrote {path}", err=True)

    def try_write(self, *result: object) -> ResultError | None:
        """Write the result to each file. Returns the error instead of raising it; the command should end with it."""
        try:
            self.write(*result)
        except ResultError as error:
            return error
        return None
