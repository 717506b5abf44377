"""A script in place of Nsight Compute."""

from tests.profiling.fixture import ncu as ncu
