"""Verification: agreement, disagreement, and how the worst element is reported."""

import dataclasses
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxbench import verify as verify_module
from ptxbench.arrays import poison
from ptxbench.discovery import load
from ptxbench.emulator import accuracy
from ptxbench.errors import PairError
from ptxbench.pair import (
    EXACT,
    In,
    InOut,
    Launch,
    Out,
    Pair,
    Sample,
    Scalar,
    Scratch,
    Tolerance,
    bf16,
    close,
    f16,
    f32,
    f64,
    relative,
    s32,
    u8,
    u32,
    u64,
    ulps,
)
from ptxbench.verify import Verdict, agrees, bound, expect, output_errors, verify, widen

NAN, INF = np.nan, np.inf
ULP = 2.0**-23

AGREEMENT = [
    # actual, expected, bound, dtype, agrees
    (1.0,        1.0,         0.0,    f32, True),
    (1.0 + ULP,  1.0,         ULP,    f32, True),
    (1.0 + ULP,  1.0,         ULP/2,  f32, False),
    (0.0,        -0.0,        0.0,    f32, True),      # the values are equal
    (1/3,        1/3,         0.0,    f32, True),      # the reference, rounded once
    (NAN,        1.0,         INF,    f32, False),     # NaN is within no bound
    (1.0,        NAN,         INF,    f32, False),
    (NAN,        NAN,         0.0,    f32, True),
    (INF,        INF,         0.0,    f32, True),
    (INF,        -INF,        INF,    f32, False),
    (1.0,        2.0,         INF,    f32, False),     # an infinite bound allows nothing
    (1.0,        2.0,         NAN,    f32, False),
    (INF,        1e39,        0.0,    f32, True),      # what 1e39 is in f32
    (3.4e38,     INF,         1e30,   f32, False),
    (7,          7,           0.0,    s32, True),
    (7,          8,           0.0,    s32, False),
    (7,          8,           1.0,    s32, True),
    (0,          2**32,       0.0,    u32, False),     # not what is left of it in 32 bits
    (2**64 - 1,  -1,          0.0,    u64, False),
    (2**53 + 1,  2**53 + 1,   0.0,    u64, True),
]  # fmt: skip


@pytest.mark.parametrize(("actual", "expected", "bound", "dtype", "result"), AGREEMENT)
def test_an_element_agrees_within_its_bound(actual, expected, bound, dtype, result):
    wide = np.float64 if dtype.kind == "f" else np.int64
    with np.errstate(over="ignore"):
        arrays = np.array([actual], dtype), np.array([expected], wide), np.array([bound], np.float64)
    assert agrees(*arrays).tolist() == [result]


def test_shapes_must_be_equal_because_numpy_would_stretch_one():
    for shapes in [((3,), (1,), (3,)), ((3,), (3,), (1,)), ((3, 1), (3,), (3,))]:
        for judge in (agrees, output_errors):
            with pytest.raises(ValueError, match="shapes differ"):
                judge(*map(np.zeros, shapes))


def pair(tolerance=EXACT, reference=lambda x, a, n: {"y": a * x}, dtype=f32, shape=lambda n: (n,)):
    return Pair(
        purpose="",
        args=[In("x", dtype, shape), Out("y", dtype, shape), Scalar("a", dtype, 2), Scalar("n", u32, lambda n: n)],
        launch=lambda n: Launch(1, n),
        reference=reference,
        tolerance=tolerance,
        check_sizes=[{"n": 3}],
        bench_sizes=[{"n": 3}],
        flops=lambda n: n,
    )


def arguments_and_expected(tested_pair, n=3, *, integers=False):
    arguments = tested_pair.make_arguments({"n": n}, seed=1, integers=integers)
    return arguments, expect(tested_pair, arguments, integers=integers)


def test_right_outputs_are_verified_with_their_greatest_error():
    arguments, expected = arguments_and_expected(pair(ulps(1)))
    y = arguments["x"] * np.float32(2)
    assert verify({"y": y}, expected, "").max_error == 0.0
    y[1] = np.nextafter(y[1], np.float32(9))
    verdict = verify({"y": y}, expected, "")
    assert verdict.worst is None
    assert verdict.max_error == abs(float(y[1]) - 2 * float(arguments["x"][1]))


