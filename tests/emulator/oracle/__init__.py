"""A second implementation: a plain NumPy interpreter of PTX that shares only the parser with the emulator.

One NumPy operation an instruction over every thread at once. A thread has a program counter; of a warp's threads the
lowest of those that can run goes first, and threads that come to one place go on together. An access outside the
arrays is an IndexError or wrong, so run only correct PTX. Unsupported features are named before anything runs.

    step         an instruction taken apart, and the table of rules
    machine      the threads: which of them run, their registers, the operands they read
    memory       one arena for all state spaces, and where an address lies in it
    counters     what docs/emulator.md says that instructions count
    integers, bits, floats, conversions, comparisons, moves, loads, atomics, warp, copies, mbarriers, matrix,
    warpgroup, control   the rules, from the PTX manual
"""

from tests.emulator.oracle.counters import Counters
from tests.emulator.oracle.launch import interpret, lacking
from tests.emulator.oracle.step import Missing

__all__ = ["Counters", "Missing", "interpret", "lacking"]
