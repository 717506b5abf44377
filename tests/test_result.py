"""Reading a run: a foreign file may hold anything, and each fault is reported with its position."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ptxbench.errors import ResultError
from ptxbench.result import from_json, info_documents, save, to_json
from ptxbench.run_info import Device, SourceInfo, Toolchain
from tests.terminal.test_comparison import BASE

DOCUMENT = json.loads(to_json(BASE))


def of_round(change):
    """A change of the first round of a copy."""
    return lambda run: change(run["cells"][0]["rounds"][0])


def of_cell(change):
    return lambda run: change(run["cells"][0])


MODEL = {"gpu": "h100", "floors": {}, "verdict": "lower", "reason": None, "claims": {}, "widths": {}}

# the damage, the message
FAULTS = [
    (lambda run: run["run"].pop("id"), "x.json: run: the key 'id' is missing."),
    (lambda run: run["run"].update(started=3), "x.json: run: started: expected str, found 3."),
    (lambda run: run["toolchain"].update(flags={"ptxas": 3}),
     "x.json: toolchain: flags: ptxas: expected a list, found 3."),
    (lambda run: run.update(calibration={"timer_step_ns": "x"}),
     "x.json: calibration: timer_step_ns: expected a number, found 'x'."),
    (of_cell(lambda cell: cell.update(work={"flops": 1})),
     "x.json: cells[0]: work: expected 'bytes' among its keys, found {'flops': 1}."),
    (lambda run: run["run"].update(argv="ls"), "x.json: run: argv: expected a list, found 'ls'."),
    (lambda run: run["cells"].append(run["cells"][0]),
     f"x.json: cells[{len(DOCUMENT['cells'])}] repeats cells[0]: softmax, n=65536, sm_90, cold. Expected each cell "
     "once."),
    (of_cell(lambda cell: cell["work"].update(flops=-1)),
     "x.json: cells[0]: work: flops: expected 0, or from 1e-9 to 1e24, found -1."),
    (of_cell(lambda cell: cell["variants"]["ptx"].update(counts={"ptx_barriers": 1e308})),
     "x.json: cells[0]: variants: ptx: counts: ptx_barriers: expected 0, or from 1e-9 to 1e24, found 1e+308."),
    (of_cell(lambda cell: cell.update(limits={"device": "d", "source": "s", "bytes_per_s": 0})),
     "x.json: cells[0]: limits: bytes_per_s: expected a number over 0, from 1e-9 to 1e24, found 0."),
    (of_cell(lambda cell: cell.update(pair=300 * "x" + "\x1b", cache=3)),
     "x.json: cells[0]: cache: expected str, found 3."),
    (of_cell(lambda cell: cell.update(cache="hot")), "x.json: cells[0]: cache: expected cold or warm, found 'hot'."),
    (of_cell(lambda cell: cell.update(pair=[300 * "x"])),
     f"x.json: cells[0]: pair: expected str, found ['{118 * 'x'}...."),
    (of_round(lambda one: one["ns"].__setitem__(2, [1, 2, 3, 2**63])),
     "x.json: cells[0]: rounds[0]: ns[2]: expected four times over 0 and below 2^63, found [1, 2, 3, "
     "9223372036854775808]."),
    (of_cell(lambda cell: cell["launch"].update(grid=[1])),
     "x.json: cells[0]: launch: grid: expected three whole numbers, found [1]."),
    (of_cell(lambda cell: cell["launch"].update(cluster=[1])),
     "x.json: cells[0]: launch: cluster: expected three whole numbers, found [1]."),
    (of_cell(lambda cell: cell["launch"].update(launches=0)),
     "x.json: cells[0]: launch: launches: expected a whole number over 0, found 0."),
    (of_cell(lambda cell: cell["variants"]["ptx"].update(launch={"grid": [1, 1, 1], "block": [32]})),
     "x.json: cells[0]: variants: ptx: launch: block: expected three whole numbers, found [32]."),
    (of_cell(lambda cell: cell.update(model=MODEL | {"floors": {"ptx": {"issue": 2e9}}})),
     "x.json: cells[0]: model: floors: ptx: issue: expected seconds, found 2000000000.0."),
    (of_cell(lambda cell: cell.update(model=MODEL | {"floors": {"ptx": {"issue": -1e-9}}})),
     "x.json: cells[0]: model: floors: ptx: issue: expected seconds, found -1e-09."),
    (of_cell(lambda cell: cell["variants"]["ptx"].update(counts={"ptx_active_lane_share": 1e-10})),
     "x.json: cells[0]: variants: ptx: counts: ptx_active_lane_share: expected 0, or from 1e-9 to 1e24, found 1e-10."),
    (of_cell(lambda cell: cell["variants"]["ptx"].update(status="good")),
     "x.json: cells[0]: variants: ptx: status: expected verified or wrong or broken or unsupported or skipped or "
     "wrong as expected, found "
     "'good'."),
    (of_round(lambda one: one.update(start="C")), "x.json: cells[0]: rounds[0]: start: expected A or B, found 'C'."),
    (of_round(lambda one: one.update(contrast=["cuda"])),
     "x.json: cells[0]: rounds[0]: contrast: expected two names of variants, found ['cuda']."),
    (of_round(lambda one: one["ns"].__setitem__(2, [1, 2, 3])),
     "x.json: cells[0]: rounds[0]: ns[2]: expected four times over 0 and below 2^63, found [1, 2, 3]."),
    (of_round(lambda one: one["ns"].__setitem__(2, [1, 2, 3, 0])),
     "x.json: cells[0]: rounds[0]: ns[2]: expected four times over 0 and below 2^63, found [1, 2, 3, 0]."),
    (of_round(lambda one: one.update(dropped=["3"])),
     "x.json: cells[0]: rounds[0]: dropped: expected an object, found ['3']."),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), FAULTS)
def test_a_fault_in_a_file_is_reported_with_its_position(damage, message):
    document = copy.deepcopy(DOCUMENT)
    damage(document)
    with pytest.raises(ResultError) as caught:
        from_json(json.dumps(document), "x.json")
    assert str(caught.value) == message


def test_a_valid_file_reads_back_unchanged():
    assert from_json(json.dumps(DOCUMENT), "x.json") == from_json(to_json(BASE), "x.json")


def test_a_committed_baseline_is_read_without_changes_outside_its_cells():
    [path] = (Path(__file__).parents[1] / "baselines").glob("*.json")
    document = json.loads(path.read_text())
    assert info_documents(from_json(path.read_text(), path.name)).items() <= document.items()


def test_keys_that_this_version_does_not_know_are_ignored_and_those_that_are_missing_are_unknown():
    document = copy.deepcopy(DOCUMENT)
    document["device"] = {"kind": "gpu", "name": "GPU 1", "sm": "sm_90", "dies": 2, "sms": None}
    document["toolchain"] = {"ptxas": "13.2"}
    document["source"] = {}
    run = from_json(json.dumps(document), "x.json")
    assert (run.device, run.toolchain, run.source) == (
        Device("gpu", "GPU 1", "sm_90"), Toolchain(ptxas="13.2"), SourceInfo()
    )  # fmt: skip


def test_launch_options_are_kept_and_a_file_without_them_is_of_a_launch_without_them():
    assert all(cell["launch"].keys() == {"grid", "block", "shared_bytes"} for cell in DOCUMENT["cells"])
    options = {"cluster": (2, 1, 1), "cooperative": True, "launches": 8, "dependent": True}
    first, *others = BASE.cells
    run = replace(BASE, cells=[replace(first, launch=replace(first.launch, **options)), *others])
    text = to_json(run)
    written = json.loads(text)["cells"][0]["launch"]
    assert written == {**json.loads(to_json(BASE))["cells"][0]["launch"], **options, "cluster": [2, 1, 1]}
    read_back = from_json(text, "x.json")
    assert read_back.cells[0].launch == run.cells[0].launch
    assert read_back.cells[1].launch == others[0].launch
    with pytest.raises(
        ResultError, match=r"x\.json: cells\[0\]: launch: launches: expected a whole number over 0, found 0"
    ):
        from_json(text.replace('"launches": 8', '"launches": 0'), "x.json")


def test_a_variant_with_another_number_of_launches_has_another_geometry():
    launch = BASE.cells[0].launch
    assert replace(launch, launches=8).geometry != launch.geometry
    assert replace(launch, launches=8, dependent=True).geometry == replace(launch, launches=8).geometry


def test_a_cell_without_a_model_has_no_such_key():
    assert "model" not in DOCUMENT["cells"][0]


def test_a_number_of_any_kind_is_a_step_of_the_timer():
    for step in (32, 0.5, None):
        document = {**DOCUMENT, "calibration": {"timer_step_ns": step}}
        assert from_json(json.dumps(document), "x").calibration == {"timer_step_ns": step}


KINDS = [({}, ""), ({"confirms": "abc"}, ".confirms-abc"), ({"sweep": {"pair": "p"}}, ".sweep")]


@pytest.mark.parametrize(("changes", "kind"), KINDS)
def test_the_name_of_a_file_says_what_kind_of_run_it_is(tmp_path, changes, kind):
    path = save(replace(BASE, run=replace(BASE.run, id="e3", started="2026-01-31T12:00:00Z", **changes)), tmp_path)
    assert path.name == f"20260131T120000Z-e3{kind}.json"


def test_keys_of_a_later_version_are_ignored_and_a_newer_schema_is_refused():
    assert from_json(json.dumps({**DOCUMENT, "later": 1}), "x").run == BASE.run
    with pytest.raises(ResultError, match=r"^x has schema 'ptxbench\.run/4'; this ptxbench reads 'ptxbench\.run/3'\."):
        from_json(json.dumps({**DOCUMENT, "schema": "ptxbench.run/4"}), "x")


def test_labels_of_an_earlier_schema_are_read_with_the_names_of_today():
    document = copy.deepcopy(DOCUMENT)
    document["cells"][0]["labels"] = ["INTERACTION", "UNSETTLED", "LAUNCH-BOUND"]
    for schema in ("ptxbench.run/1", "ptxbench.run/2"):
        document["schema"] = schema
        assert from_json(json.dumps(document), "x").cells[0].labels == ["INTERFERENCE", "UNSTABLE", "LAUNCH-BOUND"]
    document["cells"][0]["labels"] = None
    with pytest.raises(ResultError, match=r"^x: cells\[0\]: labels: expected a list, found None\.$"):
        from_json(json.dumps(document), "x")
    document["schema"] = "ptxbench.run/3"
    document["cells"][0]["labels"] = ["INTERFERENCE", "UNSTABLE", "LAUNCH-BOUND"]
    assert from_json(json.dumps(document), "x").cells[0].labels == ["INTERFERENCE", "UNSTABLE", "LAUNCH-BOUND"]


def test_a_run_of_the_first_schema_is_read_with_its_opcodes_and_no_machine_instructions():
    document = copy.deepcopy(DOCUMENT)
    document["schema"] = "ptxbench.run/1"
    for cell in document["cells"]:
        for variant in cell["variants"].values():
            variant["executed"] = {"add.f32": 3}
            del variant["opcodes"]
    variants = [variant for cell in from_json(json.dumps(document), "x").cells for variant in cell.variants.values()]
    assert variants
    assert all(variant.opcodes == {"add.f32": 3} for variant in variants)
    assert all(variant.executed is None for variant in variants)
    document["cells"] = [1]
    with pytest.raises(ResultError, match=r"^x: cells\[0\]: expected an object, found 1\.$"):
        from_json(json.dumps(document), "x")
