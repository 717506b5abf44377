"""A kernel's first code is compiled quickly; if launches take long, the kernel is compiled again with optimisation."""

import itertools

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import host_thread, native
from ptxbench.emulator.process import InThisProcess
from ptxbench.emulator.runtime import context
from tests.emulator.harness import program

COUNT = program("""
.visible .entry count_to_a_hundred(.param .u64 x)
{
    .reg .u64 %x, %x_at;
    .reg .u32 %thread, %block, %i;
    .reg .pred %more;
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    mad.lo.u32 %thread, %block, 64, %thread;
    ld.param.u64 %x, [x];
    mad.wide.u32 %x_at, %thread, 4, %x;
    ld.global.u32 %i, [%x_at];
LOOP:
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, 100;
    @%more bra LOOP;
    st.global.u32 [%x_at], %i;
    ret;
}
""")


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """Launches COUNT with some CTAs: its level afterwards, the array, and the counters."""
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path))
    process = InThisProcess()
    monkeypatch.setattr("ptxbench.emulator.launch.emulator_process", lambda: process)

    def launched(ctas=1):
        x = np.arange(64 * ctas, dtype=np.uint32) % 64
        execution = emulator.run(COUNT, grid=ctas, block=64, args=[x], most_threads=2)
        return native.kernel(COUNT, "count_to_a_hundred", "sm_90", "plain", False).level, x.tolist(), execution.counters

    native.kernel.cache_clear()
    yield launched
    native.kernel.cache_clear()


def test_a_slow_launch_compiles_faster_code_for_later_launches_and_processes(launched, monkeypatch):
    level, values, counters = launched()
    assert (level, values) == (native.QUICK, [100] * 64)
    monkeypatch.setattr(native, "SLOW_SECONDS", 0)
    monkeypatch.setattr(native, "SLOW_SECONDS_A_BYTE", 0)
    assert launched() == (native.OPTIMISED, values, counters)  # this launch ran the quick code
    assert launched() == (native.OPTIMISED, values, counters)
    native.kernel.cache_clear()  # as in another process
    assert native.kernel(COUNT, "count_to_a_hundred", "sm_90", "plain", False).level == native.OPTIMISED


def test_the_time_of_all_launches_counts(launched, monkeypatch):
    monkeypatch.setattr(native, "SLOW_SECONDS", 1.0)
    clock = itertools.count(0, 0.4)
    monkeypatch.setattr("time.process_time", lambda: next(clock))  # each launch takes 0.4 seconds
    assert [launched()[0] for _ in range(3)] == [native.QUICK, native.QUICK, native.OPTIMISED]


def test_no_kernel_is_optimised_twice(launched, monkeypatch):
    monkeypatch.setattr(native, "SLOW_SECONDS", 0)
    monkeypatch.setattr(native, "SLOW_SECONDS_A_BYTE", 0)
    launched()
    monkeypatch.setattr(native, "compile_kernel", None)
    assert launched()[0] == native.OPTIMISED


def test_a_launch_whose_remaining_ctas_take_long_continues_with_faster_code(launched, monkeypatch):
    monkeypatch.setattr(native.NativeKernel, "ran_for", lambda kernel, seconds: None)  # only the remaining CTAs count
    quick = launched(ctas=640)
    assert quick[:2] == (native.QUICK, [100] * 64 * 640)
    monkeypatch.setattr(native, "SLOW_SECONDS", 0)
    monkeypatch.setattr(native, "SLOW_SECONDS_A_BYTE", 0)
    ran = []
    run = host_thread.HostThread.run

    def noted(thread):
        run(thread)
        ran.append((thread.kernel.level, thread.context[context.RUN_WARP] == thread.kernel.warp))

    monkeypatch.setattr(host_thread.HostThread, "run", noted)
    assert launched(ctas=640) == (native.OPTIMISED, *quick[1:])
    assert set(ran) == {(native.QUICK, True), (native.OPTIMISED, True)}
