"""A judgement: findings, stages and the verdict. Data only, and its JSON form."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ptxbench.check.finding_codes import CODES, ERROR, UNJUDGED
from ptxbench.exit_status import ExitStatus
from ptxbench.run_info import Device

ACCEPTED, REJECTED, NO_VERDICT = "accepted", "rejected", "unjudged"
EXIT_STATUSES = {ACCEPTED: ExitStatus.GOOD, REJECTED: ExitStatus.WRONG_KERNEL, NO_VERDICT: ExitStatus.NO_VERDICT}

PASSED, WARNED, SKIPPED = "passed", "warned", "skipped"

STAGES = {
    "parses": "read",
    "signature": "compared with the pair's arguments",
    "lint": "searched for problems that launches may not show",
    "results": "run at the pair's check sizes",
    "assembles": "assembled by ptxas",
    "hidden": "run at sizes that the pair does not name",
    "values": "run on NaN, infinities, extremes and shared inputs",
    "sanitizer": "run under the sanitizer",
    "repeats": "launched again at other addresses, later and on other data",
    "resources": "resources compared with the pair's variants",
    "counts": "counts compared with the pair's variants",
    "time": "timed and compared with the pair's variants",
    "portability": "read by ptxas for other targets",
}
"""The stages in order, with what each does. The first that rejects ends the judgement."""

AFTER_READING = "signature"
"""The first stage that does more than read a PTX text."""

PAIR_NEEDED = "lint"
"""The first stage that needs the pair's own kernels; the stages before it need only the candidate's text."""

FIRST_LAUNCHES = "results"
"""The first stage that launches the candidate's kernel."""

ASKS_PTXAS = "assembles"
"""The stage that asks ptxas. It follows the first launches, because most kernels that are wrong are wrong there, and
ptxas takes a third of such a judgement. If the emulator cannot run the text, it comes before them."""


@dataclass(frozen=True)
class Finding:
    """One finding. `line` and `column` count from 1 in the candidate's file; None if there is none."""

    stage: str
    code: str
    line: int | None
    column: int | None
    message: str
    hint: str

    @property
    def severity(self) -> str:
        """`error`, `warning` or `unjudged`, as the code of the finding defines it."""
        return CODES[self.code].severity


MOST_MESSAGE = 1000
"""Characters. A longer message of a tool, such as one with a huge name, is cut."""

MOST_ALIKE = 10
"""Findings of one code and stage that are reported one by one."""


def finding(
    stage: str, code: str, message: str, line: int | None = None, column: int | None = None, hint: str = ""
) -> Finding:
    """A finding; without a `hint` it has that of its code.

    Unprintable characters are replaced, so that a candidate's text cannot control a terminal.
    """
    printable = "".join(character if character.isprintable() else "?" for character in message[:MOST_MESSAGE])
    return Finding(stage, code, line, column, printable, hint or CODES[code].hint)


class Skip(Exception):
    """The stage cannot be done here; the text says why."""


@dataclass(frozen=True)
class StageOutcome:
    """`words`: what a stage did, for its line in the output; and its findings."""

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
class TimingGpu:
    """The GPU that times a candidate, and the name of the machine that it belongs to."""

    host: str
    device: Device

    def __str__(self) -> str:
        return f"{self.device.name} of {self.host}"


@dataclass(frozen=True)
class Judgement:
    """Everything known about one candidate. `compared`: its figures (`candidate`) and those of the pair's variants."""

    file: str
    sha256: str | None
    """The hash of its bytes, which says which text the verdict is about; None if it could not be read."""
    language: str | None
    pair: str
    arch: str
    seed: int
    stages: Sequence[StageResult] = ()
    findings: Sequence[Finding] = ()
    compared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ratios: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By variant of the pair: the candidate's figure over the variant's, for counts and for the time.

    The ratio of machine instructions may be a range [least, most], or None.
    """
    executed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By variant, `candidate` among them: the machine instructions that warps execute (`machine_code.Executions`)."""
    targets: Mapping[str, bool] = field(default_factory=dict)
    """For each target that was tried, whether the candidate can be assembled for it."""
    notes: Sequence[str] = ()
    timed_on: TimingGpu | None = None
    """The GPU of the stage `time`; None if that stage was skipped or not reached."""

    @property
    def verdict(self) -> str:
        """accepted, rejected or unjudged."""
        severities = {finding.severity for finding in self.findings}
        return REJECTED if ERROR in severities else NO_VERDICT if UNJUDGED in severities else ACCEPTED

    @property
    def accepted(self) -> bool:
        """Whether the verdict is `accepted`."""
        return self.verdict == ACCEPTED

    @property
    def ended_at(self) -> str | None:
        """The stage that rejected it, or could not judge it."""
        return next((stage.stage for stage in self.stages if stage.verdict in (REJECTED, NO_VERDICT)), None)

    @property
    def decisive(self) -> Finding | None:
        """The first finding that decided the verdict."""
        wanted = {REJECTED: ERROR, NO_VERDICT: UNJUDGED}.get(self.verdict)
        return next((finding for finding in self.findings if finding.severity == wanted), None)


def exit_status(judgements: Iterable[Judgement]) -> ExitStatus:
    """The status of a command with these judgements: the most severe verdict decides."""
    verdicts = {judgement.verdict for judgement in judgements}
    return next((EXIT_STATUSES[verdict] for verdict in (REJECTED, NO_VERDICT) if verdict in verdicts), ExitStatus.GOOD)


def to_document(judgement: Judgement) -> dict[str, Any]:
    """The form of `--json`: the fields, and what follows from them."""
    decisive = judgement.decisive
    document = dataclasses.asdict(judgement)
    document["findings"] = [
        {**dataclasses.asdict(finding), "severity": finding.severity} for finding in judgement.findings
    ]
    ends = {"verdict": judgement.verdict, "stage": judgement.ended_at, "code": decisive.code if decisive else None}
    return {"file": document.pop("file"), **ends, **document}


def verdict_of(findings: Sequence[Finding]) -> str:
    severities = {CODES[finding.code].severity for finding in findings}
    return REJECTED if ERROR in severities else NO_VERDICT if UNJUDGED in severities else WARNED if findings else PASSED


def limited(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """At most MOST_ALIKE findings of each code; the last of them says how many more there are."""
    shown: list[Finding] = []
    counts: dict[str, int] = {}
    for entry in findings:
        counts[entry.code] = counts.get(entry.code, 0) + 1
        if counts[entry.code] <= MOST_ALIKE:
            shown.append(entry)
    for code, count in counts.items():
        if count > MOST_ALIKE:
            last = max(index for index, entry in enumerate(shown) if entry.code == code)
            more = f"{shown[last].message} And {count - MOST_ALIKE:,} more of this code."
            shown[last] = dataclasses.replace(shown[last], message=more)
    return tuple(shown)
