"""`ptxbench gate` through the real command line: every exit status, its precedence, the output and the files."""

import json
import os
import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from ptxbench.exit_status import ExitStatus
from ptxbench.result import LaunchReport, save, to_json
from ptxbench.runner import RunOutcome
from tests.folders import PTX, changed
from tests.runs import Kernel, Sampling, cell, run_of, timed_run

COUNTS = {"ptx_warp_instructions": 15360, "ptx_global_load_sectors": 16384, "ptx_global_store_sectors": 8192,
          "ptx_shared_load_conflicts": 0, "ptx_shared_store_conflicts": 0, "ptx_barriers": 64}  # fmt: skip
BEFORE = Kernel(counts=COUNTS)


def after(code="B", registers=22, status="verified", reason=None, **counts):
    return Kernel(counts={**COUNTS, **counts}, code=code, registers=registers, status=status, reason=reason)


def counted(pairs, id="4ead0001", **frame):
    """A run of the emulator with each pair's PTX side; `cuda` is the same in all."""
    cells = [
        cell(np.random.default_rng(0), pair, {"n": 64}, {"cuda": BEFORE, "ptx": ptx}) for pair, ptx in pairs.items()
    ]
    return run_of(cells, id=id, **frame)


BASE = counted({"triad": BEFORE, "scan": BEFORE}, id="ba5e0001")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder, and no job of a CI server around the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def judged(ptxbench, head, base=BASE, *arguments, config=None):
    """Gate one run against another in the same folder; either may be the text of a file."""
    for name, run in (("base.json", base), ("head.json", head)):
        if run is not None:
            Path(name).write_text(run if isinstance(run, str) else to_json(run))
    if config is not None:
        Path("ptxbench.toml").write_text(config)
    bases = ["--base", "base.json"] if base is not None else []
    return ptxbench("gate", "head.json", *bases, *arguments)


# ---- one row a status, by its cause

NEWER = to_json(BASE).replace("ptxbench.run/3", "ptxbench.run/4")
EMPTY = run_of([], id="e0e0e0e0", device=asdict(BASE.device), run={"backend": "emulator"})

