"""The hidden sizes: which ones a judgement draws for a pair."""

import dataclasses
import math
import random

import numpy as np
import pytest

from ptxbench import discovery
from ptxbench.check.sizes import AT_LENGTH, hidden_sizes, kinds
from ptxbench.check.space import SizeSpace, with_dimensions_in_order
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.errors import UsageError
from ptxbench.pair import In, Launch, f32
from tests.check.judging import KERNELS, suite
from tests.check.test_questions import pair_of
from tests.folders import PAIR, changed, kernels_folder

NAMES = discovery.find_pairs(KERNELS)


def first_sizes(pair, seed):
    """The first size of each kind."""
    drawn = random.Random(seed)
    kinds_of = kinds(pair, drawn)
    return {kind: next(hidden_sizes(pair, draw, drawn), None) for kind, draw in kinds_of.items()}


ALWAYS = {"largest", "even grid", "powers of two", "odd"}


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_pair_has_hidden_sizes_of_each_kind_within_its_range_and_cost(name):
    pair = suite(name).pair
    space = SizeSpace.of(pair)
    for seed in range(4):
        sizes = first_sizes(pair, seed)
        assert {kind for kind, size in sizes.items() if size} >= ALWAYS
        for kind, size in sizes.items():
            if size is None:
                continue
            assert size not in pair.check_sizes
            assert space.share(size) <= (AT_LENGTH if "=" in kind else 1)
            assert all(space.low[dimension] <= value <= space.high[dimension] for dimension, value in size.items())
        assert space.share(sizes["largest"]) >= 0.9 or sizes["largest"] == pair.bench_sizes[0]
        grid = pair.launch(**sizes["even grid"]).grid_xyz
        assert math.prod(grid) > 2
        assert math.prod(grid) % 2 == 0
        steps = space.steps
        assert all(is_power(sizes["powers of two"][step] // steps[step]) for step in steps if space.matters(step))
        assert all(sizes["odd"][step] // steps[step] % 2 for step in steps if space.matters(step))


@pytest.mark.parametrize(
    ("name", "dimension", "timed"),
    [("hgemm_wgmma", "k", 8192), ("sgemm_tiled", "k", 8192), ("fp8_gemm_promoted", "k", 7168), ("scan", "n", 262144)],
)
def test_a_hidden_size_is_as_long_as_one_that_is_timed_if_it_is_short_otherwise(name, dimension, timed):
    size = first_sizes(suite(name).pair, 1)[f"{dimension}={timed}"]
    assert size[dimension] == timed


def is_power(value):
    return value & (value - 1) == 0


def test_dimensions_that_are_equal_at_bench_sizes_are_equal_at_powers_of_two():
    squares = [first_sizes(suite("transpose").pair, seed)["powers of two"] for seed in range(5)]
    assert all(size["rows"] == size["columns"] >= 64 for size in squares)


def test_a_dimension_is_as_long_as_the_cost_of_a_check_size_allows():
    for seed in range(5):
        sizes = first_sizes(suite("rmsnorm").pair, seed)
        assert sizes["long columns"]["columns"] > 5000  # the most of the check sizes
        assert sizes["long columns"]["rows"] <= 3
        assert sizes["long rows"]["rows"] > 500
        assert sizes["columns=8192"]["columns"] == 8192
    assert all(first_sizes(suite("sgemm_tiled").pair, seed)["long k"]["k"] > 32 for seed in range(5))


def test_a_dimension_keeps_what_all_its_values_have_in_common():
    pair = pair_of(In("x", f32, lambda n: (n,)))
    sizes = [size["n"] for size in first_sizes(pair, 1).values() if size]
    assert sizes
    assert {n % 32 for n in sizes} == {0}
    assert max(sizes) <= 1024  # the largest that the pair names


def test_sizes_depend_on_the_seed_alone():
    pair = suite("softmax").pair
    assert first_sizes(pair, 5) == first_sizes(pair, 5)
    assert first_sizes(pair, 5) != first_sizes(pair, 6)


def test_a_size_that_the_pairs_functions_refuse_is_left_out():
    def launch_of(n):
        if n < 64:
            raise ValueError("too small")
        return Launch(1, 32)

    pair = dataclasses.replace(
        pair_of(In("x", f32, lambda n: (n,))), launch=launch_of, check_sizes=[{"n": 96}, {"n": 128}]
    )
    assert min(size["n"] for size in first_sizes(pair, 2).values() if size) >= 64


def test_a_thorough_judgement_has_a_bench_size_with_the_scalars_that_are_timed():
    triad = suite("triad")
    (question,) = triad.bench
    case = next(iter(question))
    assert case.size == {"n": 1 << 16}
    assert case.arguments["s"] == np.float32(0.7)
    path = KERNELS / "ptx" / "triad.ptx"
    words = [Checker(triad, path, CheckOptions(thorough=thorough)).hidden().words for thorough in (True, False)]
    assert [int(word.split()[0]) for word in words] == [len(triad.hidden) + 1, len(triad.hidden)]


def test_each_dimension_is_short_once_and_a_single_one_is_long_with_each_rest():
    for seed in range(5):
        sizes = first_sizes(suite("scatter_add_bf16").pair, seed)
        assert sizes["short tokens"]["tokens"] == sizes["short rows"]["rows"] == 1
        of_triad = first_sizes(suite("triad").pair, seed)
        long = [of_triad[f"long, rest {rest}"]["n"] for rest in range(4)]
        assert [n % 4 for n in long] == [0, 1, 2, 3]
        assert min(long) >= 80_000  # 79 CTAs


def test_a_reduction_is_tried_with_many_ctas():
    """The flops of its one result are shared by all threads, however many there are."""
    pair = suite("reduce_sum").pair
    most = [math.prod(pair.launch(**first_sizes(pair, seed)["powers of two"]).grid_xyz) for seed in range(4)]
    assert min(most) >= 16


SIZES = "check_sizes=[dict(n=n) for n in (1, 127, 128, 129)],"
BENCH = "bench_sizes=[dict(n=1 << k) for k in (10, 12)],"


def checker(tmp_path, pair):
    kernels = kernels_folder(tmp_path, pair=pair)
    return Checker(
        CheckSuite(discovery.load(kernels, "scale"), "sm_90", 1), kernels / "ptx" / "scale.ptx", CheckOptions()
    )


def test_a_pair_without_dimensions_is_judged_at_its_only_size(tmp_path):
    pair = changed(changed(PAIR, SIZES, "check_sizes=[{}],"), BENCH, "bench_sizes=[{}],")
    pair = changed(pair, "exact_on_integers=True", "exact_on_integers=False")
    judgement = checker(tmp_path, pair.replace("lambda n:", "lambda n=129:")).judge()
    assert judgement.verdict == "accepted"
    words = {stage.stage: stage.detail for stage in judgement.stages}
    assert (words["results"], words["hidden"]) == ("1 launch at the check sizes", "no usable size")


def test_sizes_with_different_dimensions_cannot_be_checked(tmp_path):
    pair = changed(PAIR, BENCH, "bench_sizes=[dict(n=1024, m=2)],").replace("lambda n:", "lambda n, m=1:")
    with pytest.raises(UsageError) as caught:
        checker(tmp_path, pair)
    assert str(caught.value) == (
        "'scale' cannot be checked: its sizes have different dimensions, as in n=1 and n=1024 m=2. Give all sizes the "
        "same."
    )


def test_dimensions_have_one_order_in_all_sizes():
    pair = dataclasses.replace(pair_of(), check_sizes=[{"n": 2, "m": 3}], bench_sizes=[{"m": 2, "n": 3}])
    assert [list(size) for size in with_dimensions_in_order(pair).bench_sizes] == [["n", "m"]]
