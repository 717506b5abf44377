"""The answers of a judgement's process, which a kernel that has taken it over may have written."""

import dataclasses
import io
import json
from pathlib import Path

import pytest

from ptxbench.check.answers import InvalidAnswer, read_answer
from ptxbench.check.contained import CheckTask, EndedWithEmulator, from_process
from ptxbench.check.findings import FIRST_LAUNCHES, Judgement, StageResult, finding, to_document
from ptxbench.check.inputs import Candidate
from ptxbench.errors import PairError
from ptxbench.toolchain import sha256

TASK = CheckTask("triad", Path("kernels"), "sm_90", 7)
CANDIDATE = Candidate("mine.ptx", "ptx", b"text")
EXECUTED = {"least": 1, "most": 2, "fit": 1, "whole": True, "anchors_off": 0, "reason": None}
OF_ANOTHER = Judgement(
    "other.cu", "00", "cuda", "scan", "sm_75", 1, (StageResult("lint", "warned", "2", 0.5),),
    (finding("lint", "sleeps", "nanosleep"),), {"ptx": {"registers": 22}}, {"ptx": {"sectors": 1.5}},
    {"candidate": EXECUTED},
)  # fmt: skip
DOCUMENT = json.loads(json.dumps(to_document(OF_ANOTHER)))
DONE = {"stage": "lint", "verdict": "passed", "detail": "", "seconds": 1.0}
FINDING = {"stage": "lint", "code": "sleeps", "line": 1, "column": None, "message": "", "hint": ""}


class Scripted:
    """A process that gives these answers."""

    ended_here = False

    def __init__(self, *answers):
        self.answers = answers

    def events(self):
        return (read_answer(json.dumps(answer).encode()) for answer in self.answers)

    def status(self):
        return 0

    def ended_by_others(self, status):
        return False

    def go_on(self):
        pass

    close = go_on


def judgement_of(*answers, separate=True):
    return from_process(
        Scripted(*answers), CANDIDATE, TASK, io.BytesIO(), lambda stage: None, lambda one: None, separate=separate
    )


INVALID = [
    # line                                                            words of the message
    (b"",                                                             "Expecting value"),
    (b"\xff",                                                         "utf-8"),
    (b"[1]",                                                          "expected an object, found [1]"),
    (b"[" * 100_000,                                                  ""),
    (b'{"begin": ' + b"[" * 200 + b"]" * 200 + b"}",                  "nested too deeply"),
    (b'{"begin": 1}',                                                 "begin: expected str, found 1"),
    (b'{"begin": "lunch"}',                                           "'lunch' is not known"),
    (b'{"ended": "nothing"}',                                         "'nothing' is not known"),
    (json.dumps({"done": DONE | {"seconds": "1"}}).encode(),          "seconds: expected float"),
    (json.dumps({"done": DONE | {"seconds": float("nan")}}).encode(), "NaN is not a finite number"),
    (b'{"done": {"stage": "lint"}}',                                  "the key 'verdict' is missing"),
    (json.dumps({"done": DONE | {"verdict": "great"}}).encode(),      "'great' is not known"),
    (json.dumps({"findings": [FINDING | {"code": "none"}]}).encode(), "'none' is not known"),
    (json.dumps({"findings": [FINDING | {"line": "1"}]}).encode(),    "line: expected int"),
    (json.dumps({"judgement": DOCUMENT | {"notes": 1}}).encode(),     "notes: expected a list"),
    (json.dumps({"judgement": DOCUMENT | {"compared": {"ptx": {"sectors": None}}}}).encode(),
     "'sectors' is None; expected a number"),
    (json.dumps({"judgement": DOCUMENT | {"ratios": {"ptx": {"sass_executed": [1]}}}}).encode(), "expected a number"),
    (json.dumps({"judgement": DOCUMENT | {"executed": {"candidate": {}}}}).encode(),
     "expected a number of executed instructions, found {}"),
    (json.dumps({"judgement": DOCUMENT | {"executed": {"candidate": EXECUTED | {"most": None}}}}).encode(), "one end"),
    (json.dumps({"judgement": DOCUMENT | {"ratios": [1]}}).encode(),  "ratios: expected an object"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), INVALID, ids=[words or "endless" for _, words in INVALID])
def test_what_is_not_an_answer_is_refused(line, words):
    with pytest.raises(InvalidAnswer) as refused:
        read_answer(line)
    assert words in str(refused.value)


def test_a_judgement_is_that_of_the_candidate_whatever_it_says():
    ratios = {"ptx": {"sectors": 1.5, "time": 0.1}}  # the process times nothing
    judgement = judgement_of({"judgement": DOCUMENT | {"ratios": ratios}})
    assert judgement == dataclasses.replace(
        OF_ANOTHER, file="mine.ptx", sha256=sha256(b"text"), language="ptx", pair="triad", arch="sm_90", seed=7
    )


def test_an_invalid_answer_gives_no_verdict_on_the_candidate():
    judgement = judgement_of({"begin": "results"}, {"begin": "parses", "done": 1})
    assert (judgement.verdict, judgement.decisive.code) == ("unjudged", "judge-failed")
    assert (
        judgement.decisive.message
        == "its process gave an invalid answer: the answer: done: expected an object, found 1."
    )


@pytest.mark.parametrize("answer", [{"error": "PairError", "message": "no"}, {"done": 1}], ids=["error", "invalid"])
def test_what_a_kernel_may_have_written_is_not_believed(answer):
    """Once it has run in the process, the kernel is judged again with the emulator in another one."""
    launched = {"begin": FIRST_LAUNCHES}, {"begin": "parses"}
    with pytest.raises(EndedWithEmulator):
        judgement_of(*launched, answer, separate=False)
    if "error" in answer:
        for before, separate in (((), False), (launched, True)):
            with pytest.raises(PairError, match="no"):
                judgement_of(*before, answer, separate=separate)
