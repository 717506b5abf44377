"""A launch of the same request uses the memory of the last launch's host threads again, with no other effect."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import host_thread
from ptxbench.emulator.process import InThisProcess
from ptxbench.errors import KernelTrap
from tests.emulator.harness import program

COUNT_DOWN = program("""
.visible .entry count_down(.param .u64 x, .param .u64 y, .param .u32 step)
{
    .reg .u64  %x, %y, %offset;
    .reg .u32  %thread, %block, %i, %v, %step, %turns;
    .reg .pred %more, %odd;
    .shared .align 4 .b32 tile[64];
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    mad.lo.u32 %i, %block, 64, %thread;
    mul.wide.u32 %offset, %i, 4;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %step, [step];
    add.u64 %x, %x, %offset;
    add.u64 %y, %y, %offset;
    ld.global.u32 %v, [%x];
    setp.eq.u32 %odd, %v, 77;
    @%odd trap;
    mov.u32 %turns, 0;
AGAIN:
    add.u32 %turns, %turns, %step;
    setp.lt.u32 %more, %turns, %v;
    @%more bra AGAIN;
    bar.sync 0;
    st.global.u32 [%y], %turns;
    ret;
}
""")
CTAS = 40


@pytest.fixture
def launched(monkeypatch):
    """Launches COUNT_DOWN in this process: the execution, y, and how many host threads were made for it."""
    process, threads_made = InThisProcess(), []
    init = host_thread.HostThread.__init__

    def noted(thread, *arguments):
        threads_made.append(thread)
        init(thread, *arguments)

    monkeypatch.setattr(host_thread.HostThread, "__init__", noted)
    monkeypatch.setattr("ptxbench.emulator.launch.emulator_process", lambda: process)

    def launched(turns, threads=1, step=1, fuel=None):
        threads_made.clear()
        x, y = np.full(64 * CTAS, turns, np.uint32), np.zeros(64 * CTAS, np.uint32)
        args = [x, y, np.uint32(step)]
        execution = emulator.run(COUNT_DOWN, grid=CTAS, block=64, args=args, threads=threads, fuel=fuel)
        return execution, y, len(threads_made)

    return launched


def test_a_launch_of_the_same_request_creates_no_host_thread(launched):
    first, y, threads_made = launched(3)
    counters, by_line = dict(first.counters), dict(first.by_line)
    assert (threads_made, set(y)) == (1, {3})
    other, y, threads_made = launched(5)
    assert (threads_made, set(y)) == (0, {5})
    assert other.counters["ptx_branches"] > counters["ptx_branches"]
    again, y, threads_made = launched(3)
    assert (threads_made, set(y)) == (0, {3})
    assert (dict(again.counters), dict(again.by_line)) == (counters, by_line)


def test_the_counts_of_a_launch_stay_when_its_memory_is_used_again(launched):
    first, *_ = launched(3)
    branches = first.counters["ptx_branches"]
    launched(9)
    loop = max(first.loops)
    assert first.loops[loop] == {3: 2 * CTAS}
    assert sum(line.get("ptx_branches", 0) for line in first.by_line.values()) == branches


@pytest.mark.parametrize("change", [{"step": 2}, {"threads": 2}, {"fuel": 1000}])
def test_another_request_has_threads_of_its_own(launched, change):
    launched(4)
    *_, threads_made = launched(4, **change)
    assert threads_made > 0
    *_, threads_made = launched(4)
    assert threads_made == 1


def test_several_threads_are_used_again(launched):
    launches = [launched(turns, threads=2) for turns in (2, 6, 2, 6, 2)]
    assert [set(y) for _, y, _ in launches] == [{2}, {6}, {2}, {6}, {2}]
    assert sum(threads_made for *_, threads_made in launches) <= 2  # the second starts when it is ready in time
    assert launches[0][0].counters == launches[2][0].counters == launches[4][0].counters


def test_a_launch_after_a_fault_starts_with_clean_state(launched):
    _, y, _ = launched(3)
    with pytest.raises(KernelTrap):
        launched(77)
    execution, again, _ = launched(3)
    assert again.tolist() == y.tolist()
    assert execution.counters["ptx_barriers"] == 2 * CTAS


SAY = program("""
.extern .func (.param .b32 r) vprintf(.param .b64 text, .param .b64 values);
.global .b8 hi[4] = {104, 105, 10, 0};
.visible .entry say()
{
    .param .b64 t;
    .param .b64 v;
    .reg .u64 %t;
    cvta.global.u64 %t, hi;
    st.param.b64 [t], %t;
    st.param.b64 [v], 0;
    call (_), vprintf, (t, v);
    ret;
}
""")


def test_a_launch_prints_what_it_prints_and_not_what_the_last_one_printed(launched):
    printed = [emulator.run(SAY, grid=2, block=1, args=[], threads=1).printed for _ in range(3)]
    assert printed == 3 * ["hi\nhi\n"]
