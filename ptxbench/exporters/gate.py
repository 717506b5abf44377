"""A gate as text, chosen by file suffix: JSON with every number, Markdown for a comment, JUnit XML for a CI server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ptxbench.documents import json_text
from ptxbench.exporters.comparison import identity, kernel, row_object
from ptxbench.exporters.sarif import Alert, AlertRule, Place, to_log
from ptxbench.exporters.tables import markdown_lines
from ptxbench.safe_text import markdown_text, plain
from ptxbench.units import size_words
from ptxbench.verdict import verdicts
from ptxbench.verdict.gate import Gate, JudgedRow
from ptxbench.wording.gating import GateRow, change_words, describe_rows, footer, header, steps, total, values, why
from ptxbench.wording.judgement import interval_words
from ptxbench.wording.remedies import location, next_step, waivers
from ptxbench.wording.table import Table, numbers, texts

SCHEMA = "ptxbench.gate/2"

FENCE = "```"

MEANINGS = {
    verdicts.BROKEN: "The kernel is wrong or broken, and was not so in the baseline.",
    verdicts.BROKEN_BOTH: "The kernel is wrong or broken, as it was in the baseline.",
    verdicts.REGRESSED: "A ratio, a time or a count is worse than its budget or its limit allows.",
    verdicts.MISSING: "A kernel of the baseline is not in the run.",
    verdicts.INCONCLUSIVE: "The data do not allow a verdict.",
    verdicts.NOT_MEASURABLE: "The kernel cannot be measured on this device.",
    verdicts.NOT_COMPARABLE: "The run and the baseline cannot be compared.",
    verdicts.CHANGED: "Accesses have other modifiers. No count shows what that costs.",
    verdicts.REFERENCE_CHANGED: "The code of the CUDA side changed, and that of the PTX side did not.",
    verdicts.SAME_CODE: "The code is that of the baseline, but the saved counts differ.",
    "": "The gate cannot judge a part of the run.",
}
"""What each verdict that fails or warns means; "": a problem of the whole run."""

MARKER = "<!-- ptxbench gate -->"
"""A workflow finds its comment again by this line."""


def to_json(gate: Gate) -> str:
    """The exit status, and every row with its verdict, its numbers and what to do next."""
    config = gate.config
    document = {
        "schema": SCHEMA,
        "exit_status": gate.exit_status,
        "base": gate.base and identity(gate.base),
        "head": identity(gate.head),
        "confirmed_by": [identity(run) for run in gate.confirmed_by],
        "modes": list(gate.modes),
        "rule": {
            "budget": config.budget,
            "time_budget": config.time_budget,
            "alpha": config.alpha,
            "policies": {
                name: getattr(config, name) for name in ("inconclusive", "missing", "not_comparable", "first_run")
            },
        },
        "counts": gate.counts,
        "problems": [
            {"text": problem.text, "next": problem.remedy, "exit_status": problem.exit_status}
            for problem in gate.problems
        ],
        "rows": [judged_object(row, gate) for row in gate.rows],
    }
    return json_text(document)


def judged_object(judged: JudgedRow, gate: Gate) -> Mapping[str, Any]:
    waiver = judged.waiver
    return {
        "outcome": judged.outcome.lower(),
        "exit_status": judged.exit_status,
        **row_object(judged.row),
        "limit": judged.row.base if judged.limit else None,
        "waiver": waiver and {"reason": waiver.reason, "until": waiver.until.isoformat(), "max": waiver.max},
        "explanation": list(judged.explanation),
        "next": next_step(judged, gate) if is_listed(judged) else None,
        **dict(zip(("file", "line"), location(judged.row, gate.head) or (None, None), strict=True)),
        "waive": next(waivers([judged], gate.config), None),
    }


def is_listed(judged: JudgedRow) -> bool:
    """Whether a row must be listed."""
    return judged.outcome != "pass" or judged.row.verdict == verdicts.WAIVED


def to_markdown(gate: Gate) -> str:
    """To post as a comment: the exit status, what to do, the rows that did not pass."""
    lines = [MARKER, f"**{total(gate)}**", "", *(f"- {markdown_text(line)}" for line in header(gate)), ""]
    for step in (next_steps := steps(gate)):
        outcome = f"{step.outcome} {step.verdict}".rstrip()
        lines.append(f"- **{outcome}** {markdown_text(step.words)}  \n  Next: {markdown_text(step.remedy)}")
    lines += [""] * bool(next_steps)
    if rows := [judged for judged in gate.rows if is_listed(judged)]:
        lines += ["<details><summary>Rows that did not pass</summary>", "", *markdown_lines(table(rows))]
        lines += ["", "</details>", ""]
    if blocks := [plain(block).replace(FENCE, "") for block in waivers(gate.failing, gate.config)]:
        file = markdown_text(gate.config.file)
        lines += [
            f"<details><summary>To waive it for a while, in {file}, with the reason</summary>",
            "",
            f"{FENCE}toml",
        ]
        lines += ["\n\n".join(blocks), FENCE, "", "</details>", ""]
    return "\n".join([*lines, *map(markdown_text, footer(gate))]) + "\n"


def table(rows: Sequence[JudgedRow]) -> Table:
    columns = [*texts("gate", "verdict", "pair", "variant", "size", "metric"),
               *numbers("base", "head", "change", "interval")]  # fmt: skip
    return Table(columns, [
        [judged.outcome, judged.row.verdict, *kernel(judged.row), judged.row.metric, *values(judged),
         change_words(judged.row), interval_words(judged.row)]
        for judged in rows
    ])  # fmt: skip


def to_junit(gate: Gate) -> str:
    """One test case per row: what fails is a failure, what cannot be judged or is waived is skipped.

    Problems that fail the gate without a row, such as a missing pair, are failures too: otherwise a server would not
    show why the job failed.
    """
    skipped_count = sum(not problem.exit_status for problem in gate.problems) + sum(skipped(row) for row in gate.rows)
    sums = {
        "tests": len(gate.problems) + len(gate.rows),
        "failures": len(gate.failing) + sum(bool(problem.exit_status) for problem in gate.problems),
        "errors": 0,
        "skipped": skipped_count,
    }
    root = ElementTree.Element("testsuites")
    attributes = {name: str(count) for name, count in sums.items()}
    suite = ElementTree.SubElement(root, "testsuite", name="ptxbench gate", attrib=attributes)
    for problem in gate.problems:
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name=plain(problem.text))
        kind = "failure" if problem.exit_status else "skipped"
        ElementTree.SubElement(case, kind, message=plain(f"{problem.text} Next: {problem.remedy}"))
    for judged in gate.rows:
        row = judged.row
        name = f"{row.variant} {size_words(row.size)} {row.arch} {row.cache} {row.metric}"
        case = ElementTree.SubElement(suite, "testcase", classname=plain(row.pair), name=plain(name))
        properties = ElementTree.SubElement(case, "properties")
        for key in ("verdict", "base", "head"):
            value = getattr(row, key)
            if value is not None:
                ElementTree.SubElement(properties, "property", name=key, value=plain(f"{value}"))
        if judged.exit_status or skipped(judged):
            message = plain(f"{why(judged)} Next: {next_step(judged, gate)}")
            kind = "failure" if judged.exit_status else "skipped"
            ElementTree.SubElement(case, kind, type=row.verdict, message=message)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def to_sarif(gate: Gate) -> str:
    """Everything that fails or warns, one result per cause, as in the annotations of a job on GitHub."""
    alerts = [alert_of(step, gate) for step in steps(gate) if step.outcome in ("FAIL", "warn")]
    return to_log("gate", alerts, gate.exit_status)


def alert_of(step: GateRow, gate: Gate) -> Alert:
    """A step, located at its kernel; if no run knows the kernel's file, at the config, which decides what is judged."""
    locations = [location(judged.row, run) for judged in step.rows for run in (gate.head, gate.base) if run]
    file, line = step.location or next(filter(None, locations), (gate.config.file, 1))
    rows = [f"{describe_rows([judged])} {judged.row.arch} {judged.row.metric}" for judged in step.rows]
    return Alert(
        rule_of(step.verdict),
        step.outcome == "FAIL",
        f"{step.words} Next: {step.remedy}",
        Place(file, line),
        identity=" ".join(rows) or step.words,
    )


def rule_of(verdict: str) -> AlertRule:
    """The rule of a verdict; "" stands for a problem of the whole run."""
    return AlertRule(f"gate-{verdict.lower() or 'problem'}", MEANINGS[verdict], "docs/ci.md of ptxbench has the rules.")


def skipped(judged: JudgedRow) -> bool:
    """Whether a row neither passes nor fails."""
    worse = judged.row.verdict in (verdicts.BROKEN, verdicts.REGRESSED)
    return not judged.exit_status and is_listed(judged) and not worse


EXPORTERS: dict[str, Callable[[Gate], str]] = {
    ".json": to_json, ".md": to_markdown, ".xml": to_junit, ".sarif": to_sarif,
}  # fmt: skip
