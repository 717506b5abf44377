"""Parameters that are structs of C: which arguments of a pair each has as members, and where. Imports no ptxbench."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

MOST_ALIGN = 128
"""The greatest alignment of a parameter that PTX has, in bytes."""


@dataclass(frozen=True)
class Struct:
    """A parameter that is a struct, passed by value: one of your own, or `float4`, `uint2`, `dim3`.

    `members`: its numbers (Scalar), arrays (In, Out, InOut or Scratch: the member is a pointer) and inner structs, in
    their order, laid out as in C. They are arguments of the pair like any other, each with a name of its own: the
    reference takes a member as it takes a parameter. `align`: the alignment in bytes of a type that has a greater one
    than its members, such as 16 for `float4`.

    Raises TypeError if a field cannot be used.
    """

    name: str
    members: Sequence[Any]
    align: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.members, Sequence) or isinstance(self.members, str) or not self.members:
            raise TypeError(f"Struct {self.name!r} has members {self.members!r}, expected a list of arguments")
        if self.align not in (1 << power for power in range(MOST_ALIGN.bit_length())):
            expected = f"expected a power of two up to {MOST_ALIGN}"
            raise TypeError(f"Struct {self.name!r} has align {self.align!r}, {expected}")

    @property
    def arguments(self) -> Iterator[Any]:
        """The members, with those of an inner struct in its place."""
        for member in self.members:
            if isinstance(member, Struct):
                yield from member.arguments
            else:
                yield member


@dataclass(frozen=True)
class StructLayout:
    """A Struct in memory.

    `offsets`: of its members, also those of inner structs, in bytes, by name, in their order. `steps`: the way to each
    of them from the Struct, such as ("members", 1).
    """

    name: str
    offsets: Mapping[str, int] = field(hash=False)
    size_bytes: int
    align: int
    steps: Mapping[str, tuple[str | int, ...]] = field(hash=False)

    def packed(self, arguments: Mapping[str, Any]) -> np.void:
        """The struct with these members: NumPy scalars by value, arrays in fields of dtype object."""
        values = [arguments[name] for name in self.offsets]
        dtype = np.dtype(
            {
                "names": list(self.offsets),
                "formats": [value.dtype if isinstance(value, np.generic) else np.dtype(object) for value in values],
                "offsets": list(self.offsets.values()),
                "itemsize": self.size_bytes,
            }
        )
        struct: np.void = np.zeros(1, dtype)[0]
        for name, value in zip(self.offsets, values, strict=True):
            struct[name] = value
        return struct


def layout(struct: Struct, bytes_of: Callable[[Any], int]) -> StructLayout:
    """Lay the members out as C does: each aligned to its size, an inner struct to its most aligned member.

    `bytes_of`: of a member that is not a struct. Source: the layout of CUDA C's host compilers (Itanium C++ ABI, 2.2).
    """
    offsets: dict[str, int] = {}
    steps: dict[str, tuple[str | int, ...]] = {}
    end, align = 0, struct.align
    for number, member in enumerate(struct.members):
        if isinstance(member, Struct):
            inner = layout(member, bytes_of)
        else:
            size = bytes_of(member)
            inner = StructLayout(member.name, {member.name: 0}, size, size, {member.name: ()})
        start = aligned(end, inner.align)
        offsets |= {name: start + offset for name, offset in inner.offsets.items()}
        steps |= {name: ("members", number, *inner_steps) for name, inner_steps in inner.steps.items()}
        end, align = start + inner.size_bytes, max(align, inner.align)
    return StructLayout(struct.name, offsets, aligned(end, align), align, steps)


def aligned(offset: int, align: int) -> int:
    """The least multiple of `align` that is not below `offset`."""
    return -(-offset // align) * align


def parameters(structs: Sequence[StructLayout], arguments: Mapping[str, T]) -> dict[str, T | StructLayout]:
    """What a kernel takes of its arguments, by name: each struct in place of its members."""
    struct_of = {name: struct for struct in structs for name in struct.offsets}
    taken = ((struct_of.get(name), name, value) for name, value in arguments.items())
    return {struct.name if struct else name: struct or value for struct, name, value in taken}


def steps_to_arguments(args: Sequence[Any], structs: Sequence[StructLayout]) -> list[tuple[str | int, ...]]:
    """The way from a Pair as it was written to each of its arguments: ("args", 0), or ("args", 0, "members", 2)."""
    struct_of = {name: struct for struct in structs for name in struct.offsets}
    result: list[tuple[str | int, ...]] = []
    number, previous = -1, None
    for arg in args:
        name = getattr(arg, "name", None)  # the arguments are perhaps not valid yet
        struct = struct_of.get(name) if isinstance(name, str) else None
        number += struct is None or struct is not previous
        result.append(("args", number, *(struct.steps[name] if struct and name else ())))
        previous = struct
    return result
