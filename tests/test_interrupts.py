"""Ctrl-C ends a wait whenever it arrives, and what holds it back gives it free again."""

import os
import signal
import subprocess
import sys
import threading
from queue import SimpleQueue

import pytest

from ptxbench.interrupts import wait_for_item, wait_readable, without_interrupts

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="the system has no signal masks")


@pytest.fixture
def mask():
    """The signals that this thread blocks, as they are restored afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield before
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_ctrl_c_that_another_thread_receives_ends_a_wait(mask):
    read_end, write_end = os.pipe()
    interrupt = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    give_up = threading.Timer(20, os.write, (write_end, b"gave up"))
    for timer in (interrupt, give_up):
        timer.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # so that a thread of a timer receives it
    with os.fdopen(read_end, "rb") as stream, pytest.raises(KeyboardInterrupt):
        wait_readable(stream)
    assert give_up.is_alive()
    give_up.cancel()
    for timer in (interrupt, give_up):
        timer.join()
    os.close(write_end)


def test_ctrl_c_ends_a_wait_for_an_item_if_the_system_restarts_waits():
    queue = SimpleQueue()
    interrupt = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    give_up = threading.Timer(20, queue.put, ["gave up"])
    signal.siginterrupt(signal.SIGINT, False)  # as the handler of Polars
    try:
        for timer in (interrupt, give_up):
            timer.start()
        with pytest.raises(KeyboardInterrupt):
            wait_for_item(queue)
    finally:
        signal.siginterrupt(signal.SIGINT, True)
    assert give_up.is_alive()
    give_up.cancel()
    for timer in (interrupt, give_up):
        timer.join()
    queue.put("item")
    assert wait_for_item(queue) == "item"


@pytest.mark.parametrize("content", [b"answer", b""])
def test_a_wait_ends_when_there_is_something_to_read_or_the_end(content):
    read_end, write_end = os.pipe()
    os.write(write_end, content)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        wait_readable(stream)
        assert stream.read() == content


def test_ctrl_c_just_before_it_is_held_back_leaves_no_signal_blocked(mask, monkeypatch):
    real = signal.pthread_sigmask

    def interrupted(how, signals):
        before = real(how, signals)
        if signal.SIGINT in signals and how == signal.SIG_BLOCK:
            raise KeyboardInterrupt  # as pthread_sigmask does for a signal that arrived before it
        return before

    monkeypatch.setattr(signal, "pthread_sigmask", interrupted)
    with pytest.raises(KeyboardInterrupt), without_interrupts():
        pytest.fail("the signal is raised first")
    assert real(signal.SIG_BLOCK, ()) == mask


COPIES = """
import os, signal
from ptxbench.forks import Fork

signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
for number in (signal.SIGHUP, signal.SIGTERM):
    print(Fork(lambda: os.kill(os.getpid(), number), ()).wait())
"""


def test_a_copy_of_a_process_is_ended_by_signals_that_the_process_handles_and_not_by_those_that_it_ignores():
    ran = subprocess.run([sys.executable, "-c", COPIES], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", str(-signal.SIGTERM)]
