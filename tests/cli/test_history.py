"""`ptxbench history`: series of saved runs, their steps dated by run and commit, and unreadable runs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptxbench.result import save, to_json
from ptxbench.terminal.history import HistoryTable, condensed
from ptxbench.verdict.history import SeriesCollection
from ptxbench.wording.history import footer, span, step_lines
from tests.cli.test_gate import BEFORE, after, counted
from tests.folders import changed
from tests.runs import Kernel, Sampling, timed_run
from tests.terminal.test_table import printed


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def day(i):
    return f"2026-01-{1 + i:02}T12:00:00Z"


def emulated(i, triad=BEFORE, **frame):
    return counted({"triad": triad, "scan": BEFORE}, id=f"e{i:07}", started=day(i), **frame)


def on_gpu(i, us=45.0, code="A", **frame):
    kernels = {"cuda": Kernel(50), "ptx": Kernel(us * np.exp(0.004 * np.sin(7 * i)), code)}
    return timed_run(i, {("triad", 64): kernels}, Sampling(blocks=8), id=f"{i:08}", started=day(i), **frame)


def keep(*runs, folder="results/device"):
    for run in runs:
        save(run, Path(folder))


WORSE = after(ptx_barriers=96, registers=40)
COUNTED = [emulated(0), emulated(1, source={"commit": "feed"}), emulated(2, WORSE, toolchain={"nvrtc": "13.3"})]


def test_steps_are_in_the_order_of_time_whatever_their_pairs_are(ptxbench):
    for first, second in (("a", "z"), ("z", "a")):
        pairs = [{first: BEFORE, second: BEFORE}, {first: WORSE, second: BEFORE}, {first: WORSE, second: WORSE}]
        runs = [counted(kernels, id=f"e{i:07}", started=day(i)) for i, kernels in enumerate(pairs)]
        keep(*runs, folder=f"{first}/device")
        out = ptxbench("history", "--results", first).out
        assert re.findall(r"^2026-01-0. +(.) ptx", out, re.M) == [first, second]


def test_a_step_of_counts_names_its_runs_commits_and_other_changes(ptxbench):
    keep(*COUNTED)
    assert (
        "\n".join(line.rstrip() for line in ptxbench("history").out.splitlines())
        == """\
emulator-sm_90  3 runs, 2026-01-01 to 2026-01-03

variant    history               first  median  last
────────────────────────────────────────────────────
triad ptx  ▁▁█                      22      22    40
n=64       registers, 3 runs
           ▁▁█                      64      64    96
           ptx_barriers, 3 runs

46 counts are the same in every run; name a PAIR to see them.

2026-01-03 triad ptx n=64: registers 22 -> 40, ptx_barriers 64 -> 96, from run e0000002 (c0ffee) on;
           the run before it is e0000001 (feed). Its source changed. Also: NVRTC 13.2 -std=c++17 ->
           13.3 -std=c++17.
           Next: ptxbench compare e0000001 e0000002

