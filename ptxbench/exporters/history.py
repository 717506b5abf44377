"""Series of runs as JSON, every value with its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptxbench.documents import json_text
from ptxbench.verdict.history import HistoryPoint, Series, Shift
from ptxbench.wording.history import NOTICE

SCHEMA = "ptxbench.history/1"


def to_json(series: Sequence[Series], unjudged: int, unreadable: Sequence[str]) -> str:
    """`unreadable`: what is wrong with each file that was skipped."""
    document = {
        "schema": SCHEMA,
        "notice": NOTICE,
        "unreadable": list(unreadable),
        "unjudged": unjudged,
        "series": [series_object(one_series) for one_series in series],
    }
    return json_text(document)


def series_object(series: Series) -> Mapping[str, Any]:
    key = series.key
    return {
        "device": key.device,
        "pair": key.pair,
        "size": dict(key.size),
        "arch": key.arch,
        "cache": key.cache,
        "variant": key.variant,
        "metric": key.metric.name,
        "unit": key.metric.unit,
        "exact": key.exact,
        "first": series.values[0],
        "median": series.median,
        "last": series.values[-1],
        "points": [{**origin(point), "value": point.value} for point in series.points],
        "steps": [shift_object(shift) for shift in series.shifts],
    }


def shift_object(shift: Shift) -> Mapping[str, Any]:
    return {
        "index": shift.index,
        "before": shift.before,
        "after": shift.after,
        "last_before": origin(shift.points[0]),
        "first_after": origin(shift.points[1]),
        "code": shift.move,
        "differences": [str(difference) for difference in shift.differences],
    }


def origin(point: HistoryPoint) -> Mapping[str, Any]:
    run, source = point.run.run, point.run.source
    return {"run": run.id, "started": run.started, "commit": source.commit, "dirty": source.dirty}
