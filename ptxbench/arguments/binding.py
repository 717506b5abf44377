"""Fits arguments to the parameters of a kernel: which is which, and whether each can be passed as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.arguments.notation import TYPES, Argument, ElementType
from ptxbench.emulator.syntax import Function, Variable
from ptxbench.errors import UsageError, suggestion

POINTER_BITS = 64
COMPILED = re.compile(r".*_param_(\d+)")
"""A parameter's name as NVRTC writes it: the name that it has in CUDA C is lost."""


@dataclass(frozen=True)
class Bound:
    """A parameter with its argument. `name` is the parameter's, or the argument's where NVRTC dropped it."""

    index: int
    name: str
    param: Variable
    argument: Argument

    @property
    def in_struct(self) -> bool:
        """Whether the parameter is a struct (or a vector), whose bytes an array gives."""
        return self.param.array or self.param.vector > 1

    def value(self, seed: int) -> Any:
        """What a launch takes: an array for a pointer, a NumPy scalar, np.void for a struct, or None."""
        value = self.argument.value((seed, self.index))
        if not isinstance(value, np.ndarray):
            return value
        if self.in_struct:
            if value.nbytes != self.param.size_bytes:
                raise UsageError(
                    f"'{self.argument.text}' has {value.nbytes} bytes; '{self.name}' is a struct of "
                    f"{self.param.size_bytes}, passed by value."
                )
            return np.void(value.tobytes())
        return value

    def type_of(self, array: NDArray[Any]) -> ElementType:
        """The element type of the argument's array."""
        return self.argument.type or ElementType(ptx_name(array.dtype), array.dtype)


def ptx_name(dtype: np.dtype[Any]) -> str:
    """`f32` for float32; the dtype's own name for what PTX does not have."""
    return next((name for name, each in reversed(TYPES.items()) if each.dtype == dtype and name != "bf16"), str(dtype))


def bind(function: Function, arguments: Sequence[Argument]) -> tuple[Bound, ...]:
    """Each parameter of `function` with its argument.

    An argument with a name or an index goes to that parameter; those without take the places left, in order. Where
    the PTX is NVRTC's, which drops names, a name is only a label, and its argument is taken in order. Raises
    UsageError.
    """
    params = function.params
    if len(arguments) != len(params):
        raise UsageError(wrong_number(function, len(arguments)))
    nameless = all(COMPILED.fullmatch(param.name) for param in params)
    places: dict[int, Argument] = {}
    for argument in arguments:
        if argument.name is None or (nameless and not argument.name.isdigit()):
            continue
        index = find(function, argument)
        if index in places:
            raise UsageError(
                f"'{places[index].text}' and '{argument.text}' are for one parameter of '{function.name}'."
            )
        places[index] = argument
    placed = set(map(id, places.values()))
    rest = iter([argument for argument in arguments if id(argument) not in placed])
    bound = []
    for index, param in enumerate(params):
        argument = places.get(index) or next(rest)
        label = argument.name if argument.name and not argument.name.isdigit() else None
        name = (label or f"#{index}") if nameless else param.name
        bound.append(Bound(index, name, param, argument))
    labels = [each.name for each in bound]
    if twice := next((name for name in labels if labels.count(name) > 1), None):
        raise UsageError(f"Two arguments are called '{twice}'.")
    for each in bound:
        check(each)
    return tuple(bound)


def find(function: Function, argument: Argument) -> int:
    """The index of the parameter that the argument names."""
    names = [param.name for param in function.params]
    name = argument.name or ""
    if name in names:
        return names.index(name)
    if name.isdigit():
        if int(name) < len(names):
            return int(name)
        raise UsageError(f"'{argument.text}': '{function.name}' has {len(names)} parameters; the first is 0.")
    told = suggestion(name, names) or f" It has {signature(function)}."
    raise UsageError(f"'{argument.text}': '{function.name}' has no parameter '{name}'.{told}")


def check(bound: Bound) -> None:
    """Raise UsageError if the argument cannot be passed as the parameter. Files are looked at later."""
    param, argument = bound.param, bound.argument
    what = f"parameter '{bound.name}' is {written(param)}"
    if bound.in_struct:
        if argument.by_value or argument.null:
            raise UsageError(
                f"'{argument.text}': {what}, a struct passed by value. Give its {param.size_bytes} bytes as an array, "
                f"such as 'b8[{param.size_bytes}]=zeros', or as FILE.npy."
            )
        return
    pointer = param.type.bits == POINTER_BITS and not param.type.floating
    if not argument.by_value:
        if not pointer:
            raise UsageError(f"'{argument.text}': {what}, passed by value. Write {example(param)}.")
        return
    assert argument.type is not None
    bits = argument.type.dtype.itemsize * 8
    kinds_differ = param.type.kind != "b" and param.type.floating != argument.type.floating
    if bits != param.type.bits or (kinds_differ and argument.type.name[0] != "b"):
        array = f", or for an address '{argument.type.name}[1024]=random'" if pointer else ""
        raise UsageError(f"'{argument.text}': {what}. Write {example(param)}{array}.")


def example(param: Variable) -> str:
    """A number that the parameter takes."""
    name = param.type.name
    return f"{name}=2.5" if param.type.floating else f"{name}=1024" if param.type.bits > 8 else f"{name}=1"


def written(param: Variable) -> str:
    """The parameter's type as PTX has it."""
    vector = f".v{param.vector} " if param.vector > 1 else ""
    return f"{vector}.{param.type}{f'[{param.count}]' if param.array else ''}"


def signature(function: Function) -> str:
    """`x .u64, n .u32`; NVRTC's names are left out."""
    return ", ".join(
        f"{index if COMPILED.fullmatch(param.name) else param.name} {written(param)}"
        for index, param in enumerate(function.params)
    )


def wrong_number(function: Function, given: int) -> str:
    count = len(function.params)
    if not count:
        return f"'{function.name}' has no parameters; leave out --arg."
    example_args = " ".join(
        "--arg 'f32[1024]=random'"
        if param.type.bits == POINTER_BITS and not param.array
        else f"--arg 'b8[{param.size_bytes}]=zeros'"
        if param.array
        else f"--arg {example(param)}"
        for param in function.params[given:][:2]
    )
    told = f" Give the rest too, such as {example_args}." if given < count else ""
    return (
        f"'{function.name}' has {count} parameter{'s' if count > 1 else ''}, and {given} --arg "
        f"{'was' if given == 1 else 'were'} given: {signature(function)}.{told}"
    )
