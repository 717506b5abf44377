"""NVBench files: their content, and the results of NVIDIA's own tools on them."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from ptxbench import stats
from ptxbench.errors import UsageError
from ptxbench.exporters import to_nvbench
from tests.exporters.test_exporters import run_of as counted_run
from tests.runs import Kernel, Sampling, cell, run_of
from tests.terminal.test_table import COUNTED

RATIOS = {1: 0.95, 2: 1.00, 3: 1.05}


def run(clock_mhz=1755.0):
    """Ratios of 0.95, 1 and 1.05, a wrong kernel, and a pair with an extra variant."""
    rng = np.random.default_rng(1)
    sampling = Sampling(clock_mhz=clock_mhz)
    kernels = {n: {"cuda": Kernel(100), "ptx": Kernel(100 * ratio)} for n, ratio in RATIOS.items()}
    kernels[4] = {"cuda": Kernel(100), "ptx": Kernel(100, status="wrong", reason="out[2] is 1, expected 2.")}
    cells = [cell(rng, "triad", {"n": n}, of_size, sampling) for n, of_size in kernels.items()]
    wide = {"cuda": Kernel(80), "ptx": Kernel(80), "ptx.v4": Kernel(60)}
    return run_of([*cells, cell(rng, "scan", {"rows": 64, "columns": 33}, wide, sampling)])


def export(folder, run):
    for path, content in to_nvbench.export(run).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def nvidia(tool, *arguments):
    """The output of one of cuda-bench's scripts; it must succeed."""
    module = f"cuda.bench.scripts.{tool}"
    ran = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


STATUSES = [(1755.0, ["FAST", "SAME", "SLOW", "????"]), (None, ["AMBG", "SAME", "AMBG", "????"])]


@pytest.mark.parametrize(("clock_mhz", "statuses"), STATUSES)
def test_nvidias_compare_tool_reads_two_files_with_all_their_values(tmp_path, clock_mhz, statuses):
    folder = export(tmp_path, run(clock_mhz))
    printed = nvidia("nvbench_compare_robust", "--no-color", folder / "cuda.json", folder / "ptx.json")
    rows = re.findall(r"^\| +(\d) .* (\S{4}) +\|$", printed.split("# triad")[1], re.M)
    assert rows == [(str(n), status) for n, status in enumerate(statuses, 1)]
    assert "WARNING" not in printed
    assert "Total Matches: 5" in printed


def test_a_variant_that_only_one_pair_has_is_compared_only_there(tmp_path):
    folder = export(tmp_path, run())
    printed = nvidia("nvbench_compare_robust", "--no-color", folder / "cuda.json", folder / "ptx.v4.json")
    assert "# scan" in printed
    assert "Total Matches: 1" in printed
    assert "FAST" in printed


def test_nvidias_summary_tool_shows_samples_and_clock(tmp_path):
    printed = nvidia("nvbench_json_summary", export(tmp_path, run()) / "ptx.json")
    assert re.search(r"^\| 1 \| sm_90 \|  cold \| +300x .* 1\.755 GHz", printed, re.M)


def test_samples_are_stored_next_to_the_file_in_seconds_without_dropped_blocks(tmp_path):
    exported = run()
    rounds = exported.cells[0].rounds
    rounds = [replace(rounds[0], dropped={"3": "clock"}), *rounds[1:]]
    exported = replace(exported, cells=[replace(exported.cells[0], rounds=rounds)])
    document = json.loads(to_nvbench.export(exported)["ptx.json"])
    state = next(bench for bench in document["benchmarks"] if bench["name"] == "triad")["states"][0]
    [times] = [summary for summary in state["summaries"] if summary["tag"] == "nv/json/bin:nv/cold/sample_times"]
    name, size = (entry["value"] for entry in times["data"])
    seconds = np.frombuffer(to_nvbench.export(exported)[name], "<f4")
    assert len(seconds) == int(size) == 298
    clocks = np.frombuffer(to_nvbench.export(exported)[name.replace("json-bin", "json-freqs-bin")], "<f4")
    assert clocks.tolist() == [np.float32(1.755e9)] * 298
    assert seconds == pytest.approx(np.array(stats.samples(rounds, "ptx")) / 1e9, rel=1e-6)