def test_the_error_of_a_correctly_rounded_result_is_its_rounding():
    tested_pair = pair(ulps(1), reference=lambda x, a, n: {"y": x / 3})
    arguments, expected = arguments_and_expected(tested_pair)
    y = (arguments["x"].astype(np.float64) / 3).astype(np.float32)
    assert 0 < verify({"y": y}, expected, "").max_error < 2**-25


def test_a_narrow_result_that_must_be_exact_and_is_has_no_error():
    """Whole numbers whose sum has more bits than bf16."""
    tested_pair = pair(ulps(1), dtype=bf16, reference=lambda x, a, n: {"y": 257 * x})
    arguments, expected = arguments_and_expected(tested_pair, integers=True)
    y = (257 * arguments["x"].astype(np.float64)).astype(bf16)
    assert np.any(y.astype(np.float64) != 257 * arguments["x"].astype(np.float64))
    assert verify({"y": y}, expected, "") == Verdict(0.0)
    y[1] += 8
    assert verify({"y": y}, expected, "").max_error > 0


def test_equal_infinities_and_nans_have_no_error():
    tested_pair = pair(ulps(1), reference=lambda x, a, n: {"y": np.array([INF, NAN, -INF])})
    _, expected = arguments_and_expected(tested_pair)
    assert verify({"y": np.array([INF, NAN, -INF], f32)}, expected, "").max_error == 0.0


def test_an_infinity_that_a_narrow_type_rounds_to_has_no_greatest_error():
    tested_pair = pair(ulps(1), dtype=f16, reference=lambda x, a, n: {"y": np.array([7e4, 1, -7e4])})
    _, expected = arguments_and_expected(tested_pair)
    assert verify({"y": np.array([INF, 1, -INF], f16)}, expected, "") == Verdict(None)
    ones = np.ones(3)
    outputs, bounds = {**expected.outputs, "z": ones}, {**expected.bounds, "z": ones}
    both = dataclasses.replace(expected, outputs=outputs, bounds=bounds)
    assert verify({"y": np.array([INF, 1, -INF], f16), "z": np.ones(3, f16)}, both, "") == Verdict(None)


def test_the_worst_element_is_reported_with_its_index():
    arguments, expected = arguments_and_expected(pair(ulps(1), shape=lambda n: (n, 257)))
    y = arguments["x"] * np.float32(2)
    y[2, 31], y[0, 5] = 5.0, 3.0
    expected_value = 2 * float(arguments["x"][2, 31])
    assert verify({"y": y}, expected, "scale.ptx, n=3").worst == (
        f"scale.ptx, n=3: y[2, 31] is 5, expected {expected_value:.9g}; 2 of 771 elements are outside 1 ulp."
    )


@pytest.mark.parametrize(
    ("value", "start"),
    [
        (np.float32(np.nan), "y[1] is nan, expected "),
        (poison((1,), f32)[0], "y[1] is nan (0xFF bytes, as if never written), expected "),
    ],
)
def test_a_nan_is_the_worst_of_all_and_has_no_greatest_error(value, start):
    arguments, expected = arguments_and_expected(pair(ulps(1)))
    y = arguments["x"] * np.float32(2)
    y[0], y[1] = 1e30, value
    verdict = verify({"y": y}, expected, "scale.ptx, n=3")
    assert start in verdict.worst
    assert verdict.worst.endswith("2 of 3 elements are outside 1 ulp.")
    assert verdict.max_error is None


def test_whole_numbers_are_compared_as_such():
    tested_pair = pair(dtype=s32, reference=lambda x, a, n: {"y": np.clip(a * x, -(2**31), 2**31 - 1)})
    _, expected = arguments_and_expected(tested_pair)
    y = expected.outputs["y"].astype(np.int32)
    assert verify({"y": y}, expected, "").worst is None
    y[2] ^= 1
    wanted = expected.outputs["y"][2]
    assert (
        verify({"y": y}, expected, "f").worst == f"f: y[2] is {y[2]}, expected {wanted}; 1 of 3 elements is not equal."
    )


def test_integer_data_is_compared_exactly_whatever_the_tolerance():
    tested_pair = pair(relative(1.0, of=lambda x, a, n: abs(x)))
    arguments, expected = arguments_and_expected(tested_pair, integers=True)
    y = arguments["x"] * np.float32(2)
    y[0] += np.float32(0.5)
    assert verify({"y": y}, expected, "").worst.endswith("1 of 3 elements is not equal.")
    _, loose = arguments_and_expected(tested_pair)
    assert loose.tolerance != expected.tolerance


