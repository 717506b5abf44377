"""`ptxbench tune`: a sweep from the command line, interrupted and resumed by real processes, and its exit status."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptxbench.result import from_json
from ptxbench.terminal.curve import points_in_words
from tests.folders import changed, kernels_folder
from tests.tune.folders import KNOB_CUDA, KNOB_PAIR, KNOB_PTX, knobs_folder

TUNE = ("tune", "scale", "--kernels", "kernels", "--backend", "emulator")
SIXTY = ("--knob", "n=1..20", "--knob", "BLOCK=32,64,128")


@pytest.fixture
def scale(tmp_path, monkeypatch):
    """The pair with a knob, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return knobs_folder(tmp_path)


def words(text):
    return " ".join(text.split())


def saved():
    return [json.loads(path.read_text()) for path in sorted(Path("results").rglob("*.sweep.json"))]


def test_the_curves_go_to_stdout_and_the_sweep_into_one_file(scale, ptxbench):
    ran = ptxbench(*TUNE, "--knob", "BLOCK=32,64,128,2048", "--knob", "n=64,1000")
    assert ran.status == 0
    assert "".join(f"{line.rstrip()}\n" for line in ran.out.splitlines()) == EXPECTED
    (document,) = saved()
    assert document["run"]["status"] == "complete"
    assert document["run"]["sweep"]["values"] == {"BLOCK": [32, 64, 128, 2048], "n": [64, 1000]}
    assert [(cell["knobs"], cell["size"]) for cell in document["cells"]] == [
        ({"BLOCK": block}, {"n": n}) for block in (32, 64, 128) for n in (64, 1000)
    ]
    statuses = {result["status"] for cell in document["cells"] for result in cell["variants"].values()}
    assert statuses == {"verified"}


EXPECTED = """\
scale  BLOCK (4) x n (2)
BLOCK: threads of a CTA; 128 by default

ptx_warp_instructions  PTX instructions that warps executed
cuda                                              ptx
(logarithmic)                                     (logarithmic)
608 │■·············■·············■                608 │■·············■·············■
    │                            ┊                    │                            ┊
    │                            ┊                    │                            ┊
    │                            ┊                    │                            ┊
148 │                            ┊                148 │                            ┊
    │                            ┊                    │                            ┊
    │                            ┊                    │                            ┊
    │                      ······●                    │                      ······●
 36 │★·············●·······      ┊                 36 │★·············●·······      ┊
     32           64            128         2048       32           64            128         2048
                        BLOCK                                             BLOCK
n  ● 64  ■ 1000  ★ best

ptx_warp_instructions, cuda
          n      n
BLOCK    64   1000
──────────────────
   32  38 ★    608
   64  38 ~    608
  128    60    608
 2048     -      -

ptx_warp_instructions, ptx
          n      n
BLOCK    64   1000
──────────────────
   32  36 ★    576
   64  36 ~    576
  128    50    576
 2048     -      -

i cuda: the least ptx_warp_instructions is 38, at BLOCK=32 n=64. The same at BLOCK=64 n=64.
i cuda at BLOCK=128, the values of the pair: 60 at best, with n=64; 1.58 times the best.
i ptx: the least ptx_warp_instructions is 36, at BLOCK=32 n=64. The same at BLOCK=64 n=64.
i ptx at BLOCK=128, the values of the pair: 50 at best, with n=64; 1.39 times the best.
- Not possible: launch at n=64 is Launch(grid=1, block=2048, shared_bytes=0). A block holds at most
  1024 threads. At BLOCK=2048 n=64.
- Not possible: launch at n=1000 is Launch(grid=1, block=2048, shared_bytes=0). A block holds at
  most 1024 threads. At BLOCK=2048 n=1000.
i Counts are not times: only a GPU can show which point is the fastest.
"""


FAILING = """Sweep(
        values=lambda sms: {"n": (64, 100)}, size=lambda sms: {"n": 64}, emulated={"n": 64},
        figures=[Figure("f", "", "lower", "counts", ["point"], "fails", lambda part: 1 / 0)]),
    knobs=["""


