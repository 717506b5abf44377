"""How code changed between two runs, and why: by the hashes of source, PTX and machine code in the build reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ptxbench.result import BuildReport, VariantResult

Move = Literal["same", "source", "toolchain"]
"""The same machine code; different code from a different source; different code from the same source."""


def move(base: VariantResult, head: VariantResult) -> Move | None:
    """How a variant's code changed; None if a build is not known."""
    if base.build is None or head.build is None:
        return None
    if same_code(base.build, head.build):
        return "same"
    return "source" if base.build.source_sha256 != head.build.source_sha256 else "toolchain"


def same_code(base: BuildReport, head: BuildReport) -> bool:
    """Whether both are the same machine code; if neither was assembled, whether they are the same PTX."""
    if base.sass_sha256 is None and head.sass_sha256 is None:
        return same_ptx(base, head)
    return base.sass_sha256 == head.sass_sha256


def same_ptx(base: BuildReport | None, head: BuildReport | None) -> bool:
    """Whether both builds are known and have the same PTX: what the emulator executes."""
    return base is not None and head is not None and base.ptx_sha256 == head.ptx_sha256


@dataclass(frozen=True)
class Moves:
    """The code changes of both sides of a row, by variant: the variant, and for a ratio also the reference."""

    sides: tuple[tuple[str, Move | None], ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether the code of every side is known and unchanged."""
        return bool(self.sides) and all(move == "same" for _, move in self.sides)

    def __str__(self) -> str:
        """`ptx: source`, `both: toolchain`, `ptx: source, cuda: toolchain`; empty if nothing changed or is known."""
        moved = [(name, move) for name, move in self.sides if move not in ("same", None)]
        if len(moved) > 1 and len({move for _, move in moved}) == 1:
            return f"both: {moved[0][1]}"
        return ", ".join(f"{name}: {move}" for name, move in moved)
