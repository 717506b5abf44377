"""Where baselines are stored, and which one a run is compared with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ptxbench.errors import ResultError

if TYPE_CHECKING:
    from ptxbench.result import RunDocument

BASELINE = "baseline"


def baselines_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--baselines",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        default=Path("baselines"),
        help="The folder of baselines, one file for each device.",
    )


def load_baseline(run: RunDocument, folder: Path) -> RunDocument | None:
    """The baseline for the device of `run`; None if there is none. Raises ResultError for a damaged one."""
    from ptxbench.saved_runs import load_run
    from ptxbench.verdict.baseline import baseline_path

    path = baseline_path(run, folder)
    if not os.path.lexists(path):  # a broken link is a damaged baseline
        return None
    try:
        return load_run(str(path), folder)
    except ResultError as error:
        raise ResultError(f"{error} Restore the committed file, or delete it and set a new baseline.") from None
