"""The ranking of candidates, the text on their counts, and the detection of changed files."""

import dataclasses
import io
import os

import pytest
from rich.console import Console

from ptxbench.check.findings import Judgement, StageResult, finding
from ptxbench.check.machine_code import ratio
from ptxbench.check.ranking import places, ranked
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.watch import changed_files
from ptxbench.executed import Executed
from ptxbench.terminal.check import JudgementReport, Ranking, verdict_words
from tests.check.judging import KERNELS, suite


def executions(least, most=None):
    return Executed(least, least, most or least, reason="it depends on the data" if most else None).document()


def accepted(name, sectors, executed, time=None, most=None, instructions=1):
    """A candidate that executes `executed` machine instructions, or up to `most`."""
    ratios = {"cuda": {"sectors": 1.0, "instructions": 1.0} | ({"time": time} if time else {})}
    compared = {"candidate": {"sectors": sectors, "instructions": instructions}}
    executed_by = {"candidate": executions(executed, most)}
    return Judgement(name, "0", "ptx", "triad", "sm_90", 1, compared=compared, ratios=ratios, executed=executed_by)


def ended(name, stage, code):
    verdict = "unjudged" if code == "unsupported" else "rejected"
    stages = (StageResult("parses", "passed", "", 0.0), StageResult(stage, verdict, "", 0.0))
    return Judgement(name, "0", "ptx", "triad", "sm_90", 1, stages, (finding(stage, code, "no"),))


def names(*judgements):
    return [judgement.file for judgement in ranked(judgements)]


def test_fewer_sectors_come_first_and_then_fewer_instructions():
    assert names(accepted("a", 20, 5), accepted("b", 10, 9), accepted("c", 10, 7)) == ["c", "b", "a"]


def test_fewer_ptx_instructions_do_not_rank_candidates():
    assert names(accepted("a", 10, 9, instructions=1), accepted("b", 10, 7, instructions=5)) == ["b", "a"]


@pytest.mark.parametrize(
    ("ends", "order", "expected"),
    [
        ([(100, 100), (101, 103), (104, 104)], "abc", [1, 2, 3]),
        ([(101, 103), (100, 101), (103, 103), (104, 104)], "bacd", [1, 1, 1, 4]),  # each overlaps with the next
        ([(100, 105), (200, 200), (300, 300)], "bca", [1, 2, None]),  # over 4 % wide: no rank
        ([(100, 100), (100, 100)], "ab", [1, 1]),
        ([(100, 900), (50, 90)], "ab", [None, None]),
    ],
)
def test_ranges_that_overlap_or_are_wide_do_not_rank(ends, order, expected):
    best = ranked([accepted(name, 10, *pair[:1], most=pair[1]) for name, pair in zip("abcd", ends, strict=False)])
    assert "".join(judgement.file for judgement in best) == order
    assert places(best) == expected
    behind = [*best, accepted("z", 20, 1, most=900), ended("y", "results", "wrong-result")]
    assert places(behind) == [*expected, len(ends) + 1, None]  # its sectors tell it apart from all others


def test_a_ratio_is_a_range_where_either_number_is_one():
    assert ratio(executions(300), executions(200)) == 1.5
    assert ratio(executions(300), executions(100, 200)) == [1.5, 3.0]
    assert ratio(executions(100, 200), executions(100, 200), same_code=True) == 1.0
    assert ratio(Executed(reason="it waits").document(), executions(200)) is None
    assert ratio(executions(0), Executed(0, 0, 0).document()) is None


def printed(renderable):
    console = Console(file=(file := io.StringIO()), width=100, color_system=None)
    console.print(renderable)
    return " ".join(file.getvalue().split())


