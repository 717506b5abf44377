"""The result of points: the best, the statistically tied ones, the figures of sm_partition from scripted times."""

from dataclasses import replace

import pytest

from ptxbench import discovery
from ptxbench.cli._sweep import perform
from ptxbench.discovery import load
from ptxbench.knobs import Figure, SweepPart
from ptxbench.measure import SamplingSettings
from ptxbench.result import INTERRUPTED, LAUNCH_BOUND, save
from ptxbench.runner import RunFrame, RunPlan
from ptxbench.stats import Interval
from ptxbench.terminal.curve import findings, tables
from ptxbench.tune import Reading, curves, plan_of, spec_of, sweep_of
from ptxbench.tune.curve import Curves, Quantity, of_rounds, rounds_of, separated
from ptxbench.tune.panels import panels
from ptxbench.tune.sweep import finished_before
from tests.runs import Kernel, Sampling, timed_run
from tests.terminal.test_table import printed
from tests.tune.backend import COMPUTE_NS, COPY_NS, SMS, PartitionBackend
from tests.tune.folders import knobs_folder

QUICK = SamplingSettings(warm_up_seconds=0, stretch=1, looks=(8,), solo=0)
KERNELS = discovery.default_kernels()
PARTITION = load(KERNELS, "sm_partition")
FIGURES = {figure.name: figure for figure in PARTITION.pair.sweep.figures}


def count(value):
    return Reading(Interval(value, value, value))


def timed(*rounds):
    return of_rounds(dict(enumerate(rounds)))


# ---- the best and its neighbours


def test_counts_differ_by_any_difference():
    assert separated(count(10), [count(10), count(10.5), count(11)], sign=1) == [False, True, True]
    assert separated(count(10), [count(9), count(10)], sign=-1) == [True, False]


def test_ranges_differ_if_they_do_not_overlap():
    def between(low, value, high):
        return Reading(Interval(low, value, high))

    best = between(100, 105, 110)
    others = [between(104, 106, 112), between(110, 115, 120), between(111, 115, 120)]
    assert separated(best, others, sign=1) == [False, False, True]
    best = between(100, 105, 110)
    others = [between(90, 104, 108), between(90, 95, 100), between(90, 95, 99)]
    assert separated(best, others, sign=-1) == [False, False, True]


def test_times_differ_by_their_difference_in_each_round():
    """All times drift by a fifth over the rounds. A difference of a hundredth is still found, because each round has a
    time of every point."""
    drift = (1.0, 1.05, 1.1, 1.15, 1.2)
    best, near, far = (
        timed(*(base * d * (1 + noise) for d, noise in zip(drift, noises, strict=True)))
        for base, noises in (
            (100, (0, 0.001, -0.001, 0.0005, 0)),
            (100.05, (0.002, -0.002, 0.001, 0, -0.001)),
            (102, (0.001, 0, 0.001, -0.001, 0)),
        )
    )
    assert far.interval.low < best.interval.high  # the intervals alone would show no difference
    assert separated(best, [near, far], sign=1) == [False, True]


def test_with_many_points_a_chance_difference_is_less_convincing():
    best = timed(100, 100, 100)
    chance = timed(100.2, 100.9, 100.5)
    assert separated(best, [chance], sign=1) == [False]
    clear = timed(100.50, 100.52, 100.51)
    assert separated(best, [clear], sign=1) == [True]
    assert separated(best, [clear] + [timed(100, 101, 99)] * 30, sign=1)[0]
    weak = timed(100.4, 100.6, 100.5)
    assert separated(best, [weak], sign=1) == [True]
    assert separated(best, [weak] + [timed(100, 101, 99)] * 30, sign=1)[0] is False  # by Holm


def test_two_rounds_are_too_few_for_a_difference():
    assert separated(timed(100, 100), [timed(200, 200)], sign=1) == [False]
    assert timed(100, 200).bare
    assert not timed(100, 200, 150).bare


def test_the_interval_of_a_reading_is_that_of_student():
    reading = timed(1.0, 2.0, 3.0)
    assert reading.value == 2.0
    assert reading.interval.high - 2.0 == pytest.approx(9.9248 / 3**0.5, rel=1e-4)  # t at 0.995 with 2 degrees


