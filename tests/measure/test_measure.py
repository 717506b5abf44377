"""The order of the samples, and that nothing but the order is this module's business."""

import gc
from itertools import count

import pytest

from ptxbench import stats
from ptxbench.measure import Settings, measure, start_letter
from tests.fakes import ScriptedClock

NO_WARM_UP = Settings(blocks=3, warm_up_seconds=0)


def seed_that_starts(letter):
    return next(seed for seed in count() if start_letter(seed, 0) == letter)


def clocks_with_log(**times):
    log = []
    return {name: ScriptedClock(ns, name, log) for name, ns in times.items()}, log


@pytest.mark.parametrize(
    ("letter", "order"), [("A", ["cuda", "ptx", "ptx", "cuda"]), ("B", ["ptx", "cuda", "cuda", "ptx"])]
)
def test_a_block_is_enqueued_whole_in_its_order_before_anything_waits(letter, order):
    clocks, log = clocks_with_log(cuda=[100], ptx=[200])
    measure(clocks, seed=seed_that_starts(letter), settings=Settings(blocks=1, warm_up_seconds=0))
    block = [f"enqueue {name}" for name in order] + [f"wait {name}" for name in order]
    assert log == block * 2  # the one block of warm-up, and the one that counts


@pytest.mark.parametrize("letter", ["A", "B"])
def test_a_round_keeps_the_times_in_launch_order_and_gives_the_ratio_back(letter):
    clocks, _ = clocks_with_log(cuda=[100], ptx=[150])
    [one] = measure(clocks, seed=seed_that_starts(letter), settings=Settings(blocks=8, warm_up_seconds=0))
    assert one.start == letter
    assert one.contrast == ("cuda", "ptx")
    assert one.ns == [[100, 150, 150, 100] if letter == "A" else [150, 100, 100, 150]] * 8
    assert stats.ratio([one], "ptx").value == pytest.approx(1.5)
    assert stats.median_ns([one], "cuda") == 100


def test_every_further_variant_gets_its_own_contrast_with_the_reference():
    clocks, _ = clocks_with_log(**{"cuda": [100], "cuda@fast": [90], "ptx": [80], "ptx.v4": [70]})
    rounds = measure(clocks, seed=1, settings=NO_WARM_UP)
    assert [one.contrast for one in rounds] == [("cuda", "cuda@fast"), ("cuda", "ptx"), ("cuda", "ptx.v4")]
    assert len({one.start for one in rounds}) == 1  # one letter a round
    assert all(len(one.ns) == 3 for one in rounds)


@pytest.mark.parametrize("names", [(), ("ptx",), ("cuda",)])
def test_without_a_pair_there_is_nothing_to_measure(names):
    clocks, log = clocks_with_log(**{name: [1] for name in names})
    assert measure(clocks, seed=1, settings=NO_WARM_UP) == []
    assert log == []


def test_the_warm_up_lasts_its_time_and_its_samples_do_not_count():
    clocks, log = clocks_with_log(cuda=range(1, 1000), ptx=range(1, 1000))
    ticks = iter(range(100))  # each look at the host's clock is a second later
    settings = Settings(blocks=2, warm_up_seconds=5)
    [one] = measure(clocks, seed=seed_that_starts("A"), settings=settings, now=lambda: next(ticks))
    # The end is 5. One block; then the clock reads 1, 2, 3, 4, each followed by a block; then 5.
    assert log.count("wait cuda") == 2 * (5 + 2)
    assert one.ns == [[11, 11, 12, 12], [13, 13, 14, 14]]


def test_the_start_letter_depends_on_seed_and_round_alone_and_is_fair():
    letters = [start_letter(seed, 0) for seed in range(400)]
    assert letters == [start_letter(seed, 0) for seed in range(400)]
    assert 160 < letters.count("A") < 240
    assert len({start_letter(1, number) for number in range(20)}) == 2


def test_the_collector_is_off_inside_a_block_and_back_on_afterwards_even_after_an_error():
    seen = []

    class Clock:
        def enqueue(self):
            seen.append(gc.isenabled())
            if len(seen) == 6:
                raise RuntimeError("the device went away")
            return lambda: 1

    with pytest.raises(RuntimeError, match="the device went away"):
        measure({"cuda": Clock(), "ptx": Clock()}, seed=1, settings=NO_WARM_UP)
    assert seen == [False] * 6
    assert gc.isenabled()
