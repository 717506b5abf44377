"""Which tools a judgement of new machine code starts."""

import os
import re
import secrets
from pathlib import Path

import pytest

from ptxbench import cache
from ptxbench.containment import tools
from ptxbench.toolchain import encodings, lines, locate
from tests.check.judging import KERNELS, judged, outcome

STAGES = ("parses", "assembles", "resources", "counts")
PATH = Path("candidate.ptx")


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The arguments of each tool that starts, by its name; what is made is not kept."""
    calls = []

    def run(tool, arguments, *rest, **settings):
        calls.append((tool.name, *arguments))
        return original(tool, arguments, *rest, **settings)

    original = tools.run
    judged(PATH, "triad", own_text().encode(), stages=STAGES)  # the pair's own kernels
    monkeypatch.setenv(cache.LAYER, str(tmp_path))
    monkeypatch.setattr(tools, "run", run)
    return calls


def own_text():
    return (KERNELS / "ptx" / "triad.ptx").read_text()


def new_text(statement):
    """The PTX of the pair with one more statement at its beginning."""
    return re.sub(r"^(?=\s+mov\.u32\s)", f"    {statement}\n", own_text(), count=1, flags=re.M)


def test_new_machine_code_starts_ptxas_once_and_no_nvdisasm(started):
    if encodings.encodings("sm_90").version != (installed := locate.version(lines.require("nvdisasm"))):
        pytest.skip(f"the tables of encodings are not of nvdisasm {installed}")
    text = new_text(f"nanosleep.u32 {secrets.randbelow(1_000_000)};")
    judgement = judged(PATH, "triad", text.encode(), stages=STAGES)
    assert outcome(judgement) == "accepted"
    assert judgement.executed["candidate"]["least"] > judgement.executed["ptx"]["least"]
    assert [name for name, *_ in started] == ["ptxas"]
    assert "-lineinfo" in started[0]


def test_an_instruction_that_no_table_has_starts_nvdisasm_once(started, monkeypatch):
    monkeypatch.setattr("ptxbench.toolchain.encodings.texts", lambda code, arch, version: None)
    text = new_text(f"nanosleep.u32 {secrets.randbelow(1_000_000)};")
    judgement = judged(PATH, "triad", text.encode(), stages=STAGES)
    assert judgement.executed["candidate"]["least"] > judgement.executed["ptx"]["least"]
    assert [name for name, *_ in started] == ["ptxas", "nvdisasm"]


def test_a_text_whose_results_are_wrong_starts_no_tool(started):
    judgement = judged(PATH, "triad", new_text("ret;").encode())
    assert outcome(judgement) == "results output-unwritten"
    assert started == []


def test_a_text_that_ptxas_refuses_is_refused_without_line_information(started):
    """So the message is that of `run`."""
    text = new_text(f".shared .b8 many[{300_000 + os.getpid()}];")
    assert outcome(judged(PATH, "triad", text.encode(), stages=STAGES)) == "assembles refused"
    assert ["-lineinfo" in call for call in started] == [True, False]