def test_a_figure_of_several_launches_has_the_rounds_that_timed_all_of_them():
    [cell] = timed_run(1, {("triad", 64): {"cuda": Kernel(50), "ptx": Kernel(45)}}, Sampling(blocks=8)).cells
    shorter = replace(cell, rounds=[part for part in cell.rounds if part.round != 1])
    common = rounds_of([cell, shorter], "ptx")
    assert [*common] == [0, 2, 3, 4]
    assert all(len(parts) == 2 and parts[0].seconds == parts[1].seconds for parts in common.values())


def test_readings_that_are_not_over_0_are_compared_by_their_differences():
    best, near, far = timed(-10, -10.2, -9.9), timed(-9.95, -10.25, -9.9), timed(-5, -5.2, -4.9)
    assert separated(best, [near, far], sign=1) == [False, True]


# ---- curves without a run


def drawn(tmp_path, values, *, better="higher", enough=None, labels=()):
    """The curves of one variant, `ptx`: a count at n=128 and 256, each with BLOCK=64 and 128."""
    loaded = load(knobs_folder(tmp_path), "scale")
    swept = sweep_of(loaded, loaded.sources, "counts", values={"n": (128, 256), "BLOCK": (64, 128)}, size={})
    figure = Figure("f", "", better, "counts", ["point"], "a figure", lambda part: 0, enough)
    quantity = Quantity("f", "", better, "a figure", figure)
    readings = [None if value is None else count(value) for value in values]
    forbidden = {index: [LAUNCH_BOUND] for index in labels}
    return Curves(swept, ["ptx"], [quantity], {("f", "ptx"): readings}, {"ptx": [None] * 4}, forbidden)


def said(figures):
    return [text for _, _, text in findings(figures)][:-1]  # without the last one, about counts


def test_a_figure_that_is_neither_better_higher_nor_lower_has_no_best_point(tmp_path):
    figures = drawn(tmp_path, (1, 2, 3, 4), better="neither")
    assert figures.best(figures.main, "ptx") is None
    assert said(figures) == []


@pytest.mark.parametrize(
    ("values", "labels", "words"),
    [
        ((1, 2, 3, 4),       (),     "Every other point is worse."),
        ((1, 2, None, 4),    (),     "Every other point with a verdict is worse."),
        ((1, 2, 3, 4),       (2,),   "Every other point with a verdict is worse."),
        ((None,) * 3 + (4,), (),     "BLOCK=128."),   # nothing to compare it with
        ((4, 2, 3, 4),       (),     "The same at n=256 BLOCK=128."),
    ],
)  # fmt: skip
def test_other_points_are_called_worse_only_if_they_have_a_verdict(tmp_path, values, labels, words):
    best = said(drawn(tmp_path, values, labels=labels))[0]
    assert best.startswith("ptx: the greatest f is 4, at n=")
    assert best.endswith(words)


def test_points_whose_ranges_overlap_are_not_called_the_same(tmp_path):
    figures = drawn(tmp_path, (1, 2, 3, 4))
    figures.readings["f", "ptx"][2:] = [Reading(Interval(2, 3, 4)), Reading(Interval(3, 4, 5))]
    best = "ptx: the greatest f is 4 ± 1, at n=256 BLOCK=128."
    assert said(figures)[0] == f"{best} Its interval overlaps those at every point with n=256."
    [[_, table]] = [*tables(figures, plain=True)]
    assert " ".join(printed(table).split()).endswith("256 3 ±33.3% ~ 4 ±25.0% *")


def test_the_least_sufficient_value_is_that_of_a_point_with_a_verdict(tmp_path):
    figures = drawn(tmp_path, (1, 9, 9, 10), enough=0.9)
    assert figures.enough(figures.main, "ptx") == (0.9, 1)
    figures = drawn(tmp_path, (1, 9, 9, 10), enough=0.9, labels=(1,))
    assert figures.enough(figures.main, "ptx") == (0.9, 2)
    figures = drawn(tmp_path, (-1, -9, -9, -10), enough=0.9)  # a share of -1 would be more than it
    assert figures.enough(figures.main, "ptx") == (0.9, 0)
    figures = drawn(tmp_path, (None,) * 4, enough=0.9)
    assert figures.enough(figures.main, "ptx") is None


