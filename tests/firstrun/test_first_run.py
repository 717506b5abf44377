"""`ptxbench doctor --first-run` as a user runs it, on a GPU with kernels that run on the emulator."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ptxbench import runner, toolchain
from ptxbench.backends import gpu
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.calibration.assessment import ABSENT, FAIL, PASS, WARN, CheckResult
from ptxbench.calibration.suite import CalibrationSuite, Check
from ptxbench.cli import _first_run
from ptxbench.discovery import load
from ptxbench.errors import DeviceError
from ptxbench.firstrun import sequence, steps
from ptxbench.firstrun.record import StepDone
from ptxbench.measure import SamplingSettings
from ptxbench.profiling.counters import COUNTERS
from ptxbench.profiling.emulated import counts_of
from ptxbench.result import BIASED, DEVICE_LOST, MODELLED, from_json
from ptxbench.runner import DeviceLost
from ptxbench.stats import Interval
from tests.calibrated import Probe
from tests.fakes import FakeBackend, ScriptedHost
from tests.report.pages import timed_run

EMULATOR = EmulatorBackend("sm_90")


def right(build, launch, arguments, outputs):
    return EMULATOR.run(build, launch, arguments, outputs).outputs


def wrong(build, launch, arguments, outputs):
    return {name: array + 1 for name, array in right(build, launch, arguments, outputs).items()}


class Scripted(CalibrationSuite):
    """A checklist of one line on this GPU."""

    def __init__(self, compute=right, status=PASS):
        backend = FakeBackend({"cuda": [100_000], "ptx": [90_000]}, compute)
        super().__init__(backend, Probe(), ScriptedHost(tick=0.001))
        self.status = status

    @property
    def checks(self):
        return [Check("flush", lambda subject: CheckResult(subject, self.status, "found"), True)]


@pytest.fixture
def first_run(ptxbench, kernels, monkeypatch, tmp_path):
    """Runs the command on that GPU with `scale` only; returns the output and the document."""
    monkeypatch.setattr(steps, "QUICK", SamplingSettings(warm_up_seconds=0, stretch=1, looks=(8,), solo=2))

    def first_run(*options, **scripted):
        monkeypatch.setattr(_first_run, "gpu_calibration_suite", lambda option: Scripted(**scripted))
        ran = ptxbench("doctor", "--first-run", "--kernels", str(kernels), "--results", "results", *options)
        path = tmp_path / "results" / "scripted-gpu" / "first-run.json"
        return ran, json.loads(path.read_text()) if path.exists() else None

    return first_run


@pytest.fixture
def counts(kernels):
    """The hardware counters of `scale`, by Nsight Compute's names, if they equal the emulator's."""
    loaded = load(kernels, "scale")
    size = {"n": 129}
    built = toolchain.build_source(next(source for source in loaded.sources if source.variant == "ptx"), "sm_90")
    launch = loaded.pair.launch(**size)
    outcome = EMULATOR.run(built, launch, loaded.pair.make_arguments(size, 1), loaded.pair.outputs)
    emulated, _ = counts_of(built, launch, outcome)
    return {counter.hardware: int(emulated[counter.emulated]) for counter in COUNTERS}


def step(document, name):
    return next(step for step in document["steps"] if step["step"] == name)


def statuses(document):
    return {line["subject"]: line["status"] for step in document["steps"] for line in step["lines"]}


def test_every_step_is_taken_and_kept(first_run, ncu, counts, tmp_path):
    ncu("counts", counts)
    ran, document = first_run("--json")
    assert (ran.status, json.loads(ran.out)) == (0, document)
    assert document["status"] == "complete"
    assert statuses(document) == {
        "flush": PASS, "run: scale": WARN, "bits: scale cuda": PASS, "bits: scale ptx": PASS,
        "counters: scale cuda": PASS, "counters: scale ptx": PASS,
    }  # fmt: skip
    lines = {line["subject"]: line["found"] for step in document["steps"] for line in step["lines"]}
    assert lines["run: scale"] == "n=4096: ptx: 0.900 ±0.000 of the time of cuda"
    assert lines["bits: scale ptx"] == "n=129: the same bits as on the emulator"
    assert [step["step"] for step in document["steps"]] == list(steps.STEPS)
    assert all(step["seconds"] > 0 for step in document["steps"])
    counters = [counter for counter in step(document, "counters")["counters"] if counter["variant"] == "ptx"]
    assert [counter["counter"] for counter in counters] == [
        "sass_executed", "ptx_global_load_requests", "ptx_global_load_sectors", "ptx_global_store_requests",
        "ptx_global_store_sectors",
    ]  # fmt: skip
    assert (counters[0]["least"], counters[0]["most"]) == (counters[0]["measured"],) * 2
    files = [tmp_path / "results" / "scripted-gpu" / name for step in document["steps"] for name in step["files"]]
    assert [path.exists() for path in files] == [True, True]
    assert from_json(files[1].read_text(), files[1].name).run.argv == ["doctor", "--first-run"]


def test_the_lines_and_the_counts_are_printed(first_run, ncu, counts):
    ncu("counts", counts | {"l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum": 34})
    ran, _ = first_run()
    lines = ran.out.splitlines()
    assert ran.status == 0  # a warning is not a failure
    assert any(line.startswith("WARN  counters: scale ptx") for line in lines)
    rows = [line.split() for line in lines]
    assert ["scale", "ptx", "ptx_global_load_sectors", "17", "34", "-50.0%"] in rows
    assert "What to do:" in lines


def test_without_nsight_compute_its_step_is_not_available_and_nothing_fails(first_run, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    ran, document = first_run("--json")
    assert (ran.status, document["status"], statuses(document)["counters"]) == (0, "complete", "N/A")
    line = step(document, "counters")["lines"][0]
    assert line["found"].startswith("not available: Nsight Compute (ncu) is not on PATH. ")


def test_a_missing_profiler_permission_is_reported_once(first_run, ncu):
    ncu("refused")
    ran, document = first_run("--json")
    assert (ran.status, document["status"]) == (0, "complete")
    [line] = step(document, "counters")["lines"]
    assert line["found"].startswith("not available: this user may not read the GPU's counters. ")


# the outputs of a launch, the line of the run, the line of the bits, the exit status
LAUNCHES = [
    ({"compute": wrong},      FAIL, FAIL, 5),
    ({"status": FAIL},        WARN, PASS, 5),
]  # fmt: skip


@pytest.mark.parametrize(("scripted", "run", "bits", "status"), LAUNCHES)
def test_a_device_with_other_results_is_reported(first_run, ncu, scripted, run, bits, status):
    ncu("nothing")
    ran, document = first_run("--json", **scripted)
    assert ran.status == status
    by_subject = statuses(document)
    assert (by_subject["run: scale"], by_subject["bits: scale ptx"]) == (run, bits)


def test_correct_results_with_other_bits_are_reported(first_run, ncu, monkeypatch):
    ncu("nothing")
    monkeypatch.setattr(steps, "same_bits", lambda *arrays: False)
    ran, document = first_run("--json")
    assert (ran.status, statuses(document)["bits: scale ptx"]) == (0, WARN)
    run = EmulatorBackend.run
    monkeypatch.setattr(EmulatorBackend, "run", lambda *arguments: replace(run(*arguments), modelled=True))
    _, document = first_run("--json")
    assert statuses(document)["bits: scale ptx"] == PASS  # the model explains them
    found = step(document, "bits")["lines"][0]["found"]
    assert found.endswith("but within the tolerance, by matrix instructions by a model")


def test_of_a_late_step_no_further_pair_is_tested():
    setup, plan = SimpleNamespace(late=lambda: True), SimpleNamespace(loaded=SimpleNamespace(name="scale"))
    [line] = steps.each_variant(setup, "bits", pytest.fail, [plan, plan])
    assert (line.status, line.found) == (ABSENT, "not available: the time limit was reached before scale")


# the noise floor as a log ratio, a label, the status of a pair with times
FLOORS = [
    ((-0.009, 0.009),  "",           PASS),
    ((-0.011, 0.001),  "",           WARN),
    ((-0.001, 0.011),  "",           WARN),
    (None,             "",           WARN),  # unknown
    ((-0.009, 0.009),  MODELLED,     PASS),
    ((-0.009, 0.009),  BIASED,       WARN),
]  # fmt: skip


@pytest.mark.parametrize(("floor", "label", "status"), FLOORS)
def test_a_pair_passes_if_its_times_can_be_judged_and_the_noise_is_below_one_per_cent(floor, label, status):
    cell = replace(timed_run().cells[0], labels=[label] if label else [])
    line = steps.judge_cell(cell, floor and Interval(floor[0], 0.0, floor[1]))
    assert (line.subject, line.status) == ("run: triad", status)
    assert ("noise floor" in line.advice) == (status == WARN and not label)


@pytest.fixture
def empty_steps(monkeypatch):
    """Steps that do nothing, for tests of what is recorded of them."""
    for name in steps.STEPS:
        monkeypatch.setitem(steps.STEPS, name, lambda setup, name=name: StepDone(name, 0.0, [], ()))


def test_ctrl_c_keeps_finished_steps_and_the_same_command_resumes(first_run, empty_steps, monkeypatch):
    def interrupted(bench):
        raise KeyboardInterrupt

    taken = []
    before = dict(steps.STEPS)

    def noted(name):
        return lambda bench: taken.append(name) or before[name](bench)

    for name in before:
        monkeypatch.setitem(steps.STEPS, name, noted(name))
    monkeypatch.setitem(steps.STEPS, "bits", interrupted)
    ran, document = first_run()
    assert (ran.status, document["status"]) == (130, "unfinished")
    assert [step["step"] for step in document["steps"]] == taken == ["calibration", "run"]
    assert f"Interrupted: 2 of {len(steps.STEPS)} steps are done. Run the same command again to resume." in ran.err
    monkeypatch.setitem(steps.STEPS, "bits", noted("bits"))
    ran, complete = first_run()
    assert (ran.status, complete["status"], complete["started"]) == (0, "complete", document["started"])
    assert taken == list(steps.STEPS)
    assert f"Resuming the first run of {document['started']}: 2 of {len(steps.STEPS)} steps are done." in ran.err
    ran, fresh = first_run()  # one that is complete is made again
    assert fresh["started"] != complete["started"]
    assert taken == [*steps.STEPS, *steps.STEPS]


def test_a_first_run_of_another_device_or_version_is_not_continued(first_run, empty_steps, monkeypatch, tmp_path):
    monkeypatch.setattr(sequence, "SECONDS", 0.0)
    ran, document = first_run()
    assert (ran.status, document) == (5, None)  # the time limit was reached before the first step
    assert (
        f"0 minutes are over: 0 of {len(steps.STEPS)} steps are done. Run the same command again to resume." in ran.err
    )
    path = tmp_path / "results" / "scripted-gpu" / "first-run.json"
    monkeypatch.setattr(sequence, "SECONDS", 600.0)
    _, complete = first_run()
    unfinished = {**complete, "status": "unfinished", "steps": complete["steps"][:1]}
    others = ({"device": {"name": "Scripted GPU", "driver": "1"}}, {"tool": {"version": "0"}}, {"steps": [1]})
    for changes in ({}, *others):
        path.write_text(json.dumps({**unfinished, **changes}))
        ran, document = first_run()
        assert ("Resuming" in ran.err) == (not changes)
        assert document["status"] == "complete"


def test_a_run_that_loses_the_device_is_saved_as_such(first_run, ncu, monkeypatch, tmp_path):
    def carry_out(plan):
        yield from runner.carry_out(plan)
        yield DeviceLost("it fell off the bus")

    ncu("nothing")
    monkeypatch.setattr(steps, "carry_out", carry_out)
    ran, document = first_run("--json")
    assert ran.status == 5
    [line] = [line for line in step(document, "run")["lines"] if line["subject"] == "run"]
    assert (line["status"], line["found"]) == (FAIL, "the device was lost: it fell off the bus")
    [name] = step(document, "run")["files"]
    assert from_json((tmp_path / "results" / "scripted-gpu" / name).read_text(), name).run.status == DEVICE_LOST


def test_a_kernel_that_fails_on_the_device_gets_a_line(first_run, ncu):
    def fails(build, launch, arguments, outputs):
        raise DeviceError("scale.ptx: cudaErrorIllegalAddress.")

    ncu("nothing")
    ran, document = first_run("--json", compute=fails)
    assert (ran.status, statuses(document)["bits: scale ptx"]) == (5, FAIL)


def test_a_folder_without_pairs_is_reported_before_the_work(first_run, tmp_path):
    ran, document = first_run("--kernels", str(tmp_path / "nothing"))
    assert (ran.status, document) == (2, None)
    assert ran.err.startswith("Error: ")


def test_a_first_run_is_refused_with_calibrate_and_without_a_gpu(ptxbench, monkeypatch):
    ran = ptxbench("doctor", "--first-run", "--calibrate")
    assert (ran.status, ran.err) == (2, "Error: --first-run calibrates too. Leave out --calibrate.\n")
    monkeypatch.setattr(gpu, "find_driver", lambda: None)
    ran = ptxbench("doctor", "--first-run")
    assert ran.status == 2
    assert ran.err.endswith("--first-run needs a GPU: run it on a machine that has one.\n")
