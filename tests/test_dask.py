"""The commands with --dask: the same documents as on one machine, and what happens when a worker cannot do its part."""

import itertools
import json
import multiprocessing
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from ptxbench import dask_pool, judge_many
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.backends.gpu import GpuBackend
from ptxbench.check.findings import Judgement, StageResult, finding
from ptxbench.check.inputs import Candidate
from ptxbench.check.judge import Judge
from ptxbench.dask_pool import FailedTask
from ptxbench.errors import MachineError, ToolMissing, UsageError
from ptxbench.fingerprint import Fingerprint, differences, digest
from ptxbench.measure import SamplingSettings
from ptxbench.metrics import BY_NAME
from ptxbench.pool import SerialPool, ignore
from ptxbench.result import from_json
from ptxbench.run_info import Device, TimedOn
from ptxbench.runner import RunPlan
from tests import dask_cluster, simulated
from tests.folders import CUDA, PTX, changed, kernels_folder

HOSTILE = Path(__file__).parent / "check" / "hostile"
CHOSEN = ("honest.ptx", "traps.ptx", "never_ends.ptx", "does_not_compile.cu", "knows_the_emulator.cu", "races.ptx")
FAST = ("--pair", "triad", "--seed", 7, "--target", "sm_90", "--backend", "emulator")


