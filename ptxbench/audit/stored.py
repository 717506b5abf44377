"""Stored runs of unchanged code, compared by the shipped rule: how often a real GPU's noise misleads it.

Base and head are always different runs. Every two runs of one GPU model are judged both ways, as if their code had
changed, although it is the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ptxbench.audit.rate import AlarmRate
from ptxbench.audit.synthetic import CONDITIONS, MOST_ALARMS, Reporter
from ptxbench.audit.tally import AuditTally, RateTarget, Suite, TallyLine, line
from ptxbench.errors import TooFewRuns
from ptxbench.result import RunDocument
from ptxbench.verdict.code_changes import Moves
from ptxbench.verdict.comparable import run_differences
from ptxbench.verdict.comparison import is_timed
from ptxbench.verdict.config import GateConfig
from ptxbench.verdict.limits import rule_for
from ptxbench.verdict.rows import Mode, match_cells, unjudged_rows
from ptxbench.verdict.run_control import untrusted_reason

FEWEST_RUNS, FEWEST_ROUNDS, FEWEST_DAYS = 6, 60, 2
"""For one GPU model. Runs of one day share a temperature, and rounds of one run share a clock."""


@dataclass(frozen=True)
class StoredDevice:
    """The runs of one GPU model."""

    name: str
    runs: Sequence[RunDocument]

    @property
    def rounds(self) -> int:
        return sum(map(rounds_in, self.runs))

    @property
    def days(self) -> int:
        return len({run.run.started[:10] for run in self.runs})

    def __str__(self) -> str:
        """`NVIDIA H100: 6 runs, 60 rounds, 2 days`."""
        counts = (len(self.runs), "run"), (self.rounds, "round"), (self.days, "day")
        words = [f"{count} {noun}" if count == 1 else f"{count} {noun}s" for count, noun in counts]
        return f"{self.name}: {', '.join(words)}"

    @property
    def enough(self) -> bool:
        return len(self.runs) >= FEWEST_RUNS and self.rounds >= FEWEST_ROUNDS and self.days >= FEWEST_DAYS


def rounds_in(run: RunDocument) -> int:
    return max((len({timed_round.round for timed_round in cell.rounds}) for cell in run.cells), default=0)


def devices(runs: Sequence[RunDocument]) -> list[StoredDevice]:
    """The timed runs by GPU model, in the order of their start. Raises TooFewRuns if no model has enough of them."""
    timed = sorted((run for run in runs if is_timed(run)), key=lambda run: run.run.started)
    names = dict.fromkeys(run.device.name for run in timed)
    by_model = [StoredDevice(name, [run for run in timed if run.device.name == name]) for name in names]
    if not any(device.enough for device in by_model):
        counts = "; ".join(map(str, by_model)) or f"{len(runs)} runs without times"
        raise TooFewRuns(
            f"An audit of stored runs takes {FEWEST_RUNS} runs and {FEWEST_ROUNDS} rounds on {FEWEST_DAYS} days, of "
            f"one GPU model and the same code. Found: {counts}. Run more: ptxbench run --backend gpu --rounds 10."
        )
    return by_model


def audit_runs(device: StoredDevice, config: GateConfig, report: Reporter = lambda *_: None) -> list[TallyLine]:
    """Every condition, over every two runs. Raises TooFewRuns if no two have the same code."""
    pairs = list(combinations(range(len(device.runs)), 2))
    tallies = {key: AuditTally(key.mode, rule_for(config, key.mode)) for key in CONDITIONS}
    apart = {key: AlarmRate(0, 0) for key in CONDITIONS}
    kernels = dict.fromkeys(CONDITIONS, 0)
    for number, (i, j) in enumerate(pairs):
        report(number, len(pairs), device.name)
        base, head = device.runs[i], device.runs[j]
        rows = {mode: unchanged(base, head, mode) for mode in MOST_ALARMS}
        for condition, tally in tallies.items():
            if not (unmoved := rows[condition.mode]):
                continue
            changed = number % len(unmoved)  # each kernel in turn
            suite = with_code_changes(unmoved, condition.moves(len(unmoved), changed))
            alarm = tally.add(suite, changed, untrusted_reason(base, head))
            tally.add(swapped(suite), changed, untrusted_reason(base, head))
            kernels[condition] = max(kernels[condition], len(unmoved))
            if i % 2 == 0 and j == i + 1:
                apart[condition] = AlarmRate(apart[condition].events + alarm, apart[condition].trials + 1)
    lines = [
        line(
            tally,
            device.name,
            min(map(rounds_in, device.runs)),
            kernels[condition],
            condition.controls,
            apart[condition],
        )
        for condition, tally in tallies.items()
        if tally.suites
    ]
    if not lines:
        raise TooFewRuns(f"{device.name}: no two of its {len(device.runs)} runs measured the same code.")
    return [
        dataclasses.replace(
            tally_line, targets=[RateTarget("false alarms", MOST_ALARMS[tally_line.mode], tally_line.alarms)]
        )
        for tally_line in lines
    ]


def unchanged(base: RunDocument, head: RunDocument, mode: Mode) -> Suite:
    """The rows of both runs that can be compared and whose code is the same."""
    differences = run_differences(base, head)
    unjudged = [draft for match in match_cells(base, head) for draft in unjudged_rows(match, mode, differences)]
    return [(row, evidence) for row, evidence in unjudged if evidence and row.moves.nothing]


def with_code_changes(suite: Suite, moves: Sequence[Moves]) -> Suite:
    """The suite with these code changes instead of its own."""
    return [
        (dataclasses.replace(row, moves=row_moves), logs) for (row, logs), row_moves in zip(suite, moves, strict=True)
    ]


def swapped(suite: Suite) -> Suite:
    """The suite with base and head exchanged."""
    return [
        (
            row,
            dataclasses.replace(
                logs, base=logs.head, head=logs.base, base_cycles=logs.head_cycles, head_cycles=logs.base_cycles
            ),
        )
        for row, logs in suite
    ]
