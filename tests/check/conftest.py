"""What every test of the judge shares: a cache of its own."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def cache_of_the_tests(shared_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTXBENCH_CACHE", str(shared_cache))
        yield
