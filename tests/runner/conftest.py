"""The control of runs whose times are scripted."""

import dataclasses

import pytest

from ptxbench.runner import control


@pytest.fixture(scope="module")
def small_control():
    """A control of a few bytes: its usual 128 MiB, larger than a cache, are made in each worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "PAIR", dataclasses.replace(control.PAIR, bench_sizes=[{"n": 4096}]))
        yield
