"""How often warps executed each machine instruction: derived from the emulator's exact counts by line of the PTX.

Nothing here is measured on a device, and nothing is estimated: if the counts and the control flow of the machine code
do not determine a number, the result is an interval. docs/executed.md describes it.
"""

from __future__ import annotations

from ptxbench.executed.derivation import BlockCount, Counted, Executed, derive, joint, of_build

__all__ = ["BlockCount", "Counted", "Executed", "derive", "joint", "of_build"]
