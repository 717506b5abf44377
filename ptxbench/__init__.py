"""Compares hand-written PTX with what the compiler makes of CUDA C."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptxbench.check.findings import Finding, Judgement
    from ptxbench.check.judge import Judge, judge, judge_many
    from ptxbench.check.reward import Reward, reward
    from ptxbench.notebook import Run, load_run, run

__all__ = [
    "Finding",
    "Judge",
    "Judgement",
    "Reward",
    "Run",
    "__version__",
    "judge",
    "judge_many",
    "load_run",
    "reward",
    "run",
]

__version__ = "0.1.0"

MODULES = {
    "Finding": "check.findings",
    "Judge": "check.judge",
    "Judgement": "check.findings",
    "Reward": "check.reward",
    "Run": "notebook",
    "judge": "check.judge",
    "judge_many": "check.judge",
    "load_run": "notebook",
    "reward": "check.reward",
    "run": "notebook",
}
"""The module of each public name."""


def __getattr__(name: str) -> object:
    """The public names, imported when they are used: the command line does not need them."""
    if name in MODULES:
        return getattr(import_module(f"ptxbench.{MODULES[name]}"), name)
    raise AttributeError(f"module 'ptxbench' has no attribute '{name}'")
