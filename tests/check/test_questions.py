"""The cases for candidates: data that they cannot know, and which cases count."""

import dataclasses

import numpy as np
import pytest

from ptxbench.check.common_elements import COMMON, with_common_elements
from ptxbench.check.element_ranges import with_sorted_inputs
from ptxbench.check.fills import TOPS, float_edges
from ptxbench.check.launching import with_nans
from ptxbench.check.row_fills import TIES
from ptxbench.check.suite import CheckSuite
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
    TIES_OF_FLOATS,
    TIES_OF_INTEGERS,
    ZERO_COLUMNS,
    ZERO_ROWS,
    data_kinds,
    edged,
    inputs_of,
    mixed,
    shared,
)
from ptxbench.pair import EXACT, In, InOut, Launch, Out, Pair, Scalar, bf16, e4m3, f16, f32, s8, s32, u8, u32
from tests.check.judging import suite


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


@pytest.mark.parametrize(
    ("output", "kinds"),
    [(u8, [TIES_OF_INTEGERS]), (s8, [TIES_OF_INTEGERS]), (e4m3, [TIES_OF_FLOATS]), (f32, []), (u32, [])],
)
def test_rows_are_ties_for_a_pair_with_outputs_of_8_bits(output, kinds):
    pair = pair_of(In("x", f32, lambda n: (n // 48, 48)))
    pair = dataclasses.replace(
        pair, args=[*(arg for arg in pair.args if arg.name != "y"), Out("y", output, lambda n: (n,))]
    )
    assert [kind for kind in data_kinds(pair) if kind in (TIES_OF_INTEGERS, TIES_OF_FLOATS)] == kinds


def test_the_numbers_of_a_row_are_ties_once_its_scale_divides_them():
    """Also with a scale for each 16 elements; a product with the reciprocal of the scale is another number."""
    pair = pair_of(In("x", f32, lambda n: (n // 48, 48)))
    for kind, tops in ((TIES_OF_FLOATS, [448] * 4), (TIES_OF_INTEGERS, [127, 7, 6, 255])):
        rows = data(pair, kind, n=192)["x"]
        for number, (row, top) in enumerate(zip(rows, tops, strict=True)):
            blocks = np.abs(row).reshape(3, 16)
            assert (blocks.max(axis=1) == blocks.max()).all()
            scale = blocks.max() / f32.type(top)
            numbers = blocks[blocks < blocks.max()] / scale
            assert np.isin(numbers, TIES[top]).all() == (number != 3)
            if number != 3:
                assert (blocks[blocks < blocks.max()] * (f32.type(1) / scale) != numbers).mean() > 0.3


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
