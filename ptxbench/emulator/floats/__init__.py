"""Floating point beyond what LLVM gives: other roundings, other formats, approximate functions. No libm anywhere.

Every function here takes an Emitter first and emits IR; most are large, so that callers put them out of line
(`Emitter.outline`). Multiplications and additions are never fused unless `fma` is called: one result on every machine.
"""
