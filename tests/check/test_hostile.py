"""Candidates that cheat or do harm, in `hostile/`: each says in its first lines at which stage it must be rejected."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from ptxbench import Judge
from tests.check.judging import SEED, judged, outcome

FOLDER = Path(__file__).with_name("hostile")
HONEST = (FOLDER / "honest.ptx").read_bytes()
FILES = sorted(FOLDER.iterdir())


def header_value(path, what):
    return re.search(rf"^// {what}: (.*)$", path.read_text(), re.M)[1]


def test_there_are_many_hostile_candidates_and_most_are_rejected():
    rejected = [path for path in FILES if header_value(path, "judged") != "accepted"]
    assert len(rejected) >= 50
    assert len({header_value(path, "judged") for path in rejected}) >= 25


@pytest.fixture(scope="module")
def judges():
    """The judge of each pair: candidates are forked one after the other from the same process, and are contained."""
    with ExitStack() as opened:
        pairs = {header_value(path, "pair") for path in FILES}
        yield {pair: opened.enter_context(Judge(pair, seed=SEED, arch="sm_90", backend="emulator")) for pair in pairs}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_hostile_candidate_is_rejected_at_the_stage_in_its_file(path, judges):
    judgement = judges[header_value(path, "pair")].judge(path)
    assert outcome(judgement) == header_value(path, "judged")
    assert all(finding.message and finding.hint for finding in judgement.findings)


def test_a_kernel_that_only_wastes_resources_is_a_warning():
    judgement = judged(FOLDER / "wastes.cu", "triad")
    line_of = {finding.code: finding.line for finding in judgement.findings}
    assert line_of.items() >= {"sleeps": 8, "uses-heap": 9, "stray-prefetch": 10}.items()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))])
@pytest.mark.parametrize("name", ["honest.ptx", "knows_the_sizes.ptx", "hides_nan.ptx", "dislikes_one_array.ptx"])
def test_a_hostile_candidate_is_rejected_with_any_seed(name, seed):
    path = FOLDER / name
    assert outcome(judged(path, "triad", seed=seed)) == header_value(path, "judged")


# replacements, and the outcome
MADE = [
    (b"", b"//" + b" " * (2 << 20), "parses file-too-large"),          # never read whole
    (b"ELEMENT:", b"{" * 5000 + b"ELEMENT:", "parses nested-too-deep"),
    (b"%i, %n;", b"%i, " + b"9" * 5000 + b";", "parses syntax"),       # Python refuses to read such a number
    (b"ELEMENT:", b"\x1b[2JELEMENT:", "parses not-ascii"),             # would clear the screen
    (b"ELEMENT:", b"\0ELEMENT:", "parses not-ascii"),
    (b"%more;", b"%more, %more<99999999999>;", "parses too-many-registers"),
    (HONEST, b"", "parses syntax"),
    (HONEST, b"\n" * 100_000, "parses syntax"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "end"), MADE)
def test_an_excessive_input_is_refused_before_any_tool_reads_it(right, wrong, end):
    assert outcome(judged(FOLDER / "honest.ptx", "triad", HONEST.replace(right, wrong, 1))) == end


def test_no_message_can_control_a_terminal():
    path = FOLDER / "does_not_compile.cu"
    text = path.read_bytes().replace(b"extern", b"#error \x1b[2J\nextern", 1)
    judgement = judged(path, "triad", text)
    assert outcome(judgement) == "parses does-not-compile"
    assert "?[2J" in judgement.decisive.message


def test_a_thousand_warnings_of_one_kind_are_reported_as_ten():
    reads = b"    mov.u32 %step, %clock;\n" * 1000
    judgement = judged(FOLDER / "honest.ptx", "triad", HONEST.replace(b"    ret;\n", reads + b"    ret;\n"))
    messages = [finding.message for finding in judgement.findings if finding.code == "reads-clock"]
    assert len(messages) == 10
    assert messages[-1].endswith("And 990 more of this code.")


def test_a_long_message_is_cut():
    name = b"x" * 100_000
    judgement = judged(FOLDER / "honest.ptx", "triad", HONEST.replace(b"[a]", b"[" + name + b"]", 1))
    assert judgement.verdict == "rejected"
    assert len(judgement.decisive.message) <= 1000
