"""What global memory holds when a launch starts, and what is taken back from it when the launch is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator import memory
from ptxbench.emulator.arguments import check_arguments, pack
from ptxbench.emulator.memory import Bytes
from ptxbench.emulator.runtime import context
from ptxbench.emulator.syntax import Function, Module
from ptxbench.emulator.variables import (
    ALIGNMENT,
    GAP,
    initial_bytes,
    lay_out_addressed_parameters,
    lay_out_module,
    module_variables,
)


@dataclass(frozen=True)
class Image:
    """`contents`: offset in the arena and bytes of each buffer that has a content: the module's variables first, in
    the order of `variables`, the arrays last, in the order of `arrays`. `params`: the parameters' bytes.
    """

    layout: memory.Layout
    contents: tuple[tuple[int, Bytes], ...]
    params: bytes
    variables: tuple[str, ...]
    arrays: tuple[NDArray[Any], ...]

    def take_back(self, results: Sequence[Bytes], kept: dict[str, bytes] | None) -> None:
        """Copy what a launch left (`results`, as `contents`) to the arrays, and its variables to `kept`."""
        if self.arrays:
            for array, result in zip(self.arrays, results[-len(self.arrays) :], strict=True):
                as_bytes(array)[:] = result
        if kept is not None:
            kept.update((name, left.tobytes()) for name, left in zip(self.variables, results, strict=False))


def build(
    module: Module, function: Function, args: Sequence[Any], placement: int | None, kept: dict[str, bytes] | None
) -> Image:
    """The image for a launch of `function` with `args`; `placement` and `kept` as launch.run has them.

    Raises LaunchError and TypeError for arguments that do not fit the parameters.
    """
    arrays = check_arguments(function, args)
    module_addresses, start = lay_out_module(module)
    variables = module_variables(module)
    held = [
        memory.Buffer(variable.name, module_addresses[variable.name] - context.GLOBAL_BASE, variable.size_bytes)
        for variable in variables
    ]
    if (parameters := lay_out_addressed_parameters(module, function)) is not None:
        held.append(memory.Buffer("the parameters", parameters[0] - context.GLOBAL_BASE, parameters[1]))
        start = held[-1].offset + -(-(parameters[1] + GAP) // ALIGNMENT) * ALIGNMENT
    layout = memory.lay_out([(name, array) for name, array in arrays.values()], held, start, placement)
    addresses = dict(zip(arrays, layout.addresses, strict=True))
    params = pack(function, args, addresses)
    earlier = {} if kept is None else kept
    initial = [earlier.get(each.name) or initial_bytes(each, module_addresses) for each in variables]
    if parameters is not None:
        initial.append(params)
    contents = (
        *((buffer.offset, np.frombuffer(content, np.uint8)) for buffer, content in zip(held, initial, strict=True)),
        *((addresses[index] - context.GLOBAL_BASE, as_bytes(array)) for index, (_, array) in arrays.items()),
    )
    names = tuple(variable.name for variable in variables)
    return Image(layout, contents, params, names, tuple(array for _, array in arrays.values()))


def as_bytes(array: NDArray[Any]) -> Bytes:
    """A view of a C-contiguous array's bytes, shape (nbytes,)."""
    return array.reshape(-1).view(np.uint8)
