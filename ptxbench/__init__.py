"""Compares hand-written PTX with what the compiler makes of CUDA C."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptxbench.notebook import Run, load_run, run

__all__ = ["Run", "__version__", "load_run", "run"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The names of `ptxbench.notebook`, imported when they are used: the command line does not need them."""
    if name in __all__:
        return getattr(import_module("ptxbench.notebook"), name)
    raise AttributeError(f"module 'ptxbench' has no attribute '{name}'")