@pytest.mark.parametrize(
    ("values", "labels", "better", "words"),
    [
        ((8, 4, 10, 5), (),   "higher", "5 at best, with n=256; 0.50 times the best."),
        ((8, 4, 10, 5), (),   "lower",  None),                                           # it is the best
        ((4, 8, 5, 10), (),   "lower",  "8 at best, with n=128; 2.00 times the best."),
        ((4, 8, 5, 10), (1,), "lower",  "10 at best, with n=256; 2.50 times the best."),
        ((0, 8, 5, 10), (),   "lower",  "8 at best, with n=128."),
        ((8, 8, 8, 8),  (),   "higher", None),
    ],
)  # fmt: skip
def test_the_pairs_own_values_are_compared_with_the_best(tmp_path, values, labels, better, words):
    figures = drawn(tmp_path, values, better=better, labels=labels)
    assert figures.marks == {"BLOCK": 128}
    compared = [text for text in said(figures) if "the values of the pair" in text]
    assert compared == ([] if words is None else [f"ptx at BLOCK=128, the values of the pair: {words}"])


# ---- the figures of sm_partition, each launch with the numbers that it would have left


def launched(roles, copiers, seconds=None, copy_clocks=0, compute_clocks=0, seen=None, **counts):
    size = {
        "sms": 132, "copiers": copiers, "n": 1 << 28, "chunk": 1 << 14, "tiles": 8192, "panels": 1024, "depth": 1,
        "steps": 256, "roles": roles,
    }  # fmt: skip
    observed = {
        "copiers": copiers if seen is None else seen,
        "computers": 132 - (copiers if seen is None else seen),
        "copy_clocks": copy_clocks,
        "compute_clocks": compute_clocks,
    }
    return SweepPart(size, PARTITION.pair.work(size), seconds, observed, counts)


def figure(name, *parts):
    return FIGURES[name].formula(*parts)


def test_the_bandwidth_of_the_copy_is_over_the_time_of_its_own_role():
    both = launched(3, 20, 1e-3, copy_clocks=500, compute_clocks=1000)
    assert figure("copy_bandwidth", both) == pytest.approx(2 * 2**28 / 0.5e-3)
    assert figure("total", both) == 1e-3


def test_the_rate_of_computing_is_over_the_time_of_its_own_role():
    both = launched(3, 20, 2e-3, copy_clocks=1000, compute_clocks=250)
    assert figure("compute_rate", both) == pytest.approx(8192 * 256 * (32 * 256 + 15) / 0.5e-3)


def test_interference_is_the_slowdown_of_computing_during_the_copy():
    both = launched(3, 20, 2e-3, copy_clocks=1000, compute_clocks=550)  # 1.1 ms
    alone = launched(2, 20, 1e-3, compute_clocks=700)
    assert figure("interference", both, alone) == pytest.approx(0.1)


def test_over_serial_is_against_copying_and_then_computing_with_all_sms():
    parts = launched(3, 20, 3e-3, 1, 1), launched(1, 132, 1e-3, 1), launched(2, 0, 3e-3, 0, 1)
    assert figure("over_serial", *parts) == pytest.approx(0.75)


@pytest.mark.parametrize(("bytes_per_s", "flops_per_s"), [(1e12, 1e15), (1e15, 17.0e12)])
def test_the_limit_comes_from_the_memory_or_the_computing_sms(bytes_per_s, flops_per_s):
    both = launched(3, 20, 2e-3)
    least = {1e12: 2 * 2**28 / 1e12, 1e15: 8192 * 256 * (32 * 256 + 15) / (17.0e12 * 112 / 132)}[bytes_per_s]
    part = replace(both, bytes_per_s=bytes_per_s, flops_per_s=flops_per_s)
    assert figure("of_limit", part) == pytest.approx(least / 2e-3)
    assert figure("of_limit", both) is None


@pytest.mark.parametrize("name", ["copy_bandwidth", "compute_rate"])
def test_there_is_no_figure_if_other_sms_copied_than_requested(name):
    assert figure(name, launched(3, 20, 1e-3, 500, 1000, seen=19)) is None
    assert figure(name, launched(3, 20, 1e-3, 0, 0)) is None  # no time was measured


def test_counts_of_a_role_are_those_beyond_an_idle_launch_by_its_sms():
    idle = launched(0, 20, ptx_warp_instructions=1000, ptx_global_load_sectors=0, ptx_global_store_sectors=8)
    copy = launched(1, 20, ptx_warp_instructions=5000, ptx_global_load_sectors=400, ptx_global_store_sectors=408)
    compute = launched(2, 20, ptx_warp_instructions=23_400)
    assert figure("copy_instructions", copy, idle) == 200
    assert figure("copy_sectors", copy, idle) == 40
    assert figure("compute_instructions", compute, idle) == 200
    assert figure("busiest_role", copy, compute, idle) == 200


