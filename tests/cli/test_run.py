"""`ptxbench run`: its output streams, saved files and exit status."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest

from ptxbench import backends, runner
from ptxbench.cli import run as run_command
from ptxbench.errors import ToolMissing
from ptxbench.measure import SamplingSettings, measure
from ptxbench.result import Cell, LaunchReport, VariantResult, from_json
from ptxbench.runner import ResultsSoFar, RunOutcome, control, session
from ptxbench.toolchain import locate, nvrtc
from tests.conftest import Ran
from tests.fakes import FakeBackend, HostileBackend
from tests.folders import CUDA, PTX, changed, kernels_folder

QUICK = SamplingSettings(warm_up_seconds=0, stretch=1, looks=(9,), solo=0)
"""A scripted clock needs no warm-up."""


def words(text):
    """The text in one line."""
    return " ".join(text.split())


RUN = ("run", "--kernels", "kernels", "--backend", "emulator")


def test_the_table_goes_to_stdout_and_where_it_was_saved_to_stderr(kernels, ptxbench):
    ran = ptxbench(*RUN)
    assert ran.status == 0
    assert (
        "".join(f"{line.rstrip()}\n" for line in ran.out.splitlines())
        == """\
scale  n=1,024  sm_90, grid 8, block 128

           verified   SASS executed  exec. / cuda  sectors  regs  spills  SASS  occup.
variant    max error                            ×                      B             %
──────────────────────────────────────────────────────────────────────────────────────
cuda       ✔ exact              544         1.000      256    10       0    17     100
cuda@fast  ✔ exact              544         1.000      256    10       0    17     100
ptx        ✔ exact              544         1.000      256    10       0    17     100

n=1024: ptx has the same instruction mix as cuda, executes the same machine instructions and moves
the same sectors. cuda@fast executes as few as cuda.

