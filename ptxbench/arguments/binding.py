"""Matches arguments to the parameters of a kernel, and checks that each can be passed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import kernel_names
from ptxbench.arguments.elements import TYPES, quoted
from ptxbench.arguments.maps import EXAMPLE
from ptxbench.arguments.notation import Argument, Parsed, Structure, TensorMapArgument, with_aligned_maps
from ptxbench.arguments.templates import example, may_be_map, number, option, templates
from ptxbench.emulator.syntax import Function, Variable
from ptxbench.errors import UsageError, suggestion
from ptxbench.tensor_map import HEADER_ALIGN, MAP_ALIGN, MAP_BYTES
from ptxbench.toolchain.parameters import CudaParameter, CudaType
from ptxbench.units import plural

POINTER_BYTES = 8
COMPILED = re.compile(r".*_param_(\d+)")
"""A parameter's name as NVRTC and Triton write it in PTX: its name in the source is lost."""

Declared = Sequence[CudaParameter]
"""The parameters of a kernel as CUDA C declares them."""


@dataclass(frozen=True)
class BoundArguments:
    """A parameter with its argument. `name`: of the parameter in the source, or "#0" if it has none or that is lost.
    `written`: the argument as the user wrote it, one object for all kernels that get it."""

    index: int
    name: str
    param: Variable
    written: Parsed
    declared: CudaParameter | None = None
    """The parameter as CUDA C declares it, if that is known."""

    @cached_property
    def argument(self) -> Parsed:
        """The argument, with the alignment that tensor maps in a struct had in the compiler's headers. Only a map is
        aligned to as much as HEADER_ALIGN, so that the parameter shows it."""
        return with_aligned_maps(self.written, MAP_ALIGN if self.param.align < HEADER_ALIGN else HEADER_ALIGN)

    @property
    def type(self) -> str:
        """Its type in CUDA C, else in PTX."""
        return f"'{self.declared.type.text}'" if self.declared else written(self.param)

    @property
    def example(self) -> str:
        """A number for it."""
        number_type = self.declared.type.number if self.declared else None
        return number(number_type) if number_type else example(self.param)

    @property
    def in_struct(self) -> bool:
        """Whether the parameter is a struct (or a vector), which is passed by value."""
        return self.param.array or self.param.vector > 1

    @property
    def other_elements(self) -> str | None:
        """The type of its array's elements, if it has another size or kind than what the parameter points to."""
        pointee = self.declared.type.pointee if self.declared else None
        element = self.argument.type if isinstance(self.argument, Argument) else None
        if pointee is None or pointee.number is None or element is None or re.fullmatch(r"b\d+", element.name):
            return None
        expected = TYPES[pointee.number]
        same_kind = expected.dtype.itemsize == element.dtype.itemsize and expected.floating == element.floating
        return None if same_kind and (expected.name == "bf16") == (element.name == "bf16") else element.name

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
                f"'{quoted(self.argument.text)}' has {plural(array.nbytes, 'byte')}; '{self.name}' is a struct of "
                f"{self.param.size_bytes}, passed by value."
                + (f" If it is a tensor map, write it as {EXAMPLE}." if may_be_map(self.param) else "")
            )
        return np.void(array.tobytes())

    def require_address(self, array: NDArray[Any]) -> None:
        """Raise UsageError for an array that may mean the 8 bytes of a struct, or an address."""
        if self.in_struct and array.nbytes == POINTER_BYTES:
            text = quoted(self.argument.text)
            raise UsageError(
                f"'{text}' has 8 bytes, the same as the struct '{self.name}'. Write '{{{text}}}' to pass the address "
                f"of the array, or the members, such as '{{u32=1, u32=2}}', to pass them by value."
            )


