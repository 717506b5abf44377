"""The experiment with scripted clocks: the order of samples, its start, valid blocks, its end, its labels."""

import dataclasses
import gc
from itertools import chain, count, cycle, pairwise, repeat

import pytest

from ptxbench import stats
from ptxbench.backends.base import BlockState
from ptxbench.measure import SamplingSettings, measure, start_letter
from ptxbench.measure.contrast import Contrast
from ptxbench.measure.experiment import by_letter
from ptxbench.measure.solo import Solo, alone, each_alone
from ptxbench.measure.throttle import dropped, pause
from tests.fakes import ScriptedClock, ScriptedHost, ScriptedWatch

SHORT = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(3,), solo=0)
"""Three blocks, after one of warm-up and three samples that tell how long a kernel takes."""
PROBES = 3


def seed_that_starts(letter):
    return next(seed for seed in count() if start_letter(seed, 0) == letter)


def clocks_with_log(**times):
    log = []
    return {name: ScriptedClock(ns, name, log) for name, ns in times.items()}, log


def measured(clocks, settings=SHORT, seed=None, **options):
    """By default cuda starts, so that a block takes three samples of it and two of each other kernel."""
    seed = seed_that_starts("A") if seed is None else seed
    return measure(clocks, seed=seed, settings=settings, **{"host": ScriptedHost()} | options)


# ---- order


@pytest.mark.parametrize(
    ("letter", "order"),
    [("A", ["cuda", "cuda", "ptx", "ptx", "cuda"]), ("B", ["ptx", "ptx", "cuda", "cuda", "ptx"])],
)
def test_a_whole_block_is_enqueued_in_order_before_anything_waits(letter, order):
    clocks, log = clocks_with_log(cuda=[100_000], ptx=[200_000])
    measured(clocks, seed=seed_that_starts(letter))
    block = [f"enqueue {name}" for name in order] + [f"wait {name}" for name in order]
    assert log[4 * PROBES :] == block * 4  # the one of the warm-up, and the three that count


def test_the_first_sample_of_a_block_follows_a_pause_and_does_not_count():
    after_a_pause = chain(repeat(100_000, PROBES), cycle([150_000, 100_000, 100_000]))
    clocks, _ = clocks_with_log(cuda=after_a_pause, ptx=[100_000])
    [one] = measured(clocks).rounds
    assert one.ns == [[100_000] * 4] * 3


def test_a_kernel_follows_itself_as_often_as_the_other():
    clocks, log = clocks_with_log(cuda=[100_000], ptx=[100_000])
    measured(clocks)
    order = [line.split()[1] for line in log[4 * PROBES :][:5]]
    assert sorted(pairwise(order)) == [("cuda", "cuda"), ("cuda", "ptx"), ("ptx", "cuda"), ("ptx", "ptx")]


def test_a_sample_alone_follows_another_of_the_same_kernel():
    """This holds for the empty kernel too: a first sample after a pause must not be compared with samples that follow
    others."""
    after_a_pause = chain(repeat(100_000, PROBES + 3), cycle([150_000, 100_000]))
    clocks, _ = clocks_with_log(cuda=after_a_pause, ptx=[100_000])
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(3,), solo=4)
    [one] = measured(clocks, settings, floor=ScriptedClock([9_000, 5_000])).rounds
    assert one.solo_ns == {"A": [100_000] * 4, "B": [100_000] * 4}
    assert one.floor_ns == 5_000


@pytest.mark.parametrize("letter", ["A", "B"])
def test_a_round_keeps_the_times_in_launch_order_and_gives_the_ratio_back(letter):
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=[150_000])
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(8,), solo=0)
    [one] = measured(clocks, settings, seed_that_starts(letter)).rounds
    assert one.start == letter
    assert one.contrast == ("cuda", "ptx")
    fast, slow = 100_000, 150_000
    assert one.ns == [[fast, slow, slow, fast] if letter == "A" else [slow, fast, fast, slow]] * 8
    assert stats.ratio([one], "ptx").value == pytest.approx(1.5)
    assert stats.median_ns([one], "cuda") == 100_000


def test_the_contrasts_take_turns_block_by_block():
    names = ["cuda", "cuda@fast", "ptx", "ptx.v4"]
    clocks, log = clocks_with_log(**{name: [100_000] for name in names})
    rounds = measured(clocks).rounds
    assert [one.contrast for one in rounds] == [("cuda", "cuda@fast"), ("cuda", "ptx"), ("cuda", "ptx.v4")]
    assert len({one.start for one in rounds}) == 1  # one letter a round
    assert all(len(one.ns) == 3 for one in rounds)
    others = [
        line.split()[1] for line in log[2 * PROBES * 4 :] if line.startswith("enqueue") and "cuda" not in line.split()
    ]
    assert others[::2] == ["cuda@fast", "ptx", "ptx.v4"] * 4  # two samples of each, for cuda starts