def numbers(summaries):
    return {summary["tag"].removeprefix("nv/cold/"): float(summary["data"][0]["value"])
            for summary in summaries if summary["tag"].startswith("nv/cold/")}  # fmt: skip


def test_the_numbers_of_a_state_are_those_of_its_samples():
    exported = run()
    document = json.loads(to_nvbench.export(exported)["ptx.json"])
    state = next(bench for bench in document["benchmarks"] if bench["name"] == "triad")["states"][0]
    seconds = np.array(stats.samples(exported.cells[0].rounds, "ptx")) / 1e9
    q1, median, q3 = np.quantile(seconds, (0.25, 0.5, 0.75))
    deviation = np.std(seconds, ddof=1)
    assert numbers(state["summaries"]) == pytest.approx(
        {
            "sample_size": 300,
            "time/gpu/min": min(seconds),
            "time/gpu/max": max(seconds),
            "time/gpu/mean": np.mean(seconds),
            "time/gpu/median": median,
            "time/gpu/q1": q1,
            "time/gpu/q3": q3,
            "time/gpu/stdev/absolute": deviation,
            "time/gpu/iqr/absolute": q3 - q1,
            "time/gpu/stdev/relative": deviation / np.mean(seconds),
            "time/gpu/iqr/relative": (q3 - q1) / median,
            "sm_clock_rate/mean": 1.755e9,
        },
        rel=1e-3,
    )


def test_a_state_without_a_time_has_no_file_of_samples_and_the_control_is_not_exported():
    exported = run()
    cells = [replace(cell, control=cell.pair == "scan") for cell in exported.cells]
    files = to_nvbench.export(replace(exported, cells=cells))
    assert {name for name in files if name.endswith(".json")} == {"cuda.json", "ptx.json"}
    assert sorted(name for name in files if name.startswith("ptx.json-bin")) == [
        f"ptx.json-bin/{i}.bin" for i in range(len(RATIOS))
    ]


def test_a_sample_whose_clock_is_not_known_leaves_all_clocks_of_its_state_out():
    exported = run()
    rounds = exported.cells[0].rounds
    rounds = [replace(rounds[0], clock_mhz=[None, *rounds[0].clock_mhz[1:]]), *rounds[1:]]
    files = to_nvbench.export(replace(exported, cells=[replace(exported.cells[0], rounds=rounds)]))
    assert sorted(files) == ["cuda.json", "cuda.json-bin/0.bin", "ptx.json", "ptx.json-bin/0.bin"]
    [state] = json.loads(files["ptx.json"])["benchmarks"][0]["states"]
    assert "sm_clock_rate/mean" not in numbers(state["summaries"])


def test_all_files_have_equal_names_of_devices_benchmarks_and_states():
    files = {name: json.loads(text) for name, text in to_nvbench.export(run()).items() if name.endswith(".json")}
    cuda, ptx = (files[name] for name in ("cuda.json", "ptx.json"))
    assert sorted(files) == ["cuda.json", "ptx.json", "ptx.v4.json"]
    assert cuda["devices"] == ptx["devices"] == files["ptx.v4.json"]["devices"]
    assert cuda["devices"][0]["sm_version"] == 900

    def states(document):
        return [(bench["name"], state["name"]) for bench in document["benchmarks"] for state in bench["states"]]

    assert states(cuda) == states(ptx)
    assert ("scan", "Device=0 rows=64 columns=33 arch=sm_90 cache=cold") in states(cuda)


def test_a_wrong_kernel_is_a_state_without_a_time():
    document = json.loads(to_nvbench.export(run())["ptx.json"])
    states = next(bench for bench in document["benchmarks"] if bench["name"] == "triad")["states"]
    assert [(state["is_skipped"], state["skip_reason"]) for state in states] == [
        (False, None),
        (False, None),
        (False, None),
        (True, "out[2] is 1, expected 2."),
    ]
    assert states[3]["summaries"] is None


def test_a_run_without_times_is_refused():
    with pytest.raises(UsageError, match=r"^Run 12ab has no times, and NVBench's files hold nothing else\."):
        to_nvbench.export(counted_run(COUNTED))
