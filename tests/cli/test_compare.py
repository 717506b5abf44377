"""`ptxbench compare`: how runs are named, its output, its files and its exit status."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ptxbench.result import save
from tests.terminal.test_comparison import BASE, CHANGED, COUNTED, HEAD


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Three saved runs below results/: two of a GPU, one of the emulator, which is the oldest."""
    monkeypatch.chdir(tmp_path)
    old = replace(COUNTED, run=replace(COUNTED.run, started="2025-01-01T00:00:00Z", id="0e0e0e0e"))
    save(old, Path("results/emulator-sm_90"))
    for run in (BASE, HEAD):
        save(run, Path("results/nvidia-h100-80gb-hbm3"))
    (Path("results") / "README.md").write_text("no run")
    (Path("results") / "calibration.json").write_text("{}")


@pytest.mark.parametrize("base", ["ba5e", "ba5e0001"])
@pytest.mark.parametrize("head", [["4ead"], ["latest"], []])
def test_runs_are_named_by_the_start_of_their_id_or_as_the_latest(results, ptxbench, base, head):
    ran = ptxbench("compare", base, *head)
    assert (ran.status, ran.err) == (0, "")
    assert "head  4ead0002" in ran.out
    assert "REGRESSED          softmax ptx" in ran.out


def test_a_run_is_named_by_its_file(results, ptxbench):
    base, head = sorted(Path("results/nvidia-h100-80gb-hbm3").glob("*.json"))
    assert ptxbench("compare", base, head).out == ptxbench("compare", "ba5e", "4ead").out


