"""Floats of every width as f64 and back, and sums that are rounded only once."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.emulator import exact

# bits of precision, exponent of the least normal number, canonical NaN
FORMATS = {
    "f16": (11, -14, 0x7FFF), "bf16": (8, -126, 0x7FFF), "tf32": (11, -126, 0x7FFFFFFF),
    "f32": (24, -126, 0x7FFFFFFF), "f64": (53, -1022, 0x7FFFFFFFFFFFFFFF),
    "e4m3": (4, -6, 0x7F), "e5m2": (3, -14, 0x7F),
}  # fmt: skip
EXACT = {
    "f16": exact.Format(16, 10, -14, 0x7FFF), "bf16": exact.Format(16, 7, -126, 0x7FFF), "f32": exact.F32,
    "f64": exact.F64,
}  # fmt: skip
E4M3 = np.array([
    sign * (np.nan if low == 0x7F else np.ldexp((low & 7) + (8 if low > 7 else 0), max(low >> 3, 1) - 10))
    for sign in (1.0, -1.0) for low in range(128)
])  # fmt: skip
"""The values of its 256 patterns: no infinity, and the greatest exponent is one of numbers."""
ROUND: dict[str, Any] = {"rn": np.rint, "rz": np.trunc, "rm": np.floor, "rp": np.ceil}


def flushed(values: Any, least: float = 2.0**-126) -> Any:
    """Subnormal numbers as zeros of their sign."""
    small = (np.abs(values) < least) & (values != 0)
    return np.where(small, np.copysign(values.dtype.type(0), values), values) if small.any() else values


def tiny(values: Any, kind: str, rounding: str) -> Any:
    """Whether f64 values, exact or rounded to odd, are below the least normal number of `kind` after rounding with an
    unbounded exponent: .ftz flushes these. (docs/emulator.md, "What is exact".)
    """
    precision, least, _ = FORMATS[kind]
    finite = np.where(np.isfinite(values), values, 1.0)
    unit = np.frexp(finite)[1] - precision
    return np.abs(np.ldexp(ROUND[rounding](np.ldexp(finite, -unit)), unit)) < 2.0**least


def value(raw: Any, kind: str, *, flush: bool = False) -> Any:
    """The exact value of the bits as f64; f64 and f32 come as floats already."""
    if kind == "f16":
        decoded = np.asarray(raw).view(np.float16).astype(np.float64)
    elif kind == "bf16":
        decoded = (np.asarray(raw).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    elif kind == "e5m2":  # the upper byte of an f16
        decoded = (np.asarray(raw).astype(np.uint16) << 8).view(np.float16).astype(np.float64)
    elif kind == "e4m3":
        decoded = E4M3[np.asarray(raw)]
    else:
        decoded = np.asarray(raw, np.float64)
    return flushed(decoded, 2.0 ** FORMATS[kind][1]) if flush else decoded


def rounded(values: Any, kind: str, rounding: str = "rn") -> Any:
    """The f64 values rounded to the precision of `kind`, as f64 or as NumPy's own type of it."""
    if kind == "f64":
        return values
    if rounding == "rn" and kind in ("f32", "f16"):
        return np.asarray(values).astype(np.float32 if kind == "f32" else np.float16)
    precision, least, _ = FORMATS[kind]
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    _, exponent = np.frexp(np.where(finite, values, 0))
    unit = np.maximum(exponent - 1, least) - precision + 1
    result = np.ldexp(ROUND[rounding](np.ldexp(np.where(finite, values, 0), -unit)), unit)
    greatest = (2.0 - 2.0 ** (1 - precision)) * 2.0 ** (1 - least)
    # A value beyond the greatest number rounds to infinity, unless it is rounded inward.
    outward = {"rn": True, "rz": False, "rm": values < 0, "rp": values > 0}[rounding]
    over = np.abs(result) > greatest
    result = np.where(over, np.copysign(np.where(outward, np.inf, greatest), values), result)
    return np.where(finite, np.copysign(result, values), values)


def pack(values: Any, kind: str) -> Any:
    """The bits, or the f32 or f64, of values that the format has; NaN as PTX's own."""
    values = np.asarray(values)
    if kind == "f64":
        bits = np.asarray(values, np.float64).view(np.uint64)
    elif kind == "f16":
        bits = values.astype(np.float16).view(np.uint16)
    else:
        bits = values.astype(np.float32).view(np.uint32)
        if kind == "bf16":
            bits = (bits >> 16).astype(np.uint16)
    nan = np.isnan(values)
    if nan.any():
        bits = np.where(nan, bits.dtype.type(FORMATS[kind][2]), bits)
    return bits.view({"f32": np.float32, "f64": np.float64}.get(kind, bits.dtype))


def to_odd(total: Any, lost: Any) -> Any:
    """The f64 of total + lost, the exact sum, rounded to odd: a second rounding is then as good as the only one.

    (Boldo, Melquiond: Emulation of FMA and correctly rounded sums, 2008.)
    """
    even = (np.asarray(total).view(np.uint64) & np.uint64(1)) == 0
    toward = np.where(lost > 0, np.inf, -np.inf)
    inexact = (lost != 0) & np.isfinite(total) & np.isfinite(lost) & even
    return np.where(inexact, np.nextafter(total, toward), total)


def added(a: Any, b: Any) -> Any:
    """a + b of two f64, rounded to odd."""
    total = a + b
    partner = total - a
    return to_odd(total, (a - (total - partner)) + (b - partner))


def by_rationals(name: str, kind: str, rounding: str, *operands: Any) -> Any:
    """An operation of exact.py, element by element, for f32 and f64: slow, but simple."""
    bits = np.uint32 if kind == "f32" else np.uint64
    function = getattr(exact, name)
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(operand)).view(bits) for operand in operands))
    rows = zip(*(array.tolist() for array in arrays), strict=True)
    return np.array([function(EXACT[kind], rounding, *row) for row in rows], bits).view(
        np.float32 if kind == "f32" else np.float64
    )
