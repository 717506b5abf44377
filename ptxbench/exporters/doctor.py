"""The parts of this machine that `ptxbench doctor` examined, as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ptxbench.doctor import PartStatus
from ptxbench.documents import json_text

SCHEMA = "ptxbench.doctor/1"


def to_json(findings: Sequence[PartStatus], *, works: bool) -> str:
    """`works`: whether the emulator does, so that kernels can be verified."""
    return json_text(
        {"schema": SCHEMA, "works": works, "findings": [dataclasses.asdict(finding) for finding in findings]}
    )
