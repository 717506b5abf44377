"""Write the scoreboard into docs/kernels/README.md: the verdict on each pair, from its prediction and committed runs.

    .venv/bin/python -m tools.scoreboard_page

The page holds a block

    <!-- scoreboard -->
    <!-- /scoreboard -->

The tool puts the table of `ptxbench list --verdicts` between the two lines, with the baselines and the runs of GPUs
below results/. Nothing is built or executed. tests/test_scoreboard_page.py compares the committed page with what this
tool writes.
"""

import re
import sys
from pathlib import Path

from ptxbench import discovery
from ptxbench.errors import UsageError
from ptxbench.exporters.tables import markdown_lines
from ptxbench.saved_runs import read_run, saved_runs
from ptxbench.verdict.scoreboard import records, standings
from ptxbench.wording.scoreboard import scoreboard_table
from tools.kernel_pages import fill
from tools.page_blocks import between

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "kernels" / "README.md"
OPENING = re.compile(r"^<!-- scoreboard -->$")
CLOSING = "<!-- /scoreboard -->"


def filled(text):
    """The text of a page with its block filled. Raises UsageError if it does not have one block."""
    blocks = between(text, OPENING, CLOSING, lambda: None)
    if len(blocks) != 1:
        raise UsageError(f"{len(blocks)} blocks, expected one: <!-- scoreboard --> and {CLOSING} below it.")
    [(first, last, _)] = blocks
    lines = text.splitlines()
    lines[first + 1 : last] = scoreboard()
    return "".join(f"{line}\n" for line in lines)


def scoreboard():
    """The lines of the block: table, empty line, notes."""
    kernels = discovery.default_kernels()
    recorded = records(read_run(path) for path in committed())
    loaded = [discovery.load(kernels, name) for name in discovery.find_pairs(kernels)]
    return [*markdown_lines(scoreboard_table([standing for pair in loaded for standing in standings(pair, recorded)]))]


def committed():
    """The files of the baselines, and of the runs on GPUs: runs on the emulator are not kept in the repository."""
    timed = [path for path in saved_runs(ROOT / "results") if not path.parent.name.startswith("emulator-")]
    return [*sorted((ROOT / "baselines").glob("*.json")), *timed]


if __name__ == "__main__":
    sys.exit("\n".join(fill([PAGE], filled)) or None)
