"""Matches arguments to the parameters of a kernel, and checks that each can be passed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.arguments.elements import quoted
from ptxbench.arguments.notation import Argument, Parsed, Structure
from ptxbench.emulator.syntax import Function, Variable
from ptxbench.errors import UsageError, suggestion

POINTER_BYTES = 8
COMPILED = re.compile(r".*_param_(\d+)")
"""A parameter's name as NVRTC writes it: its name in CUDA C is lost."""


@dataclass(frozen=True)
class BoundArguments:
    """A parameter with its argument. `name`: of the parameter, or of the argument if NVRTC dropped the parameter's."""

    index: int
    name: str
    param: Variable
    argument: Parsed

    @property
    def in_struct(self) -> bool:
        """Whether the parameter is a struct (or a vector), which is passed by value."""
        return self.param.array or self.param.vector > 1

    @property
    def takes_address(self) -> bool:
        """Whether the parameter can be an address: 8 bytes, as a number or as a struct."""
        return self.param.size_bytes == POINTER_BYTES and not self.param.type.floating

    @property
    def is_bytes(self) -> bool:
        """Whether the argument is an array with the bytes of the struct."""
        return self.in_struct and not self.takes_address and isinstance(self.argument, Argument)

    def as_bytes(self, array: NDArray[Any]) -> Any:
        """The struct with the bytes of `array`. Raises UsageError if the size differs."""
        if array.nbytes != self.param.size_bytes:
            raise UsageError(
                f"'{quoted(self.argument.text)}' has {array.nbytes} bytes; '{self.name}' is a struct of "
                f"{self.param.size_bytes}, passed by value."
            )
        return np.void(array.tobytes())

    def require_address(self, array: NDArray[Any]) -> None:
        """Raise UsageError for an array that may mean the 8 bytes of a struct, or an address."""
        if self.in_struct and array.nbytes == POINTER_BYTES:
            text = quoted(self.argument.text)
            raise UsageError(
                f"'{text}' has 8 bytes, as has the struct '{self.name}'. Write '{{{text}}}' to pass the address of "
                f"the array, or the members, such as '{{u32=1, u32=2}}', to pass them by value."
            )


def bind(function: Function, arguments: Sequence[Parsed]) -> tuple[BoundArguments, ...]:
    """Each parameter of `function` with its argument.

    An argument with a name or an index goes to that parameter; the others take the remaining parameters in order. PTX
    from NVRTC has no parameter names: there a name is only a label, and its argument is taken in order. Raises
    UsageError.
    """
    params = function.params
    if len(arguments) != len(params):
        raise UsageError(wrong_number(function, len(arguments)))
    nameless = all(COMPILED.fullmatch(param.name) for param in params)
    places: dict[int, Parsed] = {}
    for argument in arguments:
        if argument.name is None or (nameless and not argument.name.isdigit()):
            continue
        index = find(function, argument)
        if index in places:
            raise UsageError(
                f"'{places[index].text}' and '{argument.text}' both set one parameter of '{function.name}'."
            )
        places[index] = argument
    placed = set(map(id, places.values()))
    rest = iter([argument for argument in arguments if id(argument) not in placed])
    bound = []
    for index, param in enumerate(params):
        argument = places.get(index) or next(rest)
        label = argument.name if argument.name and not argument.name.isdigit() else None
        name = (label or f"#{index}") if nameless else param.name
        bound.append(BoundArguments(index, name, param, argument))
    labels = [each.name for each in bound]
    if twice := next((name for name in labels if labels.count(name) > 1), None):
        raise UsageError(f"duplicate argument name '{twice}'.")
    for each in bound:
        check(each)
    return tuple(bound)


def find(function: Function, argument: Parsed) -> int:
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


def check(bound: BoundArguments) -> None:
    """Raise UsageError if the argument cannot be passed as the parameter. Files are checked later."""
    param, argument = bound.param, bound.argument
    text = quoted(argument.text)
    what = f"parameter '{bound.name}' is {written(param)}"
    if isinstance(argument, Structure) and not argument.by_address:
        check_struct(bound, argument)
    elif isinstance(argument, Argument) and argument.by_value and not bound.in_struct:
        check_number(bound, argument)
    elif bound.in_struct and not bound.takes_address and (not isinstance(argument, Argument) or not argument.is_array):
        raise UsageError(
            f"'{text}': {what}, a struct passed by value. Give its {param.size_bytes} bytes as its members, such as "
            f"'{{f32[1024]=random, u32=1024}}', as an array, such as 'b8[{param.size_bytes}]=zeros', or as FILE.npy."
        )
    elif bound.in_struct and isinstance(argument, Argument) and argument.by_value:
        raise UsageError(f"'{text}': {what}, a struct passed by value. Write '{{{text}}}'.")
    elif not bound.in_struct and not bound.takes_address:
        raise UsageError(f"'{text}': {what}, passed by value. Write {example(param)}.")


def check_struct(bound: BoundArguments, argument: Structure) -> None:
    """Raise UsageError unless a structure passed by value fits the parameter."""
    text, param = quoted(argument.text), bound.param
    what = f"parameter '{bound.name}' is {written(param)}"
    if not bound.in_struct:
        address = f" Write '&{text}' to pass the address of one." if bound.takes_address else ""
        raise UsageError(f"'{text}': {what}, not a struct.{address}")
    if (size := argument.dtype.itemsize) != param.size_bytes:
        raise UsageError(
            f"'{text}': expected {param.size_bytes} bytes for '{bound.name}', found {size}: {argument.described()}."
        )


def check_number(bound: BoundArguments, argument: Argument) -> None:
    """Raise UsageError unless a number has the parameter's size and kind."""
    param, what = bound.param, f"parameter '{bound.name}' is {written(bound.param)}"
    assert argument.type is not None
    bits = argument.type.dtype.itemsize * 8
    kinds_differ = param.type.kind != "b" and param.type.floating != argument.type.floating
    if bits != param.type.bits or (kinds_differ and argument.type.name[0] != "b"):
        array = f", or for an address '{argument.type.name}[1024]=random'" if bound.takes_address else ""
        raise UsageError(f"'{quoted(argument.text)}': {what}. Write {example(param)}{array}.")


def example(param: Variable) -> str:
    """An example of a number for the parameter."""
    name = param.type.name
    return f"{name}=2.5" if param.type.floating else f"{name}=1024" if param.type.bits > 8 else f"{name}=1"


def written(param: Variable) -> str:
    """The parameter's type as written in PTX."""
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
        if param.type.bytes == POINTER_BYTES and not param.array
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
