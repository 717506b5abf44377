"""What a judgement is: findings, stages and the verdict. Data only, and as JSON has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ptxbench.check.finding_codes import CODES, ERROR, UNJUDGED
from ptxbench.exit_status import ExitStatus

ACCEPTED, REJECTED, NO_VERDICT = "accepted", "rejected", "unjudged"
EXIT_STATUSES = {ACCEPTED: ExitStatus.GOOD, REJECTED: ExitStatus.WRONG_KERNEL, NO_VERDICT: ExitStatus.NO_VERDICT}

PASSED, WARNED, SKIPPED = "passed", "warned", "skipped"

STAGES = {
    "parses": "read",
    "assembles": "assembled by ptxas",
    "signature": "held against the pair's arguments",
    "lint": "searched for what no launch shows",
    "results": "run at the pair's check sizes",
    "hidden": "run at sizes that the pair does not name",
    "values": "run on NaN, infinities, extremes and shared inputs",
    "sanitizer": "run under the sanitizer",
    "repeats": "launched again elsewhere, later and on other data",
    "resources": "held against the pair's variants",
    "counts": "counted against the pair's variants",
    "time": "timed against the pair's variants",
    "portability": "assembled for other targets",
}
"""In order; what is done in each. The first that rejects ends the judgement."""

PAIR_NEEDED = "lint"
"""The first stage that looks at the pair's own kernels; the stages before it look at the candidate's text alone."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `line` and `column` count from 1, in the candidate's file; None where there is none."""

    stage: str
    code: str
    line: int | None
    column: int | None
    message: str
    hint: str

    @property
    def severity(self) -> str:
        return CODES[self.code].severity


MOST_MESSAGE = 1000
"""Characters; what a tool says of a name of a million is no help to anybody."""

MOST_ALIKE = 10
"""Findings of one code and stage that are told of, one by one."""


def finding(
    stage: str, code: str, message: str, line: int | None = None, column: int | None = None, hint: str = ""
) -> Finding:
    """A finding with the hint of its code, where it has none of its own.

    What the candidate has put into the message cannot control a terminal.
    """
    shown = "".join(each if each.isprintable() else "?" for each in message[:MOST_MESSAGE])
    return Finding(stage, code, line, column, shown, hint or CODES[code].hint)


class Skip(Exception):
    """A stage cannot be done here; the text says why."""


@dataclass(frozen=True)
class StageOutcome:
    """A stage that was done: in words, and what was found."""

    words: str
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class StageResult:
    """One stage: passed, warned, rejected, unjudged or skipped; `detail` says in words what was done, or why not."""

    stage: str
    verdict: str
    detail: str
    seconds: float


@dataclass(frozen=True)
class Judgement:
    """All that is known of one candidate. `compared`: its figures (`candidate`) and those of the pair's variants."""

    file: str
    sha256: str | None
    """Of its bytes, so that the verdict is not taken for that on another text; None where it could not be read."""
    language: str | None
    pair: str
    arch: str
    seed: int
    stages: Sequence[StageResult] = ()
    findings: Sequence[Finding] = ()
    compared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ratios: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By variant of the pair: the candidate's figure over the variant's, of counts and of the time. That of machine
    instructions may be a range [least, most], or None."""
    executed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By variant, `candidate` among them: the machine instructions that warps execute (`machine_code.Executions`)."""
    targets: Mapping[str, bool] = field(default_factory=dict)
    """Which targets it can be assembled for, of those that were tried."""
    notes: Sequence[str] = ()

    @property
    def verdict(self) -> str:
        severities = {each.severity for each in self.findings}
        return REJECTED if ERROR in severities else NO_VERDICT if UNJUDGED in severities else ACCEPTED

    @property
    def ended_at(self) -> str | None:
        """The stage that rejected it, or could not judge it."""
        return next((each.stage for each in self.stages if each.verdict in (REJECTED, NO_VERDICT)), None)

    @property
    def decisive(self) -> Finding | None:
        """The first finding that made the verdict."""
        wanted = {REJECTED: ERROR, NO_VERDICT: UNJUDGED}.get(self.verdict)
        return next((each for each in self.findings if each.severity == wanted), None)


def to_document(judgement: Judgement) -> dict[str, Any]:
    """As `--json` has it: the fields, and what follows from them."""
    decisive = judgement.decisive
    document = dataclasses.asdict(judgement)
    document["findings"] = [{**dataclasses.asdict(each), "severity": each.severity} for each in judgement.findings]
    ends = {"verdict": judgement.verdict, "stage": judgement.ended_at, "code": decisive.code if decisive else None}
    return {"file": document.pop("file"), **ends, **document}


def from_document(document: Mapping[str, Any]) -> Judgement:
    """The judgement that was written. KeyError or TypeError for what is none."""
    fields = {each.name: document[each.name] for each in dataclasses.fields(Judgement)}
    names = [each.name for each in dataclasses.fields(Finding)]
    fields["findings"] = tuple(Finding(**{name: each[name] for name in names}) for each in fields["findings"])
    fields["stages"] = tuple(StageResult(**each) for each in fields["stages"])
    return Judgement(**fields)


def verdict_of(found: Sequence[Finding]) -> str:
    severities = {CODES[each.code].severity for each in found}
    return REJECTED if ERROR in severities else NO_VERDICT if UNJUDGED in severities else WARNED if found else PASSED


def limited(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings, of each code no more than MOST_ALIKE; the last of these tells how many more there are."""
    kept: list[Finding] = []
    alike: dict[str, int] = {}
    for each in found:
        alike[each.code] = alike.get(each.code, 0) + 1
        if alike[each.code] <= MOST_ALIKE:
            kept.append(each)
    for code, count in alike.items():
        if count > MOST_ALIKE:
            last = max(index for index, each in enumerate(kept) if each.code == code)
            more = f"{kept[last].message} And {count - MOST_ALIKE:,} more of this code."
            kept[last] = dataclasses.replace(kept[last], message=more)
    return tuple(kept)
