"""The listings in docs: they are what the commands print today. And the tool that writes them.

After a change of what is printed, `make pages` writes them again.
"""

import re

import pytest

from ptxbench.errors import UsageError
from tools import page_output
from tools.kernel_pages import made_by
from tools.page_output import CLOSING, ROOT, Block, blocks, filled

PAGES = page_output.pages()
AGAIN = "Write the listings again: make pages, or .venv/bin/python -m tools.page_output"


def name_of(path):
    return path.name


def shape(text):
    """A page with the same number of listings; their content depends on the versions of the tools."""
    return re.sub(r"```\n.*?```\n", "```\n```\n", re.sub(r"(?m)^Built for .*$", "", text), flags=re.S)


def test_the_pages_that_promise_real_output_have_it():
    assert {"pipeline.md", "show.md"} <= {path.name for path in PAGES}
    assert "](docs/pipeline.md)" in (ROOT / "README.md").read_text()


LONG = "sm-partition.md"
"""The page whose commands take seconds."""


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=[pytest.mark.long] * (path.name == LONG)) for path in PAGES], ids=name_of
)
def test_the_listings_of_a_page_match_todays_output(path):
    """Listings of other tool versions cannot be checked: then only the text outside listings is."""
    text = path.read_text()
    today = filled(text)
    pipeline = (ROOT / "docs" / "pipeline.md").read_text()
    if made_by("sm_90") in pipeline:
        assert text == today, f"docs/{path.name}. {AGAIN}"
    else:
        assert shape(text) == shape(today), f"docs/{path.name}. {AGAIN}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_listing_fits_the_width_of_a_table(path):
    for listing in re.findall(r" -->\n```\n(.*?)```\n", path.read_text(), re.S):
        assert max(map(len, listing.splitlines())) <= 100


def page(words, inside=""):
    return f"# title\n\n<!-- {words} -->\n{inside}{CLOSING}\n\nend\n"


def test_a_block_is_filled_with_a_part_of_the_output():
    once = filled(page('output: columns=80 from="usage: " to=--ptx ptxbench show --help'.replace("usage: ", "Usage: ")))
    lines = once.splitlines()
    assert lines[3:5] == ["```", "Usage: ptxbench show [OPTIONS] PAIR|FILE [FILE]"]
    assert "--ptx" in lines[lines.index("```", 4) - 1]
    assert filled(once) == once
    complete = filled(page("output: ptxbench --version", "of yesterday\n"))
    assert re.fullmatch(r"# title\n\n<!--.*-->\n```\nptxbench, version \S+\n```\n<!-- /output -->\n\nend\n", complete)


# page, the message
BAD = [
    (page("output: rm -r x"),                             r"^3: 'output: rm -r x' is not a valid block"),
    (page("output: columns=wide ptxbench list"),          r"^3: .* is not a valid block"),
    (page("control: triad sm_90"),                        r"^3: .* is not a valid block"),
    (page("control: triad pxt sm_90"),                    r"^3: triad has no variant 'pxt'\."),
    (page("output: 'ptxbench"),                           r"^3: 'ptxbench: No closing quotation\."),
    (page("output: from=nowhere ptxbench --version"),     r"^3: .* does not print a line with 'nowhere'\."),
    (page("output: to=nowhere ptxbench --version"),       r"^3: .* does not print a line with 'nowhere'\."),
    (page("output: ptxbench show no_such_pair"),          r"^3: .* ends with status 2: Error: Unknown pair"),
    (page("built: sm_90").replace(CLOSING, ""),           r"^3: this block has no end"),
    (page("built: sm_90") + CLOSING,                      r"^7: there is no block that .* ends"),
    (page("built: sm_90").replace(CLOSING, page("built: sm_90")), r"^6: this block begins inside the block of line 3"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD, ids=lambda value: value[-40:])
def test_an_invalid_block_is_named(text, message):
    with pytest.raises(UsageError, match=message):
        filled(text)


def test_blocks_are_found_with_their_options():
    ((first, last, block),) = blocks(page('output: columns=90 from="a b" to=c ptxbench show triad'))
    assert (first, last, block) == (2, 3, Block("output", ("ptxbench", "show", "triad"), 90, "a b", "c"))


def test_a_page_that_cannot_be_filled_is_not_changed_and_the_others_are_written(tmp_path, capsys):
    bad, good = tmp_path / "bad.md", tmp_path / "good.md"
    bad.write_text(page("built: sm_90").replace(CLOSING, ""))
    good.write_text(page("built: sm_90"))
    assert page_output.main([str(bad), str(tmp_path / "none.md"), str(good)]) == [
        f"{bad}:3: this block has no end. Write {CLOSING} below it.",
        f"{tmp_path / 'none.md'}: No such file or directory",
    ]
    assert bad.read_text() == page("built: sm_90").replace(CLOSING, "")
    assert capsys.readouterr().out == f"Wrote {good}\n"
