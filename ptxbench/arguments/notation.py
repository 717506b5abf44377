"""The notation of `--arg`: text to an Argument, and an Argument to its value. Knows nothing of kernels.

    [NAME:]TYPE=NUMBER           passed by value              u32=1024   a:f32=2.5   u32=0xff   f32=0f3f800000
    [NAME:]TYPE[SHAPE]=FILL      an array, by its address     'f32[1024]=random'   'y:f16[32,64]=zeros'
    [NAME:]FILE.npy              an array as the file has it  x:input.npy
    [NAME:]null                  a null pointer

TYPE is a width with b, u, s (8 to 64), f (16 to 64), or bf16. FILL is zeros, iota (0, 1, 2, ...), random (floats in
[-1, 1), integers of any value), random(LOW,HIGH) (floats below HIGH, integers up to it), a number, or FILE.npy.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.errors import UsageError, suggestion

NOTATION = "[NAME:]TYPE=NUMBER, '[NAME:]TYPE[SHAPE]=FILL', [NAME:]FILE.npy or [NAME:]null"
FILLS = "zeros, iota, random, random(LOW,HIGH), a number or FILE.npy"
MOST_BYTES = 1 << 32
"""Of one array: an array of more is a slip of the pen, and this machine's memory that pays for it."""

NUMPY = {"u": "uint", "b": "uint", "s": "int", "f": "float"}


@dataclass(frozen=True)
class ElementType:
    """A type by its name in PTX, and the dtype that holds it: a bf16 is held in uint16, for NumPy has none."""

    name: str
    dtype: np.dtype[Any]

    @property
    def floating(self) -> bool:
        return self.dtype.kind == "f" or self.name == "bf16"

    def hold(self, values: NDArray[Any]) -> NDArray[Any]:
        """`values` as the dtype holds them. Floats round to nearest even; integers wrap."""
        if self.name != "bf16":
            with np.errstate(over="ignore"):
                return values.astype(self.dtype)
        with np.errstate(over="ignore"):
            bits = values.astype(np.float32).view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16
        return np.where(bits & 0x7FFFFFFF > 0x7F800000, 0x7FFF, rounded).astype(np.uint16)

    def show(self, held: NDArray[Any]) -> NDArray[Any]:
        """The numbers that `held` stands for."""
        return (held.astype(np.uint32) << 16).view(np.float32) if self.name == "bf16" else held


TYPES = {
    **{
        f"{kind}{bits}": ElementType(f"{kind}{bits}", np.dtype(f"{NUMPY[kind]}{bits}"))
        for kind in "busf"
        for bits in (8, 16, 32, 64)
        if (kind, bits) != ("f", 8)
    },
    "bf16": ElementType("bf16", np.dtype(np.uint16)),
}


@dataclass(frozen=True)
class Argument:
    """One `--arg`. `type` is None where a file says it or for null; `shape` is None for what is passed by value."""

    text: str
    name: str | None
    type: ElementType | None
    shape: tuple[int, ...] | None
    fill: str

    @property
    def by_value(self) -> bool:
        return self.type is not None and self.shape is None

    @property
    def null(self) -> bool:
        return self.type is None and self.fill == "null"

    def value(self, seed: tuple[int, ...]) -> Any:
        """A NumPy scalar, a new C-contiguous array, or None for null. `seed` is that of what is random.

        Raises UsageError for a file that cannot be read or that holds something else.
        """
        if self.null:
            return None
        if self.type is None or self.fill.endswith(".npy"):
            return self.from_file()
        if self.shape is None:
            return self.type.hold(np.array([number(self.fill, self.type, self.text)]))[0]
        try:
            return fill(self.fill, self.type, self.shape, np.random.default_rng(seed), self.text)
        except MemoryError:
            raise UsageError(f"'{self.text}': this machine has no memory for so many elements.") from None

    def from_file(self) -> NDArray[Any]:
        array = load(Path(self.fill), self.text)
        if self.type is not None and (array.dtype != self.type.dtype or array.shape != self.shape):
            raise UsageError(
                f"'{self.text}': {self.fill} holds {described(array)}. Write the file's name alone to take it as it is."
            )
        return array


def parse(text: str) -> Argument:
    """Read one `--arg`. Raises UsageError that says what is wrong with it."""
    name, rest = split_name(text)
    if rest == "null" or (rest.endswith(".npy") and "=" not in rest):
        return Argument(text, name, None, None, rest)
    type_and_shape, equals, value = rest.partition("=")
    if not equals:
        raise UsageError(f"'{text}' is no argument. Write it as {NOTATION}.{hint(rest)}")
    match = re.fullmatch(r"(\w*)(?:\[(.*)\])?", type_and_shape)
    if match is None:
        raise UsageError(f"'{text}': '{type_and_shape}' is no type. Write u32, or for an array f32[1024].")
    element = element_type(match[1], text)
    if match[2] is None:
        number(value, element, text)
        return Argument(text, name, element, None, value)
    shape = read_shape(match[2], text)
    if (size := math.prod(shape) * element.dtype.itemsize) > MOST_BYTES:
        raise UsageError(f"'{text}' takes {size / 1e9:,.1f} GB; an array may have {MOST_BYTES / 1e9:.1f} GB.")
    check_fill(value, element, text)
    return Argument(text, name, element, shape, value)


def split_name(text: str) -> tuple[str | None, str]:
    """The name before the first colon, if what stands there can be one."""
    match = re.match(r"([A-Za-z_$%][\w$]*|\d+):(?!\\)", text)
    return (match[1], text[match.end() :]) if match else (None, text)


