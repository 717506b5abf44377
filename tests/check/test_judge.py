"""`ptxbench.Judge`, the reward, and the page about them: what it shows is executed."""

import dataclasses
import doctest
import inspect
import itertools
import json
import os
import re
from pathlib import Path

import pytest

import ptxbench
from ptxbench.check.findings import Judgement, finding
from ptxbench.check.judge import JudgeOptions
from ptxbench.errors import PairError, UsageError
from tests.folders import CUDA, PTX, kernels_folder

PAGE = Path(__file__).parents[2] / "docs" / "judging.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
WRONG = PTX.replace("mul.rn.f32", "add.rn.f32")
assert WRONG != PTX


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    with ptxbench.Judge("scale", kernels=kernels_folder(tmp_path_factory.mktemp("judge")), seed=7, jobs=2) as judge:
        yield judge


def test_every_example_of_the_page_is_true(ptxbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"`ptxbench (show [^`]*)`", PAGE.read_text(encoding="utf-8"))
    assert ptxbench(*command.split()).status == 0
    shown = "\n".join(block for block in BLOCKS if block.startswith(">>>"))
    examples = doctest.DocTestParser().get_doctest(shown, {}, PAGE.name, str(PAGE), 0)
    reports = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(examples, out=reports.append)
    assert len(examples.examples) > 8
    assert "".join(reports) == ""


@pytest.mark.long
def test_the_search_of_the_page_finds_a_better_kernel(judge):
    (program,) = (block for block in BLOCKS if not block.startswith(">>>"))
    assert sum(1 for line in program.splitlines() if line.strip()) <= 45
    names = {"__name__": "improve"}
    exec(compile(program, str(PAGE), "exec"), names)
    slow = PTX.replace("    ret;", "    bar.sync 0;\n    bar.sync 0;\n    bar.sync 0;\n    ret;")
    best, rewards = names["improve"](slow, judge, generations=1, children=3, seed=3)
    assert rewards == sorted(set(rewards))
    assert len(rewards) > 1
    assert len(best.splitlines()) < len(slow.splitlines())


def test_judgements_come_in_the_order_of_the_texts_and_few_texts_are_taken_ahead(judge):
    taken = []

    def texts():
        for number in itertools.count():
            taken.append(number)
            yield PTX if number == 1 else f"junk {number}"

    judgements = judge.judge_many(texts())
    assert [next(judgements).verdict for _ in range(4)] == ["rejected", "accepted", "rejected", "rejected"]
    judgements.close()
    assert len(taken) < 10
    assert judge.judge("junk").verdict == "rejected"  # a judge that was interrupted can be used again


class TwoWithGpus:
    """Workers that judge two candidates, the last one first, and then time those that are accepted."""

    together = 2

    def judge_all(self, candidates, task, begin):
        for number, candidate in reversed(list(enumerate(candidates))):
            wrong = () if candidate.content == b"right" else (finding("results", "trap", "It stopped."),)
            yield number, Judgement(candidate.content.decode(), None, "ptx", "scale", "sm_90", 7, findings=wrong)

    def time_all(self, accepted, timing, on_report):
        for number, (_, judgement) in reversed(list(enumerate(accepted))):
            yield number, dataclasses.replace(judgement, notes=("timed",))

    def close(self):
        pass


def test_with_gpus_some_texts_are_judged_and_timed_before_the_next_are_taken(kernels):
    taken = []

    def texts():
        for text in ("right", "right", "wrong", "right", "right", "right"):
            taken.append(text)
            yield text
        raise ValueError("no more texts")

    judge = ptxbench.Judge("scale", kernels=kernels, backend="emulator")
    judge.close()
    judge.workers, judge.timing = TwoWithGpus(), object()
    judgements = judge.judge_many(texts())
    received = [next(judgements)]
    assert len(taken) == 2
    with pytest.raises(ValueError, match="no more texts"):
        received.extend(judgements)
    assert [(one.file, one.notes) for one in received] == [
        (text, ("timed",) if text == "right" else ()) for text in taken
    ]


def test_the_functions_give_the_judgements_of_a_judge_and_leave_no_process(judge):
    options = {"pair": "scale", "kernels": judge.task.kernels, "seed": 7}
    before = children()
    unfinished = ptxbench.judge_many(itertools.repeat("junk"), **options)
    by_functions = [ptxbench.judge(WRONG, **options), next(unfinished)]
    unfinished.close()
    assert children() == before
    assert list(map(without_seconds, by_functions)) == [without_seconds(judge.judge(text)) for text in (WRONG, "junk")]


def children():
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def without_seconds(judgement):
    return dataclasses.replace(judgement, stages=[dataclasses.replace(stage, seconds=0) for stage in judgement.stages])


