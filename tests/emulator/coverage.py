"""Which functions of the instruction table the tests have run: every one must be, by a row or by a program.

Each test process records what its launches execute, and the last one to end reports what never ran. There is no
report after a run of only some tests, or after a failed test.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ptxbench.emulator import parse
from ptxbench.emulator.inline import link
from ptxbench.emulator.isa import TABLE
from ptxbench.emulator.parse import choose
from ptxbench.emulator.process import Process
from ptxbench.emulator.resolve import resolve

HERE = Path(__file__).parent


def name(body: Callable[..., Any]) -> str:
    """A function of the table, by module, name and line."""
    return f"{body.__module__.rsplit('.', 1)[-1]}.py:{body.__code__.co_firstlineno} {body.__name__}"


def every_body() -> dict[str, str]:
    """Each function of the table, with a line of the manual that it carries out."""
    return {name(pattern.body): pattern.syntax for lines in TABLE.patterns.values() for pattern in lines}


class Coverage:
    """Listens to `emulator.run` and collects the functions that a launch's instructions need."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str | None]] = set()
        self.bodies: set[str] = set()

    def listen(self, patch: pytest.MonkeyPatch) -> None:
        original = Process.perform

        def perform(process: Process, job: Any, contents: Any) -> Any:
            result = original(process, job, contents)
            self.note(job.ptx, job.entry)
            return result

        patch.setattr(Process, "perform", perform)

    def note(self, ptx: str, entry: str | None) -> None:
        if (ptx, entry) not in self.seen:
            self.seen.add((ptx, entry))
            module = parse.parsed(ptx)
            steps = resolve(link(module, choose(module, entry)).function, module)
            self.bodies.update(name(step.entry.body) for step in steps)


def is_complete(session: pytest.Session) -> bool:
    """Whether every test of this folder was selected and none failed."""
    collected = {item.path for item in session.items}
    option = session.config.option
    chosen = option.keyword or option.markexpr or option.deselect or getattr(option, "lf", False)
    return not chosen and not session.testsfailed and collected >= set(HERE.glob("test_*.py"))


def untested(folder: Path, bodies: set[str]) -> list[str]:
    """Store `bodies` in the shared `folder`; the last test process returns the functions that never ran."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "only")
    (folder / f"emulator-{worker}.json").write_text(json.dumps(sorted(bodies)))
    reports = list(folder.glob("emulator-*.json"))
    if len(reports) < int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")):
        return []
    run = set().union(*(json.loads(report.read_text()) for report in reports))
    return [f"{where}, '{syntax}'" for where, syntax in sorted(every_body().items()) if where not in run]
