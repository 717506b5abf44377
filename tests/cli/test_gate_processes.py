"""Gates and baselines in processes of their own: at once, interrupted, and killed at the moments that matter."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ptxbench.errors import ResultError
from ptxbench.result import from_json, to_json
from tests.cli.test_gate import BASE, WORSE, commit

BASELINE = Path("baselines/emulator-sm_90.json")

MAIN = "from ptxbench.cli import main; sys.exit(main(sys.argv[1:]))"


def program(patch, deed="SIGKILL"):
    """A Python program that runs a command line, and sends itself a signal where `patch` has it do so."""
    return f"""
import os, signal, sys, time
from pathlib import Path
def die(*_, **__):
    os.kill(os.getpid(), signal.{deed})
    time.sleep(10)
def then_die(done):
    def both(*arguments, **options):
        done(*arguments, **options)
        die()
    return both
{patch}
{MAIN}
"""


def start(source, *arguments):
    command = [sys.executable, "-c", source, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture(autouse=True)
def no_server(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def whole_runs():
    """Every run and baseline below the folder is complete; files that begin with a dot are never read."""
    paths = [path for folder in ("results", "baselines") for path in Path(folder).rglob("*") if path.is_file()]
    seen = [path for path in paths if not path.name.startswith(".")]
    assert all(path.suffix == ".json" for path in seen), seen
    assert not any(path.suffix == ".json" for path in paths if path not in seen), paths
    return [from_json(path.read_text(), str(path)) for path in seen]


MOMENTS = {
    "while it verifies": "import ptxbench.runner.session as story; story.verify = die",
    "before its file is on disk": "os.fsync = die",
    "before its file has its name": "os.link = die",
    "once its file has its name": "os.link = then_die(os.link)",
}


@pytest.mark.long
def test_simultaneous_gates_and_a_killed_one_leave_complete_files(ptxbench, kernels):
    assert ptxbench("gate", "--kernels", kernels).status == 0
    assert commit(ptxbench, "latest").status == 0
    before = BASELINE.read_bytes()
    gates = [start(f"import sys; {MAIN}", "gate", "--kernels", kernels) for _ in range(3)]
    gates[2].send_signal(signal.SIGKILL)
    assert [ended(gate)[0] for gate in gates] == [0, 0, -signal.SIGKILL]
    assert len(whole_runs()) == 4  # two runs more, the first, and the baseline
    assert BASELINE.read_bytes() == before


def test_an_incomplete_file_would_be_noticed():
    write_runs()
    Path("results").mkdir()
    Path("results/a.json").write_text(Path("base.json").read_text()[:1000])
    with pytest.raises(ResultError):
        whole_runs()
    Path("results/a.json").rename("results/.a.json")
    with pytest.raises(AssertionError):  # a reader would take it for a run
        whole_runs()


@pytest.mark.long
def test_killed_gates_leave_complete_runs_and_an_unchanged_baseline(kernels, ptxbench):
    assert ptxbench("run", "--kernels", kernels, "--backend", "emulator").status == 0
    assert ptxbench("baseline", "set", "latest", "--reason", "first").status == 0
    before = BASELINE.read_bytes()
    gates = [start(program(patch), "gate", "--kernels", kernels) for patch in MOMENTS.values()]
    assert [ended(gate)[0] for gate in gates] == [-signal.SIGKILL] * len(MOMENTS)
    assert len(whole_runs()) == 3  # the first, its baseline, and the one of the gate that had named its file
    assert BASELINE.read_bytes() == before
    for command in (("gate", "--kernels", kernels), ("gate", "latest"), ("history",), ("baseline", "show")):
        ran = ptxbench(*command)
        assert (ran.status, "Skipped" in ran.err) == (0, False), ran


def test_an_interrupted_gate_ends_with_130_and_says_no_verdict(kernels):
    gate = start(
        program("import ptxbench.runner.session as story; story.verify = die", "SIGINT"), "gate", "--kernels", kernels
    )
    code, out, err = ended(gate)
    assert (code, out) == (130, "")
    assert "Interrupted. 0 of 1 cells are finished." in err
    assert whole_runs() == []


def test_a_gate_that_crashes_exits_with_1_which_means_no_verdict():
    Path("run.json").write_text(to_json(BASE))
    source = program("import ptxbench.verdict.gate as judge; judge.gate = None")
    code, out, err = ended(start(source, "gate", "run.json", "--base", "run.json"))
    assert (code, out) == (1, "")
    assert err.endswith("This is a bug in ptxbench: please report it with the lines above.\n")


# ---- baselines

RUNS = {"base.json": BASE, "worse.json": WORSE}


def write_runs():
    for name, run in RUNS.items():
        Path(name).write_text(to_json(run))


@pytest.mark.long
def test_baselines_that_are_set_simultaneously_leave_a_complete_one(ptxbench):
    write_runs()
    setters = [start(program(""), "baseline", "set", name, "--reason", name) for name in [*RUNS, *RUNS]]
    assert [ended(setter)[0] for setter in setters] == [0] * 4
    assert [path.name for path in BASELINE.parent.iterdir()] == [BASELINE.name]
    document = json.loads(BASELINE.read_text())
    name = document["baseline"]["reason"]
    ptxbench("baseline", "set", name, "--reason", name, "--baselines", "alone")
    alone = json.loads(Path("alone", BASELINE.name).read_text())
    assert document == alone


PUTTING = {
    "before its file is on disk": ("os.fsync = die", False),
    "before its file has its name": ("Path.replace = die", False),
    "once its file has its name": ("Path.replace = then_die(Path.replace)", True),
}


@pytest.mark.long
def test_a_baseline_that_is_killed_while_it_is_set_is_the_old_one_or_the_new_one(ptxbench):
    write_runs()
    for folder in PUTTING:
        assert ptxbench("baseline", "set", "base.json", "--reason", "old", "--baselines", folder).status == 0
    setters = [
        start(program(patch), "baseline", "set", "worse.json", "--reason", "new", "--baselines", folder)
        for folder, (patch, _) in PUTTING.items()
    ]
    assert [ended(setter)[0] for setter in setters] == [-signal.SIGKILL] * len(PUTTING)
    for folder, (_, done) in PUTTING.items():
        assert json.loads(Path(folder, BASELINE.name).read_text())["baseline"]["reason"] == ("new" if done else "old")
        assert ptxbench("gate", "worse.json", "--baselines", folder).status == (0 if done else 3)
        [shown] = json.loads(ptxbench("baseline", "show", "--json", "--baselines", folder).out)
        assert shown["file"] == f"{folder}/{BASELINE.name}"