def test_inputs_without_an_integer_range_come_from_the_pair_in_the_integer_check_too():
    own_values = In("x", u32, lambda n: (n,), values=lambda rng, shape, n: 9 + np.arange(n), integers=None)
    tested_pair = dataclasses.replace(pair(), args=[own_values])
    for integers in (False, True):
        assert tested_pair.make_arguments({"n": 3}, seed=1, integers=integers)["x"].tolist() == [9, 10, 11]


def test_chunks_give_the_same_result_as_one_piece(monkeypatch):
    arguments, expected = arguments_and_expected(pair(ulps(1)), n=1000)
    y = arguments["x"] * np.float32(2)
    y[[3, 500, 999]] = 7.0, 9.0, 8.0
    in_one_piece = verify({"y": y}, expected, "")
    monkeypatch.setattr(verify_module, "CHUNK", 7)
    assert verify({"y": y}, expected, "") == in_one_piece
    assert "y[500] is 9" in in_one_piece.worst


NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 1 + 2.0**-30, -1.5, 7.0, 1e-8, 2.0**53 + 2, NAN, INF, -INF])


@given(
    rows=st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from([0.0, 1e-8, 0.5, INF])), min_size=1),
    dtype=st.sampled_from([np.float32, np.float64, np.uint64]),
    alike=st.booleans(),
    one_bound=st.booleans(),
)
def test_an_output_is_right_exactly_if_each_element_agrees(rows, dtype, alike, one_bound):
    actual, expected, bounds = np.array(rows).T
    with np.errstate(invalid="ignore"):
        actual = (expected if alike else actual).astype(dtype)
    bounds = np.broadcast_to(bounds[0], bounds.shape) if one_bound else bounds
    judged = verify_module.output_errors(actual, expected, bounds)
    agreeing = agrees(actual, expected, bounds)
    assert judged.outside == (~agreeing).sum()
    errors = verify_module.errors(actual, expected)
    assert judged.greatest == max(errors[~agreeing | bounds.any()], default=0.0)


def test_an_empty_output_agrees():
    _, expected = arguments_and_expected(pair(), n=0)
    assert verify({"y": np.zeros(0, f32)}, expected, "").max_error == 0.0


def test_an_output_without_dimensions_is_reported_without_index():
    tested_pair = pair(reference=lambda x, a, n: {"y": x.sum()}, shape=lambda n: (n,))
    tested_pair = dataclasses.replace(
        tested_pair, args=[tested_pair.args[0], Out("y", f64, lambda n: ()), *tested_pair.args[2:]]
    )
    _, expected = arguments_and_expected(tested_pair)
    assert verify({"y": np.array(5.0)}, expected, "f").worst.startswith("f: y is 5, expected ")


def test_a_reference_gets_wide_and_read_only_inputs_and_no_outputs():
    args = [In("b", u8, lambda n: (n,)), In("x", f32, lambda n: (n,)), Out("y", f32, lambda n: (n,)),
            InOut("sum", f64, lambda n: (1,)), In("k", u64, lambda n: (n,)), Scalar("a", f32, 0.1)]  # fmt: skip
    tested_pair = dataclasses.replace(pair(), args=args)
    inputs = widen(tested_pair, tested_pair.make_arguments({"n": 3}, 1))
    types = {"b": np.int64, "x": np.float64, "sum": np.float64, "k": np.uint64, "a": np.float64}
    assert {name: value.dtype.type for name, value in inputs.items()} == types
    assert inputs["a"] == np.float64(np.float32(0.1))
    with pytest.raises(ValueError, match="read-only"):
        inputs["x"] += 1


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (lambda x, a, n: {"z": x},               "reference returns 'z', but not 'y'. It must return a dict with"),
        (lambda x, a, n: x,                      "reference returns <class 'numpy.ndarray'>, but not 'y'."),
        (lambda x, a, n: {"y": x[1:]},           "reference returns 'y' with the shape (2,); expected (3,)."),
        (lambda x, a, n: {"y": x.astype(f32)},   "reference returns 'y' as float32; expected float64"),
    ],
)  # fmt: skip
def test_a_reference_with_an_invalid_result_is_an_error_of_the_pair(reference, message):
    with pytest.raises(PairError) as caught:
        arguments_and_expected(pair(reference=reference))
    assert str(caught.value).startswith(message)


