"""Calls of vendors' libraries that do a pair's work, as a pair declares them. Data only; imports nothing of ptxbench.

A library is timed with a pair's variants on a GPU, verified by the same reference, and never judged as one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Gemm"]


@dataclass(frozen=True)
class Gemm:
    """c = a b by cuBLAS, all row-major: a is m x k, b is k x n. Each field names an argument of the pair.

    Sums are in f32, and inputs are not rounded (no TF32).
    """

    a: str = "a"
    b: str = "b"
    c: str = "c"
    m: str = "m"
    n: str = "n"
    k: str = "k"

    @property
    def arrays(self) -> tuple[str, str, str]:
        """The names of the arguments a, b and c."""
        return self.a, self.b, self.c

    @property
    def dimensions(self) -> tuple[str, str, str]:
        """The names of the dimensions m, n and k."""
        return self.m, self.n, self.k