def test_a_sweep_is_saved_also_if_a_figure_of_the_pair_fails(scale, ptxbench):
    path = scale / "pairs" / "scale.py"
    text = changed(path.read_text(), "    knobs=[", f"    sweep={FAILING}")
    path.write_text(changed(text, "import Knob", "import Figure, Knob, Sweep"))
    ran = ptxbench(*TUNE)
    assert ran.status == 2
    assert "the figure 'f' fails: ZeroDivisionError: division by zero." in ran.err
    assert [len(document["cells"]) for document in saved()] == [2]


def test_json_has_every_point_and_the_best(scale, ptxbench):
    ran = ptxbench(*TUNE, "--json", "--metric", "occupancy", "--no-save")
    assert ran.status == 0
    document = json.loads(ran.out)
    assert [point["at"]["BLOCK"] for point in document["points"]] == [32, 64, 128, 256, 2048]
    assert [point["possible"] for point in document["points"]] == [True] * 4 + [False]
    assert "at most 1024 threads" in document["points"][4]["reason"]
    assert document["points"][4]["variants"] == {"cuda": None, "ptx": None}
    assert document["points"][0]["variants"]["ptx"]["values"]["occupancy"]["value"] == 0.5
    assert document["best"]["ptx"] == {
        "quantity": "occupancy", "at": {"BLOCK": 64}, "tied": [{"BLOCK": 128}, {"BLOCK": 256}]
    }  # fmt: skip
    assert not saved()


def test_the_picture_is_svg_with_a_line_for_each_variant(scale, ptxbench):
    ran = ptxbench(*TUNE, "--no-save", "-o", "curve.svg", "-o", "curve.json")
    assert ran.status == 0
    root = ET.parse("curve.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    lines = [
        path
        for path in root.iter("{http://www.w3.org/2000/svg}path")
        if path.get("fill") == "none" and path.get("stroke-width")
    ]
    assert len(lines) == 2
    assert "BLOCK" in {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert json.loads(Path("curve.json").read_text())["kind"] == "counts"


# ---- points that cannot be, and kernels that are wrong


def test_a_point_that_the_tools_refuse_is_impossible_and_the_others_stay(scale, ptxbench):
    text = KNOB_CUDA.replace("{\n", '{\n    static_assert(BLOCK != 64, "not 64");\n', 1)
    kernels_folder(Path.cwd(), pair=KNOB_PAIR, cuda=text, ptx=KNOB_PTX)
    ran = ptxbench(*TUNE, "--knob", "BLOCK=32,64,128")
    assert ran.status == 0
    assert '- Not possible, cuda: scale.cu:9: static assertion failed with "not 64".' in words(ran.out)
    assert "At BLOCK=64." in words(ran.out)
    (document,) = saved()
    assert [cell["variants"]["ptx"]["status"] for cell in document["cells"]] == ["verified"] * 3


def test_a_kernel_that_is_wrong_at_one_point_ends_with_4(scale, ptxbench):
    text = changed(KNOB_PTX, "%block, 128 /*= BLOCK */", "%block, 128 /*= BLOCK + (BLOCK - 128) % 2 */")
    kernels_folder(Path.cwd(), pair=KNOB_PAIR, cuda=KNOB_CUDA, ptx=text)
    ran = ptxbench(*TUNE, "--knob", "BLOCK=128,129", "--no-save")
    assert ran.status == 4
    assert "x ptx is wrong:" in words(ran.out)
    assert re.search(r"ptx\s+the least", ran.out) is None or "BLOCK=128" in ran.out


@pytest.mark.parametrize(("knob", "reason"), [
    ("BLOCK=2048", "A block holds at most 1024 threads."),
    ("n=4000000000", "The arrays at n=4000000000 and their reference take"),
        ("n=99999999999", "as uint32 holds."),
])  # fmt: skip
def test_a_sweep_without_any_possible_point_has_no_verdict(knob, reason, scale, ptxbench):
    ran = ptxbench(*TUNE, "--knob", knob, "--no-save")
    assert ran.status == 5
    assert "Not possible" in ran.out
    assert reason in words(ran.out)


# ---- Ctrl-C


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from ptxbench.cli import main; sys.exit(main())", *arguments],
        text=True, stdout=subprocess.PIPE, start_new_session=True, **options,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="sends the signal of Ctrl-C to a group of processes")
