"""What is said of the wrong elements of an output."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from ptxbench.mismatch import region_of, relation_of

RIGHT = np.random.default_rng(1).random((16, 16)) + 1
FEW = np.where(np.arange(256).reshape(16, 16) < 7, 0.0, RIGHT)


@given(arrays(bool, array_shapes(max_dims=3, max_side=7)))
def test_no_wrong_element_is_outside_the_region(wrong):
    region = region_of(wrong)
    assert not region or wrong[eval(f"np.s_{region}")].sum() == wrong.sum()


def shifted(distance, fill=9.0):
    flat = np.full(256, fill)
    if distance > 0:
        flat[:-distance] = RIGHT.reshape(-1)[distance:]
    else:
        flat[-distance:] = RIGHT.reshape(-1)[:distance]
    return flat.reshape(16, 16)


@pytest.mark.parametrize(
    ("actual", "sentence"),
    [
        (RIGHT, ""),
        (np.where(RIGHT > 1.5, 0.0, RIGHT), "All of them are 0."),
        (FEW, ""),
        (2 * RIGHT, "Each is 2 times the expected value."),
        (np.where(RIGHT > 1.5, -RIGHT / 3, RIGHT), "Each is -0.3333 times the expected value."),
        (np.where(RIGHT > 1.5, 2 * RIGHT, 3 * RIGHT), ""),
        (np.where(RIGHT > 1.5, RIGHT + 1e-3, RIGHT), "Each is 0.001 more than the expected value."),
        (RIGHT - 16, "Each is 16 less than the expected value."),
        (np.where(RIGHT > 1.5, RIGHT - 1, RIGHT + 1), ""),
        (RIGHT[:, np.arange(16) ^ 1], "Each has the value that is expected at its index ^ 1."),
        (RIGHT[:, np.arange(16) ^ 8], "Each has the value that is expected at its index ^ 8."),
        (RIGHT.T.copy(), "They have the values that are expected in the transposed array."),
        (shifted(1), "They have the values that are expected 1 element after them."),
        (shifted(-4), "They have the values that are expected 4 elements before them."),
        (shifted(16), "They have the values that are expected 16 elements after them."),
        (np.where(np.arange(16) == 3, np.nan, 2 * RIGHT), ""),
        (np.random.default_rng(2).random((16, 16)), ""),
    ],
)
def test_a_rule_that_holds_for_all_wrong_elements_is_a_sentence(actual, sentence):
    bounds = np.full(RIGHT.shape, 1e-6)
    wrong = ~(np.abs(actual - RIGHT) <= bounds)
    assert relation_of(actual, RIGHT, bounds, wrong) == sentence


def test_an_offset_of_integers_is_exact():
    """196,608 is 3 times 65536, which 1.966e+05 hides."""
    expected = np.arange(64)
    assert relation_of(expected - 196_608, expected, np.zeros(64), np.ones(64, bool)) == (
        "Each is 196,608 less than the expected value."
    )


def test_one_wrong_value_in_place_of_one_expected_value_has_no_factor():
    """A character instead of another one."""
    expected = np.where(np.arange(64) % 2, 47, 65)
    actual = np.where(expected == 47, 45, expected)
    assert relation_of(actual, expected, np.zeros(64), actual != expected) == "Each has these two values."


def test_values_that_are_all_alike_are_not_said_to_come_from_elsewhere():
    expected, actual = np.ones(64), np.ones(64)
    actual[:20] = 5
    expected[20:] = 5
    bounds = np.zeros(64)
    assert relation_of(actual, expected, bounds, actual != expected) == ""
