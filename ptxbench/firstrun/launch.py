"""One launch of one variant on the GPU, for a profiler to look at: `python -m ptxbench.firstrun.launch`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ptxbench import toolchain
from ptxbench.backends import open_backend
from ptxbench.discovery import load
from ptxbench.errors import PtxbenchError, UsageError
from ptxbench.runner.plan import parse_size


def launch(words: Sequence[str]) -> None:
    """Launch once. `words`: folder of kernels, pair, variant, size, architecture, seed. Raises PtxbenchError."""
    kernels, pair, variant, size_words, arch, seed = words
    found = load(Path(kernels), pair)
    source = next((source for source in found.sources if source.variant == variant), None)
    if source is None:
        raise UsageError(f"'{pair}' has no variant '{variant}'.")
    size = parse_size(size_words)
    arguments = found.pair.make_arguments(size, int(seed))
    built = toolchain.build_source(source, arch)
    open_backend("gpu").run(built, found.pair.launch(**size), arguments, found.pair.outputs)


if __name__ == "__main__":
    try:
        launch(sys.argv[1:])
    except PtxbenchError as error:
        sys.exit(str(error))
