"""One cache of machine code for all tests of the emulator; a test of the cache itself takes an empty one."""

import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache_of_the_tests(monkeypatch, shared_cache):
    monkeypatch.setenv("PTXBENCH_CACHE", str(shared_cache))