def test_a_bound_of_another_shape_is_an_error_of_the_pair():
    with pytest.raises(PairError, match=r"the tolerance of 'y' has the shape \(1,\)"):
        arguments_and_expected(pair(relative(1.0, of=lambda x, a, n: x[:1])))


def test_integers_with_the_same_float64_are_distinguished():
    actual, expected = np.array([2**63 + 1], np.uint64), np.array([2**63], np.uint64)
    assert not agrees(actual, expected, np.zeros(1)).any()
    assert agrees(expected, expected, np.zeros(1)).all()


# ---- what approximate instructions may be off


def expected_of(values, tolerance=EXACT, dtype=f32):
    tested_pair = pair(
        tolerance, lambda x, a, n: {"y": np.array(values, np.float64 if dtype.kind == "f" else np.int64)}, dtype
    )
    return arguments_and_expected(tested_pair, len(values))[1]


@pytest.mark.parametrize(
    ("opcode", "off", "result"),
    [
        ("ex2.approx.f32",   2 * ULP,      True),
        ("ex2.approx.f32",   4 * ULP,      False),   # 2 ulp of ex2 and 1 of the pair's own
        ("rcp.approx.f32",   2 * ULP,      True),
        ("rcp.approx.f32",   3 * ULP,      False),
        ("lg2.approx.f32",   2.0**-22,     True),
        ("tanh.approx.f32",  2.0**-11,     True),
        ("tanh.approx.f32",  2.0**-10,     False),
    ],
)  # fmt: skip
def test_a_bound_includes_the_error_of_approximate_instructions(opcode, off, result):
    expected = expected_of([1.0, 1.0], ulps(1))
    outputs = {"y": np.array([1.0, 1.0 + off], f32)}
    assert (verify(outputs, expected, "y").worst is None) == (off <= ULP)
    wider = expected.widened({opcode: accuracy.bound(opcode).at})
    assert (verify(outputs, wider, "y").worst is None) == result
    assert wider.tolerance == f"1 ulp, plus the error of {opcode}"


def test_the_errors_of_several_instructions_add_up_each_once():
    opcodes = ("ex2.approx.f32", "rcp.approx.f32")
    wider = expected_of([1.0], ulps(1)).widened({opcode: accuracy.bound(opcode).at for opcode in opcodes})
    assert wider.bounds["y"].tolist() == [4 * ULP]


def test_exact_and_integer_outputs_stay_exact():
    error = {"ex2.approx.f32": accuracy.bound("ex2.approx.f32").at}
    assert expected_of([1.0]).widened(error) == expected_of([1.0])
    integers = expected_of([7, 8], relative(0, of=lambda x, a, n: 1), s32)
    assert integers.widened(error).bounds["y"].tolist() == [0, 0]
    assert expected_of([1.0], ulps(1)).widened({}).tolerance == "1 ulp"


# ---- bf16, which NumPy itself lacks: 8 bits of precision

BF16_ULP = 2.0**-7

BF16 = [
    # actual, expected, ulps allowed, agrees
    (1.0,             1.0,                  0,   True),
    (1.0,             1.0 + BF16_ULP / 4,   0,   True),      # the reference, rounded once
    (1.0,             1.0 + BF16_ULP,       0,   False),
    (1.0,             1.0 + BF16_ULP,       1,   True),
    (1.0 - BF16_ULP,  1.0 + BF16_ULP,       1,   False),
    (NAN,             1.0,                  9,   False),
    (NAN,             NAN,                  0,   True),
    (INF,             3.4e38,               0,   True),      # beyond the greatest
    (2.0**-133,       2.0**-133,            0,   True),      # the least of all
    (0.0,             2.0**-133,            0,   False),
]  # fmt: skip


@pytest.mark.parametrize(("actual", "expected", "count", "result"), BF16)
def test_bf16_agrees_as_other_floats_do(actual, expected, count, result):
    with np.errstate(over="ignore", invalid="ignore"):
        arrays = np.array([actual]).astype(bf16), np.array([expected])
        bound = np.broadcast_to(ulps(count, bf16).bound(arrays[1], {}), (1,))
    assert agrees(*arrays, bound).tolist() == [result]