def test_a_decided_contrast_ends_and_the_others_continue():
    noisy = chain([100_000, 101_000], cycle([100_000, 104_000, 97_000]))
    clocks, _ = clocks_with_log(**{"cuda": [100_000], "ptx": [100_000], "ptx.noisy": noisy})
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(8, 16), solo=0)
    quiet, loud = measured(clocks, settings).rounds
    assert (len(quiet.ns), quiet.stop) == (8, "width")
    assert (len(loud.ns), loud.stop) == (16, "limit")


@pytest.mark.parametrize("names", [(), ("ptx",), ("cuda",)])
def test_without_a_pair_there_is_nothing_to_measure(names):
    clocks, log = clocks_with_log(**{name: [1] for name in names})
    assert measured(clocks).rounds == ()
    assert log == []


def test_the_start_letter_depends_on_seed_and_round_alone_and_is_fair():
    letters = [start_letter(seed, 0) for seed in range(400)]
    assert letters == [start_letter(seed, 0) for seed in range(400)]
    assert 160 < letters.count("A") < 240


@pytest.mark.parametrize("seed", range(4))
def test_the_start_letter_alternates_over_the_rounds(seed):
    letters = [start_letter(seed, number) for number in range(6)]
    assert "".join(letters) in ("ABABAB", "BABABA")


def test_the_collector_is_off_inside_a_block_and_back_on_afterwards_even_after_an_error():
    seen = []

    class Clock:
        graphs, copies = False, 1

        def enqueue(self):
            seen.append(gc.isenabled())
            if len(seen) == 11:
                raise RuntimeError("the device went away")
            return lambda: 1

    with pytest.raises(RuntimeError, match="the device went away"):
        measured({"cuda": Clock(), "ptx": Clock()})
    assert seen == [False] * 11
    assert gc.isenabled()


# ---- warm-up


def test_the_warm_up_lasts_its_time_and_until_the_times_have_settled():
    falling = chain(range(140_000, 100_000, -1000), repeat(100_000))
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=falling)
    settings = SamplingSettings(warm_up_seconds=0.1, warm_up_limit_seconds=100, looks=(3,), solo=0)
    outcome = measured(clocks, settings)
    assert outcome.labels == set()
    assert outcome.rounds[0].ns == [[100_000] * 4] * 3  # without the falling ones


def test_the_warm_up_lasts_its_time_if_the_times_have_settled_before():
    clocks, log = clocks_with_log(cuda=[100_000], ptx=[100_000])
    settings = SamplingSettings(warm_up_seconds=10, warm_up_limit_seconds=100, looks=(3,), solo=0)
    assert measured(clocks, settings, host=ScriptedHost(tick=0.1)).labels == set()
    assert log.count("enqueue cuda") >= 3 * 100


@pytest.mark.parametrize("others", [{}, {"ptx.calm": [100_000]}])
def test_a_warm_up_that_never_settles_ends_and_is_labelled(others):
    restless = cycle([*repeat(100_000, 20), *repeat(104_000, 20)])
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=restless, **others)
    settings = SamplingSettings(warm_up_seconds=0.1, warm_up_limit_seconds=2, looks=(3,), solo=0)
    host = ScriptedHost(tick=0.1)
    assert "UNSTABLE" in measured(clocks, settings, host=host).labels
    assert host.seconds < 10


# ---- what counts


def test_blocks_at_a_low_clock_or_under_a_thermal_limit_do_not_count():
    states = [BlockState(1000), BlockState(940), BlockState(1010), BlockState(990, 0x20), BlockState(1000, 0x4)]
    assert dropped(states, 0.95) == {1: "clock", 3: "thermal, by the driver"}  # a power cap, 0x4, does not count
    states = [BlockState(900, 0x40), BlockState(1000, 0x8), BlockState(1000, 0x80), *[BlockState(1000)] * 4]
    assert dropped(states, 0.95) == {0: "thermal, by the hardware", 1: "hardware slowdown", 2: "power brake"}
    assert dropped([BlockState(950), BlockState(1000), BlockState(1000)], 0.95) == {}
    assert dropped([BlockState()] * 4, 0.95) == {}
    assert dropped([BlockState(700)] * 4, 0.95) == {}  # against the round's own median, not the nominal clock


