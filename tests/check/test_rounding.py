"""Results on data of other magnitudes that differ from the reference by another rounding, or by more than that."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.check.cases import silence
from ptxbench.check.launching import CheckCase, LaunchOptions, launch
from ptxbench.check.rounding import is_explained, may_overflow, rounding, sensitive, underflowed
from ptxbench.check.suite import CheckSuite
from ptxbench.pair import EXACT, In, Launch, Out, Pair, close, f32, f64, relative, u8
from ptxbench.verify import expect
from tests.check.judging import SEED, suite


def huge_case(pair):
    """A case with huge values, of which the expected results are finite or not."""
    cases = (case for series in suite(pair).special for case in series.cases or series)
    return next(case for case in cases if "with huge values" in case.label)


def narrow(expected, factor=1.0):
    """Results as f32, those that it can hold times a factor."""
    with np.errstate(over="ignore"):
        return np.where(np.abs(expected) < 1e38, factor * expected, expected).astype(np.float32)


@pytest.mark.parametrize(("share", "is_right"), [(2**-23, True), (2**-12, False)])
def test_an_error_in_proportion_to_its_terms_is_a_rounding(share, is_right):
    pair, case = suite("sgemm_tiled").pair, huge_case("sgemm_tiled")
    moved = narrow(case.expected.outputs["c"], 1 + share)
    assert (np.abs(moved - case.expected.outputs["c"])[np.isfinite(moved)] > 1e-6 * 2**6).any()
    assert is_explained(case, {"c": moved}, [rounding(pair, case, SEED)]) is is_right


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_infinity_is_not_a_rounding(value):
    pair, case = suite("sgemm_tiled").pair, suite("sgemm_tiled").check[0]
    changed = narrow(case.expected.outputs["c"])
    changed[np.unravel_index(np.abs(changed).argmin(), changed.shape)] = value
    assert not is_explained(case, {"c": changed}, [rounding(pair, case, SEED)])


@pytest.mark.parametrize(("first", "is_right"), [(2e38, True), (np.inf, False)])
def test_a_sum_of_terms_that_may_overflow_is_right_and_another_one_is_rounded(first, is_right):
    """In another order of additions, each element may have another reason."""
    pair, case = suite("scan").pair, suite("scan").check[2]
    arguments = {**case.arguments, "x": np.array([2e38, 2e38, -2e38, -1e38], np.float32)}
    case = replace(case, arguments=arguments, expected=expect(pair, arguments))
    y = np.array([first * (1 + 2**-23), np.inf, np.inf, np.nan], np.float32)
    assert is_explained(case, {"y": y}, [rounding(pair, case, SEED)]) is is_right
    wrong = np.append(y[:3], np.float32(1e38 * (1 + 2**-12)))
    assert not is_explained(case, {"y": wrong}, [rounding(pair, case, SEED)])


CODES = Pair(
    purpose="", args=[In("w", u8, lambda n: (n,)), In("x", f32, lambda n: (n,)), Out("y", f32, lambda n: (1,))],
    launch=lambda n: Launch(1, 32), reference=lambda w, x: {"y": np.array([w**2 @ x])},
    tolerance=relative(1e-6, of=lambda w, x: w**2 @ abs(x)), check_sizes=[{"n": 2}], bench_sizes=[{"n": 8}],
    flops=lambda n: n,
)  # fmt: skip


@pytest.mark.parametrize(("nonlinear", "is_right"), [(["w"], True), (["x"], False)])
def test_terms_of_codes_may_overflow(nonlinear, is_right):
    """The reference need not be linear in whole numbers, such as the codes of a table."""
    data = {"w": np.array([2, 2], np.uint8), "x": np.array([3e38, -2.9e38], np.float32)}
    arguments = CODES.make_arguments({"n": 2}, SEED) | data
    case = CheckCase("", CODES.launch(n=2), arguments, expect(CODES, arguments), {}, size={"n": 2})
    asked = CheckSuite.__new__(CheckSuite)
    asked.__dict__.update(nonlinear=nonlinear, pair=CODES, seed=SEED)
    result = SimpleNamespace(outputs={"y": np.array([np.inf], np.float32)})
    assert asked.is_explained(result, case, "values") is is_right


SUMS_OF_THREE = Pair(
    purpose="", args=[In("x", f64, lambda n: (n,)), Out("y", f64, lambda n: (n,))],
    launch=lambda n: Launch(1, 32), reference=lambda x: {"y": np.roll(x, 1) + x + np.roll(x, -1)},
    tolerance=relative(1e-15, of=lambda x: abs(x)), check_sizes=[{"n": 4}], bench_sizes=[{"n": 8}], flops=lambda n: n,
)  # fmt: skip


@pytest.mark.parametrize(("greatest", "is_right"), [(1.7e308, True), (np.inf, False)])
def test_a_reference_of_f64_rounds_too(greatest, is_right):
    """The small term is lost in the sum of the two great ones, or it is not, if they are added first."""
    arguments = SUMS_OF_THREE.make_arguments({"n": 4}, SEED) | {"x": np.array([greatest, 0.5, -1.7e308, 0.25])}
    with silence():
        expected = expect(SUMS_OF_THREE, arguments)
    case = CheckCase("", SUMS_OF_THREE.launch(n=4), arguments, expected, {}, size={"n": 4})
    moved = case.expected.outputs["y"].copy()
    moved[1] = -1
    assert is_explained(case, {"y": moved}, [rounding(SUMS_OF_THREE, case, SEED)]) is is_right


@pytest.mark.parametrize(("part", "is_right"), [(0.99, True), (1.01, False)])
def test_the_greatest_share_of_the_terms_that_the_tolerance_is_on_other_data_is_allowed(part, is_right):
    pair = replace(SUMS_OF_THREE, tolerance=relative(1e-6, of=lambda x: abs(x)))
    ordinary = pair.make_arguments({"n": 4}, SEED)["x"]
    share = 1e-6 * (np.abs(ordinary) / pair.reference(x=np.abs(ordinary))["y"]).max()
    arguments = {"x": 1e10 * np.array([1.0, -2.0, 3.0, -4.0]), "y": np.zeros(4)}
    case = CheckCase("", pair.launch(n=4), arguments, expect(pair, arguments), {}, size={"n": 4})
    moved = case.expected.outputs["y"] + part * share * pair.reference(x=np.abs(arguments["x"]))["y"]
    assert is_explained(case, {"y": moved}, [rounding(pair, case, SEED)]) is is_right


def test_an_exact_result_and_one_that_is_not_a_sum_have_no_rounding():
    for name in ("transpose", "softmax"):
        tested_suite = suite(name)
        case = huge_case(name) if name == "transpose" else tested_suite.check[0]
        result = launch(tested_suite.pair_kernels.executable["ptx"], tested_suite.pair, case, LaunchOptions())
        for output in result.outputs.values():
            output.reshape(-1)[0] += np.float32(2**-10) * max(abs(output.reshape(-1)[0]), 1)
        assert not tested_suite.is_explained(result, case, "values")


@pytest.mark.parametrize(
    ("name", "bound", "steps", "is_right"),
    [("rmsnorm", 1e-50, 2, True), ("rmsnorm", 1e-50, 3, False), ("rmsnorm", 0, 1, False), ("triad", 1e-50, 9, False)],
)
def test_an_error_of_the_smallest_numbers_is_an_underflow(name, bound, steps, is_right):
    case = suite(name).check[0]
    expected = case.expected.outputs[next(iter(case.expected.outputs))].copy()
    (output,) = case.expected.outputs
    expected.flat[0] = 3 * 2.0**-149
    bounds = {output: np.where(expected == expected.flat[0], bound, case.expected.bounds[output])}
    moved = replace(case, expected=replace(case.expected, outputs={output: expected}, bounds=bounds))
    actual = expected.astype(np.float32)
    actual.flat[0] += np.float32(steps * 2.0**-149)
    assert is_explained(moved, {output: actual}, [underflowed]) is is_right


@pytest.mark.parametrize(("scale", "is_right"), [(3e38, True), (1e30, False)])
def test_factors_in_another_order_may_overflow(scale, is_right):
    """An integer times two scales, of which the other one makes the result small."""
    pair, case = suite("int8_gemm_mma").pair, suite("int8_gemm_mma").check[0]
    scales = {"a_scale": case.arguments["a_scale"] * 0 + scale, "b_scale": case.arguments["b_scale"] * 0 + 1e-5}
    arguments = {**case.arguments, **{name: value.astype(np.float32) for name, value in scales.items()}}
    case = replace(case, arguments=arguments, expected=expect(pair, arguments))
    left = case.expected.outputs["d"].astype(np.float32)
    left.flat[np.abs(left).argmax()] = np.inf
    assert is_explained(case, {"d": left}, [rounding(pair, case, SEED)]) is is_right


RELU = Pair(
    purpose="", args=[In("x", f32, lambda n: (4, n)), Out("y", f32, lambda n: (4,)), Out("k", u8, lambda n: (1,))],
    launch=lambda n: Launch(1, 32),
    reference=lambda x: {"y": np.maximum(x.sum(axis=1), 0) / x.shape[1], "k": np.array([3])},
    tolerance=close(rtol=1e-6, atol=1e-7), check_sizes=[{"n": 4}], bench_sizes=[{"n": 8}], flops=lambda n: n,
)  # fmt: skip


def case_of_relu(second_row, pair=RELU):
    arguments = pair.make_arguments({"n": 4}, SEED)
    arguments["x"] = np.array([[1, 1, 1, 1], second_row, [-1, -2, 0, -1], [1, 2, 3, 4]], np.float32)
    return CheckCase("", pair.launch(n=4), arguments, expect(pair, arguments), {}, size={"n": 4})


@pytest.mark.parametrize(
    ("row", "error", "is_right"),
    [
        ([1, 1, 1, 1.5], 1e-5, False),
        ([1024, -1024, 1, 3.5], 2**-14, True),  # f32 rounds 1024 to a multiple of 2**-14
        ([1024, -1024, 1, 3.5], 2**-7, False),
        ([1e6, -1e6, 1, 3.5], 2**-4, True),
        ([-1e6, 1, 1, 1], 1e-3, False),  # far below zero, where nothing moves
    ],
)
def test_a_sum_below_an_activation_is_rounded(row, error, is_right):
    """As far as its terms, each of which is rounded, move the result."""
    case = case_of_relu(row)
    y = (case.expected.outputs["y"] + [0, error, 0, 0]).astype(np.float32)
    k = np.array([3], np.uint8)
    explanations = [sensitive(RELU, case, SEED)]
    assert is_explained(case, {"y": y, "k": k}, explanations) is is_right
    assert not is_explained(case, {"y": y, "k": k + 1}, explanations)


@pytest.mark.parametrize(
    ("row", "tolerance", "may"),
    [
        ([2e38, 2e38, -1e38, -1e38], close(1e-6, 1e-7), True),
        ([-2e38, 1, 1, 1], close(1e-6, 1e-7), True),  # the magnitudes count
        ([1e36, 1, 1, 1], close(1e-6, 1e-7), False),
        ([np.inf, 1, 1, 1], close(1e-6, 1e-7), False),
        ([2e38, 2e38, -1e38, -1e38], EXACT, False),
    ],
)
def test_a_sum_that_is_near_the_greatest_number_may_overflow(row, tolerance, may):
    pair = replace(RELU, tolerance=tolerance)
    with silence():
        assert may_overflow(pair, case_of_relu(row, pair)) is may
