"""The values of a kernel's arguments, and every array and member that the launch may change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.arguments.binding import BoundArguments
from ptxbench.arguments.elements import ElementType, quoted
from ptxbench.arguments.notation import Argument, Member, Parsed, Reference, Structure, TensorMapArgument
from ptxbench.emulator import MapOf, Pointer
from ptxbench.emulator.memory import available_memory
from ptxbench.errors import LaunchError, UsageError, suggestion
from ptxbench.tensor_map import MAP_ALIGN, MAP_BYTES
from ptxbench.units import plural

MOST_DIGITS = 9
"""The most digits of an index."""
COPIES = 3
"""Copies of each array in memory: before the launch, after it, and as the kernel sees it."""


@dataclass(frozen=True)
class NamedArray:
    """An array, or a number in a structure in global memory (then of shape (1,)).

    `index` is the parameter's. `name` is the path to it: `x`, or `view.x` in a structure.
    """

    index: int
    name: str
    type: ElementType
    array: NDArray[Any]


@dataclass(frozen=True)
class Values:
    """`args`: one per parameter, as `emulator.run` takes them. `arrays`: the arrays that the kernel may change."""

    args: tuple[Any, ...]
    arrays: tuple[NamedArray, ...]


@dataclass(frozen=True)
class ValuePlace:
    """Where a value goes: its name, the indices of the parameter and members on the path to it, and whether it is in
    global memory. Random data depends on `path`, but with `drawn` in place of the parameter's index.
    """

    name: str
    path: tuple[int, ...]
    in_memory: bool = False
    drawn: int = 0

    def of(self, label: str, number: int) -> ValuePlace:
        """The place of a member."""
        return replace(self, name=f"{self.name}.{label}", path=(*self.path, number))


def make(bound: Sequence[BoundArguments], seed: int, like: Sequence[BoundArguments] = ()) -> Values:
    """New values. `like`: the same arguments for another kernel; the new values get the random data of that kernel.

    Raises UsageError for a file that cannot be used, for the address of a missing argument, for a tensor map in a
    structure that the emulator cannot use, and if the arrays do not fit in this machine's memory.
    """
    needed, free = COPIES * sum(array_bytes(parameter.argument) for parameter in bound), available_memory()
    if needed > free:
        raise UsageError(f"The arrays take {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free. Use smaller ones.")
    return Maker(bound, seed, like).make()


def array_bytes(argument: Parsed) -> int:
    """The bytes of an argument's arrays, without those of files."""
    if isinstance(argument, Structure):
        return sum(map(array_bytes, argument.members))
    if isinstance(argument, TensorMapArgument):
        return array_bytes(argument.array)
    if not isinstance(argument, Argument) or argument.type is None or argument.shape is None:
        return 0
    return math.prod(argument.shape) * argument.type.dtype.itemsize


def names(bound: Sequence[BoundArguments]) -> list[str]:
    """The names of `Values.arrays`, before the arrays are made."""
    result: list[str] = []
    for parameter in bound:
        if not parameter.is_bytes:
            result += names_of(parameter.name, parameter.argument, in_memory=False)
    return result


def names_of(name: str, argument: Parsed, in_memory: bool) -> Iterator[str]:
    """The arrays of an argument, and its numbers if it is in memory."""
    if isinstance(argument, Structure):
        for label, member in argument.fields():
            yield from names_of(f"{name}.{label}", member, argument.by_address or in_memory)
    elif isinstance(argument, TensorMapArgument):
        yield from names_of(name, argument.array, in_memory)
    elif isinstance(argument, Argument) and (argument.is_array or (in_memory and argument.by_value)):
        yield name


def find(name: str, array_names: Sequence[str], bound: Sequence[BoundArguments]) -> str | None:
    """The name in `array_names` that `name` means: the whole name, or its last part if only one name ends so.

    A parameter's index may replace its name, as in `0` or `0.x`.
    """
    first, dot, rest = name.partition(".")
    if first.isdecimal() and len(first) < MOST_DIGITS and int(first) < len(bound):
        name = f"{bound[int(first)].name}{dot}{rest}"
    if name in array_names:
        return name
    ends = [full for full in array_names if full.endswith(f".{name}")]
    return ends[0] if len(ends) == 1 else None


def words_of(mapped: MapOf, name: str) -> list[Any]:
    """The 64-bit words of a tensor map in a structure. Raises UsageError if the emulator cannot use it."""
    try:
        mapped.check(name, MAP_BYTES, MAP_ALIGN)
    except LaunchError as error:
        raise UsageError(str(error)) from None
    _, *others = np.frombuffer(mapped.encoded(0), np.uint64).tolist()
    return [Pointer(mapped.array, mapped.offset), *others]


