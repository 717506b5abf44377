"""Portability matrices as text, chosen by file suffix."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ptxbench.documents import json_text
from ptxbench.exporters.tables import markdown_lines
from ptxbench.portability.survey import Matrix, TargetResults
from ptxbench.safe_text import markdown_text
from ptxbench.wording import portability as words
from ptxbench.wording.table import Column, Mark, StyledText, Table

SCHEMA = "ptxbench.arch/1"

REFUSED = Mark("✘", "x", "red")


class Survey(NamedTuple):
    """All results, and the tools that gave them."""

    versions: Mapping[str, str | None]
    targets: tuple[str, ...]
    matrices: Sequence[Matrix]
    cell: str


def to_json(survey: Survey) -> str:
    """Every figure and every refusal, whichever one a table shows."""
    document = {
        "schema": SCHEMA,
        "toolchain": dict(survey.versions),
        "targets": list(survey.targets),
        "pairs": [
            {
                "name": matrix.name,
                "closing": words.closing(matrix),
                "variants": {variant: reach_object(reach) for variant, reach in matrix.reaches.items()},
            }
            for matrix in survey.matrices
        ],
    }
    return json_text(document)


def reach_object(reach: TargetResults) -> Mapping[str, Any]:
    jit = reach.jit
    return {
        "language": reach.source.language,
        "file": reach.source.path.name,
        "entry": reach.source.entry,
        "flags": list(reach.source.flags),
        "assembles": len(reach.assembling),
        "jit": jit
        and {
            "ptx_version": jit.version,
            "ptx_target": jit.target,
            "cuda": jit.driver and jit.driver.cuda,
            "driver": jit.driver and jit.driver.branch,
            "gpus": list(jit.gpus),
        },
        "targets": {
            target: {
                "file": reach.file(target).name,
                **{name: value for name, value in dataclasses.asdict(trial).items() if name != "target"},
                "occupancy": reach.occupancy.get(target),
            }
            for target, trial in reach.trials.items()
        },
    }


def to_markdown(survey: Survey) -> str:
    """To paste: one table per pair, its notes, and the closing sentence."""
    lines = [markdown_text(words.header(survey.versions, survey.targets, survey.cell)), ""]
    for matrix in survey.matrices:
        rows, notes = words.table(matrix, survey.cell)
        table = Table(
            [Column("target"), *(Column(variant, right=True, code=True) for variant in matrix.reaches)],
            [[StyledText(targets, code=True), *map(table_entry, cells)] for targets, cells in rows],
        )
        lines += [f"### {markdown_text(matrix.name)}", "", *markdown_lines(table), ""]
        lines += [f"- ({note.number}) {markdown_text(note.words)}" for note in notes]
        remarks = (
            *words.warnings(matrix),
            *words.compiler_lines(matrix),
            *words.file_lines(matrix),
            *words.jit_lines(matrix),
        )
        lines += [f"- {markdown_text(remark)}" for remark in remarks]
        lines += ["", markdown_text(words.closing(matrix)), ""]
    if compiled := words.compiled_line(survey.matrices):
        lines += [markdown_text(compiled), ""]
    lines.append(words.total(survey.matrices))
    return "\n".join(lines) + "\n"


def table_entry(cell: words.CellText) -> StyledText:
    """The value, or a mark and the number of its note."""
    return StyledText(cell.value) if cell.note is None else StyledText(f"({cell.note.number})", mark=REFUSED)


EXPORTERS: dict[str, Callable[[Survey], str]] = {".json": to_json, ".md": to_markdown}
