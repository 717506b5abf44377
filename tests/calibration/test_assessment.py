"""Each line of a calibration's checklist, from numbers alone: when it passes, when it warns, when it forbids timing."""

import numpy as np
import pytest

from ptxbench.backends.hold import smallest_step
from ptxbench.calibration import assessment as judge
from ptxbench.calibration.assessment import FAIL, PASS, WARN, CheckResult, ClockTick, calibration, forbids_timing
from ptxbench.result import Round


def curve(*ns):
    """The same reading three times for each multiple of L2."""
    return {times: [time] * 3 for times, time in zip((0, 0.5, 1, 2, 3, 4), ns, strict=True)}


# read curve in nanoseconds, status, multiple, ratio, why
FLUSHES = [
    ((10_000, 12_000, 18_000, 20_000, 20_000, 20_000), PASS, 2, 2.0,  "a plateau from 2 on"),
    ((10_000, 10_480, 10_490, 10_500, 10_500, 10_500), FAIL, 0.5, 1.048, "within 1 % of the most, under 5 %"),
    ((10_000, 10_000, 10_400, 10_600, 10_600, 10_600), PASS, 2, 1.06, "just more than nothing"),
    ((10_000, 10_000, 10_100, 10_400, 10_400, 10_400), FAIL, 2, 1.04, "next to nothing"),
    ((10_000, 10_000, 10_000, 10_000, 10_000, 10_000), FAIL, 0, 1.0,  "nothing"),
    ((10_000, 12_000, 14_000, 16_000, 18_000, 20_000), WARN, 4, 2.0,  "never levels off"),
]  # fmt: skip


@pytest.mark.parametrize(("ns", "status", "times", "ratio", "why"), FLUSHES, ids=[row[-1] for row in FLUSHES])
def test_a_flush_must_make_a_read_slower(ns, status, times, ratio, why):
    line = judge.judge_flush("flush", curve(*ns), curve(*ns))
    assert line.status == status
    assert line.values["flush_k"] == times
    assert line.values["flush_ratio"] == pytest.approx(ratio)
    assert line.values["read_curve_ns"]["0.5"] == ns[1]
    assert bool(line.advice) == (status != PASS)


def test_one_slow_reading_does_not_choose_the_flush():
    readings = curve(10_000, 12_000, 18_000, 20_000, 20_000, 20_000)
    readings[1] = [18_000, 18_000, 90_000]
    assert judge.judge_flush("flush", readings, readings).values["flush_k"] == 2


def test_a_dirty_cache_is_compared_with_a_clean_one_at_the_flush_that_is_used():
    read = curve(10_000, 12_000, 18_000, 20_000, 20_000, 20_000)
    write = curve(10_000, 13_000, 19_000, 21_000, 22_000, 22_000)
    line = judge.judge_dirty("dirty L2", read, write, 2)
    assert line.found == "a read takes 1.050 times as long after 2 x L2 of writes as after reads"
    assert line.values == {"dirty": pytest.approx(0.05)}


# readings, their smallest step
STEPS = [
    ([0, 0, 32, 32, 64],       32),
    ([1024, 0, 0, 2048, 2080], 32),     # in whatever order, as pairs of events are
    ([7, 7, 7],                None),
    ([],                       None),
]  # fmt: skip


@pytest.mark.parametrize(("readings", "step"), STEPS)
def test_the_step_of_a_timer_is_its_least_difference_that_is_not_zero(readings, step):
    assert smallest_step(readings) == step


# timer, pairs of events, status, a word of the finding
TIMERS = [
    ([0, 32, 64],            [512, 1024, 512], PASS, "%globaltimer steps by 32 ns, an event steps by 512 ns"),
    ([0, 1_000_000],         [512, 1024],      WARN, "%globaltimer steps by 1,000,000 ns"),
    ([5, 5, 5],              [512, 1024],      WARN, "%globaltimer never steps in 1000 readings"),
    ([0, 32],                [2000, 4000],     WARN, "an event steps by 2,000 ns"),
    ([0, 32],                [512, 512],       PASS, "an event never steps in 1000 readings"),
]  # fmt: skip


@pytest.mark.parametrize(("timer", "pairs", "status", "words"), TIMERS)
def test_a_coarse_timer_is_a_warning(timer, pairs, status, words):
    line = judge.judge_timers("timers", timer, pairs)
    assert line.status == status
    assert words in line.found
    assert line.values["timer_step_ns"] == smallest_step(timer)