@contextmanager
def cluster(gpus=1, **variables):
    """The address of a scheduler with two workers, of which `gpus` have one, in processes with these variables."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.dask_cluster", str(gpus)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


@pytest.fixture(scope="module")
def address(cache_of_the_tests):
    """All tests of this file share these workers."""
    with cluster() as started:
        yield started


@pytest.fixture
def pool(address):
    with dask_pool.open_pool(address) as opened:
        yield opened


def without_seconds(text):
    return re.sub(r'"seconds": [\d.]+', '"seconds": 0', text)


OF_ONE_RUN = {"id", "started", "finished", "argv"}


def without_run(text):
    """The document without what differs from run to run: its id, its time and its command line."""
    document = json.loads(text)
    run = document.pop("run", {})
    remaining = {} if isinstance(run, str) else {key: run[key] for key in run.keys() - OF_ONE_RUN}  # of `tune` an id
    return document, remaining


# ---- the same documents


@pytest.mark.long
def test_hostile_candidates_get_the_same_judgements(ptxbench, address):
    command = ["check", *(HOSTILE / name for name in CHOSEN), "missing.ptx", "--max-loop-iterations", 65536, *FAST]
    local = ptxbench(*command, "--json", "--jobs", 2)
    there = ptxbench(*command, "--json", "--dask", address)
    assert (there.status, there.err) == (local.status, "") == (4, "")
    assert without_seconds(there.out) == without_seconds(local.out)
    assert [candidate["verdict"] for candidate in json.loads(local.out)["candidates"]].count("rejected") == len(
        CHOSEN
    ) - 1


COMMANDS = [
    ("arch", "scale", "mine.ptx", "broken.ptx", "--target", "sm_9*", "--target", "sm_75"),
    ("run", "scale", "--all-sizes", "--no-save", "--backend", "emulator"),
    ("tune", "scale", "--knob", "n=64..192+64", "--no-save"),
    ("gate", "audit", "--mutants", "--pair", "scale", "--edit", "*renamed", "--edit", "loads repeated"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_the_document_is_the_same_as_without_dask(ptxbench, kernels, address, command):
    Path("mine.ptx").write_text(PTX)
    Path("broken.ptx").write_text(changed(PTX, "mul.rn.f32 ", "mul.rn.f33 "))
    command = [*command, "--json", "--kernels", "kernels"]
    local, by_workers = ptxbench(*command), ptxbench(*command, "--dask", address)
    assert (by_workers.status, without_run(by_workers.out), by_workers.err) == (
        local.status,
        without_run(local.out),
        local.err,
    )


def test_the_output_is_that_of_a_run_without_dask(ptxbench, kernels, address):
    command = ("arch", "scale", "--target", "sm_90", "--kernels", kernels)
    assert ptxbench(*command, "--dask", address) == ptxbench(*command)


def test_an_interrupted_run_keeps_finished_cells(ptxbench, kernels, address, monkeypatch):
    """Ctrl-C while the second cell, which is finished before the first, waits for it."""

    def interrupted(self, work, tasks, on_report):
        yield 1, work(tasks[1], partial(on_report, 1))
        raise KeyboardInterrupt

    monkeypatch.setattr(dask_pool.DaskPool, "map", interrupted)
    command = ("run", "scale", "--all-sizes", "--no-save", "--json", "--kernels", kernels, "--backend", "emulator")
    ran = ptxbench(*command, "--dask", address)
    assert (ran.status, ran.err) == (130, "Interrupted. 1 of 2 cells are finished.\n")
    document = json.loads(ran.out)
    assert document["run"]["status"] == "interrupted"
    assert [cell["size"] for cell in document["cells"]] == [{"n": 4096}]


def test_a_gpu_is_refused_for_a_sweep_whose_points_would_be_timed_by_several(ptxbench, kernels):
    ran = ptxbench("tune", "scale", "--kernels", kernels, "--backend", "gpu", "--dask", "local")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        "Error: --dask counts on the emulator: the times of a sweep are compared with each other, so one GPU must "
        "measure them all. Leave out --dask, or leave out --backend gpu.\n"
    )


# ---- workers


def test_both_workers_get_tasks_and_report_progress(pool):
    reports = []
    pids = dict(pool.map(dask_cluster.process_id, range(8), lambda *message: reports.append(message)))
    assert sorted(pids) == list(range(8))
    assert len(set(pids.values())) == 2
    assert sorted(reports) == [(number, ("did", number)) for number in range(8)]


def test_tasks_that_need_a_gpu_go_to_the_worker_that_has_one(pool):
    [owner] = dask_pool.workers(pool.client, gpu=True)
    pids = pool.client.run(os.getpid)
    used = {pid for _, pid in pool.map(dask_cluster.process_id, range(4), gpu=True)}
    assert used == {pids[owner]}


def test_the_python_judge_gives_judgements_in_order_and_takes_few_texts_ahead(address):
    """The texts are refused early, so that this takes little time; some need ptxas for it."""
    refused = (HOSTILE / "honest.ptx").read_text().replace("fma.rn.f32", "mul.rn.f32")
    taken = []

    def texts():
        for number in itertools.count():
            taken.append(refused if number % 5 == 0 else f"junk {number}")
            yield Path("missing.ptx") if number == 10 else taken[-1]

    options = {"seed": 7, "backend": "emulator", "targets": ["sm_90"], "dask": address}
    judgements = judge_many(texts(), "triad", **options)
    received = [next(judgements)]
    assert len(taken) == 4  # two for each worker
    with pytest.raises(
        UsageError, match=r"There is no file missing\.ptx\."
    ):  # after the judgements on the texts before it
        received.extend(judgements)
    assert [one.decisive.code for one in received] == ["refused", *["syntax"] * 4] * 2
    assert [one.sha256 for one in received] == [sha256(text.encode()).hexdigest() for text in taken[:10]]


@pytest.mark.long
def test_a_killed_worker_loses_nothing(pool, address):
    files = [HOSTILE / name for name in ("honest.ptx", "traps.ptx")]
    killed = []

    def kill(number, stage):
        """End a worker in the middle of a judgement."""
        if not killed and stage == "results":
            busy = next(worker for worker, tasks in pool.client.processing().items() if tasks)
            killed.extend(pool.client.run(os.getpid, workers=[busy]).values())
            os.kill(killed[0], signal.SIGKILL)

    options = {"seed": 7, "backend": "emulator", "targets": ["sm_90"]}
    with Judge("triad", **options) as local, Judge("triad", **options, dask=address) as judge:
        here = {number: judgement.findings for number, _, judgement in local.judge_all(files)}
        there = {number: judgement.findings for number, _, judgement in judge.judge_all(files, kill)}
    assert killed
    assert there == here


@pytest.mark.long
def test_a_task_that_ends_its_workers_ends_the_command(pool):
    with pytest.raises(MachineError, match="2 Dask workers ended while they did the same task, the last one tcp://"):
        list(pool.map(dask_cluster.end_the_worker, [0]))


# ---- GPUs

T4 = Device("gpu", "Tesla T4", "sm_75", uuid_hash="1")
MIG, UNNAMED = replace(T4, mig=True), replace(T4, uuid_hash=None)


class Cluster:
    """A client of a cluster whose workers have these GPUs, by address; None for a worker without the resource."""

    def __init__(self, devices):
        self.devices = devices

    def scheduler_info(self, n_workers):
        return {"workers": {name: {"resources": {"GPU": 1} if gpu else {}} for name, gpu in self.devices.items()}}

    def run(self, work, workers, on_error):
        return {name: self.devices[name] for name in workers}


GPUS = [
    ({"a": None},                                     "auto", "emulator"),
    ({"a": None},                                     "gpu", "No worker of the Dask cluster has the resource GPU. "),
    ({"a": T4, "b": None},                            "emulator", "emulator"),
    ({"a": T4, "b": None},                            "auto", "gpu"),
    ({"a": T4, "b": replace(T4, uuid_hash="2")},      "auto", "gpu"),
    ({"a": T4, "b": replace(T4, name="L4")},          "auto", "differ in name or limits: a has "),
    ({"a": T4, "b": replace(T4, power_limit_w=60)},   "auto", "differ in name or limits: a has "),
    ({"a": T4, "b": T4},                              "auto", "The Dask workers a and b have the same GPU. "),
    ({"a": MIG, "b": MIG},                            "auto", "gpu"),
    ({"a": UNNAMED},                                  "auto", "gpu"),
    ({"a": UNNAMED, "b": UNNAMED},                    "auto", "The GPU of the Dask worker a cannot be identified, "),
    ({"a": FailedTask("ToolMissing", "No driver.")}, "auto", "worker a has the resource GPU, and cannot use it: No"),
    ({"a": OSError("gone")},                          "gpu", "worker a has the resource GPU, and cannot use it: go"),
]  # fmt: skip


@pytest.mark.parametrize(("devices", "name", "expected"), GPUS)
def test_the_gpus_of_the_workers_decide_where_kernels_are_timed(devices, name, expected):
    pool = dask_pool.DaskPool(Cluster(devices))
    if expected in ("gpu", "emulator"):
        backend = pool.open_backend(name)
        assert (backend.name, backend.device().sm) == (expected, "sm_75" if expected == "gpu" else "sm_90")
        assert type(pickle.loads(pickle.dumps(backend))) is (GpuBackend if expected == "gpu" else EmulatorBackend)
    else:
        with pytest.raises((ToolMissing, MachineError), match=expected):
            pool.open_backend(name)


def test_a_worker_that_declares_a_gpu_must_have_one(ptxbench, address):
    """As the first worker of these tests."""
    ran = ptxbench("check", HOSTILE / "honest.ptx", "--pair", "triad", "--dask", address)
    assert (ran.status, ran.out) == (5, "")
    assert re.match(r"Error: The Dask worker \S+ has the resource GPU, and cannot use it: No GPU", ran.err)


def test_a_gpu_that_comes_later_and_differs_gets_no_task(pool):
    pool.worker_gpu = T4
    with pytest.raises(MachineError, match=r"worker tcp://\S+ has the resource GPU, and cannot use it: No GPU"):
        list(pool.map(dask_cluster.process_id, [0], gpu=True))


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (replace(T4, uuid_hash="2"), None),
        (
            replace(T4, power_limit_w=60),
            "The Dask worker a has Tesla T4, which differs from the Tesla T4 of the others",
        ),
        (
            FailedTask("ToolMissing", "No driver."),
            "The Dask worker a has the resource GPU, and cannot use it: No driver.",
        ),
    ],
)
def test_the_gpu_of_a_worker_must_be_like_the_others(description, words, monkeypatch):
    monkeypatch.setattr(dask_pool, "gpu_here", lambda: description)
    difference = dask_pool.gpu_difference("a", UNNAMED)
    assert difference == words or difference.startswith(words)


def test_accepted_candidates_are_timed_where_a_gpu_is_and_the_others_come_first(kernels, monkeypatch):
    class Machines(SerialPool):
        def open_backend(self, name, arch, say):
            return dask_pool.RemoteGpu(T4)

        def map(self, work, tasks, on_report=ignore, *, endless=False, gpu=False):
            assert gpu
            return super().map(work, tasks, on_report, endless=endless)

    monkeypatch.setattr("ptxbench.backends.open_backend", lambda name: name)
    monkeypatch.setattr(
        "ptxbench.check.distributed.with_time",
        lambda judgement, candidate, timing, on_report: replace(judgement, notes=(timing.backend, candidate.file)),
    )
    judgements = [Judgement(f"{n}.ptx", None, "ptx", "scale", "sm_75", 7) for n in range(3)]
    judgements[1] = replace(judgements[1], findings=(finding("results", "trap", "It stopped."),))
    judged = [(n, Candidate(judgement.file, "ptx", b""), judgement) for n, judgement in enumerate(judgements)]
    monkeypatch.setattr("ptxbench.check.distributed.open_pool", lambda address, paths: nullcontext(Machines()))
    with Judge("scale", dask="local", kernels=kernels) as judge:
        timed = [(number, judgement.notes) for number, _, judgement in judge.timed(judged)]
    assert timed == [(1, ()), (0, ("gpu", "0.ptx")), (2, ("gpu", "2.ptx"))]


@pytest.mark.long
def test_an_accepted_candidate_is_timed_by_the_worker_with_a_gpu(kernels, tmp_path, cache_of_the_tests):
    """On the simulated GPU, whose times mean nothing."""
    variables = simulated.environment(tmp_path / "gpu", device="T4", control_n=1 << 16)
    candidate = Candidate("mine.ptx", "ptx", PTX.encode())
    accepted = Judgement("mine.ptx", None, "ptx", "scale", "sm_75", 7, stages=(StageResult("time", "skipped", "", 0),))
    with (
        cluster(**variables, DASK_DISTRIBUTED__DIAGNOSTICS__NVML="False") as address,
        Judge("scale", dask=address, kernels=kernels, seed=7, rounds=1) as judge,
    ):
        [(_, _, judgement)] = judge.timed([(0, candidate, accepted)])
    assert [(stage.stage, stage.verdict) for stage in judgement.stages] == [("time", "passed")]
    assert set(judgement.ratios) == {"cuda", "ptx"}
    assert (judgement.timed_on.host, judgement.timed_on.device.name) == (socket.gethostname(), "Tesla T4")
    assert judgement.timed_on.device.uuid_hash


QUICK = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, stretch=1, looks=(8,), solo=1, tiny_ns=0)


@pytest.mark.long
def test_a_run_on_two_gpus_has_times_of_both_pairs_and_names_the_gpus(ptxbench, kernels, monkeypatch, tmp_path):
    """On simulated GPUs, whose times mean nothing."""
    kernels_folder(tmp_path, name="twice", cuda=CUDA.replace("scale(", "twice("), ptx=PTX.replace("scale(", "twice("))
    monkeypatch.setattr("ptxbench.runner.RunPlan", partial(RunPlan, settings=QUICK))
    variables = simulated.environment(tmp_path / "gpu", device="T4", control_n=1 << 16)
    command = ("run", "--backend", "gpu", "--kernels", kernels, "--rounds", 2, "--no-save", "--seed", 7)
    with cluster(2, **variables, DASK_DISTRIBUTED__DIAGNOSTICS__NVML="False") as address:
        ran = ptxbench(*command, "--json", "--dask", address)
    assert (ran.status, ran.err) == (0, "")
    run = from_json(ran.out, "stdout")
    assert (run.run.timed_on, run.device.name, run.device.uuid_hash) == (TimedOn(2, 1), "Tesla T4", None)
    cells = [
        (cell.pair, dict(cell.size), sorted({timed_round.process for timed_round in cell.rounds})) for cell in run.cells
    ]
    assert cells[0][0] == "A/A control"
    assert cells[1:] == [
        ("scale", {"n": 1024}, [0, 1]),
        ("scale", {"n": 4096}, [0, 1]),
        ("twice", {"n": 1024}, [2, 3]),
        ("twice", {"n": 4096}, [2, 3]),
    ]
    assert all(BY_NAME["ratio"].of(cell, "ptx") for cell in run.cells[1:])


@pytest.mark.parametrize(("visible", "names"), [(None, ["0", "1"]), ("3,5", ["3", "5"])])
def test_a_local_cluster_has_a_worker_for_each_gpu(monkeypatch, visible, names):
    class Driver:
        def cuInit(self, flags):  # noqa: N802
            return 0

        def cuDeviceGetCount(self, count):  # noqa: N802
            count._obj.value = 2
            return 0

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(dask_pool, "find_driver", Driver)
    assert dask_pool.gpus() == names


# ---- refused


UNLIKE = [
    ("another version",        {"versions": {"ptxbench": "9"}, "code": "0"}, ["ptxbench 9, expected 1"]),
    ("a tool is missing",      {"versions": {"ptxas": None}},                ["no ptxas, expected 13.0"]),
    ("a tool is not here",     {"versions": {"nvrtc": "13.0"}},              ["nvrtc 13.0, expected none"]),
    ("the code was changed",   {"code": "0"},                                ["other code of the same version of ptxbench"]),  # noqa: E501
    ("pair files were edited", {"files": {"/k": "0"}},                       ["other content in /k"]),
    ("pair files are missing", {"files": {"/k": None}},                      ["no /k"]),
    ("nothing differs",        {},                                           []),
]  # fmt: skip


@pytest.mark.parametrize(("what", "other", "words"), UNLIKE)
def test_differences_of_a_worker_from_this_machine_are_named(what, other, words):
    this_machine = Fingerprint({"ptxbench": "1", "ptxas": "13.0", "nvrtc": None}, "c0de", {"/k": "f11e"})
    others = Fingerprint(
        {**this_machine.versions, **other.get("versions", {})},
        other.get("code", this_machine.code),
        {**this_machine.files, **other.get("files", {})},
    )
    assert list(differences(this_machine, others)) == words


def test_only_the_content_and_the_names_of_files_are_compared(tmp_path):
    (tmp_path / "a.ptx").write_text("1")
    before = digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("2")
    (tmp_path / ".hidden").write_text("3")
    assert digest(tmp_path) == before
    (tmp_path / "a.ptx").rename(tmp_path / "b.ptx")
    assert digest(tmp_path) != before
    assert digest(tmp_path / "missing") is None


def test_a_worker_that_differs_is_refused_before_any_task(ptxbench, address, monkeypatch):
    monkeypatch.setattr("ptxbench.__version__", "9.9.9")
    ran = ptxbench("arch", "triad", "--target", "sm_90", "--dask", address, "--json")
    assert (ran.status, ran.out) == (5, "")
    assert re.fullmatch(
        r"Error: The Dask worker tcp://127.0.0.1:\d+ has ptxbench [\d.]+, expected 9.9.9. "
        r"All machines need the same.\n",
        ran.err,
    )


def test_a_worker_that_comes_later_and_differs_gets_no_task(pool):
    pool.required = replace(pool.required, code="other")
    with pytest.raises(MachineError, match="has other code of the same version of ptxbench"):
        list(pool.map(dask_cluster.process_id, [0]))


REFUSED = [
    ("1.2.3.4",             "Must include protocol"),
    ("bla://1.2.3.4:8786",  "unknown address scheme 'bla'"),
    ("tcp://127.0.0.1:1",   "Timed out trying to connect"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "words"), REFUSED)
def test_an_address_without_a_scheduler_is_reported(ptxbench, monkeypatch, url, words):
    monkeypatch.setattr(dask_pool, "CONNECT_SECONDS", 0.5)
    ran = ptxbench("arch", "triad", "--target", "sm_90", "--dask", url)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith(f"Error: No Dask scheduler at '{url}': ")
    assert words in ran.err


def test_without_the_extra_the_package_to_install_is_named(ptxbench, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = ptxbench("arch", "triad", "--target", "sm_90", "--dask", "local")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "Error: The package distributed is not installed: pip install 'ptxbench[dask]'.\n"
    with pytest.raises(
        ToolMissing, match=r"^The package distributed is not installed: pip install 'ptxbench\[dask\]'.$"
    ):
        judge_many([], "triad", dask="local")


def test_a_script_that_each_worker_would_execute_is_refused_in_one_sentence(monkeypatch):
    """Without a guard, a worker that is started executes the script, which would start workers."""
    dask_pool.quiet()
    monkeypatch.setattr("distributed.SpecCluster", lambda **options: 1 / 0)
    with pytest.raises(
        MachineError, match=r"cannot be started: division by zero. .* below `if __name__ == '__main__':`"
    ):
        Judge("triad", dask="local")
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)  # as in such a worker
    with pytest.raises(SystemExit):
        Judge("triad", dask="local")