def test_dropped_blocks_are_recorded_and_left_out_and_replaced_by_further_ones():
    states = chain([BlockState(1000)] * 3, [BlockState(500)], repeat(BlockState(1000)))
    # The fourth block, after three probes and one block of warm-up, is slow with the clock.
    ptx = chain(repeat(100_000, PROBES + 2 + 6), repeat(200_000, 2), repeat(100_000))
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=ptx)
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(8,), solo=0)
    result = measured(clocks, settings, watch=ScriptedWatch(states))
    assert "THROTTLED" not in result.labels
    one = result.rounds[0]
    assert one.dropped == {"3": "clock"}
    assert len(one.ns) == 9
    assert one.ns[3].count(200_000) == 2
    assert stats.ratio([one], "ptx").value == 1
    assert stats.median_ns([one], "ptx") == 100_000


def test_if_too_many_blocks_would_be_dropped_all_are_kept_and_labelled():
    states = cycle([BlockState(1000), BlockState(1000, 0x40)])
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=[100_000])
    host = ScriptedHost()
    result = measured(clocks, watch=ScriptedWatch(states), host=host)
    assert "THROTTLED" in result.labels
    assert result.rounds[0].dropped == {}
    assert len(result.rounds[0].ns) == 3
    assert host.slept == [pause(1)]


def test_pauses_after_throttled_blocks_get_longer_up_to_two_seconds():
    assert pause(1) == pytest.approx(0.075)
    assert pause(2) == pytest.approx(0.1125)
    assert pause(30) == 2


def test_the_clock_of_each_block_and_of_each_kernel_alone_is_recorded():
    clocks, _ = clocks_with_log(cuda=[100], ptx=[100])
    alone = [BlockState(mhz) for mhz in (1700.0, 1500.0, 1500.0, 1710.0)]  # cuda, ptx, ptx, cuda
    blocks = [BlockState(1600.0), BlockState(), BlockState(1610.0)]
    settings = dataclasses.replace(SHORT, solo=2)
    (one,) = measured(clocks, settings, watch=ScriptedWatch([*alone, *blocks])).rounds
    assert one.solo_mhz == {"A": 1705.0, "B": 1500.0}
    assert one.clock_mhz == [1600.0, None, 1610.0]
    clocks, _ = clocks_with_log(cuda=[100], ptx=[100])
    (one,) = measured(clocks, settings, watch=ScriptedWatch([BlockState(), *alone])).rounds
    assert one.solo_mhz == {}
    (one,) = measured(clocks, settings, watch=ScriptedWatch([BlockState()])).rounds
    assert (one.solo_mhz, one.clock_mhz) == ({}, [])


def test_a_clock_that_is_not_always_known_is_unknown():
    sampler = ScriptedClock([100]).enqueue
    assert alone(sampler, 2, ScriptedWatch([BlockState(1700.0), BlockState(1600.0)])) == Solo([100, 100], 1650.0)
    assert alone(sampler, 2, ScriptedWatch([BlockState(1700.0), BlockState()])) == Solo([100, 100], None)
    known, unknown = Solo([100], 1700.0), Solo([100], None)
    assert by_letter(known, known) == {"A": 1700.0, "B": 1700.0}
    assert by_letter(known, unknown) == by_letter(unknown, known) == {}


@pytest.mark.parametrize("samples", [1, 2, 3, 10])
def test_a_clock_that_drifts_is_the_same_for_all_kernels(samples):
    clocks, _ = clocks_with_log(cuda=[100], ptx=[100], other=[100])
    watch = ScriptedWatch(BlockState(1700.0 - i) for i in range(100))
    taken = each_alone({name: clock.enqueue for name, clock in clocks.items()}, samples, watch)
    assert [len(sampled.ns) for sampled in taken.values()] == [samples] * 3
    means = [sampled.mhz for sampled in taken.values()]
    assert max(means) - min(means) <= (0 if samples % 2 == 0 else 2)


def test_kernels_that_take_another_time_alone_are_labelled():
    among = chain(repeat(100_000, PROBES + 2), repeat(100_000, 20), repeat(110_000))
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=among)
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(3,), solo=10)
    result = measured(clocks, settings)
    assert "INTERFERENCE" in result.labels
    assert result.rounds[0].solo_ns == {"A": [100_000] * 10, "B": [100_000] * 10}
    calm, _ = clocks_with_log(cuda=[100_000], ptx=[100_000])
    assert measured(calm, settings).labels == {"UNSTABLE"}  # after a warm-up of zero seconds