# host, flush, spin, flush with the spin: status, recorded spin
SHIELDS = [
    (10_000, 33_000, 0,      None,   PASS, 0),
    (10_000, 15_000, 0,      None,   PASS, 0),
    (10_000, 14_000, 20_032, 34_500, PASS, 20_032),
    (10_000, 14_000, 20_032, 14_900, FAIL, 0),          # the spin did not spin
    (10_000, 14_999, 0,      None,   FAIL, 0),          # and no timer for the spin
]  # fmt: skip


@pytest.mark.parametrize(("host", "flushing", "spin", "shielded", "status", "recorded"), SHIELDS)
def test_the_device_must_be_busier_than_the_host(host, flushing, spin, shielded, status, recorded):
    shielded = [] if shielded is None else [shielded] * 3
    line = judge.judge_shield("shield", [host] * 3, [flushing] * 3, spin, shielded)
    assert line.status == status
    assert line.values == {"host_ns": host, "flush_ns": flushing, "spin_ns": recorded}


def control(shift=0.0, noise=0.002, spread=0.0, rounds=5, blocks=30):
    """Rounds of one kernel against itself: B slower by `shift`, and by another shift in each process."""
    rng = np.random.default_rng(1)
    result = []
    for number in range(rounds):
        shift_of_process = shift + spread * rng.standard_normal()
        logs = rng.standard_normal((blocks, 4)) * noise + np.array([0, shift_of_process, shift_of_process, 0])
        result.append(Round(number, number, ("cuda", "ptx"), "A", np.rint(100_000 * np.exp(logs)).astype(int).tolist()))
    return result


# the control, status, the start of the advice
CONTROLS = [
    ({},                                 PASS, ""),
    ({"shift": 0.002, "noise": 0.0005},  PASS, ""),                        # away from 0, but by less than the limit
    ({"shift": 0.004, "noise": 0.0005},  FAIL, "One kernel seems to differ from itself"),
    ({"spread": 0.02, "noise": 0.0005},  WARN, "Processes differ by more"),
    ({"noise": 0.05},                    WARN, "Differences under"),
]  # fmt: skip


@pytest.mark.parametrize(("like", "status", "advice"), CONTROLS)
def test_a_kernel_must_not_differ_from_itself(like, status, advice):
    line = judge.judge_control("A/A control", control(**like), [3.0] * 5, limit=0.0025)
    assert line.status == status, line
    assert line.advice.startswith(advice)
    assert line.values["control_blocks"] == 30
    assert line.values["control_seconds"] == 3.0
    assert "30 blocks, 3.0 s a round" in line.found


def test_a_control_that_was_not_measured_forbids_timing():
    assert judge.judge_control("A/A control", [], [], limit=0.0025).status == FAIL


def test_one_round_has_no_spread():
    line = judge.judge_control("A/A control", control(rounds=1), [3.0], limit=0.0025)
    assert line.values["process_spread"] is None
    assert "between" not in line.found


# graphs of K, 2 K and 4 K, status, off the line
SLOPES = [
    (100_000, 190_000, 370_000, PASS, 0.0),         # 10 us of overhead, 1.4 us a launch
    (100_000, 190_000, 373_000, PASS, 0.0081),
    (100_000, 190_000, 380_000, WARN, 0.027),
    (100_000, 190_000, 360_000, WARN, -0.027),
    (100_000, 100_000, 400_000, WARN, 3.0),         # a shorter graph that took as long as the longer
]  # fmt: skip


@pytest.mark.parametrize(("once", "twice", "four_times", "status", "error"), SLOPES)
def test_graphs_must_lie_on_a_line(once, twice, four_times, status, error):
    line = judge.judge_slope("slope", 64, [once] * 3, [twice] * 3, [four_times] * 3)
    assert line.status == status
    assert line.values["slope_error"] == pytest.approx(error, abs=0.001)


def test_kernels_must_take_as_long_alone_as_in_turns():
    line = judge.judge_solo("interaction", {"copy": [100, 101], "fma": [50]}, {"copy": 100.0, "fma": 50.0}, limit=0.03)
    assert line.status == PASS
    line = judge.judge_solo("interaction", {"copy": [100], "fma": [48]}, {"copy": 100.0, "fma": 50.0}, limit=0.03)
    assert line.status == WARN
    assert line.found == "difference between alone and in turns: copy 0.0%, fma 4.0%"
    assert line.values == {"solo_apart": {"copy": 0.0, "fma": pytest.approx(0.04)}}


