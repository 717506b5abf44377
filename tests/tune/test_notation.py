"""The values of `--knob`, and the messages for invalid ones."""

import pytest

from ptxbench.errors import UsageError
from ptxbench.tune.notation import parse_knob

# text, values
GOOD = [
    ("chunk=4096", (4096,)),
    ("chunk=4096..65536*2", (4096, 8192, 16384, 32768, 65536)),
    ("chunk=4096..65535*2", (4096, 8192, 16384, 32768)),  # the end need not be hit
    ("n=3..5", (3, 4, 5)),
    ("n=32..128+32", (32, 64, 96, 128)),
    ("n=0,4,8..24", (0, 4, 8, 12, 16, 20, 24)),  # continues by the distance to the value before
    ("n=0,4,8..24+8", (0, 4, 8, 16, 24)),
    ("n=8,4,5..6", (8, 4, 5, 6)),
    ("n=9,1..3", (9, 1, 2, 3)),  # below the value before: by 1
    ("n=4, 4,1..4+1", (4, 1, 2, 3)),  # each once
    (" n =1_024,0x10", (1024, 16)),
    ("n=5..5*2", (5,)),
]


@pytest.mark.parametrize(("text", "values"), GOOD)
def test_values_ranges_steps_and_factors(text, values):
    assert parse_knob(text) == (text.partition("=")[0].strip(), values)


# text, the message
BAD = [
    ("n", "'n' is not a knob setting. Write it as NAME=VALUES. VALUES are numbers, ranges a..b,"),
    ("=4", "'=4' is not a knob setting."),
    ("a b=4", "'a b=4' is not a knob setting."),
    ("n=", "'' in 'n=' is not a value of a knob."),
    ("n=010", "'010' in 'n=010' is not a value of a knob."),
    ("n=1..8*02", "'1..8*02' in 'n=1..8*02' is not a value of a knob."),
    (f"n={'9' * 5000}", "is not a value of a knob."),
    ("n=4,", "'' in 'n=4,' is not a value of a knob."),
    ("n=-4", "'-4' in 'n=-4' is not a value of a knob."),
    ("n=1.5", "'1.5' in 'n=1.5' is not a value of a knob."),
    ("n=4..", "'4..' in 'n=4..' is not a value of a knob."),
    ("n=4..8/2", "'4..8/2' in 'n=4..8/2' is not a value of a knob."),
    ("n=8..4", "'8..4' in 'n=8..4' runs from 8 down to 4."),
    ("n=4..8*1", "never ends"),
    ("n=0..8*2", "never ends"),
    ("n=4..8+0", "never ends"),
    ("n=0..1000000", "has more than 1000 values"),
    ("n=4,18446744073709551616", "has the value 18446744073709551616; expected numbers below 2^64"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_an_invalid_part_is_named(text, message):
    with pytest.raises(UsageError) as error:
        parse_knob(text)
    assert message in str(error.value)