REFUSED = [
    (["beef", "4ead"], "Error: There is no run 'beef' below results. A run is a file, the start of a "
     "file's name or of an id, 'latest', or 'latest~1', the one before.\n"),
    (["ba5e0002"], "Error: There is no run 'ba5e0002' below results. Did you mean 'ba5e0001'? A run is a file, the "
     "start of a file's name or of an id, 'latest', or 'latest~1', the one before.\n"),
    (["nothing.json"], "Error: Cannot read nothing.json: No such file or directory.\n"),
    (["results"], "Error: results is a folder, not a saved run. A saved run is a JSON file, by default below "
                  "results/.\n"),
    (["results/calibration.json"], "Error: results/calibration.json is not a ptxbench run: it has no 'schema', "
                                   "expected 'ptxbench.run/3'.\n"),
    (["ba5e", "0e0e", "--metric", "ratio"], "Error: Run 0e0e0e0e has no times. Compare its counters: --metric "
                                            "counters.\n"),
    (["ba5e", "-o", "x.pdf"], "Error: Unknown suffix of 'x.pdf'. Name a file that ends in .json, .csv or .md.\n"),
    (["ba5e", "--results", "elsewhere"], "Error: There is no run 'ba5e': no run is saved below elsewhere. Name a file, "
                                         "or another folder with --results.\n"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_files_that_cannot_be_compared_give_one_sentence_and_status_2(results, ptxbench, arguments, message):
    assert ptxbench("compare", *arguments) == (2, "", message)


def test_an_id_that_begins_several_runs_names_them(results, ptxbench):
    save(replace(BASE, run=replace(BASE.run, id="ba5e0002")), Path("results/other"))
    ran = ptxbench("compare", "ba5e", "4ead")
    assert ran.status == 2
    assert ran.err.startswith("Error: 'ba5e' matches 2 runs: results/")
    assert ptxbench("compare", "ba5e0001", "4ead").status == 0


@pytest.mark.parametrize(("budget", "verdict"), [("5%", "REGRESSED"), ("0.05", "REGRESSED"), ("20 %", "NO-REGRESSION")])
def test_the_budget_decides(results, ptxbench, budget, verdict):
    document = json.loads(ptxbench("compare", "ba5e", "--budget", budget, "--json").out)
    assert next(row["verdict"] for row in document["rows"] if row["pair"] == "softmax") == verdict


@pytest.mark.parametrize("budget", ["0", "5", "-1%", "much", "100%", "nan"])
def test_an_invalid_budget_is_a_usage_error(results, ptxbench, budget):
    ran = ptxbench("compare", "ba5e", "--budget", budget)
    assert ran.status == 2
    assert f"'{budget}' is not a share between 0 and 100 %. Write 5% or 0.05." in ran.err


def test_json_has_every_number_threshold_and_reason(results, ptxbench):
    ran = ptxbench("compare", "ba5e", "4ead", "--json")
    document = json.loads(ran.out)
    assert document["schema"] == "ptxbench.compare/2"
    assert document["metric"] == "ratio"
    assert document["rule"] == {"budget": 0.05, "guard": 0.025, "level": 0.99, "alpha": 0.05, "floor_seconds": 5e-7}
    assert document["differences"] == [{"name": "driver", "base": "580.65", "head": "590.10"}]
    assert document["counts"]["REGRESSED"] == 1
    rows = {(row["pair"], row["variant"]): row for row in document["rows"]}
    softmax = rows["softmax", "ptx"]
    assert softmax["change"]["low"] < 49.6 / 45 < softmax["change"]["high"]
    assert softmax["p_adjusted"] < 0.05
    assert softmax["moves"] == {"ptx": "source", "cuda": "same"}
    assert softmax["notes"] == ["driver (note)"]
    assert len(softmax["base_rounds"]) == 5
    assert rows["transpose", "ptx"]["detail"].startswith("ptx is wrong: transpose.ptx")
    assert rows["histogram256", "ptx"]["reason"] == "wide_interval"


def test_files_are_written_by_their_suffix_and_the_table_is_printed_too(results, ptxbench):
    ran = ptxbench("compare", "ba5e", "4ead", "-o", "out/c.md", "-o", "out/c.csv", "--output", "out/c.JSON")
    assert ran.status == 0
    assert "softmax" in ran.out
    rows = list(csv.DictReader(Path("out/c.csv").read_text().splitlines()))
    assert len(rows) == len(json.loads(Path("out/c.JSON").read_text())["rows"]) == 6
    assert rows[1]["verdict"] == "REGRESSED"
    assert float(rows[1]["change"]) == pytest.approx(1.108, abs=0.001)
    assert [row["head"] for row in rows if row["verdict"] == "BROKEN"] == [""]


def test_markdown_can_be_pasted_into_an_issue(results, ptxbench):
    ptxbench("compare", "ba5e", "4ead", "-o", "c.md")
    assert (
        Path("c.md").read_text()
        == """\
6 rows of ratio: 1 BROKEN, 1 REGRESSED, 1 INCONCLUSIVE, 1 REFERENCE-CHANGED, 1 IMPROVED, 1 SAME-CODE.

- base  ba5e0001  2026-01-31T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee
- head  4ead0002  2026-02-01T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee
- They differ in driver 580.65 -> 590.10.

| verdict | pair | variant | size | metric | base | head | change | interval | code |
|:--|:--|:--|:--|:--|--:|--:|--:|--:|:--|
| BROKEN | transpose | `ptx` | n=65536 | ratio | - | - | - |  |  |
| REGRESSED | softmax | `ptx` | n=65536 | ratio | 0.895 | 0.991 | +10.8 % | +9.8 .. +11.5 % | ptx: source |
| INCONCLUSIVE | histogram256 | `ptx` | n=65536 | ratio | 0.749 | 0.788 | +5.1 % | -4.9 .. +12.8 % | ptx: source |
| REFERENCE-CHANGED | scan | `ptx` | n=65536 | ratio | 0.862 | 0.963 | +11.8 % | +11.1 .. +12.6 % | cuda: toolchain |
| IMPROVED | triad | `ptx.v4` | n=65536 | ratio | 0.980 | 0.874 | -10.8 % | -11.5 .. -9.5 % | ptx.v4: source |

- BROKEN transpose ptx n=65536: ptx is wrong: transpose.ptx, n=33: out\\[2] is 1, expected 2.
- INCONCLUSIVE histogram256 ptx n=65536: the interval is too wide. It is close to the budget, so more rounds \
help little.

Budget 5 %; intervals between one-sided 99 % bounds over rounds.
If no code changed, the probability of any regression is at most 5 %.
Geometric mean of head over base: 1.030. No verdict depends on it.
"""
    )


def test_runs_of_the_emulator_are_compared_by_their_counts(results, ptxbench):
    save(CHANGED, Path("results/emulator-sm_90"))
    ran = ptxbench("compare", "0e0e", "c0b")
    assert ran.status == 0
    assert "ptx_shared_conflicts            0      31        +31" in ran.out
