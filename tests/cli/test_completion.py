"""What a TAB offers: by the answers to the shell's script, and once in a real bash."""

import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ptxbench.result import save
from ptxbench.toolchain import locate
from tests.cli.test_gate import BASE
from tests.folders import PAIR, changed


@pytest.fixture
def tab(ptxbench, monkeypatch):
    """The values that are offered after a line, whose last word is not finished; FILES for file names."""

    def tab(line):
        *words, _ = line.split(" ")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        monkeypatch.setenv("_PTXBENCH_COMPLETE", "bash_complete")
        ran = ptxbench()
        assert ran.err == ""
        return [value or kind.upper() for kind, _, value in (word.partition(",") for word in ran.out.split())]

    return tab


LINES = [
    # the line, what is offered
    ("ptxbench ru",                                            ["run"]),
    ("ptxbench baseline s",                                    ["set", "show"]),
    ("ptxbench run --kernels kernels ",                        ["scale"]),
    ("ptxbench run --kernels=kernels s",                       ["scale"]),
    ("ptxbench run soft",                                      ["softmax", "softmax.warp"]),
    ("ptxbench show soft",                                     ["FILE", "softmax", "softmax.warp"]),  # as typed
    ("ptxbench check --pair tria",                             ["triad", "triad.v8"]),
    ("ptxbench gate audit --pair tria",                        ["triad", "triad.v8"]),
    ("ptxbench check --audit tria",                            ["triad", "triad.v8"]),
    ("ptxbench run scale --kernels kernels --variant ",        ["cuda", "cuda@fast", "ptx"]),
    ("ptxbench run --kernels kernels --variant cuda@",         ["cuda@fast"]),    # before the pair
    ("ptxbench tune softmax --variant ptx.pa",                 ["ptx.passes"]),
    ("ptxbench run --columns time,rati",                       ["time,ratio"]),
    ("ptxbench history --metric rati",                         ["ratio"]),
    ("ptxbench arch --columns occ",                            ["occupancy"]),    # a list of its own
    ("ptxbench run --arch sm_90",                              ["sm_90", "sm_90a"]),
    ("ptxbench arch a.ptx --target sm_75",                     ["sm_75"]),
    ("ptxbench compare lat",                                   ["FILE", "latest", "latest~1"]),
    ("ptxbench gate --base aaaa",                              ["FILE", "aaaa0002", "aaaa0001"]),
    ("ptxbench report latest~",                                ["FILE", "latest~1"]),
    ("ptxbench view aaaa",                                     ["FILE", "aaaa0002", "aaaa0001"]),
    ("ptxbench baseline set --results nowhere lat",            ["FILE"]),
    ("ptxbench schema verd",                                   ["verdict"]),
    # nothing to offer, and no message
    ("ptxbench run --kernels nowhere ",                        []),
    ("ptxbench run --kernels README s",                        []),
    ("ptxbench nothing s",                                     []),
    ("ptxbench run 'x",                                        []),
]  # fmt: skip


@pytest.mark.parametrize(("line", "offered"), LINES)
def test_a_tab_offers_what_the_argument_takes(kernels, tab, line, offered):
    Path("README").write_text("a file")
    for identity, day in (("aaaa0001", "01"), ("aaaa0002", "02")):
        started = f"2026-02-{day}T12:00:00Z"
        save(replace(BASE, run=replace(BASE.run, id=identity, started=started)), Path("results"))
    candidates = tab(line)
    assert [candidate if candidate in offered else "FILE" if i == 0 and offered[:1] == ["FILE"] else candidate
            for i, candidate in enumerate(candidates)] == offered  # fmt: skip


def test_a_pair_file_is_not_executed_and_a_broken_one_offers_the_rest(kernels, tab):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, "BLOCK = 128", "raise SystemExit('executed')"))
    assert tab("ptxbench run --kernels kernels --variant ") == ["cuda", "cuda@fast", "ptx"]
    (kernels / "pairs" / "scale.py").write_text("PAIR = = Pair(")
    (kernels / "ptx" / "other.ptx").touch()
    assert tab("ptxbench run --kernels kernels ") == ["other", "scale"]
    assert tab("ptxbench run other --kernels kernels --variant ") == []


def test_without_ptxas_the_architectures_with_known_figures_are_offered(tab, monkeypatch):
    monkeypatch.setattr(locate, "program", lambda name: None)
    assert tab("ptxbench run --arch sm_12") == ["sm_120"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(ptxbench, monkeypatch, shell):
    monkeypatch.setenv("_PTXBENCH_COMPLETE", f"{shell}_source")
    ran = ptxbench()
    assert (ran.status, ran.err) == (0, "")
    assert "_ptxbench_completion" in ran.out


def test_an_unknown_shell_gets_nothing(ptxbench, monkeypatch):
    monkeypatch.setenv("_PTXBENCH_COMPLETE", "tcsh_source")
    assert ptxbench() == (1, "", "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_in_a_real_bash(tmp_path, kernels):
    Path("bin").mkdir()
    Path("bin/ptxbench").write_text(f'#!/bin/sh\nexec {sys.executable} -m ptxbench "$@"\n')
    Path("bin/ptxbench").chmod(0o755)
    script = """
        PATH=$PWD/bin:$PATH
        eval "$(_PTXBENCH_COMPLETE=bash_source ptxbench)"
        complete -p ptxbench
        COMP_WORDS=(ptxbench run --kernels kernels "")
        COMP_CWORD=4
        compopt() { :; }
        _ptxbench_completion ptxbench
        echo "${COMPREPLY[@]}"
    """
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == "complete -o nosort -F _ptxbench_completion ptxbench\nscale\n"
    assert ran.stderr == ""


@pytest.mark.parametrize("line", ["ptxbench run soft", "ptxbench run --variant c", "ptxbench run --columns t",
                                  "ptxbench run --arch sm_"])  # fmt: skip
def test_a_tab_answers_in_less_than_half_a_second(line):
    """In seconds of the processor, the least of some turns, so that other work on the machine does not matter."""
    own = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_PTXBENCH_COMPLETE": "bash_complete"}
    taken = []
    while len(taken) < 5 and not (taken and min(taken) < 0.5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "ptxbench"], env={**os.environ, **own}, check=True, stdout=subprocess.DEVNULL
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(taken) < 0.5
