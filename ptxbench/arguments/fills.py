"""Arrays as text: shapes, fills, and NumPy files."""

from __future__ import annotations

import io
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.arguments.elements import ElementType, number, quoted
from ptxbench.documents import opened
from ptxbench.errors import UsageError

FILLS = "zeros, iota, random, random(LOW,HIGH), a number or FILE.npy"


MOST_DIMENSIONS = 32
LONGEST_EXTENT = 18
"""The most digits of an extent: no array on this machine needs more."""


def read_shape(shape: str, text: str) -> tuple[int, ...]:
    """`1024`, `32,64`: integers of at least 1."""
    parts = [part.strip().replace("_", "") for part in shape.split(",")]
    if not all(re.fullmatch(r"0*[1-9][0-9]*", part) for part in parts):
        raise UsageError(
            f"'{text}': '{quoted(shape)}' is not a shape. Write whole numbers of at least 1, such as [1024] or [32,64]."
        )
    if len(parts) > MOST_DIMENSIONS:
        raise UsageError(f"'{text}' has {len(parts)} dimensions; an array may have {MOST_DIMENSIONS}.")
    if any(len(part) > LONGEST_EXTENT for part in parts):
        raise UsageError(f"'{text}' has too many elements. Write a smaller shape.")
    return tuple(map(int, parts))


CHUNK = 1 << 20
"""Elements that are made at once: they need more memory while they are made."""

RANDOM = re.compile(r"random(?:\((?P<low>[^,()]+),(?P<high>[^,()]+)\))?")


def check_fill(content: str, type: ElementType, text: str) -> None:
    """Raise UsageError unless `content` can fill an array of `type`."""
    if content in ("zeros", "iota") or content.endswith(".npy"):
        return
    if match := RANDOM.fullmatch(content):
        limits(match, type, text)
    elif re.match(r"[-+.\d]|inf|nan", content):
        number(content, type, text)
    else:
        raise UsageError(f"'{text}': '{quoted(content)}' is not a fill. Write {FILLS}.")


def limits(match: re.Match[str], type: ElementType, text: str) -> tuple[int | float, int | float]:
    """The limits of the random numbers."""
    if match["low"] is None:
        if type.floating:
            return -1.0, 1.0
        return int(np.iinfo(type.dtype).min), int(np.iinfo(type.dtype).max)
    low, high = (number(match[end].strip(), type, text) for end in ("low", "high"))
    if not low < high or not math.isfinite(high - low):
        raise UsageError(f"'{text}': expected random(LOW,HIGH), with LOW below HIGH.")
    return low, high


def fill(content: str, type: ElementType, shape: tuple[int, ...], rng: np.random.Generator, text: str) -> NDArray[Any]:
    """The array that `content` describes."""
    if content == "zeros":
        return np.zeros(shape, type.dtype)
    match = RANDOM.fullmatch(content)
    if match is None and content != "iota":
        return np.full(shape, type.hold(np.array([number(content, type, text)]))[0])
    low, high = limits(match, type, text) if match else (0, 0)
    if match and not type.floating:
        return rng.integers(low, high, shape, type.dtype, endpoint=True)  # type: ignore[arg-type]  # integers
    filled = np.empty(math.prod(shape), type.dtype)
    for start in range(0, filled.size, CHUNK):
        part = filled[start : start + CHUNK]
        part[:] = type.hold(rng.uniform(low, high, part.size) if match else iota(start, part.size, type))
    return filled.reshape(shape)


def iota(start: int, count: int, type: ElementType) -> NDArray[Any]:
    """start, start + 1, ...: exact, before conversion to a type that may be too narrow."""
    return np.arange(start, start + count, dtype=np.float64 if type.floating else np.int64)


def load(path: Path, text: str) -> NDArray[Any]:
    """The array of a .npy file, C-contiguous, writable and in this machine's byte order."""
    try:
        # opened here, because NumPy leaves a damaged archive open; its warnings are about headers of Python 2
        with io.BufferedReader(opened(path)) as file, warnings.catch_warnings(action="ignore"):
            loaded = np.load(file, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"'{text}': cannot read {path}: {error.strerror or error}.") from None
    except MemoryError:
        raise UsageError(f"'{text}': not enough memory for {path}.") from None
    except Exception:  # NumPy evaluates the header as Python; its own words would advise to load the file unsafely
        raise UsageError(f"'{text}': {path} is damaged, or not an array of numbers that numpy.save wrote.") from None
    if not isinstance(loaded, np.ndarray):
        raise UsageError(f"'{text}': {path} holds several arrays. Save one of them with numpy.save.")
    if loaded.size == 0:
        raise UsageError(f"'{text}': {path} holds {described(loaded)}, which has no element.")
    return np.array(loaded, dtype=loaded.dtype.newbyteorder("="), order="C", ndmin=1)


def described(array: NDArray[Any]) -> str:
    """`float64[32,64]`."""
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
