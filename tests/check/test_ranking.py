"""Which of several candidates comes first; and which files have changed."""

import os

from ptxbench.check.findings import Judgement, StageResult, finding, from_document, to_document
from ptxbench.check.ranking import ranked
from ptxbench.check.watch import changes


def accepted(name, sectors, instructions, time=None):
    ratios = {"cuda": {"sectors": 1.0, "instructions": 1.0} | ({"time": time} if time else {})}
    compared = {"candidate": {"sectors": sectors, "instructions": instructions}}
    return Judgement(name, "0", "ptx", "triad", "sm_90", 1, compared=compared, ratios=ratios)


def ended(name, stage, code):
    verdict = "unjudged" if code == "unsupported" else "rejected"
    stages = (StageResult("parses", "passed", "", 0.0), StageResult(stage, verdict, "", 0.0))
    return Judgement(name, "0", "ptx", "triad", "sm_90", 1, stages, (finding(stage, code, "no"),))


def names(*judgements):
    return [each.file for each in ranked(judgements)]


def test_fewer_sectors_come_first_and_then_fewer_instructions():
    assert names(accepted("a", 20, 5), accepted("b", 10, 9), accepted("c", 10, 7)) == ["c", "b", "a"]


def test_times_decide_where_all_have_one():
    assert names(accepted("a", 10, 5, 0.9), accepted("b", 20, 9, 0.8)) == ["b", "a"]
    assert names(accepted("a", 10, 5, 0.9), accepted("b", 20, 9)) == ["a", "b"]


def test_the_rejected_come_last_those_that_came_furthest_before_the_others():
    one, two = ended("one", "signature", "no-entry"), ended("two", "results", "wrong-result")
    three, four = ended("three", "results", "unsupported"), accepted("four", 99, 99)
    assert names(one, two, three, four) == ["four", "three", "two", "one"]


def test_a_judgement_comes_back_from_its_document_as_it_was():
    for judgement in (accepted("a", 1, 2, 0.5), ended("b", "results", "wrong-result")):
        assert from_document(to_document(judgement)) == judgement


def test_all_files_are_looked_at_first_and_then_those_that_change(tmp_path):
    one, two = tmp_path / "one.ptx", tmp_path / "two.ptx"
    one.write_text("1")
    two.write_text("2")
    steps = iter([
        lambda: None,
        lambda: two.write_text("22"),
        lambda: one.unlink(),
        lambda: None,
        lambda: one.write_text("1111"),
        lambda: os.utime(two, ns=(1, 1)),
    ])  # fmt: skip
    looked = changes(lambda: [one, two], lambda: next(steps)())
    assert [next(looked) for _ in range(4)] == [(one, two), (two,), (one,), (two,)]