def bind(
    function: Function, arguments: Sequence[Parsed], declared: Declared | None = None
) -> tuple[BoundArguments, ...]:
    """Each parameter of `function` with its argument.

    An argument with a name or an index goes to that parameter; the others take the remaining parameters in order.
    `declared`: the parameters in CUDA C, because PTX from NVRTC does not have their names. Raises UsageError, also for
    a name if the names of the parameters are not known: it could be the name of another parameter.
    """
    params = function.params
    if len(arguments) != len(params):
        raise UsageError(wrong_number(function, arguments, declared))
    names = names_of(function, declared)
    by_index: dict[int, Parsed] = {}
    for argument in arguments:
        if argument.name is None:
            continue
        index = find(function, declared, argument)
        if index in by_index:
            both = f"'{by_index[index].text}' and '{argument.text}'"
            raise UsageError(f"{both} set the same parameter of '{kernel_names.short(function.name)}'.")
        by_index[index] = argument
    set_by_name = set(map(id, by_index.values()))
    in_order = iter([argument for argument in arguments if id(argument) not in set_by_name])
    bound = tuple(
        BoundArguments(
            index,
            names[index] or f"#{index}",
            param,
            by_index.get(index) or next(in_order),
            declared[index] if declared else None,
        )
        for index, param in enumerate(params)
    )
    for parameter in bound:
        check(parameter)
    return bound


def names_of(function: Function, declared: Declared | None) -> list[str | None]:
    """The name of each parameter in the source; None for one without a name, and where a compiler dropped it."""
    if declared is not None:
        return [parameter.name for parameter in declared]
    return [None if COMPILED.fullmatch(param.name) else param.name for param in function.params]


def find(function: Function, declared: Declared | None, argument: Parsed) -> int:
    """The index of the parameter that the argument names: by its name in the source or in PTX, or by its index."""
    name, names = argument.name or "", names_of(function, declared)
    in_ptx = [param.name for param in function.params]
    for parameter_names in (names, in_ptx):
        if name in parameter_names:
            return parameter_names.index(name)
    text = quoted(argument.text)
    if name.isdigit():
        if int(name) < len(names):
            return int(name)
        raise UsageError(
            f"'{text}': '{kernel_names.short(function.name)}' has {plural(len(names), 'parameter')}; the first is 0."
        )
    if all(label is None for label in names):
        raise UsageError(
            f"'{text}': the PTX does not have the names of the parameters, only {in_ptx[0]} and so on, so "
            f"'{name}' cannot be checked. Write the parameter's index, from 0, in place of the name, or no name "
            f"and all in order."
        )
    hint = suggestion(name, [label for label in names if label]) or f" It has {signature(function, declared)}."
    raise UsageError(f"'{text}': '{kernel_names.short(function.name)}' has no parameter '{name}'.{hint}")


def check(bound: BoundArguments) -> None:
    """Raise UsageError if the argument cannot be passed as the parameter. Files are checked later."""
    param, argument = bound.param, bound.argument
    text = quoted(argument.text)
    parameter = f"parameter '{bound.name}' is {bound.type}"
    if isinstance(argument, TensorMapArgument):
        if not (param.array and param.size_bytes == MAP_BYTES):
            raise UsageError(
                f"'{text}': {parameter}, and a tensor map has {MAP_BYTES} bytes, passed by value. Declare it const "
                "__grid_constant__ CUtensorMap. One in a struct is written as '{map(...), u32=1}', and one in global "
                "memory as '&{map(...)}'."
            )
    elif isinstance(argument, Structure) and not argument.by_address:
        check_struct(bound, argument)
    elif isinstance(argument, Argument) and argument.by_value and not bound.in_struct:
        check_number(bound, argument)
    elif bound.in_struct and not bound.takes_address and (not isinstance(argument, Argument) or not argument.is_array):
        size = plural(param.size_bytes, "byte")
        raise UsageError(
            f"'{text}': {parameter}, a struct passed by value. Give its {size} as its members, such "
            f"as '{{f32[1024]=random, u32=1024}}', as an array, such as 'b8[{param.size_bytes}]=zeros', or as FILE.npy."
        )
    elif bound.in_struct and isinstance(argument, Argument) and argument.by_value:
        raise UsageError(f"'{text}': {parameter}, a struct passed by value. Write '{{{text}}}'.")
    elif not bound.in_struct and not bound.takes_address:
        raise UsageError(f"'{text}': {parameter}, passed by value. Write {bound.example}.")


