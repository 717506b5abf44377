"""Runs as Python starts: in place of NVIDIA's libraries, those of the simulated device are found."""

import os

if "SIMULATED_GPU" in os.environ:
    from simulated_gpu.libraries import replace

    replace()
