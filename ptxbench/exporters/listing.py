"""What `ptxbench show` prints, as JSON, and the findings of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ptxbench import kernel_names
from ptxbench.documents import json_text
from ptxbench.listing.difference import Difference
from ptxbench.listing.explanation import ExplainedPair, Explanation, explain, of_cell, verified
from ptxbench.listing.text import Listing
from ptxbench.metrics import REFERENCE
from ptxbench.result import RunDocument

SCHEMA = "ptxbench.show/1"


def to_json(
    listings: Sequence[Listing],
    cases: Sequence[ExplainedPair] = (),
    *,
    diff: bool = False,
    parameters_differ: str | None = None,
    launch: Mapping[str, Any] | None = None,
) -> str:
    """The document of `ptxbench show --json`.

    `diff`: with the alignment of the one case. `parameters_differ`, `launch`: what only two files have.
    """
    document = {
        "schema": SCHEMA,
        "variants": [describe_listing(listing) for listing in listings],
        "diff": describe_difference(cases[0].difference) if diff else None,
        "counted_at": next((dict(case.size) for case in cases if case.size is not None), None),
        "not_counted": {name: reason for case in cases for name, reason in case.uncounted.items()},
        "parameters_differ": parameters_differ,
        "launch": launch,
        "findings": [
            {"variants": list(case.names), **describe_finding(finding)} for case in cases for finding in explain(case)
        ],
    }
    return json_text(document)


def findings_of_run(run: RunDocument, reference: str = REFERENCE) -> list[dict[str, Any]]:
    """How each verified PTX variant of a run differs from the reference, for the document of `ptxbench run`."""
    return [
        {"pair": cell.pair, "size": dict(cell.point), "variants": [reference, name], **describe_finding(finding)}
        for cell in run.cells
        for name, result in cell.variants.items()
        if result.language == "ptx" and name != reference and verified(cell, name) and verified(cell, reference)
        for finding in of_cell(cell, name, reference)
    ]


def describe_listing(listing: Listing) -> dict[str, Any]:
    """The texts of one variant, how their lines belong together, and its counts, as in the document `show`."""
    return {
        "variant": listing.variant,
        "language": listing.language,
        "file": listing.path.name,
        "entry": listing.entry,
        "name": kernel_names.short(listing.entry),
        "compiler": listing.report.compiler or None,
        "arch": listing.arch,
        "registers": listing.report.registers,
        "sass_sha256": listing.report.sass_sha256,
        "same_code_as_run": listing.same_code,
        "source": list(listing.source),
        "ptx": list(listing.ptx),
        "source_line_of_ptx_line": {str(line): source_line for line, source_line in sorted(listing.origin.items())},
        "sass": [
            {
                "address": instruction.address,
                "text": instruction.text,
                "labels": list(instruction.labels),
                "ptx_line": instruction.line,
                "source_line": listing.line_of(instruction),
                "live_registers": instruction.live,
                "control": None if instruction.control is None else dataclasses.asdict(instruction.control),
                "executed": listing.executions(instruction),
            }
            for instruction in listing.sass
        ],
        "executed": None
        if listing.executed is None
        else {str(line): count for line, count in sorted(listing.executed.items())},
        "machine": None if listing.machine is None else listing.machine.document(),
    }


def describe_difference(difference: Difference) -> dict[str, Any]:
    return {
        "variants": [difference.left.variant, difference.right.variant],
        "same_code": difference.same_code,
        "same_mix": difference.same_mix,
        "similarity": difference.similarity,
        "equal": [list(indices) for indices in difference.equal],
        "moved": [list(indices) for indices in difference.moved],
        "opcodes": {name: list(counts) for name, counts in difference.opcodes.items()},
    }


def describe_finding(finding: Explanation) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "text": finding.text,
        "brief": finding.line,
        "figures": {name: dict(values) for name, values in finding.figures.items()},
        "places": [place._asdict() for place in finding.places],
    }