def test_a_wrong_element_of_bf16_is_reported_with_its_digits():
    arguments, expected = arguments_and_expected(pair(ulps(1, bf16), dtype=bf16))
    y = (arguments["x"].astype(f32) * 2).astype(bf16)
    assert verify({"y": y}, expected, "").worst is None
    y[1] = bf16.type(1 / 3)
    assert re.match(
        r"scale\.ptx: y\[1\] is 0\.33398, expected -?\d\S*; 1 of 3 elem", verify({"y": y}, expected, "scale.ptx").worst
    )


def test_a_reference_is_given_bf16_as_float64(tmp_path):
    tested_pair = pair(dtype=bf16)
    inputs = widen(tested_pair, tested_pair.make_arguments({"n": 3}, 1))
    assert (inputs["x"].dtype, inputs["a"].dtype) == (f64, f64)


# ---- outputs with a sample as reference


def sampled(at, values):
    return pair(
        ulps(1), reference=lambda x, a, n: {"y": Sample(at, values(a * x.reshape(-1)))}, shape=lambda n: (n, 10)
    )


def test_the_worst_element_of_a_sample_is_reported_with_its_index_in_the_output():
    arguments, expected = arguments_and_expected(sampled([29, 0, 13], lambda y: y[[29, 0, 13]]))
    y = arguments["x"] * np.float32(2)
    y[2, 8] = 9.0
    assert verify({"y": y}, expected, "").worst is None
    y[1, 3] = 5.0
    message = verify({"y": y}, expected, "scale.ptx").worst
    assert message.startswith("scale.ptx: y[1, 3] is 5, expected ")
    assert message.endswith("; 1 of 3 elements is outside 1 ulp.")


def test_the_greatest_error_is_taken_over_the_sample():
    arguments, expected = arguments_and_expected(sampled([4], lambda y: y[[4]]))
    y = arguments["x"] * np.float32(2)
    y[0, 5] = NAN
    assert verify({"y": y}, expected, "").max_error == 0.0
    y[0, 4] = np.nextafter(y[0, 4], np.float32(9))
    assert verify({"y": y}, expected, "").max_error > 0.0


@pytest.mark.parametrize(
    ("at", "values", "message"),
    [
        ([30],     lambda y: y[:1],   "the Sample of 'y' has the index 30; expected 0 to 29."),
        ([0, -1],  lambda y: y[:2],   "the Sample of 'y' has the index -1; expected 0 to 29."),
        ([0, 1],   lambda y: y[:1],   "reference returns 'y' with the shape (1,); expected (2,), as its Sample."),
        ([0],      lambda y: y[0],    "reference returns 'y' with the shape (); expected (1,), as its Sample."),
    ],
)  # fmt: skip
def test_a_sample_that_does_not_fit_is_an_error_of_the_pair(at, values, message):
    with pytest.raises(PairError) as caught:
        arguments_and_expected(sampled(at, values))
    assert str(caught.value) == message


# ---- without verification


def test_scratch_has_no_reference_and_no_verdict():
    tested_pair = pair()
    tested_pair = dataclasses.replace(tested_pair, args=[*tested_pair.args, Scratch("tickets", u32, lambda n: (n,), 5)])
    arguments, expected = arguments_and_expected(tested_pair)
    assert arguments["tickets"].tolist() == [5, 5, 5]
    assert "tickets" not in widen(tested_pair, arguments)
    assert list(expected.outputs) == ["y"]
    outputs = {"y": arguments["x"] * np.float32(2), "tickets": np.array([1, 2, 3], np.uint32)}
    assert verify(outputs, expected, "").worst is None
    assert tested_pair.outputs == ("y", "tickets")


# ---- large sizes, a part at a time

ROWS = Pair(
    purpose="",
    args=[In("x", f32, lambda rows, columns: (rows, columns)), In("w", f32, lambda rows, columns: (columns,)),
          Out("y", f32, lambda rows, columns: (rows, columns)),
          InOut("sum_", f32, lambda rows, columns: (rows,), start=2)],
    launch=lambda rows, columns: Launch(1, 32),
    reference=lambda x, w, sum_: {"y": x * w, "sum_": sum_ + x.sum(axis=1)},
    tolerance=Tolerance("x", lambda expected, inputs: 1e-6 * np.abs(inputs["x"].reshape(len(inputs["x"]), -1)
                                                                    if expected.ndim > 1 else inputs["sum_"])),
    check_sizes=[{"rows": 1, "columns": 1}],
    bench_sizes=[{"rows": 1, "columns": 1}],
    flops=lambda rows, columns: 1,
)  # fmt: skip