def test_a_sweep_of_sixty_points_shows_progress_survives_ctrl_c_and_goes_on_where_it_stopped(scale, ptxbench):
    """On a terminal, for there alone progress is shown. The seventh size waits to be interrupted, once."""
    waits = """
import pathlib, time
def reference(x, a, n):
    if n == 7 and not pathlib.Path("waited").exists():
        pathlib.Path("waited").touch()
        time.sleep(60)
    return {"y": a * x}
"""
    pair = changed(
        changed(KNOB_PAIR, "\nPAIR = ", f"{waits}\nPAIR = "),
        'reference=lambda x, a, n: {"y": a * x}',
        "reference=reference",
    )
    kernels_folder(Path.cwd(), pair=pair, cuda=KNOB_CUDA, ptx=KNOB_PTX)
    ours, theirs = pty.openpty()
    process = start(*TUNE, *SIXTY, stderr=theirs)
    os.close(theirs)
    screen = b""
    deadline = time.monotonic() + 60
    while not (Path("waited").exists() and b"6/60" in screen) and time.monotonic() < deadline:
        screen += os.read(ours, 4096)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:
            break
        if not more:
            break
        screen += more
    os.close(ours)
    err = words(screen.decode())
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "6/60" in err
    assert "Interrupted. 6 of 60 launches are finished; the same command resumes there." in err
    (path,) = Path("results").rglob("*.sweep.json")
    first = json.loads(path.read_text())
    assert first["run"]["status"] == "interrupted"
    assert len(first["cells"]) == 6
    assert "ptx_warp_instructions" in out  # the available parts of the curves

    ran = ptxbench(*TUNE, *SIXTY)
    assert ran.status == 0
    assert f"Resuming the interrupted sweep {path}; use --no-resume to start again." in ran.err
    second = [sweep for sweep in saved() if sweep["run"]["status"] == "complete"]
    assert [len(sweep["cells"]) for sweep in second] == [60]
    places = [(cell["knobs"]["BLOCK"], cell["size"]["n"]) for cell in second[0]["cells"]]
    assert sorted(places) == sorted((block, n) for n in range(1, 21) for block in (32, 64, 128))
    finished = {(cell["knobs"]["BLOCK"], cell["size"]["n"]): cell for cell in first["cells"]}
    for cell in second[0]["cells"]:
        old = finished.get((cell["knobs"]["BLOCK"], cell["size"]["n"]))
        assert old is None or cell == old  # not run again

    ran = ptxbench(*TUNE, *SIXTY)
    assert "Resuming" not in ran.err  # it was complete: starts over
    assert ran.status == 0


def test_no_resume_starts_over(scale, ptxbench):
    ptxbench(*TUNE, *SIXTY[:2])
    (path,) = Path("results").rglob("*.sweep.json")
    document = json.loads(path.read_text())
    document["run"]["status"] = "interrupted"
    document["cells"] = document["cells"][:3]
    path.write_text(json.dumps(document))
    assert "Resuming" not in ptxbench(*TUNE, *SIXTY[:2], "--no-resume", "--no-save").err
    assert "Resuming" in ptxbench(*TUNE, *SIXTY[:2]).err


# ---- what else reads runs


def test_a_sweep_is_not_the_latest_run_but_can_be_named(scale, ptxbench):
    assert ptxbench("run", "--kernels", "kernels", "--backend", "emulator").status == 0
    (run,) = Path("results").rglob("*.json")
    time.sleep(1.1)  # the names of runs count seconds
    assert ptxbench(*TUNE).status == 0
    (sweep,) = Path("results").rglob("*.sweep.json")
    ran = ptxbench("export", "latest", "--to", "csv")
    assert json.loads(run.read_text())["run"]["id"] in ran.out
    ran = ptxbench("export", sweep, "--to", "csv")
    assert "n=1024 BLOCK=64" in ran.out
    assert ptxbench("compare", sweep, sweep).status == 0
    ran = ptxbench("baseline", "set", sweep, "--reason", "no reason")
    assert ran.status == 2
    assert "It is a sweep of ptxbench tune, not a run of the pairs." in ran.err


