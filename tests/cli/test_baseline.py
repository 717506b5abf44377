"""`ptxbench baseline`: which runs may be one, what its file holds, and that it is written completely or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ptxbench.result import from_json, save, to_json
from ptxbench.run_info import SourceInfo
from tests.cli.test_gate import BASE, EMPTY, TIMED, WORSE, after, counted
from tests.runs import Kernel, Sampling, timed_run

PATH = Path("baselines/emulator-sm_90.json")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def saved(run):
    Path("run.json").write_text(to_json(run))
    return "run.json"


def put(ptxbench, run, reason="it begins"):
    return ptxbench("baseline", "set", saved(run), "--reason", reason)


def test_a_baseline_is_set_and_gated_against(ptxbench):
    assert put(ptxbench, BASE) == (0, f"Wrote {PATH}. It is the first baseline of this device.\n", "")
    assert ptxbench("gate", saved(BASE)).status == 0
    assert ptxbench("gate", saved(WORSE)).status == 3
    assert ptxbench("gate", saved(WORSE), "--base", PATH).status == 3  # a baseline is a run like any other
    ran = put(ptxbench, WORSE, "issue 7 needs a barrier")
    assert (ran.status, ran.out.startswith(f"Wrote {PATH}. Compared with the current baseline: 1 REGRESSED, ")) == (
        0,
        True,
    )
    assert ptxbench("gate", saved(WORSE)).status == 0
    assert json.loads(PATH.read_text())["baseline"]["reason"] == "issue 7 needs a barrier"


@pytest.mark.parametrize("run", [BASE, TIMED])
def test_a_baseline_gives_the_verdicts_of_the_run_that_it_was_made_from(ptxbench, run):
    put(ptxbench, run)
    [path] = Path("baselines").glob("*.json")
    for head in (WORSE, TIMED, BASE):
        gated = [json.loads(ptxbench("gate", saved(head), "--base", base, "--json").out) for base in (path, "b.json")
                 if base == path or Path("b.json").write_text(to_json(run))]  # fmt: skip
        for document in gated:
            for row in document["rows"]:
                del row["next"]  # a command that names the base
        assert gated[0] == gated[1]


def test_a_baseline_has_one_count_per_line_and_only_what_verdicts_need(ptxbench):
    put(ptxbench, BASE)
    text = PATH.read_text()
    assert '      "ptx_barriers": 64\n' in text
    assert '"grid": [ 64, 1, 1 ],\n' in text
    for left_out in ('"log"', "argv", "cpu"):
        assert left_out not in text
    assert from_json(text, "b").run.id == "ba5e0001"


REFUSED = [
    (replace(BASE, run=replace(BASE.run, confirms="4ead0001")), "It is a confirmation of 4ead0001."),
    (replace(BASE, source=SourceInfo("c0ffee", dirty=True)), "Its kernels were not committed"),
    (counted({"triad": after(status="wrong"), "scan": after(status="broken")}),
     "triad ptx is wrong, scan ptx is broken."),
    (EMPTY, "It has no verified kernel."),
    (replace(BASE, run=replace(BASE.run, status="interrupted")), "It is incomplete: its status is interrupted."),
    (replace(TIMED, cells=[replace(TIMED.cells[0], labels=["BIASED"])]), "BIASED: the run's control"),
    (timed_run(1, {("triad", 64): {"cuda": Kernel(50), "ptx": Kernel(45)}}, Sampling(rounds=4)),
     "It has 4 rounds; at least 5"),
    (replace(TIMED, cells=[replace(TIMED.cells[0], pair="scan", rounds=TIMED.cells[0].rounds[:4]), *TIMED.cells]),
     "It has 4 rounds; at least 5"),
    (replace(BASE, run=replace(BASE.run, sweep={})), "It is a sweep of ptxbench tune"),
    (replace(BASE, cells=[replace(cell, cache="warm") for cell in BASE.cells]), "It was timed with a warm L2"),
]  # fmt: skip


@pytest.mark.parametrize(("run", "message"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_a_run_that_cannot_be_a_baseline_is_refused_and_the_old_one_stays(ptxbench, run, message):
    put(ptxbench, BASE)
    before = PATH.read_text()
    for ran in (put(ptxbench, run), ptxbench("baseline", "check", saved(run))):
        assert (ran.status, ran.out) == (2, "")
        assert ran.err.startswith(f"Error: Run {run.run.id} cannot be a baseline. {message}")
    assert [path.name for path in Path("baselines").iterdir()] == [PATH.name]
    assert PATH.read_text() == before


def test_a_damaged_baseline_is_not_overwritten_and_the_message_gives_advice(ptxbench):
    PATH.parent.mkdir()
    PATH.write_text('{"schema": ')
    ran = put(ptxbench, BASE)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.endswith("Restore the committed file, or delete it and set a new baseline.\n")
    PATH.unlink()
    assert put(ptxbench, BASE).status == 0


def test_a_baseline_needs_a_reason(ptxbench):
    ran = ptxbench("baseline", "set", saved(BASE))
    assert (ran.status, "Missing option '--reason'" in ran.err) == (2, True)
    assert put(ptxbench, BASE, " ").err.startswith("Error: The reason is empty.")
    assert not PATH.exists()


def test_check_writes_nothing(ptxbench):
    ran = ptxbench("baseline", "check", saved(BASE))
    assert ran == (0, f"Run ba5e0001 can be {PATH}. The device has no baseline yet.\n", "")
    assert not Path("baselines").exists()
    put(ptxbench, BASE)
    assert "Compared with the current baseline: 1 REGRESSED" in ptxbench("baseline", "check", saved(WORSE)).out


def test_show_lists_the_baselines_with_their_reasons(ptxbench):
    assert ptxbench("baseline", "show") == (
        2, "", "Error: There is no baseline in baselines. Make one: ptxbench baseline set RUN --reason TEXT.\n",
    )  # fmt: skip
    put(ptxbench, BASE)
    put(ptxbench, TIMED, "the first on a GPU")
    [emulator, gpu] = json.loads(ptxbench("baseline", "show", "--json").out)
    assert (emulator["file"], emulator["run"], emulator["reason"]) == (str(PATH), "ba5e0001", "it begins")
    assert (gpu["file"], gpu["ptxas"]) == ("baselines/nvidia-h100-80gb-hbm3.json", "13.2.78")
    ran = ptxbench("baseline", "show")
    assert ran.status == 0
    assert "the first on a GPU" in " ".join(ran.out.split())
    assert max(map(len, ran.out.splitlines())) <= 100


def test_a_baseline_is_not_treated_as_a_saved_run(ptxbench):
    save(BASE, Path("results/emulator-sm_90"))
    put(ptxbench, WORSE)
    assert ptxbench("gate", "latest", "--base", "latest").status == 0
