"""Counts of one launch by the hardware, through Nsight Compute, next to those of the emulator. Prints nothing."""
