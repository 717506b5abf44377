"""A product of small matrices as data: its shape, types and fragments, and how an architecture adds up."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ptxbench.emulator import tensor
from ptxbench.emulator.runtime.elements import word
from ptxbench.emulator.tensor import Fragment
from ptxbench.emulator.tensor_models import TensorModel


@dataclass(frozen=True)
class Scales:
    """Each row of A and each column of B has `count` scales of the type `kind` (ue8m0, ue4m3), for equal parts of k."""

    kind: str
    count: int

    def __str__(self) -> str:
        return f"{self.kind}_{self.count}"


@dataclass(frozen=True)
class Sparsity:
    """A has half of its elements, and metadata that say which.

    Of 4 `unit` neighbours A keeps two runs of `unit`; each has an index of 2 bits. Or, with `pairs`, it keeps one of
    two neighbours, and has an index of 4 bits for it (tf32).
    """

    unit: int = 1
    pairs: bool = False

    def bits(self, terms: int) -> int:
        """Bits of metadata for a row that keeps `terms` elements."""
        return terms * (4 if self.pairs else 2) // self.unit

    def words(self, terms: int) -> int:
        """The same in words of 32 bits."""
        return -(-self.bits(terms) // 32)


@dataclass(frozen=True, eq=False)
class Multiply:
    """D = A B + C. `types`: of d, a, b, c. `rule`: satfinite, xor, and, or a rounding of f64.

    `layout`: the shape, and the other qualifiers that determine its fragments. `d`: D's fragment if it differs from
    C's. `packing`: bits that an element of A or B takes in a register, if not those of its type.
    """

    layout: str
    m: int
    n: int
    k: int
    types: tuple[str, str, str, str]
    a: Fragment
    b: Fragment
    c: Fragment
    model: TensorModel | None = None
    rule: str = ""
    d: Fragment = ()
    packing: int = 0
    scales: Scales | None = None
    sparse: Sparsity | None = None

    @functools.cached_property
    def name(self) -> str:
        parts = ["mma", self.layout, *self.types, self.rule, f"x{len(self.a)}"]
        if self.model:
            parts.append(f"{self.model.block}_{self.model.frac}" + "_halves" * self.model.halves)
        if self.scales:
            parts.append(f"{self.scales}_of_{self.packing or 8}")
        if self.sparse:
            parts.append("sparse")
        return "_".join(filter(None, parts))

    def bits(self, operand: int) -> int:
        """Bits of an element in the registers of d, a, b or c."""
        packed = self.packing if operand in (1, 2) else 0
        return packed or tensor.in_units(self.types[operand], 0)[1]

    @functools.cached_property
    def registers(self) -> tuple[int, int, int, int]:
        """Registers of d, a, b and c."""
        fragments = (self.d or self.c, self.a, self.b, self.c)
        d, a, b, c = (len(fragment) * self.bits(i) // word(self.types[i]).bits for i, fragment in enumerate(fragments))
        return d, a, b, c

    @property
    def flops(self) -> int:
        """Multiplications and additions: one of each for every column of B and element of A in registers."""
        matrices = len({place[0] for place in self.c[0]})
        return 2 * self.m * self.n * self.row_elements * matrices

    @property
    def row_elements(self) -> int:
        """Elements of a row of A in registers or memory: half of them if A is sparse."""
        return self.k // 2 if self.sparse else self.k

    @property
    def depth(self) -> int:
        """Elements in a column of B; for b1, 32-bit words."""
        return self.k // 32 if self.types[1] == "b1" else self.k

    @property
    def terms(self) -> int:
        """Products in a sum."""
        return self.depth // 2 if self.sparse else self.depth

    @functools.cached_property
    def order(self) -> list[int]:
        """The order of the terms in the sum."""
        halves = self.model is not None and self.model.halves
        return sorted(range(self.terms), key=lambda k: k % 4 // 2) if halves else list(range(self.terms))
