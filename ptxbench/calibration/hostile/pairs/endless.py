"""endless: y[i] = i. Its PTX waits for a value that is never written, and so never ends."""

from ptxbench.calibration.hostile_pair import hostile_pair

PAIR = hostile_pair("A kernel that never ends must lose only its own row.")
