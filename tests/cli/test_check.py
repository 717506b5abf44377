"""`ptxbench check`: its output as text and JSON, and its exit status."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ptxbench.backends import open_backend
from ptxbench.check.findings import STAGES
from ptxbench.check.request import USUAL_TARGETS, request, targets_of
from ptxbench.cli import _progress
from ptxbench.discovery import default_kernels
from tests.folders import CUDA, PTX, changed

BROKEN = changed(PTX, "setp.ge.u32   %past, %i, %n;", "setp.gt.u32   %past, %i, %n;")
DOCUMENT = ["schema", "pair", "arch", "seed", "complete", "containment", "candidates"]
KEYS = ["file", "verdict", "stage", "code", "sha256", "language", "pair", "arch", "seed", "stages", "findings",
        "compared", "ratios", "executed", "targets", "notes", "timed_on"]  # fmt: skip
FAST = ("--pair", "scale", "--seed", "7", "--target", "sm_90")


def without_tools(text):
    """The text without the parts that depend on the tools' versions."""
    return re.sub(r"\d+\.\d+\.\d+", "V", text)


@pytest.fixture
def files(kernels, tmp_path):
    """A right candidate, a broken one, and one of another name."""
    texts = {"mine.ptx": PTX, "broken.ptx": BROKEN, "other.cu": CUDA.replace("void scale", "void scaled")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in texts]


@pytest.mark.parametrize(
    ("pair", "arch", "judged_for"),
    [
        ("triad", None, "sm_90"),
        ("fp8_gemm_promoted", None, "sm_90a"),
        ("copy_hints.v8", None, "sm_100"),
        ("copy_hints.v8", "sm_90", "sm_90"),
    ],
)
def test_a_candidate_is_judged_for_what_the_pairs_ptx_needs(pair, arch, judged_for):
    task, _ = request(pair, default_kernels(), partial(open_backend, "emulator", arch), arch=arch)
    assert task.arch == judged_for


def test_a_terminal_shows_that_the_pair_is_prepared(ptxbench, kernels, files, monkeypatch):
    shown = []
    monkeypatch.setattr(_progress.Bar, "update", lambda bar, done, total, words: shown.append(words))
    ptxbench("check", "broken.ptx", *FAST, "--kernels", kernels)
    assert shown[-2:] == ["prepare the pair, then lint scale broken.ptx", "results scale broken.ptx"]


def test_a_broken_candidate_is_printed_whole(ptxbench, kernels, files):
    ran = ptxbench("check", "broken.ptx", *FAST, "--kernels", kernels)
    assert (ran.status, ran.err) == (4, "")
    assert (
        "\n".join(line.rstrip() for line in without_tools(ran.out).splitlines())
        == """\
broken.ptx  PTX against 'scale', sm_90, seed 7

✔ parses    18 instructions
✔ signature 4 parameters, the same as the pair's
✔ lint      nothing found
✘ results   n=1

✘ memory-fault  broken.ptx:34:5
  n=1: ld.global.f32 by thread 1 of CTA 0 reads byte 4 of 'x', which has 4.
  Check the guard of that line.

✘ broken.ptx: rejected at stage results: memory-fault."""
    )


def test_an_accepted_candidate_shows_its_figures_and_the_pairs(ptxbench, kernels, files):
    ran = ptxbench("check", "mine.ptx", *FAST, "--kernels", kernels)
    assert (ran.status, ran.err) == (0, "")
    for line in (r"candidate +\d+", r"cuda +\d+", r"cuda@fast +\d+", r"ptx +\d+"):
        assert re.search(f"^{line}", ran.out, re.M)
    assert "same-code" in ran.out
    assert "✔ mine.ptx: accepted. Compared with cuda: 1.000 × the global sectors, " in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


def test_several_candidates_are_ranked_and_the_worst_decides_the_exit_status(ptxbench, kernels, files):
    ran = ptxbench("check", "other.cu", "broken.ptx", "mine.ptx", *FAST, "--kernels", kernels)
    assert ran.status == 4
    ranking = ran.out.rpartition("candidate")[2]
    rows = [line.split()[:4] for line in ranking.splitlines()[2:]]
    assert rows == [
        ["1", "mine.ptx", "✔", "accepted"],
        ["broken.ptx", "✘", "results:", "memory-fault"],
        ["other.cu", "✘", "signature:", "no-entry"],
    ]
    ran = ptxbench("check", files[0], "absent.ptx", *FAST, "--kernels", kernels)
    assert ran.status == 5  # one is not judged, and none is rejected
    assert "there is no file absent.ptx." in ran.out