@pytest.mark.parametrize(("rows", "columns"), [(1, 40), (7, 3), (7, 8), (16, 8), (100, 1), (8, 8)])
def test_a_reference_by_rows_matches_the_whole_reference(monkeypatch, rows, columns):
    """Also with equal numbers of rows and columns: the pair, not the shape, says which arrays share the rows."""
    monkeypatch.setattr(verify_module, "CHUNK", 16)
    sizes = []

    def reference(x, w, sum_):
        sizes.append(x.size)
        assert w.size == columns
        return ROWS.reference(x, w, sum_)

    arguments = ROWS.make_arguments({"rows": rows, "columns": columns}, 1)
    by_rows = dataclasses.replace(ROWS, by_rows=["x"], reference=reference)
    expected, complete = expect(by_rows, arguments), expect(ROWS, arguments)
    assert max(sizes) <= max(16, columns)
    assert sum(sizes) == rows * columns
    for name in ("y", "sum_"):
        assert np.array_equal(expected.outputs[name], complete.outputs[name])
        assert np.array_equal(expected.bounds[name], complete.bounds[name])
    assert (expected.tolerance, expected.samples) == (complete.tolerance, {})
    exact = expect(by_rows, arguments, integers=True)
    assert not any(bound.any() for bound in exact.bounds.values())


def test_a_reference_by_rows_gives_no_sample(monkeypatch):
    monkeypatch.setattr(verify_module, "CHUNK", 4)
    sampled = dataclasses.replace(
        pair(ulps(1), reference=lambda x, a, n: {"y": Sample([0], a * x[:1])}, shape=lambda n: (n,)), by_rows=["x"]
    )
    with pytest.raises(PairError, match=r"a Sample\. A reference that is computed by_rows must return all elements\."):
        expect(sampled, sampled.make_arguments({"n": 9}, 1))


def test_an_input_that_is_not_widened_is_passed_unchanged_and_read_only():
    tested_pair = pair(EXACT)
    tested_pair = dataclasses.replace(
        tested_pair, args=[dataclasses.replace(tested_pair.args[0], widened=False), *tested_pair.args[1:]]
    )
    arguments = tested_pair.make_arguments({"n": 3}, 1)
    inputs = widen(tested_pair, arguments)
    assert (inputs["x"].dtype, np.shares_memory(inputs["x"], arguments["x"])) == (f32, True)
    assert not inputs["x"].flags.writeable
    assert arguments["x"].flags.writeable
    with pytest.raises(PairError, match=r"reference returns 'y' as float32; expected float64"):
        expect(dataclasses.replace(tested_pair, reference=lambda x, a, n: {"y": x * np.float32(2)}), arguments)


def test_a_transposed_reference_is_judged_in_parts_and_the_worst_element_reported(monkeypatch):
    monkeypatch.setattr(verify_module, "CHUNK", 16)
    x = np.arange(35.0).reshape(5, 7)
    actual = np.ascontiguousarray(x.T).astype(f32)
    zeros = np.broadcast_to(0.0, (7, 5))
    assert verify_module.output_errors(actual, x.T, zeros) == verify_module.OutputErrors(0.0, 0, 0)
    actual[4, 3] = 99
    actual[6, 0] = 7
    assert verify_module.output_errors(actual, x.T, zeros) == verify_module.OutputErrors(99 - x[3, 4], 2, 4 * 5 + 3)


@pytest.mark.parametrize(
    ("shape", "at", "region"),
    [
        ((100,),     np.s_[70:],                "[70:]"),
        ((100,),     np.s_[3::4],               "[3::4]"),
        ((100,),     np.s_[8:70:16],            "[8:57:16]"),
        ((100,),     np.s_[7:9],                ""),
        ((100,),     [1, 2, 60],                ""),
        ((100,),     np.s_[:80],                ""),
        ((4, 100),   np.s_[:, 96:],             "[:, 96:]"),
        ((4, 100),   np.s_[2, 5:10],            "[2, 5:10]"),
        ((1, 100),   np.s_[0, ::2],             "[:, ::2]"),
        ((4, 6, 10), np.s_[1:3, 5, :],          "[1:3, 5, :]"),
    ],
)  # fmt: skip
def test_a_region_with_all_wrong_elements_is_named(shape, at, region):
    actual = np.ones(shape, f32)
    actual[at] = 2
    ones = np.ones(shape)
    expected = verify_module.Expected({"y": ones}, {"y": np.zeros(shape)}, EXACT.describe)
    message = verify({"y": actual}, expected, "w").worst
    place = f", all in y{region}," if region else ""
    assert f"; {int((actual == 2).sum())} of {actual.size} elements{place} " in message


