"""Several threads of one process may launch: each launch has the emulator's process for itself."""

import os
import threading
import warnings

import numpy as np

from ptxbench import emulator
from ptxbench.emulator import process

DOUBLE = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry double(.param .u64 x)
.maxntid 256, 1, 1
{
    .reg .u64 %x;
    .reg .u32 %i;
    .reg .f32 %value;
    mov.u32 %i, %tid.x;
    ld.param.u64 %x, [x];
    mad.wide.u32 %x, %i, 4, %x;
    ld.global.f32 %value, [%x];
    add.rn.f32 %value, %value, %value;
    st.global.f32 [%x], %value;
    ret;
}
"""


def test_launches_of_several_threads_do_not_mix():
    wrong = []

    def launch_often(first):
        for value in range(first, first + 10):
            x = np.full(256, value, np.float32)
            emulator.run(DOUBLE, grid=1, block=256, args=[x])
            wrong.extend(x[x != 2 * value])

    threads = [threading.Thread(target=launch_often, args=(100 * k,), daemon=True) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (wrong, [thread for thread in threads if thread.is_alive()]) == ([], [])


def test_a_copy_of_a_process_in_which_another_thread_launches_can_launch():
    inside, end = threading.Event(), threading.Event()

    def launch():
        with process.one_at_a_time():
            inside.set()
            end.wait(30)

    thread = threading.Thread(target=launch)
    thread.start()
    inside.wait(30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a process with threads is copied
        child = os.fork()
    if child == 0:
        os._exit(0 if process.one_at_a_time().acquire(blocking=False) else 1)
    end.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
