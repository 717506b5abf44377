"""The answers of the process of a judgement. A kernel that has taken over its process can write anything, so each is
checked before it is used."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ptxbench.check.comparison import FIGURES
from ptxbench.check.finding_codes import CODES
from ptxbench.check.findings import (
    NO_VERDICT,
    PASSED,
    REJECTED,
    SKIPPED,
    STAGES,
    WARNED,
    Finding,
    Judgement,
    StageResult,
)
from ptxbench.documents import build, display_value, require_flat
from ptxbench.errors import ResultError
from ptxbench.result import ExecutedReport

NAME = "the answer"
EXECUTED_FIELDS = {field.name for field in dataclasses.fields(ExecutedReport)}
VERDICTS = (PASSED, WARNED, REJECTED, NO_VERDICT, SKIPPED)


class InvalidAnswer(Exception):
    """What no process of a judgement writes, unless it was taken over or ptxbench has a bug."""


@dataclass(frozen=True)
class Answer:
    """One answer, as one of these.

    `begin`: the stage that begins. `done`: a stage that has ended, with its `findings`. `judgement`: the last answer;
    `reads_on`: whether the process takes another task. `error`: the class of an error that is not the candidate's, with
    its `message`. `ended`: the code of the finding that says why the process cannot go on.
    """

    begin: str | None = None
    done: StageResult | None = None
    findings: Sequence[Finding] = ()
    judgement: Judgement | None = None
    reads_on: bool = False
    error: str | None = None
    message: str = ""
    ended: str | None = None


def read_answer(line: bytes) -> Answer:
    """The answer in a line of JSON. Raises InvalidAnswer."""
    try:
        document = json.loads(line, parse_float=finite, parse_constant=finite)
        answer: Answer = build(Answer, require_flat(document, NAME, ResultError), NAME)
    except (ValueError, RecursionError, ResultError) as error:
        raise InvalidAnswer(str(error)) from None
    results = [answer.done] if answer.done else []
    findings = list(answer.findings)
    if answer.judgement:
        results += answer.judgement.stages
        findings += answer.judgement.findings
        require_figures(answer.judgement)
    stages = [answer.begin, *(result.stage for result in results), *(finding.stage for finding in findings)]
    require_known(stages, STAGES)
    require_known([result.verdict for result in results], VERDICTS)
    require_known([answer.ended, *(finding.code for finding in findings)], CODES)
    return answer


def require_figures(judgement: Judgement) -> None:
    """Raises InvalidAnswer unless all figures of a judgement are what a process computes."""
    values = [(name, value) for row in judgement.compared.values() for name, value in row.items()]
    for row in judgement.ratios.values():
        for name, value in row.items():
            values += [(name, end) for end in (value if isinstance(value, list) and len(value) == 2 else [value])]
    for name, value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number and (value is not None or name in FIGURES):
            raise InvalidAnswer(f"{NAME}: {display_value(name)} is {display_value(value)}; expected a number.")
    for report in judgement.executed.values():
        if report.keys() != EXECUTED_FIELDS:
            raise InvalidAnswer(
                f"{NAME}: expected a number of executed instructions, found {display_value(dict(report))}."
            )
        try:
            executed: ExecutedReport = build(ExecutedReport, report, NAME)
        except ResultError as error:
            raise InvalidAnswer(str(error)) from None
        if len({executed.least is None, executed.most is None, executed.fit is None}) == 2:
            raise InvalidAnswer(f"{NAME}: a range of executed instructions has only one end.")


def finite(literal: str) -> float:
    """Raises ValueError for NaN and infinities, which JSON for others cannot have."""
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"{NAME}: {literal} is not a finite number.")
    return value


def require_known(names: Sequence[str | None], known: Collection[str]) -> None:
    """Raises InvalidAnswer if one of the names, where there is one, is not known."""
    unknown = next((name for name in names if name is not None and name not in known), None)
    if unknown is not None:
        raise InvalidAnswer(f"{NAME}: {display_value(unknown)} is not known.")
