"""Plots of curves in characters: positions of values, their symbols, and that they fit."""

import io

import pytest
from rich.console import Console

from ptxbench.stats import Interval
from ptxbench.terminal.plot import pictures
from ptxbench.tune import Reading
from ptxbench.tune.panels import Panel, PanelLine, PanelScale, scale_of, value_words


def reading(value, half=0.0):
    return Reading(Interval(value - half, value, value + half))


def line(name, *values, **options):
    return PanelLine(name, [None if value is None else reading(value) for value in values], **options)


def printed(panels, width=44, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, highlight=False)
    for picture in pictures(panels, "s", console.options.ascii_only, width):
        console.print(picture)
    file.flush()
    return [text.rstrip() for text in file.buffer.getvalue().decode(encoding).splitlines()]


PANEL = Panel(
    "cuda", "n", (1, 2, 4096), "chunk", [line("4K", 1e-3, 2e-3, 3e-3, best=0), line("8K", None, 3e-3, 1e-3)], 2
)


def test_markers_are_at_their_values_and_the_best_is_on_top():
    text = printed([PANEL])
    assert text[:2] == ["cuda", "ms"]
    rows = [row[7:] for row in text[2:11]]
    assert (rows[8][0], rows[0].index("■"), rows[0].rindex("●"), rows[8].rindex("■")) == ("★", 17, 34, 34)
    assert rows[4][17] == "●"
    assert [text[2][:5], text[6][:5], text[10][:5]] == ["3.000", "2.000", "1.000"]
    assert text[11].split() == ["1", "2", "4K"]
    assert text[-1].split() == ["chunk", "●", "4K", "■", "8K", "★", "best"]


def test_the_value_of_the_pair_is_marked_where_no_line_is():
    rows = [row[7:] for row in printed([PANEL])[2:11]]
    assert rows[8][17] == "┊"
    assert "┊" not in "".join(row[:17] + row[18:] for row in rows)


def test_a_terminal_without_symbols_gets_letters():
    text = printed([PANEL], encoding="ascii")
    assert set("".join(text)) <= {chr(code) for code in range(32, 127)}
    assert text[-1].split() == ["chunk", "o", "4K", "x", "8K", "*", "best"]


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width):
    assert max(map(len, printed([PANEL] * 3, width))) <= width


def test_panels_without_any_value_have_a_note():
    assert printed([Panel("", "n", (1, 2), "variant", [line("cuda", None, None)])]) == ["  no value"]


# values, scale
SCALES = [
    ((1.0, 5.0), PanelScale(1.0, 5.0, logarithmic=False)),
    ((1.0, 10.0), PanelScale(1.0, 10.0, logarithmic=True)),
    ((-1.0, 100.0), PanelScale(-1.0, 100.0, logarithmic=False)),
    ((0.0, 0.0), PanelScale(-1.0, 1.0, logarithmic=False)),
    ((20.0, 20.0), PanelScale(19.0, 21.0, logarithmic=False)),
    ((32.0, 33.0), PanelScale(32.0, 33.0, logarithmic=False)),  # the middle is 32.5, not 32
    ((31.0, 250.0), PanelScale(31.0, 250.0, logarithmic=False)),
]


@pytest.mark.parametrize(("values", "scale"), SCALES)
def test_a_scale_contains_all_values_and_is_logarithmic_over_a_decade(values, scale):
    result = scale_of([Panel("", "n", values, "variant", [line("cuda", *values)])])
    assert result == scale
    assert (result.share(result.low), result.share(result.middle), result.share(result.high)) == pytest.approx(
        (0, 0.5, 1), abs=0.05
    )


def test_the_middle_of_a_scale_of_whole_numbers_is_one_if_that_is_close():
    scales = [(32.0, 33.0, False), (1.0, 10.0, True), (0.0, 11.0, False), (0.5, 2.5, False)]
    middles = [PanelScale(low, high, logarithmic).middle for low, high, logarithmic in scales]
    assert middles == [32.5, 3.0, 6.0, 1.5]


def test_a_scale_contains_the_intervals():
    scale = scale_of([Panel("", "n", (1,), "variant", [PanelLine("cuda", [reading(5.0, half=3.0)])])])
    assert (scale.low, scale.high) == (2.0, 8.0)


@pytest.mark.parametrize(("value", "text"), [
    (0, "0"), (1000, "1000"), (1024, "1024"), (4096, "4K"), (4097, "4097"), (65536, "64K"), (1 << 20, "1M"),
    (3 << 30, "3G"),
])  # fmt: skip
def test_powers_of_two_are_short(value, text):
    assert value_words(value) == text
