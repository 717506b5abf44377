"""Runs and their builds as one HTML file.

The page loads nothing, and only its own script runs, whatever text a pair or a source contains.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import jinja2
from markupsafe import Markup, escape

from ptxbench import __version__
from ptxbench.metrics import METRICS
from ptxbench.model.runs import scored
from ptxbench.report import charts, roofs
from ptxbench.report.material import Material, collect
from ptxbench.report.pairs import PairView, pair_views
from ptxbench.report.runs import RunView, SummaryRow
from ptxbench.result import RunDocument
from ptxbench.safe_text import plain
from ptxbench.units import plural, size_words
from ptxbench.wording.cells import COUNTS_NOTICE, default_columns, says_something
from ptxbench.wording.machine import OTHER_MACHINE_CODE

__all__ = ["LIMIT", "Material", "collect", "render"]

TEMPLATES = Path(__file__).parent / "templates"

Pairs = TypeVar("Pairs", SummaryRow, charts.ChartLine)

LIMIT = 1_000_000
"""The greatest size of a page, in bytes."""


def render(
    runs: Sequence[RunDocument], materials: Sequence[Material], tools: Mapping[str, str | None]
) -> tuple[str, list[str]]:
    """The page, and sentences on the listings that were omitted to stay below LIMIT.

    Listings of further variants are omitted before those of `cuda` and `ptx`, and large ones before small ones.
    """
    claims = scored(runs)
    views = [RunView(run, number, claims) for number, run in enumerate(runs, 1)]
    pairs = pair_views(materials)
    page = filled(views, pairs, tools)
    while (excess := len(page.encode()) - LIMIT) > 0 and any(pair.listings for pair in pairs):
        pairs = without(pairs, excess)
        page = filled(views, pairs, tools)
    return page, list(dropped_words(pairs))


def filled(views: Sequence[RunView], pairs: Sequence[PairView], tools: Mapping[str, str | None]) -> str:
    """The page with all of these listings."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    script, style = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("script.js", "style.css"))
    environment.globals.update(
        geometry=roofs,
        breakable=breakable,
        plural=plural,
        size_words=size_words,
        counts_notice=COUNTS_NOTICE,
        other_machine_code=OTHER_MACHINE_CODE,
        limit=f"{LIMIT / 1e6:g} MB",
        moment=page_time,
        by_pair=by_pair,
        glossary=glossary(views),
        anchors={pair.name: pair.anchor for pair in pairs},
    )
    text = environment.get_template("page.html").render(
        title=f"ptxbench: {', '.join(dict.fromkeys(view.name for view in views))}",
        runs=views,
        pairs=pairs,
        warnings=[*(warning for view in views for warning in view.warnings), *dropped_words(pairs)],
        style=style,
        script=script,
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        version=__version__,
        here=", ".join(f"{name} {value}" for name, value in tools.items() if value),
    )
    # This only makes the templates readable; text never contains an unescaped <.
    return re.sub(r"\n\s*(?=<)", "\n", plain(text))


def page_time(text: str) -> str:
    """`24 November 2026, 22:29 UTC` for an ISO time; anything else unchanged."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%-d %B %Y, %H:%M} UTC"
    except ValueError:
        return text


def glossary(views: Sequence[RunView]) -> list[tuple[str, str]]:
    """The columns of all tables, with their descriptions."""
    shown = {
        metric
        for view in views
        for cell in view.cells
        for metric in default_columns(cell)
        if says_something(metric, cell)
    }
    return [(metric.heading, metric.description) for metric in METRICS if metric in shown]


def by_pair(rows: Sequence[Pairs]) -> list[tuple[str, list[Pairs]]]:
    """The items grouped by pair, with pairs in the order of their first item."""
    rows_by_pair: dict[str, list[Pairs]] = {}
    for row in rows:
        rows_by_pair.setdefault(row.pair, []).append(row)
    return list(rows_by_pair.items())


def breakable(name: str) -> Markup:
    """A name that may be broken after its underscores and dots."""
    return Markup(re.sub(r"([_.])", r"\1<wbr>", str(escape(name))))


def without(pairs: Sequence[PairView], excess: int) -> list[PairView]:
    """The pairs without some of their listings, at least one, to save `excess` bytes."""
    by_importance = sorted(
        ((shown.listing.variant in ("cuda", "ptx"), -shown.size, i, shown.listing.variant)
         for i, pair in enumerate(pairs) for shown in pair.listings),
    )  # fmt: skip
    dropped: dict[int, list[str]] = {}
    for _, size, i, variant in by_importance:
        if excess <= 0:
            break
        excess += size
        dropped.setdefault(i, []).append(variant)
    return [
        replace(
            pair,
            listings=tuple(listing for listing in pair.listings if listing.listing.variant not in dropped.get(i, ())),
            dropped=(*pair.dropped, *dropped.get(i, ())),
        )
        for i, pair in enumerate(pairs)
    ]


def dropped_words(pairs: Sequence[PairView]) -> Iterator[str]:
    """A sentence if listings were left out. Each pair names its own on the page."""
    if count := sum(len(pair.dropped) for pair in pairs):
        yield (
            f"{plural(count, 'listing')} left out, to keep the page below {LIMIT / 1e6:g} MB. Each pair on the page "
            "names its own. To see one: ptxbench show PAIR --variant NAME"
        )
