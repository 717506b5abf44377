"""Knobs in a run: cells of one size with other knobs stay apart, in rounds of real processes and for every reader."""

from dataclasses import replace

import pytest

from ptxbench.discovery.knobs import with_knobs
from ptxbench.result import BROKEN, VERIFIED, from_json, to_json
from ptxbench.runner import CellDone, RunFrame, RunPlan, Step, carry_out, document, plan_pairs
from ptxbench.runner.round_results import RoundResults
from ptxbench.runner.worker import WorkerDied
from ptxbench.verdict.rows import match_cells
from tests.fakes import HostileBackend
from tests.runner.test_rounds import NS, QUICK
from tests.tune.folders import knobs_folder

pytestmark = pytest.mark.usefixtures("small_control")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A round of one size with two values of a knob."""
    folder = knobs_folder(tmp_path_factory.mktemp("pairs"))
    [pair_plan], _ = plan_pairs(folder, sizes=["n=1024"], emulated=False)
    pair_plans = []
    for block in (64, 128):
        turned = with_knobs(pair_plan.loaded, {"BLOCK": block})
        pair_plans.append(replace(pair_plan, loaded=turned, sources=turned.sources, knobs={"BLOCK": block}))
    return RunPlan(tuple(pair_plans), HostileBackend({}, NS), "sm_90", folder, settings=QUICK, rounds=1)


@pytest.fixture(scope="module")
def events(plan):
    return list(carry_out(plan))


def cells_of(events):
    return [event.cell for event in events if isinstance(event, CellDone) and not event.cell.control]


def test_cells_of_one_size_with_other_knobs_are_built_and_measured_apart(events):
    cells = cells_of(events)
    assert [(cell.knobs, cell.launch.block, len(cell.rounds)) for cell in cells] == [
        ({"BLOCK": 64}, (64, 1, 1), 1),
        ({"BLOCK": 128}, (128, 1, 1), 1),
    ]
    for variant in ("cuda", "ptx"):
        assert len({cell.variants[variant].build.ptx_sha256 for cell in cells}) == 2
        assert {cell.variants[variant].status for cell in cells} == {VERIFIED}


def test_a_kernel_that_crashes_with_one_knob_is_not_blamed_for_the_other(plan, events):
    results = RoundResults.of(plan)
    steps = [event for event in events if isinstance(event, Step) and event.phase == "verify"]
    results.last = next(step for step in steps if step.knobs == {"BLOCK": 64} and step.variant == "ptx")
    results.attribute_failure(WorkerDied("it crashed"))
    assert [(cell.knobs, list(cell.variants), cell.variants["ptx"].status) for cell in results.cells()] == [
        ({"BLOCK": 64}, ["ptx"], BROKEN)
    ]


def test_a_run_goes_on_with_the_rounds_of_an_earlier_one(plan, events):
    earlier_cells = tuple(cells_of(events))
    both = cells_of(carry_out(replace(plan, rounds=2, begun=earlier_cells, first_round=1)))
    assert [[timed_round.round for timed_round in cell.rounds] for cell in both] == [[0, 1]] * 2
    assert [[timed_round.process for timed_round in cell.rounds] for cell in both] == [[0, 1]] * 2


def test_cells_with_other_knobs_are_not_compared_with_each_other(plan, events):
    run = document(RunFrame(plan, plan.backend.device()), cells_of(events), "complete")
    read_back = from_json(to_json(run), "run")
    assert [cell.knobs for cell in read_back.cells] == [{"BLOCK": 64}, {"BLOCK": 128}]
    matches = match_cells(replace(run, cells=run.cells[1:]), read_back)
    assert [(match.base is not None, dict(match.either.point)) for match in matches] == [
        (False, {"n": 1024, "BLOCK": 64}),
        (True, {"n": 1024, "BLOCK": 128}),
    ]
