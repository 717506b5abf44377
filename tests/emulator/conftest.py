"""One cache of machine code for all tests of the emulator; a test of the cache itself takes an empty one."""

import os

import pytest

from tests.emulator.coverage import Coverage, is_complete, untested


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache_of_the_tests(monkeypatch, shared_cache):
    monkeypatch.setenv("PTXBENCH_CACHE", str(shared_cache))


@pytest.fixture(scope="session", autouse=True)
def every_function_of_the_table_is_run(request, tmp_path_factory):
    """Fails after the last test where a function of the table was run by none."""
    coverage = Coverage()
    with pytest.MonkeyPatch.context() as patch:
        coverage.listen(patch)
        yield
    if is_complete(request.session):
        shared = tmp_path_factory.getbasetemp()
        missing = untested(shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared, coverage.bodies)
        assert not missing, "No test runs these functions of the table; add rows: " + "; ".join(missing)
