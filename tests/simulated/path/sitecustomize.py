"""Runs as Python starts: replaces NVIDIA's libraries by those of the simulated device."""

import os

if "SIMULATED_GPU" in os.environ:
    from simulated_gpu.libraries import replace

    replace()