def test_machine_instructions_are_ranked_and_not_ptx_instructions():
    """`ptx.rows` has fewer PTX instructions than the CUDA C, and executes more machine instructions."""
    files = {name: KERNELS / "ptx" / f"{name}.ptx" for name in ("bigint_mul256", "bigint_mul256.rows")}
    plain, rows = (
        dataclasses.replace(
            Checker(suite("bigint_mul256"), path, CheckOptions()).judge(stages=("parses", "counts")), file=path.name
        )
        for path in files.values()
    )
    assert plain.verdict == rows.verdict == "accepted"
    assert rows.ratios["cuda"]["instructions"] < 0.6
    assert rows.ratios["ptx"]["instructions"] < 0.95
    least, most = rows.ratios["cuda"]["sass_executed"]
    assert 1.4 < least < most < 1.6
    assert rows.ratios["ptx"]["sass_executed"] > 2
    assert plain.ratios["ptx"] == {"sectors": 1.0, "instructions": 1.0, "sass_executed": 1.0}
    assert [entry.code for entry in rows.findings] == []  # no more than the variant of the same code
    assert "Compared with cuda: 1.000 × the global sectors, 1.4" in verdict_words(rows)
    assert "the machine instructions." in verdict_words(rows)
    assert ranked([rows, plain]) == [plain, rows]
    assert places([plain, rows]) == [1, 2]
    assert "PTX instr." not in printed(JudgementReport(rows)) + printed(Ranking([plain, rows]))
    assert "SASS executed" in printed(JudgementReport(rows))

    wide = {**rows.executed, "candidate": executions(10, 10_000)}
    silent = dataclasses.replace(
        rows,
        executed=wide,
        ratios={name: {**ratios, "sass_executed": [0.01, 0.9]} for name, ratios in rows.ratios.items()},
    )
    assert "machine instructions" not in verdict_words(silent)
    assert "candidate: a range of executed SASS: it depends on the data." in printed(JudgementReport(silent))
    assert "-: bigint_mul256.rows.ptx: not ranked" in printed(Ranking(ranked([silent, plain])))
    assert "1=: the counts of bigint_mul256.ptx, bigint_mul256.ptx do not differ." in printed(Ranking([plain, plain]))


def test_executing_more_than_any_variant_is_reported_only_for_narrow_ranges():
    checker = Checker(suite("bigint_mul256"), KERNELS / "ptx" / "bigint_mul256.ptx", CheckOptions())
    checker.ratios = {"cuda": {"sectors": 1.0, "sass_executed": [1.2, 1.3]}}
    checker.executed = {"candidate": executions(120, 124), "cuda": executions(100)}
    assert checker.least_ratios() == {"cuda": {"sectors": 1.0, "sass_executed": 1.2}}
    for wide in ("candidate", "cuda"):
        executed, checker.executed = checker.executed, {**checker.executed, wide: executions(100, 105)}
        assert checker.least_ratios() == {"cuda": {"sectors": 1.0}}
        checker.executed = executed


def test_times_decide_if_all_have_one():
    assert names(accepted("a", 10, 5, 0.9), accepted("b", 20, 9, 0.8)) == ["b", "a"]
    assert names(accepted("a", 10, 5, 0.9), accepted("b", 20, 9)) == ["a", "b"]
    rejected = ended("c", "results", "wrong-result")  # has none, and needs none
    judgements = [accepted("a", 20, 9, 0.8), accepted("b", 10, 5, 0.9), rejected]
    assert names(*judgements) == ["a", "b", "c"]
    assert places(judgements) == [1, 2, None]
    assert places([accepted("a", 10, 5, 0.9), accepted("b", 10, 5, 0.9)]) == [1, 2]  # by time, whatever the counts say


def test_rejected_candidates_come_last_with_those_that_passed_most_stages_first():
    one, two = ended("one", "signature", "no-entry"), ended("two", "results", "wrong-result")
    three, four = ended("three", "results", "unsupported"), accepted("four", 99, 99)
    assert names(one, two, three, four) == ["four", "three", "two", "one"]


def test_first_all_files_are_judged_and_then_those_that_change(tmp_path):
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
    looked = changed_files(lambda: [one, two], lambda: next(steps)())
    assert [next(looked) for _ in range(4)] == [(one, two), (two,), (one,), (two,)]
