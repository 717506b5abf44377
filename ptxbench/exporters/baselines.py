"""The baselines of a folder, as JSON: of which device, run, commit and tools, since when and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptxbench.documents import json_text, read_json
from ptxbench.result import from_document
from ptxbench.verdict.baseline import read_note

SCHEMA = "ptxbench.baselines/1"


def about(path: Path) -> dict[str, Any]:
    """The facts of one baseline."""
    document = read_json(path)
    run = from_document(document, str(path))
    note = read_note(document)
    return {
        "schema": SCHEMA,
        "file": str(path),
        "run": run.run.id,
        "since": note and note.since,
        "reason": note and note.reason,
        "commit": run.source.commit,
        "ptxas": run.toolchain.ptxas,
        "nvrtc": run.toolchain.nvrtc,
        "emulator": run.toolchain.emulator,
        "cells": len(run.cells),
        "variants": sum(len(cell.variants) for cell in run.cells),
        "run_sha256": note and note.run_sha256,
    }


def to_json(baselines: Sequence[dict[str, Any]]) -> str:
    return json_text([*baselines])
