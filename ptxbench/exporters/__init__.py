"""Results as text, by format or by file suffix. An exporter is one module and one line of FORMATS.

NVBench's files, of which there are several a run, are in `to_nvbench` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ptxbench.errors import UsageError
from ptxbench.exporters import to_benchstat, to_bmf, to_csv, to_gha, to_markdown
from ptxbench.result import Run, to_json

Exporter = Callable[[Run], str]

FORMATS: dict[str, Exporter] = {
    "json": to_json,
    "csv": to_csv.export,
    "markdown": to_markdown.export,
    "benchstat": to_benchstat.export,
    "gha": to_gha.export,
    "bmf": to_bmf.export,
}

EXPORTERS: dict[str, Exporter] = {
    ".json": FORMATS["json"],
    ".csv": FORMATS["csv"],
    ".md": FORMATS["markdown"],
}
"""The formats that a suffix names."""


def exporter_for(path: Path) -> Exporter:
    """The exporter for the suffix of `path`. Raises UsageError if there is none."""
    exporter = EXPORTERS.get(path.suffix.lower())
    if exporter is None:
        raise UsageError(f"'{path.name}' has no known suffix. Name a file that ends in {', '.join(EXPORTERS)}.")
    return exporter