class Maker:
    """Makes the values in order, then the addresses of other arguments."""

    def __init__(self, bound: Sequence[BoundArguments], seed: int, like: Sequence[BoundArguments]) -> None:
        self.bound = bound
        self.seed = seed
        self.drawn_as = {id(parameter.written): parameter.index for parameter in like}
        self.args: list[Any] = [None] * len(bound)
        self.arrays: list[NamedArray] = []
        self.targets: dict[str, NDArray[Any]] = {}
        self.references: list[tuple[Any, Any, Reference]] = []
        self.maps: list[tuple[Any, Any, str, TensorMapArgument, list[Pointer]]] = []
        """Where each tensor map goes, its name, and the address of its array in a list."""

    def make(self) -> Values:
        for parameter in self.bound:
            self.add(parameter)
        for holder, key, reference in self.references:
            holder[key] = self.pointer(reference)
        for holder, key, name, argument, pointer in self.maps:
            mapped = MapOf(pointer[0].array, argument.map, pointer[0].offset)
            holder[key] = mapped if holder is self.args else words_of(mapped, name)
        for parameter in self.bound:
            if isinstance(parameter.argument, Structure) and not parameter.argument.by_address:
                self.args[parameter.index] = self.args[parameter.index][()]  # np.void: passed by value
        return Values(tuple(self.args), tuple(self.arrays))

    def add(self, bound: BoundArguments) -> None:
        """Make the value of a parameter."""
        argument, index = bound.argument, bound.index
        if bound.is_bytes:
            assert isinstance(argument, Argument)
            self.args[index] = bound.as_bytes(argument.value((self.seed, self.drawn(bound))))
            return
        if isinstance(argument, Structure) and not argument.by_address:
            self.args[index] = np.zeros((), argument.dtype)
        place = ValuePlace(bound.name, (index,), drawn=self.drawn(bound))
        self.put(self.args, index, argument, place)
        value = self.args[index]
        if isinstance(value, Pointer) and isinstance(argument, Argument):
            bound.require_address(value.array)

    def drawn(self, bound: BoundArguments) -> int:
        """The index of the parameter on which random data depends."""
        return self.drawn_as.get(id(bound.written), bound.index)

    def put(self, holder: Any, key: Any, argument: Member, place: ValuePlace) -> None:
        """Set holder[key] to the value of `argument`, a parameter or a member."""
        if isinstance(argument, Reference):
            self.references.append((holder, key, argument))
        elif isinstance(argument, TensorMapArgument):
            pointer: list[Any] = [None]
            self.put(pointer, 0, argument.array, place)
            self.maps.append((holder, key, place.name, argument, pointer))
        elif isinstance(argument, Structure):
            inside = replace(place, in_memory=place.in_memory or argument.by_address)
            structure = np.zeros((), argument.dtype) if argument.by_address else holder[key]
            for number, (label, member) in enumerate(argument.fields()):
                self.put(structure, label, member, inside.of(label, number))
            if argument.by_address:
                self.targets[place.name] = structure
                holder[key] = Pointer(structure)
        elif isinstance(value := argument.value((self.seed, place.drawn, *place.path[1:])), np.ndarray):
            self.arrays.append(NamedArray(place.path[0], place.name, argument.type_of(value), value))
            self.targets[place.name] = value
            holder[key] = Pointer(value)
        else:
            holder[key] = value
            if place.in_memory and argument.type is not None:
                self.arrays.append(NamedArray(place.path[0], place.name, argument.type, holder[key].reshape(1)))

    def pointer(self, reference: Reference) -> Pointer:
        """The address that the reference names."""
        text, target_names = quoted(reference.text), list(self.targets)
        name = find(reference.target, target_names, self.bound)
        if name is None:
            candidates = [full for full in target_names if full.endswith(f".{reference.target}")]
            hint = (
                f" It may be {' or '.join(candidates)}." if candidates else suggestion(reference.target, target_names)
            )
            raise UsageError(f"'{text}': expected the name of one array, found '{quoted(reference.target)}'.{hint}")
        target = self.targets[name]
        if reference.index >= max(target.size, 1):
            raise UsageError(f"'{text}': '{name}' has {plural(target.size, 'element')}; the last is {target.size - 1}.")
        return Pointer(target, reference.index * target.itemsize)
