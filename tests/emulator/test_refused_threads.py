"""Where the system refuses to start threads, that is reported, and the kernel is not blamed."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import process
from ptxbench.errors import MachineError
from tests.emulator.test_repeated_launches import COUNT_DOWN, CTAS

ALLOWED_THREADS = """
import itertools, runpy, threading
start, started = threading.Thread.start, itertools.count()
def limited_start(thread):
    if next(started) >= {}:
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = limited_start
runpy.run_module("ptxbench.emulator.worker", run_name="__main__")
"""


@pytest.fixture
def limited(monkeypatch):
    """A function that lets the emulator's next process start so many threads."""
    process.stop_process()

    def limited(threads):
        def start(handle):
            code = ALLOWED_THREADS.format(threads)
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "pass_fds": [handle]}
            return subprocess.Popen([sys.executable, "-P", "-c", code, str(handle), str(os.getpid())], **pipes)

        monkeypatch.setattr(process, "STARTED_BY", [lambda: process.Process(start)])

    yield limited
    process.stop_process()


@pytest.mark.parametrize("allowed", [0, 1])
def test_a_thread_that_does_not_start_is_a_fault_of_the_machine(allowed, limited, capfd):
    y = np.zeros(64 * CTAS, np.uint32)
    arguments = {"grid": CTAS, "block": 64, "args": [np.full_like(y, 3), y, np.uint32(1)], "threads": 3}
    limited(allowed)
    with pytest.raises(MachineError, match=r"cannot start a thread: can't start new thread\. Raise the limit"):
        emulator.run(COUNT_DOWN, **arguments)
    limited(4)
    emulator.run(COUNT_DOWN, **arguments)
    assert (set(y), capfd.readouterr().err) == ({3}, "")