STATUSES = [
    # what it is, head, status, a part of the output
    ("the same code", counted({"triad": BEFORE, "scan": BEFORE}), 0, "Gate: passed (exit status 0)."),
    ("other code, equal counts", counted({"triad": after(), "scan": BEFORE}), 0, "Gate: passed (exit status 0)."),
    ("a new pair", counted({"triad": BEFORE, "scan": BEFORE, "new": BEFORE}), 0, "2 NEW"),
    ("fewer sectors", counted({"triad": after(ptx_global_load_sectors=8192), "scan": BEFORE}), 0, "1 IMPROVED"),
    ("2 % more instructions", counted({"triad": after(ptx_warp_instructions=15667), "scan": BEFORE}), 0, "passed"),
    ("more registers", counted({"triad": after(registers=40), "scan": BEFORE}), 0, "1 row warns"),
    ("one sector more", counted({"triad": after(ptx_global_load_sectors=16385), "scan": BEFORE}), 3,
     "FAIL  REGRESSED  triad ptx  ptx_global_load_sectors"),
    ("a first conflict", counted({"triad": after(ptx_shared_load_conflicts=31), "scan": BEFORE}), 3, "+31"),
    ("over 2 % more instructions", counted({"triad": after(ptx_warp_instructions=15668), "scan": BEFORE}), 3, "+2 %"),
    ("a wrong kernel", counted({"triad": after(status="wrong", reason="y[2] is 1."), "scan": BEFORE}), 4,
     "ptx is wrong: y[2] is 1."),
    ("a broken kernel", counted({"triad": after(status="broken", reason="no PTX."), "scan": BEFORE}), 4,
     "ptx is broken: no PTX."),
    ("wrong and worse elsewhere", counted({"triad": after(status="wrong"), "scan": after(ptx_barriers=65)}), 4,
     "1 BROKEN, 1 REGRESSED"),
    ("a missing pair", counted({"triad": BEFORE}), 5, "is in the baseline but not in this run."),
    ("missing and worse", counted({"triad": after(ptx_barriers=65)}), 3, "1 REGRESSED, 2 MISSING"),
    ("an instruction that the emulator lacks", counted({"triad": after(status="unsupported", reason="no mma."),
                                                        "scan": BEFORE}), 5, "ptx is unsupported: no mma."),
    ("an empty run", EMPTY, 5, "The run is empty. Check which pairs its command selects."),
    ("all rows unlike", counted({"triad": BEFORE, "scan": BEFORE}, run={"seed": 2}), 5, "seed 1 -> 2"),
    ("a run that was interrupted", counted({"triad": BEFORE, "scan": BEFORE}, run={"status": "interrupted"}), 5,
     "The run is incomplete: its status is interrupted."),
    ("a newer schema", NEWER, 2, "has schema 'ptxbench.run/4'; this ptxbench reads 'ptxbench.run/3'. Upgrade"),
    ("a file cut in half", to_json(BASE)[: len(to_json(BASE)) // 2], 2, "head.json:"),
    ("an empty file", "", 2, "head.json:1: not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("head", "status", "message"), [row[1:] for row in STATUSES], ids=[row[0] for row in STATUSES])
def test_each_cause_has_its_exit_status(ptxbench, head, status, message):
    ran = judged(ptxbench, head)
    assert (ran.status, message in ran.out + ran.err) == (status, True), ran


BASES = [
    ("wrong in both", counted({"triad": after(status="wrong"), "scan": BEFORE}), 5, "1 BROKEN-BOTH"),
    ("broken in both", counted({"triad": after(status="broken", reason="no PTX."), "scan": BEFORE}), 5,
     "ptx is broken: no PTX."),
    ("mended", counted({"triad": after(status="wrong"), "scan": BEFORE}), 0, "1 FIXED"),
    ("a base of a newer schema", NEWER, 2, "base.json has schema 'ptxbench.run/4'"),
    ("a base cut in half", to_json(BASE)[: len(to_json(BASE)) // 2], 2, "base.json:"),
    ("a base that is no run", '{"schema": "other"}', 2, "base.json is not a ptxbench run"),
    ("an empty base", EMPTY, 5, "No row was judged."),
]  # fmt: skip


@pytest.mark.parametrize(("base", "status", "message"), [row[1:] for row in BASES], ids=[row[0] for row in BASES])
def test_the_base_is_part_of_the_exit_status(ptxbench, base, status, message):
    bad = after(status="broken", reason="no PTX.") if status == 5 and base is not EMPTY else BEFORE
    ran = judged(ptxbench, counted({"triad": bad, "scan": BEFORE}), base)
    assert (ran.status, message in ran.out + ran.err) == (status, True), ran


def test_a_base_that_is_not_there_is_a_usage_error(ptxbench):
    ran = judged(ptxbench, BASE, None, "--base", "nothing.json")
    assert ran == (2, "", "Error: Cannot read nothing.json: No such file or directory.\n")


def test_a_base_that_cannot_be_read_is_a_usage_error(ptxbench):
    Path("base.json").mkdir()
    ran = judged(ptxbench, BASE, None, "--base", "base.json")
    assert ran == (2, "", "Error: base.json is a folder, not a saved run. A saved run is a JSON file, by default below "
                          "results/.\n")  # fmt: skip


UNLIKE_TOOLS = counted({"triad": BEFORE, "scan": after(ptx_barriers=64)}, toolchain={"ptxas": "13.9"})


def test_other_tools_make_their_own_counts_incomparable_but_not_the_emulators(ptxbench):
    ran = judged(ptxbench, UNLIKE_TOOLS, BASE, "--json")
    document = json.loads(ran.out)
    assert (ran.status, document["exit_status"]) == (5, 5)
    by_metric = {(row["pair"], row["metric"]): row["verdict"] for row in document["rows"] if row["variant"] == "ptx"}
    assert by_metric["scan", "registers"] == by_metric["scan", "sass.local"] == "NOT-COMPARABLE"
    assert by_metric["scan", "ptx_barriers"] == "NO-REGRESSION"
    assert judged(ptxbench, UNLIKE_TOOLS, config='version = 1\n[gate]\nnot_comparable = "warn"').status == 0
    worse = counted({"triad": BEFORE, "scan": after(ptx_barriers=65)}, toolchain={"ptxas": "13.9"})
    assert judged(ptxbench, worse).status == 3


def test_only_incomparable_rows_never_pass_with_any_config(ptxbench):
    head = counted({"triad": BEFORE, "scan": BEFORE}, run={"seed": 2})
    ran = judged(ptxbench, head, config='version = 1\n[gate]\nnot_comparable = "warn"')
    assert ran.status == 5
    assert "No row was judged." in ran.out


def test_other_launches_are_judged_by_the_counts(ptxbench):
    def launched(grid):
        return replace(BASE, cells=[replace(own, launch=LaunchReport((grid, 1, 1), (256, 1, 1))) for own in BASE.cells])

    assert judged(ptxbench, launched(128)).status == 0
    ran = judged(ptxbench, launched(32))
    assert ran.status == 3
    assert "launched_warps" in ran.out
    assert judged(ptxbench, launched(32_000), launched(16_000)).status == 0  # either is more than a GPU holds


WARNING = 'version = 1\n[gate]\nnot_comparable = "warn"'


def test_rows_that_are_incomparable_for_other_reasons_than_the_tools_always_fail(ptxbench):
    other_work = replace(BASE.cells[0], work={"flops": 1, "bytes": 2})
    head = replace(BASE, cells=[other_work, *BASE.cells[1:]])
    assert judged(ptxbench, head, config=WARNING).status == 5
    # both at once: the tools alone would be let pass
    assert judged(ptxbench, replace(head, toolchain=UNLIKE_TOOLS.toolchain), config=WARNING).status == 5


def test_the_config_can_require_tools(ptxbench):
    config = 'version = 1\n[gate]\ntoolchain = { ptxas = "13.2.78" }'
    assert judged(ptxbench, BASE, config=config).status == 0
    ran = judged(ptxbench, UNLIKE_TOOLS, config=config)
    assert ran.status == 2
    assert ran.err.startswith("Error: The run was built with ptxas 13.9; the config requires 13.2.78.")


def test_runs_of_fewer_rounds_than_the_config_asks_for_have_no_verdict_on_times(ptxbench):
    base, head = timed({"cuda": Kernel(50), "ptx": Kernel(45)}), timed({"cuda": Kernel(50), "ptx": Kernel(50, "B")})
    assert judged(ptxbench, head, base, "--mode", "ratio").status == 3
    seven = 'version = 1\n[gate]\nmode = "ratio"\nmin_rounds = 7\ninconclusive = "fail"\n[[pair]]\nmatch = "*"\n'
    ran = judged(ptxbench, head, base, config=seven + "ptx_over_cuda_max = 0.5")
    assert ran.status == 5
    assert "2 INCONCLUSIVE" in ran.out
    assert "too few rounds in a run" in ran.out
    assert "--rounds 7" in ran.out
    refused = judged(ptxbench, head, base, config="version = 1\n[gate]\nmin_rounds = 4")
    assert refused.status == 2
    assert refused.err.startswith("Error: ptxbench.toml: [gate]: min_rounds: expected a whole number of at least 5")
    assert "min_rounds = 5\n" in ptxbench("gate", "--dump-config", "--config", write_config("")).out
    assert "min_rounds = 9\n" in ptxbench("gate", "--dump-config", "--config", write_config("min_rounds = 9")).out


def write_config(line):
    Path("given.toml").write_text(f"version = 1\n[gate]\n{line}")
    return "given.toml"


# ---- a first run, and nothing to gate


def test_a_first_run_is_judged_by_its_verification_and_says_that_it_has_no_baseline(ptxbench):
    ran = judged(ptxbench, BASE, None)
    assert ran.status == 0
    assert "There is no baseline: baselines/emulator-sm_90.json does not exist. Only limits" in ran.out
    assert "ptxbench baseline set ba5e0001 --reason TEXT" in ran.out
    uncommitted = judged(ptxbench, replace(BASE, source=replace(BASE.source, dirty=True)), None)
    assert "This run cannot be the baseline. Its kernels were not committed" in uncommitted.out
    assert judged(ptxbench, BASE, None, config='version = 1\n[gate]\nfirst_run = "fail"').status == 5
    wrong = counted({"triad": after(status="wrong")})
    assert judged(ptxbench, wrong, None).status == 4


@pytest.mark.parametrize("head", [EMPTY, counted({"a": Kernel(status="unsupported")})])
def test_a_first_run_without_a_verified_kernel_does_not_pass(ptxbench, head):
    head = replace(head, cells=[replace(own, variants={"ptx": own.variants["ptx"]}) for own in head.cells])
    ran = judged(ptxbench, head, None)
    assert ran.status == 5
    assert "No row was judged." in ran.out


@pytest.mark.parametrize("mode", ["ratio", "time"])
def test_the_gate_fails_if_a_named_mode_gives_no_verdict(ptxbench, mode):
    ran = judged(ptxbench, BASE, BASE, "--mode", mode)
    assert ran.status == 5
    assert f"The {mode} gate was requested, but the run has no times." in ran.out
    assert judged(ptxbench, BASE, BASE, "--mode", mode, "--mode", "counters").status == 5
    assert judged(ptxbench, BASE, config=f'version = 1\n[gate]\nmode = ["{mode}", "counters"]').status == 5


@pytest.mark.parametrize("mode", ["ratio", "time"])
def test_a_named_mode_that_is_only_inconclusive_does_not_pass_because_another_mode_does(ptxbench, mode):
    head = timed({"cuda": Kernel(50, "B"), "ptx": Kernel(50, "B")}, 4)  # rounds: too few
    ran = judged(ptxbench, head, TIMED, "--mode", mode, "--mode", "counters")
    assert ran.status == 5
    assert f"The {mode} gate was requested, but it judged no row." in ran.out
    assert judged(ptxbench, timed(EQUAL), TIMED, "--mode", mode, "--mode", "counters").status == 0


@pytest.mark.parametrize(("rule", "message"), [
    ('match = "traid"', "The [[pair]] 'traid' matches no kernel of either run.", ),
    ('match = "triad"\nvariant = "pxt"', "The [[pair]] 'triad', variant 'pxt', matches no kernel of"),
])  # fmt: skip
def test_a_rule_that_matches_no_kernel_is_reported(ptxbench, rule, message):
    config = "version = 1\n[[pair]]\n{}\ncounters = {{ max_registers = 1 }}"
    ran = judged(ptxbench, BASE, config=config.format(rule))
    assert ran.status == 0  # another job may have that kernel
    assert message in ran.out
    assert "or remove it. Did you mean 'triad'?" in ran.out
    assert "matches no kernel" not in judged(ptxbench, BASE, config=config.format('match = "*"')).out


def test_ratios_without_a_baseline_and_without_limits_are_nothing_to_gate(ptxbench):
    run = timed_run(1, {("triad", 64): {"cuda": Kernel(50), "ptx": Kernel(45)}})
    ran = judged(ptxbench, run, None, "--mode", "ratio")
    assert ran.status == 5
    assert "Set a baseline, or set limits in ptxbench.toml." in ran.out


# ---- waivers

WAIVER = """\
version = 1
[[waive]]
pair = "{pair}"
metric = "{metric}"
until = {until}
reason = "issue 7."
"""

WORSE = counted({"triad": after(ptx_barriers=65), "scan": BEFORE})

WAIVED = [
    ("triad", "ptx_barriers", "", 0),
    ("t*", "ptx_*", "", 0),
    ("triad", "ptx_barriers", "max = 0.02", 0),
    ("triad", "ptx_barriers", "max = 0.01", 3),  # 64 -> 65 is more
    ("triad", "ptx_barriers", 'variant = "cuda"', 3),
    ("scan", "ptx_barriers", "", 3),
    ("triad", "spills", "", 3),
]


@pytest.mark.parametrize(("pair", "metric", "more", "status"), WAIVED)
def test_a_waiver_covers_only_the_rows_it_names(ptxbench, pair, metric, more, status):
    ran = judged(ptxbench, WORSE, config=WAIVER.format(pair=pair, metric=metric, until="2999-12-31") + more)
    assert ran.status == status
    assert ("1 WAIVED" in ran.out) == (status == 0)
    assert ("covers nothing: remove it." in ran.out) == (status == 3)
    if status == 0:
        assert "issue 7. Until 2999-12-31." in ran.out


def test_a_waiver_covers_a_missing_pair_and_never_a_wrong_kernel(ptxbench):
    config = WAIVER.format(pair="scan", metric="verified", until="2999-12-31")
    assert judged(ptxbench, counted({"triad": BEFORE}), config=config).status == 0
    wrong = counted({"triad": BEFORE, "scan": after(status="wrong")})
    assert judged(ptxbench, wrong, config=config).status == 4


def test_an_expired_waiver_is_an_error_before_anything_is_judged(ptxbench):
    wrong = counted({"triad": after(status="wrong")})
    ran = judged(ptxbench, wrong, config=WAIVER.format(pair="triad", metric="ptx_barriers", until="2020-01-31"))
    assert ran == (2, "", "Error: ptxbench.toml: the waiver of 'triad' (ptx_barriers: issue 7.) ended on 2020-01-31. "
                          "Fix the kernel, remove the waiver, or give it a new date.\n")  # fmt: skip


def test_rules_in_a_pyproject_apply_and_proposed_waivers_can_be_pasted_there(ptxbench):
    project = Path("pyproject.toml")
    project.write_text('[tool.ptxbench]\nversion = 1\n[[tool.ptxbench.pair]]\nmatch = "traid"\nbudget = 0.1\n')
    ran = judged(ptxbench, WORSE)
    assert ran.status == 3
    assert "The [[tool.ptxbench.pair]] 'traid' matches no kernel of either run." in ran.out
    assert "Correct its name in pyproject.toml, or remove it." in " ".join(ran.out.split())
    assert "To waive it for a while, in pyproject.toml, with the reason:" in ran.out
    waiver = ran.out[ran.out.index("\n[[tool.ptxbench.waive]]") :].split("\n\n")[0]
    project.write_text(project.read_text() + waiver)
    assert judged(ptxbench, WORSE).status == 0
    Path("ptxbench.toml").write_text("version = 1\n")
    ran = judged(ptxbench, WORSE)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Error: ptxbench.toml and pyproject.toml (its [tool.ptxbench]) both have rules.")


# ---- limits of counters

COUNTER_LIMITS = [
    ("max_registers = 22", 0), ("max_registers = 21", 3), ("max_spills = 0", 0), ("min_occupancy = 1", 0),
    ("max_occupancy = 0.5", 3), ("max_ptx_barriers = 63", 3), ("max_ptx_atomics = 0", 5),  # not counted in this run
]  # fmt: skip


@pytest.mark.parametrize(("limit", "status"), COUNTER_LIMITS)
def test_limits_of_counters_need_no_baseline(ptxbench, limit, status):
    config = f'version = 1\n[[pair]]\nmatch = "tri*"\nsm_90 = {{ counters = {{ {limit} }} }}'
    assert judged(ptxbench, BASE, None, config=config).status == status
    assert judged(ptxbench, BASE, None, config=config.replace("sm_90", "sm_80")).status == 0


# ---- times, from recorded samples

SLOWER = {"cuda": Kernel(50), "ptx": Kernel(50, "B")}
EQUAL = {"cuda": Kernel(50), "ptx": Kernel(45, "B")}
TIMED = timed_run(1, {("triad", 64): {"cuda": Kernel(50), "ptx": Kernel(45)}}, Sampling(rounds=6), id="ba5e0002")


def timed(kernels, rounds=6):
    return timed_run(2, {("triad", 64): kernels}, Sampling(rounds=rounds), id="4ead0002")


TIMES = [
    ("equal ratios", timed(EQUAL), "", 0, "Gate: passed (exit status 0)."),
    ("a ratio that grew", timed(SLOWER), "", 3, "FAIL  REGRESSED  triad ptx  ratio"),
    ("a ratio that grew within its own budget", timed(SLOWER), '[[pair]]\nmatch = "triad"\nbudget = 0.2', 0,
     "NO-REGRESSION"),
    ("another pair's budget", timed(SLOWER), '[[pair]]\nmatch = "scan"\nbudget = 0.2', 3, "REGRESSED"),
    ("too few rounds", timed(SLOWER, 4), "", 0, "Measure both sides in 5 rounds: ptxbench run triad"),
    ("too few rounds, held to it", timed(SLOWER, 4), '[gate]\ninconclusive = "fail"', 5, "FAIL INCONCLUSIVE"),
    ("a better compiler", timed({"cuda": Kernel(40, "B", "A"), "ptx": Kernel(45)}), "", 0,
     "warn REFERENCE-CHANGED triad ptx n=64: the CUDA side got better"),
    ("a limit that is kept", timed(EQUAL), '[[pair]]\nmatch = "triad"\nptx_over_cuda_max = 1.0', 0, "passed"),
    ("a limit that is broken", timed(EQUAL), '[[pair]]\nmatch = "triad"\nptx_over_cuda_max = 0.8', 3,
     "ptx_over_cuda_max"),
    ("a speedup that is kept", timed(EQUAL), '[[pair]]\nmatch = "triad"\nsm_90 = { min_speedup = 1.0 }', 0, "passed"),
    ("a speedup that is not", timed(EQUAL), '[[pair]]\nmatch = "triad"\nsm_90 = { min_speedup = 1.3 }', 3, "1.300"),
    ("a speedup for another GPU", timed(EQUAL), '[[pair]]\nmatch = "triad"\nsm_80 = { min_speedup = 1.3 }', 0, ""),
    ("a waiver of the limit", timed(EQUAL), '[[pair]]\nmatch = "triad"\nmin_speedup = 1.3\n[[waive]]\npair = "triad"\n'
     'metric = "min_speedup"\nuntil = 2999-12-31\nreason = "r"', 0, "1 WAIVED"),
]  # fmt: skip


@pytest.mark.parametrize(("head", "config", "status", "message"), [row[1:] for row in TIMES], ids=[r[0] for r in TIMES])
def test_ratios_are_gated_by_their_rounds(ptxbench, head, config, status, message):
    ran = judged(ptxbench, head, TIMED, config="version = 1\n" + config)
    assert ran.status == status, ran.out
    assert message in ran.out


def test_limits_of_ratios_need_no_baseline(ptxbench):
    config = 'version = 1\n[gate]\nmode = "ratio"\n[[pair]]\nmatch = "triad"\nptx_over_cuda_max = {}'
    assert judged(ptxbench, timed(EQUAL), None, config=config.format(1.0)).status == 0
    assert judged(ptxbench, timed(EQUAL), None, config=config.format(0.8)).status == 3
    assert judged(ptxbench, timed(EQUAL, 4), None, config=config.format(0.8)).status == 5  # nothing was judged


def test_a_biased_run_is_not_measurable(ptxbench):
    head = timed(SLOWER)
    head = replace(head, cells=[replace(own, labels=["BIASED"]) for own in head.cells])
    ran = judged(ptxbench, head, TIMED)
    assert ran.status == 5
    assert "1 NOT-MEASURABLE" in ran.out


@pytest.mark.parametrize(("us", "status"), [(48, 0), (60, 3)])
def test_times_have_a_wider_budget(ptxbench, us, status):
    head = timed({"cuda": Kernel(50), "ptx": Kernel(us, "B")})
    assert judged(ptxbench, head, TIMED, "--mode", "time").status == status


def test_a_gpu_of_another_model_makes_verdicts_on_ratios_advice(ptxbench):
    head = timed(SLOWER)
    head = replace(head, device=replace(head.device, name="NVIDIA H200", uuid_hash="c3d4"))
    ran = judged(ptxbench, head, TIMED)
    assert ran.status == 0
    assert "warn REGRESSED triad ptx n=64 (ratio)" in ran.out


# ---- configs


def test_a_config_with_an_unknown_key_is_a_usage_error(ptxbench):
    ran = judged(ptxbench, BASE, config="version = 1\n[gate]\nbugdet = 0.1")
    assert ran == (2, "", "Error: ptxbench.toml: [gate]: unknown key 'bugdet'. Did you mean 'budget'?\n")


def test_a_config_is_named_or_is_in_the_folder(ptxbench):
    Path("other.toml").write_text("version = 1\n[gate]\nbudget = 0.2")
    assert "budget = 0.2\n" in ptxbench("gate", "--dump-config", "--config", "other.toml").out
    assert "budget = 0.05\n" in ptxbench("gate", "--dump-config").out
    Path("ptxbench.toml").write_text("version = 1\n[gate]\nbudget = 0.3")
    ran = ptxbench("gate", "--dump-config", "--mode", "time")
    assert (ran.status, 'mode = ["time"]\n' in ran.out, "budget = 0.3\n" in ran.out) == (0, True, True)


def test_a_missing_or_binary_config_is_a_usage_error(ptxbench):
    ran = ptxbench("gate", "--config", "nothing.toml")
    assert ran == (2, "", "Error: Cannot read nothing.toml: No such file or directory.\n")
    Path("ptxbench.toml").write_bytes(b"\xff\xfe")
    assert ptxbench("gate") == (2, "", "Error: ptxbench.toml is UTF-16: expected UTF-8. Save it as UTF-8.\n")


# ---- without HEAD: the pairs run

BASELINE = Path("baselines/emulator-sm_90.json")


def commit(ptxbench, run):
    """Make the saved run the baseline; the tests' folder is not a repository, so nothing is dirty."""
    return ptxbench("baseline", "set", run, "--reason", "the first")


def test_commands_and_paths_of_messages_are_those_of_the_named_folder_of_baselines(ptxbench, kernels):
    """Without --baselines, a proposed command would write a baseline that the same gate does not read."""
    options = ("gate", "--kernels", kernels, "--baselines", "of mine")
    first = ptxbench(*options)
    assert "There is no baseline: of mine/emulator-sm_90.json does not exist." in " ".join(first.out.split())
    (words,) = [line.split("Next: ")[1] for line in first.out.splitlines() if "Next: ptxbench baseline set" in line]
    assert ptxbench(*shlex.split(words.replace("TEXT", "first"))[1:]).status == 0
    more = changed(PTX, "    ld.param.u32  %n, [n];\n", "    bar.sync 0;\n    ld.param.u32  %n, [n];\n")
    (kernels / "ptx" / "scale.ptx").write_text(more)
    worse = ptxbench(*options)
    text = " ".join(worse.out.split())
    assert (worse.status, "does not exist" in text) == (3, False)
    assert "gate --pair scale --mode counters --arch sm_90 --baselines 'of mine'. If intended:" in text
    assert "--baselines 'of mine' --reason TEXT, and commit of mine/emulator-sm_90.json" in text


def test_without_head_the_pairs_run_on_the_emulator_and_are_compared_with_the_baseline(ptxbench, kernels):
    first = ptxbench("gate", "--kernels", kernels)
    assert first.status == 0
    assert "There is no baseline" in first.out
    assert commit(ptxbench, "latest").status == 0
    again = ptxbench("gate", "--kernels", kernels)
    assert (again.status, "There is no baseline" in again.out) == (0, False)
    ptx = changed(PTX, "    ld.global.f32       %value, [%at];\n", "    bar.sync 0;\n" * 2
                  + "    ld.global.f32       %value, [%at];\n").replace("@%past bra    DONE;", "")  # fmt: skip
    (kernels / "ptx" / "scale.ptx").write_text(ptx)
    assert ptxbench("gate", "--kernels", kernels).status == 4  # without its guard it is wrong
    (kernels / "ptx" / "scale.ptx").write_text(changed(PTX, "    ld.param.u32  %n, [n];\n", "    bar.sync 0;\n"
                                                       "    ld.param.u32  %n, [n];\n"))  # fmt: skip
    worse = ptxbench("gate", "--kernels", kernels, "--json")
    failing = [row for row in json.loads(worse.out)["rows"] if row["exit_status"] == 3]
    assert worse.status == 3
    [barriers] = [row for row in failing if row["metric"] == "ptx_barriers"]
    assert "ptxbench gate --pair scale --mode counters --arch sm_90" in barriers["next"]
    line = 1 + (kernels / "ptx" / "scale.ptx").read_text().splitlines().index("    bar.sync 0;")
    assert (barriers["file"], barriers["line"]) == ("kernels/ptx/scale.ptx", line)
    one = ptxbench("gate", "--kernels", kernels, "--pair", "scale", "--json")
    assert (one.status, {row["pair"] for row in json.loads(one.out)["rows"]}) == (3, {"scale"})


DAMAGED = [
    ("cut in half", '{"schema": "ptxbench.run/3", ', f"Error: {BASELINE}:1: not JSON"),
    ("empty", "", f"Error: {BASELINE}:1: not JSON"),
    ("of a newer schema", NEWER, f"Error: {BASELINE} has schema 'ptxbench.run/4'; this ptxbench reads"),
    ("a folder", None, f"Error: {BASELINE} is a folder, not a saved run. "),
]


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED])
def test_a_damaged_baseline_is_reported_before_the_pairs_run(ptxbench, kernels, text, message):
    BASELINE.parent.mkdir()
    BASELINE.mkdir() if text is None else BASELINE.write_text(text)
    for arguments in ([], ["--confirm"]):
        ran = ptxbench("gate", "--kernels", kernels, *arguments)
        assert (ran.status, ran.out, ran.err.startswith(message)) == (2, "", True), ran
        assert ran.err.endswith(" Restore the committed file, or delete it and set a new baseline.\n")
    assert not Path("results").exists()


@pytest.mark.skipif(os.name == "nt", reason="a link needs a privilege there")
def test_a_baseline_that_is_a_broken_link_is_not_a_missing_one(ptxbench, kernels):
    BASELINE.parent.mkdir()
    BASELINE.symlink_to("nowhere")
    ran = ptxbench("gate", "--kernels", kernels)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"Error: Cannot read {BASELINE}: ")


def test_a_folder_without_pairs_is_nothing_to_gate(ptxbench):
    Path("empty/pairs").mkdir(parents=True)
    ran = ptxbench("gate", "--kernels", "empty")
    assert (ran.status, ran.out, "pair" in ran.err) == (2, "", True)


def test_a_head_that_is_not_there_is_a_usage_error(ptxbench):
    assert ptxbench("gate", "nothing.json").status == 2
    ran = ptxbench("gate", "latest")
    assert ran == (2, "", "Error: There is no run 'latest': no run is saved below results. Name a file, or another "
                          "folder with --results.\n")  # fmt: skip


def test_an_interrupted_gate_gives_no_verdict(ptxbench, kernels, monkeypatch):
    monkeypatch.setattr("ptxbench.cli.run.perform", lambda *_, **__: RunOutcome([], "interrupted"))
    assert ptxbench("gate", "--kernels", kernels)[:2] == (130, "")


# ---- files


def test_files_are_written_by_their_suffix(ptxbench):
    judged(ptxbench, WORSE, BASE, "-o", "out/g.md", "-o", "out/g.json", "-o", "out/g.xml")
    document = json.loads(Path("out/g.json").read_text())
    assert (document["schema"], document["exit_status"]) == ("ptxbench.gate/2", 3)
    markdown = Path("out/g.md").read_text()
    assert markdown.startswith("<!-- ptxbench gate -->\n**Gate: a regression (exit status 3). 1 row fails, ")
    assert "| FAIL | REGRESSED | triad | `ptx` | n=64 | ptx_barriers | 64 | 65 | +1.6 % |  |" in markdown
    [suite] = ElementTree.parse("out/g.xml").getroot()
    assert suite.attrib["failures"] == "1"
    assert len(suite) == int(suite.attrib["tests"]) == len(document["rows"])
    [failure] = suite.iter("failure")
    assert failure.attrib["type"] == "REGRESSED"
    assert (
        "Next: git checkout c0ffee && ptxbench gate --pair triad --mode counters --arch sm_90 "
        in failure.attrib["message"]
    )


def test_an_unknown_suffix_is_reported_before_anything_is_judged(ptxbench):
    ran = judged(ptxbench, BASE, BASE, "-o", "g.pdf")
    assert ran == (2, "", "Error: Unknown suffix of 'g.pdf'. Name a file that ends in .json, .md, .xml or .sarif.\n")


def test_github_gets_output_only_if_its_variables_are_set(ptxbench, monkeypatch):
    assert "::error" not in judged(ptxbench, WORSE).err
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("summary.md").write_text("before\n")
    ran = judged(ptxbench, WORSE, BASE, "--json")
    assert json.loads(ran.out)["exit_status"] == ran.status == 3
    assert ran.err.startswith(
        "::error title=ptxbench gate REGRESSED::triad ptx n=64 (ptx_barriers): warps wait at more "
    )
    assert Path("summary.md").read_text().startswith("before\n<!-- ptxbench gate -->\n**Gate: a regression")


def test_a_summary_that_cannot_be_written_is_reported(ptxbench, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "nowhere/summary.md")
    ran = judged(ptxbench, BASE, BASE, "-o", "gate.json")
    assert ran.status == 2
    assert json.loads(Path("gate.json").read_text())["exit_status"] == 0  # the requested file is written all the same
    assert "Cannot write nowhere/summary.md, which GITHUB_STEP_SUMMARY names" in ran.err


def test_the_help_has_the_exit_statuses_and_their_order(ptxbench):
    text = ptxbench("gate", "--help").out
    assert "Exit status; if several apply, the first of 2, 4, 3, 5, 0:" in text
    for status in ExitStatus:
        assert f"\n    {int(status)}  " in text


def test_the_page_of_the_gate_has_a_row_for_every_exit_status():
    page = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
    table = page.partition("| status | means |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| (\d+) \|", table, re.M) == [str(int(status)) for status in ExitStatus]


def test_runs_are_named_as_in_other_commands(ptxbench):
    save(BASE, Path("results/emulator-sm_90"))
    save(replace(WORSE, run=replace(WORSE.run, started="2026-03-01T00:00:00Z")), Path("results/emulator-sm_90"))
    assert ptxbench("gate", "latest", "--base", "ba5e").status == 3
    assert ptxbench("gate", "ba5e", "--base", "ba5e0001").status == 0
