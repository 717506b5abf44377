"""Launches of `ptxbench exec` as text, chosen by file suffix: the JSON document, or SARIF."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ptxbench.check.candidate_launcher import BETWEEN_CTAS, FAULTS
from ptxbench.errors import (
    AssembleError,
    CompileError,
    KernelError,
    KernelTooLarge,
    PtxSyntaxError,
    TargetMismatch,
)
from ptxbench.execution import ExecOutcome, SkippedKernel, exit_status
from ptxbench.exporters.check import rule_of
from ptxbench.exporters.outcome import to_json
from ptxbench.exporters.sarif import Alert, AlertRule, Place, to_log

CODES: tuple[tuple[type[KernelError], str], ...] = (
    (CompileError, "does-not-compile"),
    (AssembleError, "refused"),
    (TargetMismatch, "wrong-target"),
    (PtxSyntaxError, "syntax"),
    (KernelTooLarge, "too-much-memory"),
    *FAULTS,
)
"""The code of each error; `ptxbench check` has the same."""

OTHER = AlertRule("kernel-error", "The kernel cannot be built or run.")


def to_sarif(outcomes: Sequence[ExecOutcome], left_out: Sequence[SkippedKernel]) -> str:
    """Every fault and every finding of the sanitizer, and every file that the tools refuse."""
    alerts = [alert for outcome in outcomes for alert in alerts_of(outcome)]
    alerts += [error_alert(kernel.path, kernel.error) for kernel in left_out if kernel.error]
    notes = [f"{outcome.program.path}: {note}" for outcome in outcomes for note in outcome.unchecked]
    return to_log("exec", alerts, exit_status(outcomes, left_out), notes)


def alerts_of(outcome: ExecOutcome) -> Iterator[Alert]:
    program = outcome.program
    if outcome.error:
        yield error_alert(program.path, outcome.error)
    for finding in outcome.findings:
        code = BETWEEN_CTAS if finding.between_ctas else finding.kind
        message = re.sub(rf"^{re.escape(program.path.name)}:\d+( \(PTX line \d+\))?: ", "", finding.message)
        line = finding.line if program.language == "ptx" else program.cuda_lines.get(finding.line)
        yield Alert(rule_of(code), True, message, Place(str(program.path), line))


def error_alert(path: Path, error: KernelError) -> Alert:
    """An error, at the line of the file that its message names."""
    code = next((code for kind, code in CODES if isinstance(error, kind)), None)
    named_line = re.search(rf"(?<![\w.]){re.escape(path.name)}:(\d{{1,7}})\b", str(error))
    place = Place(str(path), int(named_line[1]) if named_line else None)
    return Alert(rule_of(code) if code else OTHER, True, str(error), place)


EXPORTERS: Mapping[str, Callable[[Sequence[ExecOutcome], Sequence[SkippedKernel]], str]] = {
    ".json": to_json,
    ".sarif": to_sarif,
}
