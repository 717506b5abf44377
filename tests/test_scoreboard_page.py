"""docs/kernels/README.md: its scoreboard is that of the present kernels, predictions and committed runs."""

import pytest

from ptxbench import discovery
from ptxbench.errors import UsageError
from tests.test_kernel_pages import index
from tools.scoreboard_page import CLOSING, PAGE, filled

AGAIN = "Write it again: .venv/bin/python -m tools.scoreboard_page"
KERNELS = discovery.default_kernels()


def test_the_scoreboard_is_that_of_the_present_kernels():
    text = PAGE.read_text(encoding="utf-8")
    assert text == filled(text), AGAIN


WORDS = {
    "tie": {"ties"},
    "PTX wins": {"wins", "only way"},
    "PTX wins a little": {"wins"},
    "a compiler flag": {"a flag"},
    "depends on the target": {"loses"},
    "a geometry study": {""},
}
"""What the index says of a page, and the predictions of its pairs, one of which must be such."""


@pytest.mark.parametrize("cells", index(), ids=lambda cells: cells[0][:20])
def test_the_index_says_what_a_pair_of_the_page_predicts(cells):
    name = cells[0].partition("[")[2].partition("]")[0]
    pairs = [pair for pair in discovery.find_pairs(KERNELS) if pair.partition(".")[0] == name]
    predictions = [discovery.load(KERNELS, pair).pair.prediction for pair in pairs]
    predicted = {word for item in predictions for word in ([item] if isinstance(item, str) else item.values())}
    assert WORDS[cells[2]] & predicted, (
        f"docs/kernels/README.md says '{cells[2]}' of {name}, whose pairs predict {predicted}"
    )


def test_a_page_without_the_block_or_with_two_is_refused():
    block = f"<!-- scoreboard -->\n{CLOSING}\n"
    for text in ("# Pairs\n", block + block):
        with pytest.raises(UsageError, match="blocks, expected one"):
            filled(text)
