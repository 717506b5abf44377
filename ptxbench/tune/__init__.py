"""A sweep over the knobs of a pair: which points there are, how they run, and what they come to.

Prints nothing and draws nothing; imports the runner, whose run a sweep is.
"""

from ptxbench.tune.curve import Curves, Reading, curves
from ptxbench.tune.points import Point, Swept, sweep_of
from ptxbench.tune.sweep import finished_before, plan_of, spec_of

__all__ = ["Curves", "Point", "Reading", "Swept", "curves", "finished_before", "plan_of", "spec_of", "sweep_of"]
