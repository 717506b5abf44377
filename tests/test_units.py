"""Numbers for people."""

import pytest

from ptxbench import units
from ptxbench.units import column, error, si, size_words

NUMBERS = [
    (None,           "s",      "-"),
    (0.0,            "s",      "0.000 s"),
    (1.234e-5,       "s",      "12.34 µs"),
    (0.1,            "s",      "100.0 ms"),
    (12.0,           "s",      "12.00 s"),
    (1.94e12,        "B/s",    "1.940 TB/s"),
    (3.2e15,         "flop/s", "3,200 Tflop/s"),
    (0,              "",       "0"),
    (4096,           "",       "4,096"),
    (99_999,         "",       "99,999"),
    (100_000,        "",       "100.0 k"),
    (1_048_576,      "",       "1.049 M"),
    (1.5,            "",       "1.500"),
    (0.25,           "",       "0.250"),
    (1024,           "B",      "1,024 B"),
    (0.75,           "%",      "75 %"),
    (0.9123,         "×",      "0.912 ×"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "unit", "text"), NUMBERS)
def test_a_number_is_written_with_its_unit(value, unit, text):
    assert si(value, unit) == text


COLUMNS = [
    ([1.2e-5, 1.3e-4, None],   "s", ("µs", ["12.0", "130.0", "-"])),
    ([12, 99_999],             "",  ("",   ["12", "99,999"])),
    ([12, 2_000_000],          "",  ("",   ["12", "2,000,000"])),      # 12 must not become 0.000
    ([0, 400_000, 2_000_000],  "",  ("M",  ["0.000", "0.400", "2.000"])),
    ([1e-6, 1e-3],             "s", ("µs", ["1.0", "1,000.0"])),
    ([1.5, 12],                "",  ("",   ["1.50", "12.00"])),
    ([None, None],             "",  ("",   ["-", "-"])),
    ([0.5, 1.0],               "%", ("%",  ["50", "100"])),
    ([None, None],             "s", ("s",  ["-", "-"])),
    ([1.2e-7, 0.0, None],      "error", ("", ["1.2e-07", "0", "-"])),
    ([],                       "s", ("s",  [])),
]  # fmt: skip


@pytest.mark.parametrize(("values", "unit", "result"), COLUMNS)
def test_a_column_has_one_prefix_and_equally_many_decimals(values, unit, result):
    assert column(values, unit) == result


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.0, "0"), (1.19e-7, "1.2e-07")])
def test_an_error_shows_its_order(value, text):
    assert error(value) == text


def test_a_size_reads_as_it_is_typed():
    assert size_words({"rows": 3, "columns": 257}) == "rows=3 columns=257"


def test_names_and_numbers_of_things_read_as_they_are_said():
    names = ["a", "b", "c"]
    assert [units.enumeration(names[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert [units.plural(count, "cell") for count in (0, 1, 2048)] == ["0 cells", "1 cell", "2,048 cells"]


def test_a_range_is_one_number_if_both_ends_look_the_same():
    assert units.ranges([(2.9, 3.1), (3.0, 3.0), (3.001, 3.002), None], "") == (
        "", ["2.900 - 3.100", "3.000", "3.001 - 3.002", "-"]
    )  # fmt: skip
    assert units.ranges([(0.5, 0.501)], "%") == ("%", ["50"])