def test_a_recorded_sweep_is_drawn_again(scale, ptxbench):
    first = ptxbench(*TUNE)
    (path,) = Path("results").rglob("*.sweep.json")
    for name in (path, "latest"):
        drawn = ptxbench("view", name, "--kernels", "kernels")
        assert (drawn.status, drawn.out, drawn.err) == (first.status, first.out, "")
    assert from_json(path.read_text(), str(path)).run.sweep["pair"] == "scale"
    document = json.loads(ptxbench("view", path, "--kernels", "kernels", "--json", "-o", "curve.svg").out)
    assert document["schema"] == "ptxbench.tune/1"
    assert Path("curve.svg").read_text().startswith("<svg")


def test_a_recorded_sweep_needs_its_pair(scale, ptxbench):
    ptxbench(*TUNE)
    (path,) = Path("results").rglob("*.sweep.json")
    ran = ptxbench("view", path)
    assert (ran.status, ran.out) == (2, "")
    assert f"Error: {path} is a sweep of 'scale', a pair that " in ran.err
    assert ran.err.endswith(" does not have. Name the folder of the pair with --kernels.\n")
    kernel = Path("kernels/ptx/scale.ptx")
    kernel.write_text(f"{kernel.read_text()}// changed\n")
    ran = ptxbench("view", path, "--kernels", "kernels")
    assert ran.status == 0
    assert ran.err == (
        "The files of the pair have changed since the sweep; the values were measured with the old ones.\n"
    )


def test_options_of_a_run_are_refused_for_a_sweep(scale, ptxbench):
    ptxbench(*TUNE)
    (path,) = Path("results").rglob("*.sweep.json")
    ran = ptxbench("view", path, "--columns", "time", "--reference", "ptx")
    assert ran == (2, "", f"Error: {path} is a sweep. Leave out --columns, --reference.\n")
    ran = ptxbench("view", path, "--kernels", "kernels", "-o", "curve.csv")
    assert ran.err.startswith("Error: Unknown suffix of 'curve.csv'. Name a file that ends in .svg or .json.")


# arguments, the message
BAD = [
    (("--knob", "BLOK=1"), "'scale' has no knob and no dimension 'BLOK'. Did you mean 'BLOCK'?"),
    (("--knob", "BLOCK"), "'BLOCK' is not a knob setting."),
    (("--knob", "BLOCK=1", "--knob", "BLOCK=2"), "--knob BLOCK is given twice."),
    (("--metric", "tim"), "Unknown metric 'tim'. Did you mean 'time'?"),
    (("--variant", "ptx.fast"), "Unknown variant 'ptx.fast'."),
    (("--size", "m=3"), "'scale' has no knob and no dimension 'm'."),
    (("-o", "curve.png"), "Unknown suffix of 'curve.png'. Name a file that ends in .svg or .json."),
    (("--assembler", "driver"), "The emulator has no driver to assemble PTX."),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_an_invalid_command_line_is_reported(arguments, message, scale, ptxbench):
    ran = ptxbench(*TUNE, *arguments)
    assert ran.status == 2
    assert ran.err.startswith(f"Error: {message}")
    assert not saved()


def test_one_pair_at_a_time(scale, ptxbench):
    kernels_folder(
        Path.cwd(),
        name="other",
        pair=KNOB_PAIR,
        cuda=KNOB_CUDA.replace("scale", "other"),
        ptx=KNOB_PTX.replace("scale", "other"),
    )
    ran = ptxbench("tune", "*", "--kernels", "kernels")
    assert ran.status == 2
    assert "'*' matches 2 pairs: other, scale. Name one." in ran.err


def test_all_points_that_share_a_value_are_named_by_it():
    points = [SimpleNamespace(at={"n": n, "BLOCK": block}) for n in (1, 2, 3) for block in (64, 128)]
    curves = SimpleNamespace(points=points, swept=SimpleNamespace(values={"n": (1, 2, 3), "BLOCK": (64, 128)}))
    assert points_in_words(curves, [2, 4], 0) == "every point with BLOCK=64"
