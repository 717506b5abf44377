"""The device, or the one reason for which a test may be skipped: there is none."""

import os

import pytest

from ptxbench.backends.gpu import GpuBackend


@pytest.fixture
def gpu():
    backend = GpuBackend()
    if reason := backend.unavailable():  # no cupy, driver or device; anything else raises
        if os.environ.get("PTXBENCH_REQUIRE_GPU") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return backend
