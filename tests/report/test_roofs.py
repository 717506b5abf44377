"""The roofline of a run: its ceilings and points are where the ticks of its axes say."""

from dataclasses import replace
from itertools import pairwise
from math import log

import pytest

from ptxbench.report.roofs import BOTTOM, HIGH, LEFT, RIGHT, TOP, WIDE, roofline_of
from ptxbench.result import WARM
from tests.report.pages import LIMITS, timed_run

UNITS = {"flop/s": 1.0, "Gflop/s": 1e9, "Tflop/s": 1e12, "Pflop/s": 1e15}


def cells(pair):
    return [cell for cell in timed_run().cells if cell.pair == pair]


def number(text):
    return float(text.replace(",", ""))


def reader(ticks):
    """The value at a position of an axis, from its first and its last tick: (position, value)."""
    (start, low), (end, high) = ticks[0], ticks[-1]
    return lambda at: low * (high / low) ** ((at - start) / (end - start))


def axes(picture):
    """How to read an intensity and a rate off the picture."""
    rates = [(at, number(text.split()[0]) * UNITS[text.split()[1]]) for at, text in picture.y_ticks]
    return reader([(at, number(text)) for at, text in picture.x_ticks]), reader(rates)


def close(value):
    return pytest.approx(value, rel=0.02)


def test_the_ceilings_and_the_points_of_a_roofline_are_where_its_axes_say():
    [_, cell] = cells("triad")
    picture = roofline_of([cell])
    intensity, rate = axes(picture)
    memory, f32, tensor = picture.roofs
    assert [roof.name for roof in picture.roofs] == [
        "memory 3.350 TB/s", "f32 67.00 Tflop/s", "tensor cores 989.0 Tflop/s",
    ]  # fmt: skip
    for x, y in memory.points:
        assert rate(y) == close(LIMITS.bytes_per_s * intensity(x))
    assert rate(memory.points[1][1]) == close(LIMITS.tensor)  # it ends at the highest ceiling
    for roof, peak in ((f32, LIMITS.f32), (tensor, LIMITS.tensor)):
        (start, y), (end, y_of_end) = roof.points
        assert (rate(y), y_of_end, end) == (close(peak), y, WIDE - RIGHT)
        assert intensity(start) == close(peak / LIMITS.bytes_per_s)
    assert [point.label for point in picture.points] in (["triad", ""], ["", "triad"])
    for point in picture.points:
        assert intensity(point.x) == close(1 / 3)
        assert rate(point.y) == close(4 * (16 << 20) / 640e-6)
        assert point.title == f"triad: 0.333 flop/byte, {'cuda 105.0' if point.hollow else 'ptx 104.9'} Gflop/s"
    assert sorted(point.hollow for point in picture.points) == [False, True]


def test_ticks_are_powers_of_ten_within_the_picture():
    picture = roofline_of(cells("triad"))
    values = [number(text) for _, text in picture.x_ticks]
    assert values == [10.0 ** round(log(value, 10)) for value in values] == sorted(values)
    for positions, start, end in ((picture.x_ticks, LEFT, WIDE - RIGHT), (picture.y_ticks, TOP, HIGH - BOTTOM)):
        assert len(positions) > 2
        assert all(start <= at <= end for at, _ in positions)
        steps = [later - at for (at, _), (later, _) in pairwise(positions)]
        assert max(steps) - min(steps) < 0.3  # equal, but for the rounding


def test_launches_with_data_in_l2_are_not_on_the_roofline():
    small, large = cells("triad")
    warm = replace(large, cache=WARM)
    assert roofline_of([small, warm]) == roofline_of([small])
    assert roofline_of([warm]) is None
