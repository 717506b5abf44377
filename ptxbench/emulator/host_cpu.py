"""What the code of kernels may use of the processor that runs it, beyond what every processor has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostCpu:
    """`fma`: it fuses in hardware; without it, llvm.fma is 32 calls of libm. `permutes`: it has AVX-512's permutations
    of two registers (runtime/nearby.py). Results and counters are the same with and without them."""

    fma: bool = True
    permutes: bool = False


USUAL = HostCpu()
"""The processor of code that is not run."""