def test_json_has_the_same_keys_whatever_the_verdict(ptxbench, kernels, files):
    ran = ptxbench("check", *files, *FAST, "--kernels", kernels, "--json")
    document = json.loads(ran.out)
    assert (ran.status, ran.err) == (4, "")
    assert [document[key] for key in DOCUMENT[:-2]] == ["ptxbench.check/2", "scale", "sm_90", 7, True]
    assert document["containment"] in ("landlock", "headers")
    assert list(document) == DOCUMENT
    assert [list(candidate) for candidate in document["candidates"]] == [[*KEYS, "place"]] * 3
    mine, broken, other = document["candidates"]
    assert (mine["verdict"], mine["stage"], mine["code"]) == ("accepted", None, None)
    assert [stage["stage"] for stage in mine["stages"]] == list(STAGES)
    assert (broken["verdict"], broken["stage"], broken["code"]) == ("rejected", "results", "memory-fault")
    (fault,) = broken["findings"]
    assert {key: fault[key] for key in ("stage", "code", "line", "column", "severity")} == {
        "stage": "results", "code": "memory-fault", "line": 34, "column": 5, "severity": "error",
    }  # fmt: skip
    assert fault["message"]
    assert fault["hint"]
    assert (other["stage"], other["code"]) == ("signature", "no-entry")


@pytest.mark.long
def test_a_seed_repeats_a_judgement_and_without_one_each_is_another(ptxbench, kernels, files):
    def ran(*options):
        return json.loads(ptxbench("check", files[0], "--pair", "scale", "--kernels", kernels, "--json", *options).out)

    first, second = ran("--target", "sm_90"), ran("--target", "sm_90")
    assert first["seed"] != second["seed"]
    hidden = [next(stage["detail"] for stage in one["candidates"][0]["stages"] if stage["stage"] == "hidden")
              for one in (first, ran("--target", "sm_90", "--seed", str(first["seed"])), second)]  # fmt: skip
    assert hidden[0] == hidden[1]


def test_a_line_of_cuda_c_is_a_line_of_the_file(ptxbench, kernels, tmp_path):
    (tmp_path / "mine.cu").write_text(CUDA.replace("if (i < n)", "if (i <= n)"))
    ran = ptxbench("check", "mine.cu", *FAST, "--kernels", kernels, "--json")
    (fault,) = json.loads(ran.out)["candidates"][0]["findings"]
    assert (fault["code"], fault["line"], fault["column"]) == ("memory-fault", 7, 9)


@pytest.mark.long
def test_an_instruction_that_the_emulator_lacks_leaves_it_unjudged(ptxbench, kernels, tmp_path):
    text = changed(PTX.replace("6.3", "8.1").replace("sm_75", "sm_90"), "DONE:\n",
                   "    multimem.red.relaxed.gpu.global.add.u32  [%y], %n;\nDONE:\n")  # fmt: skip
    (tmp_path / "mine.ptx").write_text(text)
    ran = ptxbench("check", "mine.ptx", *FAST, "--kernels", kernels)
    assert ran.status == 5
    assert ran.out.splitlines()[-1] == "? mine.ptx: could not be judged at stage results: unsupported."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["absent.ptx", "--pair", "scale"],                      "There is no file absent.ptx."),
        (["kernels", "--pair", "scale"],                         "The folder 'kernels' has no .ptx or .cu file."),
        (["kernels/pairs/scale.py", "--pair", "scale"],
         "is neither a .ptx nor a .cu file: Python is not accepted, because it is executed when it is compiled."),
        (["absent.ptx", "kernels", "--pair", "scale"],           "There is no file absent.ptx."),
        (["-", "--pair", "scale"],                               "FILE - needs --language ptx or --language cuda."),
        (["-", "-", "--language", "ptx", "--pair", "scale"],     "FILE - is given twice"),
        (["-", "--language", "ptx", "--watch", "--pair", "scale"], "--watch needs files"),
        (["mine.ptx", "--language", "ptx", "--pair", "scale"],   "--language is for FILE -"),
        (["mine.ptx", "--json", "--json-lines", "--pair", "scale"], "exclude each other"),
        (["mine.ptx", "--pair", "scale", "--jobs", "0"],         "Invalid value for '--jobs'"),
        (["mine.ptx"],                                           "Missing option '--pair'"),
        ([],                                                     "Missing argument 'FILE...'"),
        (["mine.ptx", "--pair", "scal"],                         "Did you mean 'scale'?"),
        (["mine.ptx", "--pair", "scale", "--arch", "hopper"],    "Unknown architecture 'hopper'"),
        (["mine.ptx", "--pair", "scale", "--target", "sm_1"],    "Unknown target 'sm_1'"),
        (["mine.ptx", "--pair", "scale", "--size", "n=3"],       "--size sets the sizes to time on a GPU"),
        (["mine.ptx", "--pair", "scale", "--timeout", "0"],      "Invalid value for '--timeout'"),
        *((["mine.ptx", "--pair", "scale", option, number],      f"'{option}': expected a number of at most 1,000,000")
          for option in ("--timeout", "--memory") for number in ("inf", "nan", "1e999", "1e9")),
        (["mine.ptx", "--pair", "scale", "--backend", "tpu"],    "Invalid value for '--backend'"),
    ],
)  # fmt: skip
def test_an_error_of_the_command_line_is_reported_before_anything_is_judged(options, message, ptxbench, kernels, files):
    ran = ptxbench("check", *options, "--backend", "emulator", "--kernels", kernels) if "tpu" not in options else (
        ptxbench("check", *options, "--kernels", kernels))  # fmt: skip
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err


