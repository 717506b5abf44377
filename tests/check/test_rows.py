"""A great element at many positions of a row: where it is, at which sizes, and which kernels it shows to be wrong."""

from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.check.cases import Cases
from ptxbench.check.element_ranges import ElementRange
from ptxbench.check.peak_positions import peak_positions
from ptxbench.check.rows import at_equal_distances, single_rows, sizes_with_rows
from ptxbench.check.space import SizeSpace
from ptxbench.check.values import ABOVE, BELOW, FLOATS, GREAT, NEAR, WHOLE
from ptxbench.pair import EXACT, In, Launch, Out, Pair, bf16, f16, f32, s8, s32, u32
from tests.check.judging import KERNELS, judged, outcome, suite


def pair_of_a_maximum(dtype, legal):
    return Pair(
        purpose="", args=[In("x", dtype, lambda n: (n,), legal=legal), Out("y", dtype, lambda n: (1,))],
        launch=lambda n: Launch(1, 32), reference=lambda x: {"y": x.max(keepdims=True)}, tolerance=EXACT,
        check_sizes=[{"n": 500}], bench_sizes=[{"n": 1024}], flops=lambda n: n,
    )  # fmt: skip


def rng(seed=1):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("rows", "length"), [(3, 1), (31, 31), (80, 31)])
def test_with_as_many_rows_as_elements_every_position_has_a_peak(rows, length):
    assert set(peak_positions(rng(), rows, length)) == set(range(length))


