"""The process of the emulator ends with the one that started it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.emulator.harness import program
from tests.emulator.test_faults import SIMPLE

CHILD = """
import sys
import numpy as np
from ptxbench import emulator
from ptxbench.emulator import process
emulator.run(sys.argv[1], grid=1, block=32, args=[np.zeros(64, np.uint32), np.float32(1), np.uint32(1)])
print(process.RUNNING[0].process.pid, flush=True)
"""


def test_the_process_ends_with_the_one_that_started_it():
    ran = subprocess.run([sys.executable, "-c", CHILD, SIMPLE], capture_output=True, text=True, check=True)
    assert not Path(f"/proc/{ran.stdout.strip()}").exists()


ORPHAN = """
import os, sys
from ptxbench import emulator
from ptxbench.emulator.process import emulator_process
print(emulator_process().process.pid, flush=True)
emulator.run({text!r}, grid=1, block=1, args=[], fuel=1 << 62)
"""
LEFT_BEHIND = program(".visible .entry orphan()\n{\nL:\n    bra L;\n}\n")


def has_ended(pid, seconds=20):
    """Whether a process ends in time."""
    for _ in range(20 * seconds):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.long
def test_the_process_of_the_emulator_ends_with_its_parent():
    script = ORPHAN.format(text=LEFT_BEHIND)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        time.sleep(2)  # until the launch has started
        parent.kill()
    assert has_ended(worker)
