"""`ptxbench check`: what is printed, as text and JSON, and how it ends."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ptxbench.check.findings import STAGES
from ptxbench.cli import check
from tests.folders import CUDA, PTX, changed

BROKEN = changed(PTX, "setp.ge.u32   %past, %i, %n;", "setp.gt.u32   %past, %i, %n;")
KEYS = ["file", "verdict", "stage", "code", "sha256", "language", "pair", "arch", "seed", "stages", "findings",
        "compared", "ratios", "targets", "notes"]  # fmt: skip
FAST = ("--pair", "scale", "--seed", "7", "--target", "sm_90")


def without_tools(text):
    """The text without what the tools' versions decide."""
    return re.sub(r"\d+\.\d+\.\d+", "V", text)


@pytest.fixture
def files(kernels, tmp_path):
    """A right candidate, a broken one, and one of another name."""
    texts = {"mine.ptx": PTX, "broken.ptx": BROKEN, "other.cu": CUDA.replace("void scale", "void scaled")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in texts]


def test_a_broken_candidate_is_printed_whole(ptxbench, kernels, files):
    ran = ptxbench("check", "broken.ptx", *FAST, "--kernels", kernels)
    assert (ran.status, ran.err) == (4, "")
    assert (
        "\n".join(line.rstrip() for line in without_tools(ran.out).splitlines())
        == """\
broken.ptx  PTX against 'scale', sm_90, seed 7

✔ parses    18 instructions
✔ assembles for sm_90, ptxas V
✔ signature 4 parameters, as the pair has them
✔ lint      nothing found
✘ results   n=1

✘ memory-fault  broken.ptx:34:5
  n=1: ld.global.f32 by thread 1 of CTA 0 reads byte 4 of 'x', which has 4. Check its guard.
  Check the guard of that line.

✘ broken.ptx: rejected at stage results: memory-fault."""
    )


def test_an_accepted_candidate_tells_its_figures_beside_the_pairs(ptxbench, kernels, files):
    ran = ptxbench("check", "mine.ptx", *FAST, "--kernels", kernels)
    assert (ran.status, ran.err) == (0, "")
    for line in (r"candidate +\d+", r"cuda +\d+", r"cuda@fast +\d+", r"ptx +\d+"):
        assert re.search(f"^{line}", ran.out, re.M)
    assert "same-code" in ran.out
    assert "✔ mine.ptx: accepted. Beside cuda 1.000 × the global sectors, " in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


def test_several_are_ranked_and_the_gravest_decides(ptxbench, kernels, files):
    ran = ptxbench("check", "other.cu", "broken.ptx", "mine.ptx", *FAST, "--kernels", kernels)
    assert ran.status == 4
    ranking = ran.out.rpartition("candidate")[2]
    rows = [line.split()[:4] for line in ranking.splitlines()[2:]]
    assert rows == [
        ["1", "mine.ptx", "✔", "accepted"],
        ["broken.ptx", "✘", "results:", "memory-fault"],
        ["other.cu", "✘", "signature:", "no-entry"],
    ]
    assert ptxbench("check", files[0], files[0], *FAST, "--kernels", kernels).status == 0


def test_json_has_the_same_keys_whatever_the_verdict(ptxbench, kernels, files):
    ran = ptxbench("check", *files, *FAST, "--kernels", kernels, "--json")
    document = json.loads(ran.out)
    assert (ran.status, ran.err) == (4, "")
    assert [document[key] for key in ("schema", "pair", "arch", "seed")] == ["ptxbench.check/1", "scale", "sm_90", 7]
    assert [list(each) for each in document["candidates"]] == [KEYS] * 3
    mine, broken, other = document["candidates"]
    assert (mine["verdict"], mine["stage"], mine["code"]) == ("accepted", None, None)
    assert [each["stage"] for each in mine["stages"]] == list(STAGES)
    assert (broken["verdict"], broken["stage"], broken["code"]) == ("rejected", "results", "memory-fault")
    (found,) = broken["findings"]
    assert {key: found[key] for key in ("stage", "code", "line", "column", "gravity")} == {
        "stage": "results", "code": "memory-fault", "line": 34, "column": 5, "gravity": "error",
    }  # fmt: skip
    assert found["message"]
    assert found["hint"]
    assert (other["stage"], other["code"]) == ("signature", "no-entry")