@pytest.mark.parametrize(("copiers", "share"), [(20, 820 * 20 / 16384), (64, 1.0), (60, 274 * 60 / 16384)])
def test_imbalance_is_of_the_chunks_that_the_copiers_draw_in_turn(copiers, share):
    assert figure("imbalance", launched(3, copiers)) == pytest.approx(share)


# ---- the whole way: rounds in processes, clocks read from what timed launches left


@pytest.fixture(scope="module")
def sweep(small_control):
    """A swept GPU of 8 SMs by script: frame, sweep, and its run of three rounds."""
    sources = tuple(source for source in PARTITION.sources if source.variant in ("cuda", "ptx.block"))
    swept = sweep_of(
        PARTITION,
        sources,
        "times",
        values={"copiers": (0, 2, 4), "chunk": (4096, 8192)},
        size={"n": 1 << 16, "tiles": 16, "steps": 2},
        sms=SMS,
    )
    backend = PartitionBackend()
    plan = RunPlan((), backend, "sm_90", KERNELS, rounds=3, settings=QUICK, sweep=spec_of(swept))
    frame = RunFrame(plan, backend.device())
    frame = replace(frame, plan=plan_of(plan, swept, None))
    run, error = perform(frame, swept, ())
    assert error is None
    return frame, swept, run


def test_every_figure_of_a_gpu_comes_out_of_rounds_and_clocks(sweep):
    _, swept, run = sweep
    figures = curves(swept, run.cells)
    assert [quantity.name for quantity in figures.quantities] == [
        "total", "copy_bandwidth", "compute_rate", "compute_alone", "interference", "over_serial"
    ]  # fmt: skip
    by_name = {quantity.name: quantity for quantity in figures.quantities}

    def value(name, variant, index):
        reading = figures.of(by_name[name], variant)[index]
        return reading and reading.value

    assert [value("total", "cuda", i) for i in range(6)] == pytest.approx(
        [None, None, COPY_NS / 2e9, COPY_NS / 2e9, 1.1 * COMPUTE_NS / 4e9, 1.1 * COMPUTE_NS / 4e9]
    )
    assert value("copy_bandwidth", "cuda", 2) == pytest.approx(2 * 2**16 / (COPY_NS / 2e9))
    assert value("copy_bandwidth", "ptx.block", 2) == pytest.approx(2 * 2**16 / (0.8 * COPY_NS / 2e9))
    for i in range(2, 6):
        assert value("interference", "cuda", i) == pytest.approx(0.1)
    assert value("interference", "cuda", 0) is None  # no SM copies
    assert value("compute_alone", "cuda", 0) == pytest.approx(16 * 256 * (32 * 2 + 15) / (COMPUTE_NS / 8e9))
    serial = (COPY_NS / 8 + COMPUTE_NS / 8) / 1e9 if SMS == 8 else None
    assert value("over_serial", "cuda", 4) == pytest.approx(1.1 * COMPUTE_NS / 4e9 / serial)


def test_the_best_point_of_each_variant_is_named_and_equal_ones_with_it(sweep):
    _, swept, run = sweep
    figures = curves(swept, run.cells)
    for variant in figures.variants:
        best = figures.best(figures.main, variant)
        assert figures.points[best.index].at == {"copiers": 4, "chunk": 4096}
        assert [dict(figures.points[i].at) for i in best.tied] == [{"copiers": 4, "chunk": 8192}]


def test_the_fewest_sufficient_copiers_are_reported(sweep):
    """Twice as many copiers copy twice as fast, so 95 % needs all of them; half of it needs half."""
    _, swept, run = sweep
    figures = curves(swept, run.cells)
    [quantity] = [quantity for quantity in figures.quantities if quantity.name == "copy_bandwidth"]
    assert figures.enough(quantity, "cuda") == (0.95, 4)
    half = replace(quantity, source=replace(quantity.source, enough=0.5))
    assert figures.enough(half, "cuda") == (0.5, 2)
    assert figures.enough(figures.main, "cuda") is None
    lines = [text for _, _, text in findings(figures)]
    assert "cuda: 95 % of the greatest copy_bandwidth from copiers=4 chunk=4096 on." in lines


def test_a_point_whose_label_forbids_a_verdict_is_not_the_best(sweep):
    _, swept, run = sweep
    cells = [
        replace(cell, labels=[LAUNCH_BOUND]) if cell.size.get("copiers") == 4 and cell.size["roles"] == 3 else cell
        for cell in run.cells
    ]
    figures = curves(swept, cells)
    assert figures.points[figures.best(figures.main, "cuda").index].at["copiers"] == 2


