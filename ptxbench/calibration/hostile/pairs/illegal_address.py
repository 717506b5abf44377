"""illegal_address: y[i] = i. Its PTX stores to an address that is not allocated, and so loses the device."""

from ptxbench.calibration.hostile_pair import hostile_pair

PAIR = hostile_pair("A kernel that loses the device must lose only its own row.")