def test_a_seed_repeats_a_judgement_and_without_one_each_is_another(ptxbench, kernels, files):
    def ran(*options):
        return json.loads(ptxbench("check", files[0], "--pair", "scale", "--kernels", kernels, "--json", *options).out)

    first, second = ran("--target", "sm_90"), ran("--target", "sm_90")
    assert first["seed"] != second["seed"]
    hidden = [next(each["told"] for each in one["candidates"][0]["stages"] if each["stage"] == "hidden")
              for one in (first, ran("--target", "sm_90", "--seed", str(first["seed"])), second)]  # fmt: skip
    assert hidden[0] == hidden[1]


def test_a_line_of_cuda_c_is_one_of_the_file(ptxbench, kernels, tmp_path):
    (tmp_path / "mine.cu").write_text(CUDA.replace("if (i < n)", "if (i <= n)"))
    ran = ptxbench("check", "mine.cu", *FAST, "--kernels", kernels, "--json")
    (found,) = json.loads(ran.out)["candidates"][0]["findings"]
    assert (found["code"], found["line"], found["column"]) == ("memory-fault", 7, 9)


def test_an_instruction_that_the_emulator_lacks_leaves_it_unjudged(ptxbench, kernels, tmp_path):
    text = changed(PTX.replace("6.3", "7.8").replace("sm_75", "sm_90"), "DONE:\n",
                   "    mapa.shared::cluster.u32  %n, %n, 0;\nDONE:\n")  # fmt: skip
    (tmp_path / "mine.ptx").write_text(text)
    ran = ptxbench("check", "mine.ptx", *FAST, "--kernels", kernels)
    assert ran.status == 5
    assert ran.out.splitlines()[-1] == "? mine.ptx: could not be judged at stage results: unsupported."


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["absent.ptx", "--pair", "scale"],                      "There is no file 'absent.ptx'."),
        (["kernels", "--pair", "scale"],                         "'kernels' is neither a .ptx nor a .cu file."),
        (["mine.ptx"],                                           "Missing option '--pair'"),
        ([],                                                     "Missing argument 'FILE...'"),
        (["mine.ptx", "--pair", "scal"],                         "Did you mean 'scale'?"),
        (["mine.ptx", "--pair", "scale", "--arch", "hopper"],    "'hopper' is no architecture"),
        (["mine.ptx", "--pair", "scale", "--target", "sm_1"],    "There is no target 'sm_1'"),
        (["mine.ptx", "--pair", "scale", "--size", "n=3"],       "--size is for what is timed on a GPU"),
        (["mine.ptx", "--pair", "scale", "--timeout", "0"],      "Invalid value for '--timeout'"),
        (["mine.ptx", "--pair", "scale", "--backend", "tpu"],    "Invalid value for '--backend'"),
    ],
)  # fmt: skip
def test_a_slip_of_the_command_line_is_told_before_anything_is_judged(options, said, ptxbench, kernels, files):
    ran = ptxbench("check", *options, "--backend", "emulator", "--kernels", kernels) if "tpu" not in options else (
        ptxbench("check", *options, "--kernels", kernels))  # fmt: skip
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_watching_judges_again_what_has_changed(ptxbench, kernels, files, monkeypatch):
    from ptxbench.check import watch

    steps = iter([lambda: files[1].write_text(PTX), lambda: files[0].unlink(), signal.default_int_handler])

    def pause():
        step = next(steps)
        step(signal.SIGINT, None) if step is signal.default_int_handler else step()

    monkeypatch.setattr(watch.changes, "__defaults__", (pause,))
    ran = ptxbench("check", *files[:2], *FAST, "--kernels", kernels, "--watch", "--json")
    assert ran.status == 130
    first, second = (json.loads(line)["candidates"] for line in ran.out.splitlines())
    assert {Path(each["file"]).name: each["verdict"] for each in first} == {
        "mine.ptx": "accepted", "broken.ptx": "rejected",
    }  # fmt: skip
    assert {each["verdict"] for each in second} == {"accepted"}
    assert ran.err.count("Waiting for a change") == 2


def test_ctrl_c_ends_with_130_and_no_traceback(kernels, files):
    command = [
        sys.executable,
        "-c",
        "import sys; from ptxbench.cli import main; print('up', flush=True); sys.exit(main())",
    ]
    arguments = ["check", str(files[0]), *FAST, "--kernels", str(kernels), "--watch"]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "accepted" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_the_usual_targets_are_some_that_ptxas_knows():
    assert check.chosen_targets(()) == check.USUAL_TARGETS
    assert "sm_121a" in check.chosen_targets(("sm_121*",))
