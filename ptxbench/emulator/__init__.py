"""Executes PTX on the CPU, checks it and counts its operations. Knows nothing of pairs, and measures no times.

execution = emulator.run(ptx, grid=64, block=256, args=[x, y, np.uint32(n)])
"""

from ptxbench.emulator.chain import chain
from ptxbench.emulator.launch import Execution, run
from ptxbench.emulator.pointers import Pointer
from ptxbench.emulator.tensor_maps import MapOf

__all__ = ["Execution", "MapOf", "Pointer", "chain", "run"]
