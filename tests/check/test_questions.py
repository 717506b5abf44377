"""The cases for candidates: data that they cannot know, and which cases count."""

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest

from ptxbench.check.case_series import CaseSeries
from ptxbench.check.cases import telling
from ptxbench.check.common_elements import COMMON, with_common_elements
from ptxbench.check.element_ranges import with_sorted_inputs
from ptxbench.check.fills import TOPS, float_edges
from ptxbench.check.launching import CheckKernel, LaunchOptions, launch, with_nans
from ptxbench.check.sizes import hidden_sizes, kinds
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import ZERO, CheckSuite
from ptxbench.check.values import (
    ASCENDING,
    DESCENDING,
    GREAT,
    GREATEST_ROWS,
    INFINITE_ROWS,
    LEAST_ROWS,
    MASKED,
    MULTIPLES,
    NAN_ROWS,
    ZERO_COLUMNS,
    ZERO_ROWS,
    data_kinds,
    edged,
    inputs_of,
    mixed,
    shared,
)
from ptxbench.pair import EXACT, In, InOut, Launch, Out, Pair, Scalar, bf16, f16, f32, s8, s32, u8, u32
from tests.check.judging import KERNELS, outcome, suite


def pair_of(*inputs, reference=lambda **_: {}):
    return Pair(
        purpose="", args=[*inputs, Out("y", f32, lambda n: (n,)), Scalar("n", u32, lambda n: n)],
        launch=lambda n: Launch(1, 32), reference=reference, tolerance=EXACT,
        check_sizes=[{"n": 32}, {"n": 64}, {"n": 96}], bench_sizes=[{"n": 1024}], flops=lambda n: n,
    )  # fmt: skip


# ---- data


@pytest.mark.parametrize("dtype", [f16, bf16, f32], ids=str)
def test_the_edges_of_a_type_are_its_own(dtype):
    edges = {kind: np.array(values).astype(dtype) for kind, values in float_edges(dtype).items()}
    assert np.isnan(edges["NaN"]).all()
    assert np.isinf(edges["infinities"]).all()
    assert np.isfinite(edges["huge values"].astype(np.float64)).all()
    subnormal = edges["subnormals"].astype(np.float64)
    assert (subnormal != 0).all()
    assert (np.abs(subnormal) < 2.0 ** (-14 if dtype == f16 else -126)).all()
    assert np.signbit(edges["signed zeros"].astype(np.float64)).tolist() == [False, True]


def data(pair, kind, seed=1, n=96):
    """The arguments of a kind, in its first form."""
    return next(edged(pair, {"n": n}, kind, seed))


