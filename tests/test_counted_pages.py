"""docs/kernels: the tables of experiments match today's counts of the emulator; and the tool that writes them.

After a change of a kernel, `make pages` writes the figures again.
"""

import re

import pytest

from ptxbench import discovery
from ptxbench.errors import UsageError
from tests.test_kernel_pages import without_figures
from tools.counted_pages import CLOSING, blocks, counted, filled
from tools.kernel_pages import pages

KERNELS = discovery.default_kernels()
PAGES = pages()
AGAIN = "Write the figures again: make pages, or .venv/bin/python -m tools.counted_pages"


def named(block):
    """The variants of a block's pair that its names and globs choose."""
    variants = [source.variant for source in discovery.load(KERNELS, block.pair).sources]
    return discovery.select(variants, block.variants, "variant")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_page_has_a_table_of_experiments_with_existing_variants(path):
    page_blocks = blocks(path.read_text())
    assert page_blocks, f"docs/kernels/{path.name} has no block of counts: see docs/kernels/README.md."
    for _, _, block in page_blocks:
        assert block.pair.partition(".")[0] == path.stem
        assert named(block)


@pytest.mark.long
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_counts_of_a_page_are_up_to_date(path):
    """For other tool versions only variants and columns are compared."""
    text = path.read_text()
    today = filled(text)
    tools = re.findall(r"(?m)^At .*?\. (Built for .*)$", text)
    if tools == re.findall(r"(?m)^At .*?\. (Built for .*)$", today):
        assert text == today, f"docs/kernels/{path.name}. {AGAIN}"
    else:
        assert without_figures(text) == without_figures(today), f"docs/kernels/{path.name}. {AGAIN}"


def page(pair="triad", variants="cuda,ptx", arch="sm_90", columns="registers,sass_executed", more="", inside=""):
    words = f"pair={pair} variants={variants} arch={arch} {more}columns={columns}"
    return f"# triad\n\n<!-- counted: {words} -->\n{inside}{CLOSING}\n\nend\n"


def test_a_block_becomes_a_table_and_filling_it_again_changes_nothing():
    once = filled(page(more="size=n=1000 "))
    assert re.fullmatch(
        r"""# triad

<!-- counted: pair=triad variants=cuda,ptx arch=sm_90 size=n=1000 columns=registers,sass_executed -->
\| variant \| regs \| SASS executed \|
\|:--\|--:\|--:\|
\| `cuda` \| \d+ \| [\d,]+ \|
\| `ptx` \| \d+ \| [\d,]+ \|

At n=1000\. Built for sm_90 by NVRTC \d+\.\d+\.\d+ and ptxas \d+\.\d+\.\d+\.
<!-- /counted -->

end
""",
        once,
    )
    assert filled(page(more="size=n=1000 ", inside="| of yesterday |\n")) == once


WRONG = [
    (page(pair="triads"),                        r"^3: Unknown pair 'triads'\. Did you mean 'triad'\?"),
    (page(variants="cuda.fat"),                  r"^3: Unknown variant 'cuda\.fat'"),
    (page(columns="sass.ldg"),                   r"^3: Unknown column"),
    (page().replace("pair=", "pairs="),          r"^3: 'counted: pairs=triad .*' needs each of pair, variants, "),
    (page().replace("=sm_90", "="),              r"^3: .* needs each"),
    (page(more="size=m=3 "),                     r"^3: No selected pair has the size m=3"),
    (page().replace(CLOSING, ""),                r"^3: this block has no end"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG, ids=lambda value: value[-40:])
def test_an_invalid_block_is_named(text, message):
    with pytest.raises(UsageError, match=message):
        filled(text)


def test_a_variant_that_is_not_verified_has_no_row():
    (_, _, block), *_ = blocks(page(pair="copy_hints", variants="ptx", arch="sm_75"))
    with pytest.raises(UsageError, match=r"^'ptx' of 'copy_hints' is (skipped|broken) on sm_75: "):
        counted(block)
