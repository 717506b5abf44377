"""Whether ptxas accepts a PTX text: an answer, or the reason for no answer."""

import re
import sys
from pathlib import Path

import pytest

from ptxbench.errors import AssembleError, TargetMismatch
from ptxbench.toolchain import legality, locate, ptxas

SOURCE = Path("kernel.ptx")


def text(body="ret;", target="sm_80"):
    return f".version 8.0\n.target {target}\n.address_size 64\n.visible .entry k()\n{{\n{body}\n}}\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))


def check(ptx, arch="sm_80", language="ptx"):
    return legality.check(ptx, SOURCE, language, arch)


def test_a_text_that_ptxas_accepts_is_legal():
    assert check(text()) == legality.Legality(None, None)


def test_a_text_that_ptxas_refuses_is_not_and_the_line_is_named():
    refusal = check(text("mov.u32 %r, 1;")).refusal
    assert isinstance(refusal, AssembleError)
    assert str(refusal).startswith("kernel.ptx:6: ")
    assert isinstance(check(text(target="sm_90")).refusal, TargetMismatch)


@pytest.mark.parametrize("body", ["ret;", "mov.u32 %r, 1;"])
def test_ptxas_is_started_once(body, monkeypatch):
    first = check(text(body))
    monkeypatch.setattr(ptxas, "run", lambda *arguments: pytest.fail("ptxas ran again"))
    assert str(check(text(body))) == str(first)


# the architecture and the PTX's target, the start of the reason for no answer; None: ptxas takes it
DROPPED = [
    ("sm_52", "sm_52", None),
    ("sm_52", "sm_50", None),
    ("sm_999", "sm_80", "ptxas "),
    ("sm_52a", "sm_50", "ptxas "),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "target", "unchecked"), DROPPED)
def test_for_an_architecture_that_ptxas_does_not_know_the_next_one_is_tried(arch, target, unchecked):
    checked = check(text(target=target), arch)
    assert checked.refusal is None
    assert checked.unchecked is None if unchecked is None else checked.unchecked.endswith(f"does not know {arch}")
    if unchecked is None:
        assert check(text("mov.u32 %r, 1;", target=target), arch).refusal


def test_a_later_target_than_an_architecture_that_ptxas_does_not_know_is_refused():
    refusal = check(text(target="sm_75"), "sm_52").refusal
    assert isinstance(refusal, TargetMismatch)
    assert re.fullmatch(r"kernel\.ptx:2: needs sm_75; ptxas [\d.]+ cannot assemble it for sm_52\.", str(refusal))


def test_without_ptxas_there_is_no_answer(monkeypatch):
    monkeypatch.setattr(locate, "program", lambda name: None)
    assert check(text()).unchecked.startswith("ptxas is not installed (pip install ")
    assert str(check(text(target="sm_90")).refusal) == "kernel.ptx:2: needs sm_90; ptxas cannot assemble it for sm_80."


def test_a_ptxas_that_takes_too_long_or_dies_has_no_answer(monkeypatch, tmp_path):
    tool = tmp_path / "ptxas"
    tool.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    tool.chmod(0o755)
    monkeypatch.setattr(locate, "program", lambda name: tool)
    monkeypatch.setattr(legality, "SECONDS", 0.2)
    assert check(text()).unchecked.startswith("ptxas stopped after 0.2 s")
    tool.write_text("#!/bin/sh\nkill -SEGV $$\n")
    assert check(text()).unchecked == "ptxas ended with status -11 without a message"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_text_for_which_ptxas_needs_too_much_memory_has_no_answer(monkeypatch):
    monkeypatch.setattr(legality, "SECONDS", 300)  # on a busy machine the time ends first
    declarations = "".join(f".reg .u32 r{i}_<100000>;\n" for i in range(5000))
    assert check(text(f"{declarations}ret;")).unchecked == "ptxas needs more than 2,048 MiB of memory for it"


def test_a_text_that_declares_too_many_registers_has_no_answer():
    assert check(text(".reg .u32 r<2147483647>;\nmov.u32 r9, 1;\nret;")).unchecked.startswith(
        "ptxas is not run on 2147483647 registers in one declaration"
    )
