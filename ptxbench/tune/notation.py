"""The notation of `--knob NAME=VALUES`: `0,4,8..64`, `4096..65536*2`, `32..1024+32`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ptxbench.documents import GREATEST
from ptxbench.errors import UsageError

MOST = 1000
"""Most values of one knob: more are probably a mistake."""

NUMBER = r"0[xX][0-9a-fA-F]+|\d[\d_]*"
RANGE = re.compile(rf"({NUMBER})(?:\.\.({NUMBER})(?:([+*])({NUMBER}))?)?")

HELP = (
    "VALUES are numbers, ranges a..b, and ranges with a step a..b+4 or a factor a..b*2, with commas between them, "
    "such as 0,4,8..64 or 4096..65536*2"
)


def parse_knob(text: str) -> tuple[str, tuple[int, ...]]:
    """The name and the values of one `--knob`, each value once, in order. Raises UsageError for anything else."""
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier():
        raise UsageError(f"'{text}' is not a knob setting. Write it as NAME=VALUES. {HELP}.")
    numbers: list[int] = []
    for part in values.split(","):
        numbers += [value for value in spread(part.strip(), text, numbers) if value not in numbers]
    if (greatest := max(numbers)) >= GREATEST:
        raise UsageError(f"'{text}' has the value {greatest}; expected numbers below 2^64, as a result file can hold.")
    return name, tuple(numbers)


def spread(part: str, text: str, before: Sequence[int]) -> Iterator[int]:
    """The values of one part of a list. A range without a step uses the distance to the value `before` it."""
    match = RANGE.fullmatch(part)
    try:
        if not match:
            raise ValueError
        first = int(match[1], 0)
        last, given = (int(word, 0) if word else None for word in (match[2], match[4]))
    except ValueError:  # also for 010, and for thousands of digits
        raise UsageError(f"'{part}' in '{text}' is not a value of a knob. {HELP}.") from None
    if last is None:
        yield first
        return
    if last < first:
        raise UsageError(f"'{part}' in '{text}' runs from {first} down to {last}. Write the smaller value first.")
    factor = match[3] == "*"
    step = given if given is not None else first - before[-1] if before and first > before[-1] else 1
    if step < 1 + factor or (factor and first == 0):
        raise UsageError(
            f"'{part}' in '{text}' never ends: a step must be at least 1, a factor at least 2, and "
            "a factor cannot start at 0."
        )
    value, count = first, 0
    while value <= last:
        yield value
        value, count = value * step if factor else value + step, count + 1
        if count > MOST:
            raise UsageError(f"'{part}' in '{text}' has more than {MOST} values. Use a larger step.")
