"""A gate for a job on GitHub Actions: the summary and the annotations, within GitHub's limits. Text only; no API."""

from __future__ import annotations

from collections.abc import Iterator

from ptxbench.exporters.gate import to_markdown
from ptxbench.safe_text import workflow_property, workflow_text
from ptxbench.verdict.gate import Gate
from ptxbench.wording.gating import GateRow, steps, total

MOST_BYTES = 900 * 1024
"""The most bytes of the summary of a step: GitHub refuses more than 1024 KiB."""

MOST_ANNOTATIONS = 8
"""The most annotations of a kind: GitHub shows ten per step."""


def summary(gate: Gate, used_bytes: int = 0) -> str:
    """The Markdown of a gate, cut if the step's summary, of which `used_bytes` bytes are used, would be too long."""
    text = to_markdown(gate)
    room = max(0, MOST_BYTES - used_bytes)
    if len(text.encode()) <= room:
        return text
    kept_lines: list[str] = []
    for line in text.splitlines(keepends=True):
        room -= len(line.encode())
        if room < 0:
            break
        kept_lines.append(line)
    cut = len(text.splitlines()) - len(kept_lines)
    end = "\n</details>\n" if "<details>" in "".join(kept_lines) else "\n"
    return f"{''.join(kept_lines)}{end}{cut:,} more lines are cut here: `ptxbench gate -o FILE.md` has them.\n"


def annotate(gate: Gate, folder: str = "") -> Iterator[str]:
    """Workflow commands, one line each, failures first; of both kinds the first few, then how many more.

    `folder`: where the run was started, as a path below the repository's root that ends with a slash.
    """
    rows = steps(gate)
    for command, outcome in (("error", "FAIL"), ("warning", "warn")):
        rows_of_outcome = [row for row in rows if row.outcome == outcome]
        for row in rows_of_outcome[:MOST_ANNOTATIONS]:
            title = f"ptxbench gate {row.verdict}".rstrip()
            text = workflow_text(f"{row.words} Next: {row.remedy}")
            yield f"::{command} {annotation_location(row, folder)}title={workflow_property(title)}::{text}"
        if (more := len(rows_of_outcome) - MOST_ANNOTATIONS) > 0:
            yield f"::{command} title=ptxbench gate::{workflow_text(f'{more:,} more. {total(gate)}')}"


def annotation_location(step: GateRow, folder: str) -> str:
    """`file=kernels/ptx/triad.ptx,line=14,`; empty if no kernel's file is known."""
    if step.location is None:
        return ""
    file, line = step.location
    return f"file={workflow_property(folder + file)},line={line},"
