"""An audit of `check` as JSON: every bug, and the numbers of each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ptxbench.bugs.audit import TrialOrder
from ptxbench.bugs.outcome import BugOutcome, exit_status, tally
from ptxbench.documents import json_text
from ptxbench.toolchain import versions

SCHEMA = "ptxbench.bugs/1"


def to_json(order: TrialOrder, outcomes: Sequence[BugOutcome]) -> str:
    """One object; `total` and `pairs` have counts, `bugs` has each planted bug."""
    pairs = dict.fromkeys(outcome.pair for outcome in outcomes)
    document = {
        "schema": SCHEMA,
        "exit_status": exit_status(outcomes),
        "arch": order.arch,
        "seed": order.seed,
        "bugs_a_kernel": order.bugs,
        "kinds": list(order.kinds),
        "tools": versions(),
        "total": asdict(tally(outcomes)),
        "pairs": {pair: asdict(tally([outcome for outcome in outcomes if outcome.pair == pair])) for pair in pairs},
        "bugs": [bug_object(outcome) for outcome in outcomes],
    }
    return json_text(document)


def bug_object(outcome: BugOutcome) -> dict[str, Any]:
    bug = outcome.bug
    return {
        "pair": outcome.pair,
        "language": outcome.language,
        "file": outcome.file,
        "line": bug.line,
        "kind": bug.kind,
        "edit": bug.edit,
        "text": bug.code,
        "which": bug.which,
        "status": outcome.status,
        "stage": outcome.stage,
        "code": outcome.code,
        "allclose": outcome.allclose,
        "why": outcome.why,
    }
