"""Floating point that LLVM lacks: other roundings, other formats, approximate functions. Never uses libm.

Every function here takes an Emitter first and emits IR; most are large, so callers put them out of line
(`Emitter.outline`). Multiplications and additions are fused only by `fma`, so results are the same on every machine.
"""