def test_what_wrong_elements_have_in_common_is_searched_without_a_warning_of_numpy():
    expected = np.r_[5e-324 * np.arange(1, 10), np.inf, np.nan, 1]
    actual = np.r_[np.full(9, 1e300), 0, 0, 1]
    judged = verify_module.Expected({"y": expected}, {"y": np.zeros(12)}, EXACT.describe)
    assert verify({"y": actual}, judged, "w").worst.endswith("11 of 12 elements are not equal.")
    finite = verify_module.Expected({"y": expected[:9]}, {"y": np.zeros(9)}, EXACT.describe)
    assert verify({"y": actual[:9]}, finite, "w").worst.endswith("9 of 9 elements are not equal.")


def test_a_large_reference_takes_little_memory_apart_from_its_result():
    """NumPy's peak memory: for triad 8 bytes per result, 8 per bound, and one part; for a sum only one part."""
    n = 1 << 22
    for name, most in (("triad", 16 * n + (100 << 20)), ("reduce_sum", 40 << 20), ("reduce_sum.s32", 40 << 20)):
        large = load(Path(__file__).parents[1] / "kernels", name).pair
        arguments = large.make_arguments({**large.bench_sizes[0], "n": n}, 1)
        tracemalloc.start()
        expect(large, arguments, integers=large.timed_on_integers)
        assert tracemalloc.get_traced_memory()[1] < most, name
        tracemalloc.stop()


# ---- tolerances


CLOSE = [
    # rtol, atol, expected
    (1e-3,  0.0,   [1.0, -1.0, 0.0, 1e30, NAN, INF, -INF]),
    (0.0,   1e-3,  [1.0, -1.0, 0.0, 1e30, NAN, INF, -INF]),
    (1e-2,  1e-3,  [1.0, -1.0, 0.0, 1e30, NAN, INF, -INF]),
    (0.0,   0.0,   [1.0, 0.0, NAN, INF]),
]  # fmt: skip


@pytest.mark.parametrize(("rtol", "atol", "expected"), CLOSE)
def test_close_accepts_what_numpy_calls_close(rtol, atol, expected):
    expected = np.array(expected)
    bounds = bound(close(rtol, atol).bound, "y", expected, {})
    tried = np.array([0.0, 0.999, 1.001, -1.0, 1.0125, 1e30, 1.02e30, NAN, INF, -INF])
    for actual in tried:
        array = np.full(expected.shape, actual)
        wanted = np.isclose(array, expected, rtol=rtol, atol=atol, equal_nan=True)
        assert agrees(array, expected, bounds).tolist() == wanted.tolist(), actual


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: close(NAN),                         "close has rtol nan, expected 0 or a positive number"),
        (lambda: close(1e-5, -1e-8),                 "close has atol -1e-08, expected"),
        (lambda: close(INF),                         "close has rtol inf, expected"),
        (lambda: ulps(-1),                           "ulps has the count -1, expected"),
        (lambda: relative(NAN, of=lambda x: x),      "relative has the error nan, expected"),
    ],
)  # fmt: skip
def test_an_impossible_tolerance_is_refused_where_it_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_bound_is_a_number_from_0_where_the_reference_is_finite():
    expected = np.array([1.0, NAN, INF])
    # NaN agrees only with NaN, whatever the bound
    assert np.isnan(bound(lambda expected, inputs: np.array([0, NAN, NAN]), "y", expected, {})[1:]).all()
    for unfit in (NAN, -1.0):
        with pytest.raises(PairError, match=rf"the tolerance of y\[0\] is {unfit:g}; expected 0 or more\."):
            bound(lambda expected, inputs, unfit=unfit: np.array([unfit, 0, 0]), "y", expected, {})
