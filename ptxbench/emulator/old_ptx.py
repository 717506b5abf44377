"""Instructions of old PTX, as ptxas understands them for GPUs of today. (PTX ISA, "mad", "add" and others of floats.)

For a target before sm_20 every instruction of f32 flushes subnormal numbers, without .ftz. There, and before PTX 3.2,
`mad` of f32 needs no rounding; it is the fused one.
"""

from __future__ import annotations

import re

from ptxbench.emulator.syntax import Module

FIRST_TARGETS = re.compile(r"(sm|compute)_1\d")
LAST_WITHOUT_ROUNDING = (3, 1)
MAD = re.compile(r"mad(\.ftz|\.sat)*\.f32")


def flushes(module: Module) -> bool:
    """Whether instructions of f32 flush subnormal numbers without .ftz."""
    return any(FIRST_TARGETS.fullmatch(target) for target in module.target)


def spellings(opcode: str, module: Module) -> tuple[str, ...]:
    """`opcode` as newer PTX spells it, and then as it is; only the first that is an instruction counts."""
    flushed = flushes(module)
    version = tuple(int(part) for part in module.version.split("."))
    if MAD.fullmatch(opcode) and (flushed or version <= LAST_WITHOUT_ROUNDING):
        opcode = opcode.replace("mad", "mad.rn", 1)
    words = opcode.split(".")
    return (opcode + ".ftz", opcode) if flushed and "f32" in words and "ftz" not in words else (opcode,)
