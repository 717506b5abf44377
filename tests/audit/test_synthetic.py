"""The audit by seeded noise: every target is met, and a rule that breaks a target is detected."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ptxbench.audit.audit import Audit
from ptxbench.audit.noise import NOISY, draw_suite
from ptxbench.audit.synthetic import CONDITIONS, audit_synthetic, drafts
from ptxbench.audit.tally import SLOWDOWNS, AuditTally, slowdowns, slowed
from ptxbench.terminal.audit import AuditTable
from ptxbench.verdict import comparison
from ptxbench.verdict.config import GateConfig
from ptxbench.verdict.verdicts import Rule

SUITES = 40


@pytest.fixture(scope="module")
def lines():
    return audit_synthetic(GateConfig(), SUITES, seed=1)


def line_of(lines, mode, noise, rounds, *, controls=False):
    [matching] = [
        line for line in lines if (line.mode, line.noise, line.rounds, line.controls) == (mode, noise, rounds, controls)
    ]
    return matching


def test_every_target_is_met(lines):
    assert [line for line in lines if not line.holds] == []
    assert Audit(SUITES, 1, lines).exit_status == 0
    assert len(lines) == 3 * 3 * 2
    assert all(line.alarms.trials == SUITES for line in lines)
    assert line_of(lines, "ratio", "typical", 10).missed[0.10].events == 0


@pytest.mark.long
def test_the_promised_rates_hold_for_three_hundred_suites_and_match_the_page():
    """The one expensive test of the audit, some twenty seconds: the command's own defaults."""
    audit = Audit(300, 1, audit_synthetic(GateConfig(), 300, seed=1))
    assert audit.exit_status == 0
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(AuditTable(audit))
    page = (Path(__file__).parents[2] / "docs" / "gate-audit.md").read_text()
    printed = "\n".join(line.rstrip() for line in captured.get().splitlines()[:-2])  # the sum is of both parts
    assert f"```\n{printed}\n```" in page


def test_every_line_has_its_targets(lines):
    names = {
        (line.noise, line.rounds): [target.name for target in line.targets] for line in lines if line.mode == "time"
    }
    assert names["quiet", 10] == names["typical", 10] == ["false alarms", "missed at 30 %", "unsure"]
    of_ratio = line_of(lines, "ratio", "quiet", 10).targets
    assert [series.name for series in of_ratio] == ["false alarms", "missed at 10 %", "missed at 20 %", "unsure"]
    assert names["noisy", 10] == names["quiet", 5] == ["false alarms"]
    assert {target.most for line in lines for target in line.targets if target.name == "false alarms"} == {0.01, 0.02}


def test_a_slowdown_within_the_budget_is_missed_and_one_far_beyond_it_is_not(lines):
    missed = line_of(lines, "ratio", "quiet", 10).missed
    assert list(missed) == list(SLOWDOWNS)
    assert missed[0.02].share == 1.0
    assert 0.2 < missed[0.05].share < 0.8
    assert missed[0.20].share == 0.0
    assert list(line_of(lines, "time", "quiet", 10).missed) == [*SLOWDOWNS, 0.30]


def test_a_noisy_gpu_is_inconclusive_rather_than_wrong(lines):
    noisy = line_of(lines, "ratio", "noisy", 5)
    assert noisy.inconclusive.share > 0.1
    missed = noisy.missed[0.10].events
    assert missed > 0
    assert noisy.missed_inconclusive[0.10] == missed  # all of them are inconclusive


@pytest.mark.long
def test_times_without_controls_alarm_where_a_run_shifts_by_the_budget_and_controls_prevent_it():
    """A budget of 5 % on stored times of a noisy GPU raises an alarm in 4 to 10 % of suites."""
    audit_lines = audit_synthetic(GateConfig(time_budget=0.05), 60, seed=1)
    alone = line_of(audit_lines, "time", "noisy", 10)
    assert 0.02 < alone.alarms.share < 0.2
    assert alone.holds is False
    assert line_of(audit_lines, "time", "noisy", 10, controls=True).alarms.events == 0
    assert Audit(60, 1, audit_lines).exit_status == 3