def without_seconds(document):
    """A document or a list of verdicts without the only thing that differs from run to run."""
    if isinstance(document, dict):
        return {key: without_seconds(value) for key, value in document.items() if key != "seconds"}
    return [without_seconds(part) for part in document] if isinstance(document, list) else document


@pytest.mark.long
def test_a_batch_judges_every_readable_file(ptxbench, kernels, tmp_path, monkeypatch):
    """A folder, standard input, a missing file, a FIFO; side by side and one after the other are one document."""
    (folder := tmp_path / "own.ptx").mkdir()
    (folder / "a.ptx").write_text("junk")
    (folder / "read.me").write_text("no kernel")
    (folder / "c.ptx").mkdir()
    (folder / "d.ptx").symlink_to("nowhere")
    os.mkfifo(folder / "e.cu")

    def ran(*options):
        stream = io.TextIOWrapper(io.BytesIO(PTX.replace(".entry scale", ".entry scaled").encode()))
        monkeypatch.setattr("sys.stdin", stream)
        arguments = ("own.ptx", "-", "absent.ptx", "kernels", "kernels/pairs/scale.py")
        return ptxbench("check", *arguments, "--language", "ptx", *FAST, "--kernels", kernels, *options)

    one, lines = ran("--json"), ran("--json-lines", "--jobs", "3")
    assert (one.status, lines.status) == (4, 4), one.err + lines.err
    candidates = json.loads(one.out)["candidates"]
    assert [(candidate["file"], candidate["verdict"], candidate["code"]) for candidate in candidates] == [
        ("own.ptx/d.ptx",          "unjudged", "not-found"),
        ("own.ptx/e.cu",           "unjudged", "unreadable"),
        ("absent.ptx",             "unjudged", "not-found"),
        ("kernels",                "unjudged", "not-found"),
        ("kernels/pairs/scale.py", "unjudged", "unreadable"),
        ("-",                      "rejected", "no-entry"),
        ("own.ptx/a.ptx",          "rejected", "syntax"),
    ]  # fmt: skip
    assert [candidate.pop("place") for candidate in candidates] == [None] * 7
    assert [list(candidate) for candidate in candidates] == [KEYS] * 7
    assert [candidate["sha256"] is None for candidate in candidates] == [True] * 5 + [False] * 2
    verdicts = {(line := json.loads(splitline))["file"]: line for splitline in lines.out.splitlines()}
    assert {verdict.pop("schema") for verdict in verdicts.values()} == {"ptxbench.verdict/2"}
    assert {verdict.pop("containment") for verdict in verdicts.values()} <= {"landlock", "headers"}
    assert without_seconds([verdicts[candidate["file"]] for candidate in candidates]) == without_seconds(candidates)


