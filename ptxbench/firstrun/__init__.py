"""The tests of a new GPU, in ten minutes: a calibration, a quick run, and whether the emulator's bits and counts are
those of the hardware. Prints nothing.
"""
