"""Every function of the instruction table must be run by a test."""

import os

import pytest

from tests.emulator.coverage import Coverage, is_complete, untested


@pytest.fixture(scope="session", autouse=True)
def every_function_of_the_table_is_run(request, tmp_path_factory):
    """Fails after the last test if no test ran some function of the table."""
    coverage = Coverage()
    with pytest.MonkeyPatch.context() as patch:
        coverage.listen(patch)
        yield
    if is_complete(request.session):
        shared = tmp_path_factory.getbasetemp()
        missing = untested(shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared, coverage.bodies)
        assert not missing, "No test runs these functions of the table; add rows: " + "; ".join(missing)
