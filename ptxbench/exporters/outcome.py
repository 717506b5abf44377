"""Launches of `ptxbench exec` as JSON. It is not in execution.py, because SARIF there imports all of `ptxbench
check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ptxbench import kernel_names
from ptxbench.documents import json_text, plain_data
from ptxbench.exec_program import ExecProgram
from ptxbench.execution import ExecOutcome, SkippedKernel

SCHEMA = "ptxbench.exec/2"


def to_json(outcomes: Sequence[ExecOutcome], left_out: Sequence[SkippedKernel]) -> str:
    """What `--json` prints."""
    document = {
        "schema": SCHEMA,
        "kernels": [describe(outcome) for outcome in outcomes],
        "left_out": [
            {"file": str(kernel.path), "entry": kernel.entry, "reason": kernel.reason, "status": kernel.status}
            for kernel in left_out
        ],
    }
    return json_text(document)


def describe(outcome: ExecOutcome) -> dict[str, Any]:
    """One launch. A number that JSON does not have is text: "nan", "inf", "-inf"."""
    program, error = outcome.program, outcome.error
    return {
        "file": str(program.path),
        "language": program.language,
        "entry": outcome.function.name,
        "name": kernel_names.short(outcome.function.name),
        "compiler": program.compiler or None,
        "arch": program.arch,
        "grid": outcome.launch.grid,
        "block": outcome.block,
        **({} if outcome.launch.cluster is None else {"cluster": outcome.launch.cluster}),
        "shared_bytes": outcome.launch.shared_bytes,
        "sanitize": outcome.launch.sanitize,
        "arguments": [
            {
                "index": argument.index,
                "name": argument.name,
                "type": argument.type.strip("'"),
                "argument": argument.argument.text,
            }
            for argument in outcome.bound
        ],
        "status": outcome.status,
        "error": {"kind": type(error).__name__, "message": str(error), **both_lines(program, outcome.error_line)}
        if error
        else None,
        "findings": [
            {**both_lines(program, finding.line), "kind": str(finding.kind), "message": finding.message}
            for finding in outcome.findings
        ],
        "arrays": [
            {
                "index": output.index,
                "name": output.name,
                "type": output.type.name,
                "shape": output.array.shape,
                "changed": output.changed,
                **plain_data(output.summary()),
            }
            for output in outcome.arrays
        ],
        "notes": outcome.notes,
        "unchecked": outcome.unchecked,
        "printed": outcome.printed,
        "order": outcome.order or None,
        "order_reason": outcome.order_reason or None,
        "counters": plain_data(outcome.counters),
        "executed": None if outcome.executed is None else outcome.executed.document(),
        "lines": [
            {**both_lines(program, line), "text": program.text[line].strip(), "counters": counters}
            for line, counters in outcome.by_line.items()
        ],
    }


def both_lines(program: ExecProgram, line: int | None) -> dict[str, int | None]:
    """A line of the PTX, and the line of the CUDA C that it was made from."""
    return {"line": line or None, "cuda_line": program.cuda_lines.get(line or 0)}
