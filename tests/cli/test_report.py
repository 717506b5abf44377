"""`ptxbench report`: its page, messages and refusals."""

import os
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from ptxbench.report import collect
from ptxbench.result import save
from ptxbench.runner.events import Step
from tests.report.pages import read, timed_run
from tests.runs import run_of


@pytest.fixture
def results(tmp_path, monkeypatch, emulated):
    """The current folder, with two saved runs."""
    monkeypatch.chdir(tmp_path)
    save(emulated.run, Path("results/emulator-sm_90"))
    save(timed_run(id="feed01"), Path("results/nvidia-h100-80gb-hbm3"))


def test_the_latest_run_becomes_report_html_and_no_other_file(results, emulated, ptxbench):
    ran = ptxbench("report", "--kernels", emulated.kernels, "--target", "sm_90")
    page = Path("report.html").read_text(encoding="utf-8")
    assert ran == (0, f"Wrote report.html: 1 pair, {len(page.encode()):,} bytes.\n", "")
    assert "y[i] = a * x[i];" in read(page).text
    assert sorted(path.name for path in Path().iterdir()) == ["kernels", "report.html", "results"]


def test_several_runs_are_one_page_and_the_same_run_twice_is_once(results, emulated, ptxbench):
    ran = ptxbench(
        "report", "latest", "feed", "feed01", "-o", "a.html", "--kernels", emulated.kernels, "--target=sm_90"
    )
    assert ran.status == 0
    assert ran.out.startswith("Wrote a.html: 5 pairs, ")
    assert "Run 2: NVIDIA H100" in read(Path("a.html").read_text()).text
    assert "Run 3:" not in read(Path("a.html").read_text()).text


def test_without_sources_the_page_is_written_and_the_missing_parts_are_reported(results, ptxbench):
    ran = ptxbench("report", "feed", "--kernels", "nowhere")
    assert ran.status == 0
    assert ran.err.splitlines()[0] == (
        "triad: No listings, findings or portability: Folder nowhere does not exist. Choose one that holds pairs/, "
        "cuda/ and ptx/."
    )
    assert "FASTER" in read(Path("report.html").read_text()).text


def test_many_missing_parts_are_reported_in_few_lines(tmp_path, monkeypatch, ptxbench):
    monkeypatch.chdir(tmp_path)
    cells = [replace(timed_run().cells[0], pair=f"pair_{i}") for i in range(9)]
    save(run_of(cells), Path("results"))
    ran = ptxbench("report", "--kernels", "nowhere")
    assert len(ran.err.splitlines()) == 7
    assert ran.err.endswith("3 more of these are on the page.\n")


def test_a_file_that_is_there_is_replaced_and_a_folder_is_not(results, emulated, ptxbench):
    Path("old.html").write_text("old")
    Path("folder").mkdir()
    options = ("--kernels", emulated.kernels, "--target", "sm_90")
    assert ptxbench("report", "-o", "old.html", *options).status == 0
    assert Path("old.html").read_text().startswith("<!doctype html>")
    ran = ptxbench("report", "-o", "folder", *options)
    assert ran.status == 2
    assert "'folder' is a directory" in ran.err
    assert list(Path("folder").iterdir()) == []


# arguments, the message
REFUSED = [
    (["beef"], "Error: There is no run 'beef' below results."),
    (["no.json"], "Error: Cannot read no.json: No such file or directory."),
    (["latest", "--target", "sm_1"], "Error: Unknown target 'sm_1'."),
    (["latest", "-o", "x.pdf"], "Error: Unknown suffix of 'x.pdf'. Name a file that ends in .html or .htm.\n"),
    (["latest", "-o", "file/x.html"], "Error: Cannot write to file/x.html: file is a file. "),
    (["latest", "--results", "empty"], "Error: There is no run 'latest': no run is saved below empty."),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_a_report_that_cannot_be_made_gives_one_sentence_and_status_2(results, ptxbench, arguments, message):
    Path("file").write_text("")
    ran = ptxbench("report", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(message)
    assert not Path("report.html").exists()


def test_builds_are_not_made_again(results, emulated, ptxbench, monkeypatch):
    options = ("--kernels", emulated.kernels, "--target", "sm_90", "--target", "sm_100")
    assert ptxbench("report", "-o", "first.html", *options).status == 0
    for tool in ("ptxas.assemble", "nvrtc.compiled", "sass.disassembler"):
        monkeypatch.setattr(f"ptxbench.toolchain.{tool}", started := lambda *_, **__: pytest.fail("a tool is started"))
    monkeypatch.setattr("ptxbench.containment.tools.run", started)
    assert ptxbench("report", "-o", "second.html", *options).status == 0
    assert Path("first.html").read_text() == Path("second.html").read_text()


def test_the_total_of_the_progress_is_right_from_the_start(emulated):
    steps = [
        event for event in collect([emulated.run], emulated.kernels, ["sm_90", "sm_100"]) if isinstance(event, Step)
    ]
    assert {step.total for step in steps} == {len(steps)}
    assert [step.done for step in steps] == list(range(len(steps)))


def test_a_page_that_cannot_be_written_is_refused_before_the_work(results, emulated, ptxbench, monkeypatch):
    monkeypatch.setattr("ptxbench.report.collect", lambda *_: pytest.fail("the work has begun"))
    long = f"{'x' * 250}.html"
    assert ptxbench("report", "-o", long, "--kernels", emulated.kernels).err == (
        f"Error: Cannot write to {long}: File name too long. Name another file with --output.\n"
    )


def test_a_pipe_is_written_to_and_not_replaced(results, emulated, ptxbench):
    os.mkfifo("pipe")
    pages = []
    reader = Thread(target=lambda: pages.append(Path("pipe").read_text(encoding="utf-8")), daemon=True)
    reader.start()
    ran = ptxbench("report", "-o", "pipe", "--kernels", emulated.kernels, "--target", "sm_90")
    assert Path("pipe").is_fifo()
    reader.join(timeout=60)
    assert ran.status == 0
    assert pages[0].startswith("<!doctype html>")


def test_ctrl_c_leaves_no_page_and_no_other_file(results, emulated, ptxbench, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ptxbench.report.material.build_and_annotate", interrupted)
    assert ptxbench("report", "--kernels", emulated.kernels, "--target", "sm_90").status == 130
    assert sorted(path.name for path in Path().iterdir()) == ["kernels", "results"]
