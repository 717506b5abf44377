"""A calibration on disk: written completely or not at all, refused if damaged, and used by matching runs."""

import dataclasses
import json
import os
import pickle

import pytest

from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.backends.flush import Flush
from ptxbench.backends.gpu import GpuBackend
from ptxbench.calibration.assessment import FAIL, PASS, WARN, Calibration, CheckResult
from ptxbench.calibration.record import FILE, NAME, CalibrationRecord, calibrated, fits, load, to_json
from ptxbench.device_shape import DeviceShape
from ptxbench.errors import ResultError
from ptxbench.run_info import ToolInfo
from ptxbench.runner import CellDone, RunFrame, RunPlan, document, plan_pairs, run
from ptxbench.runner.worker import WorkerRequest, WorkItem, sendable
from ptxbench.runner.worker import plan_of as plan_of_worker
from tests.calibrated import ScriptedGpu
from tests.folders import kernels_folder
from tests.runs import GPU

CALIBRATION = Calibration(
    flush_k=3.0,
    flush_ratio=1.9,
    host_ns=9_000,
    flush_ns=12_000,
    spin_ns=18_048,
    event_pair_ns=512,
    timer_step_ns=32,
    copy_bytes_per_s=2.9e12,
    read_curve_ns={"0": 10_000, "0.5": 12_000},
    solo_apart={"copy": 0.01},
)
LINES = [CheckResult("flush", PASS, "it works"), CheckResult("slope", WARN, "off the line", "Prefer larger sizes.")]
RECORD = CalibrationRecord("2026-01-31T12:00:00Z", ToolInfo("1"), GPU, {"ptxas": "13.2"}, CALIBRATION, LINES)


def test_a_record_is_read_as_it_was_written(tmp_path):
    path = FILE.save(RECORD, tmp_path / "nvidia-h100")
    assert path == tmp_path / "nvidia-h100" / NAME
    assert load(path.parent) == RECORD
    assert [file.name for file in path.parent.iterdir()] == [NAME]  # nothing temporary is left


def test_a_record_replaces_an_older_one(tmp_path):
    FILE.save(RECORD, tmp_path)
    newer = dataclasses.replace(RECORD, made="2026-02-01T12:00:00Z")
    FILE.save(newer, tmp_path)
    assert load(tmp_path) == newer


def test_the_file_has_the_keys_of_the_run_documents_calibration():
    written = json.loads(to_json(RECORD))
    assert written["schema"] == "ptxbench.calibration/1"
    assert written["forbids_timing"] is False
    assert written["lines"][1] == {
        "subject": "slope", "status": "WARN", "found": "off the line", "advice": "Prefer larger sizes.",
    }  # fmt: skip
    assert set(written["calibration"]) >= {
        "flush_k", "flush_ratio", "host_ns", "flush_ns", "spin_ns", "event_pair_ns", "timer_step_ns",
        "copy_bytes_per_s",
    }  # fmt: skip


def test_without_a_file_there_is_no_record(tmp_path):
    assert load(tmp_path) is None
    assert load(tmp_path / "gone") is None


# the content of the file, the error message
DAMAGED = [
    ('{"schema": ',                                             "calibration.json:1: not JSON: "),
    ("[]",                                                      "is not a calibration that this version"),
    ('{"schema": "ptxbench.calibration/2"}',                    "('ptxbench.calibration/1')"),
    ('{"schema": "ptxbench.calibration/1"}',                    "the key 'made' is missing"),
    (to_json(RECORD).replace('"spin_ns": 18048', '"spin_ns": "long"'), "spin_ns: expected int, found 'long'."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), DAMAGED)
def test_a_damaged_file_is_an_error_with_advice(tmp_path, text, words):
    (tmp_path / NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ResultError) as error:
        load(tmp_path)
    assert words in str(error.value)
    assert str(error.value).endswith("Run ptxbench doctor --calibrate again, or delete the file.")


