"""illegal_address: y[i] = i. Its PTX stores to an address that is not allocated, and so loses the device."""

from ptxbench.calibration.hostile_pair import hostile_pair

PAIR = hostile_pair("That a kernel which loses the device costs its own row and nothing else.")
