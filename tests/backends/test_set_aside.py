"""The part of L2 that is set aside, with a fake driver that only records its calls."""

from types import SimpleNamespace

import pytest

from ptxbench.backends.set_aside import SetAside
from ptxbench.errors import LaunchUnavailable


@pytest.fixture
def log():
    return []


def aside(log, status=0):
    def limit(number, value):
        log.append((number, value.value))
        return status

    return SetAside(SimpleNamespace(cuCtxSetLimit=limit), lambda: log.append("wait"))


def test_a_limit_is_set_once_and_only_when_the_stream_is_idle(log):
    set_aside = aside(log)
    set_aside.require(0)
    assert log == []
    set_aside.require(4096)
    set_aside.require(4096)
    assert log == ["wait", (6, 4096)]
    set_aside.require(0)
    assert log[2:] == ["wait", (6, 0)]


def test_l2_is_emptied_with_nothing_set_aside_and_the_limit_comes_back(log):
    set_aside = aside(log)
    with set_aside.lifted():
        log.append("sweep")
    assert log == ["sweep"]
    set_aside.require(4096)
    log.clear()
    with set_aside.lifted():
        log.append("sweep")
    assert log == ["wait", (6, 0), "sweep", "wait", (6, 4096)]


def test_if_the_driver_refuses_the_launch_is_unavailable(log):
    set_aside = aside(log, status=215)
    with pytest.raises(LaunchUnavailable, match=r"refused to set 4,096 bytes of L2 aside \(CUresult 215\)\.$"):
        set_aside.require(4096)
    assert set_aside.bytes == 0
