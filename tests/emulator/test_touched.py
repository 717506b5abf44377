"""What a launch touches of arrays of zeros, which take no memory."""

import contextlib
import mmap
import sys

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import memory, process
from ptxbench.emulator.image import TouchedMemory
from ptxbench.emulator.memory import zero_array
from ptxbench.errors import KernelTrap

needs_pages = pytest.mark.skipif(not memory.shows_pages(), reason="the system does not show touched pages")

KERNEL = """.version 7.0
.target sm_75
.address_size 64
VARIABLE
.visible .entry touch(.param .u64 from, .param .u64 to, .param .u32 n)
{
    .reg .u64 %from, %to;
    .reg .u32 %n, %v;
    ld.param.u64 %from, [from];
    ld.param.u64 %to, [to];
    ld.param.u32 %n, [n];
    mad.wide.u32 %from, %n, 4096, %from;
    mad.wide.u32 %to, %n, 4096, %to;
    ld.global.u32 %v, [%from];
    st.global.u32 [%to + 8192], %v;
    END
}
"""
PAGES = 1 << 18


def text(end="ret;", variable=""):
    return KERNEL.replace("END", end).replace("VARIABLE", variable)


def touched_by(ptx, shift, pages=20):
    """What a launch touches; `shift` moves both accesses by so many pages."""
    assert mmap.PAGESIZE == 4096
    arrays = [zero_array((count << 10,), np.dtype(np.uint32)) for count in (PAGES, pages)]
    touched = TouchedMemory()
    with contextlib.suppress(KernelTrap):
        emulator.run(ptx, grid=1, block=1, args=[*arrays, np.uint32(shift)], touched=touched)
    assert not arrays[0].any()
    return touched


@pytest.fixture(params=["own process", "this process"])
def where(request, monkeypatch):
    """The emulator in a process of its own, and in this one."""
    if request.param == "this process":
        monkeypatch.setattr(process, "STARTED_BY", [process.InThisProcess])
        monkeypatch.setattr(process, "RUNNING", [])
    yield
    if request.param == "this process":
        process.stop_process()


@needs_pages
def test_loads_and_stores_touch_their_pages_alone(where):
    assert touched_by(text(), 3).pages == {"from": {3}, "to": {5}}
    assert touched_by(text(), 17).pages == {"from": {17}, "to": {19}}


def test_what_is_stored_is_known_to_the_byte(where):
    stored = touched_by(text("st.global.u32 [%to + 8196], %v; st.global.u32 [%to + 8212], %v; ret;"), 3).stored
    assert stored["to"].tolist() == [[5 * 4096, 5 * 4096 + 8], [5 * 4096 + 20, 5 * 4096 + 24]]
    assert stored["from"].tolist() == []


def test_what_ctas_store_that_may_wait_for_each_other_is_not_known():
    touched = touched_by(text("ld.relaxed.gpu.global.u32 %v, [%from]; ret;"), 3)
    assert touched.stored is None
    assert "to" in touched.pages


@needs_pages
def test_what_a_launch_that_fails_has_touched_is_known_too():
    assert touched_by(text("trap;"), 1).pages == {"from": {1}, "to": {3}}


@needs_pages
def test_pages_do_not_depend_on_the_variables_of_the_module():
    assert touched_by(text(variable=".global .u32 counter[77];"), 3).pages == {"from": {3}, "to": {5}}


@needs_pages
def test_ordinary_launches_between_them_are_right(where):
    x, y = np.arange(2048, dtype=np.uint32), np.zeros(4096, np.uint32)
    for shift in (0, 1):
        emulator.run(text(), grid=1, block=1, args=[x, y, np.uint32(shift)])
        assert y[2048 + 1024 * shift] == x[1024 * shift]
        with process.much_memory():
            assert touched_by(text(), 3).pages == {"from": {3}, "to": {5}}


def test_all_pages_count_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr(memory, "shows_pages", lambda: False)
    monkeypatch.setattr(sys.modules[__name__], "PAGES", 4)
    assert touched_by(text(), 0).pages == {"from": set(range(4)), "to": set(range(20))}
