"""The gate's rules, one by one: counters, machine code, precedence; and changes that must not affect a verdict."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from ptxbench.exit_status import ExitStatus
from ptxbench.result import BuildReport, ExecutedReport
from ptxbench.verdict.causes import instructions
from ptxbench.verdict.code_changes import Moves
from ptxbench.verdict.config import GateConfig, Waiver, parse
from ptxbench.verdict.confirmation import changes, pooled
from ptxbench.verdict.gate import JudgedRow, gate
from ptxbench.verdict.limits import row_rule
from ptxbench.verdict.rows import COUNTERS, Row
from ptxbench.verdict.rules import CALLS, LOCAL, READ_ONLY, RULES, WIDTH, left_read_only, narrowed
from ptxbench.verdict.verdicts import GATE_ORDER, VERDICTS
from ptxbench.wording.gating import steps
from ptxbench.wording.remedies import next_step
from tests.cli.test_gate import BASE, BEFORE, COUNTS, TIMED, after, counted, timed
from tests.runs import Kernel, Sampling, cell, timed_run

FIVE = Sampling(rounds=5)


def build(**sass):
    return BuildReport("s", "p", "m", sass={name.replace("_", "."): count for name, count in sass.items()})


# the machine code before, after, whether a vector width was lost
WIDTHS = [
    ({"LDG_128": 2}, {"LDG": 8}, True),
    ({"LDG_128": 2}, {"LDG_128": 1, "LDG": 4}, True),
    ({"LDG_128": 2}, {"LDG_64": 4}, True),
    ({"LDG_64": 2}, {"LDG_U16": 8}, True),
    ({"LDG_128": 2, "LDG": 4}, {"LDG_128": 1, "LDG": 4}, False),  # fewer loads, none narrower
    ({"LDG_128": 2}, {"LDG_128": 1}, False),  # unrolled less
    ({"LDG_128": 2}, {"LDG_128": 2, "LDG": 1}, False),  # one load more
    ({"LDG_128": 2}, {"LDS": 8}, False),  # another opcode
    ({"LDG": 8}, {"LDG_128": 2}, False),  # wider
    ({"LDG_64": 4}, {"LDG_128": 2}, False),  # wider still
    ({"LDG": 8}, {"LDG_U8": 32}, False),  # was no vector
    ({"STS_128": 1}, {"STS_64": 2}, True),
    ({"MUFU_64": 2}, {"MUFU": 4}, False),  # no access
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "lost"), WIDTHS)
def test_a_vector_width_is_lost_if_narrower_accesses_replace_it(before, after, lost):
    assert narrowed(build(**before), build(**after)) is lost


# opcodes before, after, whether loads left the read-only path
PATHS = [
    ({"LDG.E.128.CONSTANT": 2}, {"LDG.E.128": 2}, True),
    ({"LDG.E.CONSTANT": 2, "LDG.E": 1}, {"LDG.E.CONSTANT": 1, "LDG.E": 2}, True),
    ({"LDG.E.CONSTANT": 8}, {"LDG.E.CONSTANT": 4}, False),  # unrolled less
    ({"LDG.E": 2}, {"LDG.E": 4}, False),
    ({"LDG.E": 2}, {"LDG.E.CONSTANT": 2}, False),
    ({"LDC.CONSTANT": 2}, {"LDC": 2}, False),  # no global load
]


@pytest.mark.parametrize(("before", "after", "leaves"), PATHS)
def test_loads_leave_the_read_only_path_if_other_loads_replace_them(before, after, leaves):
    builds = [BuildReport("s", "p", "m", opcodes=counts) for counts in (before, after)]
    assert left_read_only(*builds) is leaves


def test_loads_that_leave_the_read_only_path_fail():
    def loading(code, opcode):
        run = with_sass(BASE, "ptx", code)
        return replace(run, cells=[replace(cell, variants={**cell.variants, "ptx": replace(
            cell.variants["ptx"], build=replace(cell.variants["ptx"].build, opcodes={opcode: 2})
        )}) for cell in run.cells])  # fmt: skip

    outcome = gate(loading("y", "LDG.E"), loading("x", "LDG.E.CONSTANT"), GateConfig())
    assert {judged.row.metric for judged in outcome.failing} == {READ_ONLY}
    assert outcome.exit_status == 3


def executing(code, executed):
    """The run in which the handwritten kernels executed these opcodes, as other machine code."""
    run = with_sass(BASE, "ptx", code)
    return replace(run, cells=[replace(cell, variants={
        **cell.variants, "ptx": replace(cell.variants["ptx"], opcodes=executed)
    }) for cell in run.cells])  # fmt: skip


# executed opcodes before and after, a metric that fails or warns, the exit status
EXECUTED = [
    ({"mul.f32": 64}, {"mul.f32": 64, "div.rn.f32": 1}, "ptx_divisions", ExitStatus.REGRESSION),
    ({"ld.acquire.gpu.global.u64": 8}, {"ld.acquire.sys.global.u64": 8}, "ptx_sys_accesses", ExitStatus.REGRESSION),
    ({"cp.async.wait_group 1": 8}, {"cp.async.wait_group 0": 8}, "ptx_full_waits", ExitStatus.REGRESSION),
    ({"nanosleep.u32 10": 8}, {"nanosleep.u32 20": 8}, "ptx_sleep_ns", ExitStatus.REGRESSION),
    ({"ld.global.nc.L2::128B.f32": 8}, {"ld.global.nc.f32": 8}, "opcodes", 0),
    ({"prefetch.global.L2": 8, "ret": 1}, {"ret": 1}, "opcodes", 0),
]


@pytest.mark.parametrize(("before", "after", "metric", "code"), EXECUTED, ids=[case[2] for case in EXECUTED])
def test_executed_opcodes_are_judged_by_their_cost(before, after, metric, code):
    outcome = gate(executing("y", after), executing("x", before), GateConfig())
    assert outcome.exit_status == code
    verdicts = {judged.row.metric: judged.row.verdict for judged in (outcome.failing if code else outcome.warning)}
    assert verdicts[metric] == ("REGRESSED" if code else "CHANGED")


MACHINE = [
    # least, most and likeliest of each side                  exit status
    ((1000, 1000, 1000),     (1000, 1000, 1000),              0),
    ((1000, 1000, 1000),     (1019, 1019, 1019),              0),  # within the budget
    ((1000, 1000, 1000),     (1021, 1021, 1021),              3),
    ((1000, 1000, 1000),     (900, 900, 900),                 0),
    ((1000, 1030, 1000),     (1021, 1021, 1021),              0),  # may be the same
    ((1000, 1000, 1000),     (1100, 1500, 1100),              0),  # a wide one says nothing
    ((1000, 1000, 1000),     (None, None, None),              0),
    ((None, None, None),     (1100, 1100, 1100),              0),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "code"), MACHINE)
def test_executed_machine_instructions_are_judged_if_both_sides_have_them(before, after, code):
    def derived(code, numbers):
        run = with_sass(BASE, "ptx", code)
        return replace(run, cells=[replace(cell, variants={
            **cell.variants, "ptx": replace(cell.variants["ptx"], executed=ExecutedReport(*numbers))
        }) for cell in run.cells])  # fmt: skip

    assert gate(derived("y", after), derived("x", before), GateConfig()).exit_status == code


def test_a_baseline_without_executed_opcodes_fails_nothing():
    outcome = gate(executing("y", {"div.rn.f32": 8}), with_sass(BASE, "ptx", "x"), GateConfig())
    assert outcome.exit_status == 0
    assert {row.row.verdict for row in outcome.rows if row.row.metric == "ptx_divisions"} == {"NEW"}


def with_sass(run, variant, code, **sass):
    """The run, its variants of one pair rebuilt to other machine code."""

    def of(cell):
        result = cell.variants[variant]
        other = replace(result.build, sass={"total": 40, **{k.replace("_", "."): n for k, n in sass.items()}},
                        sass_sha256=code, source_sha256=code, ptx_sha256=code)  # fmt: skip
        return replace(cell, variants={**cell.variants, variant: replace(result, build=other)})

    return replace(run, cells=[of(cell) for cell in run.cells])


CODE = [
    ({"LDG_128": 2}, {"LDG": 8}, WIDTH, "REGRESSED", ExitStatus.REGRESSION),
    ({"LDG": 8}, {"LDG_128": 2}, WIDTH, "NO-REGRESSION", 0),
    ({"LDG_128": 2}, {"LDG_128": 1}, WIDTH, "NO-REGRESSION", 0),  # fewer wide accesses are not better
    ({"LDG": 8}, {"LDG": 8, "STL": 1}, LOCAL, "REGRESSED", ExitStatus.REGRESSION),
    ({"LDL": 1, "STL_64": 1}, {"LDL": 2, "STL_64": 1}, LOCAL, "REGRESSED", ExitStatus.REGRESSION),
    ({"LDL": 1}, {"LDG": 1}, LOCAL, "IMPROVED", 0),
]


@pytest.mark.parametrize(("before", "after", "metric", "verdict", "code"), CODE)
def test_local_memory_and_widths_are_read_from_the_machine_code(before, after, metric, verdict, code):
    outcome = gate(with_sass(BASE, "ptx", "y", **after), with_sass(BASE, "ptx", "x", **before), GateConfig())
    verdicts = {row.row.verdict for row in outcome.rows if (row.row.metric, row.row.variant) == (metric, "ptx")}
    assert (verdicts, outcome.exit_status) == ({verdict}, code)
    if code:
        text = [row.explanation for row in outcome.rows if row.row.metric == metric and row.exit_status]
        name = next(iter(after)) if metric == WIDTH else "LDL" if "LDL" in before else "STL"
        assert any(line.startswith(f"{name} ") for line in text[0])


def test_vector_accesses_are_counted_from_eight_bytes_on():
    base, head = (with_sass(BASE, "ptx", code, LDG=4, LDG_64=2, STG_128=3, LDG_U8=1) for code in "xy")
    rows = [row.row for row in gate(head, base, GateConfig()).rows if row.row.metric == WIDTH]
    assert {(row.variant, row.base, row.head) for row in rows} == {("cuda", 0, 0), ("ptx", 5, 5)}


def test_machine_code_that_was_not_disassembled_has_no_such_rows():
    plain = replace(BASE, cells=[replace(cell, variants={
        name: replace(result, build=replace(result.build, sass={})) for name, result in cell.variants.items()
    }) for cell in BASE.cells])  # fmt: skip
    assert not [row for row in gate(plain, plain, GateConfig()).rows if row.row.metric in (LOCAL, WIDTH)]
    missing = gate(plain, BASE, GateConfig())
    assert missing.exit_status == ExitStatus.NO_VERDICT
    assert {judged.row.metric for judged in missing.failing} == {"sass", LOCAL, WIDTH}


def test_every_rule_is_of_a_counter_and_each_is_judged():
    names = {metric.name for metric in COUNTERS}
    assert set(RULES) - names == {LOCAL, WIDTH, READ_ONLY, CALLS}
    metrics = {row.row.metric for row in gate(BASE, BASE, GateConfig()).rows}
    assert metrics - {"verified"} <= set(RULES)


# one counter worse: the outcome
WORSE = [
    ("ptx_warp_instructions", 1.02, 0), ("ptx_warp_instructions", 1.0201, 3), ("ptx_global_load_sectors", 1.0001, 3),
    ("ptx_global_store_sectors", 1.5, 3), ("ptx_barriers", 2, 3),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "factor", "code"), WORSE)
def test_a_counter_may_grow_within_its_rule(counter, factor, code):
    head = counted({"triad": after(**{counter: COUNTS[counter] * factor}), "scan": BEFORE})
    assert gate(head, BASE, GateConfig()).exit_status == code


BUILDS = [
    ({"spill_store_bytes": 4}, 3), ({"stack_bytes": 8}, 3), ({"occupancy": 0.98}, 3), ({"registers": 255}, 0),
    ({"sass": {"total": 400}}, 0), ({"spill_load_bytes": 4}, 3),
]  # fmt: skip


@pytest.mark.parametrize(("change", "code"), BUILDS)
def test_figures_of_the_tools_fail_or_warn(change, code):
    head = with_sass(BASE, "ptx", "y")

    def rebuilt(cell):
        result = cell.variants["ptx"]
        return replace(cell, variants={**cell.variants, "ptx": replace(result, build=replace(result.build, **change))})

    outcome = gate(replace(head, cells=[rebuilt(cell) for cell in head.cells]), BASE, GateConfig())
    assert outcome.exit_status == code
    assert next(row.row.verdict for row in outcome.rows if row.exit_status or row.warns) == "REGRESSED"


def test_counts_of_the_same_code_never_fail():
    head = counted({"triad": replace(BEFORE, registers=99, counts={**COUNTS, "ptx_barriers": 999}), "scan": BEFORE})
    assert gate(head, BASE, GateConfig()).exit_status == 0  # the tool counts otherwise


def test_counts_that_contradict_the_same_code_warn():
    """Nobody but another version of ptxbench, or an editor, saves other counts for the same PTX."""
    doubled = {**COUNTS, "ptx_barriers": 2 * COUNTS["ptx_barriers"]}
    outcome = gate(counted({"triad": replace(BEFORE, counts=doubled), "scan": BEFORE}), BASE, GateConfig())
    [row] = outcome.warning
    assert (row.row.verdict, row.row.reason, row.row.metric) == ("SAME-CODE", "other_counts", "ptx_barriers")
    [step] = steps(outcome)
    assert step.words.startswith("triad ptx n=64 (ptx_barriers): the code is the same, but other counts are saved: ")
    assert step.remedy.startswith("Run it again: ptxbench run triad --variant ptx ")


def test_the_verdict_does_not_depend_on_the_order_of_cells_or_on_a_second_look():
    head = counted({"triad": after(ptx_barriers=65), "scan": after(registers=40)})
    first = gate(head, BASE, GateConfig())
    assert gate(head, BASE, GateConfig()) == first
    turned = gate(replace(head, cells=head.cells[::-1]), BASE, GateConfig())
    assert (turned.exit_status, turned.counts) == (first.exit_status, first.counts)


def test_failures_come_first_then_warnings():
    head = counted({"triad": after(ptx_barriers=65, registers=40), "scan": after(status="wrong")})
    outcomes = [row.outcome for row in gate(head, BASE, GateConfig()).rows]
    assert outcomes == sorted(outcomes, key=("FAIL", "warn", "pass").index)
    assert outcomes[0] == "FAIL"


def test_every_verdict_has_its_position_in_the_order():
    assert set(VERDICTS) <= set(GATE_ORDER)


PRECEDENCE = [
    ([4, 3, 5], 4),
    ([3, 5, 0], 3),
    ([5, 0],    5),
    ([0],       0),
    ([],        0),
]  # fmt: skip


@pytest.mark.parametrize(("statuses", "of_gate"), PRECEDENCE)
def test_of_several_exit_statuses_the_first_in_precedence_is_used(statuses, of_gate):
    judged = gate(BASE, BASE, GateConfig())
    rows = [JudgedRow(judged.rows[0].row, exit_status=ExitStatus(status)) for status in statuses]
    assert replace(judged, rows=rows, problems=[]).exit_status == of_gate


def test_the_first_waiver_that_covers_a_row_is_reported():
    config = GateConfig(waivers=[
        Waiver("triad", "ptx_barriers", date(2999, 1, 1), "too small", max=0.001),
        Waiver("t*", "*", date(2999, 1, 1), "covers"),
    ])  # fmt: skip
    outcome = gate(counted({"triad": after(ptx_barriers=65), "scan": BEFORE}), BASE, config)
    [waived] = [row for row in outcome.rows if row.waiver]
    assert (waived.row.verdict, waived.waiver.reason, waived.exit_status) == ("WAIVED", "covers", 0)
    assert [waiver.reason for waiver in outcome.unused] == ["too small"]


@pytest.mark.parametrize(("limit", "verdict"), [(0.905, "NO-REGRESSION"), (0.85, "REGRESSED"), (1.2, "NO-REGRESSION")])
def test_a_limit_of_a_ratio_fails_from_the_limit_on(limit, verdict):
    """The ratio is 0.9: a limit 5 % below is broken, and one far above is not called an improvement."""
    config = parse(f'version = 1\n[[pair]]\nmatch = "*"\nptx_over_cuda_max = {limit}')
    outcome = gate(timed({"cuda": Kernel(50), "ptx": Kernel(45, "B")}), TIMED, config)
    [row] = [row.row for row in outcome.rows if row.row.metric == "ptx_over_cuda_max"]
    assert (row.verdict, row.base) == (verdict, limit)
    assert row.head == pytest.approx(0.9, rel=0.01)
    assert row.change.low < row.head / limit < row.change.high


@pytest.mark.parametrize(
    ("label", "verdict", "code"), [("BIASED", "NOT-MEASURABLE", 5), ("THROTTLED", "INCONCLUSIVE", 0)]
)
def test_a_limit_is_not_judged_by_meaningless_times(label, verdict, code):
    config = parse('version = 1\n[[pair]]\nmatch = "*"\nptx_over_cuda_max = 0.5')
    head = timed({"cuda": Kernel(50), "ptx": Kernel(45, "B")})
    outcome = gate(replace(head, cells=[replace(cell, labels=[label]) for cell in head.cells]), TIMED, config)
    [limited] = [row for row in outcome.rows if row.limit]
    assert (limited.row.verdict, limited.row.reason, limited.exit_status) == (verdict, label, code)


@pytest.mark.parametrize(("of_ptx", "verdict"), [(1755.0, "REGRESSED"), (1580.0, "INCONCLUSIVE"), (None, "REGRESSED")])
def test_a_limit_is_broken_in_time_and_in_clock_cycles(of_ptx, verdict):
    """The ratio is 0.9 in time; at a clock a tenth lower it is 0.81 in cycles."""
    config = parse('version = 1\n[[pair]]\nmatch = "*"\nptx_over_cuda_max = 0.85')
    head = timed({"cuda": Kernel(50), "ptx": Kernel(45, "B")})
    solo = {"A": 1755.0, "B": of_ptx} if of_ptx else {}
    cells = [
        replace(one_cell, rounds=[replace(timed_round, solo_mhz=solo) for timed_round in one_cell.rounds])
        for one_cell in head.cells
    ]
    outcome = gate(replace(head, cells=cells), TIMED, config)
    [limited] = [row for row in outcome.rows if row.limit]
    assert limited.row.verdict == verdict
    if verdict == "INCONCLUSIVE":
        assert limited.row.reason == "CLOCK-DEPENDENT"
        assert next_step(limited, outcome).startswith("Lock the clock (nvidia-smi -lgc MHZ), then ptxbench run ")


def test_a_limit_among_many_needs_stronger_evidence():
    """Holm: the family is every limit of the run."""
    head = timed_run(2, {(pair, 64): {"cuda": Kernel(50), "ptx": Kernel(45)} for pair in ("a", "b", "c")}, FIVE)
    config = 'version = 1\n[[pair]]\nmatch = "{}"\nptx_over_cuda_max = 0.88'
    alone, among = (
        next(row.row.p for row in gate(head, None, parse(config.format(match))).rows if row.limit)
        for match in ("a", "[abc]")
    )
    assert alone > 0
    assert alone < among <= 3 * alone


@pytest.mark.parametrize(("most", "verdict"), [(0.2, "WAIVED"), (0.1, "REGRESSED")])
def test_a_waiver_of_a_speedup_covers_only_the_given_loss(most, verdict):
    """The speedup is 1.11, 15 % below the limit."""
    config = parse('version = 1\n[[pair]]\nmatch = "*"\nmin_speedup = 1.3\n[[waive]]\npair = "*"\nreason = "r"\n'
                   f'metric = "min_speedup"\nuntil = 2999-12-31\nmax = {most}')  # fmt: skip
    [limited] = [row for row in gate(timed({"cuda": Kernel(50), "ptx": Kernel(45)}), TIMED, config).rows if row.limit]
    assert limited.row.verdict == verdict
    assert limited.row.base == pytest.approx(1.3)
    assert limited.row.head == pytest.approx(1.11, abs=0.01)


@pytest.mark.parametrize("limit", ["ptx_over_cuda_max = 1.2", "min_speedup = 0.8"])
def test_a_limit_of_a_kernel_that_was_not_timed_fails_the_gate(limit):
    [measured] = TIMED.cells
    other = replace(measured, pair="other", rounds=[])
    run = replace(TIMED, cells=[measured, other])
    outcome = gate(run, run, parse(f'version = 1\n[gate]\nmode = "ratio"\n[[pair]]\nmatch = "*"\n{limit}'))
    limited = {judged.row.pair: judged for judged in outcome.rows if judged.limit}
    verdicts = {pair: (judged.row.verdict, judged.row.reason) for pair, judged in limited.items()}
    assert verdicts == {"triad": ("NO-REGRESSION", None), "other": ("MISSING", "not_measured")}
    assert (limited["triad"].exit_status, limited["other"].exit_status) == (0, ExitStatus.NO_VERDICT)


def test_the_rounds_of_a_confirming_run_follow_the_first_rounds_in_new_processes():
    [first], [second] = (timed({"cuda": Kernel(50), "ptx": Kernel(45)}, rounds).cells for rounds in (6, 5))
    together = pooled(replace(TIMED, cells=[first]), [replace(TIMED, cells=[second])]).cells[0].rounds
    assert [(one.round, one.process) for one in together] == [(i, i) for i in range(11)]


def test_throttling_in_a_confirming_run_applies_to_the_merged_run():
    [first] = TIMED.cells
    throttled = replace(TIMED, cells=[replace(first, labels=["THROTTLED"])])
    assert pooled(TIMED, [throttled]).cells[0].labels == ["THROTTLED"]


def test_a_variant_that_is_wrong_in_a_confirming_run_is_wrong():
    [first] = TIMED.cells
    wrong = replace(first.variants["ptx"], status="wrong", reason="y[0] is 1, expected 2")
    [cell] = pooled(TIMED, [replace(TIMED, cells=[replace(first, variants={**first.variants, "ptx": wrong})])]).cells
    assert {name: result.status for name, result in cell.variants.items()} == {"cuda": "verified", "ptx": "wrong"}
    [cell] = pooled(TIMED, [replace(TIMED, cells=[replace(first, variants={"cuda": first.variants["cuda"]})])]).cells
    assert cell.variants == first.variants


def test_other_ptx_of_a_variant_that_both_runs_have_confirms_nothing():
    [first] = TIMED.cells
    [other] = timed({"cuda": Kernel(50), "ptx": Kernel(45, "B")}).cells
    assert changes(first, first) == []
    assert "PTX of ptx" in changes(first, other)
    assert "PTX of cuda" not in changes(first, other)
    alone = replace(other, variants={"cuda": other.variants["cuda"]})
    assert changes(first, alone) == changes(alone, first) == []


def test_the_instructions_that_changed_most_come_first():
    words = instructions(build(total=9, LDG=1, LDG_128=2, BAR=1), build(total=20, LDG=9, LDG_128=1, BAR=1))
    assert words == ["LDG 1 -> 9", "LDG.128 2 -> 1"]


def test_a_run_with_a_bad_control_is_not_measurable():
    config = parse('version = 1\n[[pair]]\nmatch = "*"\nptx_over_cuda_max = 0.5')
    control = cell(np.random.default_rng(1), "A/A control", {"n": 64}, {"cuda": Kernel(50), "ptx": Kernel(52)},
                   control=True)  # fmt: skip
    head = timed({"cuda": Kernel(50), "ptx": Kernel(60, "B")})
    outcome = gate(replace(head, cells=[*head.cells, control]), TIMED, config)
    ratios = [row for row in outcome.rows if row.row.metric in ("ratio", "ptx_over_cuda_max")]
    assert {(ratio.row.verdict, ratio.row.reason, ratio.exit_status) for ratio in ratios} == {
        ("NOT-MEASURABLE", "control_off", 5)
    }
    assert len(ratios) == 2
    assert outcome.exit_status == ExitStatus.NO_VERDICT
    assert gate(head, TIMED, config).exit_status == 3


def test_with_a_baseline_without_times_ratios_have_only_limits_and_this_is_reported():
    limit = 'version = 1\n[[pair]]\nmatch = "*"\nptx_over_cuda_max = 1.0\n[gate]\nmode = "ratio"\n'
    untimed = replace(TIMED, cells=[replace(cell, rounds=[]) for cell in TIMED.cells])
    for policy, code in (("warn", 0), ("fail", ExitStatus.NO_VERDICT)):
        outcome = gate(TIMED, untimed, parse(f'{limit}first_run = "{policy}"'))
        [problem] = outcome.problems
        assert problem.text == "The baseline has no times: the ratio is compared with limits only."
        assert (problem.exit_status, outcome.exit_status) == (code, code)


def test_limits_apply_only_to_handwritten_kernels():
    config = parse('version = 1\n[[pair]]\nmatch = "*"\ncounters = { max_registers = 1 }')
    limited = [row for row in gate(BASE, BASE, config).rows if row.limit]
    assert {judged.row.variant for judged in limited} == {"ptx"}
    assert {judged.exit_status for judged in limited} == {ExitStatus.REGRESSION}
    wrong = gate(counted({"triad": after(status="wrong")}), BASE, config)
    assert not any(row.limit for row in wrong.rows)  # a wrong kernel may need few registers
    assert wrong.exit_status == ExitStatus.WRONG_KERNEL


@pytest.mark.parametrize(("metric", "of_all", "of_the_pair"), [("ratio", 0.02, 0.1), ("time", 0.2, 0.3)])
def test_times_and_ratios_have_budgets_of_their_own_also_for_one_pair(metric, of_all, of_the_pair):
    config = parse(
        "version = 1\n[gate]\nbudget = 0.02\ntime_budget = 0.2\n"
        '[[pair]]\nmatch = "triad"\nbudget = 0.1\ntime_budget = 0.3'
    )
    rows = [Row(pair, {"n": 1}, "sm_90", "cold", "ptx", metric, "") for pair in ("triad", "saxpy")]
    assert [row_rule(config, metric)(row).budget for row in rows] == [of_the_pair, of_all]


def test_rules_are_not_reported_as_unused_by_runs_without_kernels():
    empty = replace(BASE, cells=[])
    config = parse('version = 1\n[[pair]]\nmatch = "triad"\nbudget = 0.1')
    assert [problem.text for problem in gate(empty, empty, config).problems] == ["No row was judged."]


def test_unknown_code_is_not_treated_as_unchanged():
    assert not Moves().nothing
    assert not Moves((("ptx", None),)).nothing
    assert Moves((("ptx", "same"),)).nothing
