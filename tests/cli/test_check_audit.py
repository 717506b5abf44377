"""`ptxbench check --audit` through the real command line: its table, its JSON, its exit statuses."""

import json

import pytest

from ptxbench.bugs import trial
from tests.folders import kernels_folder


@pytest.fixture
def kernels(tmp_path):
    return str(kernels_folder(tmp_path))


def test_the_table_and_the_json_name_the_caught_bugs(ptxbench, kernels):
    ran = ptxbench("check", "--audit", "scale", "--kernels", kernels, "--bugs", "1", "--edit", "comparison")
    assert ran.status == 0, ran.err
    assert "scale, PTX 1 1 100.0" in " ".join(ran.out.split())
    assert ran.out.endswith("Audit: 2 of 2 bugs caught (exit status 0).\n")
    document = json.loads(
        ptxbench("check", "--audit", "--kernels", kernels, "--bugs", "1", "--edit", "comparison", "--json").out
    )
    assert document["schema"] == "ptxbench.bugs/1"
    assert document["total"]["planted"] == document["total"]["caught"] == 2
    assert [(bug["language"], bug["kind"], bug["status"]) for bug in document["bugs"] if bug["stage"]] == [
        ("ptx", "comparison", "caught"),
        ("cuda", "comparison", "caught"),
    ]


def test_a_bug_that_was_not_caught_is_listed_and_ends_with_3(ptxbench, kernels, monkeypatch):
    monkeypatch.setattr(trial, "JUDGED", ("parses", "assembles", "signature"))
    ran = ptxbench("check", "--audit", "scale", "--kernels", kernels, "--bugs", "1", "--edit", "bound")
    assert ran.status == 3
    assert "MISSED scale.ptx:24: bound, %n to %n" in " ".join(ran.out.split())
    assert "0 of 2 bugs caught (exit status 3)" in ran.out


def test_a_mistake_gets_one_sentence(ptxbench, kernels):
    assert "Unknown pair 'scael'" in ptxbench("check", "--audit", "scael", "--kernels", kernels).err
    ran = ptxbench("check", "--audit", "scale", "--kernels", kernels, "--edit", "bounds")
    assert (ran.status, "Unknown kind of bug 'bounds'" in ran.err) == (2, True)
    assert "--audit" in ptxbench("check", "--help").out
    assert ptxbench("check", "--audit", "--help").out.startswith("Usage: ptxbench check --audit [OPTIONS] [PAIR]...")