def test_the_functions_take_every_option_of_a_judge():
    assert JudgeOptions.__annotations__.keys() == inspect.signature(ptxbench.Judge).parameters.keys() - {"pair"}
    with pytest.raises(UsageError, match="Unknown pair 'scales'"):  # when it is called, not at the first judgement
        ptxbench.judge_many([PTX], "scales")


def test_a_text_of_each_kind_is_judged_under_its_name(judge, tmp_path):
    (tmp_path / "mine.ptx").write_text(WRONG)
    judgements = [judge.judge(tmp_path / "mine.ptx"), judge.judge(WRONG.encode()), judge.judge("junk", "cuda")]
    assert [judgement.file for judgement in judgements] == [str(tmp_path / "mine.ptx"), "candidate", "candidate"]
    assert [judgement.decisive.code for judgement in judgements] == ["wrong-result", "wrong-result", "does-not-compile"]


def test_the_judgement_is_the_one_of_the_command(judge, ptxbench, tmp_path):
    files = [tmp_path / name for name in ("right.ptx", "wrong.ptx", "right.cu")]
    for file, text in zip(files, (PTX, WRONG, CUDA), strict=True):
        file.write_text(text)
    options = ["--pair", "scale", "--kernels", judge.task.kernels, "--seed", "7", "--backend", "emulator"]
    ran = ptxbench("check", *files, *options, "--json-lines")
    by_file = {verdict["file"]: verdict for verdict in map(json.loads, ran.out.splitlines())}
    for file in files:
        own, command = json.loads(json.dumps(dataclasses.asdict(judge.judge(file)))), by_file[str(file)]
        for stage in (*own["stages"], *command["stages"]):
            stage["seconds"] = 0.0
        for entry in command["findings"]:
            del entry["severity"]  # follows from the code
        assert {key: command[key] for key in own} == own


def test_a_new_seed_is_another_judgement(judge, kernels):
    with ptxbench.Judge("scale", kernels=kernels) as other:
        before = other.seed
        other.renew_seed()
        assert other.judge(WRONG).seed == other.seed != before


# arguments of Judge, the error
MISTAKES = [
    ({"pair": "scales"}, UsageError, "Unknown pair 'scales'"),
    ({"pair": "scale", "jobs": 0}, UsageError, "jobs is 0; expected a whole number of at least 1"),
    ({"pair": "scale", "jobs": 2, "dask": "local"}, UsageError, "jobs is 2; with dask each worker judges one kernel. "),
    ({"pair": "scale", "arch": "hopper"}, UsageError, "Unknown architecture 'hopper'"),
    ({"pair": "scale", "arch": ["sm_90"]}, UsageError, r"Unknown architecture '\['sm_90'\]'"),
    ({"pair": "scale", "kernels": 3}, UsageError, "kernels is 3; expected the path of a folder"),
    ({"pair": None}, UsageError, "pair is None; expected the name of a pair"),
    ({"pair": "scale", "backend": "cpu"}, UsageError, "backend is 'cpu'; expected one of auto, gpu, emulator"),
    ({"pair": "scale", "flags": "--fmad=false"}, UsageError, r"flags is '--fmad=false'; expected a list, such as \["),
    ({"pair": "scale", "flags": [3]}, UsageError, "a value of flags is 3; expected a text"),
    ({"pair": "scale", "targets": "sm_90"}, UsageError, r"expected a list, such as \['sm_90'\]"),
    ({"pair": "scale", "sizes": {"n": 1}}, UsageError, r"expected a list, such as \[\{'n': 1\}\]"),
    ({"pair": "scale", "timeout": 0}, UsageError, "timeout is 0; expected a number above 0"),
    ({"pair": "scale", "memory_gib": 0.5}, UsageError, "memory_gib is 0.5; expected a number of at least 1"),
    ({"pair": "scale", "seed": "7"}, UsageError, "seed is '7'; expected a whole number of at least 0"),
    ({"pair": "scale", "thorough": "no"}, UsageError, "thorough is 'no'; expected True or False"),
    ({"pair": "scale", "rounds": True}, UsageError, "rounds is True; expected a whole number of at least 1"),
    ({"pair": "scale", "max_loop_iterations": 0}, UsageError, "max_loop_iterations is 0; expected a whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error", "message"), MISTAKES)
def test_a_mistake_is_reported_before_anything_is_judged(options, error, message, kernels):
    with pytest.raises(error, match=message):
        ptxbench.Judge(**{"kernels": kernels, **options})


