"""Two runs to rows with verdicts, end to end: seeded runs, and each row has the planted cause."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from ptxbench.errors import UsageError
from ptxbench.result import BIASED, ORACLE_WEAK, UNJUDGED, LaunchReport, from_json, to_json
from ptxbench.run_info import TimedOn
from ptxbench.verdict import Rule, compare, default_mode
from ptxbench.verdict.code_changes import Moves
from ptxbench.verdict.comparable import CELL_CONDITIONS, RUN_CONDITIONS
from ptxbench.verdict.comparison import reference_moved
from ptxbench.verdict.rows import COUNTERS, Row
from ptxbench.wording.judgement import deserves_attention, reason, remarks
from tests.runs import Kernel, Noise, Sampling, cell, run_of, timed_run

APART = "NOT-COMPARABLE"

CALM = Sampling(noise=Noise(process=0.001))
COUNTS = {"ptx_warp_instructions": 15360, "ptx_global_load_sectors": 16384, "ptx_global_store_sectors": 8192}


def verdicts(comparison):
    """For each row, by pair and variant; for counters by metric."""
    of_metric = comparison.mode == "counters"
    return {(row.pair, row.metric if of_metric else row.variant): row.verdict for row in comparison.rows}


def timed(seed, id, **kernels):
    """A run of cells named like the arguments, each (cuda, ptx)."""
    cells = {(pair, 65536): {"cuda": cuda, "ptx": ptx} for pair, (cuda, ptx) in kernels.items()}
    return timed_run(seed, cells, CALM, id=id)


# name, base (cuda, ptx), head (cuda, ptx), verdict of the ratio, the side that moved
RATIOS = [
    ("equal_times", (Kernel(50), Kernel(45)), (Kernel(50), Kernel(45, "B")), "NO-REGRESSION", "ptx: source"),
    ("slower_ptx", (Kernel(50), Kernel(45)), (Kernel(50), Kernel(50, "B")), "REGRESSED", "ptx: source"),
    ("faster_ptx", (Kernel(50), Kernel(45)), (Kernel(50), Kernel(40, "B")), "IMPROVED", "ptx: source"),
    ("slower_clock", (Kernel(50), Kernel(45)), (Kernel(60), Kernel(54, "B")), "NO-REGRESSION", "ptx: source"),
    ("other_tools", (Kernel(50), Kernel(45)),
     (Kernel(50, "B", "A"), Kernel(50, "B", "A")), "REGRESSED", "both: toolchain"),
    ("better_compiler", (Kernel(50), Kernel(45)), (Kernel(40, "B", "A"), Kernel(45)), "REFERENCE-CHANGED",
     "cuda: toolchain"),
    ("worse_compiler", (Kernel(50), Kernel(45)), (Kernel(60, "B", "A"), Kernel(45)), "IMPROVED", "cuda: toolchain"),
    ("both_sources", (Kernel(50), Kernel(45)), (Kernel(50, "B"), Kernel(45, "B")), "NO-REGRESSION", "both: source"),
    ("untouched", (Kernel(50), Kernel(45)), (Kernel(50), Kernel(45)), "SAME-CODE", ""),
    ("untouched_but_slow", (Kernel(50), Kernel(45)), (Kernel(50), Kernel(50)), "SAME-CODE", ""),
    ("comment_changed", (Kernel(50), Kernel(45)), (Kernel(50), Kernel(45, "A", "B")), "SAME-CODE", ""),
    ("tiny", (Kernel(3), Kernel(3)), (Kernel(3), Kernel(3.3, "B")), "NO-REGRESSION", "ptx: source"),
    ("breaks", (Kernel(50), Kernel(45)), (Kernel(50), Kernel(45, "B", status="wrong", reason="a[2] is 1.")),
     "BROKEN", ""),
    ("reference_breaks", (Kernel(50), Kernel(45)), (Kernel(50, status="broken"), Kernel(45)), "BROKEN", ""),
    ("mended", (Kernel(50), Kernel(45, "B", status="wrong")), (Kernel(50), Kernel(45)), "FIXED", ""),
    ("still_broken", (Kernel(50), Kernel(45, status="broken")), (Kernel(50), Kernel(45, status="wrong")),
     "BROKEN-BOTH", ""),
    ("skipped_now", (Kernel(50), Kernel(45)), (Kernel(50, status="skipped"), Kernel(45)), "MISSING", ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def ratios():
    base = timed(1, "ba5e", **{name: before for name, before, *_ in RATIOS})
    head = timed(2, "4ead", **{name: after for name, _, after, *_ in RATIOS})
    return compare(base, head)


@pytest.mark.parametrize(("name", "verdict", "moved"), [(row[0], *row[3:]) for row in RATIOS])
def test_each_ratio_gets_its_verdict_and_its_cause(ratios, name, verdict, moved):
    [row] = [row for row in ratios.rows if row.pair == name]
    assert (row.metric, row.verdict, str(row.moves)) == ("ratio", verdict, moved)


def test_rows_that_need_attention_come_first(ratios):
    assert [row.verdict for row in ratios.rows][:3] == ["BROKEN", "BROKEN", "REGRESSED"]
    assert ratios.counts["SAME-CODE"] == 3
    assert next(row.detail for row in ratios.rows if row.pair == "breaks") == "ptx is wrong: a[2] is 1."


def test_a_change_has_both_values_its_interval_and_its_rounds(ratios):
    [row] = [row for row in ratios.rows if row.pair == "slower_ptx"]
    assert row.base == pytest.approx(0.9, rel=0.01)
    assert row.head == pytest.approx(1.0, rel=0.01)
    assert row.change.low < 50 / 45 < row.change.high
    assert row.change.value == pytest.approx(row.head / row.base)
    assert len(row.base_rounds) == len(row.head_rounds) == 5


def test_the_same_two_runs_give_the_same_verdicts_in_any_order_of_their_cells():
    base, head = timed(1, "ba5e", a=RATIOS[1][1], b=RATIOS[0][1]), timed(2, "4ead", a=RATIOS[1][2], b=RATIOS[0][2])
    turned = replace(head, cells=head.cells[::-1])
    assert compare(base, head).rows == compare(base, turned).rows


def test_a_run_against_itself_is_the_same_code_throughout():
    run = timed(1, "ba5e", a=RATIOS[0][1], b=RATIOS[1][1])
    assert compare(run, run).counts == {"SAME-CODE": 2}


def test_a_pair_or_a_variant_in_only_one_run_is_new_or_missing():
    base = timed_run(1, {("a", 64): {"cuda": Kernel(50), "ptx": Kernel(45), "ptx.v4": Kernel(40)}})
    two = {"cuda": Kernel(50), "ptx": Kernel(45)}
    head = timed_run(2, {("a", 64): two, ("b", 64): two})
    assert verdicts(compare(base, head)) == {("a", "ptx"): "SAME-CODE", ("a", "ptx.v4"): "MISSING", ("b", "ptx"): "NEW"}


def test_another_size_is_another_row():
    base, head = (
        timed_run(seed, {("a", n): {"cuda": Kernel(50), "ptx": Kernel(45)}}) for seed, n in ((1, 64), (2, 65))
    )
    assert sorted(row.verdict for row in compare(base, head).rows) == ["MISSING", "NEW"]


def clocked(run, *, alone=(1755.0, 1755.0), block=1755.0):
    """The run, its kernels at these clocks alone, (cuda, ptx), and its blocks at that; None for an unknown one."""
    solo = dict(zip("AB", alone, strict=True)) if None not in alone else {}

    def at_clock(timed_round):
        return replace(timed_round, solo_mhz=solo, clock_mhz=[block] * len(timed_round.ns) if block else [])

    return replace(run, cells=[replace(one, rounds=[*map(at_clock, one.rounds)]) for one in run.cells])


# metric, times of head, MHz alone of head (cuda, ptx), MHz of head's blocks, verdict; base is 50, 45 us at 1755 MHz
CLOCKED = [
    ("ratio", (50, 50), (1755.0, 1755.0), 1755.0, "REGRESSED"),
    ("ratio", (50, 50), (1755.0, 1580.0), 1755.0, "INCONCLUSIVE"),        # the same cycles, at a lower clock
    ("ratio", (50, 45), (1755.0, 1950.0), 1755.0, "INCONCLUSIVE"),        # the same time, by more cycles
    ("ratio", (50, 40), (1755.0, 1755.0), 900.0,  "IMPROVED"),      # a change of the common clock does not matter
    ("ratio", (50, 50), (None, None),     1755.0, "REGRESSED"),     # by time alone
    ("time",  (50, 60), (1755.0, 1755.0), 1755.0, "REGRESSED"),
    ("time",  (65, 60), (1755.0, 1755.0), 1350.0, "INCONCLUSIVE"),        # the whole run was slow
    ("time",  (50, 45), (1755.0, 1755.0), 1400.0, "INCONCLUSIVE"),
    ("time",  (65, 60), (1755.0, 1755.0), None,   "REGRESSED"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "us", "alone", "block", "verdict"), CLOCKED)
def test_a_change_of_time_must_be_one_of_clock_cycles_too(metric, us, alone, block, verdict):
    base = clocked(timed(1, "0000aaaa", triad=(Kernel(50), Kernel(45))))
    head = clocked(timed(2, "0000bbbb", triad=(Kernel(us[0], "B"), Kernel(us[1], "B"))), alone=alone, block=block)
    (row,) = [row for row in compare(base, head, metric).rows if row.variant == "ptx"]
    assert (row.verdict, row.reason) == (verdict, "CLOCK-DEPENDENT" if verdict == "INCONCLUSIVE" else None)
    mhz = block if metric == "time" else alone[0]
    assert (row.change_in_cycles is None) == (mhz is None)
    if verdict == "INCONCLUSIVE":
        assert re.fullmatch(r": times and clock cycles disagree; lock the clock by nvidia-smi -lgc MHZ for both runs\. "
                            r"It is [+-]\d+\.\d % in time and [+-]\d+\.\d % in cycles\.", reason(row))  # fmt: skip


@pytest.mark.parametrize("us", [45, 40.5])  # the same time by more cycles; the same cycles in less time
def test_cycles_of_the_base_are_those_of_its_own_clocks(us):
    base = clocked(timed(1, "0000aaaa", triad=(Kernel(50), Kernel(45))), alone=(1755.0, 1580.0))
    head = clocked(timed(2, "0000bbbb", triad=(Kernel(50, "B"), Kernel(us, "B"))))
    (row,) = [row for row in compare(base, head, "ratio").rows if row.variant == "ptx"]
    assert (row.verdict, row.reason) == ("INCONCLUSIVE", "CLOCK-DEPENDENT")
    assert row.change_in_cycles.value == pytest.approx(us / 45 * 1755 / 1580, rel=0.01)


def test_a_run_from_before_there_were_clocks_of_each_kernel_is_read():
    text = to_json(timed(1, "0000aaaa", triad=(Kernel(50), Kernel(45))))
    document = json.loads(text)
    for round_document in document["cells"][0]["rounds"]:
        del round_document["solo_mhz"]
    assert from_json(json.dumps(document), "old.json").cells[0].rounds[0].solo_mhz == {}


def test_fewer_than_five_rounds_give_no_verdict():
    few = Sampling(rounds=4)
    base, head = (
        timed_run(seed, {("a", 64): {"cuda": Kernel(50), "ptx": Kernel(us, code)}}, few)
        for seed, us, code in ((1, 45, "A"), (2, 90, "B"))
    )
    [row] = compare(base, head).rows
    assert (row.verdict, row.reason, row.rounds_needed) == ("INCONCLUSIVE", "few_rounds", 5)
    assert row.change is not None
    [row] = compare(base, timed_run(2, {("a", 64): {"cuda": Kernel(50), "ptx": Kernel(90, "B")}}, Sampling(1))).rows
    assert (row.verdict, row.reason, row.change) == ("INCONCLUSIVE", "few_rounds", None)


def test_noise_between_processes_gives_inconclusive_and_more_rounds_decide_it():
    def comparison(rounds):
        noisy = Sampling(rounds=rounds, noise=Noise(process=0.02))
        base, head = (
            timed_run(seed, {("a", 64): {"cuda": Kernel(50), "ptx": Kernel(50, code)}}, noisy)
            for seed, code in ((1, "A"), (2, "B"))
        )
        return compare(base, head).rows[0]

    row = comparison(5)
    assert (row.verdict, row.reason) == ("INCONCLUSIVE", "wide_interval")
    assert 5 < row.rounds_needed <= 60
    assert comparison(row.rounds_needed).verdict == "NO-REGRESSION"


def test_rows_of_unchanged_code_do_not_change_the_level_of_others():
    changed, still = RATIOS[1][1:3], {f"k{i}": RATIOS[0][1] for i in range(9)}
    alone = compare(timed(1, "ba5e", a=changed[0]), timed(2, "4ead", a=changed[1])).rows[0]
    beside = compare(timed(1, "ba5e", a=changed[0], **still), timed(2, "4ead", a=changed[1], **still))
    assert beside.rows[0].p == alone.p < 0.05
    assert {row.p for row in beside.rows if row.verdict == "SAME-CODE"} == {None}


@pytest.mark.parametrize("label", sorted(UNJUDGED))
def test_a_label_that_forbids_a_verdict_forbids_it_in_a_comparison_too(label):
    base = timed(1, "ba5e", a=RATIOS[1][1], b=RATIOS[1][1])
    head = timed(2, "4ead", a=RATIOS[1][2], b=RATIOS[1][2])
    labelled = replace(head, cells=[replace(head.cells[0], labels=[label]), head.cells[1]])
    other = "INCONCLUSIVE" if label == BIASED else "REGRESSED"  # which is reported for the whole run
    assert verdicts(compare(base, labelled)) == {("a", "ptx"): "INCONCLUSIVE", ("b", "ptx"): other}


def test_a_kernel_with_a_weak_oracle_shows_no_times():
    base, head = timed(1, "ba5e", a=RATIOS[1][1]), timed(2, "4ead", a=RATIOS[1][2])
    [row] = compare(base, replace(head, cells=[replace(head.cells[0], labels=[ORACLE_WEAK])])).rows
    assert (row.verdict, row.reason, row.base, row.head, row.change) == (
        "INCONCLUSIVE",
        "ORACLE-WEAK",
        None,
        None,
        None,
    )


def test_the_control_is_not_a_row():
    base, head = timed(1, "ba5e", a=RATIOS[0][1]), timed(2, "4ead", a=RATIOS[0][2])
    control = replace(base.cells[0], pair="A/A control", control=True)
    assert len(compare(replace(base, cells=[*base.cells, control]), head).rows) == 1


def with_control(run, off):
    """With a control, one kernel measured against itself; its second time is off by that share."""
    rng = np.random.default_rng(9)
    kernels = {"cuda": Kernel(50), "ptx": Kernel(50 * (1 + off))}
    return replace(run, cells=[*run.cells, cell(rng, "A/A control", {"n": 64}, kernels, control=True)])


# by how much the control is off, verdict and reason of a kernel that is 12 % slower
CANARIES = [
    (0.000, "REGRESSED", None),
    (0.017, "REGRESSED", None),
    (0.024, "INCONCLUSIVE", "control_off"),
    (-0.024, "INCONCLUSIVE", "control_off"),
]  # fmt: skip


@pytest.mark.parametrize(("off", "verdict", "reason"), CANARIES)
@pytest.mark.parametrize("side", ["base", "head"])
def test_no_difference_counts_in_a_run_with_a_bad_control(off, verdict, reason, side):
    base, head = timed(1, "ba5e", a=RATIOS[1][1]), timed(2, "4ead", a=RATIOS[1][2])
    base, head = (with_control(base, off), head) if side == "base" else (base, with_control(head, off))
    [row] = compare(base, head).rows
    assert (row.verdict, row.reason) == (verdict, reason)


def test_equal_code_raises_no_alarm_and_slowed_code_is_found():
    """24 kernels, other code on one side, equal times; then one of them slower by 12 %."""
    names = [f"k{i:02}" for i in range(24)]
    for seed in range(4):
        before = {name: (Kernel(50), Kernel(45)) for name in names}
        after = {name: (Kernel(50), Kernel(45, "B")) for name in names} | {"k07": (Kernel(50), Kernel(50.4, "B"))}
        comparison = compare(timed(2 * seed, "ba5e", **before), timed(2 * seed + 1, "4ead", **after))
        assert [row.pair for row in comparison.rows if row.verdict == "REGRESSED"] == ["k07"]


# ---- times


def test_times_are_rows_of_every_variant_and_controls_show_the_shift_of_the_run():
    still = {f"k{i}": (Kernel(50), Kernel(45)) for i in range(6)}
    slow = {f"k{i}": (Kernel(54), Kernel(48.6)) for i in range(6)}  # the whole run is 8 % slower
    base = timed(1, "ba5e", **still, changed=(Kernel(50), Kernel(45)), worse=(Kernel(50), Kernel(45)))
    head = timed(2, "4ead", **slow, changed=(Kernel(54), Kernel(48.6, "B")), worse=(Kernel(54), Kernel(60, "B")))
    comparison = compare(base, head, "time")
    assert comparison.controls.count == 14
    assert comparison.controls.shift == pytest.approx(np.log(1.08), abs=0.003)
    assert comparison.controls.spread < 0.01
    by = verdicts(comparison)
    assert by["changed", "ptx"] == "NO-REGRESSION"
    assert by["worse", "ptx"] == "REGRESSED"
    assert by["worse", "cuda"] == by["k0", "ptx"] == "SAME-CODE"
    changes = {(row.pair, row.variant): row.change.value for row in comparison.rows}
    assert changes["k0", "ptx"] == pytest.approx(1.08, abs=0.01)  # as measured
    assert changes["changed", "ptx"] == pytest.approx(1, abs=0.01)  # without the shift of the run
    assert comparison.geometric_mean == pytest.approx(np.prod(list(changes.values())) ** (1 / len(changes)))


def test_if_unchanged_code_moves_by_more_than_the_budget_there_is_no_verdict():
    still = {f"k{i}": (Kernel(50), Kernel(45)) for i in range(6)}
    moved = {f"k{i}": (Kernel(50 + 4 * i), Kernel(45 - 4 * i)) for i in range(6)}
    base, head = timed(1, "ba5e", **still, worse=(Kernel(50), Kernel(45))), timed(2, "4ead", **moved, worse=(Kernel(50),
                       Kernel(90, "B")))  # fmt: skip
    rows = {(row.pair, row.variant): row for row in compare(base, head, "time").rows}
    assert (rows["worse", "ptx"].verdict, rows["worse", "ptx"].reason) == ("INCONCLUSIVE", "controls_spread")
    assert rows["k5", "ptx"].verdict == "SAME-CODE"


def test_without_controls_a_slower_run_is_slower():
    base, head = timed(1, "ba5e", a=(Kernel(50), Kernel(45))), timed(2, "4ead", a=(Kernel(54), Kernel(50, "B")))
    comparison = compare(base, head, "time")
    assert (comparison.controls, verdicts(comparison)["a", "ptx"]) == (None, "REGRESSED")


# ---- counters


def counted(code="A", registers=22, **counts):
    rng = np.random.default_rng(0)
    kernels = {"cuda": Kernel(counts=COUNTS), "ptx": Kernel(counts={**COUNTS, **counts}, code=code,
                                                            registers=registers)}  # fmt: skip
    return run_of([cell(rng, "triad", {"n": 65536}, kernels)])


def test_a_count_that_rose_by_one_is_a_regression_and_one_that_fell_an_improvement():
    head = counted("B", ptx_warp_instructions=15361, ptx_global_load_sectors=16383, registers=30)
    comparison = compare(counted(), head)
    assert comparison.mode == "counters"
    changed = {
        row.metric: row.verdict
        for row in comparison.rows
        if row.variant == "ptx" and row.verdict not in ("NO-REGRESSION",)
    }
    assert changed == {
        "ptx_warp_instructions": "REGRESSED",
        "registers": "REGRESSED",
        "ptx_global_load_sectors": "IMPROVED",
        "ptx_global_sectors": "IMPROVED",
    }
    assert {row.verdict for row in comparison.rows if row.variant == "cuda"} == {"SAME-CODE"}


def test_derived_metrics_are_not_judged_twice():
    names = {metric.name for metric in COUNTERS}
    assert {"registers", "sass", "occupancy", "ptx_warp_instructions", "ptx_barriers"} <= names
    assert not names & {
        "time",
        "ratio",
        "bandwidth",
        "max_error",
        "ptx_instructions_ratio",
        "ptx_global_sectors_per_request",
    }
    classes = {name for name in names if name.startswith("ptx_warp_instructions_")}
    assert classes == {f"ptx_warp_instructions_{name}" for name in ("f64", "special", "warp")}  # which cost more


def test_a_kernel_that_fails_has_one_row_among_the_counters():
    head = counted("B")
    broken = replace(head.cells[0].variants["ptx"], status="broken", reason="it reads outside x.", counts=None)
    head = replace(head, cells=[replace(head.cells[0], variants={**head.cells[0].variants, "ptx": broken})])
    [row] = [row for row in compare(counted(), head).rows if row.variant == "ptx"]
    assert (row.metric, row.verdict, row.detail) == ("verified", "BROKEN", "ptx is broken: it reads outside x.")


def test_a_count_in_only_one_run_is_reported():
    head = counted("B", ptx_barriers=3)
    [row] = [row for row in compare(counted(), head).rows if row.metric == "ptx_barriers"]
    assert (row.variant, row.verdict, row.base, row.head) == ("ptx", "NEW", None, 3)


# ---- what is comparable

GPU_RUN = timed(1, "ba5e", a=RATIOS[0][1])
GPU_HEAD = timed(2, "4ead", a=RATIOS[0][2])
COUNTED_RUN, COUNTED_HEAD = counted(), counted("B")


def changed(run, part, **values):
    before = getattr(run, part)
    return replace(run, **{part: {**before, **values} if isinstance(before, dict) else replace(before, **values)})


def with_cell(run, **values):
    return replace(run, cells=[replace(run.cells[0], **values)])


# the change of head, its name, its effect on: ratio, time, tools' counts, emulator's counts (cuda, ptx)
LIKE = [
    (lambda run: run, "", "", "", "", "", ""),
    (lambda run: changed(run, "device", uuid_hash="ffff"), "GPU", "", "note", "", "", ""),
    (lambda run: changed(run, "device", uuid_hash=None), "GPU", "", "", "", "", ""),
    (lambda run: changed(run, "run", timed_on=TimedOn(2, 1)), "number of GPUs", "", APART, "", "", ""),
    (lambda run: changed(run, "run", timed_on=TimedOn(1, 1)), "number of GPUs", "", "", "", "", ""),
    (lambda run: changed(run, "device", name="NVIDIA H200"), "GPU model", "advisory", APART, "", "", ""),
    (lambda run: changed(run, "device", mig="1g.10gb"), "MIG profile", APART, APART, APART, "", ""),
    (lambda run: changed(run, "settings", clock_policy="locked:1590"), "clock policy", "note", APART, "", "", ""),
    (lambda run: changed(run, "device", power_limit_w=500), "power limit", "note", APART, "", "", ""),
    (lambda run: changed(run, "calibration", flush_k=3), "flush of L2", "note", APART, "", "", ""),
    (lambda run: changed(run, "device", ecc=False), "ECC", "note", APART, "", "", ""),
    (lambda run: changed(run, "device", driver="590.1"), "driver", "note", "note", "", "", ""),
    (lambda run: changed(run, "toolchain", ptxas="13.3"), "ptxas", "toolchain", "toolchain", APART, "", ""),
    (lambda run: changed(run, "toolchain", nvrtc="13.3"), "NVRTC", "toolchain", "toolchain", "", APART, ""),
    (lambda run: changed(run, "toolchain", emulator="0.2"), "emulator", "", "", "", "note", "note"),
    (lambda run: changed(run, "run", assembler="driver"), "assembler", APART, APART, APART, "", ""),
    (lambda run: changed(run, "tool", protocol=2), "protocol", APART, APART, APART, "", ""),
    (lambda run: changed(run, "run", seed=2), "seed", APART, APART, APART, APART, APART),
    (lambda run: with_cell(run, arch="sm_80"), "sm", APART, APART, APART, "", ""),
    (lambda run: with_cell(run, cache="warm"), "cache mode", APART, APART, APART, "", ""),
    (lambda run: with_cell(run, launch=LaunchReport((64, 1, 1), (128, 1, 1))), "block",
     APART, APART, "note", "note", "note"),
    (lambda run: with_cell(run, work={"flops": 1, "bytes": 2}), "work", *[APART] * 5),
    (lambda run: changed(run, "run", backend="other"), "backend", APART, APART, "", APART, APART),
]  # fmt: skip


def effect(row, name):
    if row.verdict == APART:
        assert name in row.detail
        return APART
    return next((note.split("(")[1].rstrip(")") for note in row.notes if note.startswith(name)), "")


@pytest.mark.parametrize("case", LIKE, ids=[case[1] or "nothing" for case in LIKE])
def test_a_difference_affects_each_row_as_the_table_says(case):
    change, name, ratio, time, tools, emulated_cuda, emulated_ptx = case

    def rows_of(base, head, mode):
        return {(row.variant, row.metric): row for row in compare(base, head, mode).rows}

    assert effect(rows_of(GPU_RUN, change(GPU_HEAD), "ratio")["ptx", "ratio"], name) == ratio
    assert effect(rows_of(GPU_RUN, change(GPU_HEAD), "time")["ptx", "time"], name) == time
    assert effect(rows_of(GPU_RUN, change(GPU_HEAD), "counters")["ptx", "registers"], name) == tools
    # other PTX on the CUDA side too: equal output of NVRTC is comparable at any version
    rows = rows_of(COUNTED_RUN, change(with_code(COUNTED_HEAD)), "counters")
    assert effect(rows["cuda", "ptx_warp_instructions"], name) == emulated_cuda
    assert effect(rows["ptx", "ptx_warp_instructions"], name) == emulated_ptx


def with_code(run):
    """The run with other PTX of the CUDA side."""
    cuda = run.cells[0].variants["cuda"]
    build = replace(cuda.build, ptx_sha256="other", sass_sha256="other")
    return with_cell(run, variants={**run.cells[0].variants, "cuda": replace(cuda, build=build)})


def test_every_condition_has_a_row_in_that_table():
    tested = {case[1] for case in LIKE} | {
        "grid",
        "dynamic shared",
        "cluster",
        "cooperative",
        "launches",
        "dependent",
    }  # the launch, as block is
    assert {condition.name for condition in (*RUN_CONDITIONS, *CELL_CONDITIONS)} <= tested


def test_another_nvrtc_that_makes_the_same_ptx_changes_nothing():
    head = changed(COUNTED_HEAD, "toolchain", nvrtc="13.3")
    rows = [row for row in compare(COUNTED_RUN, head).rows if row.variant == "cuda"]
    assert {row.verdict for row in rows} == {"SAME-CODE"}


def with_python(run, compiler, sha):
    """The run with a row in Python that `compiler` made."""
    ptx = run.cells[0].variants["ptx"]
    row = replace(ptx, language="numba", build=replace(ptx.build, compiler=compiler, ptx_sha256=sha, sass_sha256=sha))
    return with_cell(run, variants={**run.cells[0].variants, "numba": row})


@pytest.mark.parametrize(
    ("sha", "verdicts"),
    [("other", {"NOT-COMPARABLE"}), ("same", {"SAME-CODE"})],  # the same PTX is the same row, whoever made it
)
def test_counts_of_a_row_in_python_by_two_compilers_are_not_compared(sha, verdicts):
    base = with_python(COUNTED_RUN, "numba-cuda 0.30.4", "same")
    rows = compare(base, with_python(COUNTED_HEAD, "numba-cuda 0.31.0", sha)).rows
    assert {row.verdict for row in rows if row.variant == "numba"} == verdicts
    assert "NOT-COMPARABLE" not in {row.verdict for row in rows if row.variant != "numba"}


def test_another_ptxas_leaves_emulator_counts_comparable():
    ptx = COUNTED_RUN.cells[0].variants["ptx"]
    other = replace(ptx, build=replace(ptx.build, sass_sha256="other"))
    head = with_cell(COUNTED_RUN, variants={**COUNTED_RUN.cells[0].variants, "ptx": other})
    rows = {row.metric: row.verdict for row in compare(COUNTED_RUN, head).rows if row.variant == "ptx"}
    assert (rows["ptx_warp_instructions"], rows["registers"]) == ("SAME-CODE", "NO-REGRESSION")


def test_the_assembling_driver_must_be_the_same():
    base, head = (changed(run, "run", assembler="driver") for run in (GPU_RUN, GPU_HEAD))
    [row] = compare(base, changed(head, "device", driver="590.1")).rows
    assert (row.verdict, row.detail) == (APART, "driver 580.65 -> 590.1")


def test_another_tolerance_is_noted_where_times_are_compared():
    variant = GPU_HEAD.cells[0].variants["ptx"]
    looser = replace(variant, check=replace(variant.check, tolerance="9 ulp"))
    [row] = compare(GPU_RUN, with_cell(GPU_HEAD, variants={**GPU_HEAD.cells[0].variants, "ptx": looser})).rows
    assert row.verdict != APART
    assert row.notes == ["tolerance (note)"]


def with_ptx(run, **values):
    """The run with another hand-written variant."""
    changed = replace(run.cells[0].variants["ptx"], **values)
    return with_cell(run, variants={**run.cells[0].variants, "ptx": changed})


def test_counts_do_not_depend_on_the_words_of_the_tolerance():
    ptx = COUNTED_RUN.cells[0].variants["ptx"]
    other = replace(ptx.build, ptx_sha256="other", sass_sha256="other")
    head = with_ptx(COUNTED_RUN, build=other, check=replace(ptx.check, tolerance="1 ulp, and 2 ulp of ex2.approx"))
    assert APART not in {row.verdict for row in compare(COUNTED_RUN, head).rows}


def test_other_ptx_with_the_same_machine_code_and_launch_is_the_same_code():
    ptx = COUNTED_RUN.cells[0].variants["ptx"]
    counts = {**ptx.counts, "ptx_warp_instructions": 2 * ptx.counts["ptx_warp_instructions"]}
    head = with_ptx(COUNTED_RUN, build=replace(ptx.build, ptx_sha256="other"), counts=counts)

    def verdict(head):
        rows = compare(COUNTED_RUN, head).rows
        return next(row.verdict for row in rows if (row.variant, row.metric) == ("ptx", "ptx_warp_instructions"))

    assert verdict(head) == "SAME-CODE"
    assert verdict(with_cell(head, launch=LaunchReport((64, 1, 1), (128, 1, 1)))) == "REGRESSED"


def test_a_count_that_contradicts_the_same_code_is_shown():
    counts = {**COUNTED_RUN.cells[0].variants["ptx"].counts, "ptx_warp_instructions": 12345}
    comparison = compare(COUNTED_RUN, with_ptx(COUNTED_RUN, counts=counts))
    [row] = [row for row in comparison.rows if row.reason]
    assert (row.verdict, row.reason, row.metric, row.head) == (
        "SAME-CODE", "other_counts", "ptx_warp_instructions", 12345,
    )  # fmt: skip
    [(_, words)] = remarks(comparison)
    assert "the code is the same, but other counts are saved" in words
    assert deserves_attention(row, comparison)


def test_only_values_that_both_runs_have_are_compared():
    assert default_mode(GPU_RUN, GPU_HEAD) == "ratio"
    assert default_mode(GPU_RUN, COUNTED_RUN) == "counters"
    with pytest.raises(UsageError, match=r"^Run 0a1b2c3d has no times\. Compare its counters: --metric counters\.$"):
        compare(COUNTED_RUN, COUNTED_RUN, "time")
    with pytest.raises(UsageError, match=r"^Runs 0a1b2c3d and 0a1b2c3d have nothing to compare"):
        compare(replace(COUNTED_RUN, cells=[]), replace(COUNTED_RUN, cells=[]))


def test_a_run_made_by_the_tests_is_a_run_document():
    text = to_json(GPU_RUN)
    assert to_json(from_json(text, "x")) == text


def test_the_timers_step_is_a_floor_too():
    base, head = timed(1, "ba5e", a=RATIOS[1][1]), timed(2, "4ead", a=RATIOS[1][2])  # 5 us slower
    assert compare(base, head).rows[0].verdict == "REGRESSED"
    row = compare(base, changed(head, "calibration", timer_step_ns=4000)).rows[0]
    assert (row.verdict, row.reason) == ("NO-REGRESSION", "under_floor")
    for one, other in ((changed(base, "calibration", timer_step_ns=1000), head),
                       (base, changed(head, "calibration", timer_step_ns=1000))):  # fmt: skip
        comparison = compare(one, other)
        assert comparison.rule.floor_seconds == pytest.approx(2e-6)
        assert comparison.rows[0].verdict == "REGRESSED"
    assert compare(base, head, rule=Rule(budget=0.2)).rows[0].verdict == "NO-REGRESSION"


@pytest.mark.parametrize(("ptx", "cuda", "moved"), [
    ("same", "toolchain", True), ("same", "source", True),
    ("same", None, False),  # an unknown build may be unchanged
    ("source", "toolchain", False), (None, "source", False),
])  # fmt: skip
def test_the_reference_changed_if_only_its_code_is_known_to_differ(ptx, cuda, moved):
    assert (
        reference_moved(Row("a", {}, "", "", "ptx", "ratio", "", moves=Moves((("ptx", ptx), ("cuda", cuda))))) is moved
    )
