"""A comparison of two runs as text, chosen by file suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ptxbench.documents import json_text
from ptxbench.exporters.tables import csv_table, markdown_lines
from ptxbench.result import RunDocument
from ptxbench.safe_text import markdown_text
from ptxbench.stats import Interval
from ptxbench.units import size_words
from ptxbench.verdict import Comparison, Row
from ptxbench.wording.judgement import (
    change_words,
    deserves_attention,
    footer,
    header,
    interval_words,
    remarks,
    total,
    values,
)
from ptxbench.wording.table import StyledText, Table, numbers, texts

SCHEMA = "ptxbench.compare/2"


def to_json(comparison: Comparison) -> str:
    """Every number, threshold, verdict and reason."""
    rule, controls = comparison.rule, comparison.controls
    document = {
        "schema": SCHEMA,
        "base": identity(comparison.base),
        "head": identity(comparison.head),
        "metric": comparison.mode,
        "rule": {
            "budget": rule.budget,
            "guard": rule.budget / 2,
            "level": rule.level,
            "alpha": rule.alpha,
            "floor_seconds": rule.floor_seconds,
        },
        "differences": [
            {"name": difference.name, "base": difference.base, "head": difference.head}
            for difference in comparison.differences
        ],
        "controls": controls and {"rows": controls.count, "shift": controls.shift, "spread": controls.spread},
        "geometric_mean": comparison.geometric_mean,
        "counts": comparison.counts,
        "rows": [row_object(row) for row in comparison.rows],
    }
    return json_text(document)


def identity(run: RunDocument) -> Mapping[str, Any]:
    return {
        "id": run.run.id,
        "started": run.run.started,
        "device": run.device.name,
        "commit": run.source.commit,
        "dirty": run.source.dirty,
    }


def row_object(row: Row) -> Mapping[str, Any]:
    return {
        "pair": row.pair,
        "variant": row.variant,
        "size": dict(row.size),
        "arch": row.arch,
        "cache": row.cache,
        "metric": row.metric,
        "verdict": row.verdict,
        "reason": row.reason,
        "detail": row.detail,
        "base": row.base,
        "head": row.head,
        "change": interval_object(row.change),
        "change_in_cycles": interval_object(row.change_in_cycles),
        "p_adjusted": row.p,
        "base_rounds": list(row.base_rounds),
        "head_rounds": list(row.head_rounds),
        "rounds_needed": row.rounds_needed,
        "moves": dict(row.moves.sides),
        "notes": list(row.notes),
    }


def interval_object(change: Interval | None) -> Mapping[str, float] | None:
    return None if change is None else {"low": change.low, "value": change.value, "high": change.high}


COLUMNS = ("verdict", "pair", "variant", "size", "arch", "cache", "metric", "base", "head", "change", "low", "high",
           "p_adjusted", "base_rounds", "head_rounds", "rounds_needed", "moves", "reason", "detail")  # fmt: skip


def to_csv(comparison: Comparison) -> str:
    """One row per verdict."""
    return csv_table(COLUMNS, map(csv_row, comparison.rows))


def csv_row(row: Row) -> list[object]:
    change = (row.change.value, row.change.low, row.change.high) if row.change else (None, None, None)
    return [
        row.verdict, row.pair, row.variant, size_words(row.size), row.arch, row.cache, row.metric, row.base, row.head,
        *change, row.p, len(row.base_rounds), len(row.head_rounds), row.rounds_needed, row.moves, row.reason,
        row.detail,
    ]  # fmt: skip


def to_markdown(comparison: Comparison) -> str:
    """To paste into an issue: the rows that need attention, the reasons, the totals."""
    lines = [markdown_text(total(comparison)), "", *(f"- {markdown_text(line)}" for line in header(comparison)), ""]
    if rows := [row for row in comparison.rows if deserves_attention(row, comparison)]:
        lines += [*markdown_lines(table(rows)), ""]
    if reasons := [f"- {verdict} {markdown_text(words)}" for verdict, words in remarks(comparison)]:
        lines += [*reasons, ""]
    return "\n".join([*lines, *footer(comparison)]) + "\n"


def table(rows: Sequence[Row]) -> Table:
    columns = [*texts("verdict", "pair", "variant", "size", "metric"), *numbers("base", "head", "change", "interval"),
               *texts("code")]  # fmt: skip
    return Table(columns, [
        [row.verdict, *kernel(row), row.metric, *values(row), change_words(row), interval_words(row), str(row.moves)]
        for row in rows
    ])  # fmt: skip


def kernel(row: Row) -> tuple[str, StyledText, str]:
    """Pair, variant and size of a row."""
    return row.pair, StyledText(row.variant, code=True), size_words(row.size, row.cache)


EXPORTERS: dict[str, Callable[[Comparison], str]] = {".json": to_json, ".csv": to_csv, ".md": to_markdown}