def watched(ptxbench, kernels, files, steps, monkeypatch, *options):
    """The documents of a watch in which something is done at each look."""
    from ptxbench.check import watch

    monkeypatch.setattr(watch.changed_files, "__defaults__", (lambda: next(steps)(),))
    ran = ptxbench("check", *files, "--pair", "scale", "--target", "sm_90", "--kernels", kernels, "--watch", *options)
    assert ran.status == 130
    return [json.loads(line) for line in ran.out.splitlines()], ran.err


def interrupt():
    raise KeyboardInterrupt


def test_watching_judges_changed_files_with_a_new_seed_each_time(ptxbench, kernels, tmp_path, monkeypatch):
    (folder := tmp_path / "own").mkdir()
    (folder / "one.ptx").write_text("junk")
    (notes := tmp_path / "notes.txt").write_text("no kernel")
    (tmp_path / "empty").mkdir()
    steps = iter([lambda: os.mkfifo(folder / "new.ptx"), notes.unlink, lambda: notes.write_text("again"), interrupt])
    named = [folder, notes, "empty", "absent.ptx"]
    documents, progress = watched(ptxbench, kernels, named, steps, monkeypatch, "--json")
    files = [
        {Path(candidate["file"]).name: candidate["seed"] for candidate in document["candidates"]}
        for document in documents
    ]
    assert [sorted(file) for file in files] == [["notes.txt", "one.ptx"]] + 2 * [["new.ptx", "notes.txt", "one.ptx"]]
    first, second, third = (document["seed"] for document in documents)
    assert len({first, second, third}) == 3
    assert files == [
        {"one.ptx": first, "notes.txt": first},
        {"one.ptx": first, "notes.txt": first, "new.ptx": second},
        {"one.ptx": first, "notes.txt": third, "new.ptx": second},
    ]
    assert progress.count("Waiting for a change") == 3
    assert "Waiting for absent.ptx, which does not exist yet." in progress


@pytest.mark.long
def test_watching_with_a_seed_prints_a_note_that_the_seed_stays(ptxbench, kernels, tmp_path, monkeypatch):
    (one := tmp_path / "one.ptx").write_text("junk")
    (notes := tmp_path / "notes.txt").write_text("no kernel")
    steps = iter([lambda: notes.write_text("nor here"), interrupt])
    verdicts, progress = watched(ptxbench, kernels, [one, notes], steps, monkeypatch, "--seed", "7", "--json-lines")
    assert [verdict["seed"] for verdict in verdicts] == [7, 7, 7]
    assert progress.startswith("Every judgement uses seed 7, as --seed says.\n")


def test_ctrl_c_prints_finished_results_and_ends_running_processes(ptxbench, kernels, files, monkeypatch):
    from ptxbench.check import workers
    from ptxbench.check.contained import judge_candidate
    from ptxbench.check.judgement_process import ServerProcess
    from ptxbench.cli import _judging

    servers, ended, taken = [], threading.Event(), threading.Event()
    real, every, close = judge_candidate, _judging.judgements, ServerProcess.close

    def judgements(*arguments):
        with closing(every(*arguments)) as entries:
            for entry in entries:
                yield entry
                taken.set()  # the one before has been noted

    def judge(candidate, task, server, begin):
        servers.append(server.process)
        if candidate.language == "cuda":
            ended.wait(60)  # until the interrupt, however slow this machine is

        def stop(stage):
            begin(stage)
            if candidate.file.endswith("mine.ptx") and not ended.is_set():
                servers.append(server.process)
                taken.wait(60)
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                ended.wait(60)

        return real(candidate, task, server, stop)

    monkeypatch.setattr(_judging, "judgements", judgements)
    monkeypatch.setattr(workers, "judge_candidate", judge)
    monkeypatch.setattr(ServerProcess, "close", lambda server: (ended.set(), close(server)))
    files[1].write_text("junk")
    ran = ptxbench("check", files[1], files[0], files[2], *FAST, "--kernels", kernels, "--json")
    assert ran.status == 130
    document = json.loads(ran.out)
    assert document["complete"] is False
    assert [(candidate["file"], candidate["verdict"]) for candidate in document["candidates"]] == [
        (str(files[1]), "rejected")
    ]
    assert ran.err.strip() == "Interrupted: 1 of 3 judged."
    assert servers[-1].poll() is not None


@pytest.mark.long
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
    assert targets_of(()) == USUAL_TARGETS
    assert "sm_121a" in targets_of(("sm_121*",))
