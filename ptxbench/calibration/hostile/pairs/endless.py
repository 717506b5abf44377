"""endless: y[i] = i. Its PTX waits for a value that is never written, and so never ends."""

from ptxbench.calibration.hostile_pair import hostile_pair

PAIR = hostile_pair("That a kernel which never ends costs its own row and nothing else.")
