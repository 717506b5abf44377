"""A second implementation: a plain NumPy interpreter of PTX that shares only the parser with the emulator.

One NumPy operation per instruction works on all threads at once. Each thread has a program counter; of those that can
run, the threads with the lowest one run first, and threads at the same instruction run together. An access outside the
arrays is an IndexError or wrong, so run only correct PTX. Unsupported features are named before anything runs.

    step         a parsed instruction, and the table of rules
    machine      the threads: which of them run, their registers, the operands they read
    memory       one arena for all state spaces, and where an address lies in it
    counters     what docs/counters.md says that instructions count
    integers, bits, floats, conversions, comparisons, moves, loads, atomics, warp, copies, mbarriers, matrix,
    warpgroup, control   the rules, from the PTX manual
"""

from tests.emulator.oracle.counters import Counters
from tests.emulator.oracle.launch import interpret, lacking
from tests.emulator.oracle.step import Missing

__all__ = ["Counters", "Missing", "interpret", "lacking"]