def test_a_folder_in_the_files_place_is_an_error_too(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(ResultError, match="Cannot read"):
        load(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="a link needs a privilege there")
def test_a_broken_link_is_not_a_missing_file(tmp_path):
    (tmp_path / NAME).symlink_to("nowhere")
    with pytest.raises(ResultError, match="Cannot read"):
        load(tmp_path)


# the difference from the calibration, whether the record still applies
DEVICES = [
    ({},                            True),
    ({"power_limit_w": 500},        True),
    ({"uuid_hash": "another"},      False),
    ({"driver": "590.1"},           False),
    ({"l2_bytes": 1 << 20},         False),     # a slice of it
    ({"mig": True},                 False),
]  # fmt: skip


@pytest.mark.parametrize(("other", "valid"), DEVICES)
def test_a_record_is_valid_for_its_device_and_driver(other, valid):
    assert fits(RECORD, dataclasses.replace(GPU, **other)) is valid


@pytest.mark.parametrize("name", ["uuid_hash", "driver"])
def test_a_device_without_a_name_has_no_record(name):
    unknown = dataclasses.replace(GPU, **{name: None})
    assert fits(dataclasses.replace(RECORD, device=unknown), unknown) is False


class Gpu(GpuBackend):
    """A GPU that is available."""

    def device(self):
        return GPU


def plan_of(backend, tmp_path):
    return RunPlan((), backend, "sm_90", tmp_path)


def test_a_run_uses_the_flush_of_the_record_and_saves_its_calibration(tmp_path):
    FILE.save(RECORD, tmp_path)
    plan = calibrated(plan_of(Gpu(), tmp_path), tmp_path)
    assert vars(plan.backend)["flush"] == Flush(3.0, 18_048)
    written = document(RunFrame(plan, GPU), [], "complete").calibration
    assert written == dataclasses.asdict(CALIBRATION)


FORBIDS = dataclasses.replace(RECORD, lines=[CheckResult("flush", FAIL, "it does nothing")])
ANOTHER = dataclasses.replace(RECORD, device=dataclasses.replace(GPU, driver="590.1"))


@pytest.mark.parametrize("record", [FORBIDS, ANOTHER, None])
def test_without_a_valid_record_a_run_uses_the_defaults(tmp_path, record):
    if record:
        FILE.save(record, tmp_path)
    plan = plan_of(Gpu(), tmp_path)
    assert calibrated(plan, tmp_path) is plan
    assert document(RunFrame(plan, GPU), [], "complete").calibration == {}


def test_the_emulator_reads_no_record(tmp_path):
    class Emulator:
        name = "emulator"

    (tmp_path / NAME).write_text("damaged", encoding="utf-8")
    plan = plan_of(Emulator(), tmp_path)
    assert calibrated(plan, tmp_path) is plan


@dataclasses.dataclass(frozen=True)
class LongerPlan(RunPlan):
    """A plan with one more field."""

    temperature: float = 0.0


def test_a_worker_gets_every_field_of_the_plan(tmp_path):
    pair_plans, _ = plan_pairs(kernels_folder(tmp_path))
    known = {"copy_bytes_per_s": 2.9e12}
    sent = LongerPlan(
        pair_plans, ScriptedGpu(), "sm_90", tmp_path / "kernels", calibration=known, mark=lambda variant: None,
        temperature=41.5,
    )  # fmt: skip
    item = WorkItem("scale", ("ptx",), ({"n": 1024},))
    request = pickle.loads(pickle.dumps(WorkerRequest((item,), sendable(sent))))
    plan = plan_of_worker(request, DeviceShape())
    assert isinstance(plan, LongerPlan)
    assert (plan.calibration, plan.temperature) == (known, 41.5)
    [pair_plan] = plan.pair_plans
    assert [(source.variant, pair_plan.sizes) for source in pair_plan.sources] == [("ptx", ({"n": 1024},))]


def test_the_ceiling_of_memory_is_the_bandwidth_that_was_measured(tmp_path):
    pair_plans, _ = plan_pairs(kernels_folder(tmp_path), variants=["ptx"])
    plan = RunPlan(pair_plans, EmulatorBackend("sm_90"), "sm_90", tmp_path, calibration={"copy_bytes_per_s": 2.9e12})
    [cell] = [event.cell for event in run(plan) if isinstance(event, CellDone)]
    assert cell.limits.bytes_per_s == 2.9e12
