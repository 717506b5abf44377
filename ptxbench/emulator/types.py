"""PTX types. Data only. (PTX ISA, "Fundamental Types".)"""

from __future__ import annotations

import functools
from dataclasses import dataclass

LANES = 32
"""Lanes of a warp."""


@dataclass(frozen=True, eq=False)  # TYPES has each type once
class Type:
    """A PTX type: `kind` is b (bits), u (unsigned), s (signed), f (float) or p (predicate)."""

    name: str
    kind: str
    bits: int

    @functools.cached_property
    def bytes(self) -> int:
        return self.bits // 8

    @functools.cached_property
    def floating(self) -> bool:
        return self.kind == "f"

    @functools.cached_property
    def signed(self) -> bool:
        return self.kind == "s"

    @functools.cached_property
    def element(self) -> str:
        """The LLVM type of one lane."""
        return {"f32": "float", "f64": "double"}.get(self.name, f"i{self.bits}")

    @functools.cached_property
    def llvm_name(self) -> str:
        """The element in names of intrinsics: i32, f32."""
        return self.name if self.floating else f"i{self.bits}"

    @functools.cached_property
    def vector(self) -> str:
        """The LLVM type of a warp's 32 lanes."""
        return f"<{LANES} x {self.element}>"

    def __str__(self) -> str:
        return self.name


PRED = Type("pred", "p", 1)
TYPES = {
    **{f"{kind}{bits}": Type(f"{kind}{bits}", kind, bits) for kind in "bus" for bits in (8, 16, 32, 64)},
    **{f"f{bits}": Type(f"f{bits}", "f", bits) for bits in (32, 64)},
    # The emulator treats narrower floats as bits: LLVM's half would call a library on a CPU without F16C.
    **{
        name: Type(name, "b", bits)
        for name, bits in (
            ("f16", 16),
            ("bf16", 16),
            ("f16x2", 32),
            ("bf16x2", 32),
            ("tf32", 32),
            ("f32x2", 64),
            ("e4m3x2", 16),
            ("e5m2x2", 16),
            ("e2m3x2", 16),
            ("e3m2x2", 16),
            ("e2m1x2", 8),
            ("ue8m0x2", 16),
            ("s2f6x2", 16),
        )
    },
    "b128": Type("b128", "b", 128),
    "pred": PRED,
}

B32, B64, U16, U32, U64, S32, S64, F32, F64 = (
    TYPES[name] for name in ("b32", "b64", "u16", "u32", "u64", "s32", "s64", "f32", "f64")
)


def wide(type: Type) -> Type:
    """The type of the same kind with twice the bits: the result of mul.wide."""
    return TYPES[f"{type.kind}{2 * type.bits}"]


def bits_of(type: Type) -> Type:
    """The bit type of the same width."""
    return PRED if type is PRED else TYPES[f"b{type.bits}"]
