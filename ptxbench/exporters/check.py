"""Judgements of `ptxbench check` as text: what `--json` and `--json-lines` print, and SARIF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ptxbench import containment
from ptxbench.check.contained import CheckTask
from ptxbench.check.finding_codes import CODES, WARNING
from ptxbench.check.findings import Judgement, exit_status, to_document
from ptxbench.check.ranking import places
from ptxbench.documents import json_text
from ptxbench.exporters.sarif import Alert, AlertRule, Place, to_log

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


def to_json(judgements: Sequence[Judgement], task: CheckTask, complete: bool) -> str:
    """The document of `--json`, with one key per line."""
    return json_text(document(judgements, pair=task.pair, arch=task.arch, seed=task.seed, complete=complete))


def to_sarif(judgements: Sequence[Judgement], task: CheckTask, complete: bool) -> str:
    """Every finding, under its code. A finding that is not a warning makes the command fail."""
    alerts = [alert for judgement in judgements for alert in alerts_of(judgement)]
    notes = [f"{judgement.file}: {note}" for judgement in judgements for note in judgement.notes]
    return to_log("check", alerts, exit_status(judgements), notes, complete=complete)


def alerts_of(judgement: Judgement) -> Iterator[Alert]:
    for finding in judgement.findings:
        rule = rule_of(finding.code)
        advice = "" if finding.hint == rule.advice else f" {finding.hint}"  # the rule has its own
        words = f"{finding.stage}: {finding.message}{advice}"
        yield Alert(rule, finding.severity != WARNING, words, Place(judgement.file, finding.line, finding.column))


def rule_of(code: str) -> AlertRule:
    """The rule of a code. `ptxbench exec` reports some of them too."""
    return AlertRule(code, CODES[code].meaning, CODES[code].hint)


EXPORTERS: Mapping[str, Callable[[Sequence[Judgement], CheckTask, bool], str]] = {".json": to_json, ".sarif": to_sarif}
