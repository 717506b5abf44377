"""A judgement and a ranking as they are printed, whole and on narrow terminals."""

import dataclasses
import io

import pytest
from rich.console import Console

from ptxbench.check.findings import Judgement, StageResult, finding
from ptxbench.executed import Executed
from ptxbench.terminal.check import JudgementReport, Ranking, verdict_words

FIGURES = {"registers": 23, "spill_bytes": 0, "shared_bytes": 64, "sass": 282, "occupancy": 1.0, "sectors": 10_000,
           "instructions": 17_568, "wavefronts": 128, "atomics": 0, "divergent": 12}  # fmt: skip

ACCEPTED = Judgement(
    "mine.ptx", "0", "ptx", "softmax", "sm_90", 7,
    stages=(
        StageResult("parses", "passed", "102 instructions", 0.01),
        StageResult("lint", "warned", "1 found", 0.0),
        StageResult("time", "skipped", "no GPU", 0.0),
    ),
    findings=(finding("lint", "reads-clock", "%clock is a clock.", 48, 5),),
    compared={"candidate": FIGURES, "cuda": FIGURES | {"registers": 25, "spill_bytes": 8}, "ptx": FIGURES},
    ratios={
        "cuda": {"sectors": 1.0, "instructions": 0.856, "sass_executed": [0.605, 0.61]},
        "ptx": {"sectors": 1.0, "instructions": 1.0, "sass_executed": None},
    },
    executed={
        "candidate": Executed(12_605, 12_605, 12_700).document(),
        "cuda": Executed(20_836, 20_836, 20_836).document(),
        "ptx": Executed(reason="it waits for a flag").document(),
    },
    notes=("sanitizer: race check not available: line 9 uses mbarrier.init",),
)  # fmt: skip

REJECTED = Judgement(
    "bad.cu", "0", "cuda", "softmax", "sm_90", 7,
    stages=(StageResult("parses", "rejected", "does not compile", 0.1),),
    findings=(finding("parses", "does-not-compile", 'identifier "x" is undefined', 3),),
)  # fmt: skip


def printed(renderable, width=100, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="\n")
    Console(file=file, width=width, highlight=False).print(renderable)
    file.flush()
    return "\n".join(line.rstrip() for line in file.buffer.getvalue().decode(encoding).splitlines()) + "\n"


def test_an_accepted_candidate_is_printed_whole():
    assert (
        printed(JudgementReport(ACCEPTED))
        == """\
mine.ptx  PTX against 'softmax', sm_90, seed 7

✔ parses 102 instructions
! lint   1 found
- time   no GPU

! reads-clock  mine.ptx:48:5
  %clock is a clock.
  Remove it.

           regs  spills  shared  SASS  occup.    SASS executed  sectors  wavefronts  divergent
variant               B       B             %
──────────────────────────────────────────────────────────────────────────────────────────────
candidate    23       0      64   282     100  12,605 - 12,700   10,000         128         12
cuda         25       8      64   282     100           20,836   10,000         128         12
ptx          23       0      64   282     100                -   10,000         128         12

ptx: no number of executed SASS: it waits for a flag.

Note: sanitizer: race check not available: line 9 uses mbarrier.init.

✔ mine.ptx: accepted. Compared with cuda: 1.000 × the global sectors, 0.605 - 0.610 × the machine
  instructions. Compared with ptx: 1.000 × the global sectors.
"""
    )


def test_without_machine_code_the_figures_are_of_the_ptx_and_no_sentence_uses_them():
    executed = dict.fromkeys(ACCEPTED.executed, Executed(reason="ptxas is not installed").document())
    ratios = {"cuda": {"sectors": 1.0, "instructions": 0.856, "sass_executed": None}}
    text = printed(JudgementReport(dataclasses.replace(ACCEPTED, executed=executed, ratios=ratios)))
    assert "PTX instr." in text
    assert "candidate, cuda and ptx: no number of executed SASS: ptxas is not installed." in text
    assert text.endswith("accepted. Compared with cuda: 1.000 × the global sectors.\n")


def test_a_rejected_one_has_no_figures():
    assert (
        printed(JudgementReport(REJECTED))
        == """\
bad.cu  CUDA C against 'softmax', sm_90, seed 7

✘ parses does not compile

✘ does-not-compile  bad.cu:3
  identifier "x" is undefined
  Correct the line in the message.

✘ bad.cu: rejected at stage parses: does-not-compile.
"""
    )


@pytest.mark.parametrize("width", [100, 80, 60])
@pytest.mark.parametrize("renderable", [JudgementReport(ACCEPTED), Ranking([ACCEPTED, REJECTED])])
def test_nothing_is_wider_than_the_terminal_and_no_figure_is_cut(renderable, width):
    lines = printed(renderable, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)


def test_a_terminal_without_marks_has_words():
    text = printed(JudgementReport(ACCEPTED), encoding="ascii")
    assert "ok parses" in text
    assert "x parses" in printed(JudgementReport(REJECTED), encoding="ascii")


def test_a_time_replaces_the_counts_in_the_last_line_and_has_a_column_in_a_ranking():
    timed = dataclasses.replace(ACCEPTED, ratios={"cuda": {**ACCEPTED.ratios["cuda"], "time": 0.912}})
    assert verdict_words(timed) == "accepted. Compared with cuda: 0.912 × the time."
    ranking = printed(Ranking([timed, REJECTED]))
    assert ranking.splitlines()[1].count("× cuda") == 3
    assert [line.split() for line in ranking.splitlines()[3:]] == [
        ["1", "mine.ptx", "✔", "accepted", "0.912", "1.000", "0.605", "-", "0.610", "23"],
        ["bad.cu", "✘", "parses:", "does-not-compile", "-", "-", "-", "-"],
    ]


def test_a_candidate_that_could_not_be_judged_is_reported():
    unjudged = dataclasses.replace(
        REJECTED,
        stages=(StageResult("results", "unjudged", "n=1", 0.0),),
        findings=(finding("results", "unsupported", "no mapa"),),
    )
    assert verdict_words(unjudged) == "could not be judged at stage results: unsupported."
    assert verdict_words(dataclasses.replace(ACCEPTED, ratios={})) == "accepted."
