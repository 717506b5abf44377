"""Texts that a judge has judged: the same judgement at once, for the same task only."""

import dataclasses
import shutil
from contextlib import closing

import pytest

from ptxbench import discovery
from ptxbench.check import judged
from ptxbench.check.contained import CheckTask, ProcessLimits, judge_candidate
from ptxbench.check.findings import Judgement, StageResult, finding
from ptxbench.check.inputs import Candidate
from ptxbench.check.judged import Judgements, is_final, key_of
from ptxbench.check.judgement_process import ServerProcess
from ptxbench.check.stages import CheckOptions
from tests.folders import PAIR, changed, kernels_folder

KERNELS = discovery.default_kernels()
CANDIDATE = Candidate("mine.ptx", "ptx", b"no kernel\n")
TASK = CheckTask("triad", KERNELS, "sm_90", 1)

OTHERS = {
    "text": (dataclasses.replace(CANDIDATE, content=b"no kernel either\n"), TASK),
    "language": (dataclasses.replace(CANDIDATE, language="cuda"), TASK),
    "pair": (CANDIDATE, dataclasses.replace(TASK, pair="scan")),
    "architecture": (CANDIDATE, dataclasses.replace(TASK, arch="sm_80")),
    "seed": (CANDIDATE, dataclasses.replace(TASK, seed=2)),
    "options": (CANDIDATE, dataclasses.replace(TASK, settings=CheckOptions(thorough=True))),
    "limits": (CANDIDATE, dataclasses.replace(TASK, limits=ProcessLimits(seconds=1.0))),
}


def judgement(*findings, stage="parses"):
    stages = (StageResult(stage, "passed", "", 0.0),)
    return Judgement("a.ptx", "0", "ptx", "triad", "sm_90", 1, stages, findings)


@pytest.mark.parametrize("other", OTHERS)
def test_another_task_has_another_key(other):
    assert key_of(*OTHERS[other]) != key_of(CANDIDATE, TASK)


def test_the_key_does_not_depend_on_the_name_of_the_file():
    assert key_of(dataclasses.replace(CANDIDATE, file="yours.ptx"), TASK) == key_of(CANDIDATE, TASK)


def test_the_same_text_is_judged_in_one_process_only_until_the_pair_changes(tmp_path):
    kernels = tmp_path / "kernels"
    for path in KERNELS.glob("*/triad.*"):
        (kernels / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, kernels / path.parent.name)
    task = dataclasses.replace(TASK, kernels=kernels)
    processes, stages = [], []
    with closing(ServerProcess()) as server:
        first = judge_candidate(CANDIDATE, task, server, stages.append, processes.append)
        assert (first.verdict, len(processes)) == ("rejected", 1)
        repeated = judge_candidate(
            dataclasses.replace(CANDIDATE, file="yours.ptx"), task, server, stages.append, processes.append
        )
        assert repeated == dataclasses.replace(first, file="yours.ptx")
        assert (stages, len(processes)) == (["parses"] * 2, 1)
        with (kernels / "ptx" / "triad.ptx").open("a") as file:
            file.write("// changed\n")
        judge_candidate(CANDIDATE, task, server, started=processes.append)
        assert len(processes) == 2


def test_a_judgement_is_not_reused_if_the_pair_may_include_files_of_other_folders(tmp_path):
    pair = changed(PAIR, '["--use_fast_math"]', '[f"-I{FOLDER}"]').replace("BLOCK =", f"FOLDER = '{tmp_path}'\nBLOCK =")
    task = dataclasses.replace(TASK, pair="scale", kernels=kernels_folder(tmp_path, pair=pair))
    assert key_of(CANDIDATE, task) is None
    judgements = Judgements()
    judgements.add(None, judgement())
    assert judgements.get(None) is None
    assert not judgements.by_key


@pytest.mark.parametrize(
    ("code", "final"),
    [("syntax", True), ("time-limit", False), ("memory-limit", False), ("crashed", False), ("not-readable", False)],
)
def test_a_judgement_that_may_be_chance_is_not_reused(code, final):
    found = judgement(finding("parses", code, "why."))
    judgements = Judgements()
    judgements.add(("a",), found)
    assert is_final(found) is final
    assert judgements.get(("a",)) == (found if final else None)


def test_the_least_recently_used_judgement_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(judged, "MOST", 2)
    judgements = Judgements()
    for key in "ab":
        judgements.add(key, judgement())
    judgements.get("a")
    judgements.add("c", judgement())
    assert [judgements.get(key) is not None for key in "abc"] == [True, False, True]
