"""Texts that declare more registers than ptxas can take are refused before it reads them."""

import pytest

from ptxbench.toolchain.register_counts import refusal, too_many_registers

# the count of a declaration, whether it is too large
COUNTS = [
    ("8", False),
    ("100000", False),
    ("100001", True),
    ("0x186a1", True),
    ("010", False),                # octal
    ("09", False),                 # for ptxas to refuse
    ("1000000000U", True),
    ("9" * 5000, True),
]  # fmt: skip


@pytest.mark.parametrize(("count", "large"), COUNTS, ids=lambda value: str(value)[:12])
def test_a_count_of_any_notation_is_read(count, large):
    assert bool(too_many_registers(f".reg .b32 %a, %r< {count} >;")) == large


def test_the_refusal_has_the_line_and_ignores_comments():
    text = "/* <999999>\n */\n// %r<999999>\n.reg .b32 %r<{}>;"
    assert refusal(text.format(10)) is None
    assert refusal(text.format(999999)) == (
        "is not run on 999999 registers in one declaration (line 4); expected at most 100,000"
    )
