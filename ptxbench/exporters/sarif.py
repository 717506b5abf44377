"""Findings as SARIF 2.1.0, the format of OASIS that code-scanning services and editors read. Knows no command.

GitHub shows a result only if it has a file and a line, so every result has both.
"""

from __future__ import annotations

import hashlib
import linecache
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ptxbench
from ptxbench.documents import json_text
from ptxbench.safe_text import sarif_text

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

ROOT = "%SRCROOT%"
"""The name of the folder to which the paths are relative."""

FINGERPRINT = "ptxbench/v1"
"""The key of a fingerprint, by which a service recognises a result of an earlier log although its line has moved."""


@dataclass(frozen=True)
class AlertRule:
    """A kind of finding: `id` never changes its meaning; `advice` says what to do about it in general."""

    id: str
    meaning: str
    advice: str = ""


@dataclass(frozen=True)
class Place:
    """A place in a file. `line` and `column` count from 1; None for a line that is not known."""

    file: str
    line: int | None = None
    column: int | None = None

    @property
    def region(self) -> dict[str, int]:
        """The place in its file, in the words of SARIF."""
        return {"startLine": self.line or 1, **({"startColumn": self.column} if self.line and self.column else {})}

    @property
    def text(self) -> str:
        """The text of the line, without blanks at its ends; empty if it cannot be read."""
        if self.line is None:
            return ""
        linecache.checkcache(self.file)
        return linecache.getline(self.file, self.line).strip()


@dataclass(frozen=True)
class Alert:
    """One finding. `fails`: whether it makes the command fail; if not, it is a warning.

    `identity`: what distinguishes the finding from others of its rule in its file; by default the text of its line.
    """

    rule: AlertRule
    fails: bool
    message: str
    place: Place
    identity: str = ""


def to_log(
    command: str, alerts: Sequence[Alert], exit_status: int, notes: Sequence[str] = (), *, complete: bool = True
) -> str:
    """The log of one call of `ptxbench COMMAND`, which ended with `exit_status`.

    `notes`: what was not checked. `complete`: False if the command was interrupted.
    """
    root = repository(Path.cwd())
    rules = list({alert.rule.id: alert.rule for alert in alerts}.values())
    order = {rule.id: index for index, rule in enumerate(rules)}
    seen: Counter[str] = Counter()
    results = [result(alert, order[alert.rule.id], root, seen) for alert in alerts]
    driver = {
        "name": "ptxbench",
        "semanticVersion": ptxbench.__version__,
        "rules": [descriptor(rule) for rule in rules],
    }
    notifications = [{"level": "warning", "message": {"text": sarif_text(note)}} for note in notes]
    invocation = {
        "executionSuccessful": complete,
        "exitCode": int(exit_status),
        "toolExecutionNotifications": notifications,
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"ptxbench {command}/"},  # otherwise a service confuses the logs of two commands
        "invocations": [invocation],
        "originalUriBaseIds": {ROOT: {"description": {"text": "The root of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json_text({"$schema": SCHEMA, "version": VERSION, "runs": [run]})


def descriptor(rule: AlertRule) -> dict[str, Any]:
    described: dict[str, Any] = {"id": rule.id, "shortDescription": {"text": sarif_text(rule.meaning)}}
    if rule.advice:
        described["help"] = {"text": sarif_text(rule.advice)}
    return described


def result(alert: Alert, index: int, root: Path, seen: Counter[str]) -> dict[str, Any]:
    """One result. `seen` counts the results with equal keys, so that each has a fingerprint of its own."""
    artifact = location(alert.place.file, root)
    identity = alert.identity or alert.place.text or f"line {alert.place.line}"
    key = "\0".join((alert.rule.id, artifact["uri"], identity))
    seen[key] += 1
    fingerprint = hashlib.sha256(f"{key}\0{seen[key]}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return {
        "ruleId": alert.rule.id,
        "ruleIndex": index,
        "level": "error" if alert.fails else "warning",
        "message": {"text": sarif_text(alert.message)},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": alert.place.region}}],
        "partialFingerprints": {FINGERPRINT: fingerprint},
    }


def location(file: str, root: Path) -> dict[str, str]:
    """A file as a path relative to the repository; if it is elsewhere, as an absolute address."""
    path = Path(os.path.abspath(file))  # noqa: PTH100  a symbolic link stays one, as in the repository
    try:
        relative = path.relative_to(root)
    except ValueError:
        return {"uri": f"file:///{quoted(path, ':').lstrip('/')}"}
    return {"uri": quoted(relative), "uriBaseId": ROOT}


def quoted(path: Path, safe: str = "") -> str:
    """A path as part of an address. A run from somebody else may contain one that no file can have."""
    return quote(path.as_posix().encode("utf-8", "surrogatepass"), safe="/" + safe)


def repository(folder: Path) -> Path:
    """The root of the Git repository that `folder` is in; `folder` itself if it is in none."""
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), folder)
