"""The audit of the model as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ptxbench.documents import json_text
from ptxbench.model import scores
from ptxbench.model.points import ModelPoint
from ptxbench.model.scores import ScoredClaim

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
        "spreads": [dataclasses.asdict(spread) for spread in scores.spreads(points)],
        "published": claims(scores.of_points(points)),
        "factor": scores.FACTOR,
        "rates": [
            {"arch": arch, "resource": resource, "least_over_floor": least, "refuted": least < 1 / scores.FACTOR}
            for (arch, resource), least in scores.refutable(points).items()
        ],
        "measured": claims(measured),
    }
    return json_text(document)


def claims(scored: Sequence[ScoredClaim]) -> dict[str, Any]:
    """How often each sentence had each outcome; and every claim."""
    table, distances = scores.confusion(scored), scores.by_distance(scored)
    return {
        "pairs": len(scored),
        "confusion": {claim: {name: table[claim, name] for name in scores.MEASURED} for claim in scores.CLAIMS},
        "by_distance": {
            name: {outcome: distances[name, outcome] for outcome in scores.OUTCOMES} for name, _ in scores.DISTANCES
        },
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
