"""A sweep over the knobs of a pair: its points, how they run, and their results.

Prints nothing and draws nothing; imports the runner, because a sweep is a run.
"""

from ptxbench.tune.curve import Curves, Reading, curves
from ptxbench.tune.points import PairSweep, Point, sweep_of
from ptxbench.tune.sweep import finished_before, plan_of, spec_of

__all__ = ["Curves", "PairSweep", "Point", "Reading", "curves", "finished_before", "plan_of", "spec_of", "sweep_of"]
