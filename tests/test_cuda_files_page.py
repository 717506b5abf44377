"""docs/cuda-files.md: its file and its commands work, and what it says of names and messages is so."""

import re
import shlex
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "cuda-files.md").read_text(encoding="utf-8")
SOURCE = re.search(r"^```cuda\n(.*?)^```", PAGE, re.M | re.S)[1]
COMMANDS = [shlex.split(line)[1:] for line in re.search(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)[1].splitlines()]
SHOWN = {
    "exec": r"blas::axpy<float, 2>  axpy\.cu .*\ncompiled by NVRTC [\d.]+, without host\s+code \(lines 20-28\)",
    "show": r"void blas::axpy<double, 4>|axpy\.cu",
    "arch": r"blas::axpy<float, 1>",
}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("axpy.cu").write_text(SOURCE)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_the_commands_of_the_page_work(words, file, ptxbench):
    ran = ptxbench(*words)
    assert (ran.status, ran.err) == (0, "")
    assert re.search(SHOWN[words[0]], ran.out)


def test_a_template_without_an_instantiation_is_listed_with_an_example(file, ptxbench, monkeypatch):
    monkeypatch.setattr("ptxbench.toolchain.nvcc.host_compiler", lambda: None)
    ran = ptxbench("exec", "axpy.cu")
    assert ran.err in PAGE


def test_nvcc_instantiates_what_the_host_code_launches(file, ptxbench):
    ran = ptxbench("exec", "axpy.cu", "--grid", "2", "--block", "256", "--json", "--arg", "f32[1000]=iota",
                   "--arg", "f32[1000]=1", "--arg", "f32=3", "--arg", "u32=1000")  # fmt: skip
    assert '"compiler": "nvcc ' in ran.out
    assert '"name": "blas::axpy<float, 2>"' in ran.out
    assert '"max": 2998.0' in ran.out