def hint(text: str) -> str:
    """What may have been meant by an argument without a type."""
    if re.fullmatch(r"[-+]?\d+", text):
        return f" A number needs its type: u32={text}."
    if re.fullmatch(r"[-+]?[\d.]+(?:e[-+]?\d+)?", text):
        return f" A number needs its type: f32={text}."
    if re.fullmatch(r"\w+\[.*\]", text):
        return f" An array needs its values: '{text}=random'."
    return ""


def element_type(name: str, text: str) -> ElementType:
    if name in TYPES:
        return TYPES[name]
    if not name:
        raise UsageError(f"'{text}' has no type before '='. Write u32, f32 and so on.")
    known = ", ".join(TYPES)
    raise UsageError(f"'{text}': there is no type '{name}'.{suggestion(name, tuple(TYPES)) or f' Types are {known}.'}")


def read_shape(given: str, text: str) -> tuple[int, ...]:
    """`1024`, `32,64`: whole numbers of at least 1."""
    parts = [part.strip() for part in given.split(",")]
    if not all(re.fullmatch(r"[0-9][0-9_]*", part) and int(part.replace("_", "")) > 0 for part in parts):
        raise UsageError(
            f"'{text}': '{given}' is no shape. Write whole numbers of at least 1, such as [1024] or [32,64]."
        )
    return tuple(int(part.replace("_", "")) for part in parts)


# ---- numbers


def number(given: str, type: ElementType, text: str) -> int | float:
    """A number that `type` can hold. Raises UsageError for one that is none, or that does not fit."""
    try:
        if type.floating:
            return float_of_bits(given) if re.match(r"0[fFdD][0-9a-fA-F]+$", given) else float(given.replace("_", ""))
        value = int(given, 0)
    except ValueError:
        kind = "number" if type.floating else "whole number"
        if not type.floating and re.match(r"\w+\[", given):
            kind = "whole number, and what has a shape is an array"
        raise UsageError(f"'{text}': '{given}' is no {kind}.{array_hint(given, type)}") from None
    limits = np.iinfo(type.dtype)
    if not limits.min <= value <= limits.max:
        raise UsageError(f"'{text}': a {type.name} lies in {limits.min} to {limits.max}.")
    return value


def array_hint(given: str, type: ElementType) -> str:
    """`f32=random`: values of an array, without its shape."""
    if given in ("zeros", "iota") or given.startswith("random") or given.endswith(".npy"):
        return f" An array needs its shape: '{type.name}[1024]={given}'."
    return ""


def float_of_bits(given: str) -> float:
    """PTX's own notation of a float by its bits: 0f3f800000, 0d3ff0000000000000."""
    digits, bits = (8, np.uint32) if given[1] in "fF" else (16, np.uint64)
    if len(given) != 2 + digits:
        raise ValueError(given)
    held = np.array([int(given[2:], 16)], bits)
    return float(held.view(np.float32 if digits == 8 else np.float64)[0])


# ---- arrays

RANDOM = re.compile(r"random(?:\((?P<low>[^,()]+),(?P<high>[^,()]+)\))?")


def check_fill(given: str, type: ElementType, text: str) -> None:
    """Raise UsageError unless `given` can fill an array of `type`."""
    if given in ("zeros", "iota") or given.endswith(".npy"):
        return
    if match := RANDOM.fullmatch(given):
        limits(match, type, text)
    elif re.match(r"[-+.\d]|inf|nan", given):
        number(given, type, text)
    else:
        raise UsageError(f"'{text}': '{given}' fills no array. Write {FILLS}.")


def limits(match: re.Match[str], type: ElementType, text: str) -> tuple[int | float, int | float]:
    """Between what the random numbers lie."""
    if match["low"] is None:
        if type.floating:
            return -1.0, 1.0
        return int(np.iinfo(type.dtype).min), int(np.iinfo(type.dtype).max)
    low, high = (number(match[end].strip(), type, text) for end in ("low", "high"))
    if not low < high or not math.isfinite(high - low):
        raise UsageError(f"'{text}': random numbers need two ends, the lower first.")
    return low, high


def fill(given: str, type: ElementType, shape: tuple[int, ...], rng: np.random.Generator, text: str) -> NDArray[Any]:
    """The array that `given` describes."""
    if given == "zeros":
        return np.zeros(shape, type.dtype)
    if given == "iota":
        return type.hold(np.arange(math.prod(shape), dtype=np.float64 if type.floating else np.int64).reshape(shape))
    if match := RANDOM.fullmatch(given):
        low, high = limits(match, type, text)
        if type.floating:
            return type.hold(rng.uniform(low, high, shape))
        return rng.integers(low, high, shape, type.dtype, endpoint=True)  # type: ignore[arg-type]  # whole numbers
    return np.full(shape, type.hold(np.array([number(given, type, text)]))[0])


def load(path: Path, text: str) -> NDArray[Any]:
    """The array of a .npy file, C-contiguous, writable and of this machine's byte order."""
    try:
        loaded = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"'{text}': cannot read {path}: {error.strerror or error}.") from None
    except (ValueError, EOFError) as error:
        raise UsageError(f"'{text}': {path} is no array that NumPy saved: {str(error).rstrip('.')}.") from None
    except MemoryError:
        raise UsageError(f"'{text}': this machine has no memory for {path}.") from None
    if not isinstance(loaded, np.ndarray):
        raise UsageError(f"'{text}': {path} holds several arrays. Save the one that is meant with numpy.save.")
    if loaded.size == 0:
        raise UsageError(f"'{text}': {path} holds {described(loaded)}, which has no element.")
    return np.array(loaded, dtype=loaded.dtype.newbyteorder("="), order="C", ndmin=1)


def described(array: NDArray[Any]) -> str:
    """`float64[32,64]`."""
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