def test_an_unknown_language_and_a_broken_pair_are_errors(judge, kernels):
    with pytest.raises(UsageError, match="A kernel is a text, or the path of a file; found int"):
        judge.judge(7)
    with pytest.raises(UsageError, match="unknown language 'c'; expected ptx or cuda"):
        judge.judge(PTX, "c")
    with pytest.raises(UsageError, match=r"language is \['ptx'\]; expected a text"):
        judge.judge(PTX, ["ptx"])
    pair = kernels / "pairs" / "scale.py"
    with ptxbench.Judge("scale", kernels=kernels) as other:
        pair.write_text(pair.read_text().replace("PAIR = ", "PAIR = missing or ", 1))
        with pytest.raises(PairError, match="missing"):
            other.judge(PTX)


def test_only_a_judgement_has_a_reward():
    with pytest.raises(UsageError, match=r"judgement is \[\]; expected a Judgement"):
        ptxbench.reward([])


# ---- the reward

RATIOS = {"cuda": {"sectors": 1.0, "sass_executed": 1.25}, "ptx": {"sectors": 1.0, "sass_executed": [2.0, 2.02]}}
SURE = {"least": 100, "most": 101}
ALL_SURE = dict.fromkeys(("candidate", "cuda", "ptx"), SURE)


def judged(codes=(), ratios=RATIOS, executed=ALL_SURE, seed=1):
    findings = tuple(finding("results" if code == "wrong-result" else "lint", code, "words") for code in codes)
    return Judgement("a.ptx", "", "ptx", "scale", "sm_90", seed, findings=findings, ratios=ratios, executed=executed)


# a judgement; correct, clean, fast, the basis of fast
REWARDS = [
    (judged(), (1, 1, 1 / 2.02, "sass_executed")),                           # the best variant, its worse end
    (judged(("sleeps", "uses-heap", "sleeps")), (1, 1 / 3, 1 / 2.02, "sass_executed")),      # two kinds of warnings
    (judged(("same-code", "slower-counts")), (1, 1, 1 / 2.02, "sass_executed")),             # no problem of the kernel
    (judged(("wrong-result",)), (0, 0, 0, None)),                             # wrong, however fast
    (judged(ratios={"cuda": {"sectors": 4.0, "sass_executed": 0.5}}), (1, 1, 0.25, "sectors")),   # the worse one
    (judged(ratios={"cuda": {"sectors": 0.5, "sass_executed": 0.5}}), (1, 1, 1, "sectors")),      # at most 1
    (judged(ratios={"cuda": {"sectors": 0.0}}), (1, 1, 1, "sectors")),
    (judged(ratios={"cuda": {"sectors": 1.0, "sass_executed": 9.0, "time": 1.25}}), (1, 1, 0.8, "time")),
    (judged(executed={**ALL_SURE, "candidate": {"least": 100, "most": 110}}), (1, 1, 1, "sectors")),  # too uncertain
    (judged(ratios={"cuda": {"sass_executed": None}}), (1, 1, None, None)),   # no figure
]  # fmt: skip


@pytest.mark.parametrize(("judgement", "parts"), REWARDS)
def test_a_reward_consists_of_its_parts(judgement, parts):
    reward = ptxbench.reward(judgement)
    assert dataclasses.astuple(reward) == pytest.approx(parts)
    correct, clean, fast, _ = parts
    assert reward.total == pytest.approx(0.5 * correct + 0.1 * clean + 0.4 * (fast or 0))
    assert all(0 <= part <= 1 for part in (reward.correct, reward.clean, reward.fast or 0, reward.total))


def test_a_kernel_that_cannot_be_judged_has_no_reward():
    assert ptxbench.reward(judged(("unsupported",))) is None


def test_the_best_known_kernel_may_be_another_candidate():
    tested = judged(ratios={"cuda": {"sectors": 1.0, "sass_executed": 0.8}})
    better = judged(ratios={"cuda": {"sectors": 1.0, "sass_executed": 0.4}})
    elsewhere = judged(ratios=better.ratios, seed=2)
    rejected = judged(("wrong-result",), ratios=better.ratios)
    fast = [
        ptxbench.reward(tested, among=others).fast
        for others in ((), (tested,), (elsewhere, rejected), (tested, better))
    ]
    assert fast == pytest.approx([1, 1, 1, 0.5])
    assert ptxbench.reward(better, among=(tested, better)).fast == 1


def test_a_range_of_another_candidate_counts_by_its_lower_end_and_one_that_is_too_wide_does_not_count():
    tested = judged(ratios={"cuda": {"sectors": 1.0, "sass_executed": 0.8}})
    ratios = {"cuda": {"sectors": 1.0, "sass_executed": [0.4, 0.6]}}
    uncertain = {**ALL_SURE, "candidate": {"least": 100, "most": 150}}
    assert ptxbench.reward(tested, among=[judged(ratios=ratios)]).fast == pytest.approx(0.5)
    assert ptxbench.reward(tested, among=[judged(ratios=ratios, executed=uncertain)]).fast == 1