# ---- the end


def test_a_round_ends_by_the_width_at_a_look_and_never_by_the_result():
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=[200_000])
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, solo=0)
    one = measured(clocks, settings).rounds[0]
    assert (len(one.ns), one.stop) == (20, "width")


def test_between_two_looks_a_round_does_not_end():
    """The interval is narrow enough after some 10 blocks, and 30 are the next look."""
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=chain(repeat(100_000, PROBES + 2), [150_000] * 2, repeat(100_000)))
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(3, 30, 31), solo=0)
    one = measured(clocks, settings).rounds[0]
    assert (len(one.ns), one.stop) == (30, "width")


def test_a_look_that_blocks_pass_which_count_again_is_taken():
    """One slow block of five does not count; two of six are too many to be left out, so that all count."""
    states = chain([BlockState(1000)] * 4, [BlockState(500)] * 2, repeat(BlockState(1000)))
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=[100_000])
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(5, 30), solo=0)
    one = measured(clocks, settings, watch=ScriptedWatch(states)).rounds[0]
    assert (len(one.ns), one.stop) == (6, "width")


def test_a_look_that_a_dropped_block_passes_is_taken_at_the_next_block():
    assert stats.stop_reason([0.0] * 21, 0, since=19) == "width"
    assert stats.stop_reason([0.0] * 21, 0, since=20) is None
    assert stats.stop_reason([0.0] * 20, 0) == "width"


def test_a_round_ends_by_its_time_limit_after_the_blocks_of_the_first_look():
    noisy = cycle([100_000, 150_000, 80_000])
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=noisy)
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(8, 400), limit_seconds=2, solo=0)
    one = measured(clocks, settings, host=ScriptedHost(tick=0.1)).rounds[0]
    assert one.stop == "limit"
    assert 8 <= len(one.ns) < 40


def test_a_round_without_enough_blocks_is_given_up_and_labelled():
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=[100_000])
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(20,), few_seconds=5, solo=0)
    result = measured(clocks, settings, host=ScriptedHost(tick=1))
    assert "FEW-BLOCKS" in result.labels
    assert len(result.rounds[0].ns) == 5


# ---- tiny kernels


def test_tiny_kernels_are_timed_by_the_slope_of_two_graphs_in_which_overhead_cancels():
    log = []
    clocks = {
        name: ScriptedClock([ns], name, log, graphs=True, overhead_ns=3000)
        for name, ns in (("cuda", 2000), ("ptx", 1000))
    }
    one = measured(clocks).rounds[0]
    assert (one.timing, one.k) == ("slope", 200)  # 200 us of the shortest
    assert sorted(one.ns[0]) == [1000, 1000, 2000, 2000]
    assert {line for line in log if "200" in line or "400" in line} == {
        "enqueue 200 cuda", "enqueue 400 cuda", "enqueue 200 ptx", "enqueue 400 ptx"
    }  # fmt: skip


def test_a_graph_has_at_most_512_launches_and_the_pair_the_copies_that_both_have():
    clocks = {name: ScriptedClock([100], name, graphs=True) for name in ("cuda", "ptx")}
    clocks["cuda"].copies, clocks["ptx"].copies = 3, 2
    one = measured(clocks).rounds[0]
    assert (one.k, one.copies) == (512, 2)


def test_a_first_launch_that_is_slow_does_not_decide_how_a_kernel_is_timed():
    clocks = {name: ScriptedClock(chain([90_000], repeat(2000)), name, graphs=True) for name in ("cuda", "ptx")}
    assert measured(clocks).rounds[0].timing == "slope"


@pytest.mark.parametrize(
    ("ns", "graphs", "timing"), [(25_000, True, "single"), (2000, False, "single"), (24_000, True, "slope")]
)
def test_one_launch_is_a_sample_if_events_resolve_it_or_graphs_are_not_available(ns, graphs, timing):
    clocks = {name: ScriptedClock([ns], name, graphs=graphs) for name in ("cuda", "ptx")}
    assert measured(clocks).rounds[0].timing == timing
    clocks["ptx"].graphs = False
    assert measured(clocks).rounds[0].timing == "single"  # all kernels in the same way


@pytest.mark.parametrize(("floor", "label"), [(40_000, set()), (51_000, {"LAUNCH-BOUND"})])
def test_a_time_under_twice_that_of_the_empty_kernel_is_launch_bound(floor, label):
    clocks, _ = clocks_with_log(cuda=[100_000], ptx=[100_000])
    result = measured(clocks, floor=ScriptedClock([floor]))
    assert result.labels - {"UNSTABLE"} == label  # after a warm-up of zero seconds
    assert result.rounds[0].floor_ns == floor