# the removed part of the rule, its replacement, the condition, a budget that shows it
BROKEN = [
    ("adjust", lambda effects: [0.0 for _ in effects], CONDITIONS[0], 0.005),  # no Holm: one of 24 is one too many
    ("control", lambda changes: None, CONDITIONS[2], 0.02),                    # nothing subtracts the shift of a run
]  # fmt: skip


@pytest.mark.parametrize(("part", "instead", "condition", "budget"), BROKEN)
def test_a_rule_without_one_of_its_parts_alarms_more(part, instead, condition, budget, monkeypatch):
    rng = np.random.default_rng(2)
    suites = [drafts(condition, draw(rng, condition)) for _ in range(200)]

    def alarms(rule):
        return sum(
            "REGRESSED" in {row.verdict for row in comparison.judge_rows(suite, condition.mode, rule)[0]}
            for suite in suites
        )

    with_all_parts = alarms(Rule(budget=budget))
    monkeypatch.setattr(comparison, part, instead)
    assert alarms(Rule(budget=budget)) >= with_all_parts + 3


@pytest.mark.parametrize("in_cycles", [False, True])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_row_that_is_judged_alone_has_the_verdict_that_it_has_among_all(condition, in_cycles):
    rng = np.random.default_rng(5)
    suite = drafts(condition, draw(rng, condition))
    if in_cycles:
        suite = [(row, replace(logs, base_cycles=logs.base, head_cycles=logs.head[::-1])) for row, logs in suite]
    suite = slowed(suite, 0.2, 3)
    rows, controls = comparison.judge_rows(suite, condition.mode, Rule())
    chosen = comparison.judge_rows(suite, condition.mode, Rule(), chosen=[3, 0])
    assert chosen == ([rows[3], rows[0]], controls)
    assert len({row.verdict for row in rows}) > 1


def draw(rng, condition):
    suite = draw_suite(NOISY, rng, 24, 5)
    return suite.ratios if condition.mode == "ratio" else suite.times


def test_the_same_seed_gives_the_same_result(lines):
    few = audit_synthetic(GateConfig(), 2, seed=3)
    assert few == audit_synthetic(GateConfig(), 2, seed=3)
    assert few != audit_synthetic(GateConfig(), 2, seed=4)


def test_more_rounds_are_tried_where_the_config_asks_for_them():
    audit_lines = audit_synthetic(GateConfig(min_rounds=12), 1, seed=1)
    assert {line.rounds for line in audit_lines} == {12}
    assert all(line.inconclusive.share < 0.5 for line in audit_lines)


def test_progress_is_reported_from_the_first_suite_to_the_last():
    progress = []
    audit_synthetic(GateConfig(), 2, 1, lambda *words: progress.append(words))
    assert progress[0] == (0, 6, "quiet noise")
    assert progress[-1] == (5, 6, "noisy noise")


def test_one_kernel_is_slowed_and_no_other():
    suite = drafts(CONDITIONS[0], np.zeros((2, 3, 5)))
    rows = slowed(suite, 0.1, 1)
    assert [evidence.head[0] for _, evidence in rows] == [0, pytest.approx(np.log(1.1)), 0]
    assert all(evidence.base == [0.0] * 5 for _, evidence in rows)


def test_twice_the_budget_is_among_the_slowdowns_once():
    assert slowdowns(0.05) == SLOWDOWNS
    assert slowdowns(0.15) == (*SLOWDOWNS, 0.3)
    assert slowdowns(0.02) == (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.2)


def test_unsure_rows_of_controls_are_not_counted():
    tally = AuditTally("time", Rule())
    tally.add(drafts(CONDITIONS[2], np.zeros((2, 24, 5))))
    assert (tally.changed, tally.suites) == (1, 1)
