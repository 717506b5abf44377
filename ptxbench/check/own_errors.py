"""Whether an error in making data is one of ptxbench or of a pair. Knows pairs by the name of their module only."""

from __future__ import annotations

import sys
import traceback

from ptxbench.errors import PtxbenchError

PACKAGE = __name__.partition(".")[0]
HERE = __package__ or ""
PAIRS = f"{PACKAGE}.pairs."
"""How the names of the modules of pair files begin (discovery/execute.py)."""

LIBRARIES = frozenset({"numpy", "ml_dtypes", *sys.stdlib_module_names})
"""Modules that both call. Data that are too large for memory are no error of ptxbench either."""


def is_own(error: Exception) -> bool:
    """Whether the code that makes data for `check` raised an error by itself, or in a library that it called.

    False if a function of a pair ran meanwhile, if an error says by its type that it is meant, and where a value of the
    pair is converted, as in ptxbench/pair.py: then the value may be at fault.
    """
    if isinstance(error, PtxbenchError | MemoryError):
        return False
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [name for name in modules if of_package(name)]
    foreign = [name for name in modules if not of_package(name) and name.partition(".")[0] not in LIBRARIES]
    return not foreign and bool(own) and own[-1].startswith(f"{HERE}.")


def of_package(module: str) -> bool:
    """Whether a module is one of ptxbench, and not a pair file."""
    return module.partition(".")[0] == PACKAGE and not module.startswith(PAIRS)
