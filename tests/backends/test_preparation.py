"""The preparation of a timed launch, in order, with functions that only record their calls."""

from types import SimpleNamespace

import pytest

from ptxbench.backends import gpu
from ptxbench.backends.flush import marks_lines
from ptxbench.backends.preparation import Preparation
from ptxbench.pair import Launch
from tests.backends.test_flush import Driver, OldDriver


@pytest.fixture
def log():
    return []


@pytest.fixture
def before(log):
    parts = ("restore", "restore scratch", "flush", "hold")
    return Preparation(*(lambda part=part: log.append(part) for part in parts))


def test_a_cold_launch_finds_its_scratch_in_l2_and_nothing_else(before, log):
    before.cold(lambda: log.append("launch"))
    assert log == ["restore", "flush", "restore scratch", "hold"]


def test_a_warm_launch_follows_the_same_launch_on_the_same_data(before, log):
    before.warm(lambda: log.append("launch"))
    restored = ["restore", "restore scratch"]
    assert log == ["flush", *restored, "launch", *restored, "hold"]


MARKS = [
    ("ld.global.L1::evict_last.f32 %f, [%a];",           True),
    ("createpolicy.fractional.L2::evict_last.b64 %p;",   True),
    ("ld.global.L2::cache_hint.f32 %f, [%a], %policy;",  True),   # a policy may come as an argument
    ("ld.global.L1::evict_first.f32 %f, [%a];",          False),
    ("ld.global.nc.f32 %f, [%a];",                       False),
]  # fmt: skip


@pytest.mark.parametrize(("line", "marks"), MARKS)
def test_ptx_that_can_mark_lines_is_recognised(line, marks):
    assert marks_lines(f".version 8.0\n{line}\n") is marks


def test_marked_lines_are_reset_before_each_sweep_only_if_a_kernel_can_have_left_some(monkeypatch, log):
    """The driver does it at once and not in stream order, so the stream must be idle."""
    driver = Driver()
    backend = emptying(monkeypatch, driver, log)
    backend.empty_l2()
    assert (log, [name for name, *_ in driver.calls]) == (["read"], ["cuCtxSetLimit", "cuCtxResetPersistingL2Cache"])
    backend.function(
        SimpleNamespace(cubin=b"", ptx="st.L2::cache_hint", entry="k", variant="ptx", library=None), Launch(1, 1)
    )
    log.clear()
    backend.empty_l2()
    backend.empty_l2()
    assert log == ["wait", "read"] * 2
    assert [name for name, *_ in driver.calls[2:]] == ["cuCtxResetPersistingL2Cache"] * 2


@pytest.mark.parametrize("driver", [OldDriver(), Driver(reset=801)])
def test_where_no_lines_can_be_reset_samples_do_not_wait(monkeypatch, log, driver):
    backend = emptying(monkeypatch, driver, log)
    backend.marking = True
    backend.empty_l2()
    assert log == ["read"]


def emptying(monkeypatch, driver, log):
    """A backend that records reads of the sweep and waits for its stream."""
    monkeypatch.setattr(gpu, "find_driver", lambda: driver)
    backend = gpu.GpuBackend()
    backend.__dict__.update(
        l2_bytes=1 << 20,
        reader=lambda sectors: lambda: log.append("read"),
        stream=SimpleNamespace(synchronize=lambda: log.append("wait")),
        cuda=SimpleNamespace(driver=SimpleNamespace(check_status=lambda status: None)),
        load=lambda *arguments, **options: None,
        launcher=SimpleNamespace(ready=lambda function, launch: None, limits=SimpleNamespace(set_aside_bytes=0)),
    )
    return backend