def test_the_greatest_or_the_least_element_of_a_row_is_a_zero_of_either_sign():
    pair = pair_of(In("x", f32, lambda n: (n // 8, 8)))
    x = data(pair, "signed zeros", n=256)["x"]
    ordinary = pair.make_arguments({"n": 256}, 1, varied=True)["x"]
    assert (np.abs(x) == np.abs(ordinary))[x != 0].all()
    above = (x >= 0).all(axis=1)
    assert sorted({tuple(above[::2]), tuple(above[1::2])}) == [(False,) * 16, (True,) * 16]
    ends = np.where(above, x.min(axis=1), x.max(axis=1))
    assert (ends == 0).mean() > 0.9
    with_both = [{False, True} == set(np.signbit(row[row == 0]).tolist()) for row in x]
    assert np.mean(with_both) > 0.5
    for row, at_least in zip(x, above, strict=True):
        zeros = np.signbit(row[row == 0]).tolist()
        # by its bits, another zero is greater than the first and the last one of the greatest, less than the others
        assert zeros[:1] in ([], [not at_least])
        assert len(zeros) in (0, 1, 2) or zeros[-1] == zeros[0]


@pytest.mark.parametrize("shape", [lambda n: (n,), lambda n: (n // 160, 160)])
def test_the_greatest_element_of_a_row_has_equals_or_almost_equals(shape):
    """Of those that are almost equal, the greatest one is at any position."""
    pair = pair_of(In("x", f32, shape))
    positions = []
    for seed in range(40):
        x = mixed(pair, pair.make_arguments({"n": 320}, seed), seed)["x"]
        for sign, row in ((sign, row) for sign in (1, -1) for row in x.reshape(-1, x.shape[-1])):
            almost, equal = (np.flatnonzero(sign * row == value) for value in (np.float32(1 - 2**-24), 1))
            assert almost.size == 0 or equal.size == 1
            if almost.size:
                positions.append(np.searchsorted(almost, equal[0]) / almost.size)
    assert 0.25 < np.mean(positions) < 0.75
    assert 20 < len(positions) < (60 if x.ndim == 1 else 120)


@pytest.mark.parametrize(
    ("kind", "dtype", "is_it"),
    [
        (MASKED, f32, np.isneginf),
        (INFINITE_ROWS, f32, np.isposinf),
        (NAN_ROWS, f32, np.isnan),
        (ZERO_ROWS, f32, lambda x: (x == 0) & np.signbit(x)),
        (LEAST_ROWS, s32, lambda x: x == -(1 << 31)),
        (GREATEST_ROWS, u32, lambda x: x == (1 << 32) - 1),
    ],
)
def test_some_rows_have_one_special_value_as_a_whole(kind, dtype, is_it):
    pair = pair_of(In("x", dtype, lambda n: (n // 8, 8)))
    whole, milder = (is_it(arguments["x"]).sum(axis=1)[:8] for arguments in edged(pair, {"n": 96}, kind, 1))
    assert whole.tolist() == [8, 7, 5, 1] * 2  # the last column too
    assert milder.tolist() == [7, 7, 4, 0] * 2


@pytest.mark.parametrize("dtype", [bf16, f32, s8, u32])
def test_some_rows_are_in_order(dtype):
    pair = pair_of(In("x", dtype, lambda n: (n // 8, 8)))
    up, down = (np.diff(data(pair, kind)["x"].astype(np.float64)) for kind in (ASCENDING, DESCENDING))
    assert (up >= 0).all()
    assert (down <= 0).all()
    assert up.any()


@pytest.mark.parametrize(("dtype", "legal", "step", "different"), [(u32, None, 1 << 25, 96), (s8, None, 1, 96),
    (u8, None, 2, 96), (u32, (0, 9), 1, 10), (s32, (5, 1 << 20), 1 << 13, 96)])  # fmt: skip
def test_some_whole_numbers_have_the_same_lower_bits(dtype, legal, step, different):
    pair = pair_of(In("x", dtype, lambda n: (n,), legal=legal))
    x = data(pair, MULTIPLES)["x"].astype(np.int64)
    low, high = legal or (0, np.iinfo(dtype).max)
    assert low <= x.min() <= x.max() <= high
    assert (x[x != low] % step == 0).all()
    assert np.unique(x).size == different


def test_some_infinities_do_not_cancel_in_a_sum():
    pair = pair_of(In("x", f32, lambda n: (n,)))
    drawn = {kind: data(pair, kind)["x"] for kind in data_kinds(pair) if "infinities" in kind}
    assert {kind: set(x[np.isinf(x)]) for kind, x in drawn.items()} == {
        "infinities": {-np.inf, np.inf}, "positive infinities": {np.inf}, "negative infinities": {-np.inf},
    }  # fmt: skip


def test_every_input_gets_edge_values_at_its_own_and_at_common_positions():
    pair = pair_of(In("x", f32, lambda n: (n,)), In("z", f32, lambda n: (n,)))
    arguments = data(pair, "NaN")
    x, z = (np.isnan(arguments[name]) for name in ("x", "z"))
    assert (x & z).any()
    assert (x & ~z).any()
    assert (z & ~x).any()
    assert (~x & ~z).sum() > 48


def test_whole_numbers_that_the_pair_draws_itself_are_not_changed():
    indices = In("d", u32, lambda n: (n,), values=lambda rng, shape, n: np.arange(n))
    assert data_kinds(pair_of(indices)) == []
    pair = pair_of(indices, In("x", s8, lambda n: (n,)))
    assert data(pair, "least and greatest integers")["d"].tolist() == list(range(96))
    assert {-128, 127, 0} <= set(data(pair, "least and greatest integers")["x"].tolist())


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        (lambda rng, shape, n: np.sort(rng.uniform(-1, 1, shape)), False),  # a search needs them sorted
        (lambda rng, shape, n: -np.sort(rng.uniform(-1, 1, shape)), False),
        (lambda rng, shape, n: np.ones(shape), True),
        (lambda rng, shape, n: rng.uniform(-1, 1, shape), True),
    ],
)
def test_sorted_inputs_stay_sorted(values, changes):
    pair = with_sorted_inputs(pair_of(In("edges", f32, lambda n: (n,), values=values), In("x", f32, lambda n: (n,))))
    changed = mixed(pair, ordinary := pair.make_arguments({"n": 960}, 1), 1)
    assert (changed["edges"] is not ordinary["edges"]) == changes
    assert ("edges" in inputs_of(pair, "NaN")) == changes
    assert "x" in inputs_of(pair, "NaN")


def test_related_elements_are_as_the_pair_draws_them():
    pair = pair_of(In("x", f32, lambda n: (n,), related=True))
    assert data_kinds(pair) == []
    arguments = pair.make_arguments({"n": 96}, 1)
    assert mixed(pair, arguments, 1)["x"] is arguments["x"]


def test_inputs_have_elements_of_others_and_some_that_differ_a_little():
    legal = {"values": lambda rng, shape, n: rng.integers(97, 100, shape), "legal": (0, 255)}
    pair = pair_of(
        In("text", u8, lambda n: (n,), **legal), In("pattern", u8, lambda n: (4,), **legal), In("b", s8, lambda n: (n,))
    )
    ordinary = pair.make_arguments({"n": 960}, 1)
    changed = with_common_elements(pair, ordinary, ["text"], 1)
    assert changed["pattern"] is ordinary["pattern"]
    assert changed["b"] is ordinary["b"]
    windows = np.lib.stride_tricks.sliding_window_view(changed["text"], 4) ^ ordinary["pattern"]
    bits = np.unpackbits(windows.reshape(-1, 4), axis=1).sum(axis=1)
    assert (bits == 0).sum() > 10
    assert ((windows == 128).any(axis=1) & (bits == 1)).any()  # a comparison of 7 bits
    assert with_common_elements(pair, ordinary, ["b"], 1) is None


BYTES = {"values": lambda rng, shape, n: rng.integers(0, 256, shape), "legal": (0, 255)}
SEARCH = pair_of(
    In("text", u8, lambda n: (n,), **BYTES),
    In("pattern", u8, lambda n: (8,), **BYTES),
    reference=lambda text, pattern, n: {"y": np.isin(text, pattern) * 1.0},
)


@pytest.mark.parametrize("seed", range(8))
def test_a_pattern_is_in_the_text_also_if_both_may_change(seed):
    arguments = with_common_elements(SEARCH, SEARCH.make_arguments({"n": 960}, seed), ["text", "pattern"], seed)
    windows = np.lib.stride_tricks.sliding_window_view(arguments["text"], 8)
    unlike = (windows != arguments["pattern"]).sum(axis=1)
    assert {0, 1} <= set(unlike.tolist())


def test_a_pair_with_inputs_that_may_match_gets_elements_of_others_at_two_sizes():
    own = CheckSuite(dataclasses.replace(suite("triad").loaded, pair=SEARCH), "sm_90", 5)
    cases = [next(iter(series)) for series in own.special if series.name == COMMON]
    assert [case.size for case in cases] == [{"n": 64}, {"n": 96}]
    assert all(case.label.endswith(f", with {COMMON}") for case in cases)
    assert all(case.expected.outputs["y"].mean() > 0.5 for case in cases)  # by chance it is 8 of 256


def test_elements_of_other_inputs_are_legal_and_fit_into_short_ones():
    legal = {"values": lambda rng, shape, n: rng.integers(97, 101, shape), "legal": (97, 100)}
    arrays = {"text": 960, "pattern": 3, "one": 1, "none": 0}
    pair = pair_of(*(In(name, u8, lambda n, size=size: (size,), **legal) for name, size in arrays.items()))
    for seed in range(8):
        ordinary = pair.make_arguments({"n": 960}, seed)
        arguments = with_common_elements(pair, ordinary, list(arrays), seed)
        assert {name: arguments[name].size for name in arrays} == arrays
        values = np.concatenate([arguments[name] for name in arrays])
        assert 97 <= values.min() <= values.max() <= 100


def test_numbers_next_to_those_of_another_input_are_tried():
    edges = In("edges", f32, lambda n: (n,), values=lambda rng, shape, n: np.sort(rng.uniform(-1, 1, shape)))
    pair = with_sorted_inputs(pair_of(In("x", f32, lambda n: (n,)), edges))
    arguments = with_common_elements(pair, pair.make_arguments({"n": 960}, 1), ["x", "edges"], 1)
    x, edges = arguments["x"], arguments["edges"]
    assert np.isin(x, edges).sum() > 100
    assert np.isin(x, np.nextafter(edges, np.float32(0))).sum() > 10
    assert (np.diff(edges) >= 0).all()


def test_whole_numbers_stay_in_their_legal_range():
    words = In("x", s32, lambda n: (n,), values=lambda rng, shape, n: np.zeros(shape, np.int32), legal=(-5, 300))
    pair = pair_of(words)
    for kind in data_kinds(pair):
        values = data(pair, kind)["x"]
        assert values.min() >= -5
        assert values.max() <= 300
    assert {-5, 300, 0, 256, 255} <= set(data(pair, "least and greatest integers", n=960)["x"].tolist())


def test_floating_point_data_include_values_that_random_numbers_miss():
    pair = pair_of(In("x", f32, lambda n: (n,)))
    small = data(pair, "small whole and half numbers")["x"]
    assert {0, 1, -1, 0.5, 2} <= set(small.tolist())
    runs = data(pair, "equal neighbours")["x"]
    assert (runs[1:] == runs[:-1]).sum() > 20
    assert len(set(runs.tolist())) > 10
    assert np.isfinite(data(pair, "magnitudes of the whole range", n=9600)["x"]).all()
    exponents = np.frexp(data(pair, "magnitudes of the whole range")["x"])[1]
    assert exponents.min() < -100
    assert exponents.max() > 100
    assert (np.abs(exponents) < 40).any()
    assert len(set(data(pair, "one value throughout")["x"].tolist())) == 1


def test_magnitudes_of_a_part_of_the_range_have_their_limits():
    pair = pair_of(In("x", f32, lambda n: (n,)))
    kind = "magnitudes of a part of the range"
    exponents = [np.frexp(arguments["x"])[1] - 1 for arguments in edged(pair, {"n": 9600}, kind, 1)][:3]
    assert [(form.min(), form.max()) for form in exponents] == [(-30, 30), (-12, 12), (-30, -1)]


def test_a_sum_depends_on_a_few_short_runs_of_a_long_array():
    pair = pair_of(In("x", f32, lambda n: (n,)), In("scale", f32, lambda n: (n // 100,)))
    ordinary, arguments = pair.make_arguments({"n": 9600}, 1), data(pair, "zeros but for short runs", n=9600)
    kept = np.flatnonzero(arguments["x"])
    assert 20 < kept.size <= 2 * 9600 // 500
    assert set(np.diff(kept)[::2]) == {1}  # in runs of two
    assert (arguments["x"][kept] == ordinary["x"][kept]).all()
    assert (arguments["scale"] == ordinary["scale"]).all()


def test_only_the_inputs_that_are_asked_for_change_and_scalars_only_with_small_numbers():
    scalars = [Scalar("s", f32, 0.7), Scalar("k", u32, 7), Scalar("bound", f32, lambda n: n)]
    pair = pair_of(In("x", f32, lambda n: (n,)), In("z", f32, lambda n: (n,)), *scalars)
    ordinary = pair.make_arguments({"n": 96}, 1, varied=True)
    changed = {
        kind: {name for name, value in next(edged(pair, {"n": 96}, kind, 1, only=only)).items()
               if not np.array_equal(value, ordinary[name], equal_nan=True)}
        for kind, only in (("NaN", None), ("infinities", ["z"]), ("small whole and half numbers", None))
    }  # fmt: skip
    assert changed == {"NaN": {"x", "z"}, "infinities": {"z"}, "small whole and half numbers": {"x", "z", "s"}}


def test_small_whole_numbers_are_those_around_zero_that_are_legal():
    pair = pair_of(In("x", s8, lambda n: (n,)), In("z", u8, lambda n: (n,), legal=(1, 9)))
    arguments = data(pair, "small whole and half numbers")
    assert set(arguments["x"].tolist()) == set(range(-3, 4))
    assert set(arguments["z"].tolist()) == {1, 2, 3}


def test_rows_of_one_element_have_none_that_is_greater_than_others():
    pair = pair_of(In("x", f32, lambda n: (n, 1)))
    assert (data(pair, GREAT)["x"] == pair.make_arguments({"n": 96}, 1)["x"]).all()


def test_some_rows_are_ties_or_tiny_as_a_whole():
    """Divided by the scale that its greatest number gives, a half number is a tie; a scale of a tiny row is tiny."""
    pair = pair_of(In("x", f32, lambda n: (n // 32, 32)))
    halves = np.abs(data(pair, "small whole and half numbers", n=960)["x"])
    tops = halves.max(axis=1)
    assert set(tops[np.isin(tops, TOPS)]) == {*TOPS}
    assert sum(tops <= 3) in (7, 8)
    scaled = halves[~np.isin(tops, TOPS) & (tops > 3)]
    assert len(scaled) in (7, 8)
    for row in scaled:
        quotients = [row.astype(float) / row.max() * top for top in TOPS]
        assert any((np.abs(np.sort(of_top)[:-1] % 1 - 0.5) < 1e-4).all() for of_top in quotients)
    rows = np.abs(data(pair, "small magnitudes", n=960)["x"])
    assert rows.max() > 0.25
    assert (rows.max(axis=1) < 2.0**-100).sum() >= 2


def test_a_few_tiny_rows_have_all_powers_in_the_course_of_time():
    """A limit below a norm shows only where the norm is between it and the right limit."""
    pair = pair_of(In("x", f32, lambda n: (n // 32, 32)))
    tops = [np.abs(data(pair, "small magnitudes", seed, n=64)["x"]).max(axis=1).min() for seed in range(60)]
    for low, high in ((-126, -80), (-80, -40), (-40, 0)):
        assert any(2.0**low < top < 2.0**high for top in tops)


def test_the_greatest_or_the_least_element_of_a_column_is_a_zero_of_either_sign():
    pair = pair_of(In("x", f32, lambda n: (n // 8, 8)))
    columns = data(pair, ZERO_COLUMNS, n=256)["x"].T
    above, below = (columns >= 0).all(axis=1), (columns <= 0).all(axis=1)
    assert above.sum() == below.sum() == 4
    assert all({False, True} == set(np.signbit(column[column == 0])) for column in columns)
    planes = [data(pair_of(In("x", f32, lambda n: (8, n, 8))), ZERO_COLUMNS, seed, n=16)["x"] for seed in range(8)]
    assert {tuple(((x >= 0).all(axis=0)).any() for x in (plane, plane[0])) for plane in planes} >= {(True, False)}


def test_zeros_in_columns_are_tried_once_if_there_are_columns():
    own = suite("softmax")
    names = [series.name for series in own.special]
    assert names.count(ZERO_COLUMNS) == 1
    assert ZERO_COLUMNS not in [series.name for series in suite("triad").special]


def test_data_for_the_hidden_sizes_include_small_numbers_and_equal_neighbours():
    pair = pair_of(
        In("x", f32, lambda n: (n,)), In("d", u32, lambda n: (n,), values=lambda rng, shape, n: np.arange(n))
    )
    ordinary = pair.make_arguments({"n": 960}, 1)
    arguments = mixed(pair, ordinary, 1)
    x = arguments["x"]
    assert {0, 1, -1, 0.5, -0.5} <= set(x.tolist())
    assert (x[1:] == x[:-1]).sum() > 20
    assert (x == ordinary["x"]).mean() > 0.8
    assert arguments["d"] is ordinary["d"]


def test_an_array_that_is_updated_in_place_has_the_data_of_an_input():
    """A sort that ranks its numbers is wrong with equal ones; where a number may not be chosen, it is repeated."""
    keys = InOut("keys", u32, lambda n: (n,), values=lambda rng, shape, n: rng.permutation(n))
    row = InOut("row", f32, lambda n: (n,), values=lambda rng, shape, n: rng.uniform(-9, 9, shape))
    pair = pair_of(keys, row, InOut("total", f32, lambda n: (n,)))
    ordinary = pair.make_arguments({"n": 960}, 1, varied=True)
    changed = mixed(pair, ordinary, 1)
    assert (changed["keys"][1:] == changed["keys"][:-1]).sum() > 20
    assert set(changed["keys"].tolist()) <= set(range(960))
    assert {0, 1, -1, 0.5, -0.5} <= set(changed["row"].tolist())
    assert inputs_of(pair, "NaN") == ["row"]
    assert inputs_of(pair, GREATEST_ROWS) == []
    assert changed["total"] is ordinary["total"]
    legal = pair_of(dataclasses.replace(keys, legal=(0, 5000)))
    assert inputs_of(legal, GREATEST_ROWS) == ["keys"]
    assert data(legal, GREATEST_ROWS)["keys"].max() == 5000
    assert mixed(legal, legal.make_arguments({"n": 960}, 1), 1)["keys"].max() == 5000


def test_scalars_and_starts_vary_on_request_and_the_inputs_stay():
    pair = pair_of(
        In("x", f32, lambda n: (n,)),
        InOut("t", f32, lambda n: (4,)),
        InOut("u", u32, lambda n: (4,), start=3),
        InOut("keys", u32, lambda n: (n,), values=lambda rng, shape, n: rng.permutation(n)),
        Scalar("s", f32, 0.75),
        Scalar("k", u32, 12),
        Scalar("fixed", u32, 7, values=(7, 7)),
        Scalar("eps", f32, 1e-6, values=lambda rng, n: rng.uniform(1, 2)),
    )
    plain, *varied = [pair.make_arguments({"n": 64}, seed, varied=seed > 0) for seed in range(9)]
    assert (plain["s"], plain["k"], plain["fixed"], plain["t"].tolist()) == (np.float32(0.75), 12, 7, [0] * 4)
    assert {np.sign(case["s"]) for case in varied} == {-1, 1}
    assert all(0.18 <= abs(case["s"]) <= 3.01 for case in varied)
    assert len({int(case["k"]) for case in varied}) > 3
    assert all(6 <= case["k"] <= 24 and case["fixed"] == 7 and 1 <= case["eps"] <= 2 for case in varied)
    assert all((case["t"] != 0).all() and (case["u"] > 3).all() for case in varied)
    assert all(case["n"] == 64 for case in varied)
    assert all(sorted(case["keys"].tolist()) == list(range(64)) for case in (plain, *varied))
    integers = pair.make_arguments({"n": 64}, 1, integers=True, varied=True)["t"]
    assert (integers == np.round(integers)).all()
    assert (integers != 0).all()
    unvaried = pair.make_arguments({"n": 64}, 1)["x"]
    assert unvaried.tobytes() == varied[0]["x"].tobytes()


def test_other_nans_include_the_payload_of_cudas_nan():
    bits = with_nans(np.full(1000, np.nan, np.float32), 3).view(np.uint32)
    assert np.isnan(bits.view(np.float32)).all()
    assert 0.15 < (bits & 0x7FFFFFFF == 0x7FFFFFFF).mean() < 0.35
    assert len(set(bits.tolist())) > 500


def test_two_inputs_of_one_kind_can_be_one_array_and_an_output_never():
    both = In("x", f32, lambda n: (n,)), In("z", f32, lambda n: (2, n // 2))
    arguments, aliases = shared(pair_of(*both), {"n": 32}, 1)
    assert aliases == {"z": "x"}
    assert np.shares_memory(arguments["x"], arguments["z"])
    assert arguments["z"].shape == (2, 16)
    assert shared(pair_of(both[0]), {"n": 32}, 1) is None
    assert shared(pair_of(both[0], In("z", f16, lambda n: (n,))), {"n": 32}, 1) is None


def test_a_seed_always_gives_the_same_data_and_another_seed_gives_other_data():
    one, again, other = (CheckSuite(suite("triad").loaded, "sm_90", seed) for seed in (8, 8, 9))
    for first, second, third in zip(one.check, again.check, other.check, strict=True):
        assert first.arguments["b"].tobytes() == second.arguments["b"].tobytes()
        assert first.arguments["b"].tobytes() != third.arguments["b"].tobytes()


# ---- what counts


def test_a_case_that_a_kernel_of_the_pair_also_fails_does_not_count():
    softmax = suite("softmax")
    cases = {question.name: next(iter(question), None) for question in softmax.special}
    excused = {kind: softmax.beyond_contract(cases[kind]) for kind in ("NaN", "signed zeros", "huge values")}
    assert excused["NaN"] is None
    assert excused["signed zeros"] is None
    assert set(excused.values()) - {None} <= {source.variant for source in softmax.loaded.sources}
    assert all(softmax.beyond_contract(case) is None for case in softmax.check)


def test_a_fault_is_not_excused_by_a_kernel_that_is_only_wrong():
    softmax = suite("softmax")
    beyond = next(next(iter(question)) for question in softmax.special if question.name == "huge values")
    assert softmax.beyond_contract(beyond)
    assert softmax.beyond_contract(beyond, fault=True) is None


def test_the_kernels_of_the_pair_run_a_case_once(monkeypatch):
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    requested = []
    assert set(triad.pair_kernels.right) == {"cuda", "ptx"}
    monkeypatch.setattr(triad, "fails", lambda kernel, case, fault: requested.append(kernel) or True)
    case = triad.check[0]
    assert [triad.beyond_contract(case), triad.beyond_contract(case)] == ["cuda", "cuda"]
    assert len(requested) == 1


def test_a_new_case_is_tried_even_at_the_address_of_one_that_is_gone(monkeypatch):
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    assert set(triad.pair_kernels.right) == {"cuda", "ptx"}
    requested = []
    monkeypatch.setattr(triad, "fails", lambda kernel, case, fault: requested.append(kernel) or True)
    for _ in range(10):
        triad.beyond_contract(dataclasses.replace(triad.check[0]))
    assert len(requested) == 10


def test_nan_counts_only_if_the_pairs_kernels_handle_it_at_each_size(monkeypatch):
    """A kernel of the pair that passes NaN over passes some positions by chance."""
    softmax = CheckSuite(suite("softmax").loaded, "sm_90", 3)
    cases = [next(iter(series)) for series in softmax.special if series.name == "NaN"]
    for failing, handles in (((), True), (cases[-1:], False)):
        softmax.__dict__.pop("handles_nan", None)
        monkeypatch.setattr(
            softmax, "beyond_contract", lambda case, failing=failing: "cuda" if case in failing else None
        )
        assert softmax.handles_nan == handles


@pytest.mark.parametrize(("handles", "expected"), [(True, "values wrong-result"), (False, "accepted")])
def test_a_candidate_need_not_handle_nan_if_the_pairs_kernels_do_not(monkeypatch, handles, expected):
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    monkeypatch.setitem(triad.__dict__, "handles_nan", handles)
    monkeypatch.setitem(triad.__dict__, "special", [series for series in triad.special if series.name == "NaN"])
    candidate = Path(__file__).parent / "hostile" / "hides_nan.ptx"
    assert outcome(Checker(triad, candidate, CheckOptions()).judge(stages=("parses", "values", "repeats"))) == expected


def test_all_elements_are_below_zero_where_a_row_has_several_parts():
    """There a part may start from zero. Of a sum they show no more than other data."""
    for name, expected in (("softmax", True), ("triad", False)):
        own = suite(name)
        below = [next(iter(series)) for series in own.special if series.name == "all far below zero"]
        assert (own.largest.size in [case.size for case in below]) == expected


@pytest.mark.parametrize("name", ["softmax", "softmax.warp", "triad"])
def test_each_kind_of_data_is_tried(name):
    """A tolerance that is NaN on some data would leave it out without a word."""
    assert [series.name for series in suite(name).special if next(iter(series), None) is None] == []


def test_starts_are_drawn_for_a_check_size_or_for_its_whole_numbers():
    args = In("x", f32, lambda n: (n,)), InOut("t", f32, lambda n: (4,))
    pair = pair_of(*args, reference=lambda x, t, n: {"y": x, "t": t})
    loaded = dataclasses.replace(suite("triad").loaded, pair=dataclasses.replace(pair, exact_on_integers=True))
    drawn = [bool(next(iter(series)).arguments["t"].any()) for series in CheckSuite(loaded, "sm_90", 5).results]
    assert drawn in ([True, False, False, True, True, False], [False, True, True, False, False, True])


def test_at_each_size_mixed_data_come_before_the_pairs_own():
    cases, sizes = suite("triad").cases, [{"n": 1000}, {"n": 33}]
    tried = list(cases.at(iter(sizes), 7, varied=False))
    assert [case.size for case in tried] == [sizes[0], sizes[0], sizes[1], sizes[1]]
    ordinary = [cases.pair.make_arguments(case.size, 7) for case in tried]
    same = [(case.arguments["b"] == own["b"]).mean() for case, own in zip(tried, ordinary, strict=True)]
    assert (same[1], same[3]) == (1, 1)
    assert 0.7 < same[0] < 1
    assert 0.7 < same[2] < 1


def test_data_of_a_kind_are_in_the_inputs_that_are_asked_for_and_the_case_names_them():
    cases = suite("triad").cases
    [alone], [everywhere] = (cases.edged({"n": 1000}, ZERO, 7, varied=False, only=only) for only in (["b"], ()))
    assert (alone.arguments["b"].any(), alone.arguments["c"].any()) == (False, True)
    assert alone.label.endswith(", with zero throughout in 'b'")
    assert (everywhere.arguments["b"].any(), everywhere.arguments["c"].any()) == (False, False)
    assert everywhere.label.endswith(", with zero throughout")


def test_cases_on_which_zeros_would_do_are_left_out_unless_there_are_no_others():
    triad = suite("triad").check[-1]
    wide = {name: np.full_like(bound, 1e30) for name, bound in triad.expected.bounds.items()}
    vague, other = (
        dataclasses.replace(triad, expected=dataclasses.replace(triad.expected, bounds=wide)) for _ in range(2)
    )
    assert [case is triad for case in telling([vague, triad, other])] == [True]
    assert [case is vague for case in telling([vague, other])] == [True, False]


def test_data_on_which_the_pair_itself_fails_is_named_in_a_note():
    loaded = suite("triad").loaded
    tolerance = dataclasses.replace(
        loaded.pair.tolerance, bound=lambda expected, inputs: np.where(abs(expected) < 1e30, 1e-3, np.nan)
    )
    pair = dataclasses.replace(loaded.pair, tolerance=tolerance)
    own = CheckSuite(dataclasses.replace(loaded, pair=pair), "sm_90", 3)
    own.special = tuple(series for series in own.special if series.name in ("huge values", "small magnitudes"))
    judgement = Checker(own, KERNELS / "ptx" / "triad.ptx", CheckOptions()).judge(stages=("parses", "values"))
    notes = [note for note in judgement.notes if note.startswith("values: ")]
    assert len(notes) == 1
    assert notes[0].startswith("values: nothing with huge values, on which the pair fails: PairError: the tolerance of")


def test_the_first_case_that_the_pair_passes_counts():
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    cases = []
    question = CaseSeries("", (cases.append(case) or case for case in triad.check))
    assert triad.counted_case(question) is triad.check[0]
    triad.reference_failures[triad.check[0], False] = "ptx"
    assert triad.counted_case(question) is triad.check[1]
    assert len(cases) == 2
    assert triad.repeated[0].size not in triad.pair.check_sizes


def test_the_poison_of_outputs_and_the_addresses_of_arrays_can_be_chosen():
    triad = suite("triad")
    case = triad.check[0]
    kernel = triad.pair_kernels.executable["ptx"]
    nothing = CheckKernel(kernel.ptx.replace("{\n", "{\n    ret;\n", 1), "triad", "sm_90")
    result = launch(nothing, triad.pair, case, LaunchOptions(poison=0x5A, placement=3))
    assert set(result.outputs["a"].tobytes()) == {0x5A}
    assert triad.unwritten(result, case, 0x5A) == "a"
    assert triad.unwritten(result, case, 0xFF) is None


def test_infinities_are_tried_at_the_cheapest_check_sizes_whatever_the_seed():
    """Where k is below 8, rows of b behind the last are not to be multiplied by zero."""
    for seed in (1, 2):
        cases = [case for series in suite("sgemm_tiled", seed).special for case in series.cases or series]
        assert any(case.size["k"] < 8 and "infinities" in case.label for case in cases)


def test_nan_is_tried_on_the_paths_for_whole_tiles_if_launches_are_cheap():
    for name, least in (("transpose", 6), ("hgemm_mma", 3)):
        cases = [series.name for series in suite(name).special]
        assert least <= cases.count("NaN") <= least + 4
        assert cases.count("infinities") > least


@pytest.mark.parametrize(("name", "expected"), [("scan", True), ("reduce_sum", False)])
def test_where_ctas_exchange_sums_zeros_are_tried_at_the_largest_check_size(name, expected):
    """There a sum of 0 is not the same as no sum yet."""
    own = suite(name)
    zeros = [case for series in own.special if series.name == "zero throughout" for case in series]
    assert (own.largest.size in [case.size for case in zeros]) == expected


def test_each_factor_is_zero_once_where_the_other_is_infinite():
    """A kernel that leaves out products with zero then has no NaN."""
    own = suite("sgemm_tiled").special
    cases = {series.name: next(iter(series)).arguments for series in own if "=0" in series.name}
    assert {name: (arguments["a"].any(), arguments["b"].any()) for name, arguments in cases.items()} == {
        "a=0, infinities": (False, True), "b=0, infinities": (True, False),
    }  # fmt: skip
    assert np.isinf(cases["a=0, infinities"]["b"]).any()


def test_a_sum_of_whole_numbers_in_f32_is_rounded_at_some_long_size():
    """Random numbers have too small sums for that, and so have equal ones: they are multiples of a power of two."""
    great = [series for series in suite("reduce_sum.s32").special if series.name == "all far above zero"]
    inputs = [next(iter(series)).arguments["x"] for series in great]
    rounded = [x for x in inputs if np.cumsum(x, dtype=np.float32)[-1] != x.sum(dtype=np.int64)]
    assert len({x.sum(dtype=np.int64) for x in rounded}) == 2  # the roundings of several sums may cancel once


def test_the_greatest_number_of_steps_is_tried_with_ctas_that_compute():
    """The CTAs of the smallest size only copy, so steps cost nothing there."""
    pair = suite("sm_partition").pair
    draw = kinds(pair, random.Random(1))["steps=256"]
    drawn = [next(hidden_sizes(pair, draw, random.Random(seed))) for seed in range(8)]
    assert all(size["steps"] == 256 for size in drawn)
    assert any(size["roles"] & 2 for size in drawn)
