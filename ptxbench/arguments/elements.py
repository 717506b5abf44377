"""The types of elements, and numbers as text: the type for a name, and whether it can hold a number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.errors import UsageError, suggestion

LONGEST_QUOTE = 120

NUMPY = {"u": "uint", "b": "uint", "s": "int", "f": "float"}
"""NumPy's name for each kind of type."""


@dataclass(frozen=True)
class ElementType:
    """A type by its PTX name, and the dtype that holds it: bf16 is held in uint16, because NumPy has no bf16."""

    name: str
    dtype: np.dtype[Any]

    @property
    def floating(self) -> bool:
        return self.dtype.kind == "f" or self.name == "bf16"

    def hold(self, values: NDArray[Any]) -> NDArray[Any]:
        """`values` in the type's dtype. Floats round to nearest even; integers wrap."""
        if self.name != "bf16":
            with np.errstate(over="ignore"):
                return values.astype(self.dtype)
        bits = to_odd(values.astype(np.float64))
        rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16
        return np.where(bits & 0x7FFFFFFF > 0x7F800000, 0x7FFF, rounded).astype(np.uint16)

    def show(self, encoded: NDArray[Any]) -> NDArray[Any]:
        """The numbers that `encoded`, an array in the type's dtype, stands for."""
        return (encoded.astype(np.uint32) << 16).view(np.float32) if self.name == "bf16" else encoded


def to_odd(values: NDArray[np.float64]) -> NDArray[np.uint32]:
    """The bits of `values` as float32, with 0 as the last bit only if that is exact: a further rounding to fewer bits
    is then the same as one from float64. (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008.)"""
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    bits: NDArray[np.uint32] = nearest.view(np.uint32) - (np.abs(nearest.astype(np.float64)) > np.abs(values))
    return np.where(np.isnan(values) | (nearest == values), nearest.view(np.uint32), bits | 1)


TYPES = {
    **{
        f"{kind}{bits}": ElementType(f"{kind}{bits}", np.dtype(f"{NUMPY[kind]}{bits}"))
        for kind in "busf"
        for bits in (8, 16, 32, 64)
        if (kind, bits) != ("f", 8)
    },
    "bf16": ElementType("bf16", np.dtype(np.uint16)),
}


OF_OTHER_LANGUAGES = {
    "char": "s8",
    "short": "s16",
    "int": "s32",
    "long": "s64",
    "unsigned": "u32",
    "uint": "u32",
    "bool": "u8",
    "half": "f16",
    "float": "f32",
    "double": "f64",
    "bfloat16": "bf16",
    **{f"float{bits}": f"f{bits}" for bits in (16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"s{bits}" for bits in (8, 16, 32, 64)},
    **{f"i{bits}": f"s{bits}" for bits in (8, 16, 32, 64)},
}
"""Names of types in C, NumPy and Rust, without `_t`."""


def quoted(text: str) -> str:
    """`text` for a message, shortened if it is long."""
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


def element_type(name: str, text: str) -> ElementType:
    if name in TYPES:
        return TYPES[name]
    if not name:
        raise UsageError(f"'{text}' has no type before '='. Write u32, f32 and so on.")
    before, _, fill = text.partition("=")
    type_name, _, shape = before.partition(":")
    if type_name in TYPES and shape == name and name[0].isdigit():
        array = f"{type_name}[{shape.replace('x', ',')}]={fill}"
        raise UsageError(f"'{text}': the shape of an array is in brackets. Did you mean '{array}'?")
    if fill.startswith(("{", "&")) and name.isidentifier():  # NAME={...}
        raise UsageError(f"'{text}': a colon follows the name of a parameter. Did you mean '{name}:{quoted(fill)}'?")
    of_name = re.fullmatch(r"(\w+)(\[.*\])?(=.*)?", fill)
    if of_name and of_name[1] in TYPES:  # NAME=TYPE
        value = "" if of_name[3] else "=random" if of_name[2] else "=NUMBER"
        raise UsageError(f"'{text}': a colon follows the name of a parameter. Did you mean '{name}:{fill}{value}'?")
    meant = OF_OTHER_LANGUAGES.get(name.lower().removesuffix("_t"))
    hint = f" Did you mean '{meant}'?" if meant else suggestion(name, tuple(TYPES))
    types = f" Types are {', '.join(TYPES)}. After the name of a parameter there is a colon, as in n:u32=1024."
    raise UsageError(f"'{text}': unknown type '{quoted(name)}'.{hint or types}")


def number(literal: str, type: ElementType, text: str) -> int | float:
    """A number that `type` can hold. Raises UsageError if it is not a number, or does not fit."""
    try:
        if type.floating:
            of_bits = re.match(r"0[fFdD][0-9a-fA-F]+$", literal) is not None
            real = float_of_bits(literal) if of_bits else float_of_decimal(literal.replace("_", ""), type)
            says_infinity = of_bits or "inf" in literal.lower()
            if np.isinf(type.show(type.hold(np.array([real])))[0]) and not (np.isinf(real) and says_infinity):
                raise UsageError(f"'{text}': '{quoted(literal)}' is beyond the greatest {type.name}.")
            return real
        value = int(literal, 0)
    except ValueError:
        kind = "number" if type.floating else "whole number"
        if not type.floating and re.match(r"\w+\[", literal):
            kind = "whole number, and what has a shape is an array"
        if re.fullmatch(r"[-+]?\d{4000,}", literal):  # Python's limit for decimal numbers
            raise UsageError(out_of_range(type, text)) from None
        raise UsageError(f"'{text}': '{quoted(literal)}' is not a {kind}.{array_hint(literal, type)}") from None
    limits = np.iinfo(type.dtype)
    if not limits.min <= value <= limits.max:
        raise UsageError(out_of_range(type, text))
    return value


def out_of_range(type: ElementType, text: str) -> str:
    limits = np.iinfo(type.dtype)
    return f"'{text}': expected a {type.name} from {limits.min} to {limits.max}."


def array_hint(literal: str, type: ElementType) -> str:
    """`f32=random`: values of an array, without its shape."""
    if literal in ("zeros", "iota") or literal.startswith("random") or literal.endswith(".npy"):
        return f" An array needs its shape: '{type.name}[1024]={literal}'."
    return ""


def float_of_decimal(literal: str, type: ElementType) -> float:
    """The float64 that a decimal number is nearest to. If that is halfway between two numbers of `type` and the decimal
    number is not, its neighbour on the side of the decimal number: rounded to `type`, it gives the nearest one."""
    real = float(literal)
    if type.dtype == np.float64 or not np.isfinite(real) or real == 0:
        return real
    below, above = np.nextafter(real, [-np.inf, np.inf])
    held = type.hold(np.array([below, above]))
    if held[0] == held[1]:
        return real
    exact = Fraction(Decimal(literal))
    return real if exact == real else float(above if exact > real else below)


def float_of_bits(literal: str) -> float:
    """PTX's own notation of a float by its bits: 0f3f800000, 0d3ff0000000000000."""
    digits, bits = (8, np.uint32) if literal[1] in "fF" else (16, np.uint64)
    if len(literal) != 2 + digits:
        raise ValueError(literal)
    bit_pattern = np.array([int(literal[2:], 16)], bits)
    return float(bit_pattern.view(np.float32 if digits == 8 else np.float64)[0])
