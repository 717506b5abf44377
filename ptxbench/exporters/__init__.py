"""Results as text. Each format of a run has a line of FORMATS and a module, which is imported only when it is used.

The other modules write comparisons, verdicts of the gate, audits and the like. Each has `to_json`, and EXPORTERS where
the suffix of a file chooses the format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ptxbench.errors import UsageError

if TYPE_CHECKING:
    from ptxbench.result import RunDocument

Exporter = Callable[["RunDocument"], str]

AnyExporter = TypeVar("AnyExporter")

NVBENCH = "nvbench"
"""The only format of several files; its `export` gives their contents by path."""

FORMATS: Mapping[str, str] = {
    "benchstat": "lines of Go's benchmark format",
    NVBENCH: "a folder with NAME.json of each variant, for nvbench-compare-robust cuda.json ptx.json",
    "gha": "for github-action-benchmark, customSmallerIsBetter",
    "bmf": "for Bencher, --adapter json",
    "csv": "every metric",
    "json": "the run document",
    "markdown": "to paste",
}
"""The formats of a run and what they are for; the module `to_NAME` writes the format NAME."""

SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown"}
"""The formats that a file's suffix chooses."""


def exporter(name: str) -> Exporter:
    """The function that writes a run in the format of that name."""
    export: Exporter = import_module(f"{__name__}.to_{name}").export
    return export


def run_exporters(reference: str | None = None) -> dict[str, Exporter]:
    """The exporters of a run by suffix. `reference`: the row that sentences compare with, instead of the best CUDA
    C."""
    exporters = {suffix: exporter(name) for suffix, name in SUFFIXES.items()}
    if reference is not None:
        from ptxbench.exporters import to_markdown  # the only one with sentences

        exporters[".md"] = partial(to_markdown.export, reference=reference)
    return exporters


def exporter_for(path: Path, exporters: Mapping[str, AnyExporter]) -> AnyExporter:
    """The exporter for the suffix of `path`. Raises UsageError if there is none."""
    export = exporters.get(path.suffix.lower())
    if export is None:
        *others, last = exporters
        raise UsageError(f"Unknown suffix of '{path.name}'. Name a file that ends in {', '.join(others)} or {last}.")
    return export