@pytest.mark.parametrize(("shift", "status"), [(0.0, PASS), (0.005, PASS), (0.02, WARN), (-0.02, WARN)])
def test_the_two_assemblers_are_compared(shift, status):
    rounds = [
        Round(timed_round.round, timed_round.process, ("toolkit", "driver"), timed_round.start, timed_round.ns)
        for timed_round in control(shift, noise=0.0005, rounds=1)
    ]
    line = judge.judge_assemblers("assemblers", rounds, "toolkit", "driver")
    assert line.status == status
    assert line.values["driver_over_toolkit"] == pytest.approx(np.exp(shift), abs=0.001)
    assert judge.judge_assemblers("assemblers", [], "toolkit", "driver").status == WARN


# bytes, nanoseconds, published rate, whether the copy is right, status, recorded rate
BANDWIDTHS = [
    (2_000_000, 1_000, 2.2e12, True,  PASS, 2e12),
    (2_000_000, 1_000, 4e12,   True,  WARN, 2e12),      # half of the published rate
    (2_000_000, 1_000, 1.5e12, True,  FAIL, None),      # a third more than there is
    (2_000_000, 1_000, 1.9e12, True,  PASS, 2e12),      # some writes stay in L2
    (2_000_000, 1_000, None,   True,  PASS, 2e12),
    (2_000_000, 1_000, 2.2e12, False, FAIL, None),      # a wrong result has no time
]  # fmt: skip


@pytest.mark.parametrize(("moved", "ns", "published", "right", "status", "rate"), BANDWIDTHS)
def test_a_copy_reaches_less_than_is_published_and_not_much_less(moved, ns, published, right, status, rate):
    line = judge.judge_bandwidth("bandwidth", moved, [ns] * 3, published, right=right)
    assert line.status == status
    assert line.values.get("copy_bytes_per_s") == rate


def ticks(*mhz):
    return [ClockTick(float(i), clock) for i, clock in enumerate(mhz)]


# the clock second by second, after how long it is at rest
RAMPS = [
    ((345, 900, 1700, 1755, 1755, 1755, 1755, 1750),  3.0),
    ((1755, 1750, 1755, 1755),                        0.0),     # it never was idle
    ((1755, 1755, 1755, 1755, 1600, 1600, 1600),      4.0),     # it fell, and rests there
    ((345, 900, 1700, 1755, 1755, 1755, 1755, 1800),  None),    # on its way still
]  # fmt: skip


@pytest.mark.parametrize(("mhz", "seconds"), RAMPS)
def test_the_clock_is_settled_from_when_it_stays_near_its_last_value(mhz, seconds):
    assert judge.ramp_seconds(ticks(*mhz)) == seconds


def test_a_clock_that_settles_late_or_never_or_is_not_reported_is_a_warning():
    soon = judge.judge_ramp("clock", ticks(345, 1740, 1755, 1750), limit=5.0)
    assert (soon.status, soon.found) == (PASS, "345 to 1750 MHz, stable after 1.0 s")
    late = judge.judge_ramp("clock", ticks(345, 500, 700, 900, 1100, 1300, 1755, 1755), limit=5.0)
    assert (late.status, late.values) == (WARN, {"ramp_seconds": 6.0})
    assert late.found == "345 to 1755 MHz, and not stable after 6.0 s"
    never = judge.judge_ramp("clock", ticks(1755, 1700, 1650, 1600, 1755, 1500, 1750, 1400), limit=5.0)
    assert (never.status, never.values) == (WARN, {"ramp_seconds": None})
    assert judge.judge_ramp("clock", [], limit=5.0).status == WARN


def test_the_lines_add_up_to_the_calibration():
    lines = [
        CheckResult("flush", PASS, "", "", {"flush_k": 3.0, "flush_ratio": 2.0}),
        CheckResult("shield", WARN, "", "", {"host_ns": 9000, "spin_ns": 18_000}),
    ]
    result = calibration(lines)
    assert (result.flush_k, result.flush_ratio, result.host_ns, result.spin_ns) == (3.0, 2.0, 9000, 18_000)
    assert result.copy_bytes_per_s is None
    assert forbids_timing(lines) is False
    assert forbids_timing([*lines, CheckResult("A/A control", FAIL, "")]) is True
