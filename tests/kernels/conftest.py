"""What every test of the kernels shares: a cache of its own."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTXBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
