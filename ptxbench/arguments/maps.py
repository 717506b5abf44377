"""The notation of a tensor map: `map(ARRAY, box=64x8, ...)`, where ARRAY is an array or the name of one.

Dimensions are in the order of PTX: in dimension 0, elements are contiguous in memory.
"""

from __future__ import annotations

import re
from typing import Any

from ptxbench.arguments.elements import quoted
from ptxbench.errors import UsageError
from ptxbench.tensor_map import TensorMap

EXAMPLE = "'map(f16[20,64]=iota, box=64x8, swizzle=128)' or 'map(&x, box=64x8)'"
EXTENTS = {"box": "box", "shape": "shape", "strides": "strides", "steps": "element_strides"}
"""Options with a number for each dimension -> the fields of TensorMap."""
NUMBERS = ("swizzle", "atom", "interleave", "l2_promotion")
WORDS = ("element", "fill")


def parse_options(options: list[str], of: str, label: str) -> TensorMap:
    """The map with these options, each `NAME=VALUE`. Raises UsageError with the mistake."""
    fields: dict[str, Any] = {}
    option_names = (*EXTENTS, *NUMBERS, *WORDS)
    for option in options:
        name, _, value = option.partition("=")
        if name not in option_names:
            raise UsageError(
                f"'{label}': unknown option '{quoted(option)}' of a map; it has {', '.join(option_names)}."
            )
        if name in WORDS:
            fields[name] = value
        elif name in NUMBERS:
            fields[name] = whole_number(value, name, label)
        else:
            extents = tuple(whole_number(extent, name, label) for extent in value.split("x")) if value else ()
            fields[EXTENTS[name]] = (lambda extents=extents: extents) if name in ("shape", "strides") else extents
    if "box" not in fields:
        raise UsageError(f"'{label}': a tensor map needs a box. Write it as {EXAMPLE}.")
    return TensorMap("map", of, **fields)


def whole_number(text: str, name: str, label: str) -> int:
    if not re.fullmatch(r"\d{1,13}", text):
        raise UsageError(f"'{label}': {name} is '{quoted(text)}'; expected whole numbers with x between them, as 64x8.")
    return int(text)
