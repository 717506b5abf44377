"""What the console writes: no line ends in blanks, whatever the table pads, and units stay readable."""

import io
import re
import sys

import pytest

from ptxbench.terminal.console import SafeConsole, without_blank_ends
from ptxbench.terminal.tables import draw
from ptxbench.wording import table as data

BOLD, RESET = "\x1b[1m", "\x1b[0m"

ENDS = [
    ("a  \nb   c \n",                   "a\nb   c\n"),
    ("   \n",                           "\n"),
    (f"{BOLD}a  {RESET}   \n",          f"{BOLD}a{RESET}\n"),
    (f"{BOLD}  {RESET}\n",              f"{BOLD}{RESET}\n"),
    (f"{BOLD}a{RESET} {BOLD} b{RESET}\n", f"{BOLD}a{RESET} {BOLD} b{RESET}\n"),
    ("Go on? ",                         "Go on? "),  # the line is not at its end
]  # fmt: skip


@pytest.mark.parametrize(("text", "written"), ENDS)
def test_blanks_before_a_line_feed_are_removed_and_styles_are_not(text, written):
    assert without_blank_ends(text) == written


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1", "TERM": "xterm-256color"}], ids=["piped", "in colour"])
def test_a_row_ends_with_its_last_text(forced, monkeypatch, capsys):
    for name, value in forced.items():
        monkeypatch.setenv(name, value)
    console = SafeConsole(width=60)
    console.print(draw(data.Table(data.texts("name", "a longer heading"), [["x", "y"], ["z", ""]])))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    texts = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
    assert texts == [text.rstrip() for text in texts]


@pytest.mark.parametrize(("encoding", "written"), [
    ("utf-8",      "1.5 × in 3 µs, ld.globa…\n"),
    ("iso-8859-1", "1.5 × in 3 µs, ld.globa>\n"),
    ("ascii",      "1.5 x in 3 us, ld.globa>\n"),
])  # fmt: skip
def test_units_are_readable_in_every_encoding(encoding, written, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding, errors="replace", write_through=True))
    SafeConsole(width=60).print("1.5 × in 3 µs, ld.globa…")
    assert raw.getvalue().decode(encoding) == written