A step shows when a value changed. It is not a verdict: lasting noise can look like a step. For a
verdict, use `ptxbench compare` on the two runs, or `ptxbench gate`."""
    )


def test_a_step_of_ratios_is_fitted_and_both_ratios_and_times_are_shown(ptxbench):
    keep(*(on_gpu(i, 45 if i < 8 else 50, "A" if i < 8 else "B") for i in range(12)))
    document = json.loads(ptxbench("history", "--json").out)
    assert document["schema"] == "ptxbench.history/1"
    assert "not a verdict" in document["notice"]
    series = {(entry["variant"], entry["metric"]): entry for entry in document["series"]}
    assert list(series) == [("cuda", "time"), ("ptx", "ratio"), ("ptx", "time")]
    [step] = series["ptx", "ratio"]["steps"]
    assert (step["index"], step["last_before"]["run"], step["first_after"]["run"]) == (8, "00000007", "00000008")
    assert (step["first_after"]["commit"], step["code"], step["differences"]) == ("c0ffee", "source", [])
    assert step["after"] / step["before"] == pytest.approx(50 / 45, rel=0.01)
    assert series["cuda", "time"]["steps"] == []
    assert len(series["ptx", "ratio"]["points"]) == 12
    assert series["ptx", "ratio"]["unit"] == "×"
    ran = ptxbench("history", "tri*", "--metric", "ratio")
    assert "2026-01-09 triad ptx n=64: ratio +11." in ran.out
    assert "ptxbench compare 00000007 00000008" in ran.out
    assert "time" not in ran.out


def test_the_median_of_counts_is_one_of_them(ptxbench):
    keep(COUNTED[0], COUNTED[2])
    [series] = [entry for entry in json.loads(ptxbench("history", "--metric", "ptx_barriers", "--json").out)["series"]
                if (entry["pair"], entry["variant"]) == ("triad", "ptx")]  # fmt: skip
    assert (series["median"], series["last"]) == (64, 96)


def test_a_shift_moves_no_exit_status(ptxbench):
    keep(*COUNTED)
    assert ptxbench("history").status == ptxbench("history", "triad", "--json").status == 0


def test_a_pair_that_is_named_shows_counts_that_never_changed_too(ptxbench):
    keep(*COUNTED)
    assert "ptx_shared_load_conflicts, 3 runs" in ptxbench("history", "scan").out
    assert "the same in every run" not in ptxbench("history", "scan").out


def test_only_the_last_values_can_be_shown(ptxbench):
    keep(*COUNTED)
    [*series] = json.loads(ptxbench("history", "triad", "--metric", "ptx_barriers", "--last", "1", "--json").out)[
        "series"
    ]
    assert [(entry["variant"], [point["value"] for point in entry["points"]]) for entry in series] == [
        ("cuda", [64]),
        ("ptx", [96]),
    ]


def test_unreadable_runs_are_named_and_the_others_are_shown(ptxbench):
    keep(*COUNTED)
    complete = next(Path("results/device").glob("*e0000000.json")).read_text()
    bad = {
        "20260101T120000Z-bad0.json": complete[: len(complete) // 2],
        "20260101T120000Z-bad1.json": complete.replace("ptxbench.run/3", "ptxbench.run/4"),
        "20260101T120000Z-bad2.json": "[]",
        "calibration.json": "{}",  # no run, and none by its name
    }
    for name, text in bad.items():
        Path("results/device", name).write_text(text)
    Path("results/20260101T120000Z-bad3.json").mkdir()
    ran = ptxbench("history", "triad", "--metric", "ptx_barriers", "--json")
    first, *lines = ran.err.splitlines()
    assert (ran.status, first) == (0, "Skipped 4 unreadable:")
    assert json.loads(ran.out)["unreadable"] == lines
    for i, line in enumerate(sorted(lines, key=lambda line: line[line.index("bad") :])):
        assert f"20260101T120000Z-bad{i}.json" in line
    assert len(json.loads(ran.out)["series"][0]["points"]) == 3


def test_without_a_run_the_message_gives_advice(ptxbench):
    advice = "No run is saved below results. Make one with ptxbench run, or give the folder of runs with --results.\n"
    assert ptxbench("history") == (5, "", advice)
    Path("results").mkdir()
    Path("results/20260101T120000Z-bad0.json").write_text("")
    ran = ptxbench("history", "--json")
    assert (ran.status, ran.out, ran.err.endswith(advice)) == (5, "", True)


REFUSED = [
    (["trid"], 2, "Error: Unknown pair 'trid' in the saved runs. Did you mean 'triad'?\n"),
    (["--metric", "rato"], 2, "Error: Unknown metric 'rato'. Did you mean 'ratio'?\n"),
    (["--metric", "sass.ldg"], 2, "Error: Unknown column 'sass.ldg'."),
    (["--metric", "time"], 5, "No saved run has the metric 'time'.\n"),
    (["scan", "--metric", "sass.LDG"], 5, "No saved run has the metric 'sass.LDG' of scan.\n"),
    (["--last", "0"], 2, "Usage:"),
]


@pytest.mark.parametrize(("arguments", "status", "message"), REFUSED)
def test_missing_history_is_reported(ptxbench, arguments, status, message):
    keep(*COUNTED)
    ran = ptxbench("history", *arguments)
    assert (ran.status, ran.out, ran.err.startswith(message)) == (status, "", True), ran


def collected(*runs):
    collection = SeriesCollection()
    for run in runs:
        collection.add(run)
    return collection


def test_a_run_with_a_count_that_is_not_a_number_is_unreadable(ptxbench):
    keep(*COUNTED)
    text = to_json(emulated(3, after(ptx_barriers=98765)))
    Path("results/device/20260104T120000Z-e0000003.json").write_text(changed(text, "98765", "NaN"))
    ran = ptxbench("history", "triad", "--metric", "ptx_barriers", "--json")
    points = {entry["variant"]: len(entry["points"]) for entry in json.loads(ran.out)["series"]}
    assert points == {"cuda": 3, "ptx": 3}
    assert re.search(r"results/device/20260104T120000Z-e0000003.json:\d+: NaN is not JSON: expected a number", ran.err)


def test_a_run_that_is_saved_twice_counts_once():
    collection = collected(COUNTED[0], COUNTED[0])
    assert {len(entry.points) for entry in collection.series()} == {1}


def test_devices_sizes_and_caches_are_series_of_their_own():
    other = emulated(3, device={"name": "emulator-sm_80"})
    warm = emulated(4)
    warm = replace(warm, cells=[replace(cell, cache="warm") for cell in warm.cells])
    series = collected(COUNTED[0], other, warm).series(["scan"])
    assert len(series) == 3 * len(collected(COUNTED[0]).series(["scan"]))
    assert "n=64 warm cache" in printed(HistoryTable(series, 0, quiet=False))


def test_wrong_kernels_controls_and_unjudged_rows_are_not_in_a_series():
    throttled = on_gpu(1)
    throttled = replace(throttled, cells=[replace(cell, labels=["THROTTLED"]) for cell in throttled.cells])
    control = on_gpu(2)
    control = replace(control, cells=[replace(cell, pair="control", control=True) for cell in control.cells])
    collection = collected(on_gpu(0), throttled, control, emulated(3, after(status="wrong")))
    series = {(entry.key.pair, entry.key.variant, entry.key.metric.name): entry for entry in collection.series()}
    assert (collection.unjudged, len(series["triad", "ptx", "ratio"].points)) == (3, 1)
    assert ("triad", "ptx", "ptx_barriers") not in series
    assert not any(pair == "control" for pair, *_ in series)
    text = printed(HistoryTable(collection.series(), collection.unjudged, quiet=True))
    assert "3 values are left out: a label of the cell, such as THROTTLED" in text


def test_no_line_is_wider_than_the_terminal_also_in_ascii():
    runs = [on_gpu(i) for i in range(12)]
    series = [*collected(*runs).series(), *collected(*COUNTED).series()]
    for width in (100, 80):
        text = printed(HistoryTable(series, 0, quiet=False), width=width)
        assert max(map(len, text.splitlines())) <= width
    plain = printed(HistoryTable(collected(*COUNTED).series(), 0, quiet=True), encoding="ascii", no_color=True)
    assert "__#" in plain


def test_long_series_are_shown_by_the_medians_of_stretches():
    assert condensed([1, 1, 5, 5, 9, 9], 3) == [1, 5, 9]
    assert condensed([1, 2], 3) == [1, 2]
    assert len(condensed(list(range(97)), 40)) == 40


def test_two_steps_of_one_day_have_a_line_each():
    values = [BEFORE, WORSE, after(ptx_barriers=128, registers=40)]
    runs = [
        counted({"triad": kernel}, id=f"e{i:07}", started=f"2026-01-01T1{i}:00:00Z", source={"dirty": i > 0})
        for i, kernel in enumerate(values)
    ]
    barriers = [entry for entry in collected(*runs).series() if entry.key.metric.name == "ptx_barriers"]
    first, second = (text for _, text in step_lines(barriers))
    assert "ptx_barriers 64 -> 96, from run e0000001 (c0ffee, changed) on; the run before it is e0000000 (c" in first
    assert "ptx_barriers 96 -> 128, from run e0000002" in second
    assert "e0000000 (c0ffee)" in first


def test_a_single_run_of_a_gpu_is_shown_although_nothing_has_changed():
    assert "ratio" in printed(HistoryTable(collected(on_gpu(0)).series(), 0, quiet=True))


def test_the_head_line_has_the_first_and_the_last_day_of_all_series():
    late, early = collected(on_gpu(3)).series(), collected(on_gpu(1), on_gpu(2)).series()
    assert span([*late, *early]) == "3 runs, 2026-01-02 to 2026-01-04"
    assert [*footer(1)][1].startswith("1 value is left out: ")
