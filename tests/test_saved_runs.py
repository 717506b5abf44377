"""The saved run that a name means, in every command that takes one."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ptxbench.errors import UsageError
from ptxbench.result import save
from ptxbench.saved_runs import RUNS_AND_SWEEPS, find_run
from tests.cli.test_gate import BASE

RESULTS = Path("results")


def keep(identity, started="2026-01-31T12:00:00Z"):
    return save(replace(BASE, run=replace(BASE.run, id=identity, started=started)), RESULTS)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [keep("aaaa0001", "2026-01-31T12:00:00.250Z"), keep("bbbb0001", "2026-01-31T12:00:00.750Z"),
            keep("aaaa0002", "2026-02-01T12:00:00.000Z")]  # fmt: skip


def test_a_run_has_many_names(kept):
    first, second, third = kept
    names = {"latest": third, "latest~0": third, "latest~1": second, "latest~2": first, "bbbb": second,
             "20260201": third, "20260131T120000.75": second, str(first): first, first.name: first}  # fmt: skip
    for name, path in names.items():
        if name != first.name:  # a whole name with its suffix is a path
            assert find_run(name, RESULTS) == path, name
    assert find_run(first.stem, RESULTS) == first


@pytest.mark.parametrize(("name", "message"), [
    ("aaaa", r"^'aaaa' matches 2 runs: results/.*aaaa0001\.json, .*aaaa0002\.json\. Give more"),
    ("20260131", r"^'20260131' matches 2 runs: "),
    ("latest~3", r"^There is no run 'latest~3': 3 runs are saved below results\.$"),
    ("latest~x", r"^There is no run 'latest~x' below results\."),
    ("latest~-1", r"^There is no run 'latest~-1' below results\."),
    ("a/k.ptx",  r"^a/k\.ptx is a kernel, and a saved run is expected\. `ptxbench show A B` compares two kernels; "),
])  # fmt: skip
def test_a_name_of_no_run_or_of_several_is_reported_in_a_sentence(kept, name, message):
    with pytest.raises(UsageError, match=message):
        find_run(name, RESULTS)


def test_a_path_is_a_file_whether_it_exists_or_not(kept):
    for path in ("no/such", "such.json", str(kept[0])):
        assert find_run(path, RESULTS) == Path(path)


def test_of_many_runs_that_a_name_matches_four_are_named(kept):
    for number in (3, 4, 5):
        keep(f"aaaa000{number}")
    with pytest.raises(UsageError, match=r"^'aaaa' matches 5 runs: .*aaaa0004\.json,? .* and 1 more\. Give"):
        find_run("aaaa", RESULTS)


def test_a_single_run_is_not_several(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keep("aaaa0001")
    with pytest.raises(UsageError, match=r"'latest~1': 1 run is saved below results\.$"):
        find_run("latest~1", RESULTS)


def test_runs_of_the_same_second_are_in_the_order_of_writing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [keep(run_id) for run_id in ("ffff0001", "00000001", "88880001")]
    for nanoseconds, path in enumerate(paths):
        os.utime(path, ns=(nanoseconds, nanoseconds))
    assert [find_run(f"latest~{back}", RESULTS) for back in (2, 1, 0)] == paths


def test_view_counts_sweeps_too(kept, ptxbench):
    first, second, third = kept
    swept, confirming = second.with_suffix(".sweep.json"), third.with_suffix(".confirms-aaaa0001.json")
    second.rename(swept)
    assert [find_run(f"latest~{back}", RESULTS, RUNS_AND_SWEEPS) for back in range(3)] == [third, swept, first]
    assert [find_run(f"latest~{back}", RESULTS) for back in range(2)] == [third, first]
    third.rename(confirming)
    assert find_run("latest", RESULTS, RUNS_AND_SWEEPS) == swept
    ran = ptxbench("view", "latest~2")
    assert ran == (2, "", "Error: There is no run or sweep 'latest~2': 2 runs and sweeps are saved below results.\n")
    assert ptxbench("view", "nope").err.startswith("Error: There is no run or sweep 'nope' below results. ")
    ran = ptxbench("view", "--results", "none")
    assert ran.err == (
        "Error: There is no run or sweep 'latest': no run or sweep is saved below none. Name a file, or another folder "
        "with --results.\n"
    )


def test_commands_accept_these_names(kept, ptxbench):
    assert ptxbench("compare", "latest~1", "latest").status == 0
    assert ptxbench("gate", "latest~2", "--base", "20260201").status == 0
    assert ptxbench("export", "latest~1", "--to", "bmf").status == 0
    assert ptxbench("baseline", "check", "latest~1").status == 0
    assert "aaaa0001" in ptxbench("compare", "latest~2", "latest").out
    assert "triad" in ptxbench("view", "latest~1").out
