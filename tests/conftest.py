"""What tests of the whole tool share: a small pair in a folder of its own, and a cache that lasts one session."""

import pytest

from tests.folders import kernels_folder


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory):
    """A cache of builds that starts empty: NVRTC and ptxas take half a second for what is not in it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def kernels(tmp_path, monkeypatch, session_cache):
    """The kernels folder with the pair `scale`, in the current folder."""
    monkeypatch.setenv("PTXBENCH_CACHE", str(session_cache))
    monkeypatch.chdir(tmp_path)
    return kernels_folder(tmp_path)