@pytest.mark.parametrize(("rows", "length"), [(40, 8192), (80, 1024), (80, 257), (80, 50257)])
def test_peaks_are_at_both_ends_in_every_part_of_a_row_and_at_every_element_of_a_vector(rows, length):
    for seed in range(20):
        positions = peak_positions(rng(seed), rows, length)
        assert positions.size == rows
        assert {0, length - 1} <= set(positions)
        assert 0 <= positions.min() <= positions.max() < length
        assert set(positions % 4) == set(range(4))
        assert len(set(positions * 8 // length)) == 8
        if rows == 40:  # every element of a vector in every eighth of the row
            assert len(set(zip(positions // 1024, positions % 4, strict=True))) == 32


def test_with_few_rows_a_peak_is_sometimes_at_an_end():
    ones = [int(peak_positions(rng(seed), 1, 1000)[0]) for seed in range(40)]
    assert {0, 999} < set(ones)
    assert len(set(ones)) > 5


@pytest.mark.parametrize("dtype", [f16, f32], ids=str)
def test_one_element_of_each_row_is_far_above_all_others_or_far_below_them(dtype):
    ordinary = rng().uniform(-8, 8, (40, 100)).astype(dtype)
    for fill in FLOATS[GREAT][:2]:
        rows = np.sort(fill(ordinary, ElementRange(np.dtype(dtype), None), (rng(2), rng(3))).astype(np.float64), axis=1)
        assert np.isfinite(rows).all()
        assert (rows[:, -1] - rows[:, -2] > 50).all()
        assert (rows[:, 1] - rows[:, 0] > 50).all()
        assert (rows[:, -1] > -rows[:, 0]).sum() >= 20
        assert (-rows[:, 0] > rows[:, -1]).sum() >= 5


@pytest.mark.parametrize("dtype", [f16, bf16, f32], ids=str)
def test_data_far_from_zero_are_finite_and_of_one_sign(dtype):
    ordinary = rng().uniform(-1, 1, (3, 50)).astype(dtype)
    for kind, sign in ((BELOW, -1), (ABOVE, 1), (NEAR, 1)):
        for fill in FLOATS[kind]:
            data = fill(ordinary, ElementRange(np.dtype(dtype), None), (rng(2), rng(3))).astype(np.float64)
            assert np.isfinite(data).all()
            assert (sign * data > 10).all()
            assert kind != NEAR or np.ptp(data) <= 8  # bf16 keeps multiples of 8 near 1024


def test_whole_numbers_have_peaks_within_their_legal_range():
    (fill,) = WHOLE[GREAT]
    for dtype, legal in ((s8, (-127, 127)), (u32, (5, 9)), (u32, (0, 2**32 - 1))):
        limits = ElementRange(np.dtype(dtype), legal)
        rows = np.sort(fill(np.full((20, 50), 7, dtype), limits, (rng(2), rng(3))).astype(np.int64), axis=1)
        assert legal[0] <= rows.min()
        assert rows.max() <= legal[1]
        assert (rows[:, -1] > rows[:, -2]).mean() > 0.9


def test_whole_numbers_close_to_the_greatest_one_have_it_once_in_each_row():
    """In f32 they are all equal, so a maximum that compares there keeps another one."""
    (fill,) = WHOLE[NEAR]
    for dtype, legal in ((s32, (-(2**31), 2**31 - 1)), (u32, (0, 2**32 - 1)), (u32, (5, 9)), (u32, (7, 7))):
        limits = ElementRange(np.dtype(dtype), legal)
        rows = fill(np.full((20, 50), 7, dtype), limits, (rng(2), rng(3)))
        assert rows.dtype == dtype
        assert ((rows == legal[1]).sum(axis=1) == (1 if legal[0] < legal[1] else 50)).all()
        assert legal[0] <= rows.min()
        assert len(set(rows.astype(np.float32).reshape(-1).tolist())) == 1 or legal[1] < 10


def test_every_length_of_a_row_that_a_pair_names_gets_many_rows():
    pair = suite("softmax").pair
    sizes = {size["columns"]: size["rows"] for size in sizes_with_rows(pair)}
    assert set(sizes) >= {size["columns"] for size in pair.check_sizes}
    assert all(rows >= 40 for columns, rows in sizes.items() if columns <= 8192)
    assert sizes[50257] == 20
    most = {columns: SizeSpace.of(pair, cheap=3 if rows > 20 else 8) for columns, rows in sizes.items()}
    assert all(most[columns].fits({"rows": rows, "columns": columns}) for columns, rows in sizes.items())
    assert len(list(sizes_with_rows(pair))) == len(sizes)


def test_an_input_that_is_one_row_is_launched_often_only_if_outputs_have_few_elements():
    arrays = [In("x", f32, lambda n: (n,)), In("unnamed", f32, lambda n: (n,)), In("rows", f32, lambda n: (n, 8))]
    pair = SimpleNamespace(args=[*arrays, Out("one", f32, lambda n: (1,)), Out("two", f32, lambda n: (2,))])
    assert [single_rows(pair, {"n": n}, ["x", "rows"]) for n in (127, 128, 129)] == [[], ["x"], ["x"]]


@pytest.mark.parametrize(("dtype", "legal"), [(f16, None), (f32, None), (s32, None), (s8, (-3, 5)), (u32, (7, 8))])
def test_an_input_of_one_row_has_one_element_above_all_others_at_another_position_in_each_launch(dtype, legal):
    pair = pair_of_a_maximum(dtype, legal)
    positions = []
    for case in Cases(SimpleNamespace(pair=pair)).with_peaks({"n": 500}, "x", 40, seed=1):
        x = case.arguments["x"]
        order = np.argsort(x.astype(np.float64))
        lowest, low, high, highest = x.astype(np.float64)[order[[0, 1, -2, -1]]]
        assert lowest < low or high == low == 7  # two numbers are legal
        assert high < highest == case.expected.outputs["y"][0]
        if legal:
            assert (lowest, highest) == legal
        elif dtype == s32:
            assert np.unique(x).size > 400
        else:
            assert 100 * abs(low) < -lowest < highest < np.inf
            assert 1000 * abs(high) < highest
        assert case.label == f"n=500, with {GREAT}, {order[-1]} of 'x'"
        positions.append(order[-1])
    assert {0, 499} < set(positions)
    assert len(set(positions)) > 30


NONLINEAR = {"triad": [], "sgemm_tiled": [], "transpose": [], "scan": [], "softmax": ["x"], "rmsnorm": ["x"]}


@pytest.mark.parametrize(("name", "inputs"), NONLINEAR.items())
def test_only_inputs_whose_results_are_not_sums_of_products_get_great_elements(name, inputs):
    assert suite(name).nonlinear == inputs
    assert (GREAT in {question.name for question in suite(name).special}) == bool(inputs)


@pytest.mark.parametrize(
    ("results", "linear"), [((0, 2, 4), True), ((0, 2, 5), False), ((3, 3, 3), False), ((3, 3, 4), False)]
)
def test_results_that_do_not_change_do_not_show_a_linear_function(results, linear):
    """A search among random numbers finds nothing, whatever it is given."""
    assert at_equal_distances(*({"y": np.array([0, result])} for result in results)) == linear


FOLD = "block_fold<ALONE>(v, warp_maxima"
BUT = "block_fold<ALONE>({} ? __int_as_float(0xff800000) : v, warp_maxima"
CHUNK = "largest = largest_of(held[k], largest);"
BUT_X = f"{{ if (k == 0 && threadIdx.x == 0) held[k].x = held[k].y; {CHUNK} held[k].x = x[256 * k].x; }}"
BUT_W = f"{{ if (k + 1 == CHUNKS && threadIdx.x == 255) held[k].w = held[k].z; {CHUNK} held[k].w = x[256 * k].w; }}"

# what is left out of the maximum, file, the right text, the wrong one
LEFT_OUT = [
    ("an element of a vector",    "ptx/softmax.ptx",  "max.ftz.f32     %largest, %largest, %x_28;", ""),
    ("the last of a vector",      "ptx/softmax.ptx",  "max.ftz.f32     %largest, %largest, %x_3;",  ""),
    ("one of an unrolled loop",   "ptx/softmax.ptx",  "max.ftz.f32          %larger, %larger, %x_9;", ""),
    ("the first element",         "cuda/softmax.cu",  CHUNK, BUT_X),
    ("the last element",          "cuda/softmax.cu",  CHUNK, BUT_W),
    ("the first thread of a CTA", "cuda/softmax.cu",  FOLD, BUT.format("threadIdx.x == 0")),
    ("the last thread of a CTA",  "cuda/softmax.cu",  FOLD, BUT.format("threadIdx.x == 255")),
    ("a lane of each warp",       "cuda/softmax.cu",  FOLD, BUT.format("threadIdx.x % 32 == 17")),
    ("an element of one warp",    "ptx/softmax.warp.ptx", "max.ftz.f32         %largest, %largest, %x_2;", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "right", "wrong"), [case[1:] for case in LEFT_OUT], ids=[case[0] for case in LEFT_OUT]
)
def test_a_kernel_that_leaves_something_out_of_the_maximum_is_rejected(file, right, wrong):
    path = KERNELS / file
    text = path.read_text()
    assert right in text
    judgement = judged(path, path.stem, text.replace(right, wrong, 1).encode(), stages=("parses", "values"))
    assert outcome(judgement) == "values wrong-result"
