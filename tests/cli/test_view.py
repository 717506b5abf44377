"""`ptxbench view`: a recorded run of a GPU printed again, whole: tables, pictures, findings. And what is no run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ptxbench.result import save
from ptxbench.run_info import TimedOn
from tests.runs import run_of
from tests.terminal.test_forest import CELLS
from tests.terminal.test_table import explained


def test_a_timed_run_is_printed_with_its_pictures(tmp_path, monkeypatch, ptxbench):
    monkeypatch.chdir(tmp_path)
    path = save(run_of(CELLS), Path("results"))
    ran = ptxbench("view", path)
    assert (
        "".join(f"{line.rstrip()}\n" for line in ran.out.splitlines())
        == """\
triad  n=65,536  sm_90, grid 64, block 256

         verified    time   time / cuda  bandwidth  regs  spills  SASS  occup.
variant  max error     µs             ×       GB/s             B             %
──────────────────────────────────────────────────────────────────────────────
cuda     ✔ 6.0e-08  49.96         1.000      240.2    22       0    40     100
ptx      ✔ 6.0e-08  45.03  0.901 ±0.005      266.5    22       0    40     100
ptx.v4   ✔ 6.0e-08  52.03  1.042 ±0.002      230.6    22       0    40     100

triad  n=1,048,576  sm_90, grid 64, block 256

         verified    time   time / cuda  bandwidth  regs  spills  SASS  occup.
variant  max error     µs             ×       GB/s             B             %
──────────────────────────────────────────────────────────────────────────────
cuda     ✔ 6.0e-08  501.1         1.000      23.95    22       0    40     100
ptx      ✔ 6.0e-08  494.4  0.988 ±0.003      24.27    22       0    40     100
ptx.v4   ✘ wrong        -             -          -    22       0    40     100

✘ ptx.v4 is wrong: no reason was recorded.

time / cuda      0.90                                     1.00            1.04                rounds
n=65536  ptx     ├─●─┤                                      ┊                   0.901 ±0.005  ▆▆▃█▁
n=65536  ptx.v4                                             ┊              ├●┤  1.042 ±0.002  ▄█▇▅▁
n=1048576  ptx                                        ├●┤   ┊                   0.988 ±0.003  ▁▇█▅▂

n=65536: ptx has the same instruction mix as cuda and takes 9.9 % less time (99 % interval 9.35 to
10.38 %; FASTER). ptx.v4 has the same instruction mix as cuda and takes 4.2 % more time (99 %
interval 3.95 to 4.46 %; SLOWER). ptx is the fastest hand-written PTX.
n=1048576: ptx has the same instruction mix as cuda and takes 1.2 % less time (99 % interval 0.93 to
1.55 %; INCONCLUSIVE: more --rounds may decide).

2 cells, 6 variants: 5 verified, 1 wrong.
"""
    )


@pytest.mark.parametrize(
    ("timed_on", "words"),
    [
        (None, None),
        (TimedOn(1, 1), None),
        (TimedOn(3, 2), "Timed on 3 GPUs of 2 hosts, each pair on one: times of two pairs may be those of two GPUs."),
    ],
)
def test_a_run_on_several_gpus_says_so(timed_on, words, tmp_path, ptxbench):
    run = run_of(CELLS)
    ran = ptxbench("view", save(replace(run, run=replace(run.run, timed_on=timed_on)), tmp_path))
    assert ran.status == 4
    assert ran.out.splitlines()[-1] == (words or "2 cells, 6 variants: 5 verified, 1 wrong.")


def test_rows_are_compared_with_a_chosen_row_if_it_is_verified(tmp_path, monkeypatch, ptxbench):
    monkeypatch.chdir(tmp_path)
    path = save(run_of(CELLS), Path("results"))
    lines = ptxbench("view", path, "--reference", "ptx.v4").out.splitlines()
    assert any(line.startswith("n=65536: ptx has the same instruction mix as ptx.v4 and takes 14 %") for line in lines)
    assert "n=1048576: ptx.v4 is not verified, so nothing is compared with it." in lines
    refused = ptxbench("view", path, "--reference", "ptx.v8")
    assert refused.status == 2
    assert refused.err.splitlines()[-1] == (
        "Error: --reference: this run has no row 'ptx.v8'. Did you mean 'ptx.v4'? Its rows are cuda, ptx, ptx.v4."
    )


def test_the_findings_of_json_compare_with_the_chosen_row(tmp_path, monkeypatch, ptxbench):
    monkeypatch.chdir(tmp_path)
    cell = explained(spill_store_bytes=8, spill_load_bytes=8)
    cell = replace(cell, variants={**cell.variants, "cuda@fast": cell.variants["cuda"]})
    path = save(run_of([cell]), Path("results"))
    for options, reference in (((), "cuda"), (("--reference", "cuda@fast"), "cuda@fast")):
        findings = json.loads(ptxbench("view", path, "--json", *options).out)["findings"]
        assert {tuple(finding["variants"]) for finding in findings} == {(reference, "ptx")}


NO_RUNS = [
    ("absent.json",  None,                    "Cannot read absent.json: No such file or directory."),
    ("bad.json",     "{",                     "bad.json:1: not JSON: the file is cut off."),
    ("other.json",   "[1]",
     "other.json is not a ptxbench run: it has no 'schema', expected 'ptxbench.run/3'."),
    ("check.json",   '{"schema": "ptxbench.check/2"}',
     "check.json is not a ptxbench run: its 'schema' is 'ptxbench.check/2' (what `ptxbench check --json` prints), "
     "expected 'ptxbench.run/3'."),
    ("foreign.json", '{"schema": "ptxbench.foreign/2"}',
     "foreign.json is not a ptxbench run: its 'schema' is 'ptxbench.foreign/2', expected 'ptxbench.run/3'."),
    ("report.HTML",  "<!doctype html>",
     "report.HTML is an HTML page, not a saved run. A saved run is a JSON file, by default below results/."),
    ("run.csv",      "run,pair",
     "run.csv is a table, not a saved run. A saved run is a JSON file, by default below results/."),
    ("folder",       "",                      "folder is a folder, not a saved run. A saved run is a JSON file, "
     "by default below results/."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), NO_RUNS)
def test_what_is_no_run_is_named(name, text, message, tmp_path, monkeypatch, ptxbench):
    monkeypatch.chdir(tmp_path)
    if text:
        Path(name).write_text(text)
    elif text == "":
        Path(name).mkdir()
    assert ptxbench("view", name) == (2, "", f"Error: {message}\n")


def test_the_suffix_of_a_run_decides_nothing(tmp_path, monkeypatch, ptxbench):
    monkeypatch.chdir(tmp_path)
    save(run_of(CELLS), Path("results")).rename("run.md")
    assert ptxbench("view", "run.md").status == 4


def test_run_and_tune_know_no_replay(ptxbench):
    for command in (("run",), ("tune", "triad")):
        ran = ptxbench(*command, "--replay", "latest")
        assert ran.status == 2
        assert "Error: No such option '--replay'." in ran.err