def test_an_interrupted_sweep_of_a_gpu_continues_with_its_next_round(sweep, tmp_path):
    frame, swept, run = sweep
    first = [replace(cell, rounds=[one for one in cell.rounds if one.round < 2]) for cell in run.cells]
    save(replace(run, cells=first, run=replace(run.run, status=INTERRUPTED)), tmp_path)
    before = finished_before(frame, tmp_path, run.toolchain)
    assert before.rounds == 2
    plan = plan_of(frame.plan, swept, before)
    assert (plan.first_round, len(plan.begun)) == (2, len(run.cells))
    whole, error = perform(replace(frame, plan=plan), swept, before.run.cells)
    assert error is None
    assert {tuple(one.round for one in cell.rounds) for cell in whole.cells if not cell.control} == {(0, 1, 2)}
    assert len(whole.cells) == len(run.cells)


def test_a_sweep_of_a_gpu_with_all_its_rounds_measures_no_more(sweep, tmp_path):
    frame, swept, run = sweep
    save(replace(run, run=replace(run.run, status=INTERRUPTED)), tmp_path)
    before = finished_before(frame, tmp_path, run.toolchain)
    plan = plan_of(replace(frame.plan, rounds=2), swept, before)
    assert (before.rounds, plan.first_round, plan.continues) == (3, 2, run.run.id)


def test_a_sweep_that_is_complete_or_has_no_cells_is_not_continued(sweep, tmp_path):
    frame, _, run = sweep
    for number, other in enumerate((run, replace(run, cells=[], run=replace(run.run, status=INTERRUPTED)))):
        folder = tmp_path / str(number)
        save(other, folder)
        assert finished_before(frame, folder, run.toolchain) is None


def test_a_sweep_of_other_files_or_another_device_is_not_continued(sweep, tmp_path):
    frame, _, run = sweep
    save(replace(run, run=replace(run.run, status=INTERRUPTED)), tmp_path)
    assert finished_before(frame, tmp_path, run.toolchain)
    changed = replace(frame, plan=replace(frame.plan, sweep={**frame.plan.sweep, "files_sha256": "0"}))
    assert finished_before(changed, tmp_path, run.toolchain) is None
    other = replace(frame, device=replace(frame.device, name="Another GPU"))
    assert finished_before(other, tmp_path, run.toolchain) is None
    assert finished_before(frame, tmp_path, replace(run.toolchain, ptxas="1.0")) is None
    for setting in ({"seed": frame.plan.seed + 1}, {"assembler": "driver"}, {"arch": "sm_80"}, {"cache": "warm"}):
        assert finished_before(replace(frame, plan=replace(frame.plan, **setting)), tmp_path, run.toolchain) is None
    (tmp_path / "20990101T000000Z-0.sweep.json").write_text("{")  # damaged: ignored
    assert finished_before(frame, tmp_path, run.toolchain)


def test_of_two_sweeps_of_one_second_the_one_that_continues_the_other_is_newer(sweep, tmp_path):
    frame, _, run = sweep
    first = replace(run.run, id="ffffffff", status=INTERRUPTED)
    save(replace(run, run=first), tmp_path)
    assert finished_before(frame, tmp_path, run.toolchain).run.run.id == "ffffffff"
    save(replace(run, run=replace(run.run, id="00000000", continues="ffffffff")), tmp_path)
    assert finished_before(frame, tmp_path, run.toolchain) is None
    save(replace(run, run=replace(first, id="11111111", continues="00000000")), tmp_path)
    assert finished_before(frame, tmp_path, run.toolchain).run.run.id == "11111111"


def test_a_complete_sweep_starts_over(sweep, tmp_path):
    frame, _, run = sweep
    save(run, tmp_path)
    assert finished_before(frame, tmp_path, run.toolchain) is None


def test_a_line_of_a_plot_has_the_points_with_its_value_of_the_second_knob(sweep):
    _, swept, run = sweep
    figures = curves(swept, run.cells)
    own = figures.of(figures.main, "cuda")
    panel = next(panel for panel in panels(figures, figures.main) if panel.title == "cuda")
    (x_name, _), (line_name, line_values) = swept.values.items()
    assert len(line_values) > 1
    for line, value in zip(panel.lines, line_values, strict=True):
        points = [i for i, point in enumerate(swept.points) if point.at[line_name] == value]
        assert [swept.points[i].at[x_name] for i in points] == list(panel.x)
        assert [id(value) for value in line.values] == [id(own[i]) for i in points]  # some have equal values
