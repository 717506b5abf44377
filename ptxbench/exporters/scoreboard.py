"""The scoreboard as JSON: each verdict with what it rests on, and the counts that a recorded run shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ptxbench.documents import json_text
from ptxbench.metrics import BY_NAME
from ptxbench.rival import EXECUTED, bounds, has_number
from ptxbench.verdict.scoreboard import TRAFFIC, Standing
from ptxbench.wording.scoreboard import evidence_words

SCHEMA = "ptxbench.scoreboard/1"


def to_json(standings: Sequence[Standing]) -> str:
    return json_text({"schema": SCHEMA, "verdicts": [described(standing) for standing in standings]})


def described(standing: Standing) -> dict[str, Any]:
    """One verdict, with what it rests on and the counts of the two rows."""
    cell, against = standing.cell, standing.against
    rows = [standing.variant, against.name] if cell and against else []
    return {
        "pair": standing.pair,
        "variant": standing.variant,
        "arch": standing.arch,
        "verdict": standing.verdict,
        "rests_on": list(standing.rests_on),
        "device": standing.device,
        "run": standing.run,
        "size": None if cell is None else dict(cell.size),
        "against": against.name if against else None,
        "stale": standing.stale,
        "other_rows": list(standing.other_rows),
        "shows": evidence_words(standing) or None,
        "counts": {metric: [BY_NAME[metric].of(cell, name) for name in rows] for metric in TRAFFIC if cell and rows},
        "executed": [
            list(bounds(cell, name, EXECUTED)) if cell and has_number(cell, name, EXECUTED) else None for name in rows
        ],
    }
