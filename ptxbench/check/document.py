"""What `--json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ptxbench.check.findings import Judgement, to_document

SCHEMA = "ptxbench.check/1"
"""A newer major has other keys; keys may be added within one."""


def document(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """All candidates, the best first."""
    first = judgements[0]
    return {
        "schema": SCHEMA,
        "pair": first.pair,
        "arch": first.arch,
        "seed": first.seed,
        "candidates": [to_document(each) for each in judgements],
    }
