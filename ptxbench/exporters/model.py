"""The audit of the model as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ptxbench.documents import json_text
from ptxbench.model.points import ModelPoint
from ptxbench.model.scores import (
    CLAIMS,
    DISTANCES,
    FACTOR,
    MEASURED,
    OUTCOMES,
    ScoredClaim,
    by_distance,
    confusion,
    of_points,
    refutable,
    spreads,
)

SCHEMA = "ptxbench.model/1"


def to_json(points: Sequence[ModelPoint], measured: Sequence[ScoredClaim]) -> str:
    document = {
        "schema": SCHEMA,
        "points": [
            {
                "name": point.name,
                "repository": point.repository,
                "size": point.size,
                "gpu": point.gpu,
                "arch": point.arch,
                "measured_s": point.seconds,
                "floors_s": dict(point.floors),
                "highest": point.highest.resource,
                "measured_over_floor": point.over_floor,
            }
            for point in points
        ],
        "spreads": [dataclasses.asdict(spread) for spread in spreads(points)],
        "published": claims(of_points(points)),
        "factor": FACTOR,
        "rates": [
            {"arch": arch, "resource": resource, "least_over_floor": least, "refuted": least < 1 / FACTOR}
            for (arch, resource), least in refutable(points).items()
        ],
        "measured": claims(measured),
    }
    return json_text(document)


def claims(scored: Sequence[ScoredClaim]) -> dict[str, Any]:
    """How often each sentence had each outcome; and every claim."""
    table, distances = confusion(scored), by_distance(scored)
    return {
        "pairs": len(scored),
        "confusion": {claim: {name: table[claim, name] for name in MEASURED} for claim in CLAIMS},
        "by_distance": {name: {outcome: distances[name, outcome] for outcome in OUTCOMES} for name, _ in DISTANCES},
        "claims": [
            {
                "name": score.name,
                "verdict": score.claim.verdict,
                "reason": score.claim.reason,
                "measured": score.measured,
                "outcome": score.outcome,
            }
            for score in scored
        ],
    }
