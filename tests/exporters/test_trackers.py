"""The files for trackers, compared completely: github-action-benchmark and Bencher."""

import json
from dataclasses import replace

import pytest

from ptxbench.errors import UsageError
from ptxbench.exporters import exporter
from ptxbench.result import Round, RunDocument
from ptxbench.run_info import Device, HostInfo, RunInfo, SourceInfo, Toolchain, ToolInfo
from tests.terminal.test_table import COUNTED, FAILED, TIMED

GPU = Device("gpu", "Scripted GPU")


def run_of(*cells, device=GPU):
    info = RunInfo("12ab", "2026-01-31T12:00:00Z")
    tools = Toolchain(ptxas="13.2.78")
    return RunDocument(info, ToolInfo(), SourceInfo(), HostInfo(), device, tools, {}, {}, list(cells))


def emulated(*cells):
    return run_of(*cells, device=Device("emulator", "emulator-sm_90"))


ROUNDS = [Round(i, i, ("cuda", "ptx"), "A", [[4000 + 8 * i, 3000, 3000, 4000 + 8 * i]] * 9) for i in range(2)]


def test_github_action_benchmark_gets_the_ratio_of_each_variant_on_a_gpu():
    control = replace(TIMED, pair="control", control=True)
    assert (
        exporter("gha")(run_of(replace(TIMED, rounds=ROUNDS), FAILED, control))
        == """\
[
 {
  "name": "triad n=65536 ptx on Scripted GPU",
  "unit": "ptx/cuda",
  "value": 0.749251123,
  "range": "\\u00b1 0.0007",
  "extra": "cuda 4.004 \\u00b5s\\nptx 3.000 \\u00b5s\\nrun 12ab, ptxas 13.2.78"
 }
]
"""
    )


def test_github_action_benchmark_gets_counts_from_the_emulator():
    benchmarks = json.loads(exporter("gha")(emulated(COUNTED, FAILED)))
    assert benchmarks[0] == {
        "name": "triad n=65536 cuda on emulator-sm_90: spills",
        "unit": "B",
        "value": 0,
        "extra": "Bytes of spill stores and loads of a thread.\nrun 12ab, ptxas 13.2.78",
    }
    values = {
        benchmark["name"].replace(" on emulator-sm_90", ""): (benchmark["value"], benchmark["unit"])
        for benchmark in benchmarks
    }
    assert values["triad n=65536 ptx: ptx_warp_instructions"] == (13824, "count")
    assert values["triad n=65536 cuda: registers"] == (22, "count")
    assert not any("occupancy" in name for name in values)  # higher is better


def test_bencher_gets_ratios_with_intervals_nanoseconds_and_counters():
    assert (
        exporter("bmf")(run_of(replace(TIMED, rounds=ROUNDS)))
        == """\
{
 "triad/n=65536/cuda": {
  "latency": {
   "value": 4004.0,
   "lower_value": 4000.0,
   "upper_value": 4008.0
  },
  "spills": {
   "value": 0.0
  },
  "stack": {
   "value": 0.0
  },
  "occupancy": {
   "value": 1.0
  },
  "registers": {
   "value": 22.0
  },
  "sass": {
   "value": 42.0
  }
 },
 "triad/n=65536/ptx": {
  "ptx-over-cuda": {
   "value": 0.749251123,
   "lower_value": 0.748502994,
   "upper_value": 0.75
  },
  "latency": {
   "value": 3000.0,
   "lower_value": 3000.0,
   "upper_value": 3000.0
  },
  "spills": {
   "value": 0.0
  },
  "stack": {
   "value": 0.0
  },
  "occupancy": {
   "value": 1.0
  },
  "registers": {
   "value": 22.0
  },
  "sass": {
   "value": 42.0
  }
 }
}
"""
    )
    counted = json.loads(exporter("bmf")(emulated(COUNTED)))
    assert counted["triad/n=65536/ptx"]["ptx-warp-instructions"] == {"value": 13824}
    assert "latency" not in counted["triad/n=65536/ptx"]


def test_a_cache_that_is_not_cold_is_another_series():
    assert list(json.loads(exporter("bmf")(emulated(COUNTED, replace(COUNTED, cache="hot"))))) == [
        "triad/n=65536/cuda",
        "triad/n=65536/ptx",
        "triad/n=65536/cache=hot/cuda",
        "triad/n=65536/cache=hot/ptx",
    ]


def test_times_that_are_not_judged_are_not_tracked():
    throttled = run_of(replace(TIMED, labels=["THROTTLED"]))
    with pytest.raises(UsageError, match=r"^Run 12ab has no valid ratio"):
        exporter("gha")(throttled)
    assert "latency" not in exporter("bmf")(throttled)


@pytest.mark.parametrize("form", ["gha", "bmf"])
def test_a_run_without_a_verified_kernel_is_refused_because_an_empty_file_would_look_good(form):
    wrong = replace(FAILED, variants={"ptx": FAILED.variants["ptx"]})
    for run in (emulated(), emulated(wrong), emulated(replace(COUNTED, control=True))):
        with pytest.raises(UsageError, match=r"^Run 12ab has no verified kernel: there is nothing to track\.$"):
            exporter(form)(run)
