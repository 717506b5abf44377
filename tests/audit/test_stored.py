"""The audit by stored runs: how many runs are enough, what is judged, and noise beyond the budget is reported."""

from dataclasses import replace
from statistics import median

import pytest

from ptxbench.audit.stored import StoredDevice, audit_runs, devices, swapped, unchanged
from ptxbench.audit.synthetic import CONDITIONS
from ptxbench.errors import TooFewRuns
from ptxbench.verdict.config import GateConfig
from tests.runs import Kernel, Noise, Sampling, timed_run

PAIRS = [f"k{i}" for i in range(4)]
CALM = Sampling(rounds=10, blocks=8, noise=Noise(process=0.002))


def run(number, *, day=None, factor=1.0, code="A", sampling=CALM, **frame):
    """One of several runs of four kernels; all times are multiplied by `factor`."""
    kernels = {"cuda": Kernel(50 * factor), "ptx": Kernel(45 * factor, code)}
    started = f"2026-01-{1 + (number % 2 if day is None else day):02}T{number:02}:00:00Z"
    return timed_run(number, {(pair, 64): kernels for pair in PAIRS}, sampling, id=f"{number:08}", started=started,
                     **frame)  # fmt: skip


@pytest.fixture(scope="module")
def six():
    return [run(i) for i in range(6)]


# the runs, the expected message
TOO_LITTLE = [
    ([], "0 runs without times"),
    ([run(i) for i in range(5)], "NVIDIA H100 80GB HBM3: 5 runs, 50 rounds, 2 days"),
    ([run(i, sampling=replace(CALM, rounds=12)) for i in range(5)], "5 runs, 60 rounds, 2 days"),
    ([run(i, sampling=replace(CALM, rounds=9)) for i in range(6)], "6 runs, 54 rounds, 2 days"),
    ([run(i, day=0) for i in range(6)], "6 runs, 60 rounds, 1 day"),
    ([run(i, device={"name": f"GPU {i % 2}"}) for i in range(6)], "GPU 0: 3 runs, 30 rounds, 1 day; GPU 1: 3 runs"),
]  # fmt: skip


@pytest.mark.parametrize(("runs", "message"), TOO_LITTLE)
def test_fewer_than_six_runs_sixty_rounds_and_two_days_of_one_gpu_model_are_refused(runs, message):
    with pytest.raises(TooFewRuns) as error:
        devices(runs)
    assert message in str(error.value)
    assert "takes 6 runs and 60 rounds on 2 days" in str(error.value)
    assert error.value.exit_status == 5


def test_runs_are_grouped_by_gpu_model_and_emulator_runs_are_left_out(six):
    other = run(7, device={"name": "NVIDIA A100"})
    emulated = replace(six[0], cells=[replace(cell, rounds=[]) for cell in six[0].cells])
    series_of_gpus = devices([other, *six, emulated])
    assert {
        series.name: (len(series.runs), series.rounds, series.days, series.enough) for series in series_of_gpus
    } == {
        "NVIDIA A100": (1, 10, 1, False),
        "NVIDIA H100 80GB HBM3": (6, 60, 2, True),
    }
    for [device] in (devices(six), devices(six[::-1])):
        assert [run.run.id[-1] for run in device.runs] == ["0", "2", "4", "1", "3", "5"]  # in the order of their start


def test_a_quiet_gpu_raises_no_alarm_and_every_two_runs_are_judged_both_ways(six):
    lines = audit_runs(devices(six)[0], GateConfig())
    assert [(line.mode, line.controls) for line in lines] == [
        (condition.mode, condition.controls) for condition in CONDITIONS
    ]
    for line in lines:
        assert (line.alarms.events, line.alarms.trials) == (0, 30)
        assert (line.apart.events, line.apart.trials) == (0, 3)
        assert (line.noise, line.rounds) == ("NVIDIA H100 80GB HBM3", 10)
        assert line.holds
    ratio, times, controlled = lines
    assert (ratio.kernels, times.kernels) == (4, 8)  # cuda has a time, and no ratio to itself
    assert ratio.inconclusive.trials == 30 * 4
    assert controlled.inconclusive.trials == 30
    assert ratio.missed[0.10].share == 0
    assert ratio.missed[0.02].share == 1


def test_a_run_that_is_slower_than_the_budget_alarms_without_controls():
    runs = [run(i, factor=1.4 if i == 3 else 1.0) for i in range(6)]
    ratio, times, controlled = audit_runs(devices(runs)[0], GateConfig())
    assert (ratio.alarms.events, ratio.holds) == (0, True)
    # the slow run is head of five suites; of these one is of two runs that no other suite has
    assert (times.alarms.events, times.alarms.trials, times.holds) == (5, 30, False)
    assert controlled.alarms.events == 0


def test_a_run_with_a_bad_control_raises_no_alarm_and_is_inconclusive():
    runs = [run(i, factor=1.4 if i == 3 else 1.0) for i in range(6)]
    control = replace(runs[3].cells[0], pair="A/A control", control=True)  # 45 us against 50 us
    runs[3] = replace(runs[3], cells=[*runs[3].cells, control])
    ratio, times, _ = audit_runs(devices(runs)[0], GateConfig())
    assert (times.alarms.events, times.alarms.trials) == (0, 30)
    assert ratio.inconclusive.events == 10 * 4  # all rows of the suites that have the run


def test_changed_code_is_not_judged(six):
    other = run(6, code="B")
    assert len(unchanged(six[0], six[1], "ratio")) == 4
    assert unchanged(six[0], other, "ratio") == []
    assert len(unchanged(six[0], other, "time")) == 4  # cuda's
    differing = [run(i, code=chr(65 + i)) for i in range(6)]
    assert [line.mode for line in audit_runs(StoredDevice("a", differing), GateConfig())] == ["time", "time"]


def test_runs_with_nothing_in_common_are_refused():
    runs = [run(i) for i in range(2)]
    apart = [runs[0], replace(runs[1], cells=[replace(cell, pair=f"other {cell.pair}") for cell in runs[1].cells])]
    with pytest.raises(TooFewRuns, match="a: no two of its 2 runs measured the same code"):
        audit_runs(StoredDevice("a", apart), GateConfig())


def test_swapping_base_and_head_changes_the_sign_of_every_change(six):
    suite = unchanged(six[0], six[1], "ratio")
    for (_, before), (_, after) in zip(suite, swapped(suite), strict=True):
        assert median(before.head) - median(before.base) == -(median(after.head) - median(after.base))