# ---- data and modules of a block


class LoggedRenewal:
    """Records its calls in the log of the clocks."""

    def __init__(self, log):
        self.log = log

    def data(self, block, names):
        self.log.append(f"data {block} {' '.join(names)}")

    def modules(self, samples):
        self.log.append(f"modules {samples}")


def test_every_block_has_its_own_data_and_new_modules():
    names = ["cuda", "ptx", "ptx.v4"]
    clocks, log = clocks_with_log(**{name: [100_000] for name in names})
    measured(clocks, renewal=LoggedRenewal(log))
    begun = log.index("data 0 cuda ptx")
    blocks = log[begun:]
    for number in range(3):
        for name in ("ptx", "ptx.v4"):
            first, blocks = blocks[:20], blocks[20:]
            assert first[0] == f"data {number} cuda {name}"
            assert [line.split()[0] for line in first[1:9]] == ["enqueue"] * 4 + ["wait"] * 4
            assert first[9] == f"modules {{'cuda': 3, {name!r}: 2}}"  # one for each sample that follows
            assert [line.split()[1] for line in first[10:15]] == ["cuda", "cuda", name, name, "cuda"]
    assert not any(line.startswith(("data", "modules")) for line in log[:begun])


@pytest.mark.parametrize(("start", "samples"), [("A", {"cuda": 3, "ptx": 2}), ("B", {"cuda": 2, "ptx": 3})])
def test_the_kernel_that_starts_takes_one_more_sample(start, samples):
    assert Contrast("cuda", "ptx", start, {}).samples == samples


def test_the_time_of_a_renewal_does_not_count_for_the_blocks():
    class Slow(LoggedRenewal):
        def data(self, block, names):
            host.seconds += 1000

    clocks, log = clocks_with_log(cuda=[100_000], ptx=[100_000])
    host = ScriptedHost()
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(8, 16), half_width=-1, solo=0)
    [one] = measured(clocks, settings, host=host, renewal=Slow(log)).rounds
    assert len(one.ns) == 16


# ---- the witness


def test_the_witness_sees_both_kernels_after_a_block_by_chance_and_after_the_last():
    seen = []
    for seed in range(40):
        clocks, log = clocks_with_log(cuda=[100_000], ptx=[100_000])
        settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(8,), solo=0)

        def observer(against, name, block, log=log, seed=seed):
            assert log[-2:] == [f"enqueue {name}", f"wait {name}"]  # its own sample is the last
            seen.append((seed, against, name, block))

        [one] = measured(clocks, settings, seed, observer=observer).rounds
        assert len(one.ns) == 8  # its samples do not belong to the round
    assert {(against, name) for _, against, name, _ in seen} == {("ptx", "cuda"), ("ptx", "ptx")}
    for seed in range(40):
        blocks = sorted({block for at, _, _, block in seen if at == seed})
        assert blocks[-1] == 7
    assert {block for _, _, _, block in seen} == set(range(8))


def test_of_every_contrast_both_kernels_are_seen():
    clocks, _ = clocks_with_log(**{name: [100_000] for name in ("cuda", "ptx", "ptx.v4")})
    seen = []
    measured(clocks, observer=lambda *values: seen.append(values[:2]))
    assert set(seen) == {(against, name) for against in ("ptx", "ptx.v4") for name in ("cuda", against)}


def test_where_a_sample_is_a_graph_the_witness_sees_a_single_launch():
    clocks = {name: ScriptedClock([5_000], name, graphs=True) for name in ("cuda", "ptx")}
    seen = []
    [one] = measured(clocks, observer=lambda against, name, block: seen.append(clocks[name].log[-2:])).rounds
    assert one.timing == "slope"
    assert seen[0] == ["enqueue cuda", "wait cuda"]


def test_graphs_whose_launches_may_find_their_data_in_l2_are_labelled():
    clocks = {name: ScriptedClock([2000], name, graphs=True) for name in ("cuda", "ptx")}
    assert "L2-PARTIAL" not in measured(clocks).labels
    clocks["ptx"].as_wanted = False
    assert "L2-PARTIAL" in measured(clocks).labels
    slow = {name: ScriptedClock([50_000], name, graphs=True) for name in ("cuda", "ptx")}
    slow["ptx"].as_wanted = False
    assert "L2-PARTIAL" not in measured(slow).labels  # a launch is a sample, and L2 is flushed before each
