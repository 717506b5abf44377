"""Addresses of arrays inside data: what a NumPy array or structure with `object` elements means.

An element of dtype `object` is an 8-byte address: of the NumPy array or Pointer in it, null for None, or a number that
is already an address. A launch first places every array; then the addresses are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.memory import Bytes
from ptxbench.emulator.tensor_maps import MapOf

Array = NDArray[Any]

ADDRESS = np.dtype(np.uint64)


@dataclass(frozen=True, eq=False)
class Pointer:
    """The emulated address of `array`, plus `offset` bytes: an argument, or an element of an array of pointers.

    An array by itself means its own address. A Pointer is for an address inside an array, and where NumPy would take an
    array apart, such as in `np.array([Pointer(x), Pointer(y)], object)`. Raises TypeError if `array` is not a NumPy
    array.
    """

    array: Array
    offset: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray):
            raise TypeError(f"Pointer takes a NumPy array, not {self.array!r}.")


def reachable(roots: Iterable[tuple[str, Any]]) -> list[tuple[str, Array]]:
    """Each array that the named arguments point to, directly or indirectly, once, with a name for messages.

    The arguments' own arrays come first, in their order, so that their addresses do not depend on their contents.
    The pointers of a structure without a name have the names of its fields.

    Raises TypeError for an element that is not a pointer.
    """
    result: list[tuple[str, Array]] = []
    seen: set[int] = set()
    waiting = list(roots)
    for name, value in waiting:
        target = value.array if isinstance(value, Pointer | MapOf) else value
        if isinstance(target, np.ndarray):
            if id(target) in seen:
                continue
            seen.add(id(target))
            result.append((name, target))
        if isinstance(target, np.ndarray | np.void) and target.dtype.hasobject:
            waiting.extend(elements(name, np.asarray(target)))
    return result


def elements(name: str, array: Array) -> Iterator[tuple[str, Any]]:
    """The pointers in `array` with their names: `table[2]`, `view.data`, `views.data[0]`."""
    for path, view in pointer_fields(array):
        for index in np.ndindex(view.shape):
            element_name = f"{name}{path}{list(index) if index else ''}".removeprefix(".")
            value = view[index]
            if not (value is None or isinstance(value, np.ndarray | Pointer | int | np.integer)):
                raise TypeError(f"'{element_name}' is {value!r}; expected an array, a Pointer, an address or None.")
            if isinstance(value, int | np.integer) and not 0 <= value < 1 << 64:
                raise TypeError(f"'{element_name}' is {value}; expected an address from 0 to 2**64 - 1.")
            yield element_name, value


def pointer_fields(array: Array) -> Iterator[tuple[str, Array]]:
    """The parts of `array` with dtype object, each with its path of field names."""
    if array.dtype.names is None:
        yield "", array
        return
    for name in array.dtype.names:
        if array.dtype[name].hasobject:
            for path, view in pointer_fields(array[name]):
                yield f".{name}{path}", view


# ---- as the kernel sees it

AddressOf = Callable[[Any], int]
"""Gives the number that an element means."""


def encode(array: Array, address_of: AddressOf) -> Array:
    """`array` with its pointers as 64-bit addresses; `array` itself if it has none."""
    if not array.dtype.hasobject:
        return array
    plain = np.zeros(array.shape, without_objects(array.dtype))
    fill(plain, array, address_of)
    return plain


def fill(plain: Array, array: Array, address_of: AddressOf) -> None:
    if array.dtype.kind == "O":
        for index in np.ndindex(array.shape):
            plain[index] = address_of(array[index])
    elif array.dtype.hasobject:
        for name in array.dtype.names or ():
            fill(plain[name], array[name], address_of)
    else:
        plain[...] = array


def decode(array: Array, encoded: Array, result: Bytes) -> None:
    """Apply to `array` the changes that a kernel made to its `encoded` form; `result`: the bytes after the launch.

    A pointer that the kernel overwrote becomes a number.
    """
    if array.dtype.hasobject:
        take_changes(array, encoded, result.view(encoded.dtype).reshape(array.shape))
    else:
        as_bytes(array)[:] = result


def take_changes(array: Array, before: Array, after: Array) -> None:
    if array.dtype.kind == "O":
        for index in np.argwhere(np.asarray(before != after)):
            array[tuple(index)] = int(after[tuple(index)])
    elif array.dtype.hasobject:
        for name in array.dtype.names or ():
            take_changes(array[name], before[name], after[name])
    else:
        array[...] = after


def without_objects(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The same layout with a 64-bit number in place of each object."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((without_objects(base), shape))
    if dtype.names is None:
        return ADDRESS if dtype.kind == "O" else dtype
    fields = [dtype.fields[name] for name in dtype.names]  # type: ignore[index]  # names without fields do not exist
    return np.dtype(
        {
            "names": list(dtype.names),
            "formats": [without_objects(field[0]) for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
        }
    )


def as_bytes(array: Array) -> Bytes:
    """A view of a C-contiguous array's bytes, shape (nbytes,)."""
    return array.reshape(-1).view(np.uint8)