1 cell, 3 variants: 3 verified.
Counts of PTX on a CPU emulator, not times. Executed SASS is derived from them and from the machine
code. All other counts are of PTX, which ptxas may change.
"""
    )
    (path,) = Path("results").rglob("*.json")
    assert ran.err == f"Saved {path}\n"
    assert re.fullmatch(r"results/emulator-sm_90/\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}\.json", path.as_posix())


def test_json_is_the_run_document_and_nothing_else(kernels, ptxbench):
    ran = ptxbench(*RUN, "--json")
    assert ran.status == 0
    run = from_json(ran.out, "stdout")
    assert run == from_json(next(Path("results").rglob("*.json")).read_text(), "file")
    assert [finding["variants"] for finding in json.loads(ran.out)["findings"]][:1] == [["cuda", "ptx"]]
    assert run.run.status == "complete"
    assert (run.run.backend, run.run.assembler, run.run.seed) == ("emulator", "toolkit", 1)
    assert run.device.is_emulator
    assert set(json.loads(ran.out)["toolchain"]) >= {"nvrtc", "ptxas", "nvdisasm", "flags"}
    assert [cell.pair for cell in run.cells] == ["scale"]


def test_a_run_is_saved_also_if_its_json_cannot_be_printed(kernels, ptxbench, monkeypatch):
    def say_on_a_full_disk(text, *, err=False, nl=True):
        if not err:
            raise ToolMissing("stdout is full")

    monkeypatch.setattr("ptxbench.cli.run.say", say_on_a_full_disk)
    ran = ptxbench(*RUN, "--json", "--output", "run.csv")
    assert (ran.status, ran.out) == (2, "")
    (path,) = Path("results").rglob("*.json")
    assert from_json(path.read_text(), "file").run.status == "complete"
    assert Path("run.csv").exists()


def test_a_run_does_not_reveal_its_user(kernels, ptxbench):
    ran = ptxbench(*RUN, "--json", "--no-save")
    assert str(Path.home()) not in ran.out
    assert str(kernels) not in ran.out


def test_no_run_is_saved_with_no_save(kernels, ptxbench):
    ran = ptxbench(*RUN, "--no-save")
    assert (ran.status, ran.err) == (0, "")
    assert not Path("results").exists()


def test_results_go_to_the_given_folder(kernels, ptxbench):
    ptxbench(*RUN, "--results", "elsewhere/runs")
    assert len(list(Path("elsewhere/runs/emulator-sm_90").glob("*.json"))) == 1


def test_an_output_file_has_the_form_of_its_suffix_and_is_replaced(kernels, ptxbench):
    Path("run.csv").write_text("of yesterday")
    for name in ("run.csv", "run.md", "run.json"):
        assert ptxbench(*RUN, "--no-save", "--output", name).status == 0
    rows = list(csv.DictReader(io.StringIO(Path("run.csv").read_text())))
    assert [(row["variant"], row["status"], row["ptx_warp_instructions"]) for row in rows] == [
        ("cuda", "verified", "608"),
        ("cuda@fast", "verified", "608"),
        ("ptx", "verified", "576"),
    ]
    assert "| `ptx` | verified | 0 | 544 | 1.000 |" in Path("run.md").read_text()
    assert from_json(Path("run.json").read_text(), "run.json").cells


def test_pairs_variants_sizes_and_columns_are_chosen(kernels, ptxbench):
    ran = ptxbench(*RUN, "sc*", "--variant", "cuda", "--variant", "p*", "--size", "n=5", "--size", "n=300",
                   "--columns", "sass, ptx_branches", "--arch", "sm_80")  # fmt: skip
    assert ran.status == 0
    assert re.findall(r"^scale  n=(\d+)  (sm_\d+)", ran.out, re.MULTILINE) == [("5", "sm_80"), ("300", "sm_80")]
    assert re.findall(r"^(?:cuda|ptx)\S*", ran.out.split("ptx has")[0], re.MULTILINE) == ["cuda", "ptx"] * 2
    assert "SASS  branches" in ran.out
    assert "regs" not in ran.out


def test_a_column_counts_the_machine_instructions_of_an_opcode(kernels, ptxbench):
    ran = ptxbench(*RUN, "--no-save", "--columns", "sass,sass.EXIT,sass.LDG.64")
    assert ran.status == 0
    assert re.search(r"SASS +EXIT +LDG\.64$", ran.out, re.MULTILINE)
    assert re.findall(r"^(?:cuda|ptx)\S* .* (\d+) +(\d+) +(\d+)$", ran.out, re.MULTILINE) == [("17", "2", "0")] * 3
    mistyped = ptxbench(*RUN, "--no-save", "--columns", "sass.ldg")
    assert mistyped.status == 2
    assert "Unknown column 'sass.ldg'. " in mistyped.err
    assert "such as sass.LDG, " in " ".join(mistyped.err.split())


def test_pairs_that_have_no_such_size_are_named(tmp_path, kernels, ptxbench):
    pair = (kernels / "pairs" / "scale.py").read_text().replace("lambda n", "lambda m").replace("n=n)", "m=n)")
    pair = pair.replace("dict(n=1", "dict(m=1").replace("(n,)", "(m,)").replace("ceil_div(n", "ceil_div(m")
    pair = pair.replace("lambda m: n", "lambda m: m")
    kernels_folder(
        tmp_path, name="other", pair=pair, cuda=CUDA.replace("scale", "other"), ptx=PTX.replace("scale", "other")
    )
    ran = ptxbench(*RUN, "--no-save", "--size", "n=5")
    assert ran.status == 0
    assert ran.err == "Skipped, no such variant or size: other.\n"
    assert "\nother  " not in ran.out


@pytest.mark.parametrize("options", [["--all-sizes"], ["--size", "all"], ["--all-sizes", "--size", "all"]])
def test_all_sizes_are_every_bench_size_once(kernels, ptxbench, options):
    ran = ptxbench(*RUN, "--no-save", *options)
    assert (ran.status, ran.err) == (0, "")
    assert re.findall(r"^scale  n=(\S+)", ran.out, re.MULTILINE) == ["1,024", "4,096"]


def test_a_size_that_is_too_large_for_the_emulator_is_named_and_left_out_unless_it_is_asked_for(
    kernels, ptxbench, monkeypatch
):
    monkeypatch.setattr("ptxbench.runner.plan.MOST_BYTES", 16384)
    ran = ptxbench(*RUN, "--no-save", "--all-sizes")
    assert ran.status == 0
    assert re.findall(r"^scale  n=(\S+)", ran.out, re.MULTILINE) == ["1,024"]
    assert ran.err == (
        "Skipped on the emulator: more than 0 MiB or 4 Gflop is too slow. Run one of them with --size:\n"
        "  scale  n=4096\n"
    )
    ran = ptxbench(*RUN, "--no-save", "--all-sizes", "--size", "n=4096")
    assert (ran.status, ran.err) == (0, "")
    assert re.findall(r"^scale  n=(\S+)", ran.out, re.MULTILINE) == ["1,024", "4,096"]


def test_the_environment_may_name_a_folder_of_kernels(kernels, ptxbench, monkeypatch):
    monkeypatch.setenv("PTXBENCH_KERNELS", str(kernels))
    ran = ptxbench("run", "--backend", "emulator", "--no-save")
    assert (ran.status, ran.out) == (0, ptxbench(*RUN, "--no-save").out)


@pytest.fixture
def gpu(monkeypatch):
    """A scripted GPU in place of the real one, on which the PTX takes three quarters of the time."""

    def right(build, launch, arguments, outputs):
        return {"y": arguments["x"] * arguments["a"]}

    backend = FakeBackend({"cuda": [4000], "cuda@fast": [4000], "ptx": [3000]}, right)  # one process: not isolated
    monkeypatch.setattr(session, "measure", lambda *args, **options: measure(*args, **options | {"settings": QUICK}))
    monkeypatch.setitem(backends.BACKENDS, "gpu", lambda arch: backend)


def test_if_there_is_a_gpu_it_is_used_and_every_bench_size_is_timed(kernels, ptxbench, gpu):
    ran = ptxbench("run", "--kernels", "kernels")
    assert ran.status == 0
    assert re.findall(r"^scale  n=(\S+)", ran.out, re.MULTILINE) == ["1,024", "4,096"]
    assert "ptx        ✔ exact    3.000  0.750 ±0.000" in ran.out
    assert "cuda, the CUDA C with the least time, and takes 25 % less time" in " ".join(ran.out.split())
    assert "emulator" not in ran.out
    (path,) = Path("results").rglob("*.json")
    assert path.parent.name == "scripted-gpu"
    document = json.loads(path.read_text())
    assert document["run"]["rounds"] == 5
    assert len(document["cells"][0]["rounds"]) == 2


def test_warm_times_are_labelled_and_not_compared_with_cold_ones(kernels, ptxbench, gpu):
    once = ("run", "--kernels", "kernels", "--size", "n=1024", "--rounds", "1")
    ran = ptxbench(*once, "--cache", "warm", "--output", "warm.json")
    assert ran.status == 0
    assert "scale  n=1,024  sm_90, grid 8, block 128, warm L2\n" in ran.out
    assert vars(backends.BACKENDS["gpu"](None))["asked"]["cache"] == "warm"
    (warm,) = json.loads(Path("warm.json").read_text())["cells"]
    assert warm["cache"] == "warm"
    assert ptxbench(*once, "--output", "cold.json").status == 0
    ran = ptxbench("compare", "cold.json", "warm.json", "--json")
    rows = json.loads(ran.out)["rows"]
    assert {(row["verdict"], row["detail"]) for row in rows} == {("NOT-COMPARABLE", "cache mode cold -> warm")}
    assert ptxbench("gate", "warm.json", "--base", "cold.json").status == 5


def test_the_emulator_has_no_warm_cache(kernels, ptxbench):
    ran = ptxbench(*RUN, "--cache", "warm", "--json")
    assert ran.status == 0
    assert "--cache warm is ignored: the emulator counts and does not time.\n" in ran.err
    assert {cell["cache"] for cell in json.loads(ran.out)["cells"]} == {"cold"}


def test_without_a_gpu_a_requested_one_is_reported_as_missing(kernels, ptxbench, monkeypatch):
    reason = "No GPU: cudaErrorNoDevice. Run with --backend emulator to verify without timing."
    monkeypatch.setitem(backends.BACKENDS, "gpu", lambda arch: FakeBackend({}, None, reason))
    ran = ptxbench("run", "--kernels", "kernels", "--backend", "gpu")
    assert ran == (2, "", f"Error: {reason}\n")
    assert ptxbench("run", "--kernels", "kernels", "--no-save").status == 0


def test_with_the_drivers_assembler_ptxas_figures_are_absent(kernels, ptxbench, gpu):
    ran = ptxbench("run", "--kernels", "kernels", "--assembler", "driver", "--json", "--no-save")
    assert ran.status == 0
    build = json.loads(ran.out)["cells"][0]["variants"]["ptx"]["build"]
    assert (build["registers"], build["sass_sha256"], build["occupancy"], build["sass"]) == (None, None, None, {})


def test_a_model_adds_floors_in_a_block_of_their_own_and_no_time(kernels, ptxbench):
    ran = ptxbench(*RUN, "--model", "rtx4090")
    assert ran.status == 0
    block = ran.out[ran.out.index("Model of GeForce RTX 4090, sm_89, 2520 MHz: floors, not times") :]
    assert "n=1,024  sm_89" in ran.out  # built for that GPU
    assert re.search(r"\ncuda +issue slots +>= 5\.\d ns  DRAM 7\d % ", block)
    assert "\ncuda@fast and ptx: no claim: fewer CTAs than the 128 SMs of the GPU.\n" in block
    assert not re.search(r"\b(?:faster|slower|ties?|bound by|predict\w*)\b", ran.out)
    (path,) = Path("results").rglob("*.json")
    (cell,) = json.loads(path.read_text())["cells"]
    assert cell["model"]["gpu"] == "rtx4090"
    assert cell["model"]["verdict"] == "no claim"
    assert set(cell["model"]["floors"]) == {"cuda", "cuda@fast", "ptx"}
    assert cell["model"]["floors"]["cuda@fast"] == cell["model"]["floors"]["cuda"]  # one machine code
    assert set(cell["model"]["floors"]["ptx"]) >= {"issue", "LSU", "L1", "DRAM"}
    assert cell["model"]["floors"]["ptx"]["DRAM"] == pytest.approx(4096 / 1008e9)  # the written data fit in L2
    assert ptxbench("view", path).out == ran.out
    compared = ptxbench("compare", path, path, "--metric", "time")
    assert (compared.status, compared.out) == (2, "")
    assert "has floors of a model, which are not times. Compare its counters: --metric counters." in compared.err
    assert "model" not in json.loads(ptxbench(*RUN, "--no-save", "--json").out)["cells"][0]


def test_a_model_needs_one_architecture_and_no_measuring_gpu(kernels, ptxbench, gpu):
    ran = ptxbench(*RUN, "--model", "a100", "--arch", "sm_90")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "Error: --model a100 is a GPU of sm_80, found --arch sm_90. Leave out --arch.\n"
    ran = ptxbench("run", "--kernels", "kernels", "--model", "a100", "--no-save", "--json")
    assert "--model is ignored: a GPU is available, and its times are measured.\n" in ran.err
    assert "model" not in json.loads(ran.out)["cells"][0]


def test_a_wrong_kernel_is_marked_and_ends_in_4(kernels, ptxbench):
    (kernels / "ptx" / "scale.ptx").write_text(changed(PTX, "%value, %value, %a;", "%value, %value, %value;"))
    ran = ptxbench(*RUN)
    assert ran.status == 4
    assert re.search(r"^ptx +✘ wrong", ran.out, re.MULTILINE)
    assert re.search(r"^✘ ptx is wrong: scale\.ptx, n=1: y\[0\] is ", ran.out, re.MULTILINE)


def test_without_nvrtc_the_cuda_c_sides_are_skipped_with_one_sentence_and_the_ptx_still_runs(
    kernels, ptxbench, monkeypatch
):
    def missing():
        raise ToolMissing("NVRTC is not there. Install it with pip install 'ptxbench[cu13]'.")

    monkeypatch.setattr(nvrtc, "find", missing)
    ran = ptxbench(*RUN)
    assert ran.status == 0
    assert "\n- cuda and cuda@fast are skipped: NVRTC is not there. Install it with pip install" in ran.out
    assert re.search(r"^ptx +✔ exact", ran.out, re.MULTILINE)
    assert "1 cell, 3 variants: 1 verified, 2 skipped." in ran.out


def test_without_ptxas_its_figures_are_absent_and_not_zero(kernels, ptxbench, monkeypatch):
    monkeypatch.setattr(locate, "program", lambda name: None)
    ran = ptxbench(*RUN, "--columns", "registers,spills,sass,occupancy")
    assert ran.status == 0
    assert re.search(r"^ptx +✔ exact +- +- +- +-$", ran.out, re.MULTILINE)
    assert "n=1024: ptx issues 5.3 % fewer PTX instructions than cuda and moves the same sectors." in ran.out


@pytest.fixture
def hostile(monkeypatch):
    """A GPU in workers; CUDA C with fast maths crashes its process when it is measured."""
    backend = HostileBackend({"cuda@fast": "measure crash"}, {"cuda": 100_000, "cuda@fast": 100_000, "ptx": 80_000})
    monkeypatch.setitem(backends.BACKENDS, "gpu", lambda arch: backend)
    make = run_command.make_plan
    monkeypatch.setattr(run_command, "make_plan", lambda **given: dataclasses.replace(make(**given), settings=QUICK))
    monkeypatch.setattr(control, "PAIR", dataclasses.replace(control.PAIR, bench_sizes=[{"n": 4096}]))


def test_a_kernel_that_crashes_costs_its_row_and_the_recorded_run_is_printed_equally(kernels, ptxbench, hostile):
    ran = ptxbench("run", "--kernels", "kernels", "--size", "n=1024", "--rounds", "3")
    assert ran.status == 4
    assert re.search(r"^ptx +✔ exact +80.0\S* +0\.800 ±0\.000", ran.out, re.MULTILINE)
    assert "cuda@fast is broken: its process ended with SIGSEGV (measure, n=1024)." in words(ran.out)
    assert "takes 20 % less time (99 % interval 20.00 to 20.00 %; FASTER)" in words(ran.out)
    assert "Noise floor: one kernel against itself differs by +0.00 to +0.00 %." in ran.out
    (path,) = Path("results").rglob("*.json")
    replayed = ptxbench("view", path)
    assert replayed == Ran(4, ran.out, "")
    document = json.loads(ptxbench("view", path, "--json").out)
    assert document.pop("findings")  # which no file holds
    assert document == json.loads(path.read_text())
    assert ptxbench("view", path, "--output", "again.csv").status == 4
    assert Path("again.csv").read_text().startswith("run,pair,size,")


def test_ctrl_c_in_the_first_round_keeps_the_cells_that_are_finished(kernels, ptxbench, hostile, monkeypatch):
    carry_out = runner.carry_out

    def stopped(*options):
        for event in carry_out(*options):
            yield event
            if isinstance(event, ResultsSoFar) and any(not cell.control for cell in event.cells):
                raise KeyboardInterrupt

    monkeypatch.setattr(runner, "carry_out", stopped)
    ran = ptxbench("run", "--kernels", "kernels", "--size", "n=1024", "--rounds", "3")
    assert ran.status == 130
    assert "Interrupted. 1 of 1 cells are finished." in ran.err
    (path,) = Path("results").rglob("*.json")
    run = from_json(path.read_text(), str(path))
    assert run.run.status == "interrupted"
    (cell,) = [cell for cell in run.cells if not cell.control]
    assert {timed_round.round for timed_round in cell.rounds} == {0}


def cell_of(*statuses, control=False):
    variants = {f"ptx.{i}": VariantResult("ptx", status) for i, status in enumerate(statuses)}
    return Cell("scale", {"n": 1}, "sm_90", LaunchReport((1, 1, 1), (1, 1, 1), 0), {}, variants, control=control)


CONTROL, BAD_CONTROL = cell_of("verified", control=True), cell_of("broken", control=True)

# how the run ended; its cells; the exit status, as docs/measuring.md has it
ENDS = [
    ("complete",    [cell_of("verified", "skipped"), CONTROL], 0),
    ("complete",    [cell_of("verified", "broken"), CONTROL],  4),
    ("complete",    [cell_of("skipped", "skipped"), CONTROL],  5),    # all for the fault of the machine
    ("complete",    [cell_of("verified"), BAD_CONTROL],        5),    # a kernel of our own: no kernel of the user's
    ("complete",    [CONTROL],                                 5),
    ("device_lost", [cell_of("verified"), CONTROL],            5),    # the rest was never tried
    ("device_lost", [cell_of("verified", "broken"), CONTROL],  4),
    ("device_lost", [],                                        5),
    ("interrupted", [cell_of("verified", "broken"), CONTROL],  130),
]  # fmt: skip


@pytest.mark.parametrize(("status", "cells", "exit_status"), ENDS)
def test_the_exit_status_reports_the_outcome_of_the_run(status, cells, exit_status):
    assert RunOutcome(cells, status).exit_status == exit_status
