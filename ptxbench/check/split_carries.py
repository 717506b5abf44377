"""Inline PTX of CUDA C that uses the carry flag of another statement. Knows the text that NVRTC makes of it.

Nothing tells the compiler that two statements share the flag (CC.CF): it may move one of them, or leave it out if its
outputs are not used, unless all are `volatile`. (Inline PTX Assembly in CUDA, "Incorrect Optimization"; PTX ISA,
"Extended-Precision Arithmetic Instructions": the flag is not preserved across calls.)
"""

from __future__ import annotations

import re

STATEMENT = re.compile(r"// begin inline asm\n(.*?)// end inline asm", re.DOTALL)
READS_CARRY = re.compile(r"(?<![\w.])(?:addc|subc|madc)\.")
WRITES_CARRY = re.compile(r"(?<![\w.])(?:add|sub|mad)(?:\.hi|\.lo)?\.cc\.")


def split_carry(ptx: str) -> int | None:
    """The line of the first instruction that reads the carry flag of another statement of inline PTX; None if there is
    none."""
    for statement in STATEMENT.finditer(ptx):
        body = statement[1]
        read, written = READS_CARRY.search(body), WRITES_CARRY.search(body)
        if read and not (written and written.start() < read.start()):
            return ptx.count("\n", 0, statement.start(1) + read.start()) + 1
    return None
