"""Executes PTX on the CPU, checks it and counts what it does. Knows nothing of pairs, and has no time to tell.

execution = emulator.run(ptx, grid=64, block=256, args=[x, y, np.uint32(n)])
"""

from ptxbench.emulator.launch import Execution, run

__all__ = ["Execution", "run"]
