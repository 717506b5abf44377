"""What `--json` and `--json-lines` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ptxbench import containment
from ptxbench.check.findings import Judgement, to_document
from ptxbench.check.ranking import places

SCHEMA = "ptxbench.check/2"
"""A newer major has other keys; keys may be added within one."""

VERDICT_SCHEMA = "ptxbench.verdict/2"


def document(
    judgements: Sequence[Judgement], *, pair: str, arch: str, seed: int, complete: bool = True
) -> dict[str, Any]:
    """All candidates, the best first, with their places. `complete`: whether all inputs have been judged."""
    return {
        "schema": SCHEMA,
        "pair": pair,
        "arch": arch,
        "seed": seed,
        "complete": complete,
        "containment": containment.mode(),
        "candidates": [
            {**to_document(judgement), "place": place}
            for judgement, place in zip(judgements, places(judgements), strict=True)
        ],
    }


def verdict(judgement: Judgement) -> dict[str, Any]:
    """One candidate: a line of `--json-lines`."""
    return {"schema": VERDICT_SCHEMA, "containment": containment.mode(), **to_document(judgement)}