def check_struct(bound: BoundArguments, argument: Structure) -> None:
    """Raise UsageError unless a structure passed by value fits the parameter."""
    text, param = quoted(argument.text), bound.param
    parameter = f"parameter '{bound.name}' is {bound.type}"
    if not bound.in_struct:
        address = f" Write '&{text}' to pass the address of one." if bound.takes_address else ""
        raise UsageError(f"'{text}': {parameter}, not a struct.{address}")
    if (size := argument.dtype.itemsize) != param.size_bytes:
        expected = plural(param.size_bytes, "byte")
        raise UsageError(f"'{text}': expected {expected} for '{bound.name}', found {size}: {argument.described()}.")
    if bound.declared:
        check_members(bound.name, argument, bound.declared.type)


def check_members(path: str, argument: Structure, type: CudaType) -> None:
    """Raise UsageError if a member has another name than the struct's member at its offset, also in inner structs."""
    fields = argument.dtype.fields
    assert fields is not None
    for field, member in argument.fields():
        expected = [declared for declared in type.members if declared.offset == fields[field][1] and declared.name]
        if not expected:
            continue
        has_name = member.name and not member.name.isdigit()
        if has_name and member.name not in [declared.name for declared in expected]:
            order = ", ".join(declared.name or f"the base {declared.type.text}" for declared in type.members)
            raise UsageError(
                f"'{quoted(member.text)}': expected member '{expected[0].name}' of '{path}' there, found "
                f"'{member.name}'. Members are given in the order of the struct: {order}."
            )
        if isinstance(member, Structure) and not member.by_address:
            check_members(f"{path}.{expected[0].name}", member, expected[0].type)


def check_number(bound: BoundArguments, argument: Argument) -> None:
    """Raise UsageError unless a number has the parameter's size and kind."""
    param, parameter = bound.param, f"parameter '{bound.name}' is {bound.type}"
    assert argument.type is not None
    bits = argument.type.dtype.itemsize * 8
    kinds_differ = param.type.kind != "b" and param.type.floating != argument.type.floating
    if bits != param.type.bits or (kinds_differ and argument.type.name[0] != "b"):
        array = f", or for an address '{argument.type.name}[1024]=random'" if bound.takes_address else ""
        raise UsageError(f"'{quoted(argument.text)}': {parameter}. Write {bound.example}{array}.")


def written(param: Variable) -> str:
    """The parameter's type as written in PTX."""
    vector = f".v{param.vector} " if param.vector > 1 else ""
    return f"{vector}.{param.type}{f'[{param.count}]' if param.array else ''}"


def signature(function: Function, declared: Declared | None) -> str:
    """`const float* x, unsigned int n`; for PTX `x .u64, n .u32`, without the names that NVRTC makes."""
    if declared is not None:
        return ", ".join(parameter.declaration for parameter in declared)
    return ", ".join(
        f"{index if COMPILED.fullmatch(param.name) else param.name} {written(param)}"
        for index, param in enumerate(function.params)
    )


def wrong_number(function: Function, arguments: Sequence[Parsed], declared: Declared | None) -> str:
    """The message for too few or too many arguments."""
    count, args = len(function.params), len(arguments)
    if not count:
        return f"'{kernel_names.short(function.name)}' has no parameters; leave out --arg."
    indices_by_name = [find(function, declared, argument) for argument in arguments if argument.name is not None]
    other_indices = [index for index in range(count) if index not in indices_by_name]
    unset = other_indices[args - len(indices_by_name) :]
    missing = [option(templates(function, declared)[index]) for index in unset]
    wanted = "the rest too" if args else "one for each"
    hint = f" Give {wanted}, such as {' '.join(missing)}." if missing and args < count else ""
    return (
        f"'{kernel_names.short(function.name)}' has {count} parameter{'s' if count > 1 else ''}, and {args or 'no'} "
        f"--arg {'was' if args < 2 else 'were'} given: {signature(function, declared)}.{hint}"
    )
