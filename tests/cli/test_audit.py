"""`ptxbench gate audit` through the real command line: every part, every exit status, and `ptxbench gate` unchanged."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptxbench.discovery import default_kernels
from ptxbench.result import save, to_json
from tests.audit.test_stored import run
from tests.cli.test_gate import BASE
from tests.folders import changed

SYNTHETIC = ("gate", "audit", "--synthetic", "--suites", "2")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder, and no job of a CI server around the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def transpose():
    """A folder with one pair and no variants of it."""
    for place, suffix in (("pairs", ".py"), ("cuda", ".cu"), ("ptx", ".ptx")):
        (Path("kernels") / place).mkdir(parents=True)
        name = "transpose" if place == "pairs" else "transpose.padded"  # a barrier is less than 2 % of its instructions
        shutil.copy(default_kernels() / place / f"{name}{suffix}", Path("kernels") / place / f"transpose{suffix}")
    pair = Path("kernels/pairs/transpose.py")
    text = changed(pair.read_text(), '    by_request=["numba", "triton"],\n', "")
    launches = text[text.index("    launches={") : text.index("    reference=")]
    pair.write_text(changed(text, launches, ""))
    return Path("kernels")


# ---- the command together with the gate


def test_the_gate_still_takes_a_run_even_one_at_the_path_audit(ptxbench):
    Path("audit").write_text(to_json(BASE))
    Path("head.json").write_text(to_json(BASE))
    for head in ("head.json", "./audit"):
        ran = ptxbench("gate", head, "--base", "head.json")
        assert (ran.status, ran.err) == (0, "")
        assert "Gate: passed (exit status 0)." in ran.out


def test_both_commands_have_help_and_name_each_other(ptxbench):
    gate, audit = ptxbench("gate", "--help"), ptxbench("gate", "audit", "--help")
    assert gate.out.startswith("Usage: ptxbench gate [OPTIONS] [HEAD]")
    assert "ptxbench gate audit" in gate.out
    assert audit.out.startswith("Usage: ptxbench gate audit [OPTIONS]")
    assert "Exit status: 0 every target is met" in audit.out
    assert gate.status == audit.status == 0


REFUSED = [
    (("--suites", "0"), "0 is not in the range x>=1"),
    (("--seed", "-1"), "-1 is not in the range x>=0"),
    (("--sythetic",), "No such option"),
    (("latest",), "Got unexpected extra argument"),
    (("--runs", "nowhere"), "'nowhere' does not exist"),
    (("--config", "nowhere.toml"), "Cannot read nowhere.toml: No such file or directory."),
    (("--mutants", "--edit", "no such"), "no such"),
    (("--mutants", "--pair", "trade"), "triad"),
    (("--mutants", "--kernels", "."), "no pairs"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_bad_input_is_a_usage_error_that_names_it(ptxbench, arguments, message):
    ran = ptxbench("gate", "audit", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err


# ---- synthetic


def test_the_synthetic_part_prints_its_tables_and_targets_and_nothing_else(ptxbench):
    ran = ptxbench(*SYNTHETIC)
    assert (ran.status, ran.err) == (0, "")
    assert "Seeded suites: 2 of each noise, seed 1." in ran.out
    assert "ratio: 24 kernels, all changed, budget 5 %" in ran.out
    assert "time: 24 kernels, one of them changed, budget 15 %" in ran.out
    assert ran.out.splitlines()[-1].rstrip() == "Audit: 32 of 32 targets met (exit status 0)."
    assert "counters" not in ran.out


def test_as_json_it_has_every_count(ptxbench):
    ran = ptxbench(*SYNTHETIC, "--json")
    document = json.loads(ran.out)
    assert (document["schema"], document["exit_status"], ran.status) == ("ptxbench.audit/2", 0, 0)
    assert document["stored"] is document["mutants"] is None
    first = document["synthetic"]["lines"][0]
    assert (first["mode"], first["noise"], first["rounds"], first["kernels"]) == ("ratio", "quiet", 5, 24)
    assert first["false_alarms"] == {
        "events": 0, "trials": 2, "share": 0.0, "true_share_at_most": pytest.approx(1 - 0.05**0.5),
    }  # fmt: skip
    assert [miss["slowdown"] for miss in first["missed"]] == [0.01, 0.02, 0.03, 0.05, 0.1, 0.2]
    assert len(document["synthetic"]["lines"]) == 18
    assert ptxbench(*SYNTHETIC, "--json").out == ran.out  # the same seed, the same audit
    assert ptxbench(*SYNTHETIC, "--json", "--seed", "2").out != ran.out


def test_a_target_that_is_not_met_is_status_3(ptxbench):
    Path("tight.toml").write_text("version = 1\n[gate]\ntime_budget = 0.02\n")
    ran = ptxbench("gate", "audit", "--synthetic", "--suites", "5", "--config", "tight.toml")
    assert ran.status == 3
    assert "budget 2 %" in ran.out
    assert "NOT MET" in ran.out


def test_the_config_of_the_folder_is_not_used_unless_it_is_named(ptxbench):
    Path("ptxbench.toml").write_text("version = 1\n[gate]\nbudget = 0.5\n")
    assert "budget 5 %" in ptxbench(*SYNTHETIC).out
    assert "budget 50 %" in ptxbench(*SYNTHETIC, "--config", "ptxbench.toml").out


# ---- stored runs


def test_too_few_stored_runs_give_status_5_and_are_listed(ptxbench):
    assert ptxbench("gate", "audit", "--runs", ".").status == 5
    for i in range(5):
        save(run(i), Path("results"))
    ran = ptxbench("gate", "audit", "--runs", "results")
    assert (ran.status, ran.out) == (5, "")
    assert ran.err == (
        "Error: An audit of stored runs takes 6 runs and 60 rounds on 2 days, of one GPU model and the same code. "
        "Found: NVIDIA H100 80GB HBM3: 5 runs, 50 rounds, 2 days. Run more: ptxbench run --backend gpu --rounds 10.\n"
    )


def test_stored_runs_are_judged_against_each_other(ptxbench):
    for i in range(6):
        save(run(i), Path("results"))
    save(run(6, device={"name": "NVIDIA A100"}), Path("results"))
    Path("results/calibration.json").write_text("{}")  # no run
    ran = ptxbench("gate", "audit", "--runs", "results")
    assert ran.status == 0
    assert ran.err == "Skipped, not enough runs: NVIDIA A100: 1 run, 10 rounds, 1 day.\n"
    assert "Stored runs of NVIDIA H100 80GB HBM3: 6 runs, 60 rounds, 2 days. 6 independent runs make 30" in ran.out
    [stored] = json.loads(ptxbench("gate", "audit", "--runs", "results", "--json").out)["stored"]
    assert len(stored["runs"]) == 6
    assert stored["lines"][0]["false_alarms"]["trials"] == 30
    assert stored["lines"][0]["false_alarms_apart"]["trials"] == 3


def test_a_truncated_stored_run_is_named(ptxbench):
    path = save(run(0), Path("results"))
    path.write_text(path.read_text()[:1000])
    ran = ptxbench("gate", "audit", "--runs", "results")
    assert ran.status == 2
    assert path.name in ran.err


# ---- mutants


def test_mutants_are_caught_and_neutral_edits_pass(ptxbench, transpose):
    edits = ("--edit", "an extra barrier", "--edit", "registers renamed")
    ran = ptxbench("gate", "audit", "--mutants", "--kernels", transpose, *edits)
    assert (ran.status, ran.err) == (0, "")
    assert "Audit: 2 of 2 edits judged correctly (exit status 0)." in ran.out
    outcomes = json.loads(ptxbench("gate", "audit", "--mutants", "--kernels", transpose, *edits, "--json").out)[
        "mutants"
    ]
    assert [
        (outcome["edit"], outcome["neutral"], outcome["code"], outcome["failing"], outcome["holds"])
        for outcome in outcomes
    ] == [
        ("an extra barrier", False, 3, ["ptx_barriers"], True),
        ("registers renamed", True, 0, [], True),
    ]


def test_a_kernel_that_cannot_be_read_is_reported_with_status_4(ptxbench, transpose):
    path = Path(transpose) / "ptx/transpose.ptx"
    text = path.read_text()
    for bad, message in (
        (text.replace(".reg", ".rog", 1), "'.rog' is not a directive"),
        (f"µ\n{text}", ":1: column 1 is 'µ'"),
    ):
        path.write_text(bad)
        ran = ptxbench("gate", "audit", "--mutants", "--kernels", transpose)
        assert (ran.status, ran.out) == (4, "")
        assert "transpose.ptx" in ran.err
        assert message in ran.err


def test_if_all_mutants_were_skipped_there_is_no_verdict(ptxbench, transpose):
    ran = ptxbench("gate", "audit", "--mutants", "--kernels", transpose, "--edit", "registers spilled")
    assert ran.status == 5
    assert "Audit: 0 of 0 edits judged correctly (exit status 5)." in ran.out


def test_without_a_chosen_part_both_are_done(ptxbench, transpose):
    ran = ptxbench("gate", "audit", "--suites", "1", "--kernels", transpose, "--edit", "other comments")
    assert "32 of 32 targets met, 1 of 1 edits judged correctly (exit status 0)." in ran.out


@pytest.mark.long
def test_ctrl_c_ends_it_with_130_and_without_a_traceback():
    program = "import sys; from ptxbench.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "gate", "audit", "--synthetic", "--suites", "100000"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert "Traceback" not in err
