"""Bit patterns of floats on which implementations go wrong, and a table-driven comparison with exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.emulator import batch, exact
from tests.emulator.exact import Format

F16 = Format(16, 10, -14, 0x7FFF)
BF16 = Format(16, 7, -126, 0x7FFF)
TF32 = Format(19, 10, -126, 0x3FFFF)
FORMS = {"f16": F16, "bf16": BF16, "f32": exact.F32, "f64": exact.F64}
SEED = 20260803


def edges(form: Format) -> list[int]:
    """Zeros, subnormals, powers of two and their neighbours, the greatest, infinities, NaNs; both signs."""
    least, one, infinity = 1 << form.fraction, form.one, form.infinity
    middle = 1 << form.fraction - 1
    magnitudes = [
        0, 1, 2, 3, middle, least - 1, least, least + 1, 2 * least - 1, 2 * least, one - 1, one, one + 1, one + middle,
        one + least, one - least, one + least * 3 + 5, infinity - least, infinity - 1, infinity, infinity + 1,
        infinity + middle, form.nan,
    ]  # fmt: skip
    return [magnitude | sign for magnitude in magnitudes for sign in (0, form.sign)]


def random(form: Format, count: int, size: int, rng: np.random.Generator) -> list[NDArray[np.uint64]]:
    """Columns of any patterns at all, and of ones with close exponents, where sums cancel and round."""
    wild = rng.integers(0, 2**64 - 1, (count, size // 2), np.uint64, endpoint=True) >> np.uint64(64 - form.width)
    middle = rng.integers(1, (form.infinity >> form.fraction) - 1, (1, size - size // 2))
    exponents = np.clip(middle + rng.integers(-4, 5, (count, middle.shape[1])), 0, (form.infinity >> form.fraction) - 1)
    fractions = rng.integers(0, 1 << form.fraction, exponents.shape)
    signs = rng.integers(0, 2, exponents.shape)
    tame = (signs << form.width - 1 | exponents << form.fraction | fractions).astype(np.uint64)
    return list(np.concatenate([wild, tame], axis=1))


def operands(form: Format, count: int, size: int = 1000) -> list[NDArray[np.uint64]]:
    """Pairs of edges and random rows; third operands are drawn from both."""
    rng = np.random.default_rng(SEED)
    special = np.array(edges(form), np.uint64)
    if count == 1:
        pairs = [special]
    else:
        first, second = (grid.ravel() for grid in np.meshgrid(special, special))
        pairs = [first, second, *(rng.permuted(np.resize(special, first.size)) for _ in range(count - 2))]
    return [np.concatenate(columns) for columns in zip(pairs, random(form, count, size, rng), strict=True)]


@dataclass(frozen=True)
class Check:
    """An opcode with its expected result for one row of source patterns."""

    opcode: str
    result: str
    kinds: Sequence[str]
    columns: Sequence[NDArray[np.uint64]]
    expected: Callable[..., int]
    note: str = field(default="", compare=False)


def disagreements(checks: Sequence[Check], target: str = "sm_80", version: str = "8.8") -> list[str]:
    """Lines for the rows on which an instruction and its check differ."""
    cases = [batch.Case(check.opcode, check.result, check.kinds, check.columns) for check in checks]
    lines = []
    for check, got in zip(checks, batch.execute(cases, target, version), strict=True):
        for row, value in zip(zip(*check.columns, strict=True), got, strict=True):
            wanted = check.expected(*map(int, row))
            if int(value) != wanted:
                lines.append(
                    f"{check.opcode} {', '.join(hex(pattern) for pattern in row)}: {int(value):#x}, not {wanted:#x}"
                )
    return lines


def packed(column: NDArray[np.uint64], width: int = 16) -> NDArray[np.uint64]:
    """Patterns in the lower half, and patterns of other rows in the upper half."""
    return column | np.roll(column, 7) << np.uint64(width)


def both(function: Callable[..., int], width: int = 16, result: int = 0) -> Callable[..., int]:
    """The function on both halves of patterns of 2 `width` bits; halves of the result have `result` or `width` bits."""
    mask = (1 << width) - 1

    def on_halves(*patterns: int) -> int:
        low = function(*(pattern & mask for pattern in patterns))
        return low | function(*(pattern >> width for pattern in patterns)) << (result or width)

    return on_halves


def relu(pattern: int, form: Format) -> int:
    """Negative becomes +0, NaN stays."""
    return pattern if pattern & form.sign == 0 or pattern & form.sign - 1 > form.infinity else 0
