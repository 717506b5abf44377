"""The printed audit: whole tables, in words and widths; and the messages for failed targets."""

from dataclasses import replace

import pytest
from rich.console import Console

from ptxbench.audit.audit import Audit
from ptxbench.audit.outcome import AuditOutcome
from ptxbench.audit.rate import AlarmRate
from ptxbench.audit.stored import StoredDevice
from ptxbench.audit.tally import RateTarget, TallyLine
from ptxbench.terminal.audit import AuditTable, percent
from tests.runs import Kernel, timed_run

MISSED = {0.01: AlarmRate(300, 300), 0.05: AlarmRate(150, 300), 0.1: AlarmRate(1, 300)}
INCONCLUSIVE = {0.01: 0, 0.05: 90, 0.1: 1}
QUIET = TallyLine(
    "ratio",
    0.05,
    "quiet",
    10,
    24,
    False,
    AlarmRate(0, 300),
    AlarmRate(0, 300),
    AlarmRate(14, 7200),
    MISSED,
    INCONCLUSIVE,
)
QUIET = replace(QUIET, targets=[
    RateTarget("false alarms", 0.01, QUIET.alarms), RateTarget("missed at 10 %", 0.05, MISSED[0.1]),
    RateTarget("unsure", 0.1, QUIET.inconclusive),
])  # fmt: skip
NOISY = replace(
    QUIET, noise="noisy", alarms=AlarmRate(4, 300), apart=AlarmRate(4, 300), inconclusive=AlarmRate(2000, 7200)
)
NOISY = replace(NOISY, targets=[RateTarget("false alarms", 0.01, NOISY.alarms)])

CAUGHT = AuditOutcome("triad", "loads split", ["sectors"], ["sectors", "sass.width"], 3)
MISS = AuditOutcome("scan", "loads split", ["sectors", "sass.width"], ["sass.width"], 3)
SKIPPED = AuditOutcome("saxpy", "loads split", ["sectors"], skipped="ptxas merged the loads again.")
MORE = [replace(SKIPPED, variant=f"ptx.v{i}") for i in range(1, 6)]
PASSED = AuditOutcome("triad", "registers renamed", [])
ALARM = AuditOutcome("scan", "registers renamed", [], ["spills"], 3)


def lines(audit, width=100):
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(AuditTable(audit))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_rates_and_targets_are_printed_whole():
    assert lines(Audit(300, 1, [QUIET, NOISY]), 80) == [
        "Seeded suites: 300 of each noise, seed 1. The noise is simulated, not measured:",
        "this tests the rule, not a GPU.",
        "",
        "ratio: 24 kernels, all changed, budget 5 %",
        "                      at        miss",
        "noise rounds alarms most unsure  1 %  5 % 10 % targets",
        "──────────────────────────────────────────────────────",
        "quiet     10    0.0  1.0    0.2  100 50.0  0.3 met",
        "noisy     10    1.3  3.0   27.8  100 50.0  0.3 NOT MET",
        "",
        "alarms: suites in which a kernel of equal speed is REGRESSED. at most: the true",
        "share, with 95 % confidence. unsure: kernels of equal speed for which the data",
        "give no verdict. miss: suites in which the one kernel that was slowed by this",
        "much is not REGRESSED; below the budget that is by design, and at the budget it",
        "is half of them. All in per cent. *: only alarms have a target here; the other",
        "columns are for information.",
        "",
        "target   of     is              at most  worst  there",
        "────────────────────────────────────────────────────────────────",
        "NOT MET  ratio  false alarms        1 %  1.3 %  noisy, 10 rounds",
        "met      ratio  missed at 10 %      5 %  0.3 %  quiet, 10 rounds",
        "met      ratio  unsure             10 %  0.2 %  quiet, 10 rounds",
        "",
        "Audit: 3 of 4 targets met (exit status 3).",
    ]


