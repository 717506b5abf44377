"""The device: a real one, or a simulated one if there is none; if a real one is required, nothing replaces it."""

import os

import pytest

from ptxbench.backends.gpu import GpuBackend
from tests import simulated


@pytest.fixture(scope="session")
def launches(tmp_path_factory):
    """The results of launches by earlier tests."""
    return tmp_path_factory.mktemp("launches")


@pytest.fixture
def gpu(tmp_path_factory, launches, monkeypatch):
    backend = GpuBackend()
    reason = backend.unavailable()  # no cupy, driver or device; anything else raises
    if reason is None:
        return backend
    if os.environ.get("PTXBENCH_REQUIRE_GPU") == "1":
        pytest.fail(reason)
    simulated.install(
        monkeypatch, tmp_path_factory.mktemp("gpu"), device="small", launches=str(launches), control_n=1 << 21
    )
    backend = GpuBackend()
    assert backend.unavailable() is None
    return backend