def test_edits_are_printed_whole_and_each_unexpected_outcome_is_named():
    assert lines(Audit(300, 1, outcomes=[CAUGHT, MISS, SKIPPED, *MORE, PASSED, ALARM])) == [
        "counters: every kernel, edited once",
        "edit               kernels  outcome                   by these counters",
        "───────────────────────────────────────────────────────────────────────",
        "loads split              2  1 of 2 caught, 6 skipped  sectors",
        "registers renamed        2  1 of 2 let pass           -",
        "",
        "MISSED      scan ptx, loads split: the gate failed sass.width, and not sectors (exit status 3).",
        "FALSE ALARM scan ptx, registers renamed: the gate failed spills (exit status 3).",
        "skipped     loads split, saxpy ptx, saxpy ptx.v1, saxpy ptx.v2, saxpy ptx.v3 and 2 more: ptxas",
        "            merged the loads again.",
        "",
        "Audit: 2 of 4 edits judged correctly (exit status 3).",
    ]


def test_a_kernel_without_a_judged_edit_is_named_once():
    all_skipped = [replace(SKIPPED, edit=edit, skipped="it needs sm_90.") for edit in ("loads split", "labels renamed")]
    assert lines(Audit(300, 1, outcomes=[CAUGHT, *all_skipped]))[-4:] == [
        "",
        "skipped saxpy ptx, 2 edits: it needs sm_90.",
        "",
        "Audit: 1 of 1 edits judged correctly (exit status 0).",
    ]


# the result, exit status
STATUSES = [
    (Audit(1, 1, [QUIET]), 0),
    (Audit(1, 1, [QUIET, NOISY]), 3),
    (Audit(1, 1, [replace(NOISY, targets=())]), 0),                # shown as it is
    (Audit(1, 1, outcomes=[CAUGHT, PASSED, SKIPPED]), 0),
    (Audit(1, 1, outcomes=[CAUGHT, ALARM]), 3),
    (Audit(1, 1, outcomes=[MISS]), 3),
    (Audit(1, 1, outcomes=[replace(CAUGHT, exit_status=0)]), 3),          # reported, and not red
    (Audit(1, 1, outcomes=[replace(PASSED, exit_status=5)]), 3),
    (Audit(1, 1, outcomes=[SKIPPED]), 5),                          # nothing was judged
    (Audit(1, 1, [QUIET], outcomes=[]), 5),
    (Audit(1, 1, stored=[(StoredDevice("a", []), [NOISY])]), 3),
]  # fmt: skip


@pytest.mark.parametrize(("audit", "code"), STATUSES)
def test_the_exit_status_follows_from_targets_and_edits(audit, code):
    assert audit.exit_status == code
    assert lines(audit)[-1].endswith(f"(exit status {code}).")


def test_a_target_without_trials_is_not_met():
    assert not RateTarget("false alarms", 0.01, AlarmRate(0, 0)).holds


def test_the_number_of_independent_stored_runs_is_printed():
    runs = [timed_run(i, {("triad", 64): {"cuda": Kernel(50), "ptx": Kernel(45)}}) for i in range(6)]
    text = lines(Audit(300, 1, stored=[(StoredDevice("NVIDIA H100", runs), [replace(NOISY, noise="NVIDIA H100")])]))
    assert " ".join(text[:2]) == (
        "Stored runs of NVIDIA H100: 6 runs, 30 rounds, 1 day. 6 independent runs make 30 suites: every two of them, "
        "both ways. 3 of these share no run; the bound is computed from them."
    )
    assert not any("simulated" in line for line in text)


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_wider_than_the_terminal(width):
    wide = {step / 100: AlarmRate(1, 300) for step in (1, 2, 3, 5, 10, 20, 30)}
    line = replace(QUIET, noise="typical", missed=wide)
    printed = lines(Audit(300, 1, [line], outcomes=[CAUGHT, MISS]), width)
    assert max(map(len, printed)) <= width
    assert not any("…" in one for one in printed)


@pytest.mark.parametrize(("share", "text"), [(None, "-"), (0.0, "0.0"), (1.0, "100"), (0.9999, "100.0"), (1e-4, "0.0")])
def test_shares_in_per_cent(share, text):
    assert percent(share) == text
